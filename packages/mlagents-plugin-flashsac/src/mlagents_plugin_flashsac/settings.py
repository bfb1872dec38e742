"""Hyperparameters of FlashSAC, as they stand under `hyperparameters:` in the YAML."""

# No `from __future__ import annotations` here: cattrs < 1.7 reads these annotations as types.
from enum import Enum
from typing import Any, ClassVar, Dict, Iterator, Optional, Tuple

import attr
from mlagents.trainers.settings import ScheduleType, TrainerSettings

from mlagents_plugin_shared.learning.temperature import large_temperature
from mlagents_plugin_shared.learning.trunk import Normalization
from mlagents_plugin_shared.maths.squashing import WIDEST_DEVIATION
from mlagents_plugin_shared.run.conversion import Change, within
from mlagents_plugin_shared.run.replay_settings import ReplaySettings
from mlagents_plugin_shared.run.search import searched, searched_among
from mlagents_plugin_shared.run.settings import (
    Conflict,
    Far,
    Idle,
    atom_conflicts,
    between,
    by_preset,
    not_negative,
    positive,
)

CONSTANT = ScheduleType.CONSTANT


class Preset(Enum):
    """An algorithm: what a trainer begins with, or a published one."""

    LIGHT = "light"
    """FlashSAC on plain layers of the width that the YAML says, for a CPU"""

    SAC = "sac"
    """Haarnoja et al. (2018b): two Q networks and a learned temperature"""

    CROSSQ = "crossq"
    """Bhatt et al. (2024): batch normalisation in place of target networks"""

    XQC = "xqc"
    """Palenicek et al. (2025): batch and weight normalisation, cross-entropy"""

    FLASHSAC = "flashsac"
    """FlashSAC (2026), whose network and batch want a GPU"""


class Distribution(Enum):
    """What critics learn of the return: its mean, or its distribution."""

    NONE = "none"
    CATEGORICAL = "categorical"


_CLASSIC: Dict[str, Any] = {
    "learning_rate_schedule": CONSTANT,
    "tau": 0.005,
    "actor_update_interval": 1,
    "distribution": Distribution.NONE,
    "reward_scaling": False,
    "normalization": Normalization.NONE,
    "weight_normalization": False,
    "init_entcoef": 1.0,
    "discrete_init_entcoef": 1.0,
    "target_sigma": None,
    "decoupled_entropy": False,
    "noise_repeat": 1,
}

PRESETS: Dict[Preset, Dict[str, Any]] = {
    Preset.LIGHT: {},
    Preset.SAC: _CLASSIC,
    Preset.CROSSQ: {
        **_CLASSIC,
        "learning_rate": 1e-3,
        "target_network": False,
        "normalization": Normalization.BATCH,
        "actor_update_interval": 3,
    },
    Preset.XQC: {
        "learning_rate_schedule": CONSTANT,
        "tau": 0.005,
        "actor_update_interval": 3,
        "critic_width": 2.0,
        "target_sigma": None,
        "decoupled_entropy": False,
        "noise_repeat": 1,
    },
    Preset.FLASHSAC: {"batch_size": 512, "residual": True, "critic_width": 2.0},
}
"""What each preset sets in place of the defaults. A key that stands in the YAML wins."""

_preset_or = by_preset(PRESETS)


@attr.s(auto_attribs=True)
class FlashSACSettings(ReplaySettings):
    """Hyperparameters of FlashSAC.

    `batch_size`, `buffer_size`, `learning_rate`, `learning_rate_schedule`, `buffer_init_steps`, `steps_per_update`,
    `tau`, `init_entcoef`, `save_replay_buffer` and `reward_signal_steps_per_update` mean the same in ML-Agents' SAC.
    """

    idle: ClassVar[Tuple[Idle, ...]] = (
        Idle(("num_atoms", "v_min"), lambda own, _: own.distribution is Distribution.NONE, "distribution is none"),
        Idle(
            ("v_max",),
            lambda own, _: own.distribution is Distribution.NONE and not own.reward_scaling,
            "distribution is none, and rewards are not scaled",
        ),
        Idle(("tau",), lambda own, _: not own.target_network, "there is no target network"),
        Idle(
            ("final_learning_rate",), lambda own, _: own.learning_rate_schedule is CONSTANT, "the schedule is constant"
        ),
    )
    far: ClassVar[Tuple[Far, ...]] = (Far("init_entcoef", large_temperature),)

    preset: Preset = Preset.LIGHT
    """An algorithm, which gives the other keys their defaults; keys that stand beside it win."""

    learning_rate: float = attr.ib(default=_preset_or("learning_rate", 3e-4), validator=positive)
    """Size of the gradient steps of critics, actor and temperature. Low learns slowly; high may not settle."""

    learning_rate_schedule: ScheduleType = attr.ib(default=_preset_or("learning_rate_schedule", ScheduleType.LINEAR))
    """`constant`, or `linear` to `final_learning_rate` at `max_steps`."""

    final_learning_rate: float = attr.ib(
        default=attr.Factory(lambda self: self.learning_rate / 2, takes_self=True), validator=positive
    )
    """Where a linear schedule ends; by default half of `learning_rate`."""

    batch_size: int = attr.ib(default=_preset_or("batch_size", 256), validator=positive)
    """Transitions of an update, at most `buffer_size`. Low is quick and unsteady; high steady, and each update takes
    longer."""

    buffer_size: int = attr.ib(default=200_000, validator=positive)
    """Transitions in the replay. Low forgets soon; high remembers longer and takes more memory."""

    steps_per_update: float = 1.0
    """Agent steps to each update. Low learns more from each step and takes longer; high makes fewer updates in less
    time."""

    reward_signal_steps_per_update: float = attr.ib(
        default=attr.Factory(lambda self: self.steps_per_update, takes_self=True)
    )
    """The same for curiosity, RND and GAIL; by default as `steps_per_update`."""

    tau: float = attr.ib(
        default=_preset_or("tau", 0.01),
        validator=[positive, between(0.0, 1.0)],
        metadata=searched(0.002, 0.05, log=True),
    )
    """How far target networks move to the critics at each update. Low is more stable; high follows faster."""

    target_network: bool = attr.ib(default=_preset_or("target_network", True))
    """Slow copies of the critics value the next state; without, they value it themselves."""

    actor_update_interval: int = attr.ib(
        default=_preset_or("actor_update_interval", 2), validator=positive, metadata=searched(1, 4)
    )
    """Updates of the critics to each of actor and temperature. Low follows the critics at once; high lets them settle,
    and is faster."""

    distribution: Distribution = attr.ib(default=_preset_or("distribution", Distribution.CATEGORICAL))
    """What critics learn of the return. `none`: its mean, by squared errors; `categorical`: probabilities of fixed
    returns, by cross-entropy."""

    num_atoms: int = attr.ib(default=101, validator=between(1, 10_000))
    """Atoms of the categorical distribution, at equal distances from `v_min` to `v_max`; at least 2. Low is coarse;
    high is finer and slower."""

    v_min: float = -5.0
    """Least return that the categorical distribution can tell, in units of scaled rewards, below `v_max`."""

    v_max: float = attr.ib(default=5.0, validator=positive)
    """Largest return that it can tell, and into which `reward_scaling` fits returns."""

    reward_scaling: bool = attr.ib(default=_preset_or("reward_scaling", True))
    """Rewards are divided by what fits their discounted sums into `v_max`, from running statistics: their size then
    needs no other setting."""

    residual: bool = attr.ib(default=_preset_or("residual", False))
    """`num_layers` counts residual blocks, four times as wide inside as `hidden_units`, and not layers."""

    normalization: Normalization = attr.ib(default=_preset_or("normalization", Normalization.BATCH))
    """Of hidden layers: `batch` by the statistics of each feature, inputs included; `rms` by the size of each row;
    `none`."""

    weight_normalization: bool = attr.ib(default=_preset_or("weight_normalization", True))
    """After each step the weights that lead to one output are scaled to the norm 1, so that learning does not slow down
    as they grow."""

    critic_width: float = attr.ib(default=_preset_or("critic_width", 1.0), validator=between(0.001, 1000.0))
    """Width of the critics' hidden layers, in parts of `hidden_units`. Low is faster; high learns more of each step."""

    shared_encoder: Optional[bool] = None
    """Actor and critics read observations by one network, which the critics train; by default only where there is
    memory. With pictures it saves half of the time."""

    init_entcoef: float = attr.ib(default=_preset_or("init_entcoef", 0.01), validator=positive)
    """Temperature of continuous actions at first: what a nat of entropy counts, in units of scaled rewards. Low trusts
    the critics soon; high explores longer."""

    discrete_init_entcoef: float = attr.ib(default=_preset_or("discrete_init_entcoef", 0.3), validator=positive)
    """The same of discrete actions, among which a policy that is sure too soon finds no others."""

    target_sigma: Optional[float] = attr.ib(
        default=_preset_or("target_sigma", 0.15), metadata=searched(0.05, 0.4, log=True)
    )
    """The temperature keeps continuous actions at the entropy that this deviation has, up to 0.48, where actions lie
    between -1 and 1; without, at minus their number. Low is precise; high explores."""

    target_entropy_ratio: float = attr.ib(
        default=_preset_or("target_entropy_ratio", 0.1),
        validator=between(0.0, 0.98),
        metadata=searched(0.02, 0.5, log=True),
    )
    """The same for discrete actions: entropy in parts of that of random legal ones. Low is greedy; high explores."""

    decoupled_entropy: bool = attr.ib(default=_preset_or("decoupled_entropy", True))
    """The entropy of discrete actions counts for the actor only, and not in what critics learn."""

    noise_repeat: int = attr.ib(
        default=_preset_or("noise_repeat", 16), validator=between(1, 10_000), metadata=searched_among(1, 4, 16, 64)
    )
    """Most decisions for which an agent keeps its noise: how many is drawn for each, mostly few. 1 draws anew at each
    decision; high takes an agent further from where it is."""

    max_grad_norm: float = attr.ib(default=10.0, validator=not_negative)
    """Bound of the norm of each gradient; 0 does not clip. Low takes small steps; high takes larger ones on
    outliers."""

    @classmethod
    def conversion(cls, origin: TrainerSettings) -> Iterator[Change]:
        """Values to begin with in place of those of another trainer.

        Args:
            origin: all settings of the behaviour for the other trainer.
        """
        yield from super().conversion(origin)
        # ML-Agents' SAC takes these of its own algorithm; those of this one come from another.
        yield Change("hyperparameters: tau", None, "it goes with this algorithm's critics")
        yield Change("hyperparameters: init_entcoef", None, "rewards are scaled here, and so is what entropy counts")
        yield Change("hyperparameters: learning_rate_schedule", None, "here it falls to a half by default")
        if origin.network_settings.memory is None:
            yield Change("hyperparameters: batch_size", None, "it goes with this algorithm's critics")
        if not getattr(origin.hyperparameters, "buffer_init_steps", 0):
            first = within(origin.max_steps / 100, 200, 5_000)
            yield Change("hyperparameters: buffer_init_steps", first, "critics begin with what random actions show")

    def conflicts(self) -> Iterator[Conflict]:
        """Hyperparameters that are out of range, or wrong beside others."""
        yield from super().conflicts()
        if self.distribution is Distribution.CATEGORICAL:
            yield from atom_conflicts(self.v_min, self.v_max, self.num_atoms)
        if self.normalization is Normalization.BATCH and self.batch_size == 1:
            yield Conflict("batch_size", "batch normalisation needs 2 or more", ("normalization",))
        if self.target_sigma is not None and not 0.0 < self.target_sigma <= WIDEST_DEVIATION:
            yield Conflict("target_sigma", f"it must be greater than 0 and at most {WIDEST_DEVIATION:.2f}")

    def behavior_conflicts(self, behavior: TrainerSettings) -> Iterator[Conflict]:
        """Settings of a behaviour that are wrong beside these hyperparameters.

        Args:
            behavior: all settings of the behaviour, these hyperparameters among them.
        """
        yield from super().behavior_conflicts(behavior)
        if self.shared_encoder is False and behavior.network_settings.memory is not None:
            reason = "with memory critics begin where the actor's memory was; leave it out"
            yield Conflict("hyperparameters: shared_encoder", reason, ("network_settings: memory",), False)
