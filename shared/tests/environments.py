"""Small environments for the doctor: a Python of their own, and a few lines in place of each large distribution."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import packaging

import mlagents_onnx_check
import mlagents_plugin_shared

POINTS_OF_HOST = {
    "mlagents.trainer_type": {"default": "mlagents.plugins.trainer_type:get_default_trainer_types"},
    "mlagents.stats_writer": {"default": "mlagents.plugins.stats_writer:get_default_stats_writers"},
}

PROTOBUF = {
    "google/protobuf/__init__.py": "",
    "google/protobuf/internal/__init__.py": "",
    "google/protobuf/internal/api_implementation.py": "def Type(): return 'upb'",
    "google/protobuf/struct_pb2.py": """
class Values(list):
    def add(self):
        return self
class ListValue:
    def __init__(self): self.values = Values()
    def SerializeToString(self): return b'0' * 1000
    @staticmethod
    def FromString(data): return None
""",
}

TORCH = {
    "torch/__init__.py": """
from types import SimpleNamespace
from torch import onnx
__version__ = '2.8.0'
version = SimpleNamespace(cuda=None)
cuda = SimpleNamespace(is_available=lambda: False)
nn = SimpleNamespace(Linear=lambda *_: None)
def zeros(*_): return None
""",
    "torch/onnx/__init__.py": "def export(model, inputs, path, *, opset_version, dynamo=False, **names): pass",
}

HOST = {
    "mlagents/__init__.py": "",
    "mlagents/trainers/__init__.py": "",
    "mlagents/trainers/learn.py": """
import google.protobuf, grpc, numpy, onnx, pkg_resources, torch
if hasattr(numpy, 'too_new'):
    raise AttributeError("module 'numpy' has no attribute 'float'")
if hasattr(google.protobuf, 'too_new'):
    raise TypeError('Descriptors cannot be created directly.')
""",
    "mlagents/plugins/__init__.py": "",
    "mlagents/plugins/trainer_type.py": """
class Trainer: pass
def get_default_trainer_types():
    trainers = {'ppo': Trainer, 'sac': Trainer, 'poca': Trainer}
    return trainers, trainers
""",
    "mlagents/plugins/stats_writer.py": "def get_default_stats_writers(options): return []",
}

DISTRIBUTIONS: dict[str, tuple[str, Mapping[str, str]]] = {
    "numpy": ("1.23.5", {"numpy/__init__.py": ""}),
    "protobuf": ("3.20.3", PROTOBUF),
    "grpcio": ("1.48.2", {"grpc/__init__.py": ""}),
    "setuptools": ("80.9.0", {"pkg_resources/__init__.py": ""}),
    "onnx": ("1.15.0", {"onnx/__init__.py": ""}),
    "torch": ("2.8.0", TORCH),
    "mlagents-envs": ("1.1.0", {"mlagents_envs/__init__.py": ""}),
    "mlagents": ("1.1.0", HOST),
}

REQUIREMENTS = ["numpy<1.24.0,>=1.23.5", "protobuf<3.21,>=3.6", "onnx==1.15.0", "torch>=2.1.1", "mlagents-envs==1.1.0"]


class Environment:
    """A virtual environment in a folder, in which all is well.

    Args:
        folder: where it is made.
        python: the interpreter that it is of.
    """

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        venv = [python, "-m", "venv", "--without-pip", str(folder)]
        subprocess.run(venv, check=True, capture_output=True, timeout=120)
        is_windows = os.name == "nt"
        self.folder = folder
        self.python = folder / ("Scripts/python.exe" if is_windows else "bin/python")
        (self.site,) = [folder / "Lib/site-packages"] if is_windows else folder.glob("lib/python*/site-packages")
        for package in (packaging, mlagents_onnx_check):
            shutil.copytree(Path(str(package.__file__)).parent, self.site / package.__name__)
        ours = Path(str(mlagents_plugin_shared.__file__)).parent
        shutil.copytree(ours / "doctor", self.site / ours.name / "doctor")
        shutil.copy(ours / "__init__.py", self.site / ours.name)
        for name, (version, modules) in DISTRIBUTIONS.items():
            is_host = name == "mlagents"
            points = POINTS_OF_HOST if is_host else {}
            self.add(name, version, modules, requires=REQUIREMENTS if is_host else (), points=points)

    def add(
        self,
        name: str,
        version: str,
        modules: Mapping[str, str] | None = None,
        requires: Iterable[str] = (),
        points: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """Installs a distribution, in place of the one of this name if there is one."""
        self.remove(name)
        info = self.site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        (info / "METADATA").write_text("\n".join([*head, *(f"Requires-Dist: {each}" for each in requires), ""]))
        (info / "INSTALLER").write_text("uv")
        lines = [
            line
            for group, entries in (points or {}).items()
            for line in (f"[{group}]", *(f"{key} = {value}" for key, value in entries.items()))
        ]
        (info / "entry_points.txt").write_text("\n".join(lines))
        for path, text in (modules or {}).items():
            (self.site / path).parent.mkdir(parents=True, exist_ok=True)
            (self.site / path).write_text(text)

    def add_trainer(self, distribution: str, name: str, text: str = "", **more: Iterable[str]) -> None:
        """Installs a plugin with one trainer, whose module begins with a text."""
        module = distribution.replace("-", "_")
        source = f"{text}\nclass Trainer: pass\ndef get(): return {{{name!r}: Trainer}}, {{{name!r}: Trainer}}\n"
        points = {"mlagents.trainer_type": {name: f"{module}:get"}}
        self.add(distribution, "0.2.0", {f"{module}.py": source}, points=points, **more)

    def remove(self, name: str) -> None:
        """Forgets a distribution; its modules stay."""
        for info in self.site.glob(f"{name.replace('-', '_')}-[0-9]*.dist-info"):
            shutil.rmtree(info)

    def break_module(self, path: str, text: str) -> None:
        """Writes another text into a module."""
        (self.site / path).write_text(text)

    def doctor(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        """What the doctor says of it."""
        command = [str(self.python), "-m", "mlagents_plugin_shared.doctor", *arguments]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | variables
        return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=self.folder, env=environment)
