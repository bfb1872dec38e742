"""What `nox -s learn` says at its end: commands that can be copied."""

import importlib.util
import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

BIN = Path(__file__).resolve().parents[1] / ".nox" / "learn" / "bin"
SESSIONS = ("learn", "watch")


@pytest.fixture(scope="module")
def noxfile(root: Path) -> ModuleType:
    """The repository's noxfile as a module."""
    spec = importlib.util.spec_from_file_location("noxfile", root / "noxfile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with a model."""
    (tmp_path / "my results" / "basic").mkdir(parents=True)
    (tmp_path / "my results" / "basic" / "Basic.onnx").touch()
    return tmp_path / "my results" / "basic"


def session(root: Path, *posargs: str) -> SimpleNamespace:
    """What the functions use of a session."""
    return SimpleNamespace(posargs=list(posargs), invoked_from=str(root), bin=str(BIN))


def words(line: str) -> list[str]:
    """A printed command as a POSIX shell splits it."""
    return shlex.split(line)


@pytest.mark.skipif(os.name == "nt", reason="cmd.exe splits by other rules")
def test_learn_ends_with_three_commands(
    noxfile: ModuleType, root: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each on a line of its own, quoted where it has to be; what began the run anew is left out of the last one."""
    given = ["configs/dqn/Basic.yaml", "--run-id", "basic", "--force", "--results-dir", str(run.parent)]
    noxfile.say_what_comes_next(session(root, *given), run, "Basic", Path(given[0]))
    lines = [words(line) for line in capsys.readouterr().out.splitlines() if line.startswith("    ")]
    nox = [*noxfile.this_python(), "-m", "nox", "-s"]
    assert lines == [
        [*nox, "watch", "--", str(run), "Basic", "--output", str(run / "Basic.gif")],
        [str(Path(".nox") / "learn" / "bin" / "tensorboard"), "--logdir", str(run)],
        [*nox, "learn", "--", *(word for word in given if word != "--force"), "--resume"],
    ]


def test_learn_that_made_no_model_says_nothing(
    noxfile: ModuleType, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then there is nothing to see and nothing to go on from."""
    noxfile.say_what_comes_next(session(root, "Basic.yaml"), tmp_path / "results" / "x", "Basic", Path("Basic.yaml"))
    assert capsys.readouterr().out == ""


def test_commands_from_elsewhere_name_the_noxfile(noxfile: ModuleType, tmp_path: Path) -> None:
    """`nox -f` can be called in any folder, and then works in the repository's."""
    commands = noxfile.next_commands(session(tmp_path, "B.yaml"), Path("results/x"), "Basic", Path("B.yaml"))
    watch, tensorboard, learn = commands.values()
    for command in (watch, learn):
        assert command[command.index("-f") + 1] == str(noxfile.ROOT / "noxfile.py")
    assert tensorboard == [str(BIN / "tensorboard"), "--logdir", str(noxfile.ROOT / "results" / "x")]


def test_film_of_a_gymnasium_environment_has_a_name_that_files_can_have(
    noxfile: ModuleType, root: Path, run: Path
) -> None:
    """The scene's colon is not in it."""
    command = next(iter(noxfile.next_commands(session(root), run, "gym:CartPole-v1", Path("x.yaml")).values()))
    assert command[-3:] == ["gym:CartPole-v1", "--output", str(run / "CartPole-v1.gif")]


def test_sessions_of_the_commands_exist(noxfile: ModuleType) -> None:
    """nox finds a session by the name of its function."""
    assert all(callable(getattr(noxfile, name)) for name in SESSIONS)


def test_python_of_the_commands_is_this_one(noxfile: ModuleType) -> None:
    """It may be called by another name in the shell, but it is the one that has nox."""
    print_path = [*noxfile.this_python(), "-c", "import sys; print(sys.executable)"]
    assert subprocess.run(print_path, capture_output=True, text=True, check=True).stdout.strip() == sys.executable


def test_python_that_no_name_starts_is_called_by_its_path(
    noxfile: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As where nox has an environment to itself."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert noxfile.this_python() == [sys.executable]


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["--run-id", "a"], "a"),
        (["--run-id=a=b"], "a=b"),
        (["--run-id", "a", "--run-id=b"], "b"),
        (["--force"], None),
        (["--run-id"], None),
    ],
)
def test_value_of_an_option(noxfile: ModuleType, arguments: list[str], value: str | None) -> None:
    """As mlagents-learn reads it."""
    assert noxfile.value_of("--run-id", arguments) == value


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["a.yaml", "--force", "--seed", "1"], ["a.yaml", "--seed", "1"]),
        (["--initialize-from", "--force", "a.yaml"], ["a.yaml"]),
        (["--initialize-from=x", "a.yaml", "--resume"], ["a.yaml"]),
    ],
)
def test_options_are_left_out_with_their_values(noxfile: ModuleType, arguments: list[str], kept: list[str]) -> None:
    """A value goes with its option."""
    assert noxfile.without({"--force": False, "--resume": False, "--initialize-from": True}, arguments) == kept


def test_watching_brings_what_it_needs(noxfile: ModuleType) -> None:
    """The packages with an extra of that name are found by their own pyproject.toml."""
    assert noxfile.with_extra("watch") == ["mlagents-player[watch]"]
    assert noxfile.with_extra("none") == []
    assert noxfile.is_gymnasium(["results/x", "gym:CartPole-v1"])
    assert noxfile.is_gymnasium(["--pretrained", "pqn/CartPole-v1"])
    assert noxfile.is_gymnasium(["--pretrained=pqn/CartPole-v1"])
    assert not noxfile.is_gymnasium(["results/gym:x", "Basic"])
    assert not noxfile.is_gymnasium(["--pretrained", "pqn/Hallway"])
