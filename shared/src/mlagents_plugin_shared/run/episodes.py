"""Episodes of a behaviour's agents: what the running ones were given, where one was cut, and the last returns."""

from collections import defaultdict, deque
from typing import Any

import numpy as np
from mlagents.trainers.buffer import BufferKey

from mlagents_plugin_shared.data.trajectories import Segment


class Episodes:
    """Group rewards and open ends of running episodes, and the returns of those that have ended.

    Attributes:
        returns: of the last `window` episodes: what an agent itself and its group were given, as learning adds it up.

    Args:
        window: episodes over which a mean is taken.
        curriculum: ML-Agents' own list of the last returns, newest first, by which a curriculum goes on.
    """

    def __init__(self, window: int, curriculum: deque[float]) -> None:
        self.returns: deque[float] = deque(maxlen=window)
        self._curriculum = curriculum
        self._group_rewards: defaultdict[str, float] = defaultdict(float)
        self._open_ends: dict[str, list[np.ndarray]] = {}

    @property
    def mean(self) -> float | None:
        """Mean of the last returns, up to `window`; None before the first."""
        return sum(self.returns) / len(self.returns) if self.returns else None

    @property
    def mean_of_window(self) -> float | None:
        """Mean of the last `window` returns; None until there are so many."""
        return self.mean if len(self.returns) == self.returns.maxlen else None

    def was_cut(self, segment: Segment) -> bool:
        """Whether the agent's episode ended without a word: the environment was reset, or its player started again.

        The segment then does not begin where the agent's last one ended.

        Args:
            segment: the next steps of an agent; its end is noted.
        """
        end = self._open_ends.pop(segment.agent_id, None)
        if not (segment.terminated or segment.interrupted):
            self._open_ends[segment.agent_id] = [rows[-1].copy() for rows in segment.observations]
        return end is not None and any((a != b[0]).any() for a, b in zip(end, segment.observations, strict=True))

    def add_group_rewards(self, segment: Segment) -> None:
        """Adds what an agent's group was given.

        Args:
            segment: steps of the agent.
        """
        self._group_rewards[segment.agent_id] += float(np.sum(segment.columns[BufferKey.GROUP_REWARD]))

    def finish(self, agent_id: str, own: float) -> float:
        """Counts an episode that has ended; ML-Agents has noted the agent's own rewards for the curriculum.

        Args:
            agent_id: whose episode it was.
            own: sum of the agent's own rewards.

        Returns:
            Sum of the group rewards.
        """
        group = self._group_rewards.pop(agent_id, 0.0)
        self.returns.append(own + group)
        self._curriculum[0] = own + group
        return group

    def forget(self, agent_id: str) -> None:
        """Drops what an agent's running episode was given.

        Args:
            agent_id: the agent.
        """
        self._group_rewards.pop(agent_id, None)

    def drop(self, agent_id: str) -> None:
        """Drops an agent that will not act again.

        Args:
            agent_id: the agent.
        """
        self.forget(agent_id)
        self._open_ends.pop(agent_id, None)

    def clear(self) -> None:
        """Drops all running episodes, because the environment is reset."""
        self._group_rewards.clear()
        self._open_ends.clear()

    def state_dict(self) -> dict[str, Any]:
        """The last returns; with a resume all episodes begin anew."""
        return {"returns": list(self.returns), "reward_buffer": [float(reward) for reward in self._curriculum]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave."""
        self.returns.extend(state["returns"])
        self._curriculum.extend(state["reward_buffer"][: self._curriculum.maxlen])  # the newest come first
