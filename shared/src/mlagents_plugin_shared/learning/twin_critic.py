"""Two critics of actions, computed side by side."""

from collections.abc import Callable, Sequence
from typing import Any

from mlagents.torch_utils import torch
from mlagents.trainers.settings import NetworkSettings
from mlagents.trainers.torch_entities.networks import ObservationEncoder
from mlagents_envs.base_env import ObservationSpec
from torch import nn

from mlagents_plugin_shared.learning.return_heads import ReturnHead
from mlagents_plugin_shared.learning.transitions import Transitions
from mlagents_plugin_shared.learning.trunk import Dense, Training, Trunk, TrunkBody, TrunkStyle, project_weights
from mlagents_plugin_shared.maths.branches import chosen_values

TWINS = 2
"""Number of critics."""


class ObservationBody(ObservationEncoder):
    """ML-Agents' encoders of observations, without hidden layers and without memory.

    Args:
        observation_specs: sensors of the behaviour.
        network_settings: `network_settings:` of the YAML.
    """

    def __init__(self, observation_specs: list[ObservationSpec], network_settings: NetworkSettings) -> None:
        super().__init__(
            observation_specs,
            network_settings.hidden_units,
            network_settings.vis_encode_type,
            network_settings.normalize,
        )

    @property
    def encoding_size(self) -> int:
        """Width E of an encoding."""
        return self.total_enc_size

    def encode(
        self,
        observations: list[torch.Tensor],
        memories: torch.Tensor | None = None,
        sequence_length: int = 1,
        *,
        training: Training = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """[R, ...] observations → [R, E] encodings, and the memories as they were."""
        return self(observations), memories


class TwinLayers(nn.Module):
    """Last layers of two critics, whose outputs lie side by side: 2B rows, those of the first critic before the others.

    So whatever a `ReturnHead` computes of a batch it computes of both.

    Args:
        encoding_size: width H of the features.
        branches: sizes A_d of the action branches.
        num_streams: number S of reward streams.
        num_atoms: number N of atoms of every action; 1 is a plain value.
    """

    def __init__(self, encoding_size: int, branches: Sequence[int], num_streams: int, *, num_atoms: int = 1) -> None:
        super().__init__()
        self.shape = (num_streams, sum(branches)) if num_atoms == 1 else (num_streams, sum(branches), num_atoms)
        outputs = num_streams * sum(branches) * num_atoms
        self.linear = Dense(encoding_size, outputs, TWINS, gain=1.0)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[2, B, H] → [2B, S, A], or [2B, S, A, N] where N > 1."""
        return self.linear(features).reshape(-1, *self.shape)


class TwinCritic(nn.Module):
    """Returns of actions, as two critics see them: of continuous actions, and of each discrete one beside them.

    Discrete actions are outputs: one number, or distribution, for each of the A actions of D branches, given the
    continuous ones. A behaviour without discrete actions has one branch of one action.

    Source: Fujimoto et al. (2018), https://arxiv.org/abs/1802.09477; hybrid, Delalleau et al. (2019), section 4.2,
    https://arxiv.org/abs/1912.11077.

    | call                          | output         | meaning                                                         |
    |-------------------------------|----------------|-----------------------------------------------------------------|
    | `encode(obs)`                 | [B, E], memory | observations                                                    |
    | `features(encoding, action)`  | [2, B, H]      | what the two critics make of observations and continuous action |
    | `head(features)`              | [2B, S, A, N]  | returns; see `ReturnHead`, and `TwinLayers` for the rows        |

    Args:
        encoder: reads observations, for both critics.
        continuous_size: number C of continuous actions.
        branches: sizes A_d of the action branches.
        num_streams: number S of reward streams.
        hidden_size: width H of the hidden layers.
        num_layers: number of layers, or blocks.
        style: of the hidden layers.
        create_head: makes the head, of a width of the features, branches and `num_streams`, with `create_layers`.
    """

    def __init__(
        self,
        encoder: ObservationBody | TrunkBody,
        continuous_size: int,
        branches: Sequence[int],
        num_streams: int,
        *,
        hidden_size: int,
        num_layers: int,
        style: TrunkStyle,
        create_head: Callable[..., ReturnHead],
    ) -> None:
        super().__init__()
        self.encoder: Any = encoder
        self.branches = list(branches)
        # As ML-Agents' actors have it: a checkpoint then says which actions its values are of.
        self.register_buffer("discrete_act_size_vector", torch.tensor([self.branches], dtype=torch.float32))
        self.trunk = Trunk(encoder.encoding_size + continuous_size, hidden_size, num_layers, style, TWINS)
        self.head = create_head(hidden_size, branches, num_streams, create_layers=TwinLayers)

    def encode(self, *arguments: Any, **options: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
        """[R, ...] observations → [R, E] encodings and memories, as the encoder."""
        return self.encoder.encode(*arguments, **options)

    def features(self, encoding: torch.Tensor, action: torch.Tensor, *, training: Training = False) -> torch.Tensor:
        """[B, E] encodings and [B, C] continuous actions → [2, B, H]; see `Trunk` for `training`."""
        return self.trunk(torch.cat([encoding, action], dim=1), training)

    def joint_features(
        self, transitions: Transitions, action_t: torch.Tensor, *, trains_encoder: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """[2, B, H] features of the actions taken, and of the next ones, standardised by the statistics of both.

        For batch normalisation: the actions of a policy are not spread as those of a replay are. Padding does not count
        in the statistics.

        Source: Bhatt et al. (2024), section 3.1, https://arxiv.org/abs/1902.05605.

        Args:
            transitions: B transitions.
            action_t: [B, C] continuous actions in the next states.
            trains_encoder: the encoder, too, is standardised by the batch.
        """
        states_tm1 = transitions.encode(self, training=trains_encoder)
        states = torch.cat([states_tm1, transitions.encode_next(self)])
        actions = torch.cat([transitions.continuous_action, action_t])
        real = transitions.real if isinstance(transitions.real, bool) else transitions.real.repeat(2)
        features_tm1, features_t = self.features(states, actions, training=real).chunk(2, dim=1)
        return features_tm1, features_t

    def chosen(self, predictions: torch.Tensor, discrete_action: torch.Tensor) -> torch.Tensor:
        """What the critics say of the discrete actions that were taken.

        Args:
            predictions: [2B, S, A, N].
            discrete_action: [B, D] actions; [B, 0] without discrete ones.

        Returns:
            [2B, S, D, N].
        """
        taken = discrete_action if discrete_action.shape[1] else discrete_action.new_zeros(len(discrete_action), 1)
        return chosen_values(predictions, taken.repeat(TWINS, 1), self.branches)

    def project(self) -> None:
        """Normalises the weights of hidden and last layers, those of an encoder too: see `project_weights`."""
        project_weights(self.trunk, self.head)
        if isinstance(self.encoder, TrunkBody):
            self.encoder.project()


def of_twins(rows: torch.Tensor) -> torch.Tensor:
    """[2B, ...] rows of two critics → [2, B, ...]."""
    return rows.unflatten(0, (TWINS, -1))
