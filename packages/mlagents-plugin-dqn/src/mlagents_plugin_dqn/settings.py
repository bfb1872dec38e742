"""Hyperparameters of DQN, as they stand under `hyperparameters:` in the YAML."""

# No `from __future__ import annotations` here: cattrs < 1.7 reads these annotations as types.
from enum import Enum
from typing import Any, ClassVar, Dict, Iterator, Optional, Tuple

import attr
from mlagents.trainers.settings import TrainerSettings

from mlagents_plugin_shared.run.conversion import Change
from mlagents_plugin_shared.run.exploration_settings import ExplorationSettings
from mlagents_plugin_shared.run.replay_settings import LONGEST_RETURN, ReplaySettings
from mlagents_plugin_shared.run.search import searched, searched_among
from mlagents_plugin_shared.run.settings import (
    Conflict,
    Idle,
    atom_conflicts,
    between,
    by_preset,
    not_negative,
    positive,
)


class LossType(Enum):
    """How a TD error is weighed."""

    HUBER = "huber"
    MSE = "mse"


class OptimizerType(Enum):
    """Algorithm of the gradient step."""

    ADAM = "adam"
    RMSPROP = "rmsprop"


class Distribution(Enum):
    """What is learned of the return: its mean, or its distribution."""

    NONE = "none"
    CATEGORICAL = "categorical"
    QUANTILE = "quantile"
    IMPLICIT_QUANTILE = "implicit_quantile"


class Preset(Enum):
    """A published combination of extensions."""

    DQN = "dqn"
    """Mnih et al. (2015)"""

    DOUBLE_DUELING = "double_dueling"
    """van Hasselt et al. (2016), Wang et al. (2016)"""

    RAINBOW = "rainbow"
    """Hessel et al. (2018)"""

    BTR = "btr"
    """Clark et al. (2024), without what concerns its convolutional network"""


PRESETS: Dict[Preset, Dict[str, Any]] = {
    Preset.DQN: {"double": False, "dueling": False, "n_step": 1},
    Preset.DOUBLE_DUELING: {"double": True, "dueling": True, "n_step": 1},
    Preset.RAINBOW: {
        "double": True,
        "dueling": True,
        "n_step": 3,
        "prioritized_replay": True,
        "priority_alpha": 0.5,
        "noisy": True,
        "distribution": Distribution.CATEGORICAL,
    },
    Preset.BTR: {
        "double": False,
        "dueling": True,
        "n_step": 3,
        "prioritized_replay": True,
        "priority_alpha": 0.2,
        "noisy": True,
        "distribution": Distribution.IMPLICIT_QUANTILE,
        "num_quantiles": 8,
        "munchausen": True,
        "target_update_interval": 500,
    },
}
"""What each preset sets. A key that stands in the YAML wins."""

_preset_or = by_preset(PRESETS)


def _target_update_interval(settings: Any) -> int:
    if settings.tau < 1.0:
        return 1
    return int(PRESETS.get(settings.preset, {}).get("target_update_interval", 1000))


@attr.s(auto_attribs=True)
class DQNSettings(ExplorationSettings, ReplaySettings):
    """Hyperparameters of DQN.

    `batch_size`, `buffer_size`, `learning_rate`, `learning_rate_schedule`, `buffer_init_steps`, `steps_per_update`,
    `save_replay_buffer` and `reward_signal_steps_per_update` mean what they mean in ML-Agents' SAC.
    """

    actions: ClassVar[str] = "discrete"
    demonstration_keys: ClassVar[Tuple[str, ...]] = (
        *ReplaySettings.demonstration_keys,
        "demo_margin",
        "demo_margin_weight",
    )
    idle: ClassVar[Tuple[Idle, ...]] = (
        Idle(("double",), lambda own, _: own.munchausen, "munchausen takes the mean over actions"),
        Idle(
            ("num_atoms", "v_min", "v_max"),
            lambda own, _: own.distribution is not Distribution.CATEGORICAL,
            "distribution is not categorical",
        ),
        Idle(
            ("num_quantiles",),
            lambda own, _: own.distribution not in (Distribution.QUANTILE, Distribution.IMPLICIT_QUANTILE),
            "distribution has no quantiles",
        ),
        Idle(("munchausen_alpha", "munchausen_temperature"), lambda own, _: not own.munchausen, "munchausen is false"),
        Idle(("loss",), lambda own, _: own.distribution is not Distribution.NONE, "the distribution has its own"),
        Idle(("demo_margin", "demo_margin_weight"), lambda own, _: own.demo_path is None, "there is no demo_path"),
        Idle(("demo_margin",), lambda own, _: own.demo_margin_weight == 0.0, "demo_margin_weight is 0"),
    )

    preset: Optional[Preset] = None
    """A published group of the other keys; keys that stand beside it win."""

    n_step: int = attr.ib(default=_preset_or("n_step", 3), validator=between(1, LONGEST_RETURN))
    prioritized_replay: bool = attr.ib(default=_preset_or("prioritized_replay", False))
    priority_alpha: float = attr.ib(default=_preset_or("priority_alpha", 0.6), validator=between(0.0, 1.0))
    noisy: bool = attr.ib(default=_preset_or("noisy", False))

    tau: float = attr.ib(
        default=1.0,
        validator=[positive, between(0.0, 1.0)],
        metadata=searched(0.001, 0.05, log=True, when=lambda own: own.tau < 1.0),
    )
    """How far the target network moves to the online network at each of its updates; 1 copies it. Low is more stable;
    high follows faster."""

    target_update_interval: int = attr.ib(
        default=attr.Factory(_target_update_interval, takes_self=True),
        validator=positive,
        metadata=searched_among(50, 100, 250, 500, 1000, 2500, when=lambda own: own.tau == 1.0),
    )
    """Gradient updates between two updates of the target network; by default 1 where `tau` is below 1. Low learns
    faster and is less stable; high is more stable and slower."""

    double: bool = attr.ib(default=_preset_or("double", True))
    """The online network chooses the next action and the target network values it (double DQN)."""

    dueling: bool = attr.ib(default=_preset_or("dueling", True))
    """Q is the sum of a state value and the advantages of the actions."""

    distribution: Distribution = attr.ib(default=_preset_or("distribution", Distribution.NONE))
    """What is learned of the return. `none`: its mean; `categorical`: C51; `quantile`: QR-DQN; `implicit_quantile`:
    IQN."""

    num_atoms: int = attr.ib(default=51, validator=between(1, 10_000))
    """Atoms of the categorical distribution, at equal distances from `v_min` to `v_max`; at least 2. Low is coarse;
    high is finer and slower."""

    v_min: float = -10.0
    """Least discounted return that the categorical distribution can tell, below `v_max`."""

    v_max: float = 10.0
    """Largest discounted return that the categorical distribution can tell. The wider the range, the coarser are its
    atoms."""

    num_quantiles: int = attr.ib(default=_preset_or("num_quantiles", 32), validator=between(1, 10_000))
    """Quantiles of the two quantile distributions. Low is coarse; high is finer and slower."""

    munchausen: bool = attr.ib(default=_preset_or("munchausen", False))
    """The policy's own log-probability of the action is added to the reward, and the next value is that of a soft
    policy."""

    munchausen_alpha: float = attr.ib(default=0.9, validator=between(0.0, 1.0), metadata=searched(0.5, 0.95))
    """How much of the log-probability is added. Low is near plain DQN; high is bolder: larger gaps between actions."""

    munchausen_temperature: float = attr.ib(default=0.03, validator=positive, metadata=searched(0.01, 0.1, log=True))
    """Temperature of the soft policy, in units of reward. Low is nearly greedy; high is softer."""

    value_rescaling: bool = False
    """The network learns sgn(Q) (√(|Q| + 1) - 1) + Q / 1000, as R2D2, so that returns of very different sizes lie close
    together. Of use where returns are large, or of many sizes, and are not to be clipped."""

    layer_norm: bool = False
    """Normalises the hidden layers."""

    loss: LossType = LossType.HUBER
    """`huber` bounds the influence of large errors, `mse` does not; the distributions have a loss of their own."""

    optimizer: OptimizerType = OptimizerType.ADAM
    """`adam`, or `rmsprop` as in the first DQN, Mnih et al. (2015)."""

    max_grad_norm: float = attr.ib(default=10.0, validator=not_negative)
    """Bound of the gradient's norm; 0 does not clip. Low takes small steps; high takes larger ones on outliers."""

    demo_margin: float = attr.ib(default=0.8, validator=not_negative)
    """Lead over all other actions that a demonstrated action is to have, in units of value. Low follows the rewards;
    high follows the demonstrator against small rewards."""

    demo_margin_weight: float = attr.ib(default=1.0, validator=not_negative)
    """Weight of the large-margin loss of demonstrations beside their TD loss; 0 leaves it out. Low trusts the
    rewards; high trusts the demonstrator more than the rewards."""

    @classmethod
    def conversion(cls, origin: TrainerSettings) -> Iterator[Change]:
        """Values to begin with in place of those of another trainer, as most files in `configs/dqn` have them.

        Args:
            origin: all settings of the behaviour for the other trainer.
        """
        yield from super().conversion(origin)
        yield Change("hyperparameters: learning_rate", 1e-3, "DQN takes longer steps than a policy gradient")
        yield Change("hyperparameters: learning_rate_schedule", "linear", "so that it settles in the end")
        yield Change("hyperparameters: tau", 0.01, "the target network follows a little at each update")

    def conflicts(self) -> Iterator[Conflict]:
        """Hyperparameters that are out of range, or wrong beside others."""
        yield from super().conflicts()
        if self.distribution is Distribution.CATEGORICAL:
            yield from atom_conflicts(self.v_min, self.v_max, self.num_atoms)
        if self.distribution is not Distribution.NONE and self.loss is LossType.MSE:
            reason = f"distribution: {self.distribution.value} has a loss of its own; leave it out"
            yield Conflict("loss", reason, ("distribution",))
        if self.distribution is not Distribution.NONE and self.value_rescaling:
            reason = f"distribution: {self.distribution.value} is learned as it is; leave one of them out"
            yield Conflict("value_rescaling", reason, ("distribution",))
