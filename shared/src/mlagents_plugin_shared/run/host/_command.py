"""The command `mlagents-learn`, of which `python -m mlagents.trainers.learn` runs a second copy."""

import sys
from collections.abc import Callable
from typing import Any

from mlagents.trainers import learn


def replace_run_training(run_training: Callable[[int, Any, int], None]) -> None:
    """Has the command call this function for its run, however it was started.

    Args:
        run_training: takes the run's seed, its options and the number of areas.
    """
    learn.run_training = run_training
    main: Any = sys.modules["__main__"]
    if getattr(getattr(main, "__spec__", None), "name", None) == learn.__name__:
        main.run_training = run_training
