"""Exploration that lasts: what an agent has drawn, a random action or a noise, is repeated for some decisions."""

from mlagents.torch_utils import torch

from mlagents_plugin_shared.acting.exploring import AgentTable
from mlagents_plugin_shared.maths.exploration import repeat_lengths


class Repetition:
    """What each agent repeats, and for how many decisions of its own yet.

    An agent that draws anew at every decision trembles on the spot; one that keeps to a draw for a while gets away from
    it. How long is drawn from a zeta law, see `maths.exploration.repeat_lengths`.

    It is kept in two columns of the policy's `AgentTable`. So it ends with the agent's episode, is in the checkpoint,
    and takes any number of agents, in any order.

    Args:
        agents: table of the policy, with `columns`.
        cap: most decisions for which something is repeated.
        exponent: μ of the zeta law.
    """

    def __init__(self, agents: AgentTable, cap: int, *, exponent: float = 2.0) -> None:
        self._agents = agents
        self.cap = cap
        self.exponent = exponent

    @staticmethod
    def columns(blank: torch.Tensor) -> dict[str, torch.Tensor]:
        """Columns that the table needs; `blank` is a [*shape] draw on the CPU, whatever its numbers."""
        return {"repeated": blank, "repeats_left": torch.tensor(0, device="cpu")}

    def is_over(self, rows: torch.Tensor) -> torch.Tensor:
        """[B] whether agents in these rows of the table have nothing left to repeat, as at first."""
        return self._agents["repeats_left"][rows] == 0

    def current(self, rows: torch.Tensor) -> torch.Tensor:
        """[B, *shape] what agents repeat, or did last where that is over."""
        return self._agents["repeated"][rows]

    def start(self, rows: torch.Tensor, drawn: torch.Tensor, generator: torch.Generator | None = None) -> None:
        """Has agents repeat what they have drawn, for a length that is drawn here; the coming decision counts.

        Args:
            rows: [B] rows of the agents.
            drawn: [B, *shape] on the CPU.
            generator: source of randomness, on the CPU.
        """
        self._agents["repeated"][rows] = drawn
        self._agents["repeats_left"][rows] = repeat_lengths(len(rows), self.cap, generator, exponent=self.exponent)

    def stop(self, rows: torch.Tensor) -> None:
        """Has agents repeat nothing any more."""
        self._agents["repeats_left"][rows] = 0

    def take(self, rows: torch.Tensor) -> torch.Tensor:
        """[B, *shape] as `current`, for a decision, so that one fewer is left."""
        left = self._agents["repeats_left"]
        left[rows] = (left[rows] - 1).clamp(min=0)
        return self.current(rows)
