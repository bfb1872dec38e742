"""The scenes against recordings of the engine, where these are at hand."""

import os
from pathlib import Path

import numpy as np
import pytest

from mlagents_player import cli, demonstrations, fidelity, physics
from mlagents_player.errors import PlayerError
from mlagents_player.scenes.ball3d import Ball3D
from mlagents_player.scenes.basic import Basic

FOLDER = os.environ.get("MLAGENTS_REFERENCE_DATA")
recorded = pytest.mark.skipif(not FOLDER, reason="MLAGENTS_REFERENCE_DATA names no folder of recordings")


def recording(name: str) -> demonstrations.Demonstration:
    return demonstrations.read(Path(FOLDER or "") / f"Expert{name}.demo")


@recorded
def test_basic_is_reproduced_exactly() -> None:
    """Every observation, reward and end of the recording."""
    comparison = fidelity.compare(Basic, recording("Basic"))
    assert np.array_equal(comparison.predicted, comparison.recorded)
    assert comparison.equal_rewards == comparison.equal_ends == len(comparison.recorded) == 72


@recorded
def test_3dball_is_close_to_the_engine() -> None:
    """Every component is predicted at least 15 times better than by "nothing changes", height 200 times."""
    comparison = fidelity.compare(Ball3D, recording("3DBall"))
    ratio = comparison.change / comparison.error
    assert len(comparison.recorded) == 548
    assert (ratio > 15).all()
    assert (ratio[[3, 6]] > 200).all()
    assert (ratio[:2] > 10_000).all()
    assert comparison.equal_rewards == comparison.equal_ends == 548


@recorded
@pytest.mark.parametrize(
    ("constant", "value"),
    [("FRICTION", 0.0), ("CONTACT_OFFSET", 0.0), ("CORRECTION", 0.4), ("RESTITUTION", 0.3), ("INERTIA", 1.0)],
)
def test_3dball_depends_on_each_constant(constant: str, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a wrong constant the comparison fails: it can tell."""
    monkeypatch.setattr(physics, constant, value)
    comparison = fidelity.compare(Ball3D, recording("3DBall"))
    assert ((comparison.change / comparison.error)[2:] < 15).any()


@recorded
def test_fidelity_command_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """One row a component, next to "nothing changes"."""
    assert cli.main(["fidelity", "3DBall"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["component", "error", "nothing", "changes", "ratio"]
    assert [line.split()[0] for line in lines[1:9]] == ["rotation"] * 2 + ["position"] * 3 + ["velocity"] * 3


@recorded
def test_fidelity_refuses_a_recording_of_another_scene() -> None:
    """Sizes that do not fit are named."""
    with pytest.raises(PlayerError, match="20 observations and 1 actions"):
        fidelity.compare(Ball3D, recording("Basic"))


def test_fidelity_needs_a_recording(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a file and without the variable one line says how to give one."""
    monkeypatch.delenv("MLAGENTS_REFERENCE_DATA", raising=False)
    assert cli.main(["fidelity", "Basic"]) == 1
    assert "--demo FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer, not the file itself"),
        (b"\x08\x06\x12\x07pytorch\x1a\x032.0", r"is no \.demo file but a model \(\.onnx\)"),
        (b"<html>", "is an HTML page, not the file itself"),
    ],
)
def test_recording_that_is_something_else_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    """The file, what it is and what to do."""
    file = tmp_path / "a.demo"
    file.write_bytes(content)
    with pytest.raises(PlayerError, match=rf"a\.demo {says}"):
        demonstrations.read(file)


@pytest.mark.parametrize("content", [b"", b"not a recording at all, but long enough to be read", b"\xff" * 99])
def test_read_refuses_garbage(content: bytes, tmp_path: Path) -> None:
    """What is no recording is one clear error."""
    path = tmp_path / "x.demo"
    path.write_bytes(content)
    with pytest.raises(PlayerError, match=r"x\.demo is (no|empty)"):
        demonstrations.read(path)


def test_read_of_a_missing_file(tmp_path: Path) -> None:
    """A missing file is named."""
    with pytest.raises(PlayerError, match=r"none\.demo"):
        demonstrations.read(tmp_path / "none.demo")
