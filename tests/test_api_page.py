"""docs/api.md says what is public in the shared package: all of it, and nothing else."""

import ast
import importlib
import inspect
import re
from typing import Any

import pytest


@pytest.fixture(scope="module")
def generator(docs_script):
    """The names that docs/generate_api.py defines."""
    return docs_script("generate_api")


@pytest.fixture(scope="module")
def source(generator):
    """The shared package as the generator reads it."""
    return generator["load"](generator["PACKAGE"])


@pytest.fixture(scope="module")
def sources(root):
    """Syntax trees of the shared package's public modules."""
    folder = root / "shared" / "src" / "mlagents_plugin_shared"
    files = [*folder.glob("*/**/__init__.py"), *folder.glob("*/**/[!_]*.py")]
    paths = {file: file.parent if file.stem == "__init__" else file.with_suffix("") for file in files}
    return {
        ".".join(path.relative_to(folder).parts): ast.parse(file.read_text(encoding="utf-8"))
        for file, path in paths.items()
    }


@pytest.fixture(scope="module")
def documented(root):
    """`module.name` of everything that the page describes."""
    page = (root / "docs" / "api.md").read_text(encoding="utf-8")
    return re.findall(r"^### `(\S+)`$", page, re.MULTILINE)


def names_in(tree: ast.Module) -> set[str]:
    """What a module makes public: `__all__`, or else what it defines without an underscore."""
    assigned = {
        target.id: statement.value
        for statement in tree.body
        if isinstance(statement, (ast.Assign, ast.AnnAssign))
        for target in getattr(statement, "targets", None) or [statement.target]
        if isinstance(target, ast.Name)
    }
    if "__all__" in assigned:
        return set(ast.literal_eval(assigned["__all__"]))
    defined = {statement.name for statement in tree.body if isinstance(statement, (ast.FunctionDef, ast.ClassDef))}
    return {name for name in defined | set(assigned) if not name.startswith("_")} - {"logger"}


def test_api_page_is_current(generator, source):
    """`nox -s docs` would write the page as it is."""
    assert generator["page"](source) == generator["PAGE"].read_text(encoding="utf-8"), "run nox -s docs"


def test_api_page_documents_exactly_the_public_names(sources, documented):
    """Read off the syntax alone: nothing public is missing, nothing private is shown, nothing is shown twice."""
    names = {module: names_in(tree) for module, tree in sources.items()}
    handed_on = {module: names.get(module.rpartition(".")[0], set()) for module in names}  # documented in the package
    public = [f"{module}.{name}" for module in names for name in names[module] - handed_on[module]]
    assert sorted(documented) == sorted(public)


def test_public_names_have_docstrings(generator, source):
    """Modules, classes, functions and constants."""
    assert generator["undocumented"](source) == []


def test_public_methods_have_docstrings_or_override(documented):
    """A method without one means what the base class says, so there must be a base class that has it."""
    classes = filter(inspect.isclass, map(load_object, documented))
    assert [name for owner in classes for name in undocumented_methods(owner)] == []


def load_object(path: str) -> Any:
    """What the installed package has under `module.name`."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(f"mlagents_plugin_shared.{module}"), name)


def undocumented_methods(owner: type) -> list[str]:
    """Public methods and properties that have no docstring and are not in a base class."""
    methods = {name: value for name, value in vars(owner).items() if callable(value) or isinstance(value, property)}
    new = {name for name in methods if not any(hasattr(base, name) for base in owner.__bases__)}
    return [f"{owner.__name__}.{name}" for name in new if not (name.startswith("_") or methods[name].__doc__)]


def test_docstrings_fit_their_signatures(generator, caplog):
    """The docstring reader has nothing to warn of, such as an argument that does not exist."""
    generator["page"](generator["load"](generator["PACKAGE"]))
    assert caplog.messages == []


def test_links_of_the_api_page_lead_somewhere(generator):
    """Every fragment in the table is a heading's."""
    page = generator["PAGE"].read_text(encoding="utf-8")
    headings = {re.sub(r"[^\w-]", "", heading.lower()) for heading in re.findall(r"^##+ (.+)$", page, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= headings


def test_plugins_import_only_what_is_documented_of_shared(plugins, documented):
    """What the plugins of this repository need of the shared package, anybody's plugin can use."""
    files = [file for plugin in plugins for file in plugin.folder.glob("src/**/*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    modules = re.compile(r"mlagents_plugin_shared\.(.+)")
    used = {
        f"{match[1]}.{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (match := modules.fullmatch(node.module or ""))
        for alias in node.names
    }
    public = list(map(load_object, documented))
    assert used
    # By what it is, not by its name: a name that a second module hands on is documented once.
    assert [name for name in used if not any(load_object(name) is each for each in public)] == []
