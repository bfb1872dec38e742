"""Hyperparameters of a plugin: what may be written, what contradicts what, and what is without effect.

A settings class says it in tables and short methods; `reading` goes through a file by them and names every fault.
"""

# No `from __future__ import annotations` here: cattrs < 1.7 reads the annotations of settings as types.
import math
from enum import Enum
from typing import Any, Callable, ClassVar, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

import attr
from mlagents.trainers import settings as host
from mlagents.trainers.exception import TrainerConfigError

from mlagents_plugin_shared.run.conversion import Change, wide_enough


class Conflict(NamedTuple):
    """A value that is wrong only beside others.

    Attributes:
        key: the key to blame, a path such as `network_settings: memory: sequence_length` where it is no hyperparameter.
        reason: why, and what to do.
        others: the keys beside which it is wrong.
        value: what the key holds.
    """

    key: str
    reason: str
    others: Tuple[str, ...] = ()
    value: Any = None


class Idle(NamedTuple):
    """Keys that may stand in a file and have no effect beside others.

    Attributes:
        keys: hyperparameters.
        when: whether they have none, from the hyperparameters and from all settings of the behaviour.
        why: the reason, short: it stands in brackets behind the key.
    """

    keys: Tuple[str, ...]
    when: Callable[[Any, host.TrainerSettings], bool]
    why: str


class Far(NamedTuple):
    """A value that counts and is far from what the algorithm needs, as it comes from the file of another one.

    Attributes:
        key: its name; a hyperparameter or a key beside them.
        text: what follows from it and what is usual, from the hyperparameters and all settings; empty where it is near.
    """

    key: str
    text: Callable[[Any, host.TrainerSettings], str]


class InvalidSettings(TrainerConfigError):
    """One or more settings cannot be used; each is a line.

    Attributes:
        conflicts: the faults, without the name of what they stand under.
    """

    def __init__(self, title: str, conflicts: List[Conflict]) -> None:
        super().__init__("\n".join(describe(f"{title}: hyperparameters", *conflict) for conflict in conflicts))
        self.conflicts = conflicts


class Range:
    """attrs validator of a number.

    Args:
        expected: what it must be, after "it must".
        holds: whether a value is; NaN is not.
        **limits: the same for editors, in keywords of JSON Schema such as `minimum`.
    """

    def __init__(self, expected: str, holds: Callable[[Any], bool], **limits: Any) -> None:
        self.expected = f"it must {expected}"
        self.holds = holds
        self.limits = limits

    def __call__(self, instance: Any, attribute: attr.Attribute, value: Any) -> None:
        if not self.holds(value):
            raise InvalidSettings(type(instance).__name__, [Conflict(attribute.name, self.expected, value=value)])


positive = Range("be greater than 0", lambda value: value > 0, exclusiveMinimum=0)
"""attrs validator: value > 0."""

not_negative = Range("be 0 or greater", lambda value: value >= 0, minimum=0)
"""attrs validator: value >= 0."""


def between(low: float, high: float) -> Range:
    """attrs validator: low <= value <= high."""
    return Range(f"lie between {low} and {high}", lambda value: low <= value <= high, minimum=low, maximum=high)


def at_least(low: float) -> Range:
    """attrs validator: value >= low."""
    return Range(f"be at least {low}", lambda value: value >= low, minimum=low)


WIDEST = 65_536
"""Bound of the width of a layer: one of this width alone has 17 GB of weights."""

DEEPEST = 1000
"""Bound of the number of layers."""

LEAST_STEPS_PER_UPDATE = 1e-3
"""Bound of the steps to an update: a thousand updates to each step."""


def by_preset(presets: Mapping[Any, Mapping[str, Any]]) -> Callable[[str, Any], Any]:
    """For keys whose default goes with the `preset` of the same settings, which stands before them.

    Args:
        presets: by preset, the keys that it sets.

    Returns:
        What makes the attrs default of a key, from its name and what it is where the preset says nothing.
    """

    def default_of(key: str, otherwise: Any) -> Any:
        return attr.Factory(lambda settings: presets.get(settings.preset, {}).get(key, otherwise), takes_self=True)

    return default_of


LARGEST_ATOM = 1e8
"""Bound of the returns that a categorical distribution tells: with larger ones float32 loses what tells actions apart,
and gradients overflow."""

LEAST_STEP = 2.0**-23
"""Distance of atoms, in parts of the largest one, from which on they are different float32."""


def atom_conflicts(v_min: float, v_max: float, num_atoms: int) -> Iterator[Conflict]:
    """What is wrong with the atoms of a categorical distribution, by the keys of these names.

    Args:
        v_min: least atom.
        v_max: largest atom.
        num_atoms: how many there are.
    """
    ends = {"v_min": v_min, "v_max": v_max}
    beyond = [key for key, value in ends.items() if abs(value) > LARGEST_ATOM]
    for key in beyond:
        yield Conflict(key, f"it must lie between {-LARGEST_ATOM:g} and {LARGEST_ATOM:g}")
    if not beyond and not v_min < v_max:
        yield Conflict("v_max", f"it must be greater than v_min, which is {v_min}", ("v_min",))
    elif not beyond and v_max - v_min < LEAST_STEP * max(abs(v_min), abs(v_max)) * (num_atoms - 1):
        yield Conflict("v_max", f"it is so near v_min, which is {v_min}, that atoms would be equal", ("v_min",))
    if num_atoms < 2:
        yield Conflict("num_atoms", "a categorical distribution has at least 2 atoms", ("distribution",))


HOST_RANGES: Dict[type, Dict[str, Range]] = {
    host.HyperparamSettings: dict.fromkeys(("learning_rate", "batch_size", "buffer_size"), positive),
    host.OnPolicyHyperparamSettings: {"num_epoch": positive},
    host.OffPolicyHyperparamSettings: {
        "buffer_init_steps": not_negative,
        "steps_per_update": at_least(LEAST_STEPS_PER_UPDATE),
        "reward_signal_steps_per_update": at_least(LEAST_STEPS_PER_UPDATE),
    },
    host.TrainerSettings: dict.fromkeys(
        ("checkpoint_interval", "keep_checkpoints", "max_steps", "time_horizon", "summary_freq"), positive
    ),
    host.NetworkSettings: {"hidden_units": between(1, WIDEST), "num_layers": between(1, DEEPEST)},
    host.NetworkSettings.MemorySettings: {
        "sequence_length": positive,
        "memory_size": Range(
            f"be even and lie between 2 and {WIDEST}",
            lambda value: 2 <= value <= WIDEST and value % 2 == 0,
            minimum=2,
            maximum=WIDEST,
            multipleOf=2,
        ),
    },
    host.RewardSignalSettings: {
        "gamma": between(0.0, 1.0),
        "learning_rate": positive,
        "encoding_size": between(1, WIDEST),
    },
    host.CuriositySettings: {
        "strength": Range(
            "not be 0, by which curiosity divides; leave the signal out",
            lambda value: abs(value) > 0,
            **{"not": {"const": 0}},
        ),
    },
    host.SelfPlaySettings: {
        **dict.fromkeys(("save_steps", "team_change", "swap_steps", "window"), positive),
        "play_against_latest_model_ratio": between(0.0, 1.0),
    },
    host.BehavioralCloningSettings: {
        **dict.fromkeys(("steps", "strength", "samples_per_update"), not_negative),
        **dict.fromkeys(("num_epoch", "batch_size"), positive),
    },
}
"""Ranges of what ML-Agents' own settings hold, which it takes without a look."""


REFUSED: Dict[type, Dict[str, str]] = {
    host.OnPolicyHyperparamSettings: {
        "actors": (
            "actors act by a policy that is some updates old, and an on-policy algorithm learns from what its present "
            "one did; take a trainer_type that learns from a replay, or leave it out"
        ),
    },
}
"""Keys of other algorithms that a kind of settings cannot have, with the reason, unless a class declares them."""


def refusal(class_type: type, key: Any) -> str:
    """Why settings of a kind cannot have a key; empty where nothing is known of it.

    Args:
        class_type: of the hyperparameters.
        key: the key.
    """
    return next((keys[key] for kind, keys in REFUSED.items() if issubclass(class_type, kind) and key in keys), "")


def host_ranges(class_type: type) -> Dict[str, Range]:
    """The ranges of everything that a settings class inherits from ML-Agents, by key."""
    ranges: Dict[str, Range] = {}
    for ancestor in reversed(class_type.__mro__):
        ranges.update(HOST_RANGES.get(ancestor, {}))
    return ranges


def ranges_in(validator: Any) -> Iterator[Range]:
    """The ranges in a validator, also where attrs has made one of several, or an optional one.

    Args:
        validator: of a field, None where it has none.
    """
    nested = getattr(validator, "_validators", None) or [getattr(validator, "validator", None)]
    for each in filter(None, nested):
        yield from ranges_in(each)
    if isinstance(validator, Range):
        yield validator


def entries(class_type: type, table: str) -> List[Any]:
    """What a settings class and its bases list in `idle` or `far`, that of the bases first.

    Args:
        class_type: the class.
        table: name of the attribute.
    """
    listed = (entry for ancestor in reversed(class_type.__mro__) for entry in vars(ancestor).get(table, ()))
    return list(dict.fromkeys(listed))


@attr.s(auto_attribs=True)
class CheckedSettings:
    """What the hyperparameters of every algorithm share: every fault of a file is named, with key, value and remedy.

    Mix it into a class derived from ML-Agents' `OnPolicyHyperparamSettings`; for off-policy algorithms there is
    `ReplaySettings`. A subclass adds to `conflicts` and `behavior_conflicts`, and lists in `idle` and `far` what a user
    is to be told of its own keys; what its bases list holds too.
    """

    idle: ClassVar[Tuple[Idle, ...]] = (
        Idle(("normalize_steps",), lambda _, behavior: not behavior.network_settings.normalize, "normalize is false"),
    )
    far: ClassVar[Tuple[Far, ...]] = ()
    actions: ClassVar[str] = ""
    """Which actions the algorithm can play, such as `discrete`; empty where it plays all."""

    normalize_steps: Optional[int] = attr.ib(default=None, validator=attr.validators.optional(positive))
    """Agent steps after which the mean and deviation of `network_settings: normalize` stay as they are; without, they
    follow to the end, and shrink to what a good policy sees: an episode's start may then lie far out. Low keeps the
    scale of first steps; high that of later ones."""

    keep_best: bool = False
    """Keep the policy whose training episodes were the best so far, as `<Behavior>-best.onnx` and `.pt`."""

    stop_at_reward: Optional[float] = None
    """Mean reward of the last `reward_window` episodes, group rewards included, at which it has learned enough and
    the run of the behavior ends. Low ends soon; high learns longer."""

    reward_window: int = attr.ib(default=100, validator=between(1, 1_000_000))
    """Episodes over which `keep_best` and `stop_at_reward` take the mean; they wait until there are so many. Low is
    sooner, and noisy; high is steadier, and later."""

    def __attrs_post_init__(self) -> None:
        if attr.validators.get_disabled():
            return
        conflicts = [found._replace(value=getattr(self, found.key)) for found in self.conflicts()]
        if conflicts:
            raise InvalidSettings(type(self).__name__, conflicts)

    @classmethod
    def conversion(cls, origin: host.TrainerSettings) -> Iterator[Change]:
        """Values to begin with in place of those in a file that was written for another trainer.

        `mlagents-doctor CONFIG.yaml --convert-to NAME` writes them, each with its reason. By itself it keeps the keys
        that both trainers have, if both learn from rollouts or both from a replay, and leaves out what has no effect or
        is far from what this one needs. A subclass adds to `super().conversion(origin)`; of two changes of one key the
        last counts.

        Args:
            origin: all settings of the behaviour for the other trainer, its hyperparameters among them.
        """
        yield from wide_enough(origin)

    def conflicts(self) -> Iterator[Conflict]:
        """Hyperparameters that are out of range, or wrong beside other hyperparameters."""
        settings: Any = self
        for key, allowed in host_ranges(type(self)).items():
            if key in attr.fields_dict(type(self)) and not allowed.holds(getattr(self, key)):
                yield Conflict(key, allowed.expected)
        if isinstance(self, host.HyperparamSettings) and settings.batch_size > settings.buffer_size:
            remedy = f"it must not be larger than buffer_size, which is {settings.buffer_size}"
            yield Conflict("batch_size", remedy, ("buffer_size",))

    def behavior_conflicts(self, behavior: host.TrainerSettings) -> Iterator[Conflict]:
        """Settings of a behaviour that are wrong beside these hyperparameters.

        Args:
            behavior: all settings of the behaviour, these hyperparameters among them.
        """
        settings: Any = self
        memory = behavior.network_settings.memory
        if memory is not None and memory.sequence_length > settings.batch_size:
            yield Conflict(
                "network_settings: memory: sequence_length",
                f"it must not be larger than batch_size, which is {settings.batch_size}",
                ("hyperparameters: batch_size",),
                memory.sequence_length,
            )
        if behavior.even_checkpoints and behavior.max_steps < behavior.keep_checkpoints:
            yield Conflict(
                "keep_checkpoints",
                f"beside even_checkpoints it must not be larger than max_steps, which is {behavior.max_steps}",
                ("max_steps", "even_checkpoints"),
                behavior.keep_checkpoints,
            )
        for key in ("keep_best", "stop_at_reward"):
            value = getattr(self, key)
            if behavior.self_play is not None and value is not None and value is not False:
                reason = (
                    "beside self_play the reward says how a policy fares against its own past; leave it out, and watch "
                    "Self-play/ELO"
                )
                yield Conflict(f"hyperparameters: {key}", reason, ("self_play",), value)


def describe(path: str, key: str, reason: str, others: Tuple[str, ...] = (), value: Any = None) -> str:
    """One fault in one line: where it stands, what was found, and what to do.

    Args:
        path: what the key stands under, its behaviour first.
        key: the key.
        reason: what is expected.
        others: not mentioned; the reason does.
        value: what was found.
    """
    return f"{path}: {key}: {show(value)} is not valid; {reason}{'' if reason.endswith('?') else '.'}"


def show(value: Any) -> str:
    """A value as a YAML has it, on one line and not too long."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value.value) if isinstance(value, Enum) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def is_number(value: Any) -> bool:
    """Whether a value is a finite number, and no truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


# Last, since it needs all of the above: whoever declares checked settings has ML-Agents read them as such.
import mlagents_plugin_shared.run.reading  # noqa: E402, F401
