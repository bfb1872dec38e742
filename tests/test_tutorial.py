"""The tutorial: its files are taken out of the page, installed, and its commands run, as a reader would."""

import re
from pathlib import Path

import pytest
import yaml
from pages import Page, run

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

COMPARE = """
from pathlib import Path
import torch
from mlagents_plugin_shared.testing import Corridor, train
from tests.test_cautious import SETTINGS

for caution in (0.0, 50.0):
    settings = {**SETTINGS, "hyperparameters": {**SETTINGS["hyperparameters"], "caution": caution}}
    trainer = train(Corridor(16), {**settings, "max_steps": 800}, Path(str(caution)))
    scores, _ = trainer.policy.actor.scores([torch.eye(6)[:5]])
    print((scores.logsumexp(dim=1) - scores.max(dim=1).values).mean().item())
"""


@pytest.fixture(scope="module")
def tutorial(root: Path) -> Page:
    """The page."""
    return Page((root / "docs" / "tutorial.md").read_text(encoding="utf-8"))


@pytest.fixture
def followed(tutorial: Page, tmp_path: Path) -> Path:
    """The reader's folder."""
    tutorial.follow(tmp_path)
    return tmp_path


def train_until(folder: Path, max_steps: int, **hyperparameters: float) -> None:
    """Changes the page's YAML, which trains for longer than a test should."""
    settings = yaml.safe_load((folder / "Basic.yaml").read_text(encoding="utf-8"))
    settings["behaviors"]["Basic"]["max_steps"] = max_steps
    settings["behaviors"]["Basic"]["hyperparameters"].update(hyperparameters)
    (folder / "Basic.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def test_page_shows_every_file_of_its_tree(tutorial: Page) -> None:
    """The tree at the top of the page lists what is written in it, and nothing else."""
    (tree,) = (text for text in tutorial.outputs if text.startswith("my-plugin/"))
    listed = re.findall(r"[\w.]+\.(?:py|toml|yaml)", tree)
    assert sorted(listed) == sorted(name.rpartition("/")[2] for name in tutorial.files)


def test_package_of_the_page_builds_what_is_in_it(tutorial: Page) -> None:
    """The wheel holds the folder that the page fills, and the entry point lies in it."""
    built = tomllib.loads(tutorial.files["pyproject.toml"])
    (package,) = built["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    (target,) = built["project"]["entry-points"]["mlagents.trainer_type"].values()
    module, _, function = target.partition(":")
    assert module == package
    assert f"def {function}()" in tutorial.files[f"{package}/__init__.py"]


def test_commands_of_the_page_run(tutorial: Page, followed: Path) -> None:
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


def test_value_out_of_range_is_refused_as_the_page_says(tutorial: Page, followed: Path) -> None:
    """In the words that are on the page, before anything starts."""
    train_until(followed, 400, caution=-1)
    ran = run(followed, "mlagents-learn Basic.yaml --run-id refused")
    assert ran.returncode != 0
    assert ran.stderr.strip().splitlines()[-1] + "\n" in tutorial.outputs
    assert not (followed / "results" / "refused").exists()


def test_penalty_of_the_page_is_what_it_says(followed: Path) -> None:
    """A cautious network keeps the other actions below the best; without caution their values stay together."""
    (followed / "compare.py").write_text(COMPARE, encoding="utf-8")
    ran = run(followed, "python compare.py")
    assert ran.returncode == 0, ran.stderr[-3000:]
    without, cautious = map(float, ran.stdout.split()[-2:])
    assert cautious < 0.7 * without


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
