"""The shared trainers with an algorithm that only records what it is given."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from mlagents.plugins import all_trainer_types
from mlagents.torch_utils import torch
from mlagents.trainers.agent_processor import AgentManager
from mlagents.trainers.buffer import BufferKey, RewardSignalUtil
from mlagents.trainers.exception import TrainerConfigError, UnityTrainerException
from mlagents.trainers.trajectory import Trajectory

from mlagents_plugin_shared.data.trajectories import SegmentSteps
from mlagents_plugin_shared.learning.transitions import discount_key
from mlagents_plugin_shared.run.agent_manager import ArrayAgentManager
from mlagents_plugin_shared.run.saved_replay import REPLAY_FILE_NAME
from mlagents_plugin_shared.testing import Corridor, Duel, Recall, ToyEnv, train
from recording import (
    Recorder,
    RecordingReplayTrainer,
    RecordingRolloutTrainer,
    config,
    registered,  # noqa: F401 - a fixture
)

pytestmark = pytest.mark.usefixtures("registered")


def test_rollout_trainer_gives_every_step_to_one_update(tmp_path: Path) -> None:
    """The batches hold all steps but those of the last, open rollout."""
    trainer = train(Corridor(), config("rollout", buffer_size=50), tmp_path)
    sizes = [batch.num_experiences for batch, _ in trainer.optimizer.batches]
    assert all(50 <= size < 50 + 4 * 8 for size in sizes)
    assert sum(sizes) + trainer.update_buffer.num_experiences == trainer.get_step


@pytest.mark.parametrize("task", [Corridor, Duel])
def test_trainer_has_the_agent_manager_that_it_says(
    task: type[ToyEnv], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ML-Agents' own, by which it learns the same; in self-play, where ML-Agents' trainer is around it, too."""
    settings = config("replay", max_steps=300)
    if task.teams > 1:
        settings["self_play"] = {"save_steps": 50, "swap_steps": 50, "team_change": 100}
    found = []
    for folder, kind in (("ours", ArrayAgentManager), ("own", AgentManager)):
        trainer_class = _noting_steps(kind)
        monkeypatch.setitem(all_trainer_types, "replay", trainer_class)
        torch.manual_seed(0)
        train(task(), settings, tmp_path / folder)
        found.append(trainer_class)
    ours, own = found
    assert {type(steps) for steps in ours.noted} == {SegmentSteps}
    assert {type(steps) for steps in own.noted} == {list}
    rewards = [[step.reward for steps in each.noted for step in steps] for each in found]
    assert rewards[0] == rewards[1]


def _noting_steps(kind: type[AgentManager]) -> Any:
    """A trainer that notes the steps of its trajectories, which a manager of this kind makes."""

    class Noting(RecordingReplayTrainer):
        agent_manager = kind
        noted: ClassVar[list[Any]] = []

        @staticmethod
        def get_trainer_name() -> str:
            return "replay"

        def _process_trajectory(self, trajectory: Trajectory) -> None:
            self.noted.append(trajectory.steps)
            super()._process_trajectory(trajectory)

    return Noting


def test_rollout_trainer_computes_returns(tmp_path: Path) -> None:
    """With values of 0 the advantage is the return, and the reward of a terminal step is the whole of it."""
    trainer = train(Corridor(), config("rollout", buffer_size=50), tmp_path)
    batch, num_sequences = trainer.optimizer.batches[0]
    assert num_sequences == batch.num_experiences
    returns = batch[RewardSignalUtil.returns_key("extrinsic")]
    np.testing.assert_allclose(batch[BufferKey.ADVANTAGES], returns)
    ends = np.flatnonzero(batch[BufferKey.DONE])
    np.testing.assert_allclose(returns[ends], batch[BufferKey.ENVIRONMENT_REWARDS][ends], rtol=1e-5)


def test_replay_trainer_updates_at_its_ratio(tmp_path: Path) -> None:
    """One update in 5 agent steps, once a batch is in."""
    trainer = train(Corridor(), config("replay", steps_per_update=5), tmp_path)
    assert len(trainer.optimizer.batches) == pytest.approx(trainer.get_step / 5, abs=16 / 5 + 8)


@pytest.mark.parametrize("buffer_size", [16, 17, 64])
@pytest.mark.parametrize("warm_up", [0, 63, 64, 65, 200])
@pytest.mark.parametrize("memory", [None, {"memory_size": 4, "sequence_length": 4}], ids=["feed-forward", "memory"])
def test_replay_trainer_warms_up_by_the_steps_that_were_given(
    buffer_size: int, warm_up: int, memory: dict | None, tmp_path: Path
) -> None:
    """As ML-Agents' SAC: a replay that is smaller than the warm-up, or a batch, and has open segments, learns too."""
    settings = config("replay", buffer_size=buffer_size, buffer_init_steps=warm_up, steps_per_update=5)
    settings["network_settings"]["memory"] = memory
    trainer = train(Corridor(), settings, tmp_path)
    due = (trainer.get_step - max(warm_up, 16)) / 5
    assert len(trainer.optimizer.batches) == pytest.approx(due, abs=8)


def test_replay_that_holds_nothing_but_open_ends_is_refused(tmp_path: Path) -> None:
    """64 agents with segments of one step: when an agent's next step comes, the one before is overwritten."""
    settings = {**config("replay", max_steps=4000, buffer_size=16), "time_horizon": 1}
    with pytest.raises(TrainerConfigError, match=r"^Toy: hyperparameters: buffer_size: 16 is not valid; the open segm"):
        train(Corridor(64), settings, tmp_path)
    settings["hyperparameters"]["buffer_size"] = 640
    assert len(train(Corridor(64), settings, tmp_path / "larger").optimizer.batches) > 100


def test_rollout_that_is_longer_than_the_run_is_learned_from(tmp_path: Path) -> None:
    """Once, at the end."""
    trainer = train(Corridor(), config("rollout", buffer_size=5000, max_steps=200), tmp_path)
    assert len(trainer.optimizer.batches) == 1


def test_replay_trainer_gives_n_step_rewards_and_discounts(tmp_path: Path) -> None:
    """Two steps of -0.05 at γ 0.99 or what the episode's end leaves; the discount is 0 after the goal only."""
    trainer = train(Corridor(), config("replay"), tmp_path)
    batch, _ = trainer.optimizer.batches[-1]
    reward, discount = (np.asarray(batch[key("extrinsic")]) for key in (RewardSignalUtil.rewards_key, discount_key))
    values = [-0.05, -0.05 - 0.05 * 0.99, 0.95, -0.05 + 0.95 * 0.99]
    assert np.isclose(reward[:, None], values, atol=1e-5).any(axis=1).all()
    at_goal = np.isclose(reward[:, None], values[2:], atol=1e-5).any(axis=1)
    np.testing.assert_array_equal(discount == 0, at_goal)


def test_replay_trainer_resumes_with_its_replay(tmp_path: Path) -> None:
    """save_replay_buffer brings the transitions back; without it the replay starts empty."""
    kept = []
    for save in (True, False):
        folder = tmp_path / str(save)
        train(Corridor(), config("replay", save_replay_buffer=save), folder)
        again = train(Corridor(), config("replay", max_steps=420, save_replay_buffer=save), folder, resume=True)
        kept.append(again.update_buffer.num_experiences)
    assert kept[0] > 350
    assert kept[1] < 100


@pytest.mark.parametrize("content", [b"garbage", None])
def test_replay_trainer_refuses_a_replay_that_does_not_fit(tmp_path: Path, content: bytes | None) -> None:
    """A damaged file, or that of another behaviour, is named with the remedy."""
    settings = config("replay", max_steps=100, save_replay_buffer=True)
    train(Corridor(), settings, tmp_path / "run")
    file = tmp_path / "run" / "Toy" / REPLAY_FILE_NAME
    if content is None:
        train(Recall(), settings, tmp_path / "other")
        content = (tmp_path / "other" / "Toy" / REPLAY_FILE_NAME).read_bytes()
    file.write_bytes(content)
    with pytest.raises(TrainerConfigError, match=r"last_replay_buffer.*Delete it"):
        train(Corridor(), settings, tmp_path / "run", resume=True)


def test_replay_trainer_refuses_a_replay_beyond_memory(tmp_path: Path) -> None:
    """Before the first step, one line names the behaviour, the key, its value and the largest that fits."""
    settings = config("replay", buffer_size=10**12)
    with pytest.raises(TrainerConfigError, match=r"^Toy: buffer_size 1000000000000 needs .* TB .* that fits is \d+\.$"):
        train(Corridor(), settings, tmp_path)


def test_normalization_follows_the_replayed_data(tmp_path: Path) -> None:
    """With `normalize: true` the statistics have seen every step."""
    trainer = train(Corridor(), config("replay"), tmp_path)
    normalizer = trainer.policy.actor.network_body.processors[0].normalizer
    assert normalizer.normalization_steps.item() == trainer.get_step + 1


def test_normalization_may_follow_each_trajectory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trainer that `normalizes_on_arrival` counts every step once, those of the open rollout too."""
    monkeypatch.setattr(all_trainer_types["rollout"], "normalizes_on_arrival", True)
    trainer = train(Corridor(), config("rollout", buffer_size=50), tmp_path)
    normalizer = trainer.policy.actor.network_body.processors[0].normalizer
    assert normalizer.normalization_steps.item() == trainer.get_step + 1


@pytest.mark.parametrize("trainer_type", ["replay", "rollout"])
def test_normalization_stops_where_it_is_told_to(tmp_path: Path, trainer_type: str) -> None:
    """Steps beyond `normalize_steps` are not counted, but for those that come in one go with the last one."""
    trainer = train(Corridor(), config(trainer_type, buffer_size=32, normalize_steps=100), tmp_path)
    normalizer = trainer.policy.actor.network_body.processors[0].normalizer
    assert trainer.get_step > 200
    assert 60 <= normalizer.normalization_steps.item() <= 135


def test_normalization_follows_after_each_rollout(tmp_path: Path) -> None:
    """With `normalize: true` the statistics have seen the rollouts that were learnt from, and no other step."""
    trainer = train(Corridor(), config("rollout", buffer_size=50), tmp_path)
    normalizer = trainer.policy.actor.network_body.processors[0].normalizer
    learnt = sum(batch.num_experiences for batch, _ in trainer.optimizer.batches)
    assert normalizer.normalization_steps.item() == learnt + 1


def test_inference_stores_nothing(tmp_path: Path) -> None:
    """No rollout, no update and no checkpoint."""
    train(Corridor(), config("rollout"), tmp_path)
    files = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    trainer = train(Corridor(max_steps=50), config("rollout"), tmp_path, resume=True, inference=True)
    assert trainer.update_buffer.num_experiences == 0
    assert not trainer.optimizer.batches
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == files


class Spoilt(Corridor):
    """A corridor that after some steps gives NaN as an observation, or an infinite reward."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what
        self.acted = 0

    def act(self, action):
        """Counts, and spoils the reward."""
        reward, *ends = super().act(action)
        self.acted += 1
        return (reward * np.inf if self.what == "reward" and self.acted > 20 else reward), *ends

    def observe(self):
        """Spoils the observation."""
        factor = np.nan if self.what == "observation" and self.acted > 20 else 1.0
        return [rows * np.float32(factor) for rows in super().observe()]


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("trainer_type", ["replay", "rollout"])
@pytest.mark.parametrize(
    ("what", "threaded", "message"),
    [
        ("observation", False, r"^Toy: sensor obs_0 of agent \S+ is nan\. Look for a division"),
        ("reward", False, r"^Toy: the reward of agent \S+ is -?inf\. Look for a division"),
        ("reward", True, r"^Toy: the reward of agent \S+ is -?inf\. Look for a division"),
    ],
)
def test_numbers_that_are_not_finite_end_the_run(tmp_path: Path, trainer_type, what, threaded, message) -> None:
    """Behaviour, sensor, agent and value are named, also if the trainer runs in a thread of its own."""
    with pytest.raises(UnityTrainerException, match=message):
        train(Spoilt(what), {**config(trainer_type, buffer_size=100), "threaded": threaded}, tmp_path)


@pytest.mark.parametrize("trainer_type", ["replay", "rollout"])
@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, r"^Recorder\.update must return a dictionary of statistics by TensorBoard tag, not None$"),
        ({"Policy/Mood": "good"}, r"^Recorder\.update must return numbers, .*; 'Policy/Mood' is 'good'$"),
        ({"Policy/Mood": None}, r"^Recorder\.update must return numbers, .*; 'Policy/Mood' is None$"),
    ],
)
def test_what_update_returns_is_named_where_it_is_no_statistic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trainer_type: str, returned: object, message: str
) -> None:
    """A forgotten `return` ends the run with the method's name, a word with its tag."""
    monkeypatch.setattr(Recorder, "update", lambda *_: returned)
    with pytest.raises(TypeError, match=message):
        train(Corridor(), config(trainer_type, buffer_size=50), tmp_path)


@pytest.mark.parametrize("trainer", [RecordingReplayTrainer, RecordingRolloutTrainer])
def test_policy_that_was_not_returned_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trainer: type) -> None:
    """A forgotten `return` in `create_policy`."""
    monkeypatch.setattr(trainer, "create_policy", lambda *_: None)
    trainer_type = "replay" if trainer is RecordingReplayTrainer else "rollout"
    with pytest.raises(TypeError, match=rf"^{trainer.__name__}\.create_policy must return the policy, not None$"):
        train(Corridor(), config(trainer_type), tmp_path)


@pytest.mark.parametrize("trainer_type", ["replay", "rollout"])
def test_update_that_is_not_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trainer_type: str
) -> None:
    """ML-Agents' own does nothing, and stands in for a misspelt one; said before the first step."""
    monkeypatch.delattr(Recorder, "update")
    task = Corridor()
    with pytest.raises(TypeError, match=r"^Recorder\.update is not written$"):
        train(task, config(trainer_type, buffer_size=50), tmp_path)
    assert not task.returns
