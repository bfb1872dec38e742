"""What is to be trained: suites of (learner, scene, seed), each with its whole configuration."""

import copy
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml
from _settings import assign, path_of

from mlagents_player.scenes import GYMNASIUM, names

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SUITES = HERE / "suites"
PEERS = HERE / "peers"
CONFIGS = ROOT / "configs"
STABLE_BASELINES = "sb3-"
"""How the names of Stable-Baselines3's learners begin: sb3-dqn."""
CHANCE = "chance"
"""The learner that learns nothing: every action as likely as the others."""


def goals() -> dict[str, dict[str, Any]]:
    """What `scenes.yaml` says of each behaviour: `goal`, `why` it is that, and when its scene was last `changed`."""
    return yaml.safe_load((HERE / "scenes.yaml").read_text("utf-8"))


class SuiteError(Exception):
    """A suite that cannot be read, or asks for what there is not."""


@dataclass(frozen=True)
class Training:
    """One learner on one scene with one seed.

    Attributes:
        learner: a folder of configs/ or of peers/, or the name of a Stable-Baselines3 learner.
        scene: of the player; `gym:ID` for a Gymnasium environment.
        variant: what makes it differ from the learner's own file, empty if nothing does.
        config: the file's whole content: `behaviors` with one entry a behaviour, `env_settings`, ... For
            Stable-Baselines3 its arguments.
        seed: of trainer and scene.
        episodes: that the exported model plays, for each kind of output.
    """

    learner: str
    scene: str
    variant: str
    config: dict[str, Any] = field(hash=False)
    seed: int
    episodes: int

    @property
    def digest(self) -> str:
        """Of everything that the result depends on but the code."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """For folders and progress: `dqn-Basic-3`, with the variant if there is one."""
        parts = [self.learner, self.scene.removeprefix(GYMNASIUM), self.variant, str(self.seed)]
        return "-".join(part for part in parts if part)

    @property
    def steps(self) -> int:
        """Agent steps to train, of the behaviour that trains for longest."""
        if self.learner == CHANCE:
            return 0
        if self.learner.startswith(STABLE_BASELINES):
            return int(float(self.config["steps"]))
        return max(int(float(behavior["max_steps"])) for behavior in self.config["behaviors"].values())

    def steps_of(self, behavior: str) -> int:
        """Agent steps to train, of one behaviour: where there are several, each has its own.

        Args:
            behavior: its name.
        """
        own = self.config.get("behaviors", {}).get(behavior)
        return int(float(own["max_steps"])) if own else self.steps

    @property
    def areas(self) -> int:
        """Copies of the scene."""
        return int(self.config.get("env_settings", {}).get("num_areas", 1))


def available() -> list[str]:
    """Names of the suites."""
    return sorted(file.stem for file in SUITES.glob("*.yaml"))


def load(suite: str) -> list[Training]:
    """The trainings of a suite, in its order, seed by seed: every cell has its first seed before one has its second.

    Raises:
        SuiteError: there is no such suite, or it names a learner or a scene that there is not.
    """
    file = SUITES / f"{suite}.yaml"
    if not file.is_file():
        raise SuiteError(f"no suite {suite!r}; there are: {', '.join(available())}")
    content = yaml.safe_load(file.read_text("utf-8"))
    found = [  # cells may share trainings, as those of chance
        (turn, training)
        for cell in content["trainings"]
        for learner in cell["learners"]
        for turn, training in enumerate(_trainings(cell, learner, content["episodes"]))
    ]
    ordered = [training for _, training in sorted(found, key=lambda pair: pair[0])]
    return list({training.digest: training for training in ordered}.values())


def asked_for() -> set[str]:
    """Digests of all trainings of all suites, with the values that their files have now."""
    return {training.digest for suite in available() for training in load(suite)}


def _trainings(cell: dict[str, Any], learner: str, episodes: int) -> Iterator[Training]:
    scene = cell["scene"]
    config = learner_config(learner, scene)
    for path, value in cell.get("set", {}).items():
        for settings in _settings_of(config, learner):
            assign(settings, path_of(path), value)
    variant = "" if learner == CHANCE else cell.get("variant", "")
    for seed in cell["seeds"]:
        yield Training(learner, scene, variant, config, seed, cell.get("episodes", episodes))


def learner_config(learner: str, scene: str) -> dict[str, Any]:
    """The file of a learner for a scene, as a dictionary of one's own.

    Raises:
        SuiteError: there is no such file or scene.
    """
    stem = scene.removeprefix(GYMNASIUM)
    if stem == scene and scene not in names():
        raise SuiteError(f"no scene {scene!r}; there are: {', '.join(names())}")
    if learner == CHANCE:
        return {}
    if learner.startswith(STABLE_BASELINES):
        settings = yaml.safe_load((PEERS / "stable_baselines3.yaml").read_text("utf-8"))
        try:
            return copy.deepcopy(settings[stem][learner])
        except KeyError:
            raise SuiteError(f"peers/stable_baselines3.yaml has no {learner} for {stem}") from None
    for folder in (CONFIGS / learner, PEERS / learner):
        if (folder / f"{stem}.yaml").is_file():
            return yaml.safe_load((folder / f"{stem}.yaml").read_text("utf-8"))
    raise SuiteError(f"neither configs/{learner} nor peers/{learner} has a file {stem}.yaml")


def _settings_of(config: dict[str, Any], learner: str) -> list[dict[str, Any]]:
    """What holds a learner's keys: its behaviours; for Stable-Baselines3 its arguments."""
    return [config] if learner.startswith(STABLE_BASELINES) else list(config.get("behaviors", {}).values())
