"""How much of a plugin is its algorithm, and what it needs of others: `nox -s bench -- house`.

Counts, from the sources: lines of each plugin, and of its `update`; names with an underscore of `shared` that it reads
or overrides; the folders of `shared` and the imports between them. Files that a transition passes are counted by
`stations`, numbers that stay what they were by `identical`.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT / "shared" / "src" / "mlagents_plugin_shared"


def plugins() -> dict[str, list[Path]]:
    """Sources of each plugin that has an algorithm, by the end of its name."""
    folders = sorted(file.parent for file in ROOT.glob("packages/*/src/mlagents_plugin_*/optimizer.py"))
    return {folder.name.removeprefix("mlagents_plugin_"): sorted(folder.glob("*.py")) for folder in folders}


def lines(files: list[Path]) -> int:
    """Lines of files, docstrings and blank ones included."""
    return sum(len(file.read_text("utf-8").splitlines()) for file in files)


def update_lines(files: list[Path]) -> int:
    """Lines of the body of `update`, without its docstring."""
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name == "update":
                first = node.body[1] if ast.get_docstring(node) else node.body[0]
                return (node.end_lineno or 0) - (first.lineno - 1) + _comments_before(file, first.lineno)
    return 0


def _comments_before(file: Path, line: int) -> int:
    """Comment lines right above a line."""
    above = reversed(file.read_text("utf-8").splitlines()[: line - 1])
    return next((i for i, text in enumerate(above) if not text.strip().startswith("#")), 0)


def private_names() -> set[str]:
    """Names with one underscore that classes of `shared` define, or its modules."""
    names = set()
    for file in SHARED.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                names.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                names.add(node.attr)
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


def reached_into(files: list[Path], private: set[str]) -> set[str]:
    """Private names of `shared` that a plugin reads, or defines anew."""
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text("utf-8")))]
    read = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return (read | {node.name for node in nodes if isinstance(node, ast.FunctionDef)}) & private


def wings() -> tuple[int, set[tuple[str, str]]]:
    """Number of folders of `shared`, and which imports which."""
    folders = [folder for folder in SHARED.iterdir() if (folder / "__init__.py").is_file()]
    arrows = set()
    for folder in folders:
        for file in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{SHARED.name}."):
                    other = (node.module or "").split(".")[1]
                    if other != folder.name:
                        arrows.add((folder.name, other))
    return len(folders), arrows


def main() -> None:
    """Prints the table."""
    private = private_names()
    print(f"{'plugin':10}{'lines of src':>14}{'of update':>11}  private names of shared that it reaches into")
    for name, files in plugins().items():
        names = ", ".join(sorted(reached_into(files, private))) or "none"
        print(f"{name:10}{lines(files):>14}{update_lines(files):>11}  {names}")
    folders, arrows = wings()
    print(f"shared: {folders} folders, {len(arrows)} arrows: {', '.join(f'{a} -> {b}' for a, b in sorted(arrows))}")


if __name__ == "__main__":
    main()
