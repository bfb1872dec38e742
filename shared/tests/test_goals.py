"""The best policy is kept, and a run ends where it is good enough."""

from pathlib import Path

import pytest
from mlagents.trainers.exception import TrainerConfigError

from mlagents_plugin_shared.run.checkpoint_files import read_checkpoint
from mlagents_plugin_shared.testing import BEHAVIOR, train
from recording import registered  # noqa: F401 - a fixture
from short_runs import Paying, names, parts_of, settings, steps_of

pytestmark = pytest.mark.usefixtures("registered")

RISE_AND_FALL = [0.1] * 20 + [0.9] * 40 + [0.2] * 40


def test_best_policy_is_kept(tmp_path: Path) -> None:
    """The mean of the last 40 episodes is best at a summary near the end of the rise; keep_checkpoints 1 leaves it."""
    best = {"keep_best": True, "reward_window": 40}
    train(Paying(RISE_AND_FALL), settings(hyperparameters=best, keep_checkpoints=1), tmp_path)
    assert {f"{BEHAVIOR}-best.pt", f"{BEHAVIOR}-best.onnx"} <= names(tmp_path)
    saved = read_checkpoint(tmp_path / BEHAVIOR / f"{BEHAVIOR}-best.pt")
    assert parts_of(saved)["goals"]["best"] == pytest.approx(0.9)
    assert 20 * 4 + 40 <= saved["global_step"]["_GlobalSteps__global_step"].item() <= 60 * 4 + 40
    assert len(steps_of(tmp_path)) == 1


def test_best_policy_survives_a_resume(tmp_path: Path) -> None:
    """A resumed run with lower rewards leaves the file as it is; one with higher rewards replaces it."""
    best = {"keep_best": True, "reward_window": 40}
    file = tmp_path / BEHAVIOR / f"{BEHAVIOR}-best.pt"
    train(Paying([0.5]), settings(hyperparameters=best), tmp_path)
    kept = file.read_bytes()
    train(Paying([0.2]), settings(max_steps=600, hyperparameters=best), tmp_path, resume=True)
    assert file.read_bytes() == kept
    train(Paying([0.7]), settings(max_steps=800, hyperparameters=best), tmp_path, resume=True)
    assert parts_of(read_checkpoint(file))["goals"]["best"] == pytest.approx(0.7)


def test_no_best_policy_without_the_key_or_before_the_window_is_full(tmp_path: Path) -> None:
    """The control."""
    train(Paying([0.5]), settings(), tmp_path / "without")
    few = {"keep_best": True, "stop_at_reward": 0.1, "reward_window": 1000}
    trainer = train(Paying([0.5]), settings(hyperparameters=few), tmp_path / "few")
    assert trainer.get_step == 404
    for run_name in ("without", "few"):
        assert f"{BEHAVIOR}-best.pt" not in names(tmp_path / run_name)


@pytest.mark.parametrize("threaded", [False, True])
def test_run_ends_where_it_is_good_enough(tmp_path: Path, threaded: bool) -> None:
    """As after max_steps: final models are there; and a resume ends at once, unless more is asked for."""
    goal = {"stop_at_reward": 0.8, "reward_window": 40}
    trainer = train(Paying(RISE_AND_FALL), settings(hyperparameters=goal, threaded=threaded), tmp_path)
    stopped = trainer.get_step
    assert 100 <= stopped < 400
    assert (tmp_path / f"{BEHAVIOR}.onnx").exists()
    assert steps_of(tmp_path)[-1] == stopped
    again = train(Paying([0.0]), settings(hyperparameters=goal), tmp_path, resume=True)
    assert again.get_step == stopped
    more = {**goal, "stop_at_reward": 2.0}
    assert train(Paying([0.0]), settings(hyperparameters=more), tmp_path, resume=True).get_step > 400


@pytest.mark.parametrize("key", [{"keep_best": True}, {"stop_at_reward": 0.5}])
def test_goals_are_refused_in_self_play(tmp_path: Path, key: dict) -> None:
    """There the reward does not say how good a policy is."""
    with pytest.raises(
        TrainerConfigError, match=r"^Toy: hyperparameters: \w+: \S+ is not valid; beside self_play.*ELO\.$"
    ):
        train(Paying([0.5]), settings(hyperparameters=key, self_play={"save_steps": 10}), tmp_path)
