"""From a player's messages to a replay that is ready, ours against ML-Agents' own: `nox -s bench -- intake`.

Both get the same messages of 8 numbers an agent, or of a picture as ML-Agents decodes it, and one branch of 5 actions,
in one process and in turns: trust the ratios more than the times. There are no players, no choosing of actions and no
updates.

* trajectories: what the agent manager does with the messages.
* replay: what the trainer does with the trajectories, DQN's against SAC's: statistics, rewards, and the buffer.
"""

import argparse
import itertools
import logging
import tempfile
import time
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from mlagents.plugins import all_trainer_types
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers.action_info import ActionInfo
from mlagents.trainers.agent_processor import AgentManager
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.settings import TrainerSettings
from mlagents.trainers.torch_entities.action_log_probs import ActionLogProbs
from mlagents_envs.base_env import (
    ActionSpec,
    BehaviorSpec,
    DecisionSteps,
    DimensionProperty,
    ObservationSpec,
    ObservationType,
    TerminalSteps,
)

from mlagents_plugin_shared.data.observation_store import from_pixels

ACTIONS, HORIZON, EPISODE = 5, 64, 200
PICTURES = 64
"""Different pictures that messages are made of: as many as are asked for would not fit into the memory."""
BEHAVIOR = BehaviorIdentifiers.from_name_behavior_id("Behavior?team=0")


@dataclass(frozen=True)
class Kind:
    """What agents see, and the agent steps of a round."""

    shape: tuple[int, ...]
    steps: int

    @property
    def spec(self) -> BehaviorSpec:
        """One sensor of this shape, one branch of actions."""
        spatial = DimensionProperty.TRANSLATIONAL_EQUIVARIANCE
        properties = (DimensionProperty.NONE, spatial, spatial)[: len(self.shape)]
        sensor = ObservationSpec(self.shape, properties, ObservationType.DEFAULT, "sensor")
        return BehaviorSpec([sensor], ActionSpec(0, (ACTIONS,)))

    def pool(self, rng: np.random.Generator) -> np.ndarray:
        """[N, ...] observations to draw from."""
        if len(self.shape) == 1:
            return _numbers(rng, self.steps, *self.shape)
        return from_pixels(rng.integers(0, 256, (PICTURES, *self.shape), np.uint8))


KINDS = {"8 floats": Kind((8,), 12_000), "84x84x3": Kind((3, 84, 84), 1_536)}


class Message(NamedTuple):
    """What `add_experiences` takes."""

    decision_steps: DecisionSteps
    terminal_steps: TerminalSteps
    worker_id: int
    previous_action: ActionInfo


def messages(kind: Kind, agents: int) -> list[Message]:
    """A round of messages of all agents, each of which ends an episode after a while of its own and begins another."""
    rng = np.random.default_rng(0)
    pool = kind.pool(rng)
    made, ids, acted = [], np.arange(agents), np.zeros(0, int)
    newest = agents
    for _ in range(kind.steps // agents):
        over = rng.random(len(acted)) < 1 / EPISODE
        made.append(Message(_decisions(rng, ids, pool), _terminals(rng, acted[over], pool), 0, _action(kind, acted)))
        acted = ids.copy()
        ends = np.isin(ids, made[-1].terminal_steps.agent_id)
        ids[ends] = np.arange(newest, newest + ends.sum())
        newest += int(ends.sum())
    return made


def _numbers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.random(shape, dtype=np.float32)


def _drawn(rng: np.random.Generator, pool: np.ndarray, count: int) -> np.ndarray:
    return pool[rng.integers(len(pool), size=count)]


def _decisions(rng: np.random.Generator, ids: np.ndarray, pool: np.ndarray) -> DecisionSteps:
    count = len(ids)
    mask, group = [np.zeros((count, ACTIONS), bool)], np.zeros(count, int)
    return DecisionSteps([_drawn(rng, pool, count)], _numbers(rng, count), ids.copy(), mask, group, 0.0 * group)


def _terminals(rng: np.random.Generator, ids: np.ndarray, pool: np.ndarray) -> TerminalSteps:
    count = len(ids)
    interrupted, group = np.zeros(count, bool), np.zeros(count, int)
    return TerminalSteps([_drawn(rng, pool, count)], _numbers(rng, count), interrupted, ids, group, 0.0 * group)


def _action(kind: Kind, ids: np.ndarray) -> ActionInfo:
    count = len(ids)
    if not count:
        return ActionInfo.empty()
    action = kind.spec.action_spec.random_action(count)
    log_probs = ActionLogProbs(None, [torch.zeros(count)], None)
    outputs = {"action": action, "log_probs": log_probs, "entropy": torch.zeros(count)}
    return ActionInfo(action, action, outputs, list(ids))


class Course:
    """A trainer with its agent manager; notes what each 1,000 agent steps cost, in milliseconds."""

    def __init__(self, trainer_type: str, kind: Kind, stream: list[Message]) -> None:
        config = {"trainer_type": trainer_type, "time_horizon": HORIZON, "hyperparameters": {"buffer_size": 100_000}}
        settings = TrainerSettings.structure(config, TrainerSettings)
        make = all_trainer_types[trainer_type]
        self.trainer: Any = make("Behavior", 1, settings, True, False, 0, tempfile.mkdtemp())
        policy = self.trainer.create_policy(BEHAVIOR, kind.spec)
        self.trainer.add_policy(BEHAVIOR, policy)
        manager = getattr(self.trainer, "agent_manager", AgentManager)
        self.manager = manager(policy, BEHAVIOR.behavior_id, self.trainer.stats_reporter, HORIZON, threaded=False)
        self.stream = stream
        self.times: list[tuple[float, float]] = []

    def round(self) -> None:
        """Takes in all messages once."""
        self.manager.end_episode()
        queue, steps = self.manager.trajectory_queue, 0
        start = time.perf_counter()
        for message in self.stream:
            self.manager.add_experiences(*message)
        middle = time.perf_counter()
        while not queue.empty():
            trajectory = queue.get_nowait()
            steps += len(trajectory.steps)
            self.trainer._process_trajectory(trajectory)
        self.times.append(((middle - start) * 1e6 / steps, (time.perf_counter() - middle) * 1e6 / steps))

    def row(self) -> tuple[float, float, float]:
        """Medians of making trajectories, of taking them in, and of both, without the first round."""
        made, taken = zip(*self.times[1:], strict=True)
        return median(made), median(taken), median(map(sum, self.times[1:]))


def main() -> None:
    """Prints a table for each number of agents."""
    parser = argparse.ArgumentParser(description="Intake of experience: ours against ML-Agents' own.")
    parser.add_argument("--agents", type=int, nargs="+", default=[1, 12, 64], help="numbers of agents")
    parser.add_argument("--observations", choices=list(KINDS), nargs="+", default=list(KINDS), help="kinds to measure")
    parser.add_argument("--repeats", type=int, default=5, help="rounds, after one to warm up")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    register_trainer_plugins()
    print(f"{'ms for 1,000 agent steps':<28}{'trajectories':>14}{'replay':>10}{'sum':>10}{'of theirs':>12}")
    for (kind_name, kind), agents in itertools.product(KINDS.items(), arguments.agents):
        if kind_name not in arguments.observations:
            continue
        stream = messages(kind, agents)
        courses = {name: Course(name, kind, stream) for name in ("sac", "dqn")}
        for _, course in itertools.product(range(arguments.repeats + 1), courses.values()):
            course.round()
        rows = {name: course.row() for name, course in courses.items()}
        for name, row in rows.items():
            numbers = f"{row[0]:>14.2f}{row[1]:>10.2f}{row[2]:>10.2f}{row[2] / rows['sac'][2]:>12.3f}"
            print(f"{f'{name}, {kind_name}, {agents} agents':<28}{numbers}", flush=True)


if __name__ == "__main__":
    main()
