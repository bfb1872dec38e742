"""Recurrent states in a replay, computed anew every so many updates by the network as it is."""

from typing import Any

import numpy as np
from mlagents.torch_utils import default_device, torch
from mlagents.trainers.torch_entities.networks import NetworkBody
from mlagents.trainers.torch_entities.utils import ModelUtils

from mlagents_plugin_shared.data import ReplayBuffer


class MemoryRefresh:
    """Lets the network go through the episodes of replays again, and stores the state that it has before each step.

    A sequence that is drawn begins with the state that is stored there. Of demonstrations none is recorded, and what
    begins in the middle of one would teach a policy that remembers nothing; of the agent's own steps it is that of the
    network that acted, which ages: Kapturowski et al. (2019), section 3, https://openreview.net/forum?id=r1lyTjAqYX.

    Args:
        body: of the network whose states are stored.
        demonstrations: whose states are computed anew; None if there are none.
        replay: the agent's own, if its states are to be as well.
        interval: updates from one time to the next.
    """

    def __init__(
        self, body: NetworkBody, demonstrations: ReplayBuffer | None, replay: ReplayBuffer | None, interval: int
    ) -> None:
        self._body = body
        self._demonstrations = demonstrations
        self._replay = replay
        self._interval = interval
        self._updates = 0

    def begin(self) -> None:
        """Computes the states of demonstrations, which have none: a replay is empty, or was saved with its own."""
        if self._demonstrations is not None:
            self._demonstrations.refresh_memories(self._following)

    def count(self) -> None:
        """Counts an update; after the last one of an interval all states are computed anew."""
        self._updates = (self._updates + 1) % self._interval
        if self._updates == 0:
            self.refresh()

    def refresh(self) -> None:
        """Computes all states anew."""
        for replay in (self._demonstrations, self._replay):
            if replay is not None:
                replay.refresh_memories(self._following)

    @torch.no_grad()
    def _following(self, observations: list[np.ndarray], memories: np.ndarray) -> np.ndarray:
        """[B, M] states after B steps, from those before them."""
        inputs = [torch.as_tensor(rows, device=default_device()) for rows in observations]
        before = torch.as_tensor(memories, device=default_device()).unsqueeze(0)
        _, after = self._body(inputs, memories=before, sequence_length=1)
        return ModelUtils.to_numpy(after.squeeze(0))

    def state_dict(self) -> dict[str, Any]:
        """Updates since the last time, and the states of demonstrations; those of the replay are in its file."""
        states = None if self._demonstrations is None else self._demonstrations.memories
        return {"updates": self._updates, "demonstrations": None if states is None else torch.from_numpy(states.copy())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave; of other demonstrations the states stay as they are."""
        self._updates = state["updates"] % self._interval
        states = None if self._demonstrations is None else self._demonstrations.memories
        stored = state["demonstrations"]
        if states is not None and stored is not None and tuple(stored.shape) == states.shape:
            states[:] = stored.numpy()
