"""A player that goes wrong in the middle of a run: `faulty_player.py FAULT SCENE [what a trainer passes]`.

`tests/test_faults.py` writes a launcher of it for `mlagents-learn --env`. It is the player's own code, with messages
that are changed on their way out.
"""

import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mlagents_player import cli, client, wire
from mlagents_player.academy import AgentInfos

FIRST = 60  # the exchange at which it goes wrong: some episodes have ended and some steps were learnt from
Infos = Mapping[str, list[AgentInfos]]
Message = Callable[..., bytes]


def changed_infos(change: Callable[[AgentInfos], AgentInfos]) -> Message:
    """A message with other infos of all agents."""

    def encode(infos: Infos, specs: Mapping[str, Any], *others: Any) -> bytes:
        changed = {behavior: [change(batch) for batch in batches] for behavior, batches in infos.items()}
        return wire.encode_output(changed, specs, *others)

    return encode


def nan_observation(infos: AgentInfos) -> AgentInfos:
    """The first number of each agent's first observation is NaN."""
    first = infos.observations[0].astype(np.float32)
    first[:, 0] = np.nan
    return replace(infos, observations=[first, *infos.observations[1:]])


def nan_reward(infos: AgentInfos) -> AgentInfos:
    """Rewards are NaN."""
    return replace(infos, rewards=np.full_like(infos.rewards, np.nan))


def wider_observations(infos: Infos, specs: Mapping[str, Any], introduce: Iterable[str], sides: bytes) -> bytes:
    """Every observation has a number more than the trainer was told."""
    wide = {
        behavior: [replace(batch, observations=[np.pad(batch.observations[0], ((0, 0), (0, 1)))]) for batch in batches]
        for behavior, batches in infos.items()
    }
    told = {
        behavior: spec._replace(
            observation_specs=[sensor._replace(shape=(sensor.shape[0] + 1,)) for sensor in spec.observation_specs]
        )
        for behavior, spec in specs.items()
    }
    return wire.encode_output(wide, told, introduce, sides)


def nobody(infos: Infos, specs: Mapping[str, Any], introduce: Iterable[str], sides: bytes) -> bytes:
    """A message without agents."""
    return wire.encode_output({}, specs, introduce, sides)


def strangers(infos: AgentInfos) -> AgentInfos:
    """Agents under other ids: those that the trainer knew have vanished without an end of their episodes."""
    return replace(infos, ids=infos.ids + 1_000_000)


def hang(*_: Any) -> bytes:
    """Nothing is sent for hours."""
    time.sleep(10_000)
    return b""


def garbage(*_: Any) -> bytes:
    """Bytes that are no message."""
    return b"\xff" * 100


def crash(*_: Any) -> bytes:
    """The player ends with an error of its own."""
    raise MemoryError


def come_off(*_: Any) -> bytes:
    """The scene has an error, the same in every player."""
    raise ValueError("the wheel came off,\nand rolled away")


def shut(*_: Any) -> bytes:
    """The window was closed: the player says goodbye and ends with code 0."""
    raise SystemExit(0)


class Fault(NamedTuple):
    """How messages go wrong.

    Attributes:
        message: What is sent instead.
        first: The exchange from which all goes wrong.
        last: The exchange from which all is well again.
        once: Only in the first player of a run; those that take its place are sound.
    """

    message: Message
    first: int = FIRST
    last: float = math.inf
    once: bool = False


FAULTS = {
    "nan_observation": Fault(changed_infos(nan_observation)),
    "nan_reward": Fault(changed_infos(nan_reward)),
    "wider_observations": Fault(wider_observations),
    "nobody": Fault(nobody, last=FIRST + 60),
    "nobody_any_more": Fault(nobody),
    "strangers": Fault(changed_infos(strangers)),
    "hang": Fault(hang, once=True),
    "garbage": Fault(garbage, once=True),
    "crash": Fault(crash, once=True),
    "come_off": Fault(come_off),
    "come_off_at_once": Fault(come_off, first=2),
    "shut": Fault(shut),
}


class FaultyWire:
    """Stands in for the module that encodes messages."""

    def __init__(self, name: str) -> None:
        self.fault = FAULTS[name]
        self.exchanges = 0
        self.mark = Path(f"{name}-was-here")
        self.is_sound = self.fault.once and self.mark.exists()

    def __getattr__(self, name: str) -> Any:
        return getattr(wire, name)

    def encode_output(self, *given: Any) -> bytes:
        """The true message, or the faulty one."""
        self.exchanges += 1
        if self.is_sound or not self.fault.first <= self.exchanges < self.fault.last:
            return wire.encode_output(*given)
        self.mark.touch()
        return self.fault.message(*given)


if __name__ == "__main__":
    fault, *arguments = sys.argv[1:]
    client.wire = FaultyWire(fault)
    sys.exit(cli.main(["run", *arguments]))
