"""The page of an algorithm shows the code that trains, and names what exists."""

import re
import textwrap
from pathlib import Path

DEPTHS = (0, 4, 8)
DEFINITION = r"^\s*(?:(?:def|class) |self\.){}\b(?!\.)"


def pages(root: Path, plugin) -> list[str]:
    """The pages of a plugin's trainer types; one that was begun today may have none yet."""
    files = [root / "docs" / f"{name}.md" for name in plugin.trainers]
    return [file.read_text(encoding="utf-8") for file in files if file.is_file()]


def source_of(folder: Path) -> str:
    """All sources of a package."""
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted(folder.glob("src/**/*.py")))


def blocks(page: str) -> list[str]:
    """Python on a page."""
    return re.findall(r"```python\n(.*?)\n```", page, re.DOTALL)


def stands_in(block: str, source: str) -> bool:
    """Whether these lines follow each other in a source, as deep in it as they may be."""
    return any(textwrap.indent(block, " " * depth) in source for depth in DEPTHS)


def named(page: str) -> list[str]:
    """What the tables of a page have under "code", the last column."""
    rows = re.findall(r"^\|.*\| code \|\n\|[-|]+\|\n((?:\|.*\n)+)", page, re.MULTILINE)
    cells = [row.rstrip(" |").rpartition("|")[2] for table in rows for row in table.splitlines()]
    return [name for cell in cells for name in re.findall(r"`([\w.]+)`", cell)]


def is_defined(name: str, source: str) -> bool:
    """Whether a source defines what the last part of a dotted name says."""
    return re.search(DEFINITION.format(name.rpartition(".")[2]), source, re.MULTILINE) is not None


def test_code_on_the_page_is_the_code(root: Path, plugin) -> None:
    """Line by line, so that a reader of the page has read the algorithm."""
    source = source_of(plugin.folder)
    for page in pages(root, plugin):
        assert blocks(page)
        assert [block for block in blocks(page) if not stands_in(block, source)] == []


def test_code_that_the_tables_name_exists(root: Path, plugin) -> None:
    """Each equation has its place in the plugin or the shared package."""
    source = source_of(plugin.folder) + source_of(root / "shared")
    for page in pages(root, plugin):
        assert len(named(page)) > 5
        assert [name for name in named(page) if not is_defined(name, source)] == []


def test_other_code_is_noticed(root: Path, plugin) -> None:
    """The control: a block with one line less is not in the source, and a name that nobody defines is missed."""
    source = source_of(plugin.folder)
    for page in pages(root, plugin):
        block = blocks(page)[-1]
        assert stands_in(block, source)
        lines = block.splitlines()
        assert not stands_in("\n".join([*lines[:1], *lines[2:]]), source)
        assert not is_defined("targets.no_such_target", source)
