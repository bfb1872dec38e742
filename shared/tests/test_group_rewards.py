"""Rewards of a group count wherever the reward of an episode does, as they do in learning."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.agent_processor import AgentManagerQueue
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.exception import UnityTrainerException
from mlagents.trainers.settings import TrainerSettings
from mlagents.trainers.stats import StatsReporter
from mlagents.trainers.torch_entities.action_log_probs import LogProbsTuple
from mlagents.trainers.trajectory import AgentExperience, Trajectory
from mlagents_envs.base_env import (
    ActionSpec,
    ActionTuple,
    BehaviorSpec,
    DecisionSteps,
    DimensionProperty,
    ObservationSpec,
    ObservationType,
    TerminalSteps,
)

from mlagents_plugin_shared.run.checkpoint_files import read_checkpoint
from mlagents_plugin_shared.testing import BEHAVIOR, Outcome, ToyEnv, train
from recording import RecordingReplayTrainer, RecordingRolloutTrainer, config, registered  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("registered")
BOTH = pytest.mark.parametrize("trainer_type", ["replay", "rollout"])
OWN = 0.5


class Cooperating(ToyEnv):
    """Episodes of one step; an agent gets half a point for itself, and its group a reward that rises after 30 steps."""

    action_spec = ActionSpec(0, (2,))
    observation_shapes = ((1,),)

    def __init__(self, group_reward: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group_reward = group_reward
        self.acted = 0

    def begin(self, agents: np.ndarray) -> None:
        """Every episode is the same."""

    def observe(self) -> list[np.ndarray]:
        """Nothing to see."""
        return [np.ones((self.num_agents, 1), np.float32)]

    def act(self, action: ActionTuple) -> Outcome:
        """Pays each agent."""
        self.acted += 1
        over = np.ones(self.num_agents, dtype=bool)
        return np.full(self.num_agents, OWN), over, ~over

    def get_steps(self, behavior_name: str) -> tuple[DecisionSteps, TerminalSteps]:
        """All agents are of one group."""
        decisions, ended = super().get_steps(behavior_name)
        group = np.ones(len(ended), np.int32)
        paid = np.full(len(ended), self.group_reward * (self.acted > 30), np.float32)
        return decisions, TerminalSteps(ended.obs, ended.reward, ended.interrupted, ended.agent_id, group, paid)


def settings(trainer_type: str, **hyperparameters: Any) -> dict:
    """A run of 100 episodes of each of four agents, with a summary after every tenth."""
    values = config(trainer_type, 400, buffer_size=50, **hyperparameters)
    return {**values, "checkpoint_interval": 200, "summary_freq": 40}


def test_best_policy_is_the_best_of_the_group(tmp_path: Path) -> None:
    """The agents' own reward never changes: by it the first policy would stay the best."""
    train(Cooperating(10.0), settings("rollout", keep_best=True, reward_window=20), tmp_path)
    saved = read_checkpoint(tmp_path / BEHAVIOR / f"{BEHAVIOR}-best.pt")
    assert saved["Trainer"]["parts"]["goals"]["best"] == pytest.approx(10.0 + OWN)
    assert saved["global_step"]["_GlobalSteps__global_step"].item() > 120


def test_run_ends_where_the_group_is_good_enough(tmp_path: Path) -> None:
    """At 10.5 of an episode; a resume counts on from the returns of the checkpoint, and ends at once."""
    goal = settings("rollout", stop_at_reward=10.2, reward_window=20)
    stopped = train(Cooperating(10.0), goal, tmp_path)
    assert 120 + 20 <= stopped.get_step < 200
    assert train(Cooperating(0.0), goal, tmp_path, resume=True).get_step == stopped.get_step


@BOTH
def test_reward_of_an_episode_is_in_units_of_the_environment(tmp_path: Path, trainer_type: str) -> None:
    """The strength of the extrinsic signal scales what is learned, not what `stop_at_reward` compares."""
    values = {**settings(trainer_type), "reward_signals": {"extrinsic": {"strength": 7.0}}}
    trainer = train(Cooperating(-2.0), values, tmp_path)
    assert list(trainer.episodes.returns) == [OWN - 2.0] * 100
    assert trainer._policy_mean_reward() == pytest.approx(OWN - 2.0)


def lessons() -> dict[str, Any]:
    """Two lessons; the second begins once an episode's reward is above 5."""
    criteria = {"measure": "reward", "behavior": BEHAVIOR, "threshold": 5.0, "min_lesson_length": 10}
    first = {"name": "first", "value": 1.0, "completion_criteria": criteria}
    return {"lesson": {"curriculum": [first, {"name": "second", "value": 2.0}]}}


@BOTH
@pytest.mark.parametrize(("group_reward", "lesson"), [(10.0, 2.0), (1.0, 1.0)])
def test_curriculum_counts_group_rewards(tmp_path: Path, trainer_type: str, group_reward: float, lesson: float) -> None:
    """The next lesson begins by the reward that the group has learned to get, and not below it."""
    task = Cooperating(group_reward)
    train(task, settings(trainer_type), tmp_path, environment_parameters=lessons())
    assert task.parameters["lesson"] == lesson


@pytest.mark.parametrize("group_reward", [0.0, 10.0])
def test_statistics_are_those_of_ml_agents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group_reward: float
) -> None:
    """The agent's own reward and the group's have a tag each, as with POCA; the group's only where there is one."""
    written: dict[str, set[float]] = {}

    def noted(self: StatsReporter, key: str, value: float, *args: Any, **kwargs: Any) -> None:
        written.setdefault(key, set()).add(round(float(value), 3))
        add_stat(self, key, value, *args, **kwargs)

    add_stat = StatsReporter.add_stat
    monkeypatch.setattr(StatsReporter, "add_stat", noted)
    train(Cooperating(group_reward), settings("rollout"), tmp_path)
    assert written["Environment/Cumulative Reward"] == {OWN}
    assert written.get("Environment/Group Cumulative Reward", set()) == ({10.0} if group_reward else set())


def trainer(trainer_type: str, path: Path) -> tuple[Any, AgentManagerQueue]:
    """A trainer without an environment, and where its trajectories are put."""
    kind = RecordingReplayTrainer if trainer_type == "replay" else RecordingRolloutTrainer
    made = kind(
        BEHAVIOR, 1, TrainerSettings.structure(settings(trainer_type), TrainerSettings), True, False, 0, str(path)
    )
    sensor = ObservationSpec((1,), (DimensionProperty.NONE,), ObservationType.DEFAULT, "obs_0")
    identifiers = BehaviorIdentifiers.from_name_behavior_id(f"{BEHAVIOR}?team=0")
    made.add_policy(identifiers, made.create_policy(identifiers, BehaviorSpec([sensor], ActionSpec(0, (2,)))))
    queue: AgentManagerQueue = AgentManagerQueue(identifiers.behavior_id)
    made.subscribe_trajectory_queue(queue)
    return made, queue


def trajectory(agent_id: str, group_reward: float, *, seen: float = 0.0, done: bool = True) -> Trajectory:
    """One step that earns a group reward, after which the agent sees the number 1 more."""
    action = ActionTuple(np.zeros(0, np.float32), np.zeros(1, np.int32))
    step = AgentExperience(
        obs=[np.full(1, seen, np.float32)],
        reward=0.0,
        done=done,
        action=action,
        action_probs=LogProbsTuple(np.zeros(0, np.float32), np.zeros(1, np.float32)),
        action_mask=None,
        prev_action=np.zeros(1, np.int32),
        interrupted=False,
        memory=None,
        group_status=[],
        group_reward=group_reward,
    )
    return Trajectory([step], [np.full(1, seen + 1.0, np.float32)], [], agent_id, f"{BEHAVIOR}?team=0")


@BOTH
def test_group_rewards_of_an_episode_add_up(tmp_path: Path, trainer_type: str) -> None:
    """Over its segments, by agent; those of an episode that was cut or reset are gone."""
    made, queue = trainer(trainer_type, tmp_path)
    for each in (
        trajectory("a", 1.0, done=False),
        trajectory("b", 20.0, done=False),
        trajectory("a", 2.0, seen=1.0),
        trajectory("b", 30.0, seen=5.0),  # not what followed 0: another episode
        trajectory("c", 100.0, done=False),
    ):
        queue.put(each)
    made.advance()
    made.end_episode()
    queue.put(trajectory("c", 200.0, seen=1.0))
    made.advance()
    assert list(made.episodes.returns) == [3.0, 30.0, 200.0]


@BOTH
def test_agents_that_are_gone_are_forgotten(tmp_path: Path, trainer_type: str) -> None:
    """With Unity every episode has an agent id of its own, and a run has millions of them."""
    made, queue = trainer(trainer_type, tmp_path)
    for i in range(200):
        queue.put(trajectory(f"agent_0-{i}", 1.0))
        made.advance()
    assert len(made.episodes.returns) == 100
    assert not any(made.collected_rewards.values())
    assert not made.episodes._group_rewards


@BOTH
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_group_reward_that_is_no_number_is_named(tmp_path: Path, trainer_type: str, number: float) -> None:
    """As any other reward that would spoil the network."""
    made, queue = trainer(trainer_type, tmp_path)
    queue.put(trajectory("a", number))
    with pytest.raises(UnityTrainerException, match=f"^{BEHAVIOR}: the group reward of agent a is {number}"):
        made.advance()
    assert all(torch.isfinite(parameter).all() for parameter in made.policy.actor.parameters())
