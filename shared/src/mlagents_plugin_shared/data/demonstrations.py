"""Recorded demonstrations: from the `.demo` files of Unity's DemonstrationRecorder to segments."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from google.protobuf.internal.decoder import _DecodeVarint32  # type: ignore[attr-defined]
from google.protobuf.message import DecodeError
from mlagents.trainers.buffer import AgentBufferKey, BufferKey
from mlagents.trainers.demo_loader import INITIAL_POS, SUPPORTED_DEMONSTRATION_VERSIONS
from mlagents_envs.base_env import ActionSpec, BehaviorSpec, DecisionSteps
from mlagents_envs.communicator_objects.agent_info_action_pair_pb2 import AgentInfoActionPairProto as Pair
from mlagents_envs.communicator_objects.brain_parameters_pb2 import BrainParametersProto
from mlagents_envs.communicator_objects.demonstration_meta_pb2 import DemonstrationMetaProto
from mlagents_envs.exception import UnityObservationException
from mlagents_envs.rpc_utils import behavior_spec_from_proto, steps_from_proto

from mlagents_onnx_check.file_kinds import describe_stranger
from mlagents_plugin_shared.data.trajectories import Segment, blank_segment

# What decoding raises on bytes that no recorder wrote; unreadable pictures are an OSError.
_DAMAGE = (DecodeError, IndexError, OSError, RuntimeError, UnityObservationException, ValueError)


class DemonstrationError(Exception):
    """Demonstrations that cannot be used; the message names the file, what was found and what was expected."""


@dataclass(frozen=True)
class Demonstration:
    """One recorded episode. It stays encoded until `segment` is called, so that pictures take little memory.

    Attributes:
        path: the file.
        start: place of its first decision in the file.
        pairs: the T decisions, and after them the observation that the last one led to.
        terminated: the episode ended in a terminal state.
        interrupted: the episode ended because max step was reached. If neither, the recording broke off.
    """

    path: Path
    start: int
    pairs: Sequence[Pair]
    terminated: bool
    interrupted: bool

    def __len__(self) -> int:
        return max(len(self.pairs) - 1, 0)

    @property
    def has_ended(self) -> bool:
        """Whether the end of the episode was recorded."""
        return self.terminated or self.interrupted

    def segment(self, behavior_spec: BehaviorSpec, memory_size: int) -> Segment:
        """The episode as arrays, with the columns that the agent's own segments have.

        The recurrent state is not recorded: it is 0 in every step.

        Args:
            behavior_spec: observations and actions of the behaviour.
            memory_size: size of the recurrent state, 0 without memory.

        Raises:
            DemonstrationError: an observation, a reward or an action is damaged.
        """
        try:
            steps = self._decode(behavior_spec)
            return Segment(
                agent_id=f"{self.path}:{self.start}",
                observations=steps.obs,
                columns=self._columns(steps, blank_segment(behavior_spec, memory_size), behavior_spec.action_spec),
                terminated=self.terminated,
                interrupted=self.interrupted,
            )
        except _DAMAGE as error:
            raise DemonstrationError(f"{self.path} is damaged after {self.start} decisions: {error}") from error

    def _decode(self, behavior_spec: BehaviorSpec) -> DecisionSteps:
        """[T + 1] observations, rewards and masks, in the order of time."""
        infos = [pair.agent_info for pair in self.pairs]
        for info in infos:
            info.done = False  # ML-Agents would put the last of an episode apart
        return steps_from_proto(infos, behavior_spec)[0]

    def _columns(
        self, steps: DecisionSteps, blank: Segment, action_spec: ActionSpec
    ) -> dict[AgentBufferKey, np.ndarray]:
        length = len(self)
        columns = {key: np.repeat(np.zeros_like(row), length, axis=0) for key, row in blank.columns.items()}
        columns[BufferKey.MASKS][:] = 1.0
        columns[BufferKey.DONE][-1] = self.has_ended
        columns[BufferKey.CONTINUOUS_ACTION][:] = self._actions("continuous_actions", action_spec.continuous_size)
        columns[BufferKey.DISCRETE_ACTION][:] = self._choices(action_spec.discrete_branches)
        columns[BufferKey.PREV_ACTION][1:] = columns[BufferKey.DISCRETE_ACTION][:-1]
        if steps.action_mask is not None:  # true where forbidden
            columns[BufferKey.ACTION_MASK][:] = ~np.concatenate(steps.action_mask, axis=1)[:-1]
        # A recorded reward is that of the decision before.
        columns[BufferKey.ENVIRONMENT_REWARDS][:] = steps.reward[1:]
        columns[BufferKey.GROUP_REWARD][:] = steps.group_reward[1:]
        return columns

    def _choices(self, branches: Sequence[int]) -> np.ndarray:
        """[T, D] discrete actions."""
        choices = self._actions("discrete_actions", len(branches))
        if not ((choices >= 0) & (choices < branches)).all():
            raise ValueError(f"an action lies outside of the branches {branches}")
        return choices

    def _actions(self, field: str, size: int) -> np.ndarray:
        """[T, size] actions; old recordings have them in a field of another name."""
        if size == 0:
            return np.zeros((len(self), 0))
        actions = [pair.action_info for pair in self.pairs[:-1]]
        rows = [getattr(action, field) or action.vector_actions_deprecated for action in actions]
        sizes = {len(row) for row in rows}
        if sizes != {size}:
            raise ValueError(f"there are {sorted(sizes)} {field} in a decision, not {size}")
        return np.array(rows)


def load_demonstrations(path: str | Path, behavior_spec: BehaviorSpec) -> list[Demonstration]:
    """Reads the recorded episodes of a `.demo` file, or of all such files in a folder.

    Decisions and rewards are paired as by ML-Agents' `demo_to_buffer`, with these differences: files, and episodes of
    which the recording broke off, are not joined to what follows; nothing is decided in the last state of an episode;
    and where a file has the first observation of the next episode in place of an interrupted one's last, as those from
    before ML-Agents 0.15, the decision that led there is left out.

    Args:
        path: the file or folder.
        behavior_spec: what the recordings must match.

    Returns:
        The episodes, file by file in the order of their names.

    Raises:
        DemonstrationError: there is no such file or folder, it holds no demonstrations, a file is damaged, or it was
            recorded with other observations or actions.
    """
    return [episode for file in _files(Path(path)) for episode in _load(file, behavior_spec)]


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(path.glob("*.demo"))
        if not files:
            raise DemonstrationError(f"the folder {path} holds no .demo file")
        return files
    if not path.is_file():
        raise DemonstrationError(
            f"there is no file or folder {path}; Unity's DemonstrationRecorder writes such a file, and so does "
            "mlagents-player watch --record FILE.demo"
        )
    return [path]


def _load(path: Path, behavior_spec: BehaviorSpec) -> list[Demonstration]:
    try:
        brain, pairs = _read(path.read_bytes())
        found = behavior_spec_from_proto(brain, pairs[0].agent_info) if pairs else behavior_spec
    except _DAMAGE as error:
        what = describe_stranger(path, ".demo") or f"is damaged, or no recording: {error}"
        raise DemonstrationError(f"{path} {what}") from error
    check_match(path, found, behavior_spec)
    # Without its end known, the last decision of an episode cannot be learned from, see `ReplayBuffer`.
    episodes = [each for each in _episodes(path, pairs) if len(each) > (0 if each.has_ended else 1)]
    if not episodes:
        raise DemonstrationError(f"{path} is empty: {len(pairs)} recorded decisions hold nothing to learn from")
    return episodes


def _read(data: bytes) -> tuple[BrainParametersProto, list[Pair]]:
    messages = _delimited(data)
    meta = DemonstrationMetaProto.FromString(next(messages, b""))
    if meta.api_version not in SUPPORTED_DEMONSTRATION_VERSIONS:
        raise ValueError(f"version {meta.api_version} of the format is not known")
    brain = BrainParametersProto.FromString(next(messages, b""))
    # The number is written when the recording is closed; 0 if it never was.
    pairs = [Pair.FromString(message) for message in islice(messages, meta.number_steps or None)]
    if len(pairs) < meta.number_steps:
        raise ValueError(f"it is cut short, after {len(pairs)} of {meta.number_steps} decisions")
    return brain, pairs


def _delimited(data: bytes) -> Iterator[bytes]:
    """Messages that each follow their length; the second begins at a fixed place."""
    end = 0
    while end < len(data):
        length, start = _DecodeVarint32(data, end)
        if start + length > len(data):
            raise ValueError("it is cut short")
        yield data[start : start + length]
        end = start + length if end else INITIAL_POS


def check_match(path: Path, found: BehaviorSpec, expected: BehaviorSpec) -> None:
    """Checks that a recording is of a behaviour.

    Args:
        path: the file, for the message.
        found: what it was recorded with.
        expected: what the behaviour has.

    Raises:
        DemonstrationError: actions or observations differ.
    """
    if found.action_spec != expected.action_spec:
        actions = [_describe_actions(spec.action_spec) for spec in (found, expected)]
        raise DemonstrationError(f"{path} was recorded with {actions[0]}, but the behavior has {actions[1]}")
    shapes = [[spec.shape for spec in specs.observation_specs] for specs in (found, expected)]
    if shapes[0] != shapes[1]:
        raise DemonstrationError(
            f"{path} was recorded with observations of shape {shapes[0]}, but the behavior has {shapes[1]}"
        )


def _describe_actions(spec: ActionSpec) -> str:
    parts = [f"{spec.continuous_size} continuous actions"] * (spec.continuous_size > 0)
    parts += [f"discrete branches of {', '.join(map(str, spec.discrete_branches))}"] * (spec.discrete_size > 0)
    return " and ".join(parts) or "no actions"


def _episodes(path: Path, pairs: list[Pair]) -> Iterator[Demonstration]:
    """The episodes of a file, from one end to the next; also a beginning without an end, where the agent changes."""
    ids = [pair.agent_info.id for pair in pairs]
    start = 0
    for i in range(1, len(pairs)):
        if pairs[i].agent_info.done:
            # The last observation of an episode, or the first of the next one in its place.
            is_last = ids[i] == ids[i - 1] and ids[i] not in ids[i + 1 : i + 2]
            yield _ended_episode(path, start, pairs[start : i + 1], is_last)
            start = i + 1 if is_last else i
        elif ids[i] != ids[i - 1]:
            yield Demonstration(path, start, pairs[start:i], terminated=False, interrupted=False)
            start = i
    yield Demonstration(path, start, pairs[start:], terminated=False, interrupted=False)


def _ended_episode(path: Path, start: int, pairs: list[Pair], is_last: bool) -> Demonstration:
    interrupted = pairs[-1].agent_info.max_step_reached
    if interrupted and not is_last:  # what followed was not recorded, and it has a value
        return Demonstration(path, start, pairs[:-1], terminated=False, interrupted=False)
    return Demonstration(path, start, pairs, terminated=not interrupted, interrupted=interrupted)
