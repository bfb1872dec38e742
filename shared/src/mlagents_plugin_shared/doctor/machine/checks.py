"""What the doctor looks at on a machine, each with what was found and, where something is wrong, what to do."""

import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mlagents_onnx_check.hints import MLAGENTS_PINS, install_command, script
from mlagents_plugin_shared.doctor.machine import installed, remedies
from mlagents_plugin_shared.doctor.machine.evidence import IMPORTS, Machine, gathered
from mlagents_plugin_shared.doctor.machine.plugin_checks import plugin_checks
from mlagents_plugin_shared.doctor.machine.verdicts import OK, PROBLEM, WARNING, Check

PORTS = {5004: "the Unity Editor connects to it", 5005: "the first built player connects to it"}
"""Ports that `mlagents-learn` takes where `--base-port` does not say another."""

LEAST_MEMORY, LEAST_DISK = 2e9, 2e9
"""Bytes below which a training may end before its time."""

GRPC_OF_311 = Requirement("grpcio>=1.51.3")
"""The least grpcio with a wheel for Python 3.11, above what ML-Agents asks for."""


def all_checks() -> list[Check]:
    """Everything about this machine; takes some ten seconds, for imports."""
    machine = gathered()
    return [check for look in _LOOKS for check in look(machine)]


# The environment


def _python(_: Machine) -> Iterator[Check]:
    version = sys.version_info[:3]
    found = f"{platform.python_version()}, {platform.platform()}, {sys.prefix}"
    if version >= remedies.FIRST_PYTHON and version[:2] <= remedies.LAST_PYTHON:
        yield Check("Python", OK, found)
        return
    advice = "ML-Agents 1.1.0 works on Python 3.10.1 to 3.11 and cannot start on this one; make an environment of 3.11:"
    yield Check("Python", PROBLEM, found, advice, tuple(remedies.new_environment()))


def _host(machine: Machine) -> Iterator[Check]:
    version, envs = installed.version_of("mlagents"), installed.version_of("mlagents-envs")
    number = installed.number_of(version)
    by = installed.installer_of("mlagents")
    found = f"{version}" + (f", installed by {by}" if by else "")
    commands = tuple(remedies.install_host())
    if version is None:
        yield Check("mlagents", PROBLEM, "not installed", "install it:", commands)
    elif number is None or number.release[:2] != (1, 1):
        why = "only 1.1 is what these plugins are made for"
        if number is not None and number.release < (1, 1):
            why = (
                "it knows no trainer plugins. pip picks an old release without a word on a Python that 1.1.0 does not "
                f"allow, which is above {'.'.join(map(str, remedies.PIPS_LAST_PYTHON))}; uv installs 1.1.0"
            )
        yield Check("mlagents", PROBLEM, found, f"{why}:", commands)
    elif envs != version:
        advice = "mlagents and mlagents-envs must have one version:"
        yield Check("mlagents", PROBLEM, f"{version} beside mlagents-envs {envs or 'missing'}", advice, commands)
    elif machine.host_error and not _culprits(machine):
        advice = f"it cannot be imported: {machine.host_error}. Install it anew:"
        yield Check("mlagents", PROBLEM, found, advice, commands)
    elif machine.host_error:
        advice = (
            f"it cannot be imported: {machine.host_error}. The reason is {', '.join(_culprits(machine))}, see below."
        )
        yield Check("mlagents", PROBLEM, found, advice)
    else:
        yield Check("mlagents", OK, found)


def _culprits(machine: Machine) -> list[str]:
    """Distributions that ML-Agents needs and that are missing, broken or out of its bounds."""
    names = [canonicalize_name(each.requirement.name) for each in _unmet_of_host()]
    broken = [name for name, module in IMPORTS.items() if machine.error(f"import={module}")]
    broken += ["torch"] if machine.error("torch") else []
    return [name for name in dict.fromkeys([*broken, *names]) if name not in ("mlagents", "mlagents-envs")]


def _unmet_of_host() -> list[installed.Unmet]:
    """What ML-Agents asks for and does not have, but for the grpcio that Python 3.11 needs."""
    found = [*installed.unmet("mlagents"), *installed.unmet("mlagents-envs")]
    is_new = sys.version_info[:2] == remedies.LAST_PYTHON
    return [
        each
        for each in {canonicalize_name(each.requirement.name): each for each in reversed(found)}.values()
        if not (is_new and each.requirement.name == "grpcio" and installed.fits(each.found, GRPC_OF_311))
    ]


# What ML-Agents stands on


def _numpy(machine: Machine) -> Iterator[Check]:
    why = "ML-Agents uses np.float, which NumPy 1.24 has no longer. A later install moved it"
    yield _pinned(machine, "numpy", "import=numpy", why)


def _protobuf(machine: Machine) -> Iterator[Check]:
    found = machine.results["protobuf"]
    how = ""
    if "implementation" in found:
        how = f", {found['implementation']}, {found['megabytes_per_second']:.1f} MB/s"
    why = "ML-Agents' messages cannot be imported with protobuf 3.21 or later. A later install moved it"
    check = _pinned(machine, "protobuf", "import=google.protobuf", why)
    yield check._replace(found=check.found + how)


def _pinned(machine: Machine, name: str, step: str, why: str) -> Check:
    """NumPy or protobuf, which other distributions move out of ML-Agents' bounds."""
    version, error = installed.version_of(name), machine.error(step)
    bound = next(pin for pin in map(Requirement, MLAGENTS_PINS) if pin.name == name)
    commands = tuple(remedies.restore_pins())
    if version is None:
        return Check(name, PROBLEM, "not installed", "ML-Agents needs it:", commands)
    if not installed.fits(version, bound):
        movers = [each for each in installed.askers(name, bound) if each not in ("mlagents", "mlagents-envs")]
        because = f": {', '.join(movers)} asks for it" if movers else ", most likely"
        return Check(name, PROBLEM if machine.host_error else WARNING, version, f"{why}{because}:", commands)
    if error:
        again = install_command(f"{name}=={version}").replace(" install ", " install --force-reinstall ", 1)
        return Check(name, PROBLEM, version, f"it cannot be imported: {error}. Install it anew:", (again,))
    return Check(name, OK, version)


def _grpc(machine: Machine) -> Iterator[Check]:
    spare = "grpcio>=1.51.3,<1.52" if sys.version_info[:2] == remedies.LAST_PYTHON else "grpcio<=1.48.2"
    yield _needed(machine, "grpcio", spare)


def _setuptools(machine: Machine) -> Iterator[Check]:
    yield _needed(machine, "setuptools", remedies.SETUPTOOLS, "ML-Agents imports its pkg_resources")


def _onnx(machine: Machine) -> Iterator[Check]:
    yield _needed(machine, "onnx", "onnx==1.15.0")


def _needed(machine: Machine, name: str, requirement: str, why: str = "ML-Agents needs it") -> Check:
    """A distribution of which ML-Agents imports a module."""
    version, error = installed.version_of(name), machine.error(f"import={IMPORTS[name]}")
    moved = [pin for pin in ("numpy", "protobuf") if any(each.requirement.name == pin for each in _unmet_of_host())]
    if error and version and moved:
        return Check(name, PROBLEM, version, f"it cannot be imported: {error}. The reason is {' and '.join(moved)}.")
    if error or version is None:
        advice = f"{why}, and it cannot be imported: {error}:" if error else f"{why}:"
        return Check(name, PROBLEM, version or "not installed", advice, tuple(remedies.install(requirement)))
    return Check(name, OK, version)


def _others(machine: Machine) -> Iterator[Check]:
    """What else ML-Agents asks for and does not have."""
    shown = {*IMPORTS, "torch", "mlagents-envs"}
    for each in _unmet_of_host():
        name = canonicalize_name(each.requirement.name)
        if name not in shown:
            state = PROBLEM if machine.host_error or each.found is None else WARNING
            wanted = installed.named(each.requirement)
            advice = f"ML-Agents asks for {wanted}:"
            yield Check(name, state, each.found or "not installed", advice, tuple(remedies.install(wanted)))


def _torch(machine: Machine) -> Iterator[Check]:
    found, version = machine.results["torch"], installed.version_of("torch")
    if "error" in found:
        advice = f"it cannot be imported: {found['error']}. Install it anew:" if version else "install it:"
        again = install_command("torch>=2.1.1")
        commands = (again.replace(" install ", " install --force-reinstall ", 1) if version else again,)
        yield Check("torch", PROBLEM, version or "not installed", advice, commands)
        return
    yield Check("torch", OK, found["version"])
    yield _export(machine)
    yield _cuda(found)


FORMER_EXPORTER = "torch>=2.1.1,<2.9"
"""The torches whose own choice of exporter works beside ML-Agents' onnx."""


def _export(machine: Machine) -> Check:
    """Whether models can be exported, as ML-Agents does it and as a plugin of ours does."""
    found = machine.results["export"]
    stock, ours = found.get("error") or found["stock"], found.get("error") or found["ours"]
    commands = tuple(remedies.install(FORMER_EXPORTER))
    if ours:
        advice = f"no model can be exported for Unity: {ours}. Install a torch that can:"
        return Check("export", PROBLEM, "fails", advice, commands)
    if not stock:
        return Check("export", OK, "works, of every trainer")
    if machine.mends_exports:
        return Check("export", OK, "works, of every trainer: a plugin has ML-Agents use torch's older exporter")
    advice = (
        f"ML-Agents' own trainers crash at their first checkpoint: {stock}. Any plugin on mlagents-plugin-shared mends "
        "it for them too; without one, install an older torch:"
    )
    return Check("export", PROBLEM, "of plugins on mlagents-plugin-shared alone", advice, commands)


def _cuda(found: dict[str, Any]) -> Check:
    if found["cuda"]:
        return Check("CUDA", OK, f"{found['built_for']}, {found['device']}")
    if shutil.which("nvidia-smi") and not found["built_for"]:
        advice = "there is an NVIDIA card, and this torch is built for the CPU; pytorch.org names the one for the card."
        return Check("CUDA", WARNING, "this torch has none", advice)
    if found["built_for"] and shutil.which("nvidia-smi"):
        advice = (
            f"this torch is built for CUDA {found['built_for']} and finds no card: the driver may be too old for it."
        )
        return Check("CUDA", WARNING, "not available", advice)
    return Check("CUDA", OK, "none, trains on the CPU")


# The machine


def _ports(_: Machine) -> Iterator[Check]:
    for port, what in PORTS.items():
        if is_free(port):
            yield Check(f"port {port}", OK, "free")
        else:
            other = next(each for each in range(port + 101, 65536) if is_free(each))
            advice = f"{what}, and another program has it, maybe another training. End that, or take another port:"
            command = f"{script('mlagents-learn')} CONFIG.yaml --base-port {other}"
            yield Check(f"port {port}", WARNING, "in use", advice, (command,))


def is_free(port: int) -> bool:
    """Whether ML-Agents could take a port, found out in its own way.

    Args:
        port: its number.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if sys.platform == "linux":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("localhost", port))
        except OSError:
            return False
    return True


def _room(machine: Machine) -> Iterator[Check]:
    disk = shutil.disk_usage(Path.cwd()).free
    if disk >= LEAST_DISK:
        yield Check("free disk", OK, _size(disk))
    else:
        advice = f"a run writes its checkpoints and logs below {Path.cwd()}: make room, or name another --results-dir."
        yield Check("free disk", WARNING, _size(disk), advice)
    memory = machine.results["memory"].get("available")
    if memory is None:
        yield Check("free memory", OK, "not known")
    elif memory >= LEAST_MEMORY:
        yield Check("free memory", OK, f"{_size(memory)}, {os.cpu_count()} processors")
    else:
        advice = "a training needs 1 to 2 GB, and each player its own: end other programs, or lower num_envs."
        yield Check("free memory", WARNING, _size(memory), advice)


def _size(amount: float) -> str:
    return f"{amount / 1e9:.1f} GB"


_LOOKS: tuple[Callable[[Machine], Iterator[Check]], ...] = (
    _python,
    _host,
    _numpy,
    _protobuf,
    _grpc,
    _setuptools,
    _onnx,
    _others,
    _torch,
    plugin_checks,
    _ports,
    _room,
)
