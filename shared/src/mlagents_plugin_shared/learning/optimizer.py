"""What the optimizer of every algorithm repeats: schedules, gradient steps and the list of what is saved."""

import copy
import math
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar

from mlagents.torch_utils import default_device, torch
from mlagents.trainers.buffer import AgentBuffer
from mlagents.trainers.optimizer.torch_optimizer import TorchOptimizer
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.settings import ScheduleType, TrainerSettings
from mlagents.trainers.torch_entities.components.reward_providers.gail_reward_provider import GAILRewardProvider
from mlagents.trainers.torch_entities.networks import NetworkBody
from mlagents.trainers.torch_entities.utils import ModelUtils
from mlagents_envs.logging_util import get_logger
from torch import nn

from mlagents_plugin_shared.data.mixed import without_demonstrations
from mlagents_plugin_shared.learning.networks import update_target_network
from mlagents_plugin_shared.learning.return_heads import CategoricalReturn
from mlagents_plugin_shared.maths import schedules

logger = get_logger(__name__)


AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)
"""The class of a network and of the one that follows it."""

Statistics = dict[str, float | torch.Tensor]
"""Numbers by TensorBoard tag. Tensors of one number stay on their device until they are reported."""

LARGEST_NORM = 1e18
"""Largest norm of a gradient: its square, which moments take in, is still a number that a float32 can hold."""

MOST_SKIPPED = 20
"""Gradient steps left out one after the other until a run is given up."""


def adam(parameters: list[nn.Parameter], learning_rate: float, eps: float = 1e-8) -> torch.optim.Adam:
    """Adam in one kernel, or in a few where this PyTorch has no such kernel for the parameters' device.

    Source: Kingma & Ba (2015), https://arxiv.org/abs/1412.6980, algorithm 1.

    Args:
        parameters: what to train.
        learning_rate: α of the paper.
        eps: ε of the paper.
    """
    try:
        return torch.optim.Adam(parameters, lr=learning_rate, eps=eps, fused=True)
    except RuntimeError:  # on a CPU before PyTorch 2.4
        return torch.optim.Adam(parameters, lr=learning_rate, eps=eps, foreach=True)


class StepGuard:
    """Which gradient steps can be taken: those whose loss and gradient are numbers.

    Attributes:
        skipped: steps left out since the run began.
        reason: why the last one was.
    """

    def __init__(self) -> None:
        self.skipped = 0
        self.reason = ""
        self._in_a_row: dict[str, int] = {}

    @property
    def in_a_row(self) -> int:
        """Steps left out since one was taken, of the descent that lacks most."""
        return max(self._in_a_row.values(), default=0)

    @property
    def is_stuck(self) -> bool:
        """Whether so many steps in a row were left out that no further one will be taken."""
        return self.in_a_row >= MOST_SKIPPED

    def admits(self, loss: float, norm: float, name: str = "") -> bool:
        """Whether a step can be taken; one that cannot is counted, with a warning at each power of two.

        Args:
            loss: the loss.
            norm: norm of its gradient.
            name: of the descent that takes it.
        """
        if math.isfinite(loss) and norm <= LARGEST_NORM:
            self._in_a_row[name] = 0
            return True
        self.skipped += 1
        self._in_a_row[name] = self._in_a_row.get(name, 0) + 1
        self.reason = f"the loss was {loss:g} and its gradient {norm:g}"
        if self.skipped.bit_count() == 1:
            logger.warning(
                f"This step is left out, {self.skipped} so far: {self.reason}. Are rewards or observations too large, "
                "or is learning_rate too high?"
            )
        return False


class Descent:
    """Gradient steps of one torch optimizer: at a scheduled learning rate, of a bounded gradient, and each a number.

    Attributes:
        is_alone: whether no other descent's parameters are reached by the same loss.

    Args:
        optimizer: takes the steps.
        name: tells it from others.
        learning_rate: of the parameters, by the policy's step.
        max_grad_norm: bound of the gradient's norm; 0 does not clip.
        step: gives the policy's step.
        guard: says which steps can be taken.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        name: str,
        *,
        learning_rate: schedules.Schedule,
        max_grad_norm: float,
        step: Callable[[], int],
        guard: StepGuard,
    ) -> None:
        self.optimizer = optimizer
        self.name = name
        self.learning_rate = learning_rate
        self.max_grad_norm = max_grad_norm
        self.guard = guard
        self.is_alone = True
        self._step = step

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What is trained, group by group."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def step(self, loss: torch.Tensor | Iterable[torch.Tensor]) -> float:
        """One step down the gradient of a loss.

        Where the loss or its gradient are not finite the step is left out with a warning, and parameters and moments
        stay as they are: see `StepGuard`. Parameters of other descents get no gradient.

        Args:
            loss: [] what to minimise; or its summands, each of which is differentiated before the next is asked for,
                so that only one of them is in memory.

        Returns:
            Norm of the gradient before it was clipped.
        """
        parameters = self.parameters
        self.optimizer.zero_grad()  # behavioural cloning leaves its gradient in the policy
        total = torch.zeros(())
        for part in [loss] if isinstance(loss, torch.Tensor) else loss:
            part.backward(inputs=None if self.is_alone else parameters)
            total = total + part.detach()
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(self._step())
        norm = nn.utils.clip_grad_norm_(parameters, self.max_grad_norm or float("inf"), foreach=True)
        loss_value, size = torch.stack([total, norm]).tolist()
        if self.guard.admits(loss_value, size, self.name):
            self.optimizer.step()
        return size


class PluginOptimizer(TorchOptimizer):
    """Base of a plugin's optimizer.

    A subclass builds its networks, calls `add_descent` for the parameters that it trains and `add_target_network` for a
    network that follows another one, and writes `update`.

    Attributes:
        hyperparameters: of the algorithm.
        streams: names of the reward streams.
        descents: by name, what `add_descent` made.
        guard: counts the gradient steps that were left out.
        learning_rate: `learning_rate` of the settings by step, as its schedule says: linear ones end at
            `final_learning_rate` where the settings have it, else next to 0.
    """

    def __init__(self, policy: TorchPolicy, trainer_settings: TrainerSettings) -> None:
        super().__init__(policy, trainer_settings)
        self.hyperparameters: Any = trainer_settings.hyperparameters
        self.streams: list[str] = list(self.reward_signals)
        self.descents: dict[str, Descent] = {}
        self._targets: dict[str, tuple[nn.Module, nn.Module]] = {}
        self.guard = StepGuard()
        self.learning_rate = self.schedule(
            self.hyperparameters.learning_rate_schedule,
            self.hyperparameters.learning_rate,
            getattr(self.hyperparameters, "final_learning_rate", 1e-10),
        )

    @property
    def critic(self) -> Any:
        """The network that values states or actions; unless overridden, the policy's own."""
        return self.policy.actor

    @property
    def network_bodies(self) -> list[NetworkBody]:
        """Bodies of the networks whose observation normalisation follows the data; unless overridden, the policy's."""
        return [self.policy.actor.network_body]

    def add_descent(
        self,
        optimizer: torch.optim.Optimizer,
        name: str = "value_optimizer",
        *,
        learning_rate: schedules.Schedule | None = None,
        max_grad_norm: float = 0.0,
    ) -> Descent:
        """Takes in a torch optimizer, whose moments are saved and resumed from then on.

        Args:
            optimizer: of the parameters that one loss trains.
            name: in a checkpoint; the first name is that of ML-Agents' own optimizers.
            learning_rate: by the policy's step; default that of the settings.
            max_grad_norm: bound of the gradient's norm; 0 does not clip.

        Returns:
            What takes its steps.

        Raises:
            ValueError: there is one of this name.
        """
        if name in self.descents:
            raise ValueError(f"there is a torch optimizer {name!r} already; name the second one otherwise")
        added = self.descents[name] = Descent(
            optimizer,
            name,
            learning_rate=learning_rate or self.learning_rate,
            max_grad_norm=max_grad_norm,
            step=self.policy.get_current_step,
            guard=self.guard,
        )
        for descent in self.descents.values():
            descent.is_alone = len(self.descents) == 1
        return added

    def add_target_network(
        self, online: AnyNetwork, target: AnyNetwork | None = None, name: str = "target_network"
    ) -> AnyNetwork:
        """Takes in a network that follows another one: it is saved and resumed, and nothing trains it.

        It begins as a copy of the online network, and is one again where a checkpoint did not hold both. When and how
        far it follows is the algorithm's: see `update_target_network`.

        Args:
            online: what it follows.
            target: a network of the same structure; default a copy.
            name: in a checkpoint, behind `Optimizer:`.

        Returns:
            The target network, on torch's default device and without gradient.

        Raises:
            ValueError: there is one of this name.
        """
        key = f"Optimizer:{name}"
        if key in self._targets:
            raise ValueError(f"there is a target network {name!r} already; name the second one otherwise")
        target = copy.deepcopy(online) if target is None else target
        target.to(default_device()).requires_grad_(False)
        target.train(online.training)  # --deterministic: without noise, as the online network
        update_target_network(online, target)
        self._targets[key] = online, target
        return target

    def schedule(self, kind: ScheduleType, initial: float, final: float) -> schedules.Schedule:
        """A value that is constant, or falls in a line to `final` at the run's `max_steps`.

        Args:
            kind: constant or linear.
            initial: value at step 0.
            final: value at max_steps.
        """
        if kind == ScheduleType.CONSTANT:
            return schedules.constant(initial)
        return schedules.linear(initial, final, self.trainer_settings.max_steps)

    def get_modules(self) -> dict[str, Any]:
        """What a checkpoint holds besides the policy: torch optimizers, reward signals with theirs, target networks.

        To be extended by other networks that are trained: `{**super().get_modules(), "Optimizer:critic": self.critic}`.
        """
        modules: dict[str, Any] = {f"Optimizer:{name}": each.optimizer for name, each in self.descents.items()}
        for name, signal in self.reward_signals.items():
            modules.update(signal.get_modules())
            if hasattr(signal, "optimizer"):
                modules[f"Optimizer:{name}"] = signal.optimizer
        if self.bc_module is not None:
            modules["Optimizer:behavioral_cloning"] = self.bc_module.optimizer
        return {**modules, **{name: target for name, (_, target) in self._targets.items()}}

    def update_reward_signals(self, batch: AgentBuffer) -> dict[str, Any]:
        """Updates curiosity, RND and GAIL.

        GAIL learns from the agent's own steps alone: a demonstration among them would be one that its discriminator
        has to tell from demonstrations.

        Args:
            batch: transitions that were drawn for the policy, some of them demonstrated.

        Returns:
            Statistics by TensorBoard tag.
        """
        own = without_demonstrations(batch)
        statistics: dict[str, Any] = {}
        for signal in self.reward_signals.values():
            learned_from = own if isinstance(signal, GAILRewardProvider) else batch
            if learned_from.num_experiences:
                statistics.update(signal.update(learned_from))
        return statistics

    def anneal_imitation(self) -> None:
        """Gives behavioural cloning the rate of the policy's step, which ML-Agents does after its first update only.

        A run that is resumed would else imitate at the full rate once more, also when that had fallen to nothing.
        """
        if self.bc_module is not None:
            rate = self.bc_module.decay_learning_rate.get_value(self.policy.get_current_step())
            self.bc_module.current_lr = rate
            ModelUtils.update_learning_rate(self.bc_module.optimizer, rate)

    def td_errors(self, batch: AgentBuffer, num_sequences: int) -> torch.Tensor | None:
        """[B] what `update` would give as new priorities, without learning: the first ones of steps that actors send.

        To be overridden where the policy's weights are enough to tell; default None, with which new transitions get the
        largest priority so far.

        Args:
            batch: as for `update`.
            num_sequences: as for `update`.
        """
        return None

    def on_loaded(self, whole: Collection[str]) -> None:
        """Called when a checkpoint was taken up, of this run or another, this trainer or another.

        To be extended where one module follows from others: one that was not in the checkpoint, or only in part, then
        holds numbers that have nothing to do with them. Target networks are seen to here, and the atoms of categorical
        returns, which lie where the settings say.

        Args:
            whole: names in `get_modules`, of the policy or this optimizer, of what took up all that was saved of it.
        """
        modules = {**self.policy.get_modules(), **self.get_modules()}
        for name, (online, target) in self._targets.items():
            followed = {key for key, module in modules.items() if module is online}
            if not {name, *followed} <= set(whole):
                update_target_network(online, target)
        layers = [layer for module in modules.values() if isinstance(module, nn.Module) for layer in module.modules()]
        moved = [layer.restore_atoms() for layer in layers if isinstance(layer, CategoricalReturn)]
        if any(moved):
            logger.warning(
                "The checkpoint's atoms lie elsewhere (another v_min or v_max): what it has learned of values is wrong "
                "at first."
            )

    def state_dict(self) -> dict[str, Any]:
        """What survives a resume beside `get_modules`: numbers, strings and tensors.

        To be extended by what else an algorithm counts: `{**super().state_dict(), "updates": self.updates}`.
        """
        return {"skipped": self.guard.skipped, "learned_signals": self._learned_signals(), "streams": self.streams}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave, when networks and torch optimizers have taken up theirs.

        Args:
            state: of the same algorithm; from a checkpoint of an earlier release it may lack what is new.
        """
        self.guard.skipped = state["skipped"]
        for name in set(state["learned_signals"]) & set(self.reward_signals):
            self.reward_signals[name]._has_updated_once = True
        self.begin_from(state)

    def begin_from(self, state: dict[str, Any]) -> None:
        """Says where the loaded networks' values, of the same algorithm, mean something else in this run.

        To be extended by what else gives them their meaning, as the units that they are in.

        Args:
            state: what `state_dict` gave; from a checkpoint of an earlier release it may lack what is new.
        """
        before = state.get("streams")
        if before is None and len(self.streams) > 1:
            logger.warning(
                "The checkpoint, of an earlier release, does not tell the order of its reward_signals: where the file "
                f"named them in another order than {', '.join(self.streams)}, values are wrong at first."
            )
        elif before not in (None, self.streams):
            logger.warning(
                f"The checkpoint's values are of the reward_signals {', '.join(before)}, and those of this run are "
                f"{', '.join(self.streams)}: what it has learned of them is wrong at first."
            )

    def _learned_signals(self) -> list[str]:
        """Reward signals that give rewards only once they were updated, and were."""
        return [name for name, signal in self.reward_signals.items() if getattr(signal, "_has_updated_once", False)]
