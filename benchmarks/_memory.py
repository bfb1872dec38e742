"""How much memory this process has held."""

import sys

import psutil


def peak_bytes() -> int:
    """The most memory that this process ever held."""
    info = psutil.Process().memory_info()
    if sys.platform == "win32":
        return int(info.peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
