"""The page of an algorithm shows the code that trains."""

import re
import textwrap
from pathlib import Path

import pytest

PAGES = {"a2c": "packages/mlagents-plugin-a2c/src/mlagents_plugin_a2c/optimizer.py"}


def blocks(page: str) -> list[str]:
    """Python on a page."""
    return re.findall(r"```python\n(.*?)\n```", page, re.DOTALL)


def stands_in(block: str, source: str) -> bool:
    """Whether these lines follow each other in a source, as deep in it as they may be."""
    return any(textwrap.indent(block, " " * depth) in source for depth in (0, 4, 8))


@pytest.mark.parametrize("name", PAGES)
def test_code_on_the_page_is_the_code(root: Path, name: str) -> None:
    """Line by line, so that a reader of the page has read the algorithm."""
    source = (root / PAGES[name]).read_text(encoding="utf-8")
    shown = blocks((root / "docs" / f"{name}.md").read_text(encoding="utf-8"))
    assert shown
    assert [block for block in shown if not stands_in(block, source)] == []


def test_other_code_is_noticed(root: Path) -> None:
    """The control: a block with one line less is not in the source."""
    source = (root / PAGES["a2c"]).read_text(encoding="utf-8")
    block = blocks((root / "docs" / "a2c.md").read_text(encoding="utf-8"))[-1]
    assert stands_in(block, source)
    lines = block.splitlines()
    assert not stands_in("\n".join([*lines[:1], *lines[2:]]), source)
