"""The README: its tables, its commands with what they print, and its program."""

import re
import shlex
from pathlib import Path

import pytest

from good_model import write_good_model
from mlagents_onnx_check import RULES
from mlagents_onnx_check.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```console\n\$ mlagents-onnx-check (.*?)\n(.*?)^```$", README, re.M | re.S)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the README names."""
    monkeypatch.chdir(tmp_path)
    write_good_model(tmp_path / "Car.onnx")
    (tmp_path / "Car.pt").write_bytes(b"PK\x03\x04 and more")
    return tmp_path


def test_readme_lists_every_rule_and_no_other() -> None:
    """What the command may say is explained, in its words and order."""
    section = README.partition("\n## What is checked\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(.+)` \| (.+) \|$", section, re.M) == list(RULES.items())


def test_readme_has_examples() -> None:
    """A model that is accepted, one that is not, and what is no model."""
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize(("arguments", "expected"), EXAMPLES)
def test_example_prints_what_the_readme_says(
    folder: Path, capsys: pytest.CaptureFixture, arguments: str, expected: str
) -> None:
    """To the letter."""
    main(shlex.split(arguments))
    printed = capsys.readouterr()
    assert "".join(f"{line.rstrip()}\n" for line in (printed.out + printed.err).splitlines()) == expected


def test_program_of_the_readme_runs(folder: Path) -> None:
    """Its model fits its behaviour."""
    (program,) = re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S)
    exec(program, {})


def test_ci_step_of_the_readme_accepts_the_model(folder: Path) -> None:
    """The line that CI runs, on the model under its place in a project."""
    (arguments,) = re.findall(r"^      - run: mlagents-onnx-check (.*)$", README, re.M)
    model = Path("Assets", "Models", "Car.onnx")
    model.parent.mkdir(parents=True)
    Path("Car.onnx").rename(model)
    assert main(shlex.split(arguments)) == 0
