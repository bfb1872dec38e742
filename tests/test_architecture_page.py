"""The page on architecture says what is so: what of the host is patched, and which files a plugin has."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from runs import ENVIRONMENT, SECONDS

# What attrs, abc and imports leave behind, beside names that are set.
LEFT_BEHIND = re.compile(r"__\w+__$|_abc_impl$")


@pytest.fixture(scope="module")
def generator(docs_script) -> dict:
    """The module of the docs folder that makes the table of patches."""
    return docs_script("generate_patches")


def test_table_of_patches_is_current(generator) -> None:
    """`nox -s docs` would change nothing, and no module of the package is left out."""
    assert generator["PAGE"].read_text(encoding="utf-8") == generator["page"]()
    modules = {file.stem for file in generator["FOLDER"].glob("*.py") if not file.stem.startswith("_")}
    assert set(generator["reasons"]()) == modules
    assert all(generator["patches"]().values())


def test_table_lists_all_that_an_import_changes(generator) -> None:
    """What is another object once everything of ours is imported is what the table says."""
    paths = {path for each in generator["patches"]().values() for path in each}
    line = [sys.executable, "-W", "ignore", Path(__file__).with_name("host_changes.py"), *sorted(paths)]
    ran = subprocess.run(line, capture_output=True, text=True, timeout=SECONDS, env=ENVIRONMENT)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    changed, listed = set(found["changed"]), set(found["expected"])
    assert len(listed) == len(paths) > 20
    assert listed - changed == set()
    assert {path for path in changed - listed if not LEFT_BEHIND.search(path)} == set()


def test_patches_are_found_in_a_source(generator) -> None:
    """The control: what is assigned to something imported counts, an attribute of one's own does not."""
    source = """
from mlagents.trainers import settings as host
from mlagents.trainers.learn import Run
import sys
own.value = 1
host.read = read
Run.start = sys.excepthook = start
value = host.read
"""
    expected = ["mlagents.trainers.settings.read", "mlagents.trainers.learn.Run.start", "sys.excepthook"]
    assert generator["patched"](source) == expected


def test_plugin_has_the_files_that_the_page_lists(root: Path, plugin) -> None:
    """Four modules, and what the page names around them."""
    page = (root / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = page.partition("## What a plugin has\n")[2].partition("\n## ")[0]
    modules = set(re.findall(r"^\| `(\w+\.py)` \|", section, re.MULTILINE))
    package = plugin.folder / "src" / plugin.import_name
    assert {file.name for file in package.rglob("*.py")} == modules
    around = set(re.findall(r"`([\w.]+\.(?:toml|md)|LICENSE|tests/)`", section))
    assert len(around) >= 5
    assert [name for name in around if not (plugin.folder / name).exists()] == []
    for name in plugin.trainers:
        assert (root / "configs" / name).is_dir()
        assert (root / "docs" / f"{name}.md").is_file()
