"""Hyperparameters of how an algorithm on Q values explores: epsilon by step, a ladder of epsilons, or learned noise."""

# No `from __future__ import annotations` here: cattrs < 1.7 reads these annotations as types.
from enum import Enum
from typing import ClassVar, Iterator, Optional, Tuple

import attr
from mlagents.trainers.settings import ScheduleType, TrainerSettings

from mlagents_plugin_shared.maths import schedules
from mlagents_plugin_shared.run.conversion import Change, within
from mlagents_plugin_shared.run.search import searched
from mlagents_plugin_shared.run.settings import CheckedSettings, Conflict, Idle, between, positive


class Exploration(Enum):
    """Where an agent's probability of a random action comes from."""

    SCHEDULE = "schedule"
    LADDER = "ladder"


MOST_EXPORTED = 0.05
"""Greatest epsilon that a model has unless the file says so."""

_EXPLORED = (3_000, 200_000)  # least and most agent steps over which epsilon falls in a converted file

_EPSILON = ("exploration_schedule", "exploration_initial_eps", "exploration_final_eps", "exploration_steps")


@attr.s(auto_attribs=True)
class ExplorationSettings(CheckedSettings):
    """Hyperparameters of a `QPolicy`, and of the noise in its network; to be mixed into an algorithm's own."""

    idle: ClassVar[Tuple[Idle, ...]] = (
        Idle(("exploration", "exploration_repeat", *_EPSILON), lambda own, _: own.noisy, "noisy explores by itself"),
        Idle(_EPSILON, lambda own, _: own.exploration is Exploration.LADDER, "the ladder has epsilons of its own"),
        Idle(
            ("exploration_final_eps", "exploration_steps"),
            lambda own, _: own.exploration_schedule is ScheduleType.CONSTANT,
            "exploration_schedule is constant",
        ),
    )

    exploration: Exploration = Exploration.SCHEDULE
    """`schedule`: one epsilon for all agents, by step; `ladder`: each agent keeps one for an episode, from 0.4 down
    to 0.0007."""

    exploration_schedule: ScheduleType = ScheduleType.LINEAR
    """`linear`: epsilon falls over `exploration_steps`; `constant`: it stays at its initial value."""

    exploration_initial_eps: float = attr.ib(default=1.0, validator=between(0.0, 1.0))
    """Probability of a random action at the first step. Low suits an agent that need not begin at random; high
    explores more."""

    exploration_final_eps: float = attr.ib(
        default=0.05, validator=between(0.0, 1.0), metadata=searched(0.005, 0.1, log=True)
    )
    """Probability of a random action at the end of the schedule and after it. Low relies on what is known; high
    explores more for good."""

    exploration_steps: Optional[int] = attr.ib(
        default=None,
        validator=attr.validators.optional(positive),
        metadata=searched(0.05, 0.6, log=True, of_max_steps=True, unset=0.2),
    )
    """Agent steps over which epsilon falls; where not set, a fifth of `max_steps`. Low trusts Q soon; high explores
    longer."""

    exploration_repeat: int = attr.ib(default=1, validator=between(1, 10_000))
    """Most decisions for which a random action is repeated: how many is drawn for each, mostly few and now and then
    many. Epsilon is then the probability to start one. 1 draws anew at each decision; high takes an agent further from
    where it is."""

    export_epsilon: Optional[float] = attr.ib(default=None, validator=attr.validators.optional(between(0.0, 1.0)))
    """Probability of a random action in the exported model's `discrete_actions`, which Unity takes unless Deterministic
    Inference is ticked; where not set, that of the end of training, at most 0.05, and 0 with `noisy`. Low is greedy,
    and may be stuck somewhere for ever; high errs more often."""

    noisy: bool = False
    """Noise on the weights of the head, which it learns, explores in place of epsilon."""

    @classmethod
    def conversion(cls, origin: TrainerSettings) -> Iterator[Change]:
        """A schedule of epsilon by the length of the run.

        Args:
            origin: all settings of the behaviour for the other trainer.
        """
        yield from super().conversion(origin)
        steps = within(origin.max_steps / 20, *_EXPLORED)
        why = "a twentieth of the run explores; its length is that of another algorithm"
        yield Change("hyperparameters: exploration_steps", min(steps, max(origin.max_steps // 2, 1)), why)
        yield Change("hyperparameters: exploration_final_eps", 0.01, "few actions are left to chance in the end")

    def conflicts(self) -> Iterator[Conflict]:
        """Hyperparameters that are out of range, or wrong beside others."""
        yield from super().conflicts()
        if self.noisy and self.exploration is Exploration.LADDER:
            reason = "noisy: true explores by itself and has no epsilon; leave one of them out"
            yield Conflict("exploration", reason, ("noisy",))

    def epsilon(self, max_steps: int) -> Optional[schedules.Schedule]:
        """Probability of a random action by the policy's step; None for the ladder.

        Args:
            max_steps: of the run.
        """
        if self.exploration is Exploration.LADDER:
            return None
        if self.noisy:
            return schedules.constant(0.0)
        if self.exploration_schedule == ScheduleType.CONSTANT:
            return schedules.constant(self.exploration_initial_eps)
        steps = self.exploration_steps or max(max_steps // 5, 1)
        return schedules.linear(self.exploration_initial_eps, self.exploration_final_eps, steps)

    @property
    def model_epsilon(self) -> float:
        """Probability of a random action in an exported model: what training ends with, unless the file says so."""
        if self.export_epsilon is not None:
            return self.export_epsilon
        if self.noisy:
            return 0.0
        if self.exploration is Exploration.LADDER:
            return MOST_EXPORTED  # less than the mean of its rungs
        is_constant = self.exploration_schedule == ScheduleType.CONSTANT
        return min(self.exploration_initial_eps if is_constant else self.exploration_final_eps, MOST_EXPORTED)
