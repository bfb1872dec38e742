"""Hyperparameters of A2C, as they stand under `hyperparameters:` in the YAML."""

# No `from __future__ import annotations` here: cattrs < 1.7 reads these annotations as types.
from enum import Enum
from typing import Any, ClassVar, Dict, Iterator, Optional, Tuple

import attr
from mlagents.trainers.settings import OnPolicyHyperparamSettings, ScheduleType, TrainerSettings

from mlagents_plugin_shared.run.conversion import Change, horizon
from mlagents_plugin_shared.run.search import not_searched, searched, searched_among
from mlagents_plugin_shared.run.settings import (
    CheckedSettings,
    Conflict,
    Far,
    Idle,
    between,
    by_preset,
    not_negative,
    positive,
)


class OptimizerType(Enum):
    """Gradient method."""

    ADAM = "adam"
    RMSPROP = "rmsprop"
    RMSPROP_TF = "rmsprop_tf"


class Activation(Enum):
    """What the fully connected hidden layers put out."""

    SWISH = "swish"
    TANH = "tanh"


class ValueLoss(Enum):
    """What the critic's error costs."""

    MSE = "mse"
    HUBER = "huber"


class OffPolicyCorrection(Enum):
    """What is done about steps of an older policy."""

    NONE = "none"
    VTRACE = "vtrace"


class Preset(Enum):
    """A published set of hyperparameters."""

    BASELINES = "baselines"
    """OpenAI Baselines' a2c.py and its network for vectors; `learning_rate` is 7e-4, the default of its optimizer"""


PRESETS: Dict[Preset, Dict[str, Any]] = {
    Preset.BASELINES: {
        "optimizer": OptimizerType.RMSPROP_TF,
        "learning_rate_schedule": ScheduleType.LINEAR,
        "beta": 0.01,
        "beta_schedule": ScheduleType.CONSTANT,
        "lambd": 1.0,
        "shared_critic": True,
        "orthogonal_init": True,
        "activation": Activation.TANH,
    },
}
"""What each preset sets. A key that stands in the YAML wins."""


ADAM_LEARNING_RATE = 1e-3
"""The default where `optimizer` is adam: see docs/a2c.md for how it was found."""


_preset_or = by_preset(PRESETS)


def _learning_rate(settings: Any) -> float:
    return ADAM_LEARNING_RATE if settings.optimizer is OptimizerType.ADAM else 7e-4


def _beta_schedule(settings: Any) -> ScheduleType:
    schedule: ScheduleType = PRESETS.get(settings.preset, {}).get("beta_schedule", settings.learning_rate_schedule)
    return schedule


LARGEST_ROLLOUT = 4096
"""Agent steps of a rollout beyond which a run has few gradient steps: PPO makes up for it by many to a rollout."""


def _large_rollout(settings: Any, behavior: TrainerSettings) -> str:
    if settings.buffer_size <= LARGEST_ROLLOUT:
        return ""
    rollout = min(settings.buffer_size, behavior.max_steps)
    return (
        f"buffer_size: {settings.buffer_size} takes one gradient step in {rollout:,} agent steps, "
        f"{max(behavior.max_steps // rollout, 1):,} in the whole run; leave it out, or set it to 5 to 20 steps of each "
        "agent."
    )


def _long_horizon(settings: Any, behavior: TrainerSettings) -> str:
    if behavior.time_horizon <= settings.buffer_size:
        return ""
    return (
        f"time_horizon: {behavior.time_horizon} is longer than a rollout of {settings.buffer_size} steps, so that most "
        "steps are of an older policy; 5 to 20 is usual."
    )


@attr.s(auto_attribs=True)
class A2CSettings(CheckedSettings, OnPolicyHyperparamSettings):
    """Hyperparameters of A2C.

    `learning_rate`, `learning_rate_schedule`, `beta`, `beta_schedule`, `lambd` and `shared_critic` mean what they
    mean in ML-Agents' PPO, and so does the default optimizer: a file of PPO is a start. `preset: baselines` is the A2C
    of OpenAI Baselines.
    """

    idle: ClassVar[Tuple[Idle, ...]] = (
        Idle(("num_epoch",), lambda own, _: own.num_epoch != 1, "A2C takes one gradient step a rollout"),
        Idle(("beta_schedule",), lambda own, _: own.beta == 0.0, "beta is 0"),
        Idle(("sde_sample_freq", "log_std_init"), lambda own, _: not own.use_sde, "use_sde is false"),
    )
    far: ClassVar[Tuple[Far, ...]] = (Far("buffer_size", _large_rollout), Far("time_horizon", _long_horizon))

    preset: Optional[Preset] = None
    """A published group of the other keys; keys that stand beside it win. `baselines`: the A2C of OpenAI Baselines."""

    buffer_size: int = attr.ib(default=1024, metadata=searched_among(80, 256, 512, 1024, 2048, 4096))
    """Agent steps of a rollout; each rollout gives one gradient step. Low takes many unsteady steps; high takes
    fewer, steadier ones."""

    batch_size: int = attr.ib(
        default=attr.Factory(lambda self: self.buffer_size, takes_self=True), metadata=not_searched
    )
    """Steps whose gradient is computed at a time, or up to twice as many, where they leave a rest; at most
    `buffer_size`, and by default just that. The result does not depend on it. Low takes less memory; high takes less
    time."""

    optimizer: OptimizerType = attr.ib(default=_preset_or("optimizer", OptimizerType.ADAM))
    """`adam`; `rmsprop` (smoothing 0.99, epsilon 1e-5), whose first step is ten times as long; `rmsprop_tf`, with
    epsilon inside the root, which begins gently."""

    learning_rate: float = attr.ib(default=attr.Factory(_learning_rate, takes_self=True))
    """Step size; by default 7e-4, as in OpenAI Baselines, where `optimizer` is not `adam`. Low learns slowly; high
    learns faster, then is unstable."""

    learning_rate_schedule: ScheduleType = attr.ib(default=_preset_or("learning_rate_schedule", ScheduleType.CONSTANT))
    """`constant`, or `linear` to 0 at `max_steps`."""

    num_epoch: int = attr.ib(default=1, metadata=not_searched)
    """Without effect, as there is one gradient step a rollout; accepted because PPO's files have it."""

    beta: float = attr.ib(
        default=_preset_or("beta", 0.0),
        validator=not_negative,
        metadata=searched_among(0.0, 1e-4, 1e-3, 3e-3, 1e-2),
    )
    """Weight of the entropy bonus. Low lets the policy settle soon; high keeps it random for longer. The default is
    Stable-Baselines3's."""

    beta_schedule: ScheduleType = attr.ib(default=attr.Factory(_beta_schedule, takes_self=True))
    """`constant`, or `linear` to 1e-5 at `max_steps`; by default as `learning_rate_schedule`."""

    lambd: float = attr.ib(default=_preset_or("lambd", 0.95), validator=between(0.0, 1.0), metadata=searched(0.8, 1.0))
    """λ of GAE. Low trusts the critic; high trusts the rewards. The default is from Tianshou's ablation over 800
    agents."""

    value_coefficient: float = attr.ib(default=0.5, validator=not_negative, metadata=searched(0.25, 1.0))
    """Weight of the value loss. Low leaves the step to the policy; high lets the critic learn faster."""

    value_loss: ValueLoss = ValueLoss.MSE
    """`mse`, or `huber`: errors beyond 1 count linearly, so that rare large rewards do not rule the critic."""

    max_grad_norm: float = attr.ib(default=0.5, validator=not_negative, metadata=searched_among(0.5, 1.0, 5.0))
    """Bound of the gradient's norm; 0 does not clip. Low takes small steps; high takes larger ones on outliers."""

    normalize_advantage: bool = False
    """Advantages of a rollout to mean 0 and deviation 1; once a policy is good, that blows up what is only noise."""

    normalize_returns: bool = False
    """Values in units of the returns' deviation (PopArt), for rewards that are far from 1 or change their scale."""

    off_policy_correction: OffPolicyCorrection = OffPolicyCorrection.NONE
    """`vtrace` corrects for steps of an older policy: `threaded: true`, a `time_horizon` longer than a rollout."""

    shared_critic: bool = attr.ib(default=_preset_or("shared_critic", False))
    """One network body for policy and value."""

    orthogonal_init: bool = attr.ib(default=_preset_or("orthogonal_init", False))
    """Orthogonal weights, and a last policy layer near 0 (Andrychowicz et al., 2021) instead of ML-Agents' own."""

    activation: Activation = attr.ib(default=_preset_or("activation", Activation.SWISH))
    """Of the hidden layers: ML-Agents' `swish`, or `tanh`, which finds rare goals where every step costs. Its
    features are bounded, so that states unlike those seen keep the value of the first critic: where rewards are
    costs, the policy looks for them."""

    tanh_squash: bool = False
    """Continuous actions squashed by tanh instead of clipped at 3 deviations of the first policy; the entropy is that
    of the squashed action."""

    conditional_sigma: bool = False
    """The deviation of continuous actions depends on the state instead of being one free number an action."""

    use_sde: bool = False
    """State-dependent exploration (gSDE) of continuous actions: noise that lasts, where jitter moves nothing, as with
    motors and swing-ups."""

    sde_sample_freq: int = attr.ib(default=8, validator=positive)
    """Decisions of an agent for which its noise function of `use_sde` is kept. Low jitters; high makes smoother,
    longer swings. The default is about a rollout, as in its paper for A2C."""

    log_std_init: float = attr.ib(default=-1.0, metadata=searched(-3.0, 0.0))
    """Log of the deviation that each feature adds to the noise of `use_sde` at first. Low is quiet at first; high is
    louder."""

    @classmethod
    def conversion(cls, origin: TrainerSettings) -> Iterator[Change]:
        """Values to begin with in place of those of another trainer, as most files in `configs/a2c` have them.

        Args:
            origin: all settings of the behaviour for the other trainer.
        """
        yield from super().conversion(origin)
        memory = origin.network_settings.memory
        least = 16 if memory is None else memory.sequence_length
        yield Change(
            "hyperparameters: buffer_size", max(256, least), "one gradient step a rollout: many short rollouts"
        )
        yield Change("hyperparameters: batch_size", None, "the gradient is that of the whole rollout anyway")
        yield Change("hyperparameters: num_epoch", None, "A2C takes one gradient step a rollout")
        yield Change(
            "hyperparameters: learning_rate", ADAM_LEARNING_RATE, "one step where PPO takes many: a longer one"
        )
        yield Change("hyperparameters: learning_rate_schedule", "linear", "so that it settles in the end")
        if not isinstance(origin.hyperparameters, OnPolicyHyperparamSettings):
            yield Change("hyperparameters: beta", 0.005, "an entropy bonus keeps the policy from settling too soon")
        yield from horizon(origin, least, max(least, 32), "rollouts are short, and a segment is no longer")

    def conflicts(self) -> Iterator[Conflict]:
        """Hyperparameters that are out of range, or wrong beside others."""
        yield from super().conflicts()
        for other in ("tanh_squash", "conditional_sigma"):
            if self.use_sde and getattr(self, other):
                reason = "use_sde clips its noise, whose deviation depends on the state anyway: leave it out"
                yield Conflict(other, reason, ("use_sde",))
