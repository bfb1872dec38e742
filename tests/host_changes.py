"""Prints what importing all of the shared package changes in ML-Agents, PyTorch's optimizers and hooks of Python.

To be run as a program, since it has to see ML-Agents as it was before. Arguments are paths that are expected to change;
they are printed too, by the class that they belong to wherever they were named by another module.
"""

import contextlib
import importlib
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import mlagents
import mlagents_envs

HOSTS = ("mlagents.", "mlagents_envs.", "torch.optim.")
SKIPPED = {"tests", "mock", "registry", "envs"}  # the last two ask the network


def load(package: ModuleType) -> None:
    """Imports every module of a package, but for those that cannot be imported here."""
    root = Path(package.__path__[0])
    for file in sorted(root.rglob("*.py")):
        parts = file.relative_to(root.parent).with_suffix("").parts
        if not SKIPPED & set(parts):
            with contextlib.suppress(Exception, SystemExit):
                importlib.import_module(".".join(parts).removesuffix(".__init__"))


def members(owner: Any, path: str) -> Iterator[tuple[str, Any]]:
    """What a module or class holds, with the members of the classes that it defines."""
    for name, value in list(vars(owner).items()):
        own = f"{path}.{name}"
        yield own, value
        if issubclass(type(value), type) and f"{value.__module__}.{value.__qualname__}" == own:
            yield from members(value, own)


def state() -> dict[str, Any]:
    """Everything in ML-Agents and PyTorch's optimizers by its path."""
    hosts = [name for name in sys.modules if f"{name}.".startswith(HOSTS)]
    modules = {name: sys.modules[name] for name in hosts if not SKIPPED & set(name.split("."))}
    found = {path: value for name, module in modules.items() for path, value in members(module, name)}
    return {**found, "sys.excepthook": sys.excepthook, "threading.excepthook": threading.excepthook}


def home(path: str) -> str:
    """The path of a name by the class that it belongs to."""
    parts = path.split(".")
    depth = max(i for i in range(len(parts)) if ".".join(parts[:i]) in sys.modules)
    owner: Any = sys.modules[".".join(parts[:depth])]
    for part in parts[depth:-1]:
        owner = getattr(owner, part)
    return f"{owner.__module__}.{owner.__qualname__}.{parts[-1]}" if isinstance(owner, type) else path


def main() -> None:
    load(mlagents)
    load(mlagents_envs)
    before = state()
    load(importlib.import_module("mlagents_plugin_shared"))
    changed = [path for path, value in state().items() if path not in before or before[path] is not value]
    print(json.dumps({"changed": changed, "expected": [home(path) for path in sys.argv[1:]]}))


if __name__ == "__main__":
    main()
