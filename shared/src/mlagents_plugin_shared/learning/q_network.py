"""The Q network, also in the form in which it is exported to Unity."""

from collections.abc import Callable, Sequence
from typing import Any

from mlagents.torch_utils import torch
from mlagents.trainers.settings import NetworkSettings
from mlagents.trainers.torch_entities.action_log_probs import ActionLogProbs
from mlagents.trainers.torch_entities.agent_action import AgentAction
from mlagents.trainers.torch_entities.networks import NetworkBody
from mlagents_envs.base_env import ActionSpec, ObservationSpec
from torch import nn

from mlagents_plugin_shared.learning.networks import add_layer_norm
from mlagents_plugin_shared.learning.return_heads import ReturnHead
from mlagents_plugin_shared.maths.branches import greedy_actions
from mlagents_plugin_shared.maths.exploration import exportable_epsilon_greedy

MODEL_EXPORT_VERSION = 3.0
"""MLAgents2_0, the version that Unity's current loader expects."""


class QNetwork(nn.Module):
    """Q values for several discrete branches over ML-Agents' own observation encoders.

    Call, output and meaning:

    | call                   | output              | meaning                                                        |
    |------------------------|---------------------|----------------------------------------------------------------|
    | `encode(obs)`          | [B, E], memories    | what the head reads                                            |
    | `head(encoding)`       | [B, S, A, N]        | return of each action, S reward streams; see `ReturnHead`      |
    | `q(encoding)`          | [B, S, A]           | expected return of each action                                 |
    | `summed_q(returns)`    | [B, A]              | Q of what the head gives, summed over the streams              |
    | `q_values(obs)`        | [B, S, A], memories | expected return of each action, the branches side by side      |
    | `scores(obs)`          | [B, A], memories    | what the greedy choice compares: the sum over the streams      |
    | `forward(obs, masks)`  | tuple               | the outputs of an exported ML-Agents model                     |

    Args:
        observation_specs: sensors of the behaviour.
        network_settings: `network_settings:` of the YAML.
        action_spec: discrete branches of the behaviour.
        num_streams: number S of reward streams.
        create_head: makes the head, of a width of the encoding, branches and `num_streams`.
        layer_norm: normalise the hidden layers.
        export_epsilon: probability of a random action in `discrete_actions` of an exported model.
    """

    def __init__(
        self,
        observation_specs: list[ObservationSpec],
        network_settings: NetworkSettings,
        action_spec: ActionSpec,
        num_streams: int,
        create_head: Callable[[int, Sequence[int], int], ReturnHead],
        *,
        layer_norm: bool = False,
        export_epsilon: float = 0.0,
    ) -> None:
        super().__init__()
        self.export_epsilon = export_epsilon
        self.branches = list(action_spec.discrete_branches)
        self.network_body = NetworkBody(observation_specs, network_settings)
        if layer_norm:
            add_layer_norm(self.network_body)
        memory = network_settings.memory
        encoding_size = memory.memory_size // 2 if memory else network_settings.hidden_units
        self.head = create_head(encoding_size, self.branches, num_streams)
        # Constants of the exported model; Unity reads them as float tensors.
        self.register_buffer("version_number", torch.tensor([MODEL_EXPORT_VERSION]))
        self.register_buffer("memory_size_vector", torch.tensor([float(self.memory_size)]))
        self.register_buffer("discrete_act_size_vector", torch.tensor([self.branches], dtype=torch.float32))

    @property
    def memory_size(self) -> int:
        """Size of the recurrent state, 0 without memory."""
        return self.network_body.memory_size

    def encode(
        self, observations: list[torch.Tensor], memories: torch.Tensor | None = None, sequence_length: int = 1
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What the head reads.

        Args:
            observations: one tensor [B, ...] a sensor; with memory, B = sequences x sequence_length.
            memories: [1, sequences, M] recurrent state at the start of each sequence.
            sequence_length: steps a sequence.

        Returns:
            [B, E] encoding and the recurrent state after the sequences.
        """
        return self.network_body(observations, memories=memories, sequence_length=sequence_length)

    def q(self, encoding: torch.Tensor) -> torch.Tensor:
        """[B, E] encodings → [B, S, A] expected returns."""
        return self.head.mean(self.head(encoding))

    def summed_q(self, returns: torch.Tensor) -> torch.Tensor:
        """[B, S, A, N] returns, as the head gives them → [B, A] Q summed over the reward streams."""
        return self.head.mean(returns).sum(dim=1)

    def q_values(
        self, observations: list[torch.Tensor], memories: torch.Tensor | None = None, sequence_length: int = 1
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, S, A] expected returns, and the recurrent state; arguments as of `encode`."""
        encoding, memories = self.encode(observations, memories, sequence_length)
        return self.q(encoding), memories

    def scores(
        self, observations: list[torch.Tensor], memories: torch.Tensor | None = None, sequence_length: int = 1
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, A] sum of the Q values over the reward streams, and the recurrent state; arguments as of `encode`."""
        q, memories = self.q_values(observations, memories, sequence_length)
        return q.sum(dim=1), memories

    def forward(
        self,
        inputs: list[torch.Tensor],
        masks: torch.Tensor,
        memories: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...]:
        """Outputs of the exported model, in ML-Agents' order: drawn actions, by `export_epsilon`, and greedy ones."""
        scores, memories = self.scores(inputs, memories)
        greedy = greedy_actions(scores, masks, self.branches)
        outputs = [
            self.version_number,
            self.memory_size_vector,
            exportable_epsilon_greedy(greedy, masks, self.branches, self.export_epsilon),
            self.discrete_act_size_vector,
            greedy,
        ]
        return (*outputs, memories) if self.memory_size else tuple(outputs)

    def get_action_and_stats(
        self,
        inputs: list[torch.Tensor],
        masks: torch.Tensor,
        memories: torch.Tensor | None = None,
        sequence_length: int = 1,
    ) -> tuple[AgentAction, dict[str, Any], torch.Tensor]:
        """Greedy actions in the form that behavioural cloning reads; its log-probabilities are a softmax of Q."""
        scores, memories = self.scores(inputs, memories, sequence_length)
        actions = greedy_actions(scores, masks, self.branches)
        log_probs = [branch.log_softmax(dim=1) for branch in scores.split(self.branches, dim=1)]
        chosen = [
            log_prob.gather(1, action.unsqueeze(1)).squeeze(1)
            for log_prob, action in zip(log_probs, actions.unbind(1), strict=True)
        ]
        action = AgentAction(None, [branch.unsqueeze(1) for branch in actions.unbind(1)])
        return action, {"log_probs": ActionLogProbs(None, chosen, log_probs)}, memories
