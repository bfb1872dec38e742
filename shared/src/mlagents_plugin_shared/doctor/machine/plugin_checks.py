"""Whether every plugin of this environment can be loaded, and which trainer a name stands for."""

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

from packaging.utils import canonicalize_name

from mlagents_onnx_check.hints import uninstall_command
from mlagents_plugin_shared.doctor.machine import installed, remedies
from mlagents_plugin_shared.doctor.machine.evidence import TRAINERS, WRITERS, Machine
from mlagents_plugin_shared.doctor.machine.verdicts import OK, PROBLEM, WARNING, Check

HOST_TRAINERS = ("ppo", "sac", "poca")
"""Trainers that ML-Agents has itself."""


def plugin_checks(machine: Machine) -> Iterator[Check]:
    """A check of each entry point, and of each name that stands for more than one trainer.

    Args:
        machine: what came of loading them.
    """
    for group in (TRAINERS, WRITERS):
        what = "trainer" if group == TRAINERS else "stats writer"
        for point in machine.points[group]:
            yield _plugin(machine, group, what, point)
    yield from _doubled(machine)


def _plugin(machine: Machine, group: str, what: str, point: EntryPoint) -> Check:
    subject, owner, found = f"{what} {point.name}", installed.owner_of(point), machine.of(group, point)
    is_host = installed.owner_name(point) == "mlagents"
    if "error" in found and machine.host_error:
        return Check(subject, PROBLEM, owner, "it cannot be loaded while ML-Agents cannot be imported.")
    lacks = [] if is_host else installed.unmet(installed.owner_name(point))
    lacks = [each for each in lacks if canonicalize_name(each.requirement.name) != "grpcio"]
    if "error" in found:
        return Check(subject, PROBLEM, owner, *_unloadable(point, found, lacks))
    if lacks:
        advice = f"it asks for what is not here: {'; '.join(each.text for each in lacks)}:"
        return Check(subject, WARNING, owner, advice, tuple(_install_lacking(lacks)))
    if unsettled := found.get("without_settings"):
        advice = f"it brings no settings for {', '.join(unsettled)}; tell its authors."
        return Check(subject, PROBLEM, owner, advice)
    return Check(subject, OK, owner + _brings(point, found))


def _brings(point: EntryPoint, found: dict[str, Any]) -> str:
    names = sorted(found.get("trainers", {}))
    return f": {', '.join(names)}" if names and names != [point.name] else ""


def _unloadable(point: EntryPoint, found: dict[str, Any], lacks: list[installed.Unmet]) -> tuple[str, tuple[str, ...]]:
    """Why an entry point cannot be loaded, and the commands that repair it."""
    why = f"it cannot be loaded, and mlagents-learn does without it: {found['error']}"
    missing = found.get("missing")
    if lacks:
        return f"{why}. It asks for {'; '.join(each.text for each in lacks)}:", tuple(_install_lacking(lacks))
    if missing and missing != point.value.partition(":")[0].partition(".")[0]:
        return f"{why}. Install what has the module {missing}:", tuple(remedies.install(missing))
    owner = installed.owner_name(point)
    return f"{why}. Install a version that works, or remove it:", (uninstall_command(owner),)


def _install_lacking(lacks: list[installed.Unmet]) -> list[str]:
    return remedies.install(*(installed.named(each.requirement) for each in lacks))


def _doubled(machine: Machine) -> Iterator[Check]:
    """Trainers of one name in two distributions, ML-Agents' own among them; the last one counts."""
    bringers: dict[str, list[EntryPoint]] = {}
    for point in machine.points[TRAINERS]:
        for name in machine.of(TRAINERS, point).get("trainers", {}):
            bringers.setdefault(name, []).append(point)
    for name, points in bringers.items():
        foreign = (point for point in points if not _is_hosts(machine, point, name))
        owners = list(dict.fromkeys(map(installed.owner_name, foreign)))
        if name in HOST_TRAINERS and owners:
            advice = f"{', '.join(owners)} replaces the trainer of ML-Agents; to have ML-Agents' own back:"
            commands = tuple(uninstall_command(owner) for owner in owners)
            yield Check(f"trainer {name}", WARNING, f"of {owners[-1]}, not of ML-Agents", advice, commands)
        elif len(owners) > 1:
            advice = f"{' and '.join(owners)} bring it, and only one counts; remove the other one:"
            yield Check(f"trainer {name}", PROBLEM, "twice", advice, (uninstall_command(owners[0]),))


def _is_hosts(machine: Machine, point: EntryPoint, name: str) -> bool:
    """Whether an entry point brings ML-Agents' own trainer under a name, or just hands it on."""
    module = machine.of(TRAINERS, point)["trainers"][name]
    return installed.owner_name(point) == "mlagents" or module.partition(".")[0] == "mlagents"
