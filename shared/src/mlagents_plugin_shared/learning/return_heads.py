"""Heads of Q networks: what a network says of the return, its mean or its distribution by atoms or by quantiles.

A `ReturnHead` reads the network's encoding, [B, E], and knows the target and the error that its kind of return is
trained by. An algorithm treats all kinds alike:

| call                                   | output             | meaning                                                |
|----------------------------------------|--------------------|--------------------------------------------------------|
| `head(encoding)`                       | [B, S, A, N]       | return, as N numbers that actions can be averaged over |
| `head.mean(returns)`                   | [B, S, A]          | Q                                                      |
| `head.predict(encoding)`               | [B, S, A, N], taus | the same return in the form that is trained            |
| `head.predicted_mean(prediction)`      | [B, S, A]          | Q                                                      |
| `head.target(return_t, ...)`           | [B, S, N]          | return of the reward and of what follows it            |
| `head.error(prediction, taus, target)` | [B, S, D]          | what training minimises, of the actions taken          |
| `head.td_error(prediction, target)`    | [B, S, D]          | difference of the means, of the actions taken          |

S are the reward streams, A the actions of all D branches side by side, N = 1 for a mean. Inside lie the layers that
give these numbers: `BranchingQHead` and `ImplicitQuantileHead`.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence

from mlagents.torch_utils import torch
from mlagents.trainers.torch_entities.layers import Initialization, linear_layer
from mlagents_envs.logging_util import get_logger
from torch import nn

from mlagents_plugin_shared.learning.networks import NoisyLinear
from mlagents_plugin_shared.maths.distributional import (
    categorical_target,
    mass_outside,
    quantile_midpoints,
    quantile_target,
)
from mlagents_plugin_shared.maths.losses import categorical_error, huber, quantile_huber_error, td_error
from mlagents_plugin_shared.maths.rescaling import signed_hyperbolic, signed_parabolic
from mlagents_plugin_shared.maths.targets import td_target

logger = get_logger(__name__)

CUT_OFF_INTERVAL = 1000
"""Batches of targets between two looks at how many returns no atom can tell."""
MOST_CUT_OFF = 0.5
"""Share of them from which on that is said."""


class ReturnHead(nn.Module):
    """Base of the kinds of return that a Q network can learn."""

    def predict(self, encoding: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """[B, E] → [B, S, A, N] returns in the form that `error` takes; the probabilities they lie at, if any."""
        return self(encoding), None

    @abstractmethod
    def mean(self, returns: torch.Tensor) -> torch.Tensor:
        """[..., N] returns, as the head gives them → [...] expected returns."""

    def predicted_mean(self, prediction: torch.Tensor) -> torch.Tensor:
        """[..., N] returns, as `predict` gives them → [...] expected returns."""
        return self.mean(prediction)

    @abstractmethod
    def target(self, return_t: torch.Tensor, r_t: torch.Tensor, discount_t: torch.Tensor) -> torch.Tensor:
        """The return r + γ Z that predictions are trained towards.

        Args:
            return_t: [B, S, N] return Z of the next state, as the target network's head gives it.
            r_t: [B, S] rewards.
            discount_t: [B, S] discounts γ, 0 where the episode terminated.

        Returns:
            [B, S, N] target, detached.
        """

    @abstractmethod
    def error(
        self, prediction_tm1: torch.Tensor, taus_tm1: torch.Tensor | None, target_t: torch.Tensor
    ) -> torch.Tensor:
        """What training minimises: how far the predicted returns of the actions taken are from their target.

        Args:
            prediction_tm1: [B, S, D, N] what `predict` gave for the actions taken.
            taus_tm1: what `predict` gave with it.
            target_t: [B, S, D, N] what `target` gave, for every branch.

        Returns:
            [B, S, D] errors, not reduced; the gradient flows into `prediction_tm1`.
        """

    def td_error(self, prediction_tm1: torch.Tensor, target_t: torch.Tensor) -> torch.Tensor:
        """[B, S, D] expected target less expected prediction, of what `error` takes."""
        return td_error(self.predicted_mean(prediction_tm1), self.mean(target_t))


class MeanReturn(ReturnHead):
    """The mean return of every action, Q itself; N = 1.

    Source: Mnih et al. (2015).

    Args:
        encoding_size: width E of the encoding.
        branches: sizes A_d of the action branches.
        num_streams: number S of reward streams.
        penalty: function of the TD error that training minimises.
        create_layers: makes what gives the values; default `BranchingQHead`.
        **layers: more arguments of it, such as `dueling` and `noisy`.
    """

    def __init__(
        self,
        encoding_size: int,
        branches: Sequence[int],
        num_streams: int,
        *,
        penalty: Callable[[torch.Tensor], torch.Tensor] = huber,
        create_layers: Callable[..., nn.Module] | None = None,
        **layers: bool,
    ) -> None:
        super().__init__()
        self.head = (create_layers or BranchingQHead)(encoding_size, branches, num_streams, **layers)
        self.penalty = penalty

    def forward(self, encoding: torch.Tensor) -> torch.Tensor:
        """[B, E] → [B, S, A, 1] values."""
        return self.head(encoding).unsqueeze(3)

    def mean(self, returns: torch.Tensor) -> torch.Tensor:
        """[..., 1] values → [...]."""
        return returns.squeeze(-1)

    def target(self, return_t: torch.Tensor, r_t: torch.Tensor, discount_t: torch.Tensor) -> torch.Tensor:
        """The TD target."""
        return td_target(r_t, discount_t, self.mean(return_t)).unsqueeze(2)

    def error(
        self, prediction_tm1: torch.Tensor, taus_tm1: torch.Tensor | None, target_t: torch.Tensor
    ) -> torch.Tensor:
        """Penalties of the TD errors."""
        return self.penalty(self.td_error(prediction_tm1, target_t))


class RescaledMeanReturn(MeanReturn):
    """The mean return, learned in a scale in which returns of very different sizes lie close together.

    The layers give h(Q), and learn towards h(r + γ h⁻¹(v)); everything outside sees Q.

    Source: Kapturowski et al. (2019), eq. 1, https://openreview.net/forum?id=r1lyTjAqYX. TD errors are in the learned
    scale, as there.
    """

    def forward(self, encoding: torch.Tensor) -> torch.Tensor:
        """[B, E] → [B, S, A, 1] values."""
        return signed_parabolic(super().forward(encoding))

    def predict(self, encoding: torch.Tensor) -> tuple[torch.Tensor, None]:
        """[B, E] → [B, S, A, 1] rescaled values."""
        return super().forward(encoding), None

    def predicted_mean(self, prediction: torch.Tensor) -> torch.Tensor:
        """[..., 1] rescaled values → [...]."""
        return signed_parabolic(self.mean(prediction))

    def target(self, return_t: torch.Tensor, r_t: torch.Tensor, discount_t: torch.Tensor) -> torch.Tensor:
        """The TD target, rescaled."""
        return signed_hyperbolic(super().target(return_t, r_t, discount_t))

    def td_error(self, prediction_tm1: torch.Tensor, target_t: torch.Tensor) -> torch.Tensor:
        """[B, S, D] TD errors in the learned scale."""
        return td_error(self.mean(prediction_tm1), self.mean(target_t))


class CategoricalReturn(ReturnHead):
    """Probabilities of N fixed returns, the atoms.

    Source: Bellemare et al. (2017), https://arxiv.org/abs/1707.06887.

    Args:
        encoding_size: width E of the encoding.
        branches: sizes A_d of the action branches.
        num_streams: number S of reward streams.
        num_atoms: N, at equal distances.
        v_min: least atom.
        v_max: largest atom.
        create_layers: makes what gives the logits; default `BranchingQHead`.
        **layers: more arguments of it, such as `dueling` and `noisy`.
    """

    support: torch.Tensor

    def __init__(
        self,
        encoding_size: int,
        branches: Sequence[int],
        num_streams: int,
        *,
        num_atoms: int,
        v_min: float,
        v_max: float,
        create_layers: Callable[..., nn.Module] | None = None,
        **layers: bool,
    ) -> None:
        super().__init__()
        self.head = (create_layers or BranchingQHead)(
            encoding_size, branches, num_streams, num_atoms=num_atoms, **layers
        )
        self.register_buffer("support", torch.linspace(v_min, v_max, num_atoms))
        self._ends = v_min, v_max
        self._targets = 0
        self._is_told = False

    def restore_atoms(self) -> bool:
        """Puts the atoms back where they were made, where a checkpoint has moved them; gives whether it had."""
        wanted = torch.linspace(*self._ends, len(self.support)).to(self.support)
        moved = not torch.equal(wanted, self.support)
        self.support.copy_(wanted)
        return moved

    def forward(self, encoding: torch.Tensor) -> torch.Tensor:
        """[B, E] → [B, S, A, N] probabilities."""
        return self.head(encoding).softmax(dim=3)

    def predict(self, encoding: torch.Tensor) -> tuple[torch.Tensor, None]:
        """[B, E] → [B, S, A, N] logarithms of the probabilities."""
        return self.head(encoding).log_softmax(dim=3), None

    def mean(self, returns: torch.Tensor) -> torch.Tensor:
        """[..., N] probabilities → [...]."""
        return (returns * self.support).sum(dim=-1)

    def predicted_mean(self, prediction: torch.Tensor) -> torch.Tensor:
        """[..., N] logarithms of probabilities → [...]."""
        return self.mean(prediction.exp())

    def target(self, return_t: torch.Tensor, r_t: torch.Tensor, discount_t: torch.Tensor) -> torch.Tensor:
        """Probabilities, projected onto the atoms; says once if most of them are cut off at an end."""
        self._targets += 1
        if self._targets % CUT_OFF_INTERVAL == 0 and not self._is_told:
            self._look_for_cut_off(mass_outside(return_t, r_t, discount_t, self.support).item())
        return categorical_target(return_t, r_t, discount_t, self.support)

    def _look_for_cut_off(self, share: float) -> None:
        """Says if too large a share of the returns lies outside of the atoms."""
        if share <= MOST_CUT_OFF:
            return
        self._is_told = True
        low, high = self._ends
        logger.warning(
            f"{share:.0%} of the returns lie outside of v_min: {low:g} to v_max: {high:g} and are cut off, so that "
            "actions can hardly be told apart: widen the range, or lower gamma or the rewards."
        )

    def error(
        self, prediction_tm1: torch.Tensor, taus_tm1: torch.Tensor | None, target_t: torch.Tensor
    ) -> torch.Tensor:
        """Cross-entropies."""
        return categorical_error(prediction_tm1, target_t)


class _Quantiles(ReturnHead):
    """N quantiles of the return; calling the head gives those at the middles of N equal parts of probability."""

    taus: torch.Tensor

    def __init__(self, num_quantiles: int) -> None:
        super().__init__()
        self.register_buffer("taus", quantile_midpoints(num_quantiles), persistent=False)

    def mean(self, returns: torch.Tensor) -> torch.Tensor:
        """[..., N] quantiles → [...]."""
        return returns.mean(dim=-1)

    def target(self, return_t: torch.Tensor, r_t: torch.Tensor, discount_t: torch.Tensor) -> torch.Tensor:
        """Quantiles, moved."""
        return quantile_target(return_t, r_t, discount_t)

    def error(
        self, prediction_tm1: torch.Tensor, taus_tm1: torch.Tensor | None, target_t: torch.Tensor
    ) -> torch.Tensor:
        """Quantile Huber losses."""
        assert taus_tm1 is not None
        return quantile_huber_error(prediction_tm1, taus_tm1[:, None, None], target_t)


class QuantileReturn(_Quantiles):
    """N quantiles of the return, at the middles of N equal parts of probability.

    Source: Dabney et al. (2018a), https://arxiv.org/abs/1710.10044.

    Args:
        encoding_size: width E of the encoding.
        branches: sizes A_d of the action branches.
        num_streams: number S of reward streams.
        num_quantiles: N.
        **layers: `dueling` and `noisy` of `BranchingQHead`.
    """

    def __init__(
        self, encoding_size: int, branches: Sequence[int], num_streams: int, *, num_quantiles: int, **layers: bool
    ) -> None:
        super().__init__(num_quantiles)
        self.head = BranchingQHead(encoding_size, branches, num_streams, num_atoms=num_quantiles, **layers)

    def forward(self, encoding: torch.Tensor) -> torch.Tensor:
        """[B, E] → [B, S, A, N] quantiles."""
        quantiles = self.head(encoding)
        return quantiles if quantiles.dim() == 4 else quantiles.unsqueeze(3)

    def predict(self, encoding: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, E] → [B, S, A, N] quantiles, and where all of them lie, [1, N]."""
        return self(encoding), self.taus.unsqueeze(0)


class ImplicitQuantileReturn(_Quantiles):
    """N quantiles of the return at random probabilities, which change with every update; acting takes the middles.

    Source: Dabney et al. (2018b), https://arxiv.org/abs/1806.06923.

    Args:
        encoding_size: width E of the encoding.
        branches: sizes A_d of the action branches.
        num_streams: number S of reward streams.
        num_quantiles: N.
        **layers: `dueling` and `noisy` of `ImplicitQuantileHead`.
    """

    def __init__(
        self, encoding_size: int, branches: Sequence[int], num_streams: int, *, num_quantiles: int, **layers: bool
    ) -> None:
        super().__init__(num_quantiles)
        self.head = ImplicitQuantileHead(encoding_size, branches, num_streams, **layers)

    def forward(self, encoding: torch.Tensor) -> torch.Tensor:
        """[B, E] → [B, S, A, N] quantiles at the middles of N equal parts."""
        return self.head(encoding, self.taus)

    def predict(self, encoding: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, E] → [B, S, A, N] quantiles, and the probabilities [B, N] they were drawn at."""
        taus = torch.rand(len(encoding), len(self.taus), device=encoding.device)
        return self.head(encoding, taus), taus


class BranchingQHead(nn.Module):
    """Q values of every action of every branch, one set a reward stream; or N numbers that describe their distribution.

    Dueling: Q_d(s, a) = V(s) + A_d(s, a) - mean_a' A_d(s, a'), with one V for all branches, atom by atom.
    Plain:   Q_d(s, a) is read off one linear layer.

    Source: Wang et al. (2016), eq. 9, https://arxiv.org/abs/1511.06581; Tavakoli et al. (2018), eq. 1,
    https://arxiv.org/abs/1711.08946; atom by atom: Hessel et al. (2018), section 3, https://arxiv.org/abs/1710.02298.

    Args:
        encoding_size: width of the input.
        branches: sizes A_d of the action branches; they stand side by side in the output, A = ΣA_d.
        num_streams: number S of reward streams.
        dueling: split into state value and advantages.
        num_atoms: number N of atoms or quantiles of every action; 1 is a plain value.
        noisy: layers are `NoisyLinear`.
    """

    def __init__(
        self,
        encoding_size: int,
        branches: Sequence[int],
        num_streams: int,
        *,
        dueling: bool = False,
        num_atoms: int = 1,
        noisy: bool = False,
    ) -> None:
        super().__init__()
        self.branches = list(branches)
        self.num_streams = num_streams
        self.num_atoms = num_atoms
        linear = NoisyLinear if noisy else _linear
        self.advantage = linear(encoding_size, num_streams * sum(branches) * num_atoms)
        self.value = linear(encoding_size, num_streams * num_atoms) if dueling else None

    def forward(self, encoding: torch.Tensor) -> torch.Tensor:
        """[B, encoding_size] → [B, S, A], or [B, S, A, N] where N > 1."""
        atoms = () if self.num_atoms == 1 else (self.num_atoms,)
        advantage = self.advantage(encoding).reshape(-1, self.num_streams, sum(self.branches), *atoms)
        if self.value is None:
            return advantage
        value = self.value(encoding).reshape(-1, self.num_streams, 1, *atoms)
        if len(self.branches) == 1:
            return value + (advantage - advantage.mean(dim=2, keepdim=True))
        centred = [part - part.mean(dim=2, keepdim=True) for part in advantage.split(self.branches, dim=2)]
        return value + torch.cat(centred, dim=2)


def _linear(inputs: int, outputs: int) -> nn.Module:
    return linear_layer(inputs, outputs, kernel_init=Initialization.KaimingHeNormal, kernel_gain=0.1)


class QuantileEmbedding(nn.Module):
    """Encoding of a state together with a probability τ, from which the quantile at τ can be read.

    ψ(s) ⊙ φ(τ),   φ_j(τ) = ReLU(Σ_{i=0}^{n-1} cos(π i τ) w_ij + b_j)

    Source: Dabney et al. (2018b), eq. 4, https://arxiv.org/abs/1806.06923.

    Args:
        encoding_size: width E of the encoding ψ(s).
        num_cosines: n.
    """

    frequencies: torch.Tensor

    def __init__(self, encoding_size: int, num_cosines: int = 64) -> None:
        super().__init__()
        self.linear = linear_layer(num_cosines, encoding_size, kernel_init=Initialization.KaimingHeNormal)
        self.register_buffer("frequencies", math.pi * torch.arange(num_cosines), persistent=False)

    def forward(self, encoding: torch.Tensor, taus: torch.Tensor) -> torch.Tensor:
        """[B, E] encoding and τ, [B, N] of each state or [N] of all → [B, N, E]."""
        cosines = torch.cos(taus.unsqueeze(-1) * self.frequencies)
        return encoding.unsqueeze(1) * torch.relu(self.linear(cosines))


class ImplicitQuantileHead(nn.Module):
    """Quantiles of the return of every action of every branch at any probabilities τ, one set a reward stream.

    A `QuantileEmbedding` and the `BranchingQHead` on it.

    Source: Dabney et al. (2018b), section 3, https://arxiv.org/abs/1806.06923.

    Args:
        encoding_size: width of the input.
        branches: sizes A_d of the action branches; they stand side by side in the output, A = ΣA_d.
        num_streams: number S of reward streams.
        dueling: split into state value and advantages, quantile by quantile.
        noisy: layers of the head are `NoisyLinear`; that of the embedding is not.
        num_cosines: n of the embedding.
    """

    def __init__(
        self,
        encoding_size: int,
        branches: Sequence[int],
        num_streams: int,
        *,
        dueling: bool = False,
        noisy: bool = False,
        num_cosines: int = 64,
    ) -> None:
        super().__init__()
        self.embedding = QuantileEmbedding(encoding_size, num_cosines)
        self.head = BranchingQHead(encoding_size, branches, num_streams, dueling=dueling, noisy=noisy)

    def forward(self, encoding: torch.Tensor, taus: torch.Tensor) -> torch.Tensor:
        """[B, encoding_size] and τ, [B, N] of each state or [N] of all → [B, S, A, N]."""
        embedded = self.embedding(encoding, taus)
        quantiles = self.head(embedded.reshape(-1, encoding.shape[1]))  # [B * N, S, A]
        return quantiles.reshape(-1, taus.shape[-1], *quantiles.shape[1:]).permute(0, 2, 3, 1)
