"""Our buffers against ML-Agents' `AgentBuffer` and those of other libraries: `nox -s bench -- buffers`.

All hold the same transitions of 12 agents, and take turns in one process: trust the ratios more than the times.

* A sample ends in the float32 tensors that a one-step DQN reads: observation, next observation, action, reward, end.
* Pictures are 84x84x3. The others get and hold them as uint8, AgentBuffer as floats, as ML-Agents decodes them; so
  that it fits into memory, AgentBuffer holds the same few hundred again and again.
* `insert`: 64 steps of each agent, as arrays. Ours and cpprb take them segment by segment, Stable-Baselines3 and
  Tianshou, which know no segments, step by step for all agents at once. `insert trajectories` begins with ML-Agents'
  own objects, as its trainers and ours do. AgentBuffer copies no picture; ours turns each into bytes.
* Those that can store each observation once do so for pictures; cpprb always.
* Bytes are what the process grows by while a buffer is filled. The payload is one transition as ML-Agents gives it.

The libraries are in `_peers.py`.
"""

import argparse
import gc
import itertools
import multiprocessing
import os
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import psutil
from _peers import ACTIONS, AGENTS, BATCH, HORIZON, PRIORITIZED, STEPS, UNIFORM, MLAgents, Ours, Round
from _timing import medians
from mlagents.trainers.buffer import AgentBuffer, BufferKey, RewardSignalUtil
from mlagents.trainers.trainer.trainer_utils import get_gae
from mlagents.trainers.trajectory import Trajectory

from mlagents_plugin_shared.data import RolloutBuffer
from mlagents_plugin_shared.data.trajectories import trajectory_to_segment
from mlagents_plugin_shared.maths.targets import gae

SHAPES: dict[str, tuple[int, ...]] = {"8 floats": (8,), "64 floats": (64,), "84x84x3": (3, 84, 84)}
COLUMNS = ("AgentBuffer", "SB3", "cpprb", "Tianshou", "ours")


@dataclass
class Line:
    """One row of the table; smaller numbers are better."""

    name: str
    unit: str
    values: dict[str, float]

    def __str__(self) -> str:
        others = [value for name, value in self.values.items() if name not in ("ours", "AgentBuffer", "payload")]
        numbers = "".join(_number(self.values.get(name)) for name in COLUMNS)
        theirs = self.values.get("AgentBuffer")
        ratios = _ratio(theirs, self.values["ours"]) + _ratio(min(others, default=None), self.values["ours"])
        return f"{self.name:<36}{self.unit:<14}{numbers}{ratios}"


HEADER = f"{'':<36}{'':<14}{''.join(f'{name:>12}' for name in COLUMNS)}{'x AgentB.':>10}{'x best':>10}"


def _number(value: float | None) -> str:
    return f"{'-':>12}" if value is None else f"{value:>12,.2f}"


def _ratio(theirs: float | None, ours: float) -> str:
    return f"{'-':>10}" if theirs is None else f"{theirs / ours:>9.2f}x"


def uniform(kind: str, capacity: int, repeats: int) -> list[Line]:
    """Sampling and insertion."""
    round_ = Round(SHAPES[kind], seed=0)
    peers = [make(capacity, round_) for make in UNIFORM]
    theirs, trajectories = MLAgents(capacity, round_), round_.trajectories()
    for _ in range(capacity // STEPS + 1):
        theirs.insert_trajectories(trajectories)
        for peer in peers:
            peer.insert(round_)
    sample = medians({peer.name: peer.sample for peer in (theirs, *peers)}, repeats, each=5)
    insert = medians({peer.name: partial(peer.insert, round_) for peer in peers}, max(repeats // 4, 3), each=3)
    small = MLAgents(STEPS, round_), Ours(STEPS, round_)
    calls = {peer.name: partial(peer.insert_trajectories, trajectories) for peer in small}
    objects = medians(calls, max(repeats // 8, 3))
    return [
        Line(f"sample {BATCH}, {kind}", "us", sample),
        Line(f"insert, {kind}", "us a step", _each(insert)),
        Line(f"insert trajectories, {kind}", "us a step", _each(objects)),
    ]


def prioritized(kind: str, capacity: int, repeats: int) -> list[Line]:
    """Sampling by priority, and setting new priorities."""
    round_ = Round(SHAPES[kind], seed=0)
    peers = [make(capacity, round_) for make in PRIORITIZED]
    errors = iter(itertools.cycle(np.random.default_rng(1).exponential(size=(1000, BATCH)).astype(np.float32)))
    for _ in range(capacity // STEPS + 1):
        for peer in peers:
            peer.insert(round_)
    for peer in peers:
        for _ in range(500):
            peer.sample()
            peer.update(next(errors))
    sample = medians({peer.name: peer.sample for peer in peers}, repeats, each=3)
    updates = {peer.name: partial(lambda of: of.update(next(errors)), peer) for peer in peers}
    update = medians(updates, repeats, each=3)
    both = {name: sample[name] + update[name] for name in sample}
    return [
        Line(f"prioritised sample {BATCH}, {kind}", "us", sample),
        Line(f"priority update {BATCH}, {kind}", "us", update),
        Line(f"both, {kind}", "us", both),
    ]


def memory(kind: str) -> Line:
    """Bytes a transition of buffers that are full."""
    count = (4_000 if kind == "84x84x3" else 100_000) // STEPS * STEPS
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"  # so that glibc takes every array from the system anew
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, maxtasksperchild=1) as pool:
        grown = [pool.apply(_growth, (i, kind, count)) for i in range(len(UNIFORM) + 1)]
    return Line(f"memory, {kind}", "B a step", dict(grown))


def _growth(i: int, kind: str, count: int) -> tuple[str, float]:
    """What a fresh process grows by for each transition of the i-th buffer; the last is AgentBuffer."""
    round_ = Round(SHAPES[kind], seed=0)
    process = psutil.Process()
    gc.collect()
    before = process.memory_info().rss
    peer: Any = [*UNIFORM, MLAgents][i](count, round_)
    for _ in range(count // STEPS):
        if isinstance(peer, MLAgents):
            peer.insert_trajectories(round_.trajectories())
        else:
            peer.insert(round_)
    gc.collect()
    return peer.name, (process.memory_info().rss - before) / count


def rollout(horizon: int, repeats: int) -> Line:
    """12 agents x 1,000 steps from ML-Agents' objects to advantages and returns; the values are given."""
    steps = -(-1000 // horizon) * horizon
    rng = np.random.default_rng(0)
    fakes = [_cut(Round((8,), seed), horizon) for seed in range(steps // HORIZON + 1)]
    trajectories = list(itertools.chain.from_iterable(fakes))[: AGENTS * steps // horizon]
    values = [rng.random(len(trajectory.steps), dtype=np.float32) for trajectory in trajectories]
    last = rng.random(len(trajectories), dtype=np.float32)
    buffers = AgentBuffer(), RolloutBuffer()
    times = medians(
        {
            "AgentBuffer": lambda: _advantages_of_ml_agents(buffers[0], trajectories, values, last),
            "ours": lambda: _our_advantages(buffers[1], trajectories, np.concatenate(values), last),
        },
        repeats,
    )
    total = sum(map(len, values))
    return Line(f"rollout, segments of {horizon}", "us a step", {name: time / total for name, time in times.items()})


def _cut(round_: Round, horizon: int) -> list[Trajectory]:
    """Trajectories of another length, by repeating those of a round."""
    return [
        trajectory._replace(steps=(trajectory.steps * (horizon // HORIZON + 1))[:horizon])
        for trajectory in round_.trajectories()
    ]


def _advantages_of_ml_agents(
    buffer: AgentBuffer, trajectories: list[Trajectory], values: list[np.ndarray], last: np.ndarray
) -> None:
    """What ML-Agents' PPO does with each trajectory, but for its networks."""
    buffer.reset_agent()
    rewards_key, values_key = (key("extrinsic") for key in (RewardSignalUtil.rewards_key, RewardSignalUtil.returns_key))
    for trajectory, value, following in zip(trajectories, values, last, strict=True):
        batch = trajectory.to_agentbuffer()
        batch[rewards_key].extend(np.array(batch[BufferKey.ENVIRONMENT_REWARDS], dtype=np.float32))
        rewards = batch[rewards_key].get_batch()
        end = 0.0 if trajectory.done_reached else following
        advantage = get_gae(rewards, value, end, gamma=0.99, lambd=0.95)
        batch[values_key].set(advantage + value)
        batch[BufferKey.ADVANTAGES].set(list(np.mean(np.array([advantage], dtype=np.float32), axis=0)))
        batch.resequence_and_append(buffer, training_length=1)


def _our_advantages(
    buffer: RolloutBuffer, trajectories: list[Trajectory], values: np.ndarray, last: np.ndarray
) -> None:
    """What `RolloutTrainer` does, but for its networks."""
    buffer.reset_agent()
    for trajectory in trajectories:
        buffer.add(trajectory_to_segment(trajectory, ACTIONS))
    steps = buffer.stream_steps(buffer[BufferKey.ENVIRONMENT_REWARDS], values, last, 0.99)
    advantage = buffer.unpad_time_major(gae(*steps, lambda_=0.95).numpy())
    buffer[RewardSignalUtil.returns_key("extrinsic")] = advantage + values
    buffer[BufferKey.ADVANTAGES] = advantage


def _each(times: dict[str, float]) -> dict[str, float]:
    return {name: time / STEPS for name, time in times.items()}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Our replay and rollout buffers against those of other libraries.")
    parser.add_argument("--capacity", type=int, default=100_000, help="transitions to sample from")
    parser.add_argument("--repeats", type=int, default=100, help="repeats of each measurement")
    parser.add_argument(
        "--observations", choices=list(SHAPES), nargs="+", default=list(SHAPES), help="kinds to measure"
    )
    arguments = parser.parse_args()
    capacity = arguments.capacity // AGENTS * AGENTS
    print(HEADER)
    for kind in arguments.observations:
        for lines in (uniform, prioritized):
            print("\n".join(map(str, lines(kind, capacity, arguments.repeats))), flush=True)
            gc.collect()
        line = memory(kind)
        print(f"{line}   payload {Round(SHAPES[kind], 0).payload}", flush=True)
    for horizon in (HORIZON, 1000):
        print(rollout(horizon, max(arguments.repeats // 8, 3)), flush=True)


if __name__ == "__main__":
    main()
