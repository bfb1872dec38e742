"""An algorithm as its author writes it against the shared package: `nox -s types` checks it strictly, nothing runs it.

What is annotated here is what an author may rely on; a public name that lost its type, or changed it, fails.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import attr
import numpy as np
import torch
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.settings import OffPolicyHyperparamSettings, ScheduleType, TrainerSettings
from mlagents.trainers.torch_entities.networks import NetworkBody, SimpleActor
from numpy.typing import NDArray

from mlagents_plugin_shared.data import Batch, PrioritizedReplayBuffer, ReplayBuffer, RolloutBuffer, StreamSteps
from mlagents_plugin_shared.learning.networks import update_target_network
from mlagents_plugin_shared.learning.optimizer import Descent, PluginOptimizer, adam
from mlagents_plugin_shared.learning.return_heads import BranchingQHead
from mlagents_plugin_shared.maths.losses import huber, masked_mean, td_error
from mlagents_plugin_shared.maths.schedules import Schedule, linear
from mlagents_plugin_shared.maths.targets import double_q_value, gae
from mlagents_plugin_shared.run import ReplayTrainer, RolloutTrainer
from mlagents_plugin_shared.run.settings import CheckedSettings, Conflict, Far, Idle, between, positive
from mlagents_plugin_shared.testing import Corridor, Match, differences, killed_and_resumed, train


@attr.s(auto_attribs=True)
class Settings(CheckedSettings, OffPolicyHyperparamSettings):  # type: ignore[misc]  # ML-Agents' class has no types
    """Hyperparameters with a range, a contradiction, a key without effect and a value of another algorithm."""

    idle: ClassVar[tuple[Idle, ...]] = (Idle(("temperature",), lambda own, _: bool(own.greedy), "greedy is true"),)
    far: ClassVar[tuple[Far, ...]] = (Far("buffer_size", lambda own, _: "" if own.buffer_size > 100 else "small"),)

    greedy: bool = False
    temperature: float = attr.ib(default=1.0, validator=positive)
    share: float = attr.ib(default=0.5, validator=[positive, between(0.0, 1.0)])

    def conflicts(self) -> Iterator[Conflict]:
        """Adds to what every plugin refuses."""
        yield from super().conflicts()
        if self.greedy and self.share == 1.0:
            yield Conflict("share", "beside greedy it must be below 1", ("greedy",))


class Optimizer(PluginOptimizer):
    """An optimizer with one descent and a target network."""

    def __init__(self, policy: TorchPolicy, trainer_settings: TrainerSettings) -> None:
        super().__init__(policy, trainer_settings)
        self.online = BranchingQHead(8, [3], num_streams=1, dueling=True)
        self.target: BranchingQHead = self.add_target_network(self.online)
        self.descent: Descent = self.add_descent(adam(list(self.online.parameters()), 1e-3), max_grad_norm=10.0)
        self.temperature: Schedule = self.schedule(ScheduleType.LINEAR, 1.0, 0.1)

    @property
    def network_bodies(self) -> list[NetworkBody]:
        """No body: nothing is normalised."""
        return []

    def update(self, batch: Batch, num_sequences: int) -> dict[str, float]:
        """One step down a loss of arrays of the batch."""
        encoding = torch.zeros(batch.num_experiences, 8)
        q_tm1: torch.Tensor = self.online(encoding)
        loss: torch.Tensor = masked_mean(huber(td_error(q_tm1, torch.zeros_like(q_tm1))))
        norm: float = self.descent.step(loss)
        update_target_network(self.online, self.target, tau=0.01)
        return {"Policy/Gradient Norm": norm, "Policy/Temperature": self.temperature(0)}


class OffPolicyTrainer(ReplayTrainer):
    """A trainer with a replay of its own choice."""

    def create_replay(self, capacity: int) -> ReplayBuffer:
        """A prioritised replay."""
        return PrioritizedReplayBuffer(capacity, alpha=0.6)

    def create_policy(self, parsed_behavior_id: Any, behavior_spec: Any) -> TorchPolicy:
        """ML-Agents' own policy."""
        return TorchPolicy(self.seed, behavior_spec, self.trainer_settings.network_settings, SimpleActor, {})

    def create_optimizer(self) -> Optimizer:
        """The optimizer above."""
        return Optimizer(self.policy, self.trainer_settings)

    @staticmethod
    def get_trainer_name() -> str:
        """The name in the YAML."""
        return "typed"


class OnPolicyTrainer(RolloutTrainer):
    """A trainer with targets of its own."""

    def targets(self, rollout: RolloutBuffer, steps: StreamSteps) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns and advantages of one reward stream."""
        lengths: NDArray[Any] = rollout.lengths
        advantage: torch.Tensor = gae(*steps, lambda_=0.9 if lengths.size else 1.0)
        return advantage + steps.v_tm1, advantage


def value_of(q_t: torch.Tensor, target_q_t: torch.Tensor, schedule: Schedule) -> float:
    """Functions of tensors give tensors, a schedule gives numbers."""
    value: torch.Tensor = double_q_value(q_t, target_q_t, torch.ones_like(q_t), [3])
    return float(value.sum()) * schedule(10) * linear(1.0, 0.0, 100)(5)


def tests_of_the_author(folder: Path) -> list[str]:
    """A toy task trained in process, and a run that was resumed."""
    task = Corridor(masked=True)
    train(task, {"trainer_type": "typed", "max_steps": 2000}, folder, seed=1)
    mean: float = sum(task.returns[-100:]) / 100
    whole, resumed = killed_and_resumed(Match, {"trainer_type": "typed"}, folder)
    names: list[str] = differences(whole, resumed)
    return names if mean > 0.7 and task.illegal_actions == 0 else []


def replay_of(segments: int) -> NDArray[np.float32]:
    """A buffer is filled and sampled outside of a trainer, too."""
    buffer = ReplayBuffer(segments)
    batch: Batch = buffer.sample_mini_batch(4)
    rewards: NDArray[np.float32] = batch["rewards"]
    return rewards


def mistakes(trainer: OffPolicyTrainer, optimizer: Optimizer, folder: Path) -> None:
    """Faults that an author's checker must find: where one passes, a type was lost, and its `ignore` is an error."""
    PrioritizedReplayBuffer("many", alpha=0.6)  # type: ignore[arg-type]
    ReplayBuffer(100).sample_mini_batch("4")  # type: ignore[arg-type]
    trainer.create_replay("many")  # type: ignore[arg-type]
    optimizer.add_descent(None, 1)  # type: ignore[arg-type]
    optimizer.add_target_network("online")  # type: ignore[type-var]
    optimizer.schedule(ScheduleType.LINEAR, 1.0)  # type: ignore[call-arg]
    gae(1.0, 1.0, 1.0, 1.0, lambda_=0.9)  # type: ignore[arg-type]
    train(Corridor, {}, folder)  # type: ignore[arg-type]
    between("0", "1")  # type: ignore[arg-type]
    linear(1.0, 0.0)  # type: ignore[call-arg]
    Conflict(1, "reason")  # type: ignore[arg-type]
    CheckedSettings(keep_best="yes")  # type: ignore[arg-type]
