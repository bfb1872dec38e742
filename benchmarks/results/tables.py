"""Records, gathered: a row is a learner on a behaviour, over its seeds."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from statistics import fmean, pstdev

from results.records import Outcome, Record
from results.suites import CHANCE

NAMES = {
    "a2c": "A2C",
    "dqn": "DQN",
    "flashsac": "FlashSAC",
    "pqn": "PQN",
    "poca": "ML-Agents' POCA",
    "ppo": "ML-Agents' PPO",
    "sac": "ML-Agents' SAC",
    "sb3-a2c": "Stable-Baselines3's A2C",
    "sb3-dqn": "Stable-Baselines3's DQN",
    "sb3-ppo": "Stable-Baselines3's PPO",
    "sb3-qrdqn": "sb3-contrib's QR-DQN",
    "sb3-tqc": "sb3-contrib's TQC",
}
"""How learners are called in a sentence."""
STOCK = ("ppo", "sac", "poca")
"""ML-Agents' own trainers."""


def name_of(learner: str) -> str:
    """How a learner is called in a sentence; by its own name where `NAMES` has none."""
    return NAMES.get(learner, learner)


@dataclass(frozen=True, eq=False)
class Row:
    """A learner on a behaviour of a scene, with one outcome a seed.

    Attributes:
        scene: of the player.
        behavior: of the scene.
        learner: who learns.
        variant: what differs from its own file.
        steps: agent steps.
        seeds: in rising order.
        outcomes: one a seed.
        demonstrations: it learned from demonstrations too.
        minutes: of a core, for each training.
        commits: of the repository, at which they were trained.
    """

    scene: str
    behavior: str
    learner: str
    variant: str
    steps: int
    seeds: list[int]
    outcomes: list[Outcome]
    demonstrations: bool
    minutes: list[float]
    commits: list[str]

    @property
    def label(self) -> str:
        """Of the learner, with what differs."""
        return " ".join(part for part in (self.learner, self.variant, self._teacher) if part)

    @property
    def name(self) -> str:
        """Of the learner, as a sentence has it."""
        return f"{name_of(self.learner)} {self._teacher}".strip()

    @property
    def _teacher(self) -> str:
        return "with demonstrations" if self.demonstrations else ""

    @property
    def scores(self) -> list[float]:
        """[seeds] mean returns of the exported models, with the outputs that Unity takes by default."""
        return [outcome.default.mean for outcome in self.outcomes if outcome.default]

    @property
    def greedy(self) -> list[float]:
        """[seeds] mean returns of their best actions."""
        return [outcome.greedy.mean for outcome in self.outcomes if outcome.greedy]

    @property
    def training(self) -> list[float]:
        """[seeds] mean returns in the last tenth of the training, as its log shows them."""
        return [fmean(_last_tenth(outcome)) for outcome in self.outcomes if outcome.curve]


def _last_tenth(outcome: Outcome) -> list[float]:
    last, _ = outcome.curve[-1]
    return [value for step, value in outcome.curve if step >= 0.9 * last]


def rows(records: Iterable[Record]) -> list[Row]:
    """A row for every (scene, behaviour, learner, variant, steps), within its behaviour the best first.

    Of means that are printed alike the one with more seeds is first, then the one with fewer steps; chance is last.
    """
    groups: dict[tuple, list[Record]] = {}
    for record in records:
        training = record.training
        for behavior in record.behaviors:
            key = (training.scene, behavior, training.learner, training.variant, training.steps_of(behavior))
            groups.setdefault(key, []).append(record)
    found = [_row(key, sorted(group, key=lambda record: record.training.seed)) for key, group in groups.items()]
    return sorted(found, key=_rank)


def _rank(row: Row) -> tuple:
    return row.scene, row.behavior, row.learner == CHANCE, -_mean(row.scores), -len(row.seeds), row.steps


def _row(key: tuple, group: list[Record]) -> Row:
    scene, behavior, learner, variant, steps = key
    return Row(
        scene,
        behavior,
        learner,
        variant,
        steps,
        seeds=[record.training.seed for record in group],
        outcomes=[record.behaviors[behavior] for record in group],
        demonstrations=any(map(_demonstrated, group)),
        minutes=[record.cpu_seconds / 60 for record in group],
        commits=sorted({record.commit for record in group}),
    )


def _demonstrated(record: Record) -> bool:
    behaviors = record.training.config.get("behaviors", {}).values()
    return any("demo_path" in behavior.get("hyperparameters", {}) for behavior in behaviors)


@dataclass(frozen=True)
class Best:
    """The best rows of a behaviour, None where there is none.

    Attributes:
        behavior: which.
        chance: the row of chance.
        ours: of the learners of this repository.
        peer: of the others.
    """

    behavior: str
    chance: Row | None
    ours: Row | None
    peer: Row | None


def bests(rows: list[Row], learners: Collection[str]) -> Iterator[Best]:
    """The best of each behaviour, in the order of the rows.

    Args:
        rows: as `rows` gives them.
        learners: those of this repository.
    """
    for behavior in dict.fromkeys(row.behavior for row in rows):
        own = [row for row in rows if row.behavior == behavior]
        chance = next((row for row in own if row.learner == CHANCE), None)
        ours = next((row for row in own if row.learner in learners), None)
        peer = next((row for row in own if row.learner not in (*learners, CHANCE)), None)
        yield Best(behavior, chance, ours, peer)


def counted(seeds: int) -> str:
    """A number of seeds, as a legend or a table has it."""
    return "1 seed" if seeds == 1 else f"{seeds} seeds"


def spread(values: list[float]) -> str:
    """`0.930 ± 0.002`, over the seeds; `-` where there is none."""
    if not values:
        return "-"
    digits = 3 if max(map(abs, values)) < 10 else 1
    return f"{fmean(values):.{digits}f}" + (f" ± {pstdev(values):.{digits}f}" if len(values) > 1 else "")


def each(values: list[float]) -> str:
    """One number a seed."""
    digits = 3 if max(map(abs, values), default=0) < 10 else 1
    return ", ".join(f"{value:.{digits}f}" for value in values)


def _mean(values: list[float]) -> float:
    """As it is printed: what differs beyond that says nothing."""
    return float(spread([fmean(values)])) if values else float("-inf")
