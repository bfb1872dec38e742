"""Hyperparameters of DQN, as they stand under `hyperparameters:` in the YAML."""

# No `from __future__ import annotations` here: cattrs < 1.7 reads these annotations as types.
from enum import Enum
from typing import Any, ClassVar, Dict, Iterator, Optional, Tuple

import attr
from mlagents.trainers.settings import OffPolicyHyperparamSettings, RewardSignalType, ScheduleType, TrainerSettings

from mlagents_plugin_shared.run.settings import CheckedSettings, Conflict, Far, Idle, between, not_negative, positive


class LossType(Enum):
    """How a TD error is weighed."""

    HUBER = "huber"
    MSE = "mse"


class OptimizerType(Enum):
    """Algorithm of the gradient step."""

    ADAM = "adam"
    RMSPROP = "rmsprop"


class Exploration(Enum):
    """Where an agent's probability of a random action comes from."""

    SCHEDULE = "schedule"
    LADDER = "ladder"


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


def _preset_or(key: str, default: Any) -> Any:
    """attrs default of a key: what the preset says, else `default`."""
    return attr.Factory(lambda settings: PRESETS.get(settings.preset, {}).get(key, default), takes_self=True)


def _target_update_interval(settings: Any) -> int:
    if settings.tau < 1.0:
        return 1
    return int(PRESETS.get(settings.preset, {}).get("target_update_interval", 1000))


SMALLEST_REPLAY = 10_000
"""Transitions of a replay below which it forgets within a small part of a long run."""

LARGEST_BATCH = 1024
"""Transitions of an update beyond which it costs more than it gives."""


def _small_replay(settings: Any, behavior: TrainerSettings) -> str:
    if settings.buffer_size >= SMALLEST_REPLAY or behavior.max_steps < 20 * settings.buffer_size:
        return ""
    return (
        f"buffer_size: {settings.buffer_size} is a replay that forgets after {settings.buffer_size:,} of "
        f"{behavior.max_steps:,} steps; leave it out (50,000), or set it to a tenth of the run."
    )


def _large_batch(settings: Any, behavior: TrainerSettings) -> str:
    if settings.batch_size < LARGEST_BATCH:
        return ""
    return (
        f"batch_size: {settings.batch_size} transitions are learned from every {settings.steps_per_update:g} agent "
        "steps, which is slow; leave it out (128)."
    )


_DEMONSTRATIONS = ("demo_ratio", "demo_pretraining_steps", "demo_margin", "demo_margin_weight")
_EPSILON = ("exploration_schedule", "exploration_initial_eps", "exploration_final_eps", "exploration_steps")


@attr.s(auto_attribs=True)
class DQNSettings(CheckedSettings, OffPolicyHyperparamSettings):
    """Hyperparameters of DQN.

    `batch_size`, `buffer_size`, `learning_rate`, `learning_rate_schedule`, `buffer_init_steps`, `steps_per_update`,
    `save_replay_buffer` and `reward_signal_steps_per_update` mean what they mean in ML-Agents' SAC.
    """

    idle: ClassVar[Tuple[Idle, ...]] = (
        Idle(("exploration", *_EPSILON), lambda own, _: own.noisy, "noisy explores by itself"),
        Idle(_EPSILON, lambda own, _: own.exploration is Exploration.LADDER, "the ladder has epsilons of its own"),
        Idle(
            ("exploration_final_eps", "exploration_steps"),
            lambda own, _: own.exploration_schedule is ScheduleType.CONSTANT,
            "exploration_schedule is constant",
        ),
        Idle(("double",), lambda own, _: own.munchausen, "munchausen takes the mean over actions"),
        Idle(
            ("priority_alpha", "priority_initial_beta", "priority_final_beta"),
            lambda own, _: not own.prioritized_replay,
            "prioritized_replay is false",
        ),
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
        Idle(("burn_in",), lambda _, behavior: behavior.network_settings.memory is None, "there is no memory"),
        Idle(("loss",), lambda own, _: own.distribution is not Distribution.NONE, "the distribution has its own"),
        Idle(_DEMONSTRATIONS, lambda own, _: own.demo_path is None, "there is no demo_path"),
        Idle(("demo_margin",), lambda own, _: own.demo_margin_weight == 0.0, "demo_margin_weight is 0"),
        Idle(
            ("reward_signal_steps_per_update",),
            lambda _, behavior: set(behavior.reward_signals) == {RewardSignalType.EXTRINSIC},
            "no reward signal learns",
        ),
    )
    far: ClassVar[Tuple[Far, ...]] = (Far("buffer_size", _small_replay), Far("batch_size", _large_batch))

    batch_size: int = 128
    """Transitions of an update, at most `buffer_size`. Low learns fast and unsteadily; high steadily, and each update
    takes longer."""

    buffer_size: int = 50_000
    """Transitions in the replay. Low forgets soon; high remembers longer and takes more memory."""

    buffer_init_steps: int = 0
    """Agent steps before the first update, as SAC counts; fewer than `max_steps`, but they may be more than
    `buffer_size`. Low learns from narrow data at first; high starts later, from wider data."""

    steps_per_update: float = 4.0
    """Agent steps to each update. Low learns more from each step and takes longer; high makes fewer updates in less
    time."""

    reward_signal_steps_per_update: float = attr.ib(
        default=attr.Factory(lambda self: self.steps_per_update, takes_self=True)
    )
    """The same for curiosity, RND and GAIL; by default as `steps_per_update`."""

    preset: Optional[Preset] = None
    """A published group of the other keys; keys that stand beside it win."""

    exploration: Exploration = Exploration.SCHEDULE
    """`schedule`: one epsilon for all agents, by step; `ladder`: each agent keeps one for an episode, from 0.4 down
    to 0.0007."""

    exploration_schedule: ScheduleType = ScheduleType.LINEAR
    """`linear`: epsilon falls over `exploration_steps`; `constant`: it stays at its initial value."""

    exploration_initial_eps: float = attr.ib(default=1.0, validator=between(0.0, 1.0))
    """Probability of a random action at the first step. Low suits an agent that need not begin at random; high
    explores more."""

    exploration_final_eps: float = attr.ib(default=0.05, validator=between(0.0, 1.0))
    """Probability of a random action at the end of the schedule and after it. Low relies on what is known; high
    explores more for good."""

    exploration_steps: Optional[int] = attr.ib(default=None, validator=attr.validators.optional(positive))
    """Agent steps over which epsilon falls; where not set, a fifth of `max_steps`. Low trusts Q soon; high explores
    longer."""

    noisy: bool = attr.ib(default=_preset_or("noisy", False))
    """Noise on the weights of the head, which it learns, explores in place of epsilon."""

    tau: float = attr.ib(default=1.0, validator=[positive, between(0.0, 1.0)])
    """How far the target network moves to the online network at each of its updates; 1 copies it. Low is more stable;
    high follows faster."""

    target_update_interval: int = attr.ib(
        default=attr.Factory(_target_update_interval, takes_self=True), validator=positive
    )
    """Gradient updates between two updates of the target network; by default 1 where `tau` is below 1. Low learns
    faster and is less stable; high is more stable and slower."""

    double: bool = attr.ib(default=_preset_or("double", True))
    """The online network chooses the next action and the target network values it (double DQN)."""

    dueling: bool = attr.ib(default=_preset_or("dueling", True))
    """Q is the sum of a state value and the advantages of the actions."""

    n_step: int = attr.ib(default=_preset_or("n_step", 3), validator=positive)
    """Rewards that are summed before the value of a later state is trusted; 1 is classic Q-learning. Low has less
    variance; high lets rewards travel faster."""

    prioritized_replay: bool = attr.ib(default=_preset_or("prioritized_replay", False))
    """Transitions with a large TD error are drawn more often."""

    priority_alpha: float = attr.ib(default=_preset_or("priority_alpha", 0.6), validator=between(0.0, 1.0))
    """How much more often: 0 draws uniformly, 1 in proportion to the error. Low treats all alike; high learns from
    errors, and from noise."""

    priority_initial_beta: float = attr.ib(default=0.4, validator=between(0.0, 1.0))
    """How far importance weights undo the preference at the start; it goes in a line to `priority_final_beta`. Low
    takes larger steps, with more bias; high smaller ones, with less."""

    priority_final_beta: float = attr.ib(default=1.0, validator=between(0.0, 1.0))
    """The same at `max_steps`."""

    distribution: Distribution = attr.ib(default=_preset_or("distribution", Distribution.NONE))
    """What is learned of the return. `none`: its mean; `categorical`: C51; `quantile`: QR-DQN; `implicit_quantile`:
    IQN."""

    num_atoms: int = attr.ib(default=51, validator=positive)
    """Atoms of the categorical distribution, at equal distances from `v_min` to `v_max`; at least 2. Low is coarse;
    high is finer and slower."""

    v_min: float = -10.0
    """Least discounted return that the categorical distribution can tell, below `v_max`."""

    v_max: float = 10.0
    """Largest discounted return that the categorical distribution can tell. The wider the range, the coarser are its
    atoms."""

    num_quantiles: int = attr.ib(default=_preset_or("num_quantiles", 32), validator=positive)
    """Quantiles of the two quantile distributions. Low is coarse; high is finer and slower."""

    munchausen: bool = attr.ib(default=_preset_or("munchausen", False))
    """The policy's own log-probability of the action is added to the reward, and the next value is that of a soft
    policy."""

    munchausen_alpha: float = attr.ib(default=0.9, validator=between(0.0, 1.0))
    """How much of the log-probability is added. Low is near plain DQN; high is bolder: larger gaps between actions."""

    munchausen_temperature: float = attr.ib(default=0.03, validator=positive)
    """Temperature of the soft policy, in units of reward. Low is nearly greedy; high is softer."""

    layer_norm: bool = False
    """Normalises the hidden layers."""

    loss: LossType = LossType.HUBER
    """`huber` bounds the influence of large errors, `mse` does not; the distributions have a loss of their own."""

    optimizer: OptimizerType = OptimizerType.ADAM
    """`adam`, or `rmsprop` as in the first DQN, Mnih et al. (2015)."""

    max_grad_norm: float = attr.ib(default=10.0, validator=not_negative)
    """Bound of the gradient's norm; 0 does not clip. Low takes small steps; high takes larger ones on outliers."""

    burn_in: int = attr.ib(default=0, validator=not_negative)
    """With memory: most steps that are replayed before each sequence, to warm up the recurrent state. Low starts from
    the state that was stored; high from a fresher one, and is slower."""

    demo_path: Optional[str] = None
    """A `.demo` file or a folder of them: demonstrations to learn from beside the agent's own transitions."""

    demo_ratio: float = attr.ib(default=0.25, validator=between(0.0, 1.0))
    """Share of demonstrations in each batch. Low leaves more to the agent; high stays closer to the demonstrator, for
    longer."""

    demo_pretraining_steps: int = attr.ib(default=0, validator=not_negative)
    """Updates on demonstrations alone before the first step of a run. Low starts at once; high starts later and
    better; too many learn few demonstrations by heart."""

    demo_margin: float = attr.ib(default=0.8, validator=not_negative)
    """Lead over all other actions that a demonstrated action is to have, in units of value. Low follows the rewards;
    high follows the demonstrator against small rewards."""

    demo_margin_weight: float = attr.ib(default=1.0, validator=not_negative)
    """Weight of the large-margin loss of demonstrations beside their TD loss; 0 leaves it out. Low trusts the
    rewards; high trusts the demonstrator more than the rewards."""

    def conflicts(self) -> Iterator[Conflict]:
        """Hyperparameters that are out of range, or wrong beside others."""
        yield from super().conflicts()
        if self.distribution is Distribution.CATEGORICAL:
            if not self.v_min < self.v_max:
                yield Conflict("v_max", f"it must be greater than v_min, which is {self.v_min}", ("v_min",))
            if self.num_atoms < 2:
                yield Conflict("num_atoms", "a categorical distribution has at least 2 atoms", ("distribution",))
        if self.distribution is not Distribution.NONE and self.loss is LossType.MSE:
            reason = f"distribution: {self.distribution.value} has a loss of its own; leave it out"
            yield Conflict("loss", reason, ("distribution",))
        if self.noisy and self.exploration is Exploration.LADDER:
            reason = "noisy: true explores by itself and has no epsilon; leave one of them out"
            yield Conflict("exploration", reason, ("noisy",))
        for key in _DEMONSTRATIONS:
            if self.demo_path is None and getattr(self, key) != getattr(attr.fields(DQNSettings), key).default:
                yield Conflict(key, "there are no demonstrations; set demo_path, or leave it out", ("demo_path",))
        if self.demo_path is not None and self.demo_ratio == 0.0 and self.demo_pretraining_steps == 0:
            reason = "the demonstrations of demo_path are not used; set demo_pretraining_steps"
            yield Conflict("demo_ratio", reason, ("demo_path", "demo_pretraining_steps"))
