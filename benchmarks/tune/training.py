"""One seed of a trial in a process of its own: `python -m tune.training FOLDER`.

It is a training of `results`, with the same journal and the same way of going on after a kill, and nothing plays
afterwards. Once it has ended `finished.json` lies in the folder, and no checkpoint.
"""

import json
import shutil
from pathlib import Path

from results import learners
from results.suites import Training
from results.training import Journal, alone

FINISHED = "finished.json"


def train(training: Training, folder: Path, journal: Journal) -> None:
    """Trains to the end, unless that has been done.

    Args:
        training: what.
        folder: where checkpoints and journal lie.
        journal: of what was measured so far.
    """
    if (folder / FINISHED).is_file():
        return
    learners.ml_agents(training, folder, journal)
    unfinished = folder / f"{FINISHED}.new"
    unfinished.write_text(json.dumps({"curves": journal.curves, **journal.measured()}), encoding="utf-8")
    unfinished.replace(folder / FINISHED)
    forget(folder)


def forget(folder: Path) -> None:
    """Deletes the checkpoints and models of a training that nobody goes on with.

    Args:
        folder: of the training.
    """
    for name in ("checkpoints", "models", "models.new"):
        shutil.rmtree(folder / name, ignore_errors=True)


if __name__ == "__main__":
    alone(train)
