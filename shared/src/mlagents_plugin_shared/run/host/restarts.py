"""A player that was started again must be the one that the run began with.

What a trainer makes of other sensors or actions than its networks were built for are errors that name neither.
"""

from typing import Any

from mlagents.trainers.subprocess_env_manager import EnvironmentCommand, SubprocessEnvManager
from mlagents_envs.base_env import BehaviorSpec
from mlagents_envs.exception import UnityObservationException

_restart_failed_workers = SubprocessEnvManager._restart_failed_workers


def _restart_and_compare(manager: Any, first_failure: Any) -> None:
    _restart_failed_workers(manager, first_failure)
    for worker in manager.env_workers:
        worker.send(EnvironmentCommand.BEHAVIOR_SPECS)
        for behavior, spec in worker.recv().payload.items():
            if behavior in manager.policies:
                _check_same(behavior, manager.policies[behavior].behavior_spec, spec)


def _check_same(behavior: str, former: BehaviorSpec, spec: BehaviorSpec) -> None:
    described = [(_describe_sensors(each), _describe_actions(each)) for each in (former, spec)]
    for before, now in zip(*described, strict=True):
        if before != now:
            raise UnityObservationException(
                f"{behavior}: the environment was started again with {now}, where the run began with {before}. Start "
                "the run anew, with another --run-id, or take the environment that it began with."
            )


def _describe_sensors(spec: BehaviorSpec) -> str:
    return f"sensors of shape {', '.join(str(tuple(sensor.shape)) for sensor in spec.observation_specs) or 'none'}"


def _describe_actions(spec: BehaviorSpec) -> str:
    actions = spec.action_spec
    return f"{actions.continuous_size} continuous actions and discrete branches {list(actions.discrete_branches)}"


SubprocessEnvManager._restart_failed_workers = _restart_and_compare
