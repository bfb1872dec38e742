"""The models that come with the package."""

import pytest
import yaml

from mlagents_player import cli, pretrained, scenes
from mlagents_player.scenes.base import base_name

NAMES = pretrained.names()


@pytest.mark.parametrize("name", NAMES)
def test_model_of_every_behavior_with_settings_and_card(name: str) -> None:
    """All that its card promises lies beside it."""
    folder, scene = pretrained.find(name)
    behaviors = set(map(base_name, scenes.load(scene).behaviors))
    assert {model.stem for model in folder.glob("*.onnx")} == behaviors
    settings = yaml.safe_load((folder / "configuration.yaml").read_text("utf-8"))["behaviors"]
    assert {behavior: trainer["trainer_type"] for behavior, trainer in settings.items()} == dict.fromkeys(
        behaviors, name.partition("/")[0]
    )
    assert f"--pretrained {name}`" in (folder / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_model_plays_its_scene(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By its name alone."""
    assert cli.main(["watch", "--pretrained", name, "--episodes", "1", "--longest", "50"]) == 0
    assert ": return " in capsys.readouterr().out


def test_list_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the scenes are named."""
    cli.main(["list"])
    assert capsys.readouterr().out.endswith(f"watch --pretrained plays: {', '.join(NAMES)}\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--pretrained", "pqn/Hallwy"], "There is no pretrained model pqn/Hallwy. Did you mean pqn/Hallway?"),
        (["--pretrained", "zzz"], f"There is no pretrained model zzz. There are: {', '.join(NAMES)}."),
        (["random", "Basic", "--pretrained", NAMES[0]], "brings its model and scene; leave random out."),
        (["random"], "watch needs MODEL and SCENE"),
        ([], "watch needs MODEL and SCENE"),
    ],
)
def test_watch_says_which_model_is_meant(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line and code 1."""
    assert cli.main(["watch", *arguments]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
