"""The keys under `actors:`, by which other processes and machines play for a run."""

# No `from __future__ import annotations` here: cattrs < 1.7 reads these annotations as types.
import re
from typing import Dict

import attr

from mlagents_plugin_shared.run.settings import Range, not_negative, positive

LOCAL = "local"
"""The address of a run whose actors are processes of this machine."""

AUTO = "auto"
"""The address of a run that joins what is running on this machine."""

_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+):(\d{1,5})")


def _is_host_and_port(value: str) -> bool:
    found = _HOST_AND_PORT.fullmatch(value)
    return found is not None and 1 <= int(found[2]) <= 65535


is_address = Range(f"be {LOCAL}, {AUTO} or HOST:PORT", lambda value: value in (LOCAL, AUTO) or _is_host_and_port(value))
"""attrs validator: where actors are to be found."""

are_amounts = Range("hold amounts greater than 0", lambda value: all(amount > 0 for amount in value.values()))
"""attrs validator: what one actor takes, by name."""


@attr.s(auto_attribs=True)
class ActorSettings:
    """Actors: environments elsewhere, each played by a copy of the policy."""

    count: int = attr.ib(default=1, validator=not_negative)
    """Environments that play elsewhere, beside those of this process; 0 is none. Low keeps the policy fresh; high
    brings more steps a second, until learning is what takes the time."""

    address: str = attr.ib(default=LOCAL, validator=is_address)
    """Where: `local` starts them on this machine, `auto` on the cluster that this machine belongs to, `HOST:PORT` on
    that of this head."""

    weights_every: int = attr.ib(default=400, validator=positive)
    """Agent steps of the run, those of all actors together, between two copies of the policy. Low acts by a fresher
    one; high sends less."""

    learner_acts: bool = True
    """Whether the environments of this process play on while actors do. Without, all of its time is for learning, and
    they take about one step a second, by which a curriculum goes on."""

    resources: Dict[str, float] = attr.ib(factory=dict, validator=are_amounts)
    """What one actor takes of its machine beside a core, as `{unity: 1}`, where a machine names what it has."""

    @property
    def steps_at_a_time(self) -> int:
        """Agent steps of one actor between two of its deliveries: two of each actor's make `weights_every`."""
        return max(-(-self.weights_every // (2 * max(self.count, 1))), 1)
