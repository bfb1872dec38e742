"""Rewards in units in which returns fit into the range of a critic."""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.torch_entities.components.reward_providers import BaseRewardProvider
from mlagents_envs.logging_util import get_logger

logger = get_logger(__name__)

# Sums that wait for an agent to go on with them. Where agents leave and none come, the oldest are dropped.
_MOST_PASSED_ON = 10_000


@dataclass(frozen=True)
class _Statistics:
    """Of sums that were seen, of each of S streams.

    Attributes:
        count: how many.
        mean: [S] their mean.
        squares: [S] summed squares of what they deviate from it.
        most: [S] the largest absolute one.
    """

    count: int
    mean: np.ndarray
    squares: np.ndarray
    most: np.ndarray

    @classmethod
    def of(cls, sums: np.ndarray) -> "_Statistics":
        """Those of [S, T] sums; of none where one of them is no number, which would never leave the statistics."""
        if not sums.size or not np.isfinite(sums).all():
            return cls(0, *np.zeros((3, len(sums))))
        mean = sums.mean(axis=1)
        return cls(sums.shape[1], mean, ((sums - mean[:, None]) ** 2).sum(axis=1), np.abs(sums).max(axis=1))

    def __add__(self, other: "_Statistics") -> "_Statistics":
        """Those of the sums of both. Source: Chan et al. (1979), eq. 2.1."""
        total = self.count + other.count
        if not total:
            return self
        change = other.mean - self.mean
        return _Statistics(
            total,
            self.mean + change * (other.count / total),
            self.squares + other.squares + change**2 * (self.count * other.count / total),
            np.maximum(self.most, other.most),
        )

    def state_dict(self) -> dict[str, Any]:
        """Their numbers by name, as tensors."""
        arrays = {name: torch.from_numpy(getattr(self, name).copy()) for name in ("mean", "squares", "most")}
        return {"count": self.count, **arrays}

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> "_Statistics":
        """Those of which `state_dict` gave the numbers."""
        return cls(state["count"], *(state[name].numpy() for name in ("mean", "squares", "most")))

    def times(self, factor: np.ndarray) -> "_Statistics":
        """Those of the sums, [S] times as large."""
        return _Statistics(self.count, self.mean * factor, self.squares * factor**2, self.most * abs(factor))


class RewardScale:
    """What the rewards of each stream are divided by, from running statistics of their discounted sums.

    G_t = γ G_{t-1} + r_t of each agent, from 0 after a terminal state;   scale = max(deviation of G, max |G| / G_max)

    So scaled, the sums seen so far lie within ±G_max, and have a deviation of at most 1, whether rewards are thousands
    or thousandths. A stream that has paid nothing yet has the largest scale of the others, and 1 before any reward.

    A return goes on where an episode is interrupted, since its target bootstraps there, and so does G: the next agent
    that appears begins with it, for Unity gives each episode an agent id of its own. With 1 a step, γ = 0.99 and
    episodes of 10 steps that are interrupted, G comes near 100, as the values do; from 0 it would end at 9.6.

    The scale differs from stream to stream. `weights` undo that where streams are added up, so that the strengths of
    reward signals keep their meaning.

    Demonstrations count beside what agents live through. They are given anew at each start; of the same ones the former
    statistics hold, since what learned signals make of them changes.

    Attributes:
        scale: [S] what rewards are divided by, on torch's default device.
        weights: [S] what scaled returns are multiplied by before streams are added up: 1 for the largest scale.
        shares: [S] share of each stream in what is to count once in that sum, as an entropy bonus.

    Source: Lee et al. (2025), section 4.3, https://arxiv.org/abs/2502.15280; FlashSAC does the same.

    Args:
        discounts: γ of each of the S streams, by name.
        largest: G_max > 0; None where rewards are to stay as they are.
        strengths: what the rewards of each stream were multiplied by, in the same order; default 1.
        endless: streams whose returns go on behind terminal states too, as ML-Agents has it for some learned rewards.
    """

    def __init__(
        self,
        discounts: Mapping[str, float],
        largest: float | None,
        strengths: Sequence[float] | None = None,
        endless: Collection[str] = (),
    ) -> None:
        self._discounts = dict(discounts)
        self._strengths = np.array([1.0] * len(self._discounts) if strengths is None else strengths)
        self._largest = largest
        self._lived = self._demonstrated = _Statistics.of(np.zeros((len(self._discounts), 0)))
        self._endless = np.array([name in endless for name in discounts])
        self._sums: dict[str, np.ndarray] = {}
        self._passed_on: deque[np.ndarray] = deque(maxlen=_MOST_PASSED_ON)
        self._follow()

    @classmethod
    def of_signals(cls, signals: Mapping[str, BaseRewardProvider], largest: float | None) -> "RewardScale":
        """That of the streams of a trainer.

        Args:
            signals: the reward signals by name.
            largest: G_max > 0; None where rewards are to stay as they are.
        """
        gammas = {name: signal.gamma for name, signal in signals.items()}
        endless = [name for name, signal in signals.items() if signal.ignore_done]
        return cls(gammas, largest, [signal.strength for signal in signals.values()], endless)

    def add(
        self, agent_id: str, rewards: Mapping[str, np.ndarray], *, terminated: bool = False, interrupted: bool = False
    ) -> None:
        """Takes in consecutive steps of an agent.

        Args:
            agent_id: the agent.
            rewards: [T] rewards of each stream.
            terminated: whether the episode ended with them.
            interrupted: whether it was cut off behind them, as by the Max Step of a scene.
        """
        before = self._sums.pop(agent_id, None)
        if before is None:
            before = self._passed_on.popleft() if self._passed_on else np.zeros(len(self._discounts))
        sums = np.column_stack([before, self._discounted_sums(rewards, before)])
        self._lived += _Statistics.of(sums[:, 1:])
        self._follow()
        if not (terminated or interrupted):
            self._sums[agent_id] = sums[:, -1]
        elif np.isfinite(sums[:, -1]).all():
            self._passed_on.append(sums[:, -1] * (self._endless if terminated else 1.0))

    def add_demonstration(self, rewards: Mapping[str, np.ndarray]) -> None:
        """Takes in a demonstrated episode.

        Args:
            rewards: [T] rewards of each stream.
        """
        self._demonstrated += _Statistics.of(self._discounted_sums(rewards, np.zeros(len(self._discounts))))
        self._follow()

    def _discounted_sums(self, rewards: Mapping[str, np.ndarray], before: np.ndarray) -> np.ndarray:
        """[S, T] sums of the [T] rewards of each stream, from the [S] sums before them on."""
        streams = zip(self._discounts.items(), before, strict=True)
        return np.stack(
            [_discounted_sums(rewards[name].tolist(), discount, first) for (name, discount), first in streams]
        )

    def _follow(self) -> None:
        """Works out what the statistics come to."""
        scale = np.ones(len(self._discounts))
        seen = self._lived + self._demonstrated
        if self._largest is not None and seen.most.any():
            scale = np.maximum(np.sqrt(seen.squares / seen.count), seen.most / self._largest)
            scale = np.where(seen.most > 0, scale, scale.max())
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
        """The statistics, and what was passed on. Sums of open episodes are not among it: a resume begins them anew."""
        return {
            "streams": list(self._discounts),
            "discounts": list(self._discounts.values()),
            "strengths": self._strengths.tolist(),
            "largest": self._largest,
            "largest_scale": self.scale.max().item(),
            **self._lived.state_dict(),
            "demonstrated": self._demonstrated.state_dict(),
            "passed_on": [sums.tolist() for sums in self._passed_on],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave; begins anew where streams or discounts are others.

        Where a strength is another one, statistics are as if it had always been that, so that scaled rewards stay what
        they were; of one that was 0 nothing has been seen. Where rewards are fitted into another range, or were and are
        not, or discounts or demonstrations are others, it says that values are in another scale.
        """
        discounts = list(self._discounts.values())
        if (state["largest"], state.get("discounts", discounts)) != (self._largest, discounts):
            logger.warning(
                "The checkpoint's values are in another scale (another reward_scaling, v_max or gamma): what it has "
                "learned of them is wrong at first."
            )
        if (state["streams"], state.get("discounts", discounts)) != (list(self._discounts), discounts):
            return
        strengths = np.array(state.get("strengths", self._strengths))
        change = np.divide(self._strengths, strengths, out=np.zeros_like(self._strengths), where=strengths != 0)
        self._lived = _Statistics.of_state(state).times(change)
        self._passed_on.extend(np.array(sums) * change for sums in state.get("passed_on", []))
        demonstrated = state.get("demonstrated")
        if demonstrated is not None and demonstrated["count"] == self._demonstrated.count:
            self._demonstrated = _Statistics.of_state(demonstrated).times(change)
        self._follow()
        now = self.scale.max().item()
        is_same = state["largest"] == self._largest and (self._strengths == strengths).all()
        if is_same and not np.isclose(state.get("largest_scale", now), now):
            logger.warning(
                f"Rewards are divided by {now:.4g}, and in the checkpoint by {state['largest_scale']:.4g} (other "
                "demonstrations): what it has learned of values is wrong at first."
            )


def _discounted_sums(rewards: list[float], discount: float, before: float) -> list[float]:
    """[T] G_t = γ G_{t-1} + r_t, from the sum before them on."""
    return list(accumulate(rewards, lambda total, reward: discount * total + reward, initial=before))[1:]
