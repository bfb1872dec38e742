"""What survives a resume: parts by name, the format of checkpoints, and those of the first release."""

from pathlib import Path
from typing import Any

import pytest
from mlagents.plugins import all_trainer_types
from mlagents.torch_utils import torch
from mlagents.trainers.exception import TrainerConfigError

from mlagents_plugin_shared.run.checkpoint_files import read_checkpoint
from mlagents_plugin_shared.run.parts import FORMAT, Part, load_parts, read_parts, save_parts
from mlagents_plugin_shared.testing import BEHAVIOR, Corridor, rewrite_as_0_1, train
from recording import RecordingReplayTrainer, config, registered  # noqa: F401 - a fixture

OF_0_1: dict[str, Any] = {
    "trainer_type": "dqn",
    "acting": {"torch": "t", "explorers": {"Toy?team=0": [1]}},
    "numpy": "n",
    "reward_buffer": [3.0],
    "returns": [1.0, 2.0],
    "best": 2.5,
    "skipped": 4,
    "learned_signals": ["rnd"],
    "updates_due": 0.5,
    "reward_updates_due": 0.25,
    "transitions": 7,
    "generators": {"replay": "g"},
    "demonstration_priorities": None,
}


def kept_in(states: dict[str, Any], names: str) -> dict[str, Part]:
    """Parts that note, in this order, what they took up."""
    return {name: Part(dict, lambda state, name=name: states.update({name: state})) for name in names}


def test_parts_are_taken_up_from_last_to_first() -> None:
    """So streams of chance, the first part, are as they were saved, even if another part draws from them."""
    saved = save_parts("mine", {name: Part(lambda name=name: {"is": name}, dict) for name in "abc"})
    states: dict[str, Any] = {}
    load_parts(kept_in(states, "abc"), read_parts(saved, {}, "Toy").states, "Toy")
    assert list(states.items()) == [(name, {"is": name}) for name in "cba"]


def test_part_that_was_not_saved_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    """With a warning: an author may add a part to a trainer that has checkpoints."""
    states: dict[str, Any] = {}
    load_parts(kept_in(states, "ab"), {"a": {"x": 1}}, "Toy")
    assert states == {"a": {"x": 1}}
    assert "Toy: the checkpoint holds nothing of b: it begins anew." in caplog.text


def test_state_of_a_release_that_kept_less_is_taken_up_as_far_as_it_goes(caplog: pytest.LogCaptureFixture) -> None:
    """With a warning that names the part and what it lacks; the other parts are taken up."""
    states: dict[str, Any] = {}
    newer = Part(dict, lambda state: state["added"])
    load_parts({**kept_in(states, "a"), "b": newer}, {"a": {"x": 1}, "b": {"x": 1}}, "Toy")
    assert states == {"a": {"x": 1}}
    assert "Toy: what the checkpoint holds of b lacks 'added': what differs begins anew." in caplog.text


def test_newer_format_is_refused() -> None:
    """By the behaviour's name, with what to install."""
    with pytest.raises(TrainerConfigError, match=rf"^Toy: the checkpoint is of format {FORMAT + 1}, .*newer one\.$"):
        read_parts({"format": FORMAT + 1, "trainer_type": "dqn"}, {}, "Toy")


@pytest.mark.parametrize("written", ["x", None, 0, -1, 1.5])
def test_format_that_is_none_is_refused(written: Any) -> None:
    """A file that somebody else wrote is not taken for one of the first release."""
    with pytest.raises(TrainerConfigError, match=r"^Toy: the checkpoint is of format "):
        read_parts({"format": written, "trainer_type": "dqn"}, {}, "Toy")


def test_checkpoint_of_ml_agents_has_no_parts() -> None:
    """It holds modules only."""
    assert read_parts({}, {"Policy": {}}, "Toy") == (None, {})


def test_states_of_the_first_release_find_their_parts() -> None:
    """What stood side by side, and a count that was a module; modules with parameters are none."""
    modules = {"Policy": {"w": 1}, "Optimizer:updates": {"_extra_state": 9}, "Trainer": OF_0_1}
    assert read_parts(OF_0_1, modules, "Toy") == (
        "dqn",
        {
            "chance": {"torch": "t", "numpy": "n", "policies": {"Toy?team=0": [1]}},
            "summary": {},
            "episodes": {"returns": [1.0, 2.0], "reward_buffer": [3.0]},
            "goals": {"best": 2.5},
            "optimizer": {"skipped": 4, "learned_signals": ["rnd"], "updates": 9},
            "updates": {"updates_due": 0.5, "reward_updates_due": 0.25},
            "replay": {"transitions": 7, "generators": {"replay": "g"}, "demonstration_priorities": None},
        },
    )


class Counting(RecordingReplayTrainer):
    """A trainer of an author with a part of its own."""

    rounds_seen = 0

    def advance(self) -> None:
        """Counts."""
        self.rounds_seen += 1
        super().advance()

    def parts(self) -> dict:
        """Adds the count."""

        def load(state: dict) -> None:
            self.rounds_seen = state["seen"]

        return {**super().parts(), "count": Part(lambda: {"seen": self.rounds_seen}, load)}


@pytest.mark.usefixtures("registered")
def test_part_of_an_author_survives_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One method is all that it takes."""
    monkeypatch.setitem(all_trainer_types, "replay", Counting)
    first = train(Corridor(), config("replay"), tmp_path)
    again = train(Corridor(), config("replay"), tmp_path, resume=True)
    assert again.rounds_seen == first.rounds_seen > 0


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("trainer_type", ["replay", "rollout"])
def test_checkpoint_as_the_first_release_wrote_it_resumes(tmp_path: Path, trainer_type: str) -> None:
    """Returns, best score and all else go on."""
    settings = config(trainer_type, buffer_size=50)
    if trainer_type == "replay":
        settings["hyperparameters"]["save_replay_buffer"] = True
    train(Corridor(), settings, tmp_path)
    file = tmp_path / BEHAVIOR / "checkpoint.pt"
    before = read_checkpoint(file)["Trainer"]
    assert before["format"] == FORMAT
    rewrite_as_0_1(file, {"explorers": {}})
    assert "format" not in torch.load(file, weights_only=True)["Trainer"]
    train(Corridor(), settings, tmp_path, resume=True)  # it has reached max_steps, and only saves again
    after = read_checkpoint(file)["Trainer"]
    assert after["parts"].keys() == before["parts"].keys()
    for name in ("episodes", "goals", "summary", "optimizer", "updates"):
        assert after["parts"].get(name) == before["parts"].get(name)
