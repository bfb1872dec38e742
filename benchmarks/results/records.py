"""What came of a training, as lines of JSON that are committed."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock

from results import suites
from results.suites import HERE, ROOT, Training

RECORDS = HERE / "records"
FORMAT = 1
_PEERS = ("mlagents", "torch", "numpy", "gymnasium", "mujoco", "stable-baselines3", "sb3-contrib")


@dataclass(frozen=True)
class Played:
    """Returns of a model's episodes.

    Attributes:
        mean: of the episodes.
        std: their deviation.
        min: the worst one.
        max: the best one.
        episodes: how many.
        games: how many were `won`, `lost` and `undecided`, between two teams; a game is one, its episodes are those of
            all agents of the team.
    """

    mean: float
    std: float
    min: float
    max: float
    episodes: int
    games: dict[str, int] | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of one behaviour.

    Attributes:
        curve: (agent step, mean return of the training episodes since the step before).
        default: the exported model with the outputs that Unity takes by default.
        greedy: the exported model's best actions.
        elo: (agent step, rating) in self-play; empty elsewhere.
    """

    curve: list[tuple[int, float]]
    default: Played | None
    greedy: Played | None
    elo: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Record:
    """One training that came to its end.

    Attributes:
        training: what was trained; its fields stand beside the others in the file.
        behaviors: what came of each behaviour, by its name without the team.
        seconds: wall-clock of the training, without evaluation.
        cpu_seconds: of the process that trained.
        peak_bytes: the most memory that it held.
        resumed_at: steps at which it was taken up after a kill.
        versions: of the distributions.
        commit: of the repository, with a + behind it where files differed.
        machine: processor, cores, operating system and Python.
        finished: time in UTC.
    """

    training: Training
    behaviors: dict[str, Outcome]
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    resumed_at: list[int]
    versions: dict[str, str]
    commit: str
    machine: dict[str, Any]
    finished: str

    def line(self) -> str:
        """Of JSON."""
        fields = asdict(self)
        training = fields.pop("training")
        return json.dumps({"format": FORMAT, "digest": self.training.digest, **training, **fields})

    @classmethod
    def of_line(cls, line: str) -> "Record":
        """The record that `line` gave.

        Raises:
            ValueError: the line is of another format, or no JSON.
        """
        fields = json.loads(line)
        if fields.pop("format") != FORMAT:
            raise ValueError("a record of another format")
        fields.pop("digest")
        keys = ("learner", "scene", "variant", "config", "seed", "episodes")
        training = Training(**{key: fields.pop(key) for key in keys})
        behaviors = {name: _outcome(found) for name, found in fields.pop("behaviors").items()}
        return cls(training, behaviors, **fields)


def _outcome(found: dict[str, Any]) -> Outcome:
    played = {kind: Played(**found[kind]) if found[kind] else None for kind in ("default", "greedy")}
    return Outcome(_points(found["curve"]), **played, elo=_points(found.get("elo", [])))


def _points(found: list[list[float]]) -> list[tuple[int, float]]:
    return [(int(step), float(value)) for step, value in found]


def of(training: Training, behaviors: dict[str, Outcome], **measured: Any) -> Record:
    """A record of a training that has just ended here."""
    return Record(
        training=training,
        behaviors=behaviors,
        versions=_versions(),
        commit=commit(),
        machine=_machine(),
        finished=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **measured,
    )


def load(files: Iterable[Path] | None = None) -> list[Record]:
    """The newest record of every training, of all files in records/ or of those named.

    Those of a scene that has changed since count no more: it has to be trained anew.
    """
    changed = {name: scene["changed"] for name, scene in suites.goals().items() if "changed" in scene}
    newest: dict[str, Record] = {}
    for file in sorted(files if files is not None else RECORDS.glob("*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            record = Record.of_line(line)
            if any(record.finished < changed.get(behavior, "") for behavior in record.behaviors):
                continue
            known = newest.get(record.training.digest)
            if known is None or known.finished <= record.finished:
                newest[record.training.digest] = record
    return list(newest.values())


def append(record: Record) -> Path:
    """Adds a line to the learner's file, whole or not at all; several processes may do so at once."""
    file = RECORDS / f"{record.training.learner}.jsonl"
    RECORDS.mkdir(exist_ok=True)
    with FileLock(ROOT / "results" / ".records.lock"), file.open("a", encoding="utf-8", newline="\n") as lines:
        lines.write(record.line() + "\n")
        lines.flush()
        os.fsync(lines.fileno())
    return file


def commit() -> str:
    """The repository's, with a + behind it where tracked files differ from it; empty outside of a checkout."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()


def _versions() -> dict[str, str]:
    """Of what the repository publishes, and of what it is compared with or stands on."""
    found = {}
    ours = sorted(file.parent.name for file in ROOT.glob("packages/*/pyproject.toml"))
    for name in (*_PEERS, "mlagents-plugin-shared", *ours):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _machine() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": ".".join(map(str, sys.version_info[:3])),
    }


def _processor() -> str:
    """Its name: Linux keeps it in a file, and `platform` knows it elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
