"""PyTorch's compiler is left out of gradient steps, until somebody asks for it."""

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import optimizer_steps
from mlagents_plugin_shared.run.host.compiler import without_compiler
from optimizer_steps import COMPILED, MENDED


@functools.cache
def steps(*modes: str) -> dict[str, Any]:
    """What `optimizer_steps` prints."""
    line = [sys.executable, "-W", "ignore", str(Path(optimizer_steps.__file__)), *modes]
    ran = subprocess.run(line, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_steps_do_not_import_the_compiler() -> None:
    """The control: PyTorch alone imports it, and sympy with it."""
    if not steps()["imported"]:
        pytest.skip("this PyTorch does not import its compiler for a step")
    assert steps(MENDED)["imported"] == []


def test_steps_come_to_the_same_numbers() -> None:
    """Bit for bit, and through a step that is differentiable: d(x - 0.1 x^2)/dx = 1 - 0.2 x."""
    assert steps(MENDED)["numbers"] == steps()["numbers"]
    assert steps(MENDED)["slope"] == [0.8, 1.4, 0.9]


def test_compiled_steps_are_those_of_pytorch() -> None:
    """Who compiles a step himself gets the same graphs and numbers as without the shared package."""
    assert steps(MENDED, COMPILED) == steps(COMPILED)
    assert "torch._dynamo" in steps(COMPILED)["imported"]
    assert steps(COMPILED)["graphs"]


def imitation(home: str, body: str) -> Callable[..., Any]:
    """A function that a wrapper of a module of PyTorch's stands before."""
    source = f"def wrapper(*args):\n    import torch._dynamo\n    {body}\n    return 'wrapper'"
    names: dict[str, Any] = {"__name__": home}
    exec(source, names)
    names["wrapper"].__wrapped__ = lambda *args: "bare"
    return names["wrapper"]


def test_known_wrapper_is_left_out_without_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is called from the moment that the compiler is there."""
    function = without_compiler(imitation("torch._compile", "torch._dynamo.disable"))
    monkeypatch.delitem(sys.modules, "torch._dynamo", raising=False)
    assert function() == "bare"
    compiler = SimpleNamespace(disable=None)
    monkeypatch.setitem(sys.modules, "torch._dynamo", compiler)
    monkeypatch.setattr(torch, "_dynamo", compiler, raising=False)
    assert function() == "wrapper"


@pytest.mark.parametrize(
    ("home", "body"),
    [
        ("torch._compile", "torch._dynamo.reset()"),
        ("torch.optim.optimizer", "torch._dynamo.disable"),
        ("author.optimizers", "torch._dynamo.disable"),
    ],
)
def test_unknown_wrapper_is_left_alone(home: str, body: str) -> None:
    """One that does more than is known of it, as another PyTorch's might, or an author's own."""
    function = imitation(home, body)
    assert without_compiler(function) is function


def test_function_without_wrapper_is_left_alone() -> None:
    """Such as the step of an author's optimizer."""
    assert without_compiler(imitation) is imitation
