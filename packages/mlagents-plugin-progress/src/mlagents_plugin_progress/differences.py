"""In which settings runs differ, and which of them are one experiment on several seeds."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mlagents_plugin_progress.run_reading import Run

PART = r'(?:"[^"]*"|[^.]+)'
"""One part of a dotted key: a name that has dots itself is in quotation marks."""

ASIDE = re.compile(
    r"env_settings\.(seed|base_port|timeout_wait|max_lifetime_restarts|restarts_rate_limit_\w+)"
    r"|checkpoint_settings\.(run_id|results_dir|resume|force|load_model|train_model|inference)"
    r"|engine_settings\.no_graphics(_monitor)?|debug"
    rf"|behaviors?\.({PART}\.)?(init_path|keep_checkpoints|summary_freq)"
)
"""Keys that say where, how often, and by which seed a run runs, and not what is learnt."""

SEED = "env_settings.seed"


class Group(NamedTuple):
    """Runs of one experiment: they differ in their seeds alone.

    Attributes:
        label: what the legend calls them.
        runs: its members.
    """

    label: str
    runs: list[Run]


def experiment(run: Run) -> tuple[tuple[str, str], ...] | None:
    """What makes a run's experiment: all its settings but where it ran and by which seed.

    Args:
        run: the run.

    Returns:
        None where its settings are not known.
    """
    if run.settings is None:
        return None
    return tuple(sorted((key, repr(value)) for key, value in run.settings.items() if not ASIDE.fullmatch(key)))


def grouped(runs: Sequence[Run]) -> list[Group]:
    """Runs that differ in their seeds alone, together; each whose settings are not known, by itself.

    Args:
        runs: in the order in which they are to be shown.
    """
    groups: dict[Any, list[Run]] = {}
    for run in runs:
        known = experiment(run)
        groups.setdefault(known if known is not None else run.folder.resolve(), []).append(run)
    labels = _unique([_label([run.name for run in members]) for members in groups.values()], list(groups.values()))
    return [Group(label, members) for label, members in zip(labels, groups.values(), strict=True)]


def differing(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Settings that are not the same in all of the runs, but for where they ran and by which seed.

    The one behaviour of a run is compared with that of another, whatever they are called. Of several behaviours those
    are compared that two of the runs have.

    Args:
        runs: those whose settings are not known differ in nothing.

    Returns:
        By dotted key: the value in each run, None where it has none.
    """
    all_settings = [_comparable(run) for run in runs]
    known = [settings for settings in all_settings if settings]
    shared = _behaviors_of_several(known)
    keys = dict.fromkeys(key for settings in known for key in settings if not ASIDE.fullmatch(key))
    return {
        key: [settings.get(key) for settings in all_settings]
        for key in keys
        if (not key.startswith("behaviors.") or parts(key)[1] in shared) and _differs(key, known)
    }


def of_unknown_settings(runs: Sequence[Run]) -> str | None:
    """Which runs cannot be compared by their settings, and why, in one line; None where all can.

    Args:
        runs: all that were asked for.
    """
    names = [run.name for run in runs if run.settings is None]
    if not names:
        return None
    which = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    return f"settings unknown of {which}: no configuration.yaml, which mlagents-learn writes when a run ends"


def _differs(key: str, known: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a setting differs; that other trainers have no such key is no difference."""
    having = [settings for settings in known if key in settings]
    trainer = re.sub(rf"^(behaviors\.{PART}|behavior)\..*", r"\1.trainer_type", key)
    trainers = {settings.get(trainer) for settings in having}
    is_common = ".network_settings." in key or ".reward_signals." in key
    lacking = [each for each in known if key not in each and (is_common or each.get(trainer) in trainers)]
    return len({repr(settings.get(key)) for settings in [*having, *lacking]}) > 1


def _comparable(run: Run) -> dict[str, Any]:
    settings = run.settings or {}
    behaviors = _behaviors(settings)
    if len(behaviors) != 1:
        return settings
    return {re.sub(rf"^behaviors\.{PART}\.", "behavior.", key): value for key, value in settings.items()}


def _behaviors(settings: Mapping[str, Any]) -> set[str]:
    return {parts(key)[1] for key in settings if key.startswith("behaviors.")}


def _behaviors_of_several(known: Sequence[Mapping[str, Any]]) -> set[str]:
    behaviors = [behavior for settings in known for behavior in _behaviors(settings)]
    return {behavior for behavior in behaviors if behaviors.count(behavior) > 1}


def parts(key: str) -> list[str]:
    """The names that a dotted key is made of, outermost first.

    Args:
        key: of flat settings.
    """
    return re.findall(PART, key)


def short_keys(keys: Sequence[str]) -> dict[str, str]:
    """The last words of dotted keys, as many as it takes to tell them apart.

    Args:
        keys: dotted keys, none of them twice.
    """
    found = {}
    for key in keys:
        every = parts(key)
        ends = (".".join(every[-words:]) for words in range(1, len(every) + 1))
        found[key] = next(end for end in ends if sum(_ends_with(other, end) for other in keys) == 1 or end == key)
    return found


def _ends_with(key: str, end: str) -> bool:
    return key == end or key.endswith(f".{end}")


def _label(names: Sequence[str]) -> str:
    """What the names of a group begin with; the name of its one member."""
    last = [os.path.basename(os.path.normpath(name)) for name in names]  # noqa: PTH119
    if len(last) == 1:
        return last[0]
    begin = os.path.commonprefix(last)  # noqa: RUF071 - of names, character by character
    common = re.sub(r"([-_. ]?(seed|run|s))?[-_. ]*$", "", begin.rstrip("0123456789"))
    return common or last[0]


def _unique(labels: Sequence[str], groups: Sequence[Sequence[Run]]) -> list[str]:
    """The labels, those that several groups have with the folder before them, or else numbered."""
    longer = [
        label if labels.count(label) == 1 else members[0].name for label, members in zip(labels, groups, strict=True)
    ]
    return [
        label if longer.count(label) == 1 else f"{label} #{longer[: place + 1].count(label)}"
        for place, label in enumerate(longer)
    ]


def shown(value: Any) -> str:
    """A setting as a table shows it.

    Args:
        value: of a YAML file; None where a run has no such key.
    """
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
