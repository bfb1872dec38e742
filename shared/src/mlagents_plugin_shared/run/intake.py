"""Numbers that come in: those that would spoil a network are refused, and large ones are spoken of once."""

from collections.abc import Sequence

import numpy as np
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.exception import UnityTrainerException
from mlagents_envs.base_env import ObservationSpec
from mlagents_envs.logging_util import get_logger

from mlagents_plugin_shared.data.trajectories import Segment, describe_not_finite
from mlagents_plugin_shared.learning.networks import LARGEST_INPUT

logger = get_logger(__name__)


class IntakeCheck:
    """Looks at the observations and rewards of every segment.

    Args:
        behavior: name of the behaviour.
    """

    def __init__(self, behavior: str) -> None:
        self._behavior = behavior
        self._has_warned = False

    def check(self, segment: Segment, sensors: Sequence[ObservationSpec]) -> None:
        """Refuses numbers that would spoil every weight of the network at the next update.

        Args:
            segment: steps of one agent.
            sensors: of its behaviour.

        Raises:
            UnityTrainerException: an observation or a reward is NaN or infinite.
        """
        named = {f"sensor {spec.name}": rows for spec, rows in zip(sensors, segment.observations, strict=True)}
        named["the reward"] = segment.columns[BufferKey.ENVIRONMENT_REWARDS]
        named["the group reward"] = segment.columns[BufferKey.GROUP_REWARD]
        if fault := describe_not_finite(self._behavior, segment.agent_id, named):
            raise UnityTrainerException(fault)
        for name, rows in named.items():
            largest = np.abs(rows).max(initial=0.0) if rows.ndim <= 2 else 0.0  # pictures have no large numbers
            if largest > LARGEST_INPUT and not self._has_warned:
                self._has_warned = True
                logger.warning(
                    f"{self._behavior}: {name} of agent {segment.agent_id} is as large as {largest:g}. Scale it down "
                    f"in the environment: beyond {LARGEST_INPUT:g} it is left out of the normalisation."
                )
