"""What PyTorch frees is used again, where the C library can be told so."""

import ctypes
import os
import platform
import subprocess
import sys

import pytest

from mlagents_plugin_shared.run import freed_memory
from mlagents_plugin_shared.run.freed_memory import keep_freed_memory

OWN_CHOICE = {
    "GLIBC_TUNABLES": "glibc.malloc.check=0:glibc.malloc.trim_threshold=131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "MALLOC_MMAP_THRESHOLD_": "131072",
}
HAS_GLIBC = platform.libc_ver()[0] == "glibc"

PAGES_OF_AN_UPDATE = """
import resource, torch
from mlagents_plugin_shared.run.freed_memory import keep_freed_memory

keep_freed_memory()

def update():
    tensors = [torch.empty(2**18).fill_(1.0) for _ in range(30)]

for _ in range(5):
    update()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    update()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 5)
"""


@pytest.mark.skipif(not HAS_GLIBC, reason="another C library")
def test_an_update_gets_no_new_pages() -> None:
    """The control is a process whose environment says that each block goes back to the system."""

    def pages(**chosen: str) -> int:
        inherited = {name: value for name, value in os.environ.items() if name not in OWN_CHOICE}
        command = [sys.executable, "-c", PAGES_OF_AN_UPDATE]
        ran = subprocess.run(command, check=True, capture_output=True, text=True, env={**inherited, **chosen})
        return int(ran.stdout)

    assert pages() < 10
    assert pages(MALLOC_MMAP_THRESHOLD_="131072") > 1000  # 30 MB are 7,680 pages


@pytest.mark.parametrize(("name", "value"), OWN_CHOICE.items())
def test_what_the_user_has_set_stays(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tunable of something else is no choice of this: the control."""
    for each in OWN_CHOICE:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=0")
    assert keep_freed_memory() == HAS_GLIBC
    monkeypatch.setenv(name, value)
    assert not keep_freed_memory()


def test_another_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freed_memory.ctypes, "CDLL", lambda name: object())
    assert not keep_freed_memory()
    monkeypatch.setattr(freed_memory.os, "name", "nt")
    monkeypatch.setattr(ctypes, "CDLL", None)  # would fail if it was called
    assert not keep_freed_memory()
