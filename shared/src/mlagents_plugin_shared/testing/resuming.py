"""Whether a run that was killed and resumed ends as one that was not: bit for bit."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from mlagents.torch_utils import default_device, torch
from mlagents.trainers.trainer import Trainer

from mlagents_plugin_shared.testing.in_process import train
from mlagents_plugin_shared.testing.toy_environment import BEHAVIOR, ToyEnv

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without, sums on a GPU are in any order


class _Repeatable(ToyEnv):
    """Mixed in before a task whose agents all begin and end together: episode n is the same whenever it is played."""

    copied_to: Path | None = None

    def __init__(self, *args: Any, episode: int = 0, results: Path | None = None, **kwargs: Any) -> None:
        self.episode = episode
        self.results = results
        super().__init__(*args, **kwargs)

    def begin(self, agents: np.ndarray) -> None:
        """Begins the next episode."""
        if len(agents) != self.num_agents:
            raise ValueError("a task whose agents end one by one cannot be repeated from an episode on")
        self.rng = np.random.default_rng(self.episode)
        self.episode += 1
        super().begin(agents)  # type: ignore[safe-super]

    def step(self) -> None:
        """Copies the results as soon as there is a checkpoint: what a kill in this step would leave."""
        if self.results is not None and self.copied_to is None and (self.results / BEHAVIOR / "checkpoint.pt").exists():
            self.copied_to = self.results.with_name(f"{self.results.name}-killed")
            shutil.copytree(self.results, self.copied_to)
            self.episode_at_kill = self.episode - 1  # the one that has begun
        super().step()


def killed_and_resumed(
    task: type[ToyEnv],
    config: Mapping[str, Any],
    folder: Path,
    *,
    resumed_config: Mapping[str, Any] | None = None,
    **options: Any,
) -> tuple[Trainer, Trainer]:
    """Trains without a stop, and again from that run's first checkpoint on, as after a kill.

    The task goes on with the episode that had just begun at the checkpoint, as a player cannot, and a GPU sums in a
    fixed order, as it does only when asked: so what differs in the end was not restored.

    Args:
        task: one whose agents begin and end their episodes together, such as `Match`, `Target` or `Recall`.
        config: what stands below the behaviour's name in a YAML; `time_horizon` must not cut its episodes, and
            `checkpoint_interval` must be less than `max_steps`.
        folder: for the results of both runs.
        resumed_config: what stands there when the run is resumed; default the same.
        **options: of the task.

    Returns:
        The trainers at the end of the run without a stop, and of the one that was resumed.

    Raises:
        ValueError: the task's agents do not end together, or there was no checkpoint before the end.
    """
    repeatable = type(f"Repeatable{task.__name__}", (_Repeatable, task), {})
    with _in_a_fixed_order():
        env = repeatable(results=folder / "run", **options)
        whole = train(env, config, folder / "run")
        if env.copied_to is None:
            raise ValueError("the run ended before its first checkpoint")
        resumed = train(
            repeatable(episode=env.episode_at_kill, **options), resumed_config or config, env.copied_to, resume=True
        )
    return whole, resumed


@contextmanager
def _in_a_fixed_order() -> Iterator[None]:
    """On a GPU, PyTorch's deterministic algorithms, which are slower; on the CPU what there is."""
    if default_device().type != "cuda":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def differences(first: Trainer, second: Trainer) -> list[str]:
    """Names of everything that differs between the last checkpoints of two trainers, and their replays.

    Left out is the "previous action" of a transition, which nothing learns from: ML-Agents hands the last action of an
    episode over to the next one.

    Args:
        first: a trainer at the end of its run.
        second: another.
    """
    states = [
        torch.load(Path(trainer.artifact_path) / "checkpoint.pt", map_location="cpu", weights_only=True)
        for trainer in (first, second)
    ]
    replays: list[dict] = [getattr(trainer.update_buffer, "row_arrays", dict)() for trainer in (first, second)]
    for replay in replays:
        replay.pop("prev_action", None)
    for state in states:
        _drop_previous_actions(state["Trainer"]["parts"].get("rollout", {}).get("rollout", {"names": []}))
    return [*_differing("", *states), *_differing("replay", *replays)]


def _drop_previous_actions(rollout: dict[str, Any]) -> None:
    if "prev_action" in rollout["names"]:
        rollout["columns"].pop(rollout["names"].index("prev_action"))


def _differing(name: str, first: Any, second: Any) -> Iterator[str]:
    if type(first) is not type(second):
        yield name
    elif isinstance(first, dict):
        for key in first.keys() | second.keys():
            yield from _differing(f"{name}/{key}", first.get(key), second.get(key))
    elif isinstance(first, (list, tuple)) and len(first) == len(second):
        for i, (one, other) in enumerate(zip(first, second, strict=True)):
            yield from _differing(f"{name}/{i}", one, other)
    elif isinstance(first, torch.Tensor):
        if not torch.equal(first, second):
            yield name
    elif not np.array_equal(first, second):
        yield name


def rewrite_as_0_1(path: Path, acting: Mapping[str, Any]) -> None:
    """Rewrites a checkpoint as release 0.1 wrote it: what survives side by side, and counts as modules.

    Args:
        path: the .pt file.
        acting: what is to stand there of the streams that policies act from, beside torch's; it changed within 0.1.
    """
    checkpoint = torch.load(path, weights_only=True)
    trainer = checkpoint["Trainer"]
    parts = trainer["parts"]
    chance, summary, optimizer = parts.pop("chance"), parts.pop("summary"), parts.pop("optimizer")
    kept = {name: optimizer.pop(name) for name in ("skipped", "learned_signals")}
    flat = {key: value for state in parts.values() for key, value in state.items()}
    checkpoint["Trainer"] = {
        "trainer_type": trainer["trainer_type"],
        "acting": {"torch": chance["torch"], **acting},
        "numpy": chance["numpy"],
        "summary": summary,
        **kept,
        **flat,
    }
    counts = {f"Optimizer:{name}": {"_extra_state": count} for name, count in optimizer.items()}
    torch.save({**checkpoint, **counts}, path)
