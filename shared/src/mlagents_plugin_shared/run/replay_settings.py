"""Hyperparameters that every algorithm on a `ReplayTrainer` has."""

# No `from __future__ import annotations` here: cattrs < 1.7 reads these annotations as types.
from typing import Any, ClassVar, Iterator, Optional, Tuple

import attr
from mlagents.trainers.settings import OffPolicyHyperparamSettings, RewardSignalType, TrainerSettings

from mlagents_plugin_shared.run.actor_settings import ActorSettings
from mlagents_plugin_shared.run.conversion import MANY_UPDATES, Change, horizon, within
from mlagents_plugin_shared.run.search import searched, searched_among
from mlagents_plugin_shared.run.settings import (
    CheckedSettings,
    Conflict,
    Far,
    Idle,
    between,
    not_negative,
    show,
)

SMALLEST_REPLAY = 10_000
"""Transitions of a replay below which it forgets within a small part of a long run."""

LARGEST_BATCH = 1024
"""Transitions of an update beyond which it costs more than it gives, unless there are fewer updates in return."""


LONGEST_RETURN = 1000
"""Bound of the rewards that are summed; a batch has so many steps of each of its transitions."""

LONGEST_BURN_IN = 10_000
"""Bound of the steps before a sequence."""

LONGEST_HORIZON = 256
"""Steps of a segment beyond which an agent's steps wait for longer than updates should."""


_CONVERTED_REPLAY = 150_000  # transitions that fit into the memory of most machines, pictures apart
_CONVERTED_STEPS = (2, 32)  # least and most agent steps to an update of a converted file


def _has_no_memory(behavior: TrainerSettings) -> bool:
    return behavior.network_settings.memory is None


def _small_replay(settings: Any, behavior: TrainerSettings) -> str:
    if settings.buffer_size >= SMALLEST_REPLAY or behavior.max_steps < 20 * settings.buffer_size:
        return ""
    return (
        f"buffer_size: {settings.buffer_size} is a replay that forgets after {settings.buffer_size:,} of "
        f"{behavior.max_steps:,} steps; leave it out ({_default(settings, 'buffer_size'):,}), or set it to a tenth of "
        "the run."
    )


def _large_batch(settings: Any, behavior: TrainerSettings) -> str:
    usual = _default(settings, "batch_size") / _default(settings, "steps_per_update")
    if settings.batch_size < LARGEST_BATCH or settings.batch_size / settings.steps_per_update <= usual:
        return ""
    return (
        f"batch_size: {settings.batch_size} transitions are learned from every {settings.steps_per_update:g} agent "
        f"steps, which is slow; leave it out ({_default(settings, 'batch_size')}), or raise steps_per_update with it."
    )


def _makes_many_updates(steps_per_update: float, max_steps: int) -> bool:
    return steps_per_update < _CONVERTED_STEPS[0] and max_steps / steps_per_update > 2 * MANY_UPDATES


def _many_updates(settings: Any, behavior: TrainerSettings) -> str:
    if not _makes_many_updates(settings.steps_per_update, behavior.max_steps):
        return ""
    updates = behavior.max_steps / settings.steps_per_update
    return (
        f"max_steps: {behavior.max_steps} makes {updates:,.0f} updates (steps_per_update: "
        f"{settings.steps_per_update:g}), often hours of one core; lower it, as it needs fewer steps than PPO, or set "
        f"steps_per_update: {_converted_steps(behavior)}."
    )


def _converted_steps(behavior: TrainerSettings) -> int:
    return within(behavior.max_steps / MANY_UPDATES, *_CONVERTED_STEPS)


def _long_horizon(_: Any, behavior: TrainerSettings) -> str:
    if behavior.time_horizon <= LONGEST_HORIZON:
        return ""
    return (
        f"time_horizon: {behavior.time_horizon} lets steps wait until an agent has as many, or its episode ends, and "
        "then learns from all of them at once; 64 is usual."
    )


def _default(settings: Any, key: str) -> Any:
    """The default of a key; where it follows from others, for these settings."""
    default = getattr(attr.fields(type(settings)), key).default
    if not isinstance(default, attr.Factory):  # type: ignore[arg-type]  # it is a class, whatever its stub says
        return default
    return default.factory(settings) if default.takes_self else default.factory()


@attr.s(auto_attribs=True)
class ReplaySettings(CheckedSettings, OffPolicyHyperparamSettings):
    """Hyperparameters of learning from a replay, which `ReplayTrainer` reads.

    A subclass adds its own, and may give these other defaults. One that gives `steps_per_update` another one repeats
    `reward_signal_steps_per_update` behind it, which follows it.

    Attributes:
        demonstration_keys: keys that mean something beside `demo_path` only; a subclass may add to them.
    """

    demonstration_keys: ClassVar[Tuple[str, ...]] = ("demo_ratio", "demo_pretraining_steps")
    idle: ClassVar[Tuple[Idle, ...]] = (
        Idle(
            ("priority_alpha", "priority_initial_beta", "priority_final_beta"),
            lambda own, _: not own.prioritized_replay,
            "prioritized_replay is false",
        ),
        Idle(("burn_in",), lambda _, behavior: _has_no_memory(behavior), "there is no memory"),
        Idle(
            ("memory_refresh_interval",),
            lambda own, behavior: _has_no_memory(behavior) or not (own.demo_path or own.memory_refresh_replay),
            "there is no memory, or neither demo_path nor memory_refresh_replay",
        ),
        Idle(
            ("memory_refresh_replay",),
            lambda own, behavior: _has_no_memory(behavior) or own.memory_refresh_interval == 0,
            "there is no memory, or memory_refresh_interval is 0",
        ),
        Idle(demonstration_keys, lambda own, _: own.demo_path is None, "there is no demo_path"),
        Idle(
            ("reward_signal_steps_per_update",),
            lambda _, behavior: set(behavior.reward_signals) == {RewardSignalType.EXTRINSIC},
            "no reward signal learns",
        ),
    )
    far: ClassVar[Tuple[Far, ...]] = (
        Far("buffer_size", _small_replay),
        Far("batch_size", _large_batch),
        Far("time_horizon", _long_horizon),
        Far("max_steps", _many_updates),
    )

    batch_size: int = attr.ib(default=128, metadata=searched_among(32, 64, 128, 256, 512))
    """Transitions of an update, at most `buffer_size`. Low learns fast and unsteadily; high steadily, and each update
    takes longer."""

    buffer_size: int = attr.ib(default=50_000, metadata=searched_among(10_000, 50_000, 200_000))
    """Transitions in the replay. Low forgets soon; high remembers longer and takes more memory."""

    buffer_init_steps: int = 0
    """Agent steps before the first update, as SAC counts; fewer than `max_steps`, but they may be more than
    `buffer_size`. Low learns from narrow data at first; high starts later, from wider data."""

    steps_per_update: float = attr.ib(default=4.0, metadata=searched_among(1.0, 2.0, 4.0, 8.0))
    """Agent steps to each update. Low learns more from each step and takes longer; high makes fewer updates in less
    time."""

    reward_signal_steps_per_update: float = attr.ib(
        default=attr.Factory(lambda self: self.steps_per_update, takes_self=True)
    )
    """The same for curiosity, RND and GAIL; by default as `steps_per_update`."""

    n_step: int = attr.ib(default=1, validator=between(1, LONGEST_RETURN), metadata=searched(1, 5))
    """Rewards that are summed before the value of a later state is trusted; 1 is classic Q-learning. Low has less
    variance; high lets rewards travel faster."""

    burn_in: int = attr.ib(default=0, validator=between(0, LONGEST_BURN_IN))
    """With memory: most steps that are replayed before each sequence, to warm up the recurrent state. Low starts from
    the state that was stored; high from a fresher one, and is slower."""

    memory_refresh_interval: int = attr.ib(default=1000, validator=not_negative)
    """With memory: updates after which the recurrent states of demonstrations are computed anew, by the network as it
    is. Low follows the network closely, and is slower; high lets states age; 0 leaves all states at zero."""

    memory_refresh_replay: bool = False
    """The same of the agent's own transitions, whose states are those of the network that acted then. It takes a
    pass through the whole replay."""

    prioritized_replay: bool = False
    """Transitions with a large TD error are drawn more often."""

    priority_alpha: float = attr.ib(default=0.6, validator=between(0.0, 1.0), metadata=searched(0.2, 0.8))
    """How much more often: 0 draws uniformly, 1 in proportion to the error. Low treats all alike; high learns from
    errors, and from noise."""

    priority_initial_beta: float = attr.ib(default=0.4, validator=between(0.0, 1.0))
    """How far importance weights undo the preference at the start; it goes in a line to `priority_final_beta`. Low
    takes larger steps, with more bias; high smaller ones, with less."""

    priority_final_beta: float = attr.ib(default=1.0, validator=between(0.0, 1.0))
    """The same at `max_steps`."""

    demo_path: Optional[str] = None
    """A `.demo` file or a folder of them: demonstrations to learn from beside the agent's own transitions."""

    demo_ratio: float = attr.ib(default=0.25, validator=between(0.0, 1.0), metadata=searched(0.05, 0.5))
    """Share of demonstrations in each batch. Low leaves more to the agent; high stays closer to the demonstrator, for
    longer."""

    demo_pretraining_steps: int = attr.ib(default=0, validator=not_negative)
    """Updates on demonstrations alone before the first step of a run. Low starts at once; high starts later and
    better; too many learn few demonstrations by heart."""

    actors: Optional[ActorSettings] = None
    """Environments on other processes or machines that play for this run, beside its own; `mlagents-plugin-ray` starts
    them."""

    @classmethod
    def conversion(cls, origin: TrainerSettings) -> Iterator[Change]:
        """A replay by the length of the run, as many updates as it has time for, and whole sequences to learn from.

        Args:
            origin: all settings of the behaviour for the other trainer.
        """
        yield from super().conversion(origin)
        has_replay = isinstance(origin.hyperparameters, OffPolicyHyperparamSettings)
        if not has_replay or origin.hyperparameters.buffer_size < SMALLEST_REPLAY:
            size = within(origin.max_steps / 3, SMALLEST_REPLAY, _CONVERTED_REPLAY)
            yield Change("hyperparameters: buffer_size", size, "a replay keeps what a rollout drops")
        if not has_replay or _makes_many_updates(origin.hyperparameters.steps_per_update, origin.max_steps):
            steps = _converted_steps(origin)
            why = f"agent steps to each update, some {origin.max_steps // steps:,} of them in the whole run"
            yield Change("hyperparameters: steps_per_update", steps, why)
        summary_freq = within(origin.max_steps / 100, 1_000, 10_000)
        if origin.summary_freq > summary_freq:
            yield Change("summary_freq", summary_freq, "a replay learns in few steps: the first reward is seen early")
        memory = origin.network_settings.memory
        if memory is not None:
            size = max(128, 4 * memory.sequence_length)
            yield Change("hyperparameters: batch_size", size, "four sequences to an update, and 128 steps at least")
        if origin.threaded:
            yield Change("threaded", None, "updates would fall behind the steps that they learn from")
        yield from horizon(
            origin, 16, 64, "steps wait until their segment is full, and a replay needs none that is long"
        )

    def conflicts(self) -> Iterator[Conflict]:
        """Hyperparameters that are out of range, or wrong beside others."""
        yield from super().conflicts()
        for key in self.demonstration_keys:
            if self.demo_path is None and getattr(self, key) != _default(self, key):
                yield Conflict(key, "there are no demonstrations; set demo_path, or leave it out", ("demo_path",))
        if self.demo_path is not None and self.demo_ratio == 0.0 and self.demo_pretraining_steps == 0:
            reason = "the demonstrations of demo_path are not used; set demo_pretraining_steps"
            yield Conflict("demo_ratio", reason, ("demo_path", "demo_pretraining_steps"))

    def behavior_conflicts(self, behavior: TrainerSettings) -> Iterator[Conflict]:
        """Settings of a behaviour that are wrong beside these hyperparameters: those that end before the first update.

        Args:
            behavior: all settings of the behaviour, these hyperparameters among them.
        """
        yield from super().behavior_conflicts(behavior)
        if self.actors is not None and self.actors.count and behavior.self_play is not None:
            reason = "beside self_play actors would not know their opponents; leave one of them out"
            yield Conflict("hyperparameters: actors: count", reason, ("self_play",), self.actors.count)
        keys = ("batch_size", "buffer_init_steps", "steps_per_update")
        first = max(self.batch_size, self.buffer_init_steps) + self.steps_per_update
        if first > behavior.max_steps and not self.demo_pretraining_steps:
            because = ", ".join(f"{key} {show(getattr(self, key))}" for key in keys)
            yield Conflict(
                "max_steps",
                f"nothing would be learned: the first update comes after {first:g} steps ({because}); set it "
                "higher, or these lower",
                tuple(f"hyperparameters: {key}" for key in keys),
                behavior.max_steps,
            )
