"""On Linux, memory that PyTorch frees stays with the process, for the next update.

Each update makes tens of tensors of a megabyte and drops them. The C library gives such memory back to the system at
once, and the next update pays for getting it again, page by page: a tenth to a fifth of an update of FlashSAC with 256
units. Other systems' libraries have no such switch.
"""

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as malloc.h of glibc has them
_KEPT = 2**30
"""Bytes at the end of the heap that are kept."""
_LARGEST = 2**25
"""Bytes from which on a block is given back whatever is set: glibc takes no larger number."""


def keep_freed_memory() -> bool:
    """Asks the C library to keep what is freed, where it is a block of less than 32 MB.

    A process then holds about the most that it ever needed at a time, and not what it needs just now.

    Source: mallopt(3), https://man7.org/linux/man-pages/man3/mallopt.3.html.

    Returns:
        Whether it does: not where it is another library than glibc, and not where the user's environment says from what
        size on memory is given back.
    """
    if os.name != "posix" or _is_users_choice():
        return False
    option = getattr(ctypes.CDLL(None), "mallopt", None)
    # One alone would switch off what glibc does about the other by itself.
    return option is not None and option(_MMAP_THRESHOLD, _LARGEST) == 1 and option(_TRIM_THRESHOLD, _KEPT) == 1


def _is_users_choice() -> bool:
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    return any(
        f"MALLOC_{name.upper()}_" in os.environ or f"malloc.{name}=" in tunables
        for name in ("trim_threshold", "mmap_threshold")
    )
