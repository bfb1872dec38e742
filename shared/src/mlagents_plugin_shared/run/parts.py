"""What survives a resume: parts with a state each, and how a checkpoint holds these states.

Everything that is neither a network nor a torch optimizer is a part: random generators, counts, an open rollout. A
trainer lists its parts by name, and a checkpoint holds the state of each below that name:

    {"format": 2, "trainer_type": "dqn", "parts": {"chance": {...}, "episodes": {...}, ...}}

A state is made of dictionaries, lists, numbers, strings and tensors: a checkpoint with anything else in it is refused
when it is read, since it could carry code.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from mlagents.trainers.exception import TrainerConfigError
from mlagents_envs.logging_util import get_logger

logger = get_logger(__name__)

FORMAT = 2
"""Of what checkpoints hold beside modules; those of 0.1 have no number."""


class Stateful(Protocol):
    """What can tell its state, and go on from one; as torch's modules, optimizers and generators of ours do."""

    def state_dict(self) -> dict[str, Any]:
        """The state: dictionaries, lists, numbers, strings and tensors."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Takes up what `state_dict` gave."""
        ...


class Part(NamedTuple):
    """A part that is no object of its own: two functions, of a trainer for example.

    Attributes:
        state_dict: gives the state.
        load_state_dict: takes it up.
    """

    state_dict: Callable[[], dict[str, Any]]
    load_state_dict: Callable[[dict[str, Any]], Any]


class SavedParts(NamedTuple):
    """States that a checkpoint holds.

    Attributes:
        trainer_type: of the trainer that wrote them; None where that was one of ML-Agents' own.
        states: by name of the part.
    """

    trainer_type: str | None
    states: dict[str, dict[str, Any]]


def save_parts(trainer_type: str, parts: Mapping[str, Stateful]) -> dict[str, Any]:
    """What a checkpoint holds of a trainer's parts.

    Args:
        trainer_type: of the trainer.
        parts: by name.
    """
    states = {name: part.state_dict() for name, part in parts.items()}
    return {"format": FORMAT, "trainer_type": trainer_type, "parts": states}


def read_parts(saved: Mapping[str, Any], modules: Mapping[str, Any], behavior: str) -> SavedParts:
    """The states in a checkpoint, of whichever release.

    Args:
        saved: what `save_parts` gave; empty where a trainer of ML-Agents wrote the checkpoint.
        modules: all else in the checkpoint, by name.
        behavior: name of the behaviour, for the error.

    Raises:
        TrainerConfigError: a newer release wrote it.
    """
    wrote = saved.get("format", 1)
    if not isinstance(wrote, int) or not 1 <= wrote <= FORMAT:
        raise TrainerConfigError(
            f"{behavior}: the checkpoint is of format {wrote!r}, and this release of mlagents-plugin-shared reads "
            f"formats up to {FORMAT}: install the release that wrote it, or a newer one."
        )
    states = saved.get("parts", {}) if wrote == FORMAT else _states_of_0_1(saved, modules)
    return SavedParts(saved.get("trainer_type"), states)


def load_parts(parts: Mapping[str, Stateful], states: Mapping[str, dict[str, Any]], behavior: str) -> None:
    """Lets parts go on from their states, the last one first: so the first is as it was, whatever others do meanwhile.

    Args:
        parts: by name.
        states: by name of the part; one that has none begins anew, with a warning, and so does what a state lacks:
            another release of the plugin may have had less to keep.
        behavior: name of the behaviour, for the warning.
    """
    for name, part in reversed(list(parts.items())):
        if name not in states:
            logger.warning(f"{behavior}: the checkpoint holds nothing of {name}: it begins anew.")
            continue
        try:
            part.load_state_dict(states[name])
        except KeyError as error:
            logger.warning(f"{behavior}: what the checkpoint holds of {name} lacks {error}: what differs begins anew.")


# Where format 2 has what stood side by side in checkpoints of 0.1.
_PLACES_OF_0_1 = {
    "episodes": ("returns", "reward_buffer"),
    "goals": ("best",),
    "optimizer": ("skipped", "learned_signals"),
    "updates": ("updates_due", "reward_updates_due"),
    "replay": ("transitions", "generators", "demonstration_priorities"),
    "rollout": ("rollout", "critic_memories"),
}


def _states_of_0_1(saved: Mapping[str, Any], modules: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The same states by part."""
    if not saved:
        return {}
    found = {part: {key: saved[key] for key in keys if key in saved} for part, keys in _PLACES_OF_0_1.items()}
    found = {part: state for part, state in found.items() if state}
    found["optimizer"].update(_counts_of_0_1(modules))
    acting = saved["acting"]  # its oldest files have no states of policies: these streams begin anew
    chance = {"torch": acting["torch"], "numpy": saved["numpy"], "policies": acting.get("explorers", {})}
    return {"chance": chance, "summary": saved.get("summary", {}), **found}


def _counts_of_0_1(modules: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of an optimizer, which were modules without parameters: `Optimizer:updates`."""
    return {
        name.partition(":")[2]: state["_extra_state"]
        for name, state in modules.items()
        if isinstance(state, Mapping) and list(state) == ["_extra_state"]
    }
