"""Machines for tests: network namespaces of this one, with a cable between them that can be cut."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from ray_testing import ON_A_BUSY_MACHINE

RAY = Path(sys.executable).with_name("ray")

TEMPORARY = Path(tempfile.gettempdir(), "ray-of-machines")
"""Where Ray has its sockets; a folder of its own on each machine, or a program would find the other one's."""

_OWN_FOLDER = f'mount --bind "$0" {TEMPORARY} && exec "$@"'

UNIT = "while true; do {command}; sleep 5; done"
"""What systemd does with `Restart=always` and `RestartSec=5`."""

QUICKLY = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}
"""Settings of a head that gives machines up after some 10 seconds, where Ray's own take half a minute."""


def missing() -> str:
    """What this machine lacks for them; empty where nothing does."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if lacking := [name for name in ("ip", "unshare", "mount") if shutil.which(name) is None]:
        return f"network namespaces need {', '.join(lacking)}, of iproute2 and util-linux"
    probe = f"ray-{secrets.token_hex(3)}"
    made = ip("netns", "add", probe, check=False)
    if made.returncode:
        return f"network namespaces cannot be made here: {made.stderr.strip()}"
    ip("netns", "delete", probe)
    return ""


def ip(*words: str, check: bool = True) -> subprocess.CompletedProcess:
    """Runs `ip`."""
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True, timeout=60)


class Machine:
    """A namespace with an address and sockets of its own; all other files are shared.

    Attributes:
        address: its own.
        within: words before a command that is to run there.

    Args:
        folder: for logs.
        subnet: beginning of its address.
        number: 1 or 2, the end of its address.
    """

    def __init__(self, folder: Path, subnet: str, number: int) -> None:
        self.name = f"ray-{number}-{secrets.token_hex(3)}"
        self.address = f"{subnet}.{number}"
        self.interface = f"r{number}{secrets.token_hex(3)}"
        own = folder / f"machine-{number}"
        for each in (TEMPORARY, own):
            each.mkdir(exist_ok=True)
        self.within = ["ip", "netns", "exec", self.name, "unshare", "--mount", "--propagation=private"]
        self.within += ["bash", "-c", _OWN_FOLDER, str(own)]
        self._log = folder / f"machine-{number}.log"
        ip("netns", "add", self.name)
        ip("-n", self.name, "link", "set", "lo", "up")

    def start(self, command: str, **env: str) -> subprocess.Popen:
        """Starts a shell command there, with settings of Ray's."""
        with self._log.open("a") as log:
            environment = {**os.environ, **ON_A_BUSY_MACHINE, **env}
            words = [*self.within, "bash", "-c", command]
            return subprocess.Popen(words, stdout=log, stderr=log, env=environment, start_new_session=True)

    def head(self, **env: str) -> subprocess.Popen:
        """Starts Ray's head there, which runs no actors."""
        return self.start(
            self._ray(f"--head --port=6379 --num-cpus=0 --include-dashboard=false --temp-dir={TEMPORARY}"), **env
        )

    def worker(self, head: "Machine", *, restarts: bool = False, **env: str) -> subprocess.Popen:
        """Starts a node there that runs one actor; as the systemd unit of the README does, or once."""
        command = self._ray(f"--address={head.address}:6379 --num-cpus=1 --resources='{{\"unity\": 1}}'")
        return self.start(UNIT.format(command=command) if restarts else command, **env)

    def _ray(self, arguments: str) -> str:
        return f"{RAY} start --block --node-ip-address={self.address} --disable-usage-stats {arguments}"

    def processes(self, *names: str) -> list[psutil.Process]:
        """What runs there, by the beginnings of the names; all where none is given."""
        found = []
        for pid in ip("netns", "pids", self.name).stdout.split():
            process = psutil.Process(int(pid)) if psutil.pid_exists(int(pid)) else None
            if process is not None and (not names or _title(process).startswith(names)):
                found.append(process)
        return found

    def kill(self) -> None:
        """Ends all that runs there at once, as a loss of power would."""
        for process in self.processes():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue

    def cut(self, is_cut: bool = True) -> None:
        """Cuts its cable, or mends it."""
        ip("-n", self.name, "link", "set", self.interface, "down" if is_cut else "up")

    def said(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def remove(self) -> None:
        self.kill()
        ip("netns", "delete", self.name, check=False)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def connect(one: Machine, other: Machine) -> None:
    """Lays a cable between two machines."""
    ip("link", "add", one.interface, "netns", one.name, "type", "veth", "peer", other.interface, "netns", other.name)
    for machine in (one, other):
        ip("-n", machine.name, "address", "add", f"{machine.address}/24", "dev", machine.interface)
        ip("-n", machine.name, "link", "set", machine.interface, "up")
