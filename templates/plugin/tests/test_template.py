"""What the template asks, refuses, renders and carries to a newer one; nox shows that its plugins work."""

import shutil
import subprocess
from pathlib import Path

import pytest
from copier import run_copy, run_update

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

TEMPLATE = Path(__file__).resolve().parents[1]
KINDS = ["on-policy", "off-policy"]


def git(folder: Path, *arguments: str) -> None:
    """Runs git in a folder as somebody."""
    identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org", "-c", "core.autocrlf=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: Path, message: str) -> None:
    """Commits all that a folder holds."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def render(to: Path, **answers: object) -> Path:
    """Renders the template with the defaults and these answers."""
    run_copy(str(TEMPLATE), to, data=answers, defaults=True, quiet=True)
    return to


@pytest.mark.parametrize("kind", KINDS)
def test_rendered_plugin_is_whole(tmp_path: Path, kind: str) -> None:
    """Every file has its name, and nothing of the template's language is left in one."""
    plugin = render(tmp_path / "plugin", name="proximal_two", kind=kind)
    package = plugin / "src" / "mlagents_plugin_proximal_two"
    assert {file.name for file in package.iterdir()} == {
        "__init__.py",
        "optimizer.py",
        "py.typed",
        "settings.py",
        "trainer.py",
    }
    assert "class ProximalTwoOptimizer(" in (package / "optimizer.py").read_text("utf-8")
    for file in (file for file in plugin.rglob("*") if file.is_file()):
        assert not {"{{", "{%", "}}"} & set(file.read_text("utf-8").split()), file
    (config,) = (plugin / "configs" / "proximal_two").iterdir()
    assert config.read_text("utf-8").startswith("# yaml-language-server: $schema=../schema.json\n")
    project = tomllib.loads((plugin / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["name"] == "mlagents-plugin-proximal-two"
    assert project["entry-points"]["mlagents.trainer_type"] == {
        "proximal_two": "mlagents_plugin_proximal_two:get_type_and_setting"
    }


def test_plugin_of_this_repository_leaves_out_what_the_root_has(tmp_path: Path) -> None:
    """Sessions, ignored files and overrides are the root's."""
    plugin = render(tmp_path / "plugin", name="mine", repository=False)
    assert not {"noxfile.py", ".gitignore"} & {file.name for file in plugin.iterdir()}
    assert "uv" not in tomllib.loads((plugin / "pyproject.toml").read_text("utf-8"))["tool"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ppo", "a trainer of ML-Agents, which a plugin of this name would silently replace"),
        ("sac", "a trainer of ML-Agents"),
        ("poca", "a trainer of ML-Agents"),
        ("dqn", "a trainer of this collection"),
        ("My-Trainer", "begin with a letter"),
        ("1st", "begin with a letter"),
        ("", "begin with a letter"),
    ],
)
def test_name_that_would_replace_another_trainer_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    """With the reason, and nothing is written."""
    with pytest.raises(ValueError, match=reason):
        render(tmp_path / "plugin", name=name)
    assert not (tmp_path / "plugin").exists()


def test_update_carries_a_plugin_to_a_newer_template(tmp_path: Path) -> None:
    """`copier update` brings in what the template changed, and keeps what the author has written."""
    template = tmp_path / "template"
    shutil.copytree(TEMPLATE, template, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    shutil.copytree(TEMPLATE / "template" / "tests", template / "template" / "tests")
    git(template, "init", "--quiet")
    commit(template, "first")
    git(template, "tag", "0.1.0")
    plugin = tmp_path / "plugin"
    run_copy(str(template), plugin, data={"name": "mine"}, defaults=True, quiet=True)
    git(plugin, "init", "--quiet")
    readme = plugin / "README.md"
    readme.write_text(readme.read_text("utf-8").replace("## Limits\n", "## Limits\n\nNone that I know.\n"), "utf-8")
    commit(plugin, "mine")

    changed = template / "template" / "pyproject.toml.jinja"
    changed.write_text(changed.read_text("utf-8").replace("shared>=0.2,<0.3", "shared>=0.3,<0.4"), "utf-8")
    commit(template, "second")
    git(template, "tag", "0.2.0")
    run_update(plugin, defaults=True, overwrite=True, quiet=True)
    assert "shared>=0.3,<0.4" in (plugin / "pyproject.toml").read_text("utf-8")
    assert "None that I know." in readme.read_text("utf-8")
