"""Whether arrays fit into the memory that is free, asked before they are made."""

from pathlib import Path

import psutil

# Files of a control group, which bounds containers and batch jobs: its limit and what it uses.
_GROUP_FILES = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
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
    free = []
    for limit, used in _GROUP_FILES:
        try:
            free.append(max(int(Path(limit).read_text("ascii")) - int(Path(used).read_text("ascii")), 0))
        except (OSError, ValueError):  # no such group, or its limit is "max"
            continue
    return free
