"""Buffers against ML-Agents' `AgentBuffer`, on the same data in one process: `nox -s bench -- buffers`.

Times are medians of repeats that alternate between the two, so that a busy machine slows both alike: trust
the ratios more than the times. AgentBuffer samples all of its keys, ours those that are read. Bytes are what
tracemalloc counts while the buffer is filled from trajectories that are dropped afterwards. To add a line, write
a function that returns a `Line` and call it in `main`.
"""

import argparse
import statistics
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.buffer import AgentBuffer, BufferKey
from mlagents.trainers.settings import TrainerSettings
from mlagents.trainers.torch_entities.action_log_probs import LogProbsTuple
from mlagents.trainers.torch_entities.utils import ModelUtils
from mlagents.trainers.trajectory import AgentExperience, ObsUtil, Trajectory
from mlagents_envs.base_env import (
    ActionSpec,
    ActionTuple,
    BehaviorSpec,
    DimensionProperty,
    ObservationSpec,
    ObservationType,
)

from mlagents_plugin_dqn.trainer import DQNTrainer
from mlagents_plugin_shared.buffers import ReplayBuffer, ReplayKey, RolloutBuffer
from mlagents_plugin_shared.reward_streams import add_step_rewards
from mlagents_plugin_shared.trajectories import trajectory_to_segment

BATCH = 256
UPDATE_BATCH = 128
HORIZON = 64
ACTIONS = ActionSpec(0, (3,))
# What a double DQN reads of a one-step batch.
KEYS = (
    ObsUtil.get_name_at(0),
    ObsUtil.get_name_at_next(0),
    BufferKey.DISCRETE_ACTION,
    BufferKey.ACTION_MASK,
    BufferKey.ENVIRONMENT_REWARDS,
    BufferKey.DONE,
    BufferKey.MASKS,
)


@dataclass
class Line:
    """One row of the table: the smaller number is the better one."""

    name: str
    unit: str
    theirs: float
    ours: float

    def __str__(self) -> str:
        ratio = self.theirs / self.ours
        return f"{self.name:<46}{self.unit:<14}{self.theirs:>12.1f}{self.ours:>12.1f}{ratio:>9.1f}x"


def trajectory(floats: int, seed: int) -> Trajectory:
    """HORIZON steps of a discrete agent with masks, cut or terminated in turns."""
    rng = np.random.default_rng(seed)
    observations = [[rng.random(floats, dtype=np.float32)] for _ in range(HORIZON + 1)]
    steps = [
        AgentExperience(
            obs=observations[t],
            reward=np.float32(rng.normal()),
            done=seed % 2 == 0 and t == HORIZON - 1,
            action=ActionTuple(np.zeros(0, np.float32), rng.integers(3, size=1, dtype=np.int32)),
            action_probs=LogProbsTuple(np.zeros(0, np.float32), rng.normal(size=1).astype(np.float32)),
            action_mask=[rng.random(3) < 0.3],
            prev_action=rng.integers(3, size=1, dtype=np.int32),
            interrupted=False,
            memory=None,
            group_status=[],
            group_reward=0.0,
        )
        for t in range(HORIZON)
    ]
    return Trajectory(steps, observations[HORIZON], [], f"agent_0-{seed % 12}", "Behavior?team=0")


def add_to_theirs(buffer: AgentBuffer, fake: Trajectory) -> None:
    """As ML-Agents' trainers take in a trajectory."""
    fake.to_agentbuffer().resequence_and_append(buffer, training_length=1)


def add_to_ours(buffer: ReplayBuffer | RolloutBuffer, fake: Trajectory) -> None:
    """As the trainers of this repository take in a trajectory."""
    buffer.add(trajectory_to_segment(fake, ACTIONS))


def compare(
    theirs: Callable[[], object], ours: Callable[[], object], repeats: int, calls: int = 1
) -> tuple[float, float]:
    """Median microseconds of a call of each, over repeats of some calls in a row, after one repeat to warm up."""
    times: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        for call, record in zip((theirs, ours), times, strict=True):
            start = time.perf_counter()
            for _ in range(calls):
                call()
            if repeat:
                record.append((time.perf_counter() - start) / calls)
    return statistics.median(times[0]) * 1e6, statistics.median(times[1]) * 1e6


def sampling(floats: int, capacity: int, repeats: int) -> list[Line]:
    """A batch of one step, and of three, as tensors."""
    theirs, ours = AgentBuffer(), ReplayBuffer(capacity)
    for seed in range(capacity // HORIZON):
        fake = trajectory(floats, seed)
        add_to_theirs(theirs, fake)
        add_to_ours(ours, fake)

    def tensors(batch: AgentBuffer) -> None:
        for key in KEYS:
            ModelUtils.list_to_tensor(batch[key])

    def sample_theirs() -> None:
        tensors(theirs.sample_mini_batch(BATCH))

    one = compare(sample_theirs, lambda: tensors(ours.sample_mini_batch(BATCH)), repeats, calls=5)
    three = compare(sample_theirs, lambda: tensors(ours.sample_n_step(BATCH, 3)), repeats, calls=5)
    name = f"sample {BATCH}, {floats} floats, to tensors"
    return [Line(name, "us", *one), Line(f"{name}, 3-step", "us", *three)]


def intake(floats: int, repeats: int) -> list[Line]:
    """From a trajectory to the replay buffer and to the rollout buffer."""
    fakes = [trajectory(floats, seed) for seed in range(20)]
    buffers = {"replay": ReplayBuffer(20 * HORIZON), "rollout": RolloutBuffer()}
    return [
        intake_line(f"trajectory into {name} buffer, {floats} floats", fakes, ours, repeats)
        for name, ours in buffers.items()
    ]


def intake_line(title: str, fakes: list[Trajectory], ours: ReplayBuffer | RolloutBuffer, repeats: int) -> Line:
    """One of our buffers against AgentBuffer, filled with the same trajectories."""
    theirs = AgentBuffer()

    def fill(add: Callable, buffer: AgentBuffer | ReplayBuffer | RolloutBuffer) -> None:
        buffer.reset_agent()
        for fake in fakes:
            add(buffer, fake)

    times = compare(lambda: fill(add_to_theirs, theirs), lambda: fill(add_to_ours, ours), repeats)
    return Line(title, "us a step", *(each / (len(fakes) * HORIZON) for each in times))


def memory(floats: int, transitions: int) -> Line:
    """Bytes that stay allocated when each buffer was filled."""

    def measure(buffer: AgentBuffer | ReplayBuffer, add: Callable) -> float:
        tracemalloc.start()
        for seed in range(transitions // HORIZON):
            add(buffer, trajectory(floats, seed))
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return held / (transitions // HORIZON * HORIZON)

    theirs = measure(AgentBuffer(), add_to_theirs)
    ours = measure(ReplayBuffer(transitions), add_to_ours)
    return Line(f"memory, {floats} floats", "B a transition", theirs, ours)


def updates(floats: int, capacity: int, repeats: int) -> Line:
    """A one-step DQN update, from the draw of the batch to the optimizer's step, fed from either buffer."""
    dqn = trainer(floats, capacity)
    theirs, signals = AgentBuffer(), dqn.optimizer.reward_signals
    for seed in range(capacity // HORIZON):
        fake = trajectory(floats, seed)
        add_to_theirs(theirs, fake)
        add_to_ours(dqn.update_buffer, fake)

    def update_from_theirs() -> None:
        batch = theirs.sample_mini_batch(UPDATE_BATCH)
        batch[ReplayKey.NEXT_ACTION_MASK] = batch[BufferKey.ACTION_MASK]  # it has no next mask: some mask will do
        batch[BufferKey.DONE] = np.array(batch[BufferKey.DONE])
        add_step_rewards(batch, signals)
        dqn.optimizer.update(batch, UPDATE_BATCH)

    def update_from_ours() -> None:
        dqn.optimizer.update(dqn._sample(), UPDATE_BATCH)

    times = compare(update_from_theirs, update_from_ours, repeats)
    return Line(f"DQN update, batch {UPDATE_BATCH}, {floats} floats", "us", *times)


def trainer(floats: int, capacity: int) -> DQNTrainer:
    """A DQN trainer with two layers of 128 and one-step returns."""
    register_trainer_plugins()
    config = {
        "trainer_type": "dqn",
        "hyperparameters": {"batch_size": UPDATE_BATCH, "buffer_size": capacity, "n_step": 1},
    }
    result = DQNTrainer("Toy", 1, TrainerSettings.structure(config, TrainerSettings), True, False, 0, "")
    sensor = ObservationSpec((floats,), (DimensionProperty.NONE,), ObservationType.DEFAULT, "vector")
    behavior = BehaviorIdentifiers.from_name_behavior_id("Toy?team=0")
    result.add_policy(behavior, result.create_policy(behavior, BehaviorSpec([sensor], ACTIONS)))
    return result


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Buffers against ML-Agents' AgentBuffer.")
    parser.add_argument("--capacity", type=int, default=100_000, help="transitions to sample from")
    parser.add_argument("--repeats", type=int, default=100, help="repeats of each measurement")
    arguments = parser.parse_args()
    print(f"{'':<46}{'':<14}{'AgentBuffer':>12}{'ours':>12}{'ratio':>10}")
    for floats in (8, 64):
        lines = sampling(floats, arguments.capacity, arguments.repeats)
        lines += intake(floats, max(arguments.repeats // 10, 1))
        lines.append(memory(floats, 20_000))
        lines.append(updates(floats, arguments.capacity, arguments.repeats))
        print("\n".join(map(str, lines)))


if __name__ == "__main__":
    main()
