"""What is known of a machine before anything is judged: what came of every import, of an export, of every plugin."""

from importlib.metadata import EntryPoint
from typing import Any, NamedTuple

from mlagents_plugin_shared.doctor.machine import installed
from mlagents_plugin_shared.doctor.machine.trials import tried

TRAINERS, WRITERS = "mlagents.trainer_type", "mlagents.stats_writer"
"""Groups of entry points that ML-Agents reads."""

HOST = "mlagents.trainers.learn"
"""The module of the command `mlagents-learn`, which imports all that a training needs."""

IMPORTS = {
    "numpy": "numpy",
    "protobuf": "google.protobuf",
    "grpcio": "grpc",
    "setuptools": "pkg_resources",
    "onnx": "onnx",
}
"""By distribution: the module that ML-Agents imports of it."""

_KINDS = {TRAINERS: "trainer", WRITERS: "writer"}


class Machine(NamedTuple):
    """What is known before anything is judged.

    Attributes:
        points: entry points by group.
        results: what came of each step, see `probes`.
    """

    points: dict[str, list[EntryPoint]]
    results: dict[str, dict[str, Any]]

    def error(self, step: str) -> str | None:
        """Why a step failed, None where it did not."""
        return self.results[step].get("error")

    @property
    def host_error(self) -> str | None:
        """Why ML-Agents cannot be imported, None where it can."""
        return self.error(f"import={HOST}")

    def of(self, group: str, point: EntryPoint) -> dict[str, Any]:
        """What came of an entry point."""
        return self.results[_step(group, point)]

    @property
    def mends_exports(self) -> bool:
        """Whether a plugin lets ML-Agents' own trainers export on every torch."""
        return any(self.of(TRAINERS, point).get("mends") for point in self.points[TRAINERS])


def gathered() -> Machine:
    """Tries everything; takes some ten seconds, for imports."""
    points = {group: installed.points(group) for group in _KINDS}
    # The imports of the host first: a plugin may change it.
    steps = [f"import={name}" for name in (*IMPORTS.values(), "mlagents_envs", HOST)]
    steps += ["protobuf", "torch", "export", "memory"]
    steps += [_step(group, point) for group in points for point in points[group]]
    return Machine(points, tried(list(dict.fromkeys(steps))))


def _step(group: str, point: EntryPoint) -> str:
    return f"{_KINDS[group]}={point.name}={point.value}"
