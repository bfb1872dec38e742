"""Policies that explore: each draws from a stream of its own, and what it keeps of agents goes by their global id.

A policy acts for the agents of every worker (`--num-envs`), for as many at a time as ask: neither the row of an agent
in a batch nor a count of decisions tells which agent it is.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.exception import UnityTrainerException
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents_envs.base_env import DecisionSteps


class AgentTable:
    """Numbers of agents by global agent id: columns with a row for each agent that acts.

    A row is given at an agent's first decision and goes to another once the agent is forgotten. So there are no more
    rows than agents have acted at a time, however many come and go: with Unity each episode has an id of its own.
    Finding the rows of B agents takes B look-ups; all that follows is indexing.

    Args:
        **blank: by name of the column, the [*shape] numbers on the CPU that an agent begins with.
    """

    def __init__(self, **blank: torch.Tensor) -> None:
        self._blank = blank
        self.clear()

    def __len__(self) -> int:
        """Number of agents."""
        return len(self._rows)

    def __getitem__(self, name: str) -> torch.Tensor:
        """[R, *shape] the column, to read and to write in the rows of agents, until `rows` is called again."""
        return self._columns[name]

    def rows(self, agent_ids: Sequence[str]) -> torch.Tensor:
        """[B] rows of agents; those that are new get a blank one."""
        new = [agent_id for agent_id in dict.fromkeys(agent_ids) if agent_id not in self._rows]
        if new:
            self._add(new)
        return _indices([self._rows[agent_id] for agent_id in agent_ids])

    def _add(self, agent_ids: Sequence[str]) -> None:
        self._grow(len(agent_ids) - len(self._free))
        rows = [self._free.pop() for _ in agent_ids]
        for name, blank in self._blank.items():
            self._columns[name][rows] = blank
        self._rows.update(zip(agent_ids, rows, strict=True))

    def _grow(self, missing: int) -> None:
        if missing <= 0:
            return
        size = len(self._rows) + len(self._free)
        for name, blank in self._blank.items():
            self._columns[name] = torch.cat([self._columns[name], blank.expand(missing, *blank.shape)])
        self._free += range(size, size + missing)

    def forget(self, agent_ids: Sequence[str]) -> None:
        """Gives the rows of agents that are gone to others; agents without a row are left out."""
        self._free += [self._rows.pop(agent_id) for agent_id in agent_ids if agent_id in self._rows]

    def clear(self) -> None:
        """Forgets all agents."""
        self._rows: dict[str, int] = {}
        self._free: list[int] = []
        self._columns = {name: blank.new_empty(0, *blank.shape) for name, blank in self._blank.items()}

    def state_dict(self) -> dict[str, Any]:
        """The N agents' ids and their [N, *shape] numbers, copied."""
        held = dict(self._rows)  # at once: with `threaded: true` others come meanwhile
        rows = _indices(list(held.values()))
        return {"agents": list(held), "columns": {name: column[rows] for name, column in self._columns.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave; without any agents where its columns are not those of this table."""
        self.clear()
        columns = state["columns"]
        if {name: column.shape[1:] for name, column in columns.items()} == {
            name: blank.shape for name, blank in self._blank.items()
        }:
            rows = self.rows(state["agents"])
            for name, column in columns.items():
                self._columns[name][rows] = column.to(self._columns[name])


def _indices(rows: list[int]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.int64, device="cpu")


class ExploringPolicy(TorchPolicy):
    """Policy with a stream of chance of its own, which may keep numbers of each agent while its episode lasts.

    A trainer gives it the stream, see `PluginTrainer.give_stream`.

    Attributes:
        generator: the stream, on the CPU.
        agents: what is kept of each agent; nothing, unless a subclass has columns for it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.generator = torch.Generator(device="cpu").manual_seed(self.seed)
        self.agents = AgentTable()

    def explore_as(self, rank: int, count: int) -> None:
        """Explores as one of several actors that play at a time, so that they do not all do alike.

        Here by the stream of chance alone; to be overridden where there is more to choose.

        Args:
            rank: of the actor, from 0 on.
            count: number of actors.
        """

    def check_masks(self, decision_requests: DecisionSteps, global_agent_ids: list[str]) -> None:
        """Refuses decisions that leave an agent nothing to do.

        Args:
            decision_requests: observations and masks of B agents.
            global_agent_ids: their ids.

        Raises:
            UnityTrainerException: an agent may take no action of a branch.
        """
        for branch, forbidden in enumerate(decision_requests.action_mask or ()):
            stuck = np.flatnonzero(forbidden.all(axis=1))
            if stuck.size:
                raise UnityTrainerException(
                    f"Agent {global_agent_ids[stuck[0]]} may take none of the {forbidden.shape[1]} actions of branch "
                    f"{branch}: leave at least one action of every branch unmasked."
                )

    def remove_memories(self, agent_ids: list[str]) -> None:
        """Forgets agents whose episode has ended."""
        super().remove_memories(agent_ids)
        self.agents.forget(agent_ids)

    def end_episodes(self) -> None:
        """Forgets all agents, because the environment is reset."""
        self.agents.clear()
        for memory in (self.memory_dict, self.previous_memory_dict, self.previous_action_dict):
            memory.clear()

    def acting_state(self) -> dict[str, Any]:
        """What acting goes on from, beside weights and step."""
        return {"generator": self.generator.get_state(), "agents": self.agents.state_dict()}

    def load_acting_state(self, state: dict[str, Any]) -> None:
        """Takes up what `acting_state` gave."""
        self.generator.set_state(state["generator"])
        self.agents.load_state_dict(state["agents"])
