"""The learner of PQN: Q-learning on fresh rollouts, without replay or target network."""

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import AgentBuffer, BufferKey
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.settings import TrainerSettings
from mlagents_envs.timers import timed

from mlagents_plugin_pqn.settings import OptimizerType, PQNSettings, Traces
from mlagents_plugin_shared.data import RolloutBuffer, StreamSteps
from mlagents_plugin_shared.learning.networks import resample_noise
from mlagents_plugin_shared.learning.optimizer import Statistics, adam
from mlagents_plugin_shared.learning.q_network import QNetwork
from mlagents_plugin_shared.learning.rollout_batch import Rollout
from mlagents_plugin_shared.learning.rollout_optimizer import RolloutOptimizer
from mlagents_plugin_shared.learning.statistics import Terms, mean_terms
from mlagents_plugin_shared.learning.values import RolloutValues, feedforward_values, stored_state_values
from mlagents_plugin_shared.maths.branches import chosen_values, greedy_actions
from mlagents_plugin_shared.maths.losses import masked_mean, td_error
from mlagents_plugin_shared.maths.targets import double_q_value, lambda_return

TRACE = "trace"
"""Column of a rollout: λ by which the return of a step counts for the step before it."""


class PQNOptimizer(RolloutOptimizer):
    """Parallelised Q-learning, after Gallici et al. (2024), https://arxiv.org/abs/2407.04811, algorithm 1.

    Shapes: B steps of a minibatch, N of the rollout in K segments, S reward streams, A actions of D branches.

    Args:
        policy: policy whose actor is the Q network.
        trainer_settings: settings of the behaviour.
    """

    hyperparameters: PQNSettings

    def __init__(self, policy: TorchPolicy, trainer_settings: TrainerSettings) -> None:
        super().__init__(policy, trainer_settings)
        self.network: QNetwork = policy.actor
        self.branches = self.network.branches
        self.descent = self.add_descent(self._create_optimizer(), max_grad_norm=self.hyperparameters.max_grad_norm)

    def _create_optimizer(self) -> torch.optim.Optimizer:
        parameters, learning_rate = list(self.network.parameters()), self.hyperparameters.learning_rate
        if self.hyperparameters.optimizer is OptimizerType.RADAM:
            return torch.optim.RAdam(parameters, lr=learning_rate, foreach=True)
        return adam(parameters, learning_rate, eps=1e-5)

    @timed
    def update(self, batch: AgentBuffer, num_sequences: int) -> Statistics:
        """Learns from a rollout, which is dropped after it.

        Args:
            batch: the rollout with the λ-returns of every reward stream, which were worked out once, by the network
                that acted; with memory, `num_sequences` padded sequences.
            num_sequences: number of sequences.

        Returns:
            Statistics by TensorBoard tag.
        """
        rollout = Rollout.from_batch(batch, self.policy, self.streams)
        terms: list[Terms] = []
        norms: list[float] = []
        shuffler = self.shuffler()
        for _ in range(self.hyperparameters.num_epoch):
            for minibatch in rollout.minibatches(self.hyperparameters.batch_size, shuffler):
                self._draw_noise()
                norms.append(self.descent.step(self.loss(minibatch, terms)))
        step = self.policy.get_current_step()
        return {
            **mean_terms(terms),
            "Policy/Gradient Norm": float(np.mean(norms)),
            "Policy/Epsilon": self.policy.epsilon(step),
            "Policy/Learning Rate": self.learning_rate(step),
        }

    def loss(self, rollout: Rollout, terms: list[Terms]) -> torch.Tensor:
        """[] L = ½ E[(G - Q(s, a))²], the mean over steps, reward streams and branches.

        Args:
            rollout: a minibatch with returns G; no gradient flows into them.
            terms: takes in what `update` reports.
        """
        steps = rollout.steps
        q, _ = self.network.q_values(steps.observations, steps.memories, steps.sequence_length)  # [B, S, A]
        q_tm1 = chosen_values(q, steps.actions.long(), self.branches)  # [B, S, D]
        error = td_error(q_tm1, rollout.returns.unsqueeze(2).expand_as(q_tm1))
        loss = masked_mean(0.5 * error.square().mean(dim=(1, 2)), rollout.mask)
        terms.append(
            {
                "Losses/Value Loss": loss,
                "Policy/TD Error": masked_mean(error.abs().mean(dim=(1, 2)), rollout.mask),
                "Policy/Q Value": masked_mean(q_tm1.sum(dim=1).mean(dim=1), rollout.mask),
            }
        )
        return loss

    # What the trainer asks for before an update

    def rollout_values(self, rollout: RolloutBuffer) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """max_a Q(s, a) over legal actions, of a rollout's states and of the state after each segment.

        What is legal after a segment is known where the rollout has the segment that goes on there. Where it is not,
        and masks forbid something, the last step is left out: it is not learned from, and the one before it is, by
        the value of the state between them.

        Args:
            rollout: N steps in K segments; its MASKS and TRACE are filled in.

        Returns:
            [N] and [K] values by reward stream.
        """
        found = self._q_values(rollout)
        last_legal, is_known = rollout.last_action_masks()
        values, greedy = self._greedy(found.values, rollout[BufferKey.ACTION_MASK])
        last_values, _ = self._greedy(found.last_values, last_legal)
        rollout[BufferKey.MASKS] = rollout.without_last_steps(~is_known)
        trace = self.hyperparameters.lambd * rollout[BufferKey.MASKS]
        if self.hyperparameters.traces is Traces.WATKINS:
            trace *= (rollout[BufferKey.DISCRETE_ACTION] == greedy).all(axis=1)
        rollout[TRACE] = trace
        return self.by_stream(values), self.by_stream(last_values)

    def targets(self, rollout: RolloutBuffer, steps: StreamSteps) -> tuple[torch.Tensor, torch.Tensor]:
        """λ-returns of one reward stream, of all segments side by side, and how far they are from the values.

        G_t = r_t + γ_t ((1 - λ_t) max_a Q(s_t, a) + λ_t G_{t+1})

        Source: Peng & Williams (1996), where λ_t is λ; Watkins (1989), where it is 0 before actions that were not
        greedy.

        Args:
            rollout: the K segments, with TRACE.
            steps: [T, K] rewards, discounts and values.

        Returns:
            [T, K] returns and [T, K] differences.
        """
        trace = torch.from_numpy(rollout.pad_time_major(rollout[TRACE])).roll(-1, dims=0)
        returns = lambda_return(steps.r_t, steps.discount_t, steps.v_t, lambda_=trace)
        return returns, returns - steps.v_tm1

    def _q_values(self, rollout: RolloutBuffer) -> RolloutValues:
        """[N, S, A] and [K, S, A] Q of every action; with memory from the states that were stored as it acted."""
        self._draw_noise()
        if self.policy.use_recurrent:
            return stored_state_values(self.network.q_values, rollout)
        return feedforward_values(self.network.q_values, rollout, self.value_batch_size)

    def _draw_noise(self) -> None:
        if self.hyperparameters.noisy:
            resample_noise(self.network)

    def _greedy(self, q: np.ndarray, legal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[B, S] values and [B, D] actions of the greedy policy, by [B, S, A] Q and [B, A] masks."""
        returns, mask = torch.from_numpy(q), torch.from_numpy(legal)
        scores = returns.sum(dim=1)
        values = double_q_value(returns, scores, mask, self.branches)
        return values.numpy(), greedy_actions(scores, mask, self.branches).numpy()
