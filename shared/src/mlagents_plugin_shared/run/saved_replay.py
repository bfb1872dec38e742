"""The replay in a behaviour's folder, which a resumed run goes on with."""

from pathlib import Path
from typing import Any

from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.trajectory import ObsUtil
from mlagents_envs.base_env import BehaviorSpec
from mlagents_envs.logging_util import get_logger

from mlagents_plugin_shared.data import ReplayBuffer
from mlagents_plugin_shared.run.files import replacing
from mlagents_plugin_shared.run.saves import Saves

logger = get_logger(__name__)

REPLAY_FILE_NAME = "last_replay_buffer.hdf5"
"""In the behaviour's folder, as ML-Agents' SAC calls it."""


class SavedReplay:
    """Writes and reads the replay of a behaviour.

    Attributes:
        path: its file.
        is_written: whether the last try to write it succeeded; True before the first one.

    Args:
        behavior: name of the behaviour.
        folder: its folder.
        saves: says of a replay that cannot be written why not.
    """

    def __init__(self, behavior: str, folder: Path, saves: Saves) -> None:
        self.path = folder / REPLAY_FILE_NAME
        self.is_written = True
        self._behavior = behavior
        self._saves = saves

    def write(self, replay: ReplayBuffer, spec: BehaviorSpec, step: int) -> None:
        """Writes the replay, or says on the log why not: what was learned is saved without it.

        Args:
            replay: what is written.
            spec: what the behaviour observes and does.
            step: of the trainer.
        """
        otherwise = f"The checkpoint is whole; until a replay is written, --resume goes on with {self.describe()}."
        self.is_written = self._saves.attempt("replay", step, lambda: self._write(replay, spec), otherwise)

    def _write(self, replay: ReplayBuffer, spec: BehaviorSpec) -> None:
        with replacing(self.path) as temporary, temporary.open("w+b") as file:
            replay.save_to_file(file, {"branches": list(spec.action_spec.discrete_branches)})
        size = self.path.stat().st_size
        logger.info(f"Saved {replay.num_experiences} transitions ({size} bytes) to {self.path}.")

    def describe(self) -> str:
        """The replay that a resume would go on with."""
        return "that of the last save" if self.path.is_file() else "an empty one"

    def read(self, replay: ReplayBuffer, spec: BehaviorSpec, memory_size: int | None) -> None:
        """Fills an empty replay with the saved one; its open episodes are over.

        Args:
            replay: to be filled.
            spec: what the behaviour observes and does.
            memory_size: numbers of its recurrent state; None without memory.

        Raises:
            TrainerConfigError: it cannot be read, or is of another behaviour.
            BufferMemoryError: it does not fit into the free memory.
        """
        try:
            with self.path.open("rb") as file:
                notes = replay.load_from_file(file)
            _check_holds(replay, spec, memory_size, notes.get("branches"))
            replay.end_episodes()
        except (OSError, ValueError) as error:
            raise TrainerConfigError(
                f"{self._behavior}: the replay {self.path} cannot be loaded: {error}. "
                "Delete it, or set save_replay_buffer: false, to go on with an empty replay."
            ) from None
        logger.info(f"{self._behavior}: loaded {replay.num_experiences} transitions from {self.path}.")


def _check_holds(
    replay: ReplayBuffer, spec: BehaviorSpec, memory_size: int | None, branches_held: list[int] | None
) -> None:
    """Raises ValueError unless the replay holds what the behaviour observes, does, chooses among and remembers."""
    held, actions = replay.row_shapes, spec.action_spec
    expected: dict[str, tuple[Any, tuple[int, ...] | None]] = {
        f"observation {i}": (ObsUtil.get_name_at(i), observed.shape)
        for i, observed in enumerate(spec.observation_specs)
    }
    expected["memory"] = (BufferKey.MEMORY, None if memory_size is None else (memory_size,))
    expected["continuous action"] = (BufferKey.CONTINUOUS_ACTION, (actions.continuous_size,))
    expected["discrete action"] = (BufferKey.DISCRETE_ACTION, (actions.discrete_size,))
    if branches := list(actions.discrete_branches):
        expected["action mask"] = (BufferKey.ACTION_MASK, (sum(branches),))
    for name, (key, shape) in expected.items():
        if held and held.get(key) != shape:
            raise ValueError(
                f"it holds {_describe(name, held.get(key))}, but the behaviour has {_describe(name, shape)}"
            )
    if branches_held not in (None, branches):  # an earlier release did not note them
        raise ValueError(f"it holds actions of the branches {branches_held}, but the behaviour has {branches}")


def _describe(name: str, shape: tuple[int, ...] | None) -> str:
    return f"no {name}" if shape is None else f"{name} of shape {list(shape)}"
