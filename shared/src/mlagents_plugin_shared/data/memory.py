"""Whether arrays fit into the memory that is free, asked before they are made."""

from dataclasses import dataclass
from pathlib import Path

import psutil

_OWN_GROUPS = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class _Hierarchy:
    """Where a version of Linux's control groups, which bound containers and batch jobs, says what of the memory."""

    root: Path
    controller: str
    limit: str
    usage: str
    file_cache: tuple[str, ...]


_HIERARCHIES = (
    _Hierarchy(Path("/sys/fs/cgroup"), "", "memory.max", "memory.current", ("inactive_file", "active_file")),
    _Hierarchy(
        Path("/sys/fs/cgroup/memory"),
        "memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
)


class BufferMemoryError(MemoryError):
    """A buffer would not fit into the memory that is free."""


def free_memory() -> int:
    """Bytes that this process can still take: what the machine has free, or less where a container bounds it."""
    return min([psutil.virtual_memory().available, *_group_memory()])


def check_fits(capacity: int, bytes_per_transition: int) -> None:
    """Raises BufferMemoryError unless `capacity` transitions fit into the free memory."""
    free = free_memory()
    needed = capacity * bytes_per_transition
    if needed > free:
        raise BufferMemoryError(
            f"buffer_size {capacity} needs {format_bytes(needed)} ({bytes_per_transition:,} bytes a transition), but "
            f"{format_bytes(free)} are free: the largest buffer_size that fits is {free // bytes_per_transition}"
        )


def format_bytes(count: float) -> str:
    """`1.27 GB`, `21.2 kB`: three digits and a unit of 1,000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"


def _group_memory() -> list[int]:
    """Bytes that each control group around this process leaves; none where nothing bounds it."""
    free = []
    for hierarchy in _HIERARCHIES:
        own = hierarchy.root / _own_group(hierarchy.controller)
        for folder in (own, *own.parents):  # a job's group is bounded by those above it; in a container it is the root
            try:
                limit = int((folder / hierarchy.limit).read_text("ascii"))
                used = int((folder / hierarchy.usage).read_text("ascii")) - _file_cache(folder, hierarchy)
            except (OSError, ValueError):  # no such group, or its limit is "max"
                continue
            free.append(min(max(limit - used, 0), limit))
    return free


def _own_group(controller: str) -> str:
    """The group of this process below the root of a hierarchy, empty for the root itself."""
    try:
        lines = _OWN_GROUPS.read_text("utf-8").splitlines()
    except OSError:  # not on Linux
        return ""
    groups = (line.split(":", 2) for line in lines)
    return next((path.lstrip("/") for _, controllers, path in groups if controller in controllers.split(",")), "")


def _file_cache(folder: Path, hierarchy: _Hierarchy) -> int:
    """Bytes of files that the system keeps in the memory for as long as nobody needs it; a group's use counts them."""
    try:
        lines = (folder / "memory.stat").read_text("ascii").splitlines()
    except OSError:  # some sandboxes have the limit alone
        return 0
    return sum(int(count) for name, count in map(str.split, lines) if name in hierarchy.file_cache)
