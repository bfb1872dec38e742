"""What is said of a run in lines that scroll by: its settings in short, and a line at each summary."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlagents_plugin_progress.glyphs import duration, speed
from mlagents_plugin_progress.scores import ELO, GROUP_REWARD, REWARD
from mlagents_plugin_progress.tally import Tally

_NAMED = ("learning_rate", "batch_size", "buffer_size")


def settings_in_short(behavior: str, settings: Mapping[str, Any], log: Path | None) -> str:
    """The settings that tell runs apart most often, in one line.

    Args:
        behavior: its name.
        settings: its `TrainerSettings` as a mapping.
        log: file that has all of them.
    """
    hyperparameters = settings.get("hyperparameters") or {}
    parts = [f"{settings.get('trainer_type', 'trainer')} to step {settings.get('max_steps', 0):,}"]
    if network := settings.get("network_settings"):
        parts.append(_network(network))
    parts += [f"{name} {_value(hyperparameters[name])}" for name in _NAMED if name in hyperparameters]
    rewards = [str(getattr(kind, "value", kind)) for kind in settings.get("reward_signals") or {}]
    parts += [f"rewards {', '.join(rewards)}"] if rewards not in ([], ["extrinsic"]) else []
    parts += [name for name in ("self_play", "behavioral_cloning", "threaded") if settings.get(name)]
    where = f" All settings: {log}" if log is not None else ""
    return f"{behavior}: {'; '.join(parts)}.{where}"


def _network(network: Mapping[str, Any]) -> str:
    text = f"network {network.get('num_layers', '?')} x {network.get('hidden_units', '?')}"
    text += " with memory" if network.get("memory") else ""
    return text + (", normalized" if network.get("normalize") else "")


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def summary(
    tally: Tally, values: Mapping[str, Any], step: int, seconds: float, *, rank: int | None = None, trains: bool = True
) -> str:
    """The line of ML-Agents' own console writer, so that what reads it goes on to do so, and how far it is.

    Args:
        tally: of the behaviour.
        values: ML-Agents' `StatsSummary` by tag.
        step: at which the summary was due.
        seconds: since the run began.
        rank: of this process among several.
        trains: False in inference, which has no end to come nearer to.
    """
    parts = [tally.behavior, f"Step: {step}", f"Time Elapsed: {seconds:0.3f} s"]
    state = "Training" if tally.is_training else "Not Training"
    if REWARD in values:
        parts += [f"Rank: {rank}"] if rank is not None else []
        parts.append(f"Mean Reward: {values[REWARD].mean:0.3f}")
        if GROUP_REWARD in values:
            parts.append(f"Mean Group Reward: {values[GROUP_REWARD].mean:0.3f}")
        else:
            parts.append(f"Std of Reward: {values[REWARD].std:0.3f}")
        parts.append(state)
        if tally.self_play and ELO in values:
            parts.append(f"ELO: {values[ELO].mean:0.3f}")
    else:
        parts += ["No episode was completed since last summary", state]
    if trains and tally.max_steps:
        parts.append(f"{100 * min(step / tally.max_steps, 1):.1f} % of {tally.max_steps}")
    parts += [f"{speed(tally.steps_per_second)} steps/s"] if tally.steps_per_second else []
    goes_on = trains and not (tally.max_steps and step >= tally.max_steps)
    parts += [f"{duration(tally.seconds_left)} left"] if goes_on and tally.seconds_left is not None else []
    return ". ".join(parts) + "."


def between_summaries(tally: Tally, *, trains: bool = True) -> str:
    """How far a behaviour is, where the next summary is long in coming.

    Args:
        tally: of the behaviour.
        trains: False in inference, which has no end to come nearer to.
    """
    share = tally.share if trains else None
    done = f" of {tally.max_steps:,} ({100 * share:.1f} %)" if share is not None else ""
    parts = [f"{tally.behavior}: at step {tally.step or 0:,}{done}"]
    parts += [f"{speed(tally.steps_per_second)} steps/s"] if tally.steps_per_second else []
    parts += [f"{duration(tally.seconds_left)} left"] if trains and tally.seconds_left is not None else []
    return ", ".join(parts) + "."
