"""The tutorial's tables of hooks name what exists, and all of it."""

import importlib
import inspect
import re
from pathlib import Path
from typing import NamedTuple

import pytest

SECTION = re.compile(r"^#### `(\w+)`\n\nIn `([\w.]+)`(.*?)(?=^###|\Z)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `(\w+)(?:\((.*?)\))?` \| (write|override|extend|call) \|", re.MULTILINE)


class Hook(NamedTuple):
    """A row of a table.

    Attributes:
        name: of a method or an attribute.
        arguments: names as they stand in brackets; None where it is no method.
        kind: what an author does with it.
    """

    name: str
    arguments: str | None
    kind: str


class Table(NamedTuple):
    """The hooks of a class."""

    owner: type
    hooks: dict[str, Hook]


def tables(page: str) -> list[Table]:
    """All tables of a page."""
    return [
        Table(
            getattr(importlib.import_module(module), name),
            {row[1]: Hook(row[1], row[2], row[3]) for row in ROW.finditer(text)},
        )
        for name, module, text in SECTION.findall(page)
    ]


def fields(owner: type) -> set[str]:
    """Fields of a dataclass or a named tuple."""
    return {*getattr(owner, "__dataclass_fields__", ()), *getattr(owner, "_fields", ())}


def public(owner: type) -> set[str]:
    """Public methods, properties, tables and fields that a class defines itself; of settings the keys are elsewhere."""
    keys = {field.name for field in getattr(owner, "__attrs_attrs__", ())}
    return {name for name in {*vars(owner), *fields(owner)} if not name.startswith("_")} - keys


def missing(found: list[Table]) -> list[str]:
    """Public hooks that stand neither in the table of their class nor in that of a base."""
    return [
        f"{table.owner.__name__}.{name}"
        for table in found
        for name in sorted(public(table.owner))
        if not any(name in other.hooks for other in found if issubclass(table.owner, other.owner))
    ]


def wrong(table: Table) -> list[str]:
    """Rows that are no hook of the class, or take other arguments."""
    return [name for name, hook in table.hooks.items() if not fits(table.owner, hook)]


def fits(owner: type, hook: Hook) -> bool:
    """Whether a class has the method or attribute, with these arguments."""
    member = inspect.getattr_static(owner, hook.name, None)
    if hook.arguments is None:
        return isinstance(member, (property, tuple, bool, str, type)) or hook.name in fields(owner)
    return hasattr(owner, hook.name) and not isinstance(member, property) and arguments(owner, hook) == hook.arguments


def arguments(owner: type, hook: Hook) -> str:
    """Names of a method's arguments, as its caller writes them."""
    method = getattr(owner, hook.name)
    if "kwargs" in inspect.signature(method).parameters:  # ML-Agents' `timed` says nothing of what it wraps
        method = next(cell.cell_contents for cell in method.__closure__)
    bare = [
        each.replace(annotation=inspect.Parameter.empty, default=inspect.Parameter.empty)
        for each in inspect.signature(method).parameters.values()
        if each.name != "self"
    ]
    return str(inspect.Signature(bare))[1:-1]


@pytest.fixture(scope="module")
def found(root: Path) -> list[Table]:
    """The tables of the tutorial."""
    return tables((root / "docs" / "tutorial.md").read_text(encoding="utf-8"))


def test_hooks_on_the_page_exist(found: list[Table]) -> None:
    """Each row is a method or attribute of its class, with the arguments that it takes."""
    assert len(found) > 8
    assert {table.owner.__name__: names for table in found if (names := wrong(table))} == {}


def test_every_hook_is_on_the_page(found: list[Table]) -> None:
    """What an author may override or call is in a table."""
    assert missing(found) == []


def test_rows_that_are_wrong_or_left_out_are_noticed(found: list[Table]) -> None:
    """The control: a method that is not there, an argument less, a property with brackets, a row less."""
    owner, hooks = found[0]
    assert not fits(owner, Hook("no_such", "", "call"))
    assert not fits(owner, Hook("store", "segment", "override"))
    assert not fits(owner, Hook("should_still_train", "", "call"))
    fewer = Table(owner, {name: hook for name, hook in hooks.items() if name != "store"})
    assert "PluginTrainer.store" in missing([fewer, *found[1:]])
