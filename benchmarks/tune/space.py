"""Which keys of a behaviour are searched, and where; and the settings that a configuration gives.

Plugins say it beside their settings, in `mlagents_plugin_shared.run.search`; ML-Agents' own trainers say nothing, and
have a table here. Values of the file that lie outside of a range widen it: the file itself is the first trial.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers import settings as host
from mlagents.trainers.exception import TrainerConfigError, TrainerError
from mlagents.trainers.poca.optimizer_torch import POCASettings
from mlagents.trainers.ppo.optimizer_torch import PPOSettings
from mlagents.trainers.sac.optimizer_torch import SACSettings

from mlagents_plugin_shared.run.search import Choice, Interval, Search, search_space
from mlagents_plugin_shared.run.settings import entries
from tune.errors import TuneError

_PPO: dict[str, Search] = {
    "beta": Interval(1e-4, 3e-2, log=True),
    "epsilon": Interval(0.1, 0.3),
    "lambd": Interval(0.9, 0.99),
    "batch_size": Choice((64, 128, 256, 512, 1024)),
    "buffer_size": Choice((1024, 2048, 4096, 10240, 20480)),
}
STOCK: dict[type, dict[str, Search]] = {
    host.HyperparamSettings: {"learning_rate": Interval(1e-5, 3e-3, log=True)},
    host.OnPolicyHyperparamSettings: {"num_epoch": Interval(1, 8)},
    PPOSettings: _PPO,
    POCASettings: _PPO,
    SACSettings: {
        "batch_size": Choice((64, 128, 256, 512)),
        "buffer_size": Choice((20_000, 50_000, 200_000)),
        "init_entcoef": Interval(0.05, 1.0, log=True),
        "steps_per_update": Choice((1.0, 2.0, 5.0, 10.0)),
        "tau": Interval(0.002, 0.05, log=True),
    },
}
"""Hyperparameters of ML-Agents' own settings classes, those that plugins inherit among them."""

BESIDE: dict[tuple[str, ...], Search] = {
    ("network_settings", "hidden_units"): Choice((32, 64, 128, 256, 512)),
    ("network_settings", "num_layers"): Interval(1, 3),
    ("reward_signals", "extrinsic", "gamma"): Choice((0.9, 0.95, 0.98, 0.99, 0.995)),
}
"""Keys beside the hyperparameters, for every trainer."""

_DIGITS = 3
"""Significant ones of a number, so that a file says in full what was trained."""


@dataclass(frozen=True)
class Key:
    """A key that is searched.

    Attributes:
        path: below the behaviour's name: `("hyperparameters", "learning_rate")`.
        search: where.
    """

    path: tuple[str, ...]
    search: Search

    @property
    def name(self) -> str:
        """In the study: `hyperparameters.learning_rate`."""
        return ".".join(self.path)

    def value(self, drawn: Any, steps: int) -> Any:
        """What stands in the file for a number that was drawn.

        Args:
            drawn: within the interval, or one of the choices.
            steps: `max_steps` of the behaviour.
        """
        if isinstance(self.search, Choice):
            return drawn
        if self.search.of_max_steps:
            return max(int(float(f"{drawn * steps:.{_DIGITS}g}")), 1)
        return drawn if isinstance(drawn, int) else float(f"{drawn:.{_DIGITS}g}")


def keys(settings: host.TrainerSettings, steps: int, only: Iterable[str] = ()) -> tuple[list[Key], dict[str, Any]]:
    """What is searched in a behaviour, and what the file holds of it, as if it had been drawn.

    Left out are keys that have no effect beside the others, and those that are not set where nothing stands for that.

    Args:
        settings: of the behaviour, as the file has them.
        steps: that a trial trains.
        only: names of those to search, whole or their last words; all where there are none.

    Raises:
        TuneError: a name is none of the keys', or there is nothing to search.
    """
    found, held = [], {}
    for path, search in _ranges(settings).items():
        drawn = _drawn(_at(settings, path), search, settings.max_steps)
        within = None if drawn is None else _widened(search, drawn, path, steps)
        if within is not None:
            key = Key(path, within)
            found.append(key)
            held[key.name] = drawn
    chosen = _chosen(found, list(only))
    return chosen, {key.name: held[key.name] for key in chosen}


def read(behaviors: Mapping[str, Any], others: Mapping[str, Any] | None = None) -> dict[str, host.TrainerSettings]:
    """The settings of behaviours.

    Args:
        behaviors: what stands under `behaviors:` in a YAML.
        others: its other sections, which are checked too.

    Raises:
        TuneError: they cannot be trained with; its lines say why.
    """
    register_trainer_plugins()
    try:
        whole = copy.deepcopy({**(others or {}), "behaviors": dict(behaviors)})
        return dict(host.RunOptions.from_dict(whole).behaviors)
    except (TrainerConfigError, TrainerError, TypeError, ValueError) as error:
        raise TuneError(str(error)) from None


def _ranges(settings: host.TrainerSettings) -> dict[tuple[str, ...], Search]:
    """Where to look for each key that means something beside the others."""
    hyperparameters: Any = settings.hyperparameters
    kind = type(hyperparameters)
    found: dict[str, Search | None] = {}
    for ancestor in reversed(kind.__mro__):
        found.update(STOCK.get(ancestor, {}))
    found.update(search_space(kind))
    idle = {key for entry in entries(kind, "idle") if entry.when(hyperparameters, settings) for key in entry.keys}
    own: dict[tuple[str, ...], Search] = {
        ("hyperparameters", key): search
        for key, search in found.items()
        if search is not None and key not in idle and (search.when is None or search.when(hyperparameters))
    }
    return {**own, **BESIDE} if host.RewardSignalType.EXTRINSIC in settings.reward_signals else own


def _at(settings: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        settings = settings[host.RewardSignalType(name)] if isinstance(settings, dict) else getattr(settings, name)
    return settings


def _drawn(value: Any, search: Search, max_steps: int) -> Any:
    """A key's value as a number of its interval or one of its choices; None where it stands for nothing."""
    if isinstance(search, Choice):
        return value
    if value is None:
        return search.unset
    return value / max_steps if search.of_max_steps else value


def _widened(search: Search, drawn: Any, path: tuple[str, ...], steps: int) -> Search | None:
    """The range with what the file holds in it; None where it leaves no choice."""
    if isinstance(search, Choice):
        # Beyond the length of the run all sizes are one for a replay, and too large for a rollout.
        fitting = [value for value in search.values if path[-1] != "buffer_size" or value <= steps]
        values = tuple(sorted({*fitting, drawn}))
        return search._replace(values=values) if len(values) > 1 else None
    low, high = min(search.low, drawn), max(search.high, drawn)
    return search._replace(low=low, high=high, log=search.log and low > 0)


def _chosen(found: list[Key], only: list[str]) -> list[Key]:
    chosen = {}
    for word in only:
        fitting = [key for key in found if word in (key.name, key.path[-1])]
        if len(fitting) != 1:
            raise TuneError(
                f"--keys {word} is none of those that can be searched here: {', '.join(map(_short, found))}"
            )
        chosen[fitting[0].name] = fitting[0]
    result = list(chosen.values()) if only else found
    if not result:
        raise TuneError("there is nothing to search: no key of this trainer says where to look")
    return result


def _short(key: Key) -> str:
    return key.path[-1]
