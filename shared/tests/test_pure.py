"""The mathematics stands on torch alone."""

import ast
from pathlib import Path

import pytest

import mlagents_plugin_shared

PURE = ["_shapes", "distributional", "exploration", "losses", "munchausen", "rescaling", "schedules", "targets"]


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_do_not_import_ml_agents(name: str) -> None:
    """They can be used, read and tested without it."""
    tree = ast.parse((Path(mlagents_plugin_shared.__file__).parent / f"{name}.py").read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    allowed = {f"mlagents_plugin_shared.{sibling}" for sibling in PURE}
    assert not any(module.startswith("mlagents") for module in imported - allowed)
