"""A player's message that cannot be used is an error which names the behaviour and the sensor.

ML-Agents would only say that there is NaN somewhere.
"""

from typing import Any

import numpy as np
from mlagents.trainers import subprocess_env_manager
from mlagents_envs.environment import UnityEnvironment
from mlagents_envs.exception import UnityObservationException

from mlagents_plugin_shared.finite import describe_not_finite

_worker = subprocess_env_manager.worker
_update_state = UnityEnvironment._update_state


def _run_worker(*arguments: Any) -> None:
    """ML-Agents' process beside a player. Where processes start empty, as on Windows, its name imports this module."""
    _worker(*arguments)


def _update_state_or_name_fault(environment: Any, output: Any) -> None:
    try:
        _update_state(environment, output)
    except (RuntimeError, UnityObservationException) as error:
        raise type(error)(_describe_fault(output, environment._env_specs) or str(error)) from None


def _describe_fault(output: Any, specs: Any) -> str | None:
    """The first shape or number in a player's message that is not what was agreed on."""
    for behavior in specs:
        for info in output.agentInfos[behavior].value if behavior in output.agentInfos else ():
            numbers = {"the reward": [info.reward], "the group reward": [info.group_reward]}
            for sensor, sent in zip(specs[behavior].observation_specs, info.observations, strict=True):
                if tuple(sent.shape) != sensor.shape:
                    return (
                        f"{behavior}: sensor {sensor.name} of agent {info.id} has the shape {tuple(sent.shape)}, where "
                        f"it had {sensor.shape} when the run began. An observation must keep its size."
                    )
                numbers[f"sensor {sensor.name}"] = sent.float_data.data
            named = {name: np.array(values) for name, values in numbers.items()}
            if fault := describe_not_finite(behavior, info.id, named):
                return fault
    return None


subprocess_env_manager.worker = _run_worker
UnityEnvironment._update_state = _update_state_or_name_fault
