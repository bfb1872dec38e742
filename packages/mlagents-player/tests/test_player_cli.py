"""The command line: tables, help, and one clear line for each mistake."""

from importlib.metadata import EntryPoint
from pathlib import Path, PureWindowsPath

import pytest

from mlagents_player import cli, scenes
from mlagents_player.arguments import player_arguments
from mlagents_player.errors import PlayerError
from player_testing import player_process


def test_list_shows_the_scenes(capsys: pytest.CaptureFixture[str]) -> None:
    """Name, agents, observations and actions of each, and that there are Gymnasium's too."""
    assert cli.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = {line.split()[0]: line for line in lines[1:-2]}
    assert sorted(found) == scenes.names()
    assert found["3DBall"].split()[1] == "12"
    assert "3 continuous + branches 2" in found["FoodCollector"]
    assert "3x64x84 + 2" in found["GridWorld"]
    assert found["SoccerTwos"].count("branches 3, 3, 3") == 1  # both behaviours have them
    assert "gym:" in lines[-2]


def test_list_names_a_broken_scene_beside_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Modules that fail, end the process or hold no whole scene: a line with the reason each, and all that are well."""
    (tmp_path / "leaving_module.py").write_text("raise SystemExit(0)")
    (tmp_path / "bare_scene.py").write_text("import mlagents_player\nclass Bare(mlagents_player.Scene): pass")
    monkeypatch.syspath_prepend(tmp_path)
    whole = scenes._registered()
    values = {"A": "no_such_module:Scene", "B": "leaving_module:S", "C": "bare_scene:Bare", "D": "math:pi"}
    broken = {name: EntryPoint(name, value, scenes.GROUP) for name, value in values.items()}
    monkeypatch.setattr(scenes, "_registered", lambda: {**whole, **broken})
    assert cli.main(["list"]) == 0
    output = capsys.readouterr().out
    last = 1 + len(whole)
    lines = output.splitlines()
    assert sorted(line.split()[0] for line in lines[1:last]) == sorted(whole)
    for line, name, says in zip(
        lines[last : last + 4],
        "ABCD",
        ("No module named", "SystemExit(0)", "has no `behaviors`", "not a subclass"),
        strict=True,
    ):
        assert line.startswith(f"Scene {name} ")
        assert says in line
    with pytest.raises(PlayerError, match="SystemExit"):
        scenes.load("B")


def test_build_prints_path_and_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each launcher comes with the line that trains with it."""
    assert cli.main(["build", "Basic", "3DBall", "--output", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    for scene in ("Basic", "3DBall"):
        assert f"--env {tmp_path / scene} --run-id {scene}" in output


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (r"players\Basic", r"--env players\Basic --run-id Basic"),
        (r"C:\my players\Basic", r'--env "C:\my players\Basic" --run-id Basic'),
    ],
)
def test_build_prints_a_command_for_any_shell(path: str, says: str) -> None:
    """cmd.exe knows no single quotes: it would pass them on as a part of the path."""
    assert cli.learn_command(PureWindowsPath(path)).endswith(says)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_output_in_a_small_encoding(encoding: str, tmp_path: Path) -> None:
    """What the terminal cannot show, here a folder's name and ±, is a question mark and no traceback."""
    folder = tmp_path / "プ"
    for arguments in (
        ("build", "Basic", "--output", str(folder)),
        ("watch", "random", "Basic", "--episodes", "1", "--output", str(folder / "a.png")),
    ):
        with player_process(*arguments, PYTHONIOENCODING=encoding) as process:
            output, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
        assert "?" in output


def test_unknown_scene_names_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line with the nearest name and all of them; nothing is built, not even the scenes that exist."""
    assert cli.main(["build", "Basic", "3dbal", "--output", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "Did you mean 3DBall?" in error
    assert "Basic" in error
    assert not (tmp_path / "out").exists()


def test_unwritable_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An output below a file is one line and code 1."""
    (tmp_path / "file").write_text("")
    assert cli.main(["build", "Basic", "--output", str(tmp_path / "file" / "deeper")]) == 1
    assert capsys.readouterr().err.startswith("mlagents-player: Cannot write")


@pytest.mark.parametrize("port", ["0", "65536", "-1", "abc", "5004.5", "٥٠٠٤"])
def test_play_refuses_a_bad_port(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The grammar's error with what a port is."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["play", "Basic", f"--port={port}"])
    assert stop.value.code == 2
    assert "a port is a number from 1 to 65535" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--mlagents-port is missing"),
        (["--mlagents-port"], "'' is not a port"),
        (["--mlagents-port", "70000"], "'70000' is not a port"),
        (["--mlagents-port", "5005", "--num-areas", "0"], "--num-areas is '0'"),
        (["--mlagents-port", "5005", "--num-areas=two"], "--num-areas is 'two'"),
        (["--mlagents-port", "5005", "--record"], "--record: '' is not a file that ends in .demo"),
        (["--mlagents-port", "5005", "--record=a.txt"], "--record: 'a.txt' is not a file that ends in .demo"),
    ],
)
def test_run_refuses_bad_arguments(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A player's mistakes are one line on the error stream and one in its log."""
    log = tmp_path / "logs" / "Player-0.log"
    assert cli.main(["run", "Basic", "-logFile", str(log), *arguments]) == 1
    assert says in capsys.readouterr().err
    assert says in log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--timeout=nan", "not a number of seconds"),
        ("--timeout=-1", "not a number of seconds"),
        ("--timeout=soon", "not a number of seconds"),
        ("--num-areas=0", "not a whole number"),
        ("--record=model.onnx", "not a file that ends in .demo"),
    ],
)
def test_play_refuses_options_of_another_kind(option: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before it waits for a trainer, by the option's name."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["play", "Basic", option])
    assert stop.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert option.split("=")[0] in last
    assert says in last


def test_run_of_an_unknown_scene_is_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A launcher whose scene is no longer installed says so where mlagents-learn looks."""
    log = tmp_path / "Player-0.log"
    assert cli.main(["run", "Bsic", "--mlagents-port", "5005", "-logFile", str(log)]) == 1
    assert "Did you mean Basic?" in log.read_text(encoding="utf-8")
    assert "Traceback" not in capsys.readouterr().err


def test_player_arguments_are_those_of_unity() -> None:
    """In ML-Agents' order, in any case, with `=` or without; the rest is ignored."""
    given = player_arguments(
        [
            "-nographics",
            "-batchmode",
            "--mlagents-port",
            "5007",
            "-LogFile",
            "a b.log",
            "--num-areas=4",
            "--x",
            "y",
        ]
    )
    assert (given.checked_port(), given.log_file, given.checked_areas()) == (5007, Path("a b.log"), 4)
    assert given.ignored == ["--x", "y"]


def test_player_log_file_of_dash_is_the_error_stream() -> None:
    """Unity takes `-logFile -` for the standard output."""
    assert player_arguments(["-logFile", "-"]).log_file is None


def test_load_reports_a_broken_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package whose scene cannot be imported, or is none, is named."""
    broken = EntryPoint("Broken", "no_such_module:Scene", scenes.GROUP)
    other = EntryPoint("Other", "pathlib:Path", scenes.GROUP)
    monkeypatch.setattr(scenes, "_registered", lambda: {"Broken": broken, "Other": other})
    with pytest.raises(PlayerError, match="no_such_module"):
        scenes.load("Broken")
    with pytest.raises(PlayerError, match="not a subclass"):
        scenes.load("Other")


def test_version_and_help() -> None:
    """Both answer as a module run by the interpreter."""
    for argument, expected in (("--version", "mlagents-player 0."), ("--help", "Play the part of")):
        with player_process(argument) as process:
            output, _ = process.communicate(timeout=60)
            assert process.returncode == 0
            assert expected in output
