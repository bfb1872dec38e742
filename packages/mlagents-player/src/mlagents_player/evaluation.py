"""Episodes without a trainer: policies play a scene, and their returns are counted."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlagents_player.academy import Academy, AgentInfos, Reply
from mlagents_player.policy import Policy
from mlagents_player.recording import Recorder
from mlagents_player.scenes.base import Scene


@dataclass
class Episode:
    """One episode of one agent, as the trainer would count it.

    Attributes:
        behavior: Whose.
        counts: It is among those that were asked for.
        total: Sum of the rewards, the group's included. What was given before the first decision is not the policy's.
        decisions: How many.
    """

    behavior: str
    counts: bool = True
    total: float = 0.0
    decisions: int = 0


@dataclass
class Evaluation:
    """Plays the trainer's part until a number of episodes has ended.

    The episodes that count are those that began first: the ones that end first would be the short ones.

    Attributes:
        policies: One for each behaviour.
        wanted: Number of episodes.
        recorder: Where to note what is done, if it is recorded.
        finished: Those that count and have ended.
    """

    policies: Mapping[str, Policy]
    wanted: int
    recorder: Recorder | None = None
    finished: list[Episode] = field(default_factory=list)
    _running: dict[tuple[str, int], Episode] = field(default_factory=dict)
    _begun: int = 0

    def run(self, scene: Scene, each_step: Callable[[], None]) -> None:
        """Play until the wanted episodes have ended; `each_step` is called before the first step and after every."""
        academy = Academy(scene)
        each_step()
        while len(self.finished) < self.wanted:
            academy.step(self.decide)
            each_step()

    def decide(self, infos: dict[str, list[AgentInfos]]) -> Reply:
        """Count rewards and let the policies act."""
        reply = Reply()
        for behavior, batches in infos.items():
            for batch in batches:
                if batch.done:
                    self._end(behavior, batch)
                else:
                    self._count(behavior, batch)
                    reply.actions[behavior] = self.policies[behavior].act(batch)
        if self.recorder:
            self.recorder.note(infos, reply)
        return reply

    def _count(self, behavior: str, batch: AgentInfos) -> None:
        for agent, reward in zip(batch.ids.tolist(), rewards(batch), strict=True):
            episode = self._running.get((behavior, agent))
            if episode:
                episode.total += reward
            else:
                episode = self._running[behavior, agent] = Episode(behavior, counts=self._begun < self.wanted)
                self._begun += 1
            episode.decisions += 1

    def _end(self, behavior: str, batch: AgentInfos) -> None:
        for agent, reward in zip(batch.ids.tolist(), rewards(batch), strict=True):
            episode = self._running.pop((behavior, agent), None)
            if episode and episode.counts:
                episode.total += reward
                self.finished.append(episode)
        self.policies[behavior].forget(batch.ids)


def rewards(batch: AgentInfos) -> list[float]:
    """Each agent's reward with its group's."""
    given = batch.rewards if batch.group_rewards is None else batch.rewards + batch.group_rewards
    return [float(reward) for reward in given]


def summary(episodes: list[Episode]) -> dict[str, dict[str, Any]]:
    """Number, returns and lengths of the episodes of each behaviour, as numbers that JSON can hold."""
    return {
        behavior: _numbers([episode for episode in episodes if episode.behavior == behavior])
        for behavior in dict.fromkeys(episode.behavior for episode in episodes)
    }


def _numbers(episodes: list[Episode]) -> dict[str, Any]:
    totals = [episode.total for episode in episodes]
    found = {"mean": statistics.fmean(totals), "std": statistics.pstdev(totals), "min": min(totals), "max": max(totals)}
    return {
        "episodes": len(episodes),
        "return": {name: round(value, 6) for name, value in found.items()},  # rewards are float32
        "decisions": {"mean": statistics.fmean(episode.decisions for episode in episodes)},
    }
