"""Hidden layers of actors and critics: plain or residual, normalised or not, and two critics at the price of one.

A `Trunk` stands where ML-Agents has the layers that `hidden_units` and `num_layers` describe. With `members` it is as
many networks of the same structure that are computed side by side: a matrix product with a batch of two takes about
as long as one, and all that surrounds it is called once.
"""

import math
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

from mlagents.torch_utils import torch
from mlagents.trainers.settings import NetworkSettings
from mlagents.trainers.torch_entities.layers import LinearEncoder
from mlagents.trainers.torch_entities.networks import NetworkBody
from mlagents_envs.base_env import ObservationSpec
from torch import nn
from torch.autograd.function import once_differentiable

LARGEST_STANDARDISED = 10.0
"""Bound of a standardised input: a number that is nearly always the same would be hundreds where it is not."""

LARGEST_INPUT = 1e15
"""Bound of an input before that: the sum of its squares over a batch is still a number that a float32 can hold."""

EXPANSION = 4
"""How many times wider a residual block is inside."""

Training: TypeAlias = bool | torch.Tensor
"""Whether a batch is normalised by its own statistics; a [B] mask: by those of its rows where that is 1."""


class Normalization(Enum):
    """What hidden layers are normalised by."""

    NONE = "none"
    BATCH = "batch"
    RMS = "rms"


class TrunkStyle(NamedTuple):
    """How a trunk is built.

    Attributes:
        residual: of residual blocks, where it is a chain of layers otherwise.
        normalization: of the hidden layers.
    """

    residual: bool = False
    normalization: Normalization = Normalization.NONE


class Dense(nn.Module):
    """Linear layer, or several side by side.

    Args:
        in_features: width of the input.
        out_features: width of the output.
        members: number K of layers; None for a plain one.
        bias: whether it has one.
        gain: of the orthogonal initial weights.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        members: int | None = None,
        *,
        bias: bool = True,
        gain: float = math.sqrt(2.0),
    ) -> None:
        super().__init__()
        each = [nn.init.orthogonal_(torch.empty(out_features, in_features), gain) for _ in range(members or 1)]
        self.weight = nn.Parameter(each[0] if members is None else torch.stack(each))
        self.bias = nn.Parameter(torch.zeros(self.weight.shape[:-1])) if bias else None

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """[B, in_features] → [B, out_features]; with K members [K, B, in_features] → [K, B, out_features]."""
        if self.weight.dim() == 2:
            return nn.functional.linear(inputs, self.weight, self.bias)
        weight = self.weight.transpose(1, 2)
        return inputs.bmm(weight) if self.bias is None else torch.baddbmm(self.bias.unsqueeze(1), inputs, weight)

    def project(self) -> None:
        """Scales the weights of each output to the norm 1."""
        self.weight.copy_(nn.functional.normalize(self.weight, dim=-1))


class _Standardization(torch.autograd.Function):
    """y = w (x - μ) / √(σ² + ε) + b, with mean and variance over the rows.

    With its derivative written out it passes over the rows half as often as torch's own derivatives of each operation,
    which take longer than the layers themselves. Results are written over what is no longer needed: on a CPU a fresh
    megabyte costs more than what is computed in it.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """[..., B, F] inputs → outputs, [..., 1, F] means and variances."""
        mean = inputs.mean(dim=-2, keepdim=True)
        standard = inputs - mean
        outputs = standard.square()
        var = outputs.mean(dim=-2, keepdim=True)
        scale = (var + eps).rsqrt()
        standard.mul_(scale)
        torch.addcmul(bias, standard, weight, out=outputs)
        ctx.save_for_backward(standard, weight, scale)
        ctx.mark_non_differentiable(mean, var)
        return outputs, mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor, *_: Any) -> tuple[torch.Tensor | None, ...]:
        """Of inputs, weight and bias."""
        standard, weight, scale = ctx.saved_tensors
        of_bias = grad.sum(dim=-2, keepdim=True)
        products = grad * standard
        of_weight = products.sum(dim=-2, keepdim=True)
        of_inputs = None
        if ctx.needs_input_grad[0]:
            count = grad.shape[-2]
            of_inputs = torch.addcmul(grad, standard, of_weight / -count, out=products)
            of_inputs.sub_(of_bias / count).mul_(weight * scale)
        return of_inputs, of_weight, of_bias, None


class BatchNorm(nn.Module):
    """Standardises each feature: by the batch where it is trained by it, else by running statistics.

    Source: Ioffe & Szegedy (2015), algorithm 1, https://arxiv.org/abs/1502.03167.

    Args:
        size: number F of features.
        members: number K of networks, each with statistics of its own; None for a plain one.
        momentum: share of the batch in the running statistics; of the first batches they are the mean.
        eps: added to the variance.
    """

    running_mean: torch.Tensor
    running_var: torch.Tensor
    batches: torch.Tensor

    def __init__(self, size: int, members: int | None = None, *, momentum: float = 0.01, eps: float = 1e-5) -> None:
        super().__init__()
        shape = (1, size) if members is None else (members, 1, size)
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape))
        self.register_buffer("running_mean", torch.zeros(shape))
        self.register_buffer("running_var", torch.ones(shape))
        self.register_buffer("batches", torch.zeros(()))
        self.momentum = momentum
        self.eps = eps

    def forward(self, inputs: torch.Tensor, training: Training = False) -> torch.Tensor:
        """[B, F] or [K, B, F] → the same shape.

        Args:
            inputs: features.
            training: by the statistics of these B rows, or of those where a mask is 1; the running ones then follow.
        """
        if training is False:
            return self._standardized(inputs, self.running_mean, self.running_var)
        if training is True:
            count = inputs.shape[-2]
            outputs, mean, var = _Standardization.apply(inputs, self.weight, self.bias, self.eps)
            self._follow(mean, var * (count / max(count - 1, 1)))
            return outputs
        total = training.sum()
        share = (training / total).unsqueeze(1)  # [B, 1]
        mean = (inputs * share).sum(dim=-2, keepdim=True)
        var = ((inputs - mean).square() * share).sum(dim=-2, keepdim=True)
        self._follow(mean.detach(), var.detach() * (total / (total - 1.0).clamp(min=1.0)))
        return self._standardized(inputs, mean, var)

    def _standardized(self, inputs: torch.Tensor, mean: torch.Tensor, var: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(self.bias, inputs - mean, self.weight * (var + self.eps).rsqrt())

    def _follow(self, mean: torch.Tensor, var: torch.Tensor) -> None:
        """Moves the running statistics towards those of a batch."""
        self.batches += 1
        share = self.batches.reciprocal().clamp(min=self.momentum)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(var, share)

    def project(self) -> None:
        """Scales weight and bias of each network to √F together, so that features have a mean square of 1."""
        total = self.weight.square().sum(dim=-1, keepdim=True) + self.bias.square().sum(dim=-1, keepdim=True)
        factor = math.sqrt(self.weight.shape[-1]) * (total + 1e-8).rsqrt()
        self.weight.mul_(factor)
        self.bias.mul_(factor)


class RMSNorm(nn.Module):
    """Divides the features of each row by the root of their mean square.

    Source: Zhang & Sennrich (2019), eq. 4, https://arxiv.org/abs/1910.07467.

    Args:
        size: number F of features.
        members: number K of networks; None for a plain one.
        eps: added to the mean square.
    """

    def __init__(self, size: int, members: int | None = None, *, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones((1, size) if members is None else (members, 1, size)))
        self.eps = eps

    def forward(self, inputs: torch.Tensor, training: Training = False) -> torch.Tensor:
        """[B, F] or [K, B, F] → the same shape, whether it is trained or not."""
        return inputs * (inputs.square().mean(dim=-1, keepdim=True) + self.eps).rsqrt() * self.weight

    def project(self) -> None:
        """Scales the weights to √F, so that features have a mean square of 1."""
        total = self.weight.square().sum(dim=-1, keepdim=True)
        self.weight.mul_(math.sqrt(self.weight.shape[-1]) * (total + 1e-8).rsqrt())


class Layer(nn.Module):
    """Linear layer, normalisation and ReLU."""

    def __init__(self, in_features: int, out_features: int, normalization: Normalization, members: int | None) -> None:
        super().__init__()
        self.linear = Dense(in_features, out_features, members, bias=normalization is not Normalization.BATCH)
        self.norm = _normalization(normalization, out_features, members)

    def forward(self, inputs: torch.Tensor, training: Training) -> torch.Tensor:
        """[..., in_features] → [..., out_features]."""
        hidden = self.linear(inputs)
        return torch.relu_(hidden if self.norm is None else self.norm(hidden, training))


class Block(nn.Module):
    """Two layers, the first of them wider, whose output is added to their input."""

    def __init__(self, size: int, normalization: Normalization, members: int | None) -> None:
        super().__init__()
        self.widen = Layer(size, EXPANSION * size, normalization, members)
        self.narrow = Layer(EXPANSION * size, size, normalization, members)

    def forward(self, inputs: torch.Tensor, training: Training) -> torch.Tensor:
        """[..., size] → [..., size]."""
        return inputs + self.narrow(self.widen(inputs, training), training)


class Trunk(nn.Module):
    """Hidden layers.

    Plain:    layers of `hidden_size`, one after the other.
    Residual: a linear layer to `hidden_size`, as many blocks, and `RMSNorm` behind them if anything is normalised.

    With `Normalization.BATCH` the input is standardised too, up to a bound.

    Source: residual, FlashSAC, https://arxiv.org/abs/2604.04539, section on the architecture, and Lee et al. (2025),
    https://arxiv.org/abs/2502.15280; plain with batch normalisation, XQC, https://arxiv.org/abs/2509.25174.

    Args:
        input_size: width I of the input.
        hidden_size: width H of the layers.
        num_layers: number of layers, or of blocks.
        style: which of them, and what they are normalised by.
        members: number K of networks side by side; None for a plain one.
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int, style: TrunkStyle, members: int | None = None
    ) -> None:
        super().__init__()
        self.members = members
        normalization = style.normalization
        self.input_norm = BatchNorm(input_size) if normalization is Normalization.BATCH else None
        self.embed: Dense | None = None
        self.output_norm: RMSNorm | None = None
        if style.residual:
            self.embed = Dense(input_size, hidden_size, members, gain=1.0)
            self.layers = nn.ModuleList(Block(hidden_size, normalization, members) for _ in range(num_layers))
            self.output_norm = None if normalization is Normalization.NONE else RMSNorm(hidden_size, members)
        else:
            widths = [input_size, *[hidden_size] * (num_layers - 1)]
            self.layers = nn.ModuleList(Layer(width, hidden_size, normalization, members) for width in widths)

    def forward(self, inputs: torch.Tensor, training: Training = False) -> torch.Tensor:
        """[B, I] → [B, H], or [K, B, H] with members.

        Args:
            inputs: the same for all members.
            training: batches are normalised by their own statistics, see `BatchNorm`.
        """
        if self.input_norm is not None:
            inputs = self.input_norm(inputs.clamp(-LARGEST_INPUT, LARGEST_INPUT), training)
            inputs = inputs.clamp(-LARGEST_STANDARDISED, LARGEST_STANDARDISED)
        hidden = inputs if self.members is None else inputs.expand(self.members, -1, -1)
        if self.embed is not None:
            hidden = self.embed(hidden)
        for layer in self.layers:
            hidden = layer(hidden, training)
        return hidden if self.output_norm is None else self.output_norm(hidden)


def _normalization(kind: Normalization, size: int, members: int | None) -> BatchNorm | RMSNorm | None:
    if kind is Normalization.NONE:
        return None
    return BatchNorm(size, members) if kind is Normalization.BATCH else RMSNorm(size, members)


class TrunkBody(NetworkBody):
    """ML-Agents' network body with a `Trunk` for its hidden layers; encoders and memory are its own.

    A goal signal that drives a hyper network keeps it, in place of the trunk; where anything is normalised, its output
    is.

    Args:
        observation_specs: sensors of the behaviour.
        network_settings: `network_settings:` of the YAML; `num_layers` counts layers or blocks of `hidden_units`.
        style: of the trunk.
    """

    def __init__(
        self, observation_specs: list[ObservationSpec], network_settings: NetworkSettings, style: TrunkStyle
    ) -> None:
        super().__init__(observation_specs, network_settings)
        if isinstance(self.hidden_layers, LinearEncoder):
            size = self.observation_encoder.total_enc_size
            self._body_endoder: nn.Module = Trunk(size, self.h_size, network_settings.num_layers, style)  # sic
        is_normalized = isinstance(self.hidden_layers, Trunk) or style.normalization is Normalization.NONE
        self.hyper_norm = None if is_normalized else RMSNorm(self.h_size)

    @property
    def hidden_layers(self) -> nn.Module:
        """What lies between the encoders of observations and memory: the trunk, or a hyper network."""
        return self._body_endoder

    @property
    def encoding_size(self) -> int:
        """Width E of an encoding."""
        return self.m_size // 2 if self.use_lstm else self.h_size

    def forward(
        self,
        inputs: list[torch.Tensor],
        actions: torch.Tensor | None = None,
        memories: torch.Tensor | None = None,
        sequence_length: int = 1,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As ML-Agents' body; of `actions` it knows nothing."""
        return self.encode(inputs, memories, sequence_length)

    def encode(
        self,
        observations: list[torch.Tensor],
        memories: torch.Tensor | None = None,
        sequence_length: int = 1,
        *,
        training: Training = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """[R, ...] observations → [R, E] encodings and the memories after them; see `Trunk` for `training`."""
        encoding = self.observation_encoder(observations)
        if isinstance(self.hidden_layers, Trunk):
            encoding = self.hidden_layers(encoding, training)
        else:
            encoding = self.hidden_layers(encoding, self.observation_encoder.get_goal_encoding(observations))
        if self.hyper_norm is not None:
            encoding = self.hyper_norm(encoding)
        if self.use_lstm:
            encoding, memories = self.lstm(encoding.reshape(-1, sequence_length, self.h_size), memories)
            encoding = encoding.reshape(-1, self.encoding_size)
        return encoding, memories

    def project(self) -> None:
        """Normalises the weights of hidden layers, not of encoders and memory: see `project_weights`."""
        if isinstance(self.hidden_layers, Trunk):
            project_weights(self.hidden_layers)


@torch.no_grad()
def project_weights(*modules: nn.Module) -> None:
    """Projects the weights of layers: those that lead to one output have the norm 1, normalisation a mean square of 1.

    To be called after each gradient step. What is behind a normalisation does not depend on the size of weights, but
    the size of steps does: with weights that grow, learning slows down.

    Source: Salimans & Kingma (2016), https://arxiv.org/abs/1602.07868; as a projection, Lee et al. (2025), section 4.3,
    https://arxiv.org/abs/2502.15280.

    Args:
        *modules: of which every `Dense`, `BatchNorm`, `RMSNorm` and `nn.Linear` is projected.
    """
    for module in modules:
        for layer in module.modules():
            if isinstance(layer, (Dense, BatchNorm, RMSNorm)):
                layer.project()
            elif isinstance(layer, nn.Linear):
                layer.weight.copy_(nn.functional.normalize(layer.weight, dim=-1))
