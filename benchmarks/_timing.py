"""Times of several things in one run, so that a busy machine slows all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping


def medians(calls: Mapping[str, Callable[[], object]], repeats: int, each: int = 1) -> dict[str, float]:
    """Median microseconds of a call of each, over repeats in which all take turns, after one to warm up.

    Args:
        calls: what to time, by name.
        repeats: number of repeats.
        each: calls in a row that are timed together.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(each):
                call()
            if repeat:
                times[name].append((time.perf_counter() - start) / each * 1e6)
    return {name: statistics.median(taken) for name, taken in times.items()}
