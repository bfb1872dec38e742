"""Streams of chance of a trainer: those of its policies, and the global ones of torch and NumPy."""

from collections import defaultdict
from typing import Any

from mlagents_plugin_shared.acting.exploring import ExploringPolicy
from mlagents_plugin_shared.run.random_state import (
    derived_seed,
    numpy_state,
    restore_numpy,
    restore_torch,
    torch_state,
)


class Chance:
    """Where acting draws from, and what policies keep of their agents.

    It is noted at the end of each round: decisions that were asked for when a run stops are asked for again.

    Args:
        seed: of the run.
        behavior: name of the behaviour.
    """

    def __init__(self, seed: int, behavior: str) -> None:
        self._seed = seed
        self._behavior = behavior
        self._policies: defaultdict[str, list[ExploringPolicy]] = defaultdict(list)
        self._resumed: dict[str, list[dict[str, Any]]] = {}
        self._noted: dict[str, Any] = {}

    def seed_of(self, *part: str) -> int:
        """Seed of the stream of a part of the trainer, see `derived_seed`.

        Args:
            part: whose it is, from the whole to the part.
        """
        return derived_seed(self._seed, self._behavior, *part)

    def give(self, policy: ExploringPolicy, behavior_id: str) -> None:
        """Gives a policy a stream of its own; on a resume, all that was saved of it.

        Args:
            policy: the policy, just created.
            behavior_id: behaviour and team that it is for.
        """
        others = self._policies[behavior_id]
        policy.generator.manual_seed(self.seed_of(behavior_id, "policy", str(len(others))))
        if saved := self._resumed.get(behavior_id, [])[len(others) :]:
            policy.load_acting_state(saved[0])
        others.append(policy)

    def of(self, behavior_id: str) -> list[ExploringPolicy]:
        """The policies of a behaviour and team that were given a stream, in the order in which they were created."""
        return self._policies[behavior_id]

    def end_episodes(self) -> None:
        """Lets all policies forget their agents, because the environment is reset."""
        for policies in self._policies.values():
            for policy in policies:
                policy.end_episodes()

    def note(self) -> None:
        """Notes where acting is."""
        policies = {
            behavior_id: [policy.acting_state() for policy in policies]
            for behavior_id, policies in list(self._policies.items())  # others may come, with `threaded: true`
        }
        self._noted = {"torch": torch_state(), "policies": policies}

    def state_dict(self) -> dict[str, Any]:
        """What was noted last; and NumPy's global stream, which nothing acts by, as it is."""
        return {**self._noted, "numpy": numpy_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave; policies that are not created yet, as self-play's, get theirs by `give`."""
        restore_numpy(state["numpy"])
        restore_torch(state["torch"])
        self._resumed = state["policies"]
        for behavior_id, policies in self._policies.items():
            for policy, saved in zip(policies, self._resumed.get(behavior_id, []), strict=False):
                policy.load_acting_state(saved)
