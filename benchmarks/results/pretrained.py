"""The models that come with the player: of every tuned configuration the best seed's, with its settings and card."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import yaml

from results import claims, records, tables
from results.records import Record
from results.suites import CONFIGS, ROOT
from results.training import folder_of

FOLDER = ROOT / "packages" / "mlagents-player" / "src" / "mlagents_player" / "pretrained"

_CARD = """---
library_name: ml-agents
license: apache-2.0
tags:
  - {scene}
  - ML-Agents-{scene}
  - deep-reinforcement-learning
  - reinforcement-learning
---

# {trainer} on {scene}

The best of {count} seeds ({seeds}) of [configs/{trainer}/{scene}.yaml](configuration.yaml), seed {seed}, {steps:,}
agent steps. Of {episodes} episodes of the exported model on starts that training has not seen:

| behavior | outputs that Unity takes by default | best actions |
| --- | --- | --- |
{rows}

- **Use in Unity**: drag the `.onnx` onto Model of the agent's Behavior Parameters; observations and actions have to be
  those of the scene. Made for Unity's ML-Agents package 2.0 and later (Barracuda and Sentis).
- **Watch it**: `mlagents-player watch --pretrained {trainer}/{scene}`
- **Train it again**: `nox -s results -- full --only {trainer}-{scene}-{seed}`, at commit {commit}
- **Licence**: Apache-2.0
"""


def update() -> Iterator[Path]:
    """Copies the best models that lie on this machine, and writes their cards.

    Yields:
        The folders that were written.
    """
    for file, found in claims.by_file(records.load()).items():
        if len(found) < claims.LEAST_SEEDS or not claims.is_tuned(file):
            continue
        best = max(found, key=_score)
        models = folder_of(best.training) / "models"
        if models.is_dir():
            yield _write(FOLDER / file.relative_to(CONFIGS).with_suffix(""), models, best, found)


def _score(record: Record) -> float:
    return sum(outcome.default.mean for outcome in record.behaviors.values() if outcome.default)


def _write(folder: Path, models: Path, best: Record, found: list[Record]) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for model in models.glob("*.onnx"):
        shutil.copyfile(model, folder / model.name)
    settings = yaml.safe_dump(best.training.config, sort_keys=False)
    (folder / "configuration.yaml").write_text(settings, encoding="utf-8", newline="\n")
    (folder / "README.md").write_text(_card(best, found, folder), encoding="utf-8", newline="\n")
    return folder


def _card(best: Record, found: list[Record], folder: Path) -> str:
    rows = [
        f"| {row.behavior} | {tables.each(row.scores)} | {tables.each(row.greedy)} |" for row in tables.rows([best])
    ]
    return _CARD.format(
        trainer=folder.parent.name,
        scene=folder.name,
        count=len(found),
        seeds=claims.seeds(found),
        seed=best.training.seed,
        steps=best.training.steps,
        episodes=best.training.episodes,
        rows="\n".join(rows),
        commit=best.commit,
    )
