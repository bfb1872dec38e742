"""The README's examples in Python, as they stand there."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mlagents_player import cli, scenes
from player_testing import in_editor, random_step

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[scenes.Scene]]:
    """The example, saved and registered by an entry point of a distribution of its own."""
    (code,) = re.findall(r'```python\n(""".*?)```', README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(code.splitlines()) <= 45
    (tmp_path / "reach.py").write_text(code, encoding="utf-8")
    metadata = tmp_path / "reach-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: reach\nVersion: 1.0\n", encoding="utf-8")
    (entry,) = re.findall(r"\nReach = .*\n", README.read_text(encoding="utf-8"))
    (metadata / "entry_points.txt").write_text(f"[{scenes.GROUP}]{entry}".replace('"', ""), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield scenes.load("Reach")
    sys.modules.pop("reach", None)


def test_example_is_a_scene_like_the_others(
    reach: type[scenes.Scene], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is listed, plays for the trainer, and draws itself."""
    cli.main(["list"])
    assert "run along a line to a target" in capsys.readouterr().out
    with in_editor(reach) as environment:
        rng = np.random.default_rng(0)
        assert [random_step(environment, "Reach", rng) for _ in range(3)] == [16, 16, 16]
    assert cli.main(["watch", "random", "Reach", "--episodes", "2", "--output", str(tmp_path / "reach.gif")]) == 0


def test_example_refuses_a_misspelt_parameter(reach: type[scenes.Scene]) -> None:
    """It declares its one parameter."""
    assert reach.parameter_names == ("speed",)


def test_example_without_a_trainer_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Chance loses balls in the scene that it makes."""
    section = README.read_text(encoding="utf-8").split("\n## Python, without a trainer\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    exec(code, {})
    (lost,) = re.fullmatch(r"3DBall: (\d+) balls lost\n", capsys.readouterr().out).groups()
    assert int(lost) > 24
