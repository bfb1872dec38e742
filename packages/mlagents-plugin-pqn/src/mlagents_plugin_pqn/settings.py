"""Hyperparameters of PQN, as they stand under `hyperparameters:` in the YAML."""

# No `from __future__ import annotations` here: cattrs < 1.7 reads these annotations as types.
from enum import Enum
from typing import Any, ClassVar, Iterator, Tuple

import attr
from mlagents.trainers.settings import OnPolicyHyperparamSettings, ScheduleType, TrainerSettings

from mlagents_plugin_shared.run.conversion import Change, horizon, within
from mlagents_plugin_shared.run.exploration_settings import ExplorationSettings
from mlagents_plugin_shared.run.search import searched, searched_among
from mlagents_plugin_shared.run.settings import Far, Idle, between, not_negative


class OptimizerType(Enum):
    """Gradient method."""

    ADAM = "adam"
    RADAM = "radam"


class Traces(Enum):
    """How far the rewards after an action count for it."""

    PENG = "peng"
    WATKINS = "watkins"


FEWEST_ROLLOUTS = 50
"""Rollouts of a run below which epsilon and the network have too few steps to follow each other."""


def _few_rollouts(settings: Any, behavior: TrainerSettings) -> str:
    rollouts = behavior.max_steps // settings.buffer_size
    if rollouts >= FEWEST_ROLLOUTS:
        return ""
    most = max(behavior.max_steps // FEWEST_ROLLOUTS, 1)
    return (
        f"buffer_size: {settings.buffer_size} gives {max(rollouts, 1)} rollouts in the whole run of "
        f"{behavior.max_steps:,} steps; set it to at most {most}, or raise max_steps. 32 to 128 steps of each "
        "agent are usual."
    )


@attr.s(auto_attribs=True)
class PQNSettings(ExplorationSettings, OnPolicyHyperparamSettings):
    """Hyperparameters of PQN.

    `batch_size`, `buffer_size`, `num_epoch`, `lambd`, `learning_rate` and `learning_rate_schedule` mean what they mean
    in ML-Agents' PPO: a file of PPO is a start.
    """

    actions: ClassVar[str] = "discrete"
    idle: ClassVar[Tuple[Idle, ...]] = (
        Idle(("traces",), lambda own, _: own.lambd == 0.0, "lambd is 0"),
        Idle(("chrono_init",), lambda _, behavior: behavior.network_settings.memory is None, "there is no memory"),
    )
    far: ClassVar[Tuple[Far, ...]] = (Far("buffer_size", _few_rollouts),)

    buffer_size: int = attr.ib(default=2048, metadata=searched_among(512, 1024, 2048, 4096))
    """Agent steps of a rollout, of all agents together; it is learned from, and dropped. Low learns more often, from
    more alike steps; high from more different ones, and less often."""

    batch_size: int = attr.ib(default=128, metadata=searched_among(32, 64, 128, 256, 512))
    """Steps of a minibatch, at most `buffer_size`; with memory, whole sequences. Low takes many unsteady gradient
    steps; high fewer, steadier ones."""

    num_epoch: int = attr.ib(default=4, metadata=searched(1, 8))
    """Times that a rollout is learned from, in shuffled minibatches, before it is dropped. Low is fast; high takes
    more from each step, until it learns the rollout by heart."""

    learning_rate: float = 5e-4
    """Step size. Low learns slowly; high learns faster, then is unstable."""

    learning_rate_schedule: ScheduleType = ScheduleType.LINEAR
    """`constant`, or `linear` to 0 at `max_steps`."""

    lambd: float = attr.ib(default=0.95, validator=between(0.0, 1.0), metadata=searched(0.5, 1.0))
    """λ of the returns that Q learns. Low trusts Q of the next state; high trusts the rewards, those after random
    actions too."""

    traces: Traces = Traces.PENG
    """Which rewards count: `peng`, all of the segment, as in the paper; `watkins`, those up to the next action that was
    not greedy, which does not mistake exploration for the value of an action and learns more slowly."""

    optimizer: OptimizerType = OptimizerType.ADAM
    """`adam`, in one kernel; or `radam`, as in the paper, whose first steps are short and which takes about four times
    as long a step."""

    max_grad_norm: float = attr.ib(default=10.0, validator=not_negative)
    """Bound of the gradient's norm; 0 does not clip. Low takes small steps; high takes larger ones on outliers."""

    layer_norm: bool = True
    """Normalises the hidden layers. It is what lets Q-learning do without a target network; false is for comparison."""

    chrono_init: bool = True
    """With memory: its cells begin with gates that hold for up to `sequence_length` steps, each for another time.
    false begins with ML-Agents' own, which forget within some ten steps and have to learn not to."""

    @classmethod
    def conversion(cls, origin: TrainerSettings) -> Iterator[Change]:
        """Values to begin with in place of those of another trainer, as most files in `configs/pqn` have them.

        Args:
            origin: all settings of the behaviour for the other trainer.
        """
        yield from super().conversion(origin)
        memory = origin.network_settings.memory
        least = 64 if memory is None else 4 * memory.sequence_length
        # A rollout of PPO is one of PQN; a replay is none.
        written = (
            origin.hyperparameters.buffer_size
            if isinstance(origin.hyperparameters, OnPolicyHyperparamSettings)
            else 2048
        )
        size = min(within(written, 256, 4096), max(origin.max_steps // FEWEST_ROLLOUTS, 1))
        yield Change("hyperparameters: buffer_size", size, "a rollout is learned from and dropped: 256 to 4096 steps")
        batch = min(within(origin.hyperparameters.batch_size, least, max(least, 256)), size)
        yield Change("hyperparameters: batch_size", batch, "steady gradients: 64 to 256 steps, or four sequences")
        yield Change("hyperparameters: learning_rate", 5e-4, "Q-learning takes longer steps than a policy gradient")
        yield Change("hyperparameters: num_epoch", 4, "as in the paper of PQN")
        yield from horizon(origin, 16, 64, "λ-returns reach through a segment, and one that is long comes late")
