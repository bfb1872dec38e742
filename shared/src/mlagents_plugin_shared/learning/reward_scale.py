"""Rewards in units in which returns fit into the range of a critic."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from mlagents.torch_utils import torch
from mlagents_envs.logging_util import get_logger

logger = get_logger(__name__)


class RewardScale:
    """What the rewards of each stream are divided by, from running statistics of their discounted sums.

    G_t = γ G_{t-1} + r_t of each agent, from the start of its episode;   scale = max(deviation of G, max |G| / G_max)

    So scaled, the sums seen so far lie within ±G_max, and have a deviation of at most 1, whether rewards are thousands
    or thousandths. It is 1 until a reward other than 0 was seen.

    The scale differs from stream to stream. `weights` undo that where streams are added up, so that the strengths of
    reward signals keep their meaning.

    Attributes:
        scale: [S] what rewards are divided by, on torch's default device.
        weights: [S] what scaled returns are multiplied by before streams are added up: 1 for the largest scale.
        shares: [S] share of each stream in what is to count once in that sum, as an entropy bonus.

    Source: Lee et al. (2025), section 4.3, https://arxiv.org/abs/2502.15280; FlashSAC does the same.

    Args:
        discounts: γ of each of the S streams, by name.
        largest: G_max > 0; None where rewards are to stay as they are.
        strengths: what the rewards of each stream were multiplied by, in the same order; default 1.
    """

    def __init__(
        self, discounts: Mapping[str, float], largest: float | None, strengths: Sequence[float] | None = None
    ) -> None:
        self._discounts = dict(discounts)
        self._strengths = np.array([1.0] * len(self._discounts) if strengths is None else strengths)
        self._largest = largest
        size = len(self._discounts)
        self._count = 0
        self._mean, self._squares, self._most = np.zeros(size), np.zeros(size), np.zeros(size)
        self._sums: dict[str, np.ndarray] = {}
        self._follow()

    def add(self, agent_id: str, rewards: Mapping[str, np.ndarray], *, ended: bool) -> None:
        """Takes in consecutive steps of an agent.

        Args:
            agent_id: the agent.
            rewards: [T] rewards of each stream.
            ended: whether the episode ended with them, for whatever reason.
        """
        before = self._sums.pop(agent_id, np.zeros(len(self._discounts)))
        sums = np.stack(
            [
                _discounted_sums(rewards[name].tolist(), discount, first)
                for (name, discount), first in zip(self._discounts.items(), before, strict=True)
            ]
        )  # [S, T]
        self._merge(sums)
        if not ended and sums.shape[1]:
            self._sums[agent_id] = sums[:, -1]

    def _merge(self, sums: np.ndarray) -> None:
        """Adds [S, T] sums to the statistics. Source: Chan et al. (1979), eq. 2.1."""
        steps = sums.shape[1]
        if not steps or not np.isfinite(sums).all():
            return
        mean = sums.mean(axis=1)
        change, total = mean - self._mean, self._count + steps
        self._squares += ((sums - mean[:, None]) ** 2).sum(axis=1) + change**2 * (self._count * steps / total)
        self._mean += change * (steps / total)
        self._count = total
        self._most = np.maximum(self._most, np.abs(sums).max(axis=1))
        self._follow()

    def _follow(self) -> None:
        """Works out what the statistics come to."""
        scale = np.ones(len(self._discounts))
        if self._largest is not None:
            deviation = np.sqrt(self._squares / max(self._count, 1))
            scale = np.where(self._most > 0, np.maximum(deviation, self._most / self._largest), 1.0)
        weights = scale / scale.max()
        self.scale, self.weights, self.shares = (
            torch.tensor(numbers, dtype=torch.float32)
            for numbers in (scale, weights, weights / np.square(weights).sum())
        )

    def forget(self, agent_id: str) -> None:
        """Drops the running sum of an agent whose episode was cut."""
        self._sums.pop(agent_id, None)

    def clear(self) -> None:
        """Drops the running sums of all agents."""
        self._sums.clear()

    def state_dict(self) -> dict[str, Any]:
        """The statistics, and the running sums of agents."""
        numbers = {"mean": self._mean, "squares": self._squares, "most": self._most}
        sums = dict(self._sums)
        return {
            "streams": list(self._discounts),
            "discounts": list(self._discounts.values()),
            "strengths": self._strengths.tolist(),
            "largest": self._largest,
            "count": self._count,
            **{name: torch.from_numpy(values.copy()) for name, values in numbers.items()},
            "sums": {agent_id: torch.from_numpy(values.copy()) for agent_id, values in sums.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave; begins anew where streams or discounts are others.

        Where a strength is another one, statistics are as if it had always been that, so that scaled rewards stay what
        they were. Where rewards are fitted into another range, or were and are not, or discounts are others, it says
        that values are in another scale.
        """
        discounts = list(self._discounts.values())
        if (state["largest"], state.get("discounts", discounts)) != (self._largest, discounts):
            logger.warning(
                "The checkpoint's values are in another scale (another reward_scaling, v_max or gamma): what it has "
                "learned of them is wrong at first."
            )
        strengths = np.array(state.get("strengths", self._strengths))
        same_sums = state["streams"] == list(self._discounts) and state.get("discounts", discounts) == discounts
        if not same_sums or not strengths.all():  # rewards were all 0: nothing was seen of them
            return
        change = self._strengths / strengths
        mean, squares, most = (state[key].numpy() for key in ("mean", "squares", "most"))
        self._count = state["count"]
        self._mean, self._squares, self._most = mean * change, squares * change**2, most * abs(change)
        self._sums = {agent_id: values.numpy() * change for agent_id, values in state["sums"].items()}
        self._follow()


def _discounted_sums(rewards: list[float], discount: float, before: float) -> list[float]:
    """[T] G_t = γ G_{t-1} + r_t, from the sum before them on."""
    return list(accumulate(rewards, lambda total, reward: discount * total + reward, initial=before))[1:]
