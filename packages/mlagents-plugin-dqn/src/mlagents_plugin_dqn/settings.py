"""Hyperparameters of DQN, as they stand under `hyperparameters:` in the YAML."""

# No `from __future__ import annotations` here: cattrs < 1.7 reads these annotations as types.
from enum import Enum
from typing import Optional

import attr
from mlagents.trainers.settings import OffPolicyHyperparamSettings, ScheduleType

from mlagents_plugin_shared.settings import CheckedSettings, between, check_sizes, not_negative, positive


class LossType(Enum):
    """How a TD error is weighed."""

    HUBER = "huber"
    MSE = "mse"


@attr.s(auto_attribs=True)
class DQNSettings(CheckedSettings, OffPolicyHyperparamSettings):
    """Hyperparameters of DQN.

    `batch_size`, `buffer_size`, `learning_rate`, `learning_rate_schedule`, `buffer_init_steps`, `steps_per_update`,
    `save_replay_buffer` and `reward_signal_steps_per_update` mean what they mean in ML-Agents' SAC.
    """

    batch_size: int = 128
    buffer_size: int = 50_000
    steps_per_update: float = attr.ib(default=4.0, validator=positive)
    reward_signal_steps_per_update: float = attr.ib(default=4.0, validator=positive)
    buffer_init_steps: int = attr.ib(default=0, validator=not_negative)

    exploration_schedule: ScheduleType = ScheduleType.LINEAR
    """linear: epsilon falls over `exploration_steps`; constant: it stays at its initial value."""

    exploration_initial_eps: float = attr.ib(default=1.0, validator=between(0.0, 1.0))
    """Probability of a random action at the first step."""

    exploration_final_eps: float = attr.ib(default=0.05, validator=between(0.0, 1.0))
    """Probability of a random action at the end of the schedule and after it."""

    exploration_steps: Optional[int] = attr.ib(default=None, validator=attr.validators.optional(positive))
    """Agent steps over which epsilon falls; default a fifth of max_steps."""

    tau: float = attr.ib(default=1.0, validator=[positive, between(0.0, 1.0)])
    """How far the target network moves to the online network at each of its updates; 1 copies it."""

    target_update_interval: int = attr.ib(
        default=attr.Factory(lambda self: 1 if self.tau < 1.0 else 1000, takes_self=True), validator=positive
    )
    """Gradient updates between two updates of the target network; default 1 where tau < 1, else 1000."""

    double: bool = True
    """The online network chooses the next action and the target network values it (double DQN)."""

    dueling: bool = True
    """Q is the sum of a state value and the advantages of the actions."""

    n_step: int = attr.ib(default=3, validator=positive)
    """Rewards that are summed before the value of a later state is trusted; 1 is classic Q-learning."""

    loss: LossType = LossType.HUBER
    """huber bounds the influence of large errors; mse does not."""

    max_grad_norm: float = attr.ib(default=10.0, validator=not_negative)
    """Bound of the gradient's norm; 0 does not clip."""

    def __attrs_post_init__(self) -> None:
        check_sizes(self)
