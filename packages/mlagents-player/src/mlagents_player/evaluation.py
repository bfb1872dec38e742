"""Episodes without a trainer: policies play a scene, and their returns are counted."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mlagents_player.academy import Academy, AgentInfos, Reply
from mlagents_player.policy import Policy
from mlagents_player.recording import Recorder
from mlagents_player.scenes.base import Actions, Scene

LONGEST = 5000
"""Decisions; the scenes that end by themselves do so in far fewer."""


@dataclass
class Episode:
    """One episode of one agent, as the trainer would count it.

    Attributes:
        behavior: Whose.
        counts: It is among those that were asked for.
        total: Sum of the rewards, the group's included. What was given before the first decision is not the policy's.
        decisions: How many.
        cut_off: It had not ended by then.
        interrupted: It ended by a limit of time; between two teams nobody had won by then.
        game: What it has alike with those of its group that began together; of an agent in no group its own.
    """

    behavior: str
    counts: bool = True
    total: float = 0.0
    decisions: int = 0
    cut_off: bool = False
    interrupted: bool = False
    game: tuple[int, int] = (0, 0)


@dataclass
class Moment:
    """Where an agent is in its episode.

    Attributes:
        episode: The one that it is in; None between two of them.
        behavior: Whose action it is.
        action: What it does until it decides again, one row.
    """

    episode: Episode | None
    behavior: str
    action: Actions


@dataclass
class Evaluation:
    """Plays the trainer's part until a number of episodes has ended.

    The episodes that count are those that began first: the ones that end first would be the short ones.

    Attributes:
        policies: One for each behaviour.
        wanted: Number of episodes.
        longest: Decisions after which an episode counts with what it has; a policy that goes in a circle may have one
            that never ends.
        recorder: Where to note what is done, if it is recorded.
        finished: Those that count and have ended or were cut off.
    """

    policies: Mapping[str, Policy]
    wanted: int
    longest: int = LONGEST
    recorder: Recorder | None = None
    finished: list[Episode] = field(default_factory=list)
    _running: dict[tuple[str, int], Episode] = field(default_factory=dict)
    _begun: int = 0
    _messages: int = 0
    _academy: Academy | None = None

    def run(self, scene: Scene, each_step: Callable[[], None], goes_on: Callable[[], bool] = lambda: False) -> None:
        """Play until the wanted episodes have ended or were cut off.

        Args:
            scene: To play.
            each_step: Called before the first step and after every one.
            goes_on: Whether to play on even so; what is played then does not count.
        """
        self._academy = Academy(scene)
        each_step()
        while len(self.finished) < self.wanted or goes_on():
            self._academy.step(self.decide)
            each_step()

    def moment(self, row: int) -> Moment:
        """Where the agent in a row of the scene's arrays is, while it runs."""
        assert self._academy is not None
        behavior, agent = self._academy.agent(row)
        return Moment(self._running.get((behavior, agent)), behavior, self._academy.action(row))

    def decide(self, infos: dict[str, list[AgentInfos]]) -> Reply:
        """Count rewards and let the policies act."""
        reply = Reply()
        self._messages += 1
        for behavior, batches in infos.items():
            for batch in batches:
                if batch.done:
                    self._end(behavior, batch)
                else:
                    self._count(behavior, batch)
                    reply.actions[behavior] = self.policies[behavior].act(batch)
        if self._is_held_up():
            reply = self._start_over()
        if self.recorder:
            self.recorder.note(infos, reply)
        return reply

    def _is_held_up(self) -> bool:
        """Whether all agents are in episodes that were cut off, and others are to begin."""
        running = self._running.values()
        return self._begun < self.wanted and bool(running) and all(episode.cut_off for episode in running)

    def _start_over(self) -> Reply:
        """Lets every agent begin an episode."""
        for behavior, agent in self._running:
            self.policies[behavior].forget(np.array([agent]))
        self._running.clear()
        return Reply(reset=True)

    def _count(self, behavior: str, batch: AgentInfos) -> None:
        for agent, reward, group in zip(batch.ids.tolist(), rewards(batch), _groups(batch), strict=True):
            episode = self._running.get((behavior, agent))
            if episode:
                episode.total += reward
            else:
                game = (group, self._messages) if group else (0, self._begun)
                episode = Episode(behavior, counts=self._begun < self.wanted, game=game)
                self._running[behavior, agent] = episode
                self._begun += 1
            if episode.counts and episode.decisions == self.longest:
                self.finished.append(replace(episode, cut_off=True))
                episode.counts, episode.cut_off = False, True
            episode.decisions += 1

    def _end(self, behavior: str, batch: AgentInfos) -> None:
        for agent, reward, interrupted in zip(batch.ids.tolist(), rewards(batch), batch.interrupted, strict=True):
            episode = self._running.pop((behavior, agent), None)
            if episode:
                episode.total += reward
                episode.interrupted = bool(interrupted)
            if episode and episode.counts:
                self.finished.append(episode)
        self.policies[behavior].forget(batch.ids)


def rewards(batch: AgentInfos) -> list[float]:
    """Each agent's reward with its group's."""
    given = batch.rewards if batch.group_rewards is None else batch.rewards + batch.group_rewards
    return [float(reward) for reward in given]


def _groups(batch: AgentInfos) -> list[int]:
    """Number of each agent's group; 0 is none."""
    return [0] * len(batch.ids) if batch.group_ids is None else [int(group) for group in batch.group_ids]


def summary(episodes: list[Episode]) -> dict[str, dict[str, Any]]:
    """The episodes of each behaviour: number, returns, lengths and how many were cut off, as JSON can hold them."""
    return {
        behavior: _numbers([episode for episode in episodes if episode.behavior == behavior])
        for behavior in dict.fromkeys(episode.behavior for episode in episodes)
    }


def games(episodes: list[Episode], behavior: str) -> dict[str, int]:
    """How many games between two teams a team has won, lost, or neither.

    A game counts once, however many agents the team's group has; an agent in no group plays games of its own. It is won
    where it ended, not by a limit of time, and the rewards of the team's agents add up to more than 0; lost where they
    add up to less.

    Args:
        episodes: that have ended.
        behavior: the team's.
    """
    played: dict[tuple[int, int], list[Episode]] = {}
    for episode in episodes:
        if episode.behavior == behavior:
            played.setdefault(episode.game, []).append(episode)
    totals = [
        sum(episode.total for episode in team)
        for team in played.values()
        if not any(episode.interrupted or episode.cut_off for episode in team)
    ]
    won, lost = sum(total > 0 for total in totals), sum(total < 0 for total in totals)
    return {"won": won, "lost": lost, "undecided": len(played) - won - lost}


def _numbers(episodes: list[Episode]) -> dict[str, Any]:
    totals = [episode.total for episode in episodes]
    found = {"mean": statistics.fmean(totals), "std": statistics.pstdev(totals), "min": min(totals), "max": max(totals)}
    return {
        "episodes": len(episodes),
        "return": {name: round(value, 6) for name, value in found.items()},  # rewards are float32
        "decisions": {"mean": statistics.fmean(episode.decisions for episode in episodes)},
        "cut_off": sum(episode.cut_off for episode in episodes),
    }
