"""What the network says of the return: its mean, or its distribution by atoms or by quantiles.

Each kind is a head on the network's encoding, with the loss that its numbers learn by. An optimizer treats all alike:

| call                       | output             | meaning                                                       |
|----------------------------|--------------------|---------------------------------------------------------------|
| `head(encoding)`           | [B, S, A, N]       | N numbers that can be averaged over actions and branches      |
| `head.learn(encoding)`     | [B, S, A, N], taus | what `distance` takes of the actions taken                    |
| `head.mean(numbers)`       | [B, S, A]          | Q                                                             |
| `head.target(...)`         | [B, S, N]          | numbers of the reward and the discounted return after it      |
| `head.distance(...)`       | [B, S, D]          | distance of the actions taken from it                         |
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence

from mlagents.torch_utils import torch
from torch import nn

from mlagents_plugin_dqn.settings import Distribution, DQNSettings, LossType
from mlagents_plugin_shared.learning.networks import BranchingQHead, ImplicitQuantileHead
from mlagents_plugin_shared.maths.distributional import categorical_target, quantile_midpoints, quantile_target
from mlagents_plugin_shared.maths.losses import categorical_error, huber, quantile_huber_error, td_error
from mlagents_plugin_shared.maths.targets import td_target


class ReturnHead(nn.Module):
    """Base of the kinds of return that a Q network can learn, for S reward streams and A actions of D branches."""

    def learn(self, encoding: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """[B, E] → [B, S, A, N] numbers in the form that `distance` takes; the probabilities they lie at, if any."""
        return self(encoding), None

    @abstractmethod
    def mean(self, numbers: torch.Tensor) -> torch.Tensor:
        """[..., N] what calling the head gives → [...] expected returns."""

    def expectation(self, learned: torch.Tensor) -> torch.Tensor:
        """[..., N] what `learn` gives → [...] expected returns."""
        return self.mean(learned)

    @abstractmethod
    def target(self, numbers_t: torch.Tensor, r_t: torch.Tensor, discount_t: torch.Tensor) -> torch.Tensor:
        """Numbers of r + γ Z, the return that is learned towards.

        Args:
            numbers_t: [B, S, N] what calling the target network's head gave for the return of the next state.
            r_t: [B, S] rewards.
            discount_t: [B, S] discounts.

        Returns:
            [B, S, N] numbers, detached.
        """

    @abstractmethod
    def distance(
        self, learned_tm1: torch.Tensor, taus_tm1: torch.Tensor | None, target_t: torch.Tensor
    ) -> torch.Tensor:
        """How far the return of the actions taken is from its target, which is one for all branches.

        Args:
            learned_tm1: [B, S, D, N] what `learn` gave for the actions taken.
            taus_tm1: what `learn` gave with it.
            target_t: [B, S, D, N] what `target` gave, for every branch.

        Returns:
            [B, S, D] distances; the gradient flows into `learned_tm1`.
        """


class MeanReturn(ReturnHead):
    """The mean return of every action, Q itself; N = 1.

    Source: Mnih et al. (2015).

    Args:
        head: gives [B, S, A].
        weigh: function of the TD error.
    """

    def __init__(self, head: BranchingQHead, weigh: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.head = head
        self.weigh = weigh

    def forward(self, encoding: torch.Tensor) -> torch.Tensor:
        """[B, E] → [B, S, A, 1] values."""
        return self.head(encoding).unsqueeze(3)

    def mean(self, numbers: torch.Tensor) -> torch.Tensor:
        """[..., 1] values → [...]."""
        return numbers.squeeze(-1)

    def target(self, numbers_t: torch.Tensor, r_t: torch.Tensor, discount_t: torch.Tensor) -> torch.Tensor:
        """The TD target."""
        return td_target(r_t, discount_t, self.mean(numbers_t)).unsqueeze(2)

    def distance(
        self, learned_tm1: torch.Tensor, taus_tm1: torch.Tensor | None, target_t: torch.Tensor
    ) -> torch.Tensor:
        """Weighed TD errors."""
        return self.weigh(td_error(self.mean(learned_tm1), self.mean(target_t)))


class CategoricalReturn(ReturnHead):
    """Probabilities of N fixed returns, the atoms.

    Source: Bellemare et al. (2017), https://arxiv.org/abs/1707.06887.

    Args:
        head: gives [B, S, A, N] logits.
        v_min: least atom.
        v_max: largest atom.
    """

    support: torch.Tensor

    def __init__(self, head: BranchingQHead, v_min: float, v_max: float) -> None:
        super().__init__()
        self.head = head
        self.register_buffer("support", torch.linspace(v_min, v_max, head.num_atoms))

    def forward(self, encoding: torch.Tensor) -> torch.Tensor:
        """[B, E] → [B, S, A, N] probabilities."""
        return self.head(encoding).softmax(dim=3)

    def learn(self, encoding: torch.Tensor) -> tuple[torch.Tensor, None]:
        """[B, E] → [B, S, A, N] logarithms of the probabilities."""
        return self.head(encoding).log_softmax(dim=3), None

    def mean(self, numbers: torch.Tensor) -> torch.Tensor:
        """[..., N] probabilities → [...]."""
        return (numbers * self.support).sum(dim=-1)

    def expectation(self, learned: torch.Tensor) -> torch.Tensor:
        """[..., N] logarithms of probabilities → [...]."""
        return self.mean(learned.exp())

    def target(self, numbers_t: torch.Tensor, r_t: torch.Tensor, discount_t: torch.Tensor) -> torch.Tensor:
        """Probabilities, projected onto the atoms."""
        return categorical_target(numbers_t, r_t, discount_t, self.support)

    def distance(
        self, learned_tm1: torch.Tensor, taus_tm1: torch.Tensor | None, target_t: torch.Tensor
    ) -> torch.Tensor:
        """Cross-entropies."""
        return categorical_error(learned_tm1, target_t)


class QuantileReturn(ReturnHead):
    """N quantiles of the return, at the middles of N equal parts of probability.

    Source: Dabney et al. (2018a), https://arxiv.org/abs/1710.10044.

    Args:
        head: gives [B, S, A, N] quantiles.
        num_quantiles: N.
    """

    taus: torch.Tensor

    def __init__(self, head: nn.Module, num_quantiles: int) -> None:
        super().__init__()
        self.head = head
        self.register_buffer("taus", quantile_midpoints(num_quantiles), persistent=False)

    def forward(self, encoding: torch.Tensor) -> torch.Tensor:
        """[B, E] → [B, S, A, N] quantiles."""
        quantiles = self.head(encoding)
        return quantiles if quantiles.dim() == 4 else quantiles.unsqueeze(3)

    def learn(self, encoding: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """[B, E] → [B, S, A, N] quantiles, and where all of them lie, [1, N]."""
        return self(encoding), self.taus.unsqueeze(0)

    def mean(self, numbers: torch.Tensor) -> torch.Tensor:
        """[..., N] quantiles → [...]."""
        return numbers.mean(dim=-1)

    def target(self, numbers_t: torch.Tensor, r_t: torch.Tensor, discount_t: torch.Tensor) -> torch.Tensor:
        """Quantiles, moved."""
        return quantile_target(numbers_t, r_t, discount_t)

    def distance(
        self, learned_tm1: torch.Tensor, taus_tm1: torch.Tensor | None, target_t: torch.Tensor
    ) -> torch.Tensor:
        """Quantile Huber losses."""
        assert taus_tm1 is not None
        return quantile_huber_error(learned_tm1, taus_tm1[:, None, None], target_t)


class ImplicitQuantileReturn(QuantileReturn):
    """N quantiles of the return at random probabilities, which change with every update; acting takes the middles.

    Source: Dabney et al. (2018b), https://arxiv.org/abs/1806.06923.

    Args:
        head: gives [B, S, A, N] quantiles at given probabilities.
        num_quantiles: N.
    """

    def forward(self, encoding: torch.Tensor) -> torch.Tensor:
        """[B, E] → [B, S, A, N] quantiles at the middles of N equal parts."""
        return self.head(encoding, self.taus)

    def learn(self, encoding: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, E] → [B, S, A, N] quantiles, and the probabilities [B, N] they were drawn at."""
        taus = torch.rand(len(encoding), len(self.taus), device=encoding.device)
        return self.head(encoding, taus), taus


def return_head(settings: DQNSettings, encoding_size: int, branches: Sequence[int], num_streams: int) -> ReturnHead:
    """The head that the settings ask for.

    Args:
        settings: hyperparameters.
        encoding_size: width E of the encoding.
        branches: sizes A_d of the action branches.
        num_streams: number S of reward streams.
    """

    def head(num_atoms: int) -> BranchingQHead:
        return BranchingQHead(
            encoding_size,
            branches,
            num_streams,
            dueling=settings.dueling,
            noisy=settings.noisy,
            num_atoms=num_atoms,
        )

    if settings.distribution is Distribution.CATEGORICAL:
        return CategoricalReturn(head(settings.num_atoms), settings.v_min, settings.v_max)
    if settings.distribution is Distribution.QUANTILE:
        return QuantileReturn(head(settings.num_quantiles), settings.num_quantiles)
    if settings.distribution is Distribution.IMPLICIT_QUANTILE:
        implicit = ImplicitQuantileHead(
            encoding_size, branches, num_streams, dueling=settings.dueling, noisy=settings.noisy
        )
        return ImplicitQuantileReturn(implicit, settings.num_quantiles)
    return MeanReturn(head(1), huber if settings.loss is LossType.HUBER else torch.square)
