"""The repository's packages as their sources have them: what the generators of pages read."""

from pathlib import Path

import griffe
from griffe import Module

ROOT = Path(__file__).resolve().parents[1]


def load(name: str) -> Module:
    """A package or one of its modules, read from the sources and not imported."""
    folders = [ROOT / "shared" / "src", *sorted(ROOT.glob("packages/*/src"))]
    return griffe.load(name, search_paths=folders, docstring_parser="google", allow_inspection=False)
