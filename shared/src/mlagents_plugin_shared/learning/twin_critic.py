"""Two critics of actions, computed side by side."""

from collections.abc import Callable, Sequence
from typing import Any

from mlagents.torch_utils import torch
from mlagents.trainers.settings import NetworkSettings
from mlagents.trainers.torch_entities.networks import ObservationEncoder
from mlagents_envs.base_env import ObservationSpec
from torch import nn

from mlagents_plugin_shared.learning.return_heads import ReturnHead
from mlagents_plugin_shared.learning.trunk import Dense, Trunk, TrunkStyle

TWINS = 2


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
        training: bool = False,
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
    """Returns of actions, as two critics see them: Q(s, a) of continuous actions a, and of each discrete one beside them.

    Discrete actions are outputs: one number, or distribution, for each of the A actions of D branches, given the
    continuous ones (Delalleau et al., 2019, section 4.2, https://arxiv.org/abs/1912.11077). A behaviour without discrete
    actions has one branch of one action.

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
        encoder: nn.Module,
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
        self.encoder = encoder
        self.trunk = Trunk(encoder.encoding_size + continuous_size, hidden_size, num_layers, style, TWINS)
        self.head = create_head(hidden_size, branches, num_streams, create_layers=TwinLayers)

    def encode(self, *arguments: Any, **options: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
        """[R, ...] observations → [R, E] encodings and memories, as the encoder."""
        return self.encoder.encode(*arguments, **options)

    def features(self, encoding: torch.Tensor, action: torch.Tensor, *, training: bool = False) -> torch.Tensor:
        """[B, E] encodings and [B, C] continuous actions → [2, B, H]; see `Trunk` for `training`."""
        return self.trunk(torch.cat([encoding, action], dim=1), training)
