"""What `mlagents-onnx-check` prints, and what it exits with."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from good_model import ACTIONS, OBSERVATIONS
from mlagents_onnx_check import ModelFileError, check_model
from mlagents_onnx_check.cli import main
from onnx_changes import drop, mutate
from onnx_mutations import BEHAVIOR


def test_command_prints_and_exits_0_for_good_models(good: Path, capsys: pytest.CaptureFixture) -> None:
    """A line for a human, and what the model is for in the syntax of the options."""
    assert main([str(good), "--observations", *OBSERVATIONS, "--actions", *ACTIONS, "--deterministic"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{good}: accepted"
    assert second == "  observations 4 3x20x24 5x6, actions continuous:2 discrete:3,3, memory 8"


def test_command_exits_1_if_one_model_is_not_accepted(good: Path, capsys: pytest.CaptureFixture) -> None:
    """With the rule and Unity's message."""
    assert main([str(good), "--actions", "continuous:2"]) == 1
    printed = capsys.readouterr().out
    assert f"{good}: NOT accepted" in printed
    assert "error branch-count: Unity says: Discrete Action Size of the model does not match." in printed


def test_path_that_the_terminal_cannot_show_is_no_fault(good: Path, tmp_path: Path) -> None:
    """A pipe of Windows has cp1252: the exit code is that of an accepted model."""
    model = tmp_path / "日本.onnx"
    shutil.copy(good, model)
    run = [sys.executable, "-c", "import sys; from mlagents_onnx_check.cli import main; sys.exit(main())", str(model)]
    done = subprocess.run(run, env={**os.environ, "PYTHONIOENCODING": "cp1252"}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert rb"\u65e5\u672c.onnx: accepted" in done.stdout


def test_command_prints_json(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A list of reports, in the order of the command line."""
    bad = mutate(good, tmp_path / "bad.onnx", [drop("version_number")])
    assert main([str(good), str(bad), "--json"]) == 1
    reports = json.loads(capsys.readouterr().out)
    assert [(each["path"], each["accepted"]) for each in reports] == [(str(good), True), (str(bad), False)]
    assert reports[0]["findings"] == []
    assert reports[1]["findings"][0] == {
        "rule": "version-number",
        "message": 'Required constant "version_number" was not found in the model file.',
        "source": "unity",
        "level": "error",
    }


def test_command_exits_2_for_a_file_that_is_missing(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """One line on stderr that says where models are, and the other models are still checked."""
    missing = tmp_path / "model.onnx"
    assert main([str(missing), str(good)]) == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith(f"mlagents-onnx-check: {missing} does not exist: ML-Agents writes models as results/")
    assert printed.out.startswith(f"{good}: accepted")
    with pytest.raises(ModelFileError):
        check_model(missing)


def test_command_names_the_model_that_was_meant(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """For the folder of a run, and for the checkpoint beside the model."""
    model = tmp_path / "Ball.onnx"
    shutil.copy(good, model)
    checkpoint = tmp_path / "Ball.pt"
    checkpoint.write_bytes(b"PK\x03\x04 and more")
    assert main([str(tmp_path), str(checkpoint)]) == 2
    folder_line, checkpoint_line = capsys.readouterr().err.splitlines()
    assert folder_line == f"mlagents-onnx-check: {tmp_path} is a folder, not a .onnx file; check {model} instead"
    assert checkpoint_line.startswith(f"mlagents-onnx-check: {checkpoint} is no .onnx file but a zip archive")
    assert checkpoint_line.endswith(f"; check {model} instead")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("checkpoint.pt", b"PK\x03\x04 and more", "is no .onnx file but a zip archive, as checkpoints (.pt) are"),
        ("expert.demo", b"\x02\x08\x01".ljust(40, b"\0"), "is no .onnx file but a recorded demonstration (.demo)"),
        ("Basic.yaml", b"behaviors:\n  Basic: {}\n", "is no .onnx file but a text file"),
        ("run", None, "is a folder, not a .onnx file"),
    ],
)
def test_command_says_where_models_are(tmp_path: Path, capsys, name: str, content: bytes | None, said: str) -> None:
    """To whoever gives another file of a run, or a folder without a model."""
    file = tmp_path / name
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    assert main([str(file)]) == 2
    line = f"mlagents-onnx-check: {file} {said}; check results/<run-id>/<behavior>.onnx instead\n"
    assert capsys.readouterr().err == line


def test_command_expands_a_pattern(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The shells of Windows do not; a pattern of nothing is a file that is missing."""
    for name in ("b", "a"):
        shutil.copy(good, tmp_path / f"{name}.onnx")
    assert main([str(tmp_path / "*.onnx")]) == 0
    first_lines = capsys.readouterr().out.splitlines()[::2]
    assert first_lines == [f"{tmp_path / name}.onnx: accepted" for name in ("a", "b")]
    assert main([str(tmp_path / "*.nnx")]) == 2
    assert "*.nnx does not exist" in capsys.readouterr().err


def with_side_file(good: Path, folder: Path) -> Path:
    """The model with all weights in a file beside it."""
    model = folder / "model.onnx"
    options = {"save_as_external_data": True, "location": "model.onnx.data", "size_threshold": 0}
    onnx.save(onnx.load(good), model, **options)
    return model


def test_model_is_read_with_the_file_beside_it(good: Path, tmp_path: Path) -> None:
    """A control of the next test."""
    assert check_model(with_side_file(good, tmp_path), BEHAVIOR).accepted


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "{model} is without its weights: they lie in model.onnx.data, which is missing. Put model.onnx.data"),
        (b"version https://git-lfs.github.com/spec/v1\n", "{model} is without its weights: {model}.data is a Git LFS"),
        (b"\x00\x01", "{model} is without its weights: {model}.data is cut short: export or copy it again"),
        (b"", "{model} is without its weights: {model}.data is empty"),
    ],
)
def test_command_names_weights_that_are_missing(good: Path, tmp_path: Path, capsys, content, line: str) -> None:
    """It is not the model that is missing, and the remedy is to put its other file beside it."""
    model = with_side_file(good, tmp_path)
    side = tmp_path / "model.onnx.data"
    side.unlink()
    if content is not None:
        side.write_bytes(content)
    assert main([str(model)]) == 2
    assert capsys.readouterr().err.startswith(f"mlagents-onnx-check: {line.format(model=model)}")


@pytest.mark.parametrize(
    "options",
    [
        ["--observations", "84x84x84x3"],
        ["--observations", "4", "model.onnx"],
        ["--actions", "3,2"],
        ["--actions", "discrete:3", "discrete:2"],
        ["--actions", "continuous:0"],
    ],
)
def test_command_exits_2_for_what_it_cannot_read(good: Path, capsys: pytest.CaptureFixture, options) -> None:
    """Sizes of another form are named, with an example."""
    with pytest.raises(SystemExit) as ended:
        main([str(good), *options])
    assert ended.value.code == 2
    assert options[-1] in capsys.readouterr().err


def test_check_says_when_it_could_not_run_the_model(good: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    """Without onnxruntime what the file shows is checked all the same."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main([str(good)]) == 0
    assert "onnxruntime is not installed: the model was not run" in capsys.readouterr().out
    bad = mutate(good, tmp_path / "bad.onnx", [drop("version_number")])
    assert not check_model(bad).accepted
