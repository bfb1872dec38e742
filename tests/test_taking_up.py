"""What a run takes up from files: its own, those of another run, of another optimizer or of another trainer."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.exception import TrainerConfigError
from starting import STEPS, TRAINERS, Alone, TwoBehaviors, files, settings, start, step_of

from mlagents_plugin_shared.run import checkpoint_files
from mlagents_plugin_shared.run.checkpoint_files import read_checkpoint, run_folder_of
from mlagents_plugin_shared.run.checkpoints import CheckpointSaver
from mlagents_plugin_shared.testing import Match

OTHER_ACTIONS = r"the same outputs stand for other discrete actions, \[3, 2\] there and \[2, 3\] here"
OPTIMIZERS = [
    ("dqn", "adam", "rmsprop"),
    ("dqn", "rmsprop", "adam"),
    ("a2c", "adam", "rmsprop"),
    ("a2c", "rmsprop", "rmsprop_tf"),
    ("a2c", "rmsprop_tf", "adam"),
]


def checkpoint(folder: Path, behavior: str = "Toy", run_id: str = "x") -> Path:
    """Path of a run's checkpoint."""
    return folder / "results" / run_id / behavior / "checkpoint.pt"


@pytest.mark.parametrize("trainer_type", TRAINERS)
def test_resume_prefers_its_own_checkpoint_to_init_path(tmp_path: Path, trainer_type: str) -> None:
    """Of both behaviours, one of which begins from a file at first; the file need not be there any more."""
    start(tmp_path, {"Toy": settings(trainer_type)}, Alone(), run_id="origin")
    init_path = str(checkpoint(tmp_path, run_id="origin"))

    def behaviors(steps: int) -> dict[str, Any]:
        return {
            "Toy": settings(trainer_type, max_steps=steps, init_path=init_path),
            "Group/Other": settings(trainer_type, max_steps=steps),
        }

    start(tmp_path, behaviors(200), TwoBehaviors())
    reached = step_of(tmp_path)
    assert 200 <= reached < 300  # it began at 0
    for number, goal in enumerate((300, 400)):
        start(tmp_path, behaviors(goal), TwoBehaviors(), "resume")
        assert goal <= step_of(tmp_path) < goal + 50
        if number == 0:
            shutil.rmtree(tmp_path / "results" / "origin")


@pytest.mark.parametrize(("trainer_type", "first", "second"), OPTIMIZERS)
@pytest.mark.parametrize("mode", ["resume", "initialize"])
def test_moments_of_another_optimizer_begin_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, trainer_type: str, first: str, second: str, mode: str
) -> None:
    """The run goes on, with one warning; the networks are taken up."""
    start(tmp_path, {"Toy": settings(trainer_type, {"optimizer": first})}, Alone())
    reached = step_of(tmp_path)
    place = {"initialize_from": "x", "run_id": "y"} if mode == "initialize" else {}
    goal = STEPS if place else reached + 100
    values = settings(trainer_type, {"optimizer": second}, max_steps=goal)
    with caplog.at_level("WARNING"):
        start(tmp_path, {"Toy": values}, Alone(), "first" if place else "resume", **place)
    assert goal <= step_of(tmp_path, run_id=place.get("run_id", "x")) < goal + 50
    (warned,) = [record.message for record in caplog.records if "does not fit" in record.message]
    assert re.match(r"Toy: \S+\.pt does not fit .* starts anew: Optimizer:value_optimizer: its moments are ", warned)


@pytest.mark.parametrize("trainer_type", TRAINERS)
def test_moments_of_the_same_optimizer_are_taken_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, trainer_type: str
) -> None:
    """The control."""
    for steps, mode in ((STEPS, "first"), (3 * STEPS, "resume")):
        with caplog.at_level("WARNING"):
            start(tmp_path, {"Toy": settings(trainer_type, max_steps=steps)}, Alone(), mode)
    assert "does not fit" not in caplog.text


def targets_after_loading(patch: pytest.MonkeyPatch) -> list[tuple[dict, dict]]:
    """Notes the parameters of online and target network once a checkpoint was taken up."""
    noted: list[tuple[dict, dict]] = []
    load = CheckpointSaver.initialize_or_load

    def noting(saver: CheckpointSaver, *arguments: Any) -> None:
        load(saver, *arguments)
        networks = [saver.modules[name].state_dict() for name in ("Policy", "Optimizer:target_network")]
        noted.append(tuple({name: tensor.clone() for name, tensor in network.items()} for network in networks))

    patch.setattr(CheckpointSaver, "initialize_or_load", noting)
    return noted


def same(first: dict, second: dict) -> bool:
    """Whether two networks are the same."""
    return all(torch.equal(first[name], second[name]) for name in first)


def without_target(file: Path) -> None:
    """A checkpoint without a target network, as of a plugin that saves none."""
    saved = read_checkpoint(file)
    del saved["Optimizer:target_network"]
    torch.save(saved, file)


@pytest.mark.parametrize("origin", ["a2c", "dqn without target", "dqn with another head"])
@pytest.mark.parametrize("mode", ["resume", "initialize"])
def test_target_network_follows_what_was_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: str, mode: str
) -> None:
    """Where the checkpoint has none that fits, it is the online network and not a random one."""
    start(tmp_path, {"Toy": settings(origin[:3], {"dueling": True} if "head" in origin else {})}, Alone())
    if "without" in origin:
        for file in (tmp_path / "results" / "x" / "Toy").glob("*.pt"):
            without_target(file)
    place = {"initialize_from": "x", "run_id": "y"} if mode == "initialize" else {}
    noted = targets_after_loading(monkeypatch)
    values = settings("dqn", {"save_replay_buffer": False, "dueling": False}, max_steps=2 * STEPS)
    start(tmp_path, {"Toy": values}, Alone(), "first" if place else "resume", **place)
    ((online, target),) = noted
    assert same(online, target)
    saved = read_checkpoint(next((tmp_path / "results" / "x" / "Toy").glob("Toy-*.pt")))["Policy"]
    assert any(name in saved and torch.equal(tensor, saved[name]) for name, tensor in online.items())


def test_target_network_of_the_checkpoint_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a resume takes up the one that was saved, which is older than the online network."""
    slow = {"target_update_interval": 100_000}
    start(tmp_path, {"Toy": settings("dqn", slow)}, Alone())
    noted = targets_after_loading(monkeypatch)
    start(tmp_path, {"Toy": settings("dqn", slow, max_steps=2 * STEPS)}, Alone(), "resume")
    ((online, target),) = noted
    assert not same(online, target)


NAMES = ["Group/Agent", "A/B/C", "Agent.v2", "An agent", "back\\slash", "[agent]*", "Agent-7"]


@pytest.mark.parametrize("trainer_type", TRAINERS)
@pytest.mark.parametrize("name", NAMES)
def test_behavior_may_have_any_name(tmp_path: Path, trainer_type: str, name: str, caplog) -> None:
    """Checkpoints, the best policy, the status, deletion and the final model; a damaged checkpoint is replaced."""
    best = {"keep_best": True, "reward_window": 4}

    def train(steps: int, mode: str = "first") -> None:
        values = settings(trainer_type, best, max_steps=steps, keep_checkpoints=2)
        start(tmp_path, {name: values}, Alone(f"{name}?team=0"), mode)

    train(200)
    run, last = tmp_path / "results" / "x", Path(name).name
    folder = run / name
    numbered = {int(file.stem.rpartition("-")[2]): file for file in folder.glob("*.pt") if file.stem[-1].isdigit()}
    assert len(numbered) == 2
    assert {file.name for file in numbered.values()} == {f"{last}-{step}.pt" for step in numbered}
    assert (folder / f"{last}-best.pt").exists()
    assert (folder / f"{last}-best.onnx").exists()
    assert Path(f"{folder}.onnx").exists()
    status = json.loads((run / "run_logs" / "training_status.json").read_text())[name]
    assert [entry["steps"] for entry in status["checkpoints"]] == sorted(numbered)
    assert {Path(entry["file_path"]).parent for entry in status["checkpoints"]} == {folder}

    for file in (folder / "checkpoint.pt", numbered[max(numbered)]):
        file.write_bytes(file.read_bytes()[:100])
    with caplog.at_level("WARNING"):
        train(400, "resume")
    assert f"Using {numbered[min(numbered)].name}, the newest that is whole" in caplog.text
    assert step_of(tmp_path, name) >= 400
    assert len([file for file in folder.glob("*.pt") if file.stem[-1].isdigit()]) == 2


class Widened(Match):
    """With the sensor of branches of 3 and 2, so that nothing but the actions is another."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.observation_shapes = ((6,),)

    def observe(self) -> list[np.ndarray]:
        return [super().observe()[0][:, :6]]


MEMORY = {"hidden_units": 8, "num_layers": 1, "memory": {"sequence_length": 4, "memory_size": 8}}


@pytest.mark.parametrize("trainer_type", TRAINERS)
@pytest.mark.parametrize("mode", ["resume", "initialize"])
def test_memory_may_be_added_and_taken_away(tmp_path: Path, trainer_type: str, mode: str) -> None:
    """The model says what the network is, and not what the one in the checkpoint was."""
    run_id, goal = "x", STEPS
    for number, change in enumerate(({}, {"network_settings": MEMORY}, {})):
        place = {"initialize_from": run_id} if mode == "initialize" and number else {}
        run_id = f"x{number}" if mode == "initialize" else "x"
        replay = {"save_replay_buffer": False} if "save_replay_buffer" in TRAINERS[trainer_type] else {}
        behaviors = {"Toy": settings(trainer_type, replay, max_steps=goal, **change)}
        start(tmp_path, behaviors, Alone(), "resume" if mode == "resume" and number else "first", run_id, **place)
        memory = read_checkpoint(checkpoint(tmp_path, run_id=run_id))["Policy"]["memory_size_vector"]
        assert memory.item() == (8 if change else 0)
        goal += STEPS if mode == "resume" else 0


@pytest.mark.parametrize("mode", ["resume", "initialize"])
@pytest.mark.parametrize(
    ("hyperparameters", "signals", "said"),
    [
        ({}, ("extrinsic", "rnd"), ""),
        ({}, ("extrinsic", "curiosity"), "values are of the reward_signals extrinsic, rnd,"),
        ({"value_rescaling": True}, ("extrinsic", "rnd"), "values are in another scale (another value_rescaling)"),
    ],
)
def test_values_that_mean_something_else_are_spoken_of(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    hyperparameters: dict[str, Any],
    signals: tuple[str, ...],
    said: str,
    mode: str,
) -> None:
    """Whether the run goes on or another begins from it; the same settings, the control, say nothing."""
    unsaved = {"save_replay_buffer": False}
    before = settings("dqn", unsaved, reward_signals={"extrinsic": {}, "rnd": {}})
    after = settings(
        "dqn", unsaved | hyperparameters, max_steps=2 * STEPS, reward_signals={name: {} for name in signals}
    )
    start(tmp_path, {"Toy": before}, Alone())
    caplog.clear()
    place = {"initialize_from": "x", "run_id": "y"} if mode == "initialize" else {}
    start(tmp_path, {"Toy": after}, Alone(), "resume" if mode == "resume" else "first", **place)
    assert (said in caplog.text) if said else ("values are" not in caplog.text)


@pytest.mark.parametrize(
    ("environment", "change", "fault"),
    [
        (
            Match(branches=(3, 2)),
            {"network_settings": MEMORY},
            r"no memory, but the behaviour has memory of shape \[8\]",
        ),
        (Widened(branches=(3, 3)), {}, r"action mask of shape \[5\], but the behaviour has action mask of shape \[6\]"),
    ],
)
def test_replay_of_another_memory_or_other_actions_is_refused(
    tmp_path: Path, environment: Match, change: dict[str, Any], fault: str
) -> None:
    """Its transitions could not stand beside new ones; the run stays as it was."""
    start(tmp_path, {"Toy": settings("dqn")}, Match(branches=(3, 2)))
    before = files(tmp_path)
    with pytest.raises(TrainerConfigError, match=rf"cannot be loaded: it holds {fault}"):
        start(tmp_path, {"Toy": settings("dqn", max_steps=2 * STEPS, **change)}, environment, "resume")
    assert files(tmp_path) == before


@pytest.mark.parametrize("trainer_type", TRAINERS)
def test_run_may_begin_from_one_with_other_actions(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, trainer_type: str
) -> None:
    """Outputs of the same shape that stand for others are warned of; the model states the new ones."""
    behaviors = {"Toy": settings(trainer_type)}
    start(tmp_path, behaviors, Match(branches=(3, 2)))
    with caplog.at_level("WARNING"):
        start(tmp_path, behaviors, Match(branches=(2, 3)), run_id="y", initialize_from="x")
    sizes = read_checkpoint(checkpoint(tmp_path, run_id="y"))["Policy"]["discrete_act_size_vector"]
    assert sizes.tolist() == [[2, 3]]
    warnings = {
        "a2c": r"Policy: action_model\S+ is 3x8 in the checkpoint and 2x8 here, and \d more differ",
        "flashsac": f"Optimizer:critic: {OTHER_ACTIONS}",
    }
    assert re.search(warnings.get(trainer_type, f"Policy.*: {OTHER_ACTIONS}"), caplog.text)


@pytest.mark.parametrize("mode", ["resume", "initialize"])
def test_checkpoint_of_a_newer_format_is_refused(tmp_path: Path, mode: str) -> None:
    """One of a later release: nothing of it is taken up, and no file changes."""
    start(tmp_path, {"Toy": settings("dqn")}, Alone())
    file = checkpoint(tmp_path)
    saved = torch.load(file, weights_only=True)
    saved["Trainer"]["format"] += 1
    torch.save(saved, file)
    before = files(tmp_path)
    place = {"initialize_from": "x", "run_id": "y"} if mode == "initialize" else {}
    with pytest.raises(TrainerConfigError, match=r"^Toy: the checkpoint is of format \d+, "):
        start(tmp_path, {"Toy": settings("dqn")}, Alone(), "first" if place else "resume", **place)
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", ["/Agent", "../Agent"])
def test_behavior_whose_files_would_lie_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    """An absolute path as a name would lead out of the run's folder."""
    with pytest.raises(TrainerConfigError, match=r"outside of the run's folder; choose another Behavior Name"):
        start(tmp_path, {name: settings("dqn")}, Alone(f"{name}?team=0"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["Agent:1", "aux", "Group/Con.v2", "Walker?", "Team*", "Agent.", "Group /Agent"])
def test_behavior_whose_folder_windows_forbids_is_refused_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A training that can save nothing does not begin; elsewhere the name is as good as another."""
    own = tmp_path / "results" / "x" / name
    assert run_folder_of(name, own) == tmp_path / "results" / "x"
    monkeypatch.setattr(checkpoint_files, "_IS_WINDOWS", True)
    assert run_folder_of("Group/Agent", tmp_path / "Group" / "Agent") == tmp_path
    with pytest.raises(TrainerConfigError, match=r"which Windows does not allow; choose another Behavior Name"):
        run_folder_of(name, own)
    with pytest.raises(TrainerConfigError, match=r"Behavior 'aux': .* which Windows does not allow"):
        start(tmp_path, {"aux": settings("dqn")}, Alone("aux?team=0"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("trainer_type", TRAINERS)
def test_copy_of_a_run_deletes_none_of_its_files(tmp_path: Path, trainer_type: str) -> None:
    """ML-Agents notes checkpoints by path; keep_checkpoints counts and deletes those of the copy that is resumed."""
    start(tmp_path, {"Toy": settings(trainer_type, max_steps=200)}, Alone(), run_id="origin")
    shutil.copytree(tmp_path / "results" / "origin", tmp_path / "results" / "x")
    before = files(tmp_path / "results" / "origin")
    start(tmp_path, {"Toy": settings(trainer_type, max_steps=400, keep_checkpoints=1)}, Alone(), "resume")
    assert files(tmp_path / "results" / "origin") == before
    assert len(list((tmp_path / "results" / "x" / "Toy").glob("Toy-*.pt"))) == 1
