"""The README of the shared package: its plugin runs, and its tables name what is there."""

import re
from pathlib import Path

import pytest
from pages import Page, run


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    """The text."""
    return (root / "shared" / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def modules(root: Path) -> set[str]:
    """Public modules and subpackages of the wings, from the package on."""
    package = root / "shared" / "src" / "mlagents_plugin_shared"
    files = [file.relative_to(package).with_suffix("") for file in package.glob("*/*.py")]
    folders = [file.parent.relative_to(package) for file in package.glob("*/*/__init__.py")]
    return {".".join(path.parts) for path in (*files, *folders) if not path.name.startswith("_")}


def test_plugin_of_the_readme_passes_its_tests(readme: str, tmp_path: Path) -> None:
    """What stands there as a whole plugin learns and resumes, installed as it says."""
    page = Page(readme)
    page.follow(tmp_path)
    assert page.commands
    for line in page.commands:
        ran = run(tmp_path, line)
        assert ran.returncode == 0, f"{line}\n{ran.stdout[-3000:]}{ran.stderr[-1000:]}"
        assert "2 passed" in ran.stdout


def test_every_module_is_in_the_table(readme: str, modules: set[str]) -> None:
    """Who looks for something finds the module; of the testing wing the names are listed instead."""
    rows = re.findall(r"^\| (`[^|]*`) \| [^|]* \|$", readme, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([\w.]+)`", row)}
    expected = {name for name in modules if not name.startswith("testing.")}
    assert expected - named == set()
    assert {name for name in named if "." in name} - modules == set()
