"""The tutorial: its files are taken out of the page, installed, and its commands run, as a reader would."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from runs import ENVIRONMENT, SCRIPTS, free_port

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

BLOCK = re.compile(r"(?:^`(?P<file>[\w./-]+)`\n\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 400


class Tutorial:
    """The page, and a folder that a reader has followed it in.

    Attributes:
        files: text by path.
        commands: lines to type in the folder, in order.
        outputs: what the page shows without asking to type it.
    """

    def __init__(self, page: str) -> None:
        found = list(BLOCK.finditer(page))
        self.page = page
        self.files = {block["file"]: block["text"] for block in found if block["file"]}
        self.commands = [line for block in found if block["kind"] == "sh" for line in block["text"].splitlines()]
        self.outputs = [block["text"] for block in found if not block["kind"]]

    def follow(self, folder: Path) -> None:
        """Writes all files, and installs the package as `pip install --editable` does, but for the download."""
        for name, text in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        built = tomllib.loads(self.files["pyproject.toml"])
        project = built["project"]
        assert all((folder / name).is_dir() for name in built["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
        installed = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        installed.mkdir()
        (installed / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
        (installed / "entry_points.txt").write_text(
            "\n".join(
                line
                for group, points in project["entry-points"].items()
                for line in (f"[{group}]", *(f"{name} = {target}" for name, target in points.items()))
            )
        )


def run(folder: Path, line: str) -> subprocess.CompletedProcess:
    """Runs a command of the page in the folder, where the package is installed."""
    program, *arguments = shlex.split(line)
    if program == "mlagents-learn":
        arguments += ["--base-port", str(free_port())]
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable if program == "python" else str(SCRIPTS / program), *arguments],
        cwd=folder,
        env={**ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


@pytest.fixture(scope="module")
def tutorial(root: Path) -> Tutorial:
    """The page."""
    return Tutorial((root / "docs" / "tutorial.md").read_text(encoding="utf-8"))


@pytest.fixture
def followed(tutorial: Tutorial, tmp_path: Path) -> Path:
    """The reader's folder."""
    tutorial.follow(tmp_path)
    return tmp_path


def train_until(folder: Path, max_steps: int, **hyperparameters: float) -> None:
    """Changes the page's YAML, which trains for longer than a test should."""
    settings = yaml.safe_load((folder / "Basic.yaml").read_text(encoding="utf-8"))
    settings["behaviors"]["Basic"]["max_steps"] = max_steps
    settings["behaviors"]["Basic"]["hyperparameters"].update(hyperparameters)
    (folder / "Basic.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def test_page_shows_every_file_of_its_tree(tutorial: Tutorial) -> None:
    """The tree at the top of the page lists what is written in it, and nothing else."""
    (tree,) = (text for text in tutorial.outputs if text.startswith("my-plugin/"))
    listed = re.findall(r"[\w.]+\.(?:py|toml|yaml)", tree)
    assert sorted(listed) == sorted(name.rpartition("/")[2] for name in tutorial.files)


def test_commands_of_the_page_run(tutorial: Tutorial, followed: Path) -> None:
    """From an empty folder to a trained, resumed, exported and checked model, with the author's own tests."""
    train_until(followed, 400)
    for line in tutorial.commands:
        if line.endswith("--resume"):
            train_until(followed, 600)
        ran = run(followed, line)
        output = ran.stdout + ran.stderr
        assert ran.returncode == 0, f"{line}\n{output[-3000:]}"
        if "register_trainer_plugins" in line:
            assert "'cautious'" in output
        if line.endswith("--resume"):
            assert re.search(r"Resuming training from step [34]\d\d", output), output[-3000:]
        if line.startswith("mlagents-onnx-check"):
            assert output in tutorial.outputs
    assert {"mlagents-learn", "mlagents-onnx-check", "python"} <= {line.split()[0] for line in tutorial.commands}


def test_value_out_of_range_is_refused_as_the_page_says(tutorial: Tutorial, followed: Path) -> None:
    """In the words that are on the page, before anything starts."""
    train_until(followed, 400, caution=-1)
    ran = run(followed, "mlagents-learn Basic.yaml --run-id refused")
    assert ran.returncode != 0
    assert ran.stderr.strip().splitlines()[-1] + "\n" in tutorial.outputs
    assert not (followed / "results" / "refused").exists()


def test_plugin_of_the_page_keeps_the_quick_part_of_the_contract(followed: Path) -> None:
    """Masks, models and refusals; `test_plugin_of_the_page_keeps_the_contract` is the whole of it."""
    quick = "refuses or registered or keeps_to_masks or (exports and vector)"
    ran = run(followed, f"python -m pytest -q tests -k '{quick}'")
    assert ran.returncode == 0, ran.stdout[-3000:]


@pytest.mark.learning
def test_plugin_of_the_page_keeps_the_contract(followed: Path) -> None:
    """All that is asked of every trainer."""
    ran = run(followed, "python -m pytest -q tests")
    assert ran.returncode == 0, ran.stdout[-3000:]
