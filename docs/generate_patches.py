"""Writes the table in docs/architecture.md of what `mlagents_plugin_shared.run.host` replaces in ML-Agents and PyTorch.

A row is a module of that package: what its docstring's list says of it, and the names that it assigns to.
"""

import ast
import re
from collections.abc import Iterator

from sources import ROOT, load

PAGE = ROOT / "docs" / "architecture.md"
PACKAGE = "mlagents_plugin_shared.run.host"
FOLDER = ROOT / "shared" / "src" / PACKAGE.replace(".", "/")

FIRST, LAST = "<!-- table of patches -->", "<!-- end of patches -->"
RUN_TRAINING = "mlagents.trainers.learn.run_training"
"""What `_command.replace_run_training` replaces, for the modules that call it."""


def reasons() -> dict[str, str]:
    """What each module mends, by its name, in the order of the package's docstring."""
    docstring = load(PACKAGE).docstring
    return dict(re.findall(r"^\* `(\w+)`: (.*)$", docstring.value if docstring else "", re.MULTILINE))


def patched(source: str) -> list[str]:
    """Paths of what a module replaces or adds outside of itself, such as `mlagents.trainers.learn.run_training`."""
    return list(dict.fromkeys(_patched(ast.parse(source))))


def _patched(tree: ast.Module) -> Iterator[str]:
    imported = dict(_imported(tree))
    for node in tree.body:
        for target in node.targets if isinstance(node, ast.Assign) else []:
            first, _, rest = ast.unparse(target).partition(".")
            if rest and first in imported:
                yield f"{imported[first]}.{rest}"
        if isinstance(node, ast.Expr) and ast.unparse(node).startswith("replace_run_training("):
            yield RUN_TRAINING


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """What a module has imported: name and path."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from ((alias.asname or alias.name, alias.name) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)


def patches() -> dict[str, list[str]]:
    """Paths of what each module of the package replaces or adds, by the module's name."""
    return {name: patched((FOLDER / f"{name}.py").read_text(encoding="utf-8")) for name in reasons()}


def _shown(path: str) -> str:
    """A path from its class on, or from its module."""
    parts = path.split(".")
    first = next((i for i, part in enumerate(parts) if part[0].isupper()), len(parts) - 2)
    return ".".join(parts[min(first, len(parts) - 2) :])


def table() -> list[str]:
    """A row for each module, below a line that counts."""
    found, why = patches(), reasons()
    names = {path for paths in found.values() for path in paths}
    return [
        f"{len(names)} names of ML-Agents, PyTorch and Python, in {len(found)} modules:",
        "",
        "| module | what is mended | what it replaces or adds |",
        "|---|---|---|",
        *(
            f"| `{name}` | {why[name].rstrip('.')} | {', '.join(f'`{_shown(path)}`' for path in found[name])} |"
            for name in sorted(found)
        ),
    ]


def page() -> str:
    """The page with a table that is current.

    Raises:
        ValueError: the comments that the table stands between are not there.
    """
    before, opening, rest = PAGE.read_text(encoding="utf-8").partition(f"{FIRST}\n")
    _, closing, after = rest.partition(LAST)
    if not (opening and closing):
        raise ValueError(f"{PAGE} has no lines {FIRST} and {LAST} for the table to stand between")
    return before + opening + "\n".join(["", *table(), "", ""]) + closing + after


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
