"""Writing of `.demo` files that ML-Agents reads for imitation: what `--record` does.

A file holds pairs of an observation and the action that was taken on it; a pair's reward is that of the action
before it. Unity records one agent. Here every finished episode of every agent is written, one after the other: the
first pair of an episode is marked as done and has the last reward of the episode before it, as in Unity's own files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlagents_envs.communicator_objects.agent_action_pb2 import AgentActionProto
from mlagents_envs.communicator_objects.agent_info_action_pair_pb2 import AgentInfoActionPairProto as Pair
from mlagents_envs.communicator_objects.agent_info_pb2 import AgentInfoProto
from mlagents_envs.communicator_objects.demonstration_meta_pb2 import DemonstrationMetaProto
from mlagents_envs.communicator_objects.unity_rl_output_pb2 import UnityRLOutputProto

from mlagents_player import wire
from mlagents_player.academy import AgentInfos, Reply
from mlagents_player.demonstrations import META_BYTES
from mlagents_player.errors import PlayerError
from mlagents_player.scenes.base import Actions, BehaviorSpec

API_VERSION = 1
NAME_LENGTH = 16  # characters, Unity's limit


@dataclass
class Recorder:
    """Keeps what agents saw and did until `save`.

    Attributes:
        path: The file to write, or the first that is free of `path`, `path-1`, ... With several behaviours each has a
            file of its own, with its name before the suffix.
        behaviors: Specification of each behaviour.
    """

    path: Path
    behaviors: Mapping[str, BehaviorSpec]
    _open: dict[tuple[str, int], list[Pair]] = field(default_factory=dict)
    _finished: dict[str, list[Pair]] = field(default_factory=dict)

    def note(self, infos: dict[str, list[AgentInfos]], reply: Reply) -> None:
        """Remember one exchange; a reset drops the episodes that it breaks off."""
        for behavior, batches in infos.items():
            for batch in batches:
                for row, info in enumerate(self._protos(behavior, batch)):
                    if batch.done:
                        self._finish(behavior, self._open.pop((behavior, info.id), []), Pair(agent_info=info))
                    elif behavior in reply.actions:
                        steps = self._open.setdefault((behavior, info.id), [])
                        steps.append(_pair(info, reply.actions[behavior], row))
        if reply.reset:
            self._open.clear()

    def save(self) -> list[Path]:
        """Write a file for each behaviour that was seen, episodes that still run as if they were interrupted.

        Returns:
            The files, none of which was there before.

        Raises:
            PlayerError: a file cannot be written.
        """
        for (behavior, _), steps in self._open.items():
            last = steps.pop().agent_info
            last.max_step_reached = True  # for the episode that is written after it, if there is one
            self._finish(behavior, steps, Pair(agent_info=last))
        self._open.clear()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return [_write_new(self._file(behavior), self._content(behavior)) for behavior in self._finished]
        except OSError as error:
            raise PlayerError(f"Cannot write {self.path}: {error.strerror or error}.") from error

    def _file(self, behavior: str) -> Path:
        if len(self.behaviors) == 1:
            return self.path
        return self.path.with_name(f"{self.path.stem}-{re.sub(r'[^0-9A-Za-z]+', '-', behavior)}{self.path.suffix}")

    def _content(self, behavior: str) -> bytes:
        pairs = self._finished[behavior]
        rewards = [pair.agent_info.reward for pair in pairs[1:]]
        episodes = 1 + sum(pair.agent_info.done for pair in pairs[:-1])
        head = _meta_data(self.path.stem, len(pairs), episodes, sum(rewards) / episodes)
        brain = wire.brain_parameters(behavior, self.behaviors[behavior].action_spec)
        return head + b"".join(map(wire.delimited, [brain, *(pair.SerializeToString() for pair in pairs)]))

    def _protos(self, behavior: str, batch: AgentInfos) -> list[AgentInfoProto]:
        """Each agent's part of the message, as ML-Agents gets it."""
        message = wire.encode_infos([batch], self.behaviors[behavior].observation_specs)
        return list(UnityRLOutputProto.ListAgentInfoProto.FromString(message).value)

    def _finish(self, behavior: str, steps: list[Pair], terminal: Pair) -> None:
        """Append an episode; its first pair takes the place of the terminal one before it and tells its end."""
        if not steps:
            return
        pairs = self._finished.setdefault(behavior, [])
        if pairs:
            ended, first = pairs.pop().agent_info, steps[0].agent_info
            first.reward, first.done, first.max_step_reached = ended.reward, True, ended.max_step_reached
        pairs += [*steps, terminal]


def _write_new(file: Path, content: bytes) -> Path:
    """Write all or nothing to the first of `file`, `file-1`, ... that is not there; others may do so at the same time.

    Unity's DemonstrationRecorder does not overwrite a demonstration either.

    Raises:
        OSError: it cannot be written.
    """
    free, taken = file, 0
    while True:
        try:
            created = free.open("xb")
            break
        except FileExistsError:
            taken += 1
            free = file.with_stem(f"{file.stem}-{taken}")
    try:
        with created:
            created.write(content)
    except OSError:
        free.unlink(missing_ok=True)
        raise
    return free


def _meta_data(name: str, steps: int, episodes: int, mean_reward: float) -> bytes:
    """[33] bytes: the meta data in their place, with as many whole characters of the name as fit.

    A character takes up to four bytes, and large numbers take more than small ones.
    """
    meta = DemonstrationMetaProto(
        api_version=API_VERSION, number_steps=steps, number_episodes=episodes, mean_reward=mean_reward
    )
    shown = name.encode(errors="replace").decode()[:NAME_LENGTH]  # a file's name may hold what is not Unicode
    for length in range(len(shown), -1, -1):
        meta.demonstration_name = shown[:length]
        message = wire.delimited(meta.SerializeToString())
        if len(message) <= META_BYTES:
            break
    return message.ljust(META_BYTES, b"\0")


def _pair(info: AgentInfoProto, actions: Actions, row: int) -> Pair:
    """An observation and what was done on it."""
    continuous, discrete = actions.continuous[row].tolist(), actions.discrete[row].tolist()
    action = AgentActionProto(
        continuous_actions=continuous, discrete_actions=discrete, vector_actions_deprecated=[*continuous, *discrete]
    )
    return Pair(agent_info=info, action_info=action)
