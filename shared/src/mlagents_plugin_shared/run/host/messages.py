"""A player's message that cannot be used is an error which names the behaviour and the sensor.

ML-Agents would only say that there is NaN somewhere; in a picture, which it does not look at, that an action is.
"""

from typing import Any

import numpy as np
from mlagents_envs.environment import UnityEnvironment
from mlagents_envs.exception import UnityObservationException

from mlagents_plugin_shared.data.trajectories import describe_not_finite

_PICTURES = 4  # dimensions of a sensor's pictures, of all agents

_update_state = UnityEnvironment._update_state


def _update_state_or_name_fault(environment: Any, output: Any) -> None:
    try:
        _update_state(environment, output)
    except Exception:  # of several kinds, for want of a sensor an IndexError
        fault = _describe_fault(output, environment._env_specs)
        if not fault:
            raise
        raise UnityObservationException(fault) from None
    if _has_odd_picture(environment._env_state) and (fault := _describe_fault(output, environment._env_specs)):
        raise UnityObservationException(fault)


def _has_odd_picture(state: Any) -> bool:
    """Whether a picture may hold a number that is NaN or infinite; a sum that overflows makes it seem so, too."""
    pictures = (rows for both in state.values() for steps in both for rows in steps.obs if rows.ndim == _PICTURES)
    with np.errstate(over="ignore", invalid="ignore"):
        return not all(np.isfinite(rows.sum()) for rows in pictures)


def _describe_fault(output: Any, specs: Any) -> str | None:
    """The first shape or number in a player's message that is not what was agreed on; None where there is none."""
    for behavior in specs:
        for info in output.agentInfos[behavior].value if behavior in output.agentInfos else ():
            if fault := _describe_fault_of_agent(behavior, info, specs[behavior].observation_specs):
                return fault
    return None


def _describe_fault_of_agent(behavior: str, info: Any, sensors: Any) -> str | None:
    numbers = {"the reward": [info.reward], "the group reward": [info.group_reward]}
    if len(info.observations) != len(sensors):
        names = ", ".join(sensor.name for sensor in sensors) or "none"
        return (
            f"{behavior}: agent {info.id} sends {len(info.observations)} observations, where it had {len(sensors)} "
            f"when the run began ({names}). Sensors must stay the same."
        )
    for sensor, sent in zip(sensors, info.observations, strict=True):
        if tuple(sent.shape) != sensor.shape:
            return (
                f"{behavior}: sensor {sensor.name} of agent {info.id} has the shape {tuple(sent.shape)}, where "
                f"it had {sensor.shape} when the run began. An observation must keep its size."
            )
        numbers[f"sensor {sensor.name}"] = sent.float_data.data
    named = {name: np.array(values) for name, values in numbers.items()}
    return describe_not_finite(behavior, info.id, named)


UnityEnvironment._update_state = _update_state_or_name_fault
