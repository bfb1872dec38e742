"""A trainer plugin as ML-Agents finds it: what it is registered as, what it accepts, and trainers of it."""

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cattr
from mlagents.plugins import all_trainer_settings, all_trainer_types
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.torch_utils import torch
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.settings import OffPolicyHyperparamSettings, RunOptions, TrainerSettings
from mlagents.trainers.trainer import Trainer
from mlagents_envs.base_env import ActionSpec, BehaviorSpec

from mlagents_plugin_shared.testing.exports import SENSORS
from mlagents_plugin_shared.testing.toy_environment import BEHAVIOR

ACTIONS = {"discrete": ActionSpec(0, (3, 3, 2)), "continuous": ActionSpec(2, ()), "hybrid": ActionSpec(2, (3, 2))}
"""One behaviour's actions of each kind."""

TEAM = BehaviorIdentifiers.from_name_behavior_id(f"{BEHAVIOR}?team=0")
"""The behaviour of the toy tasks."""

Settings = Mapping[str, Any]
"""What stands below a behaviour's name in a YAML, or below one of its keys."""


def merged(*settings: Settings) -> dict[str, Any]:
    """Settings over settings, section by section; the later ones win.

    Args:
        settings: what stands below a behaviour's name.
    """
    result: dict[str, Any] = {}
    for each in settings:
        for key, value in each.items():
            under = result.get(key)
            both = isinstance(value, Mapping) and isinstance(under, Mapping)
            result[key] = merged(under, value) if both else value  # type: ignore[arg-type]
    return result


class Plugin:
    """An installed plugin.

    Attributes:
        trainer_type: its name in a YAML.
        settings: what its author gives below a behaviour's name.
        kinds: names in `ACTIONS` of the actions that it accepts.

    Args:
        trainer_type: its name in a YAML.
        settings: what stands below a behaviour's name, but for `trainer_type`.

    Raises:
        ValueError: no such plugin is installed, or it accepts no actions.
    """

    def __init__(self, trainer_type: str, settings: Settings) -> None:
        register_trainer_plugins()
        if trainer_type not in all_trainer_types:
            raise ValueError(
                f"no plugin for trainer_type {trainer_type!r} is installed; there are {', '.join(all_trainer_types)}"
            )
        self.trainer_type = trainer_type
        self.settings = merged(settings, {"trainer_type": trainer_type})
        self.kinds = [name for name, actions in ACTIONS.items() if self._accepts(actions)]
        if not self.kinds:
            raise ValueError(f"trainer_type {trainer_type!r} accepts neither of {', '.join(ACTIONS)} actions")

    @property
    def trainer_class(self) -> type[Trainer]:
        """What the plugin registers."""
        return all_trainer_types[self.trainer_type]

    @property
    def settings_class(self) -> type:
        """Class of the hyperparameters."""
        return all_trainer_settings[self.trainer_type]

    @property
    def is_off_policy(self) -> bool:
        """Whether it learns from a replay."""
        return issubclass(self.settings_class, OffPolicyHyperparamSettings)

    @property
    def broadest(self) -> str:
        """The kind of actions that has most to it, of those that it accepts."""
        return self.kinds[-1]

    def config(self, *changes: Settings) -> dict[str, Any]:
        """The author's settings with changes, as they stand below a behaviour's name.

        Args:
            changes: of which the later ones win.
        """
        return merged(self.settings, *changes)

    def read(self, *changes: Settings) -> TrainerSettings:
        """The settings as `mlagents-learn` reads them from a file, with every check.

        Args:
            changes: of the author's settings.

        Raises:
            TrainerConfigError: they are refused.
        """
        return RunOptions.from_dict({"behaviors": {BEHAVIOR: self.config(*changes)}}).behaviors[BEHAVIOR]

    def trainer(self, spec: BehaviorSpec, *changes: Settings, folder: Path | None = None, seed: int = 0) -> Trainer:
        """A trainer with its policy and optimizer, without an environment; the same weights at every call.

        Args:
            spec: the behaviour.
            changes: of the author's settings.
            folder: of the behaviour's files; default one that goes with the trainer.
            seed: of the run.
        """
        made = self._bare(folder or (temporary := Path(tempfile.mkdtemp())), seed, *changes)
        if folder is None:
            weakref.finalize(made, shutil.rmtree, temporary, ignore_errors=True)
        made.add_policy(TEAM, made.create_policy(TEAM, spec))
        return made

    def _bare(self, folder: Path, seed: int, *changes: Settings) -> Trainer:
        torch.manual_seed(seed)
        settings = cattr.structure({BEHAVIOR: self.config(*changes)}, TrainerSettings.DefaultTrainerDict)[BEHAVIOR]
        return self.trainer_class(BEHAVIOR, 1, settings, True, False, seed, str(folder))

    def _accepts(self, actions: ActionSpec) -> bool:
        """Whether a policy for such actions is created, and not refused by its trainer."""
        with tempfile.TemporaryDirectory() as folder:
            trainer = self._bare(Path(folder), 0)  # settings that cannot be read are an error of their own
            try:
                trainer.create_policy(TEAM, BehaviorSpec(SENSORS["vector"], actions))
            except TrainerConfigError:
                return False
        return True
