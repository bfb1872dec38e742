"""Training on a toy task in this process, as `mlagents-learn` would."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cattr
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers.environment_parameter_manager import EnvironmentParameterManager
from mlagents.trainers.settings import EnvironmentParameterSettings, TrainerSettings
from mlagents.trainers.simple_env_manager import SimpleEnvManager
from mlagents.trainers.trainer import Trainer, TrainerFactory
from mlagents.trainers.trainer_controller import TrainerController
from mlagents.trainers.training_status import GlobalTrainingStatus
from mlagents_envs.side_channel.environment_parameters_channel import EnvironmentParametersChannel

from mlagents_plugin_shared.testing.toy_environment import BEHAVIOR, ToyEnv


class _Parameters(EnvironmentParametersChannel):
    """Sets a task's parameters directly, where the real channel would send a message."""

    def __init__(self, env: ToyEnv) -> None:
        super().__init__()
        self.env = env

    def set_float_parameter(self, key: str, value: float) -> None:
        self.env.parameters[key] = value


def train(
    env: ToyEnv,
    config: Mapping[str, Any],
    results: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    inference: bool = False,
    environment_parameters: Mapping[str, Any] | None = None,
) -> Trainer:
    """Trains a task to `max_steps` of its configuration, as `mlagents-learn` would.

    Args:
        env: the task.
        config: what stands below the behaviour's name in a YAML.
        results: folder of the run.
        seed: of trainer and policy.
        resume: go on from the checkpoint in `results`.
        inference: act without learning; the task then needs `max_steps`.
        environment_parameters: what stands below `environment_parameters:` in a YAML, but for samplers.

    Returns:
        The trainer at the end of the run.
    """
    register_trainer_plugins()
    if not resume:
        GlobalTrainingStatus.saved_state.clear()
    parameters = EnvironmentParameterManager(
        EnvironmentParameterSettings.structure(environment_parameters or {}, dict), run_seed=seed, restore=resume
    )
    factory = TrainerFactory(
        cattr.structure({BEHAVIOR: config}, TrainerSettings.DefaultTrainerDict),
        output_path=str(results),
        train_model=not inference,
        load_model=resume,
        seed=seed,
        param_manager=parameters,
    )
    controller = TrainerController(factory, str(results), "toy", parameters, not inference, seed)
    controller.start_learning(SimpleEnvManager(env, _Parameters(env)))
    return controller.trainers[BEHAVIOR]
