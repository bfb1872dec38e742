"""The environment of an actor: what the run's own is, with a port and a seed of its own."""

import os
import socket
import tempfile
from pathlib import Path
from typing import NamedTuple

from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.settings import EngineSettings, RunOptions
from mlagents_envs.env_utils import validate_environment_path
from mlagents_envs.environment import UnityEnvironment
from mlagents_envs.exception import UnityEnvironmentException
from mlagents_envs.side_channel.engine_configuration_channel import EngineConfig, EngineConfigurationChannel
from mlagents_envs.side_channel.environment_parameters_channel import EnvironmentParametersChannel
from mlagents_envs.side_channel.stats_side_channel import StatsSideChannel

noted_options: RunOptions | None = None
"""Of the run that begins, see `mlagents_plugin_ray.note_run`; None where no `mlagents-learn` began one."""

# Where the port of an actor is taken, by another run for instance, it tries so many more.
_PORTS_TRIED = 16


class OpenEnvironment(NamedTuple):
    """An environment that is running, and its channels."""

    env: UnityEnvironment
    parameters: EnvironmentParametersChannel
    stats: StatsSideChannel


class EnvironmentPlan(NamedTuple):
    """How actors start an environment; the same program with the same arguments as the run itself.

    Attributes:
        program: the executable of `--env`, which has to lie there on every machine.
        arguments: of `--env-args`.
        engine: engine settings.
        no_graphics: of `--no-graphics`.
        num_areas: of `--num-areas`.
        seed: of the run.
        base_port: of the run.
        first_worker: number of the first actor's worker; the run's own come before it.
        timeout: seconds for the environment to connect.
        logs: folder of the run's logs, for actors that can write there.
    """

    program: str
    arguments: list[str]
    engine: EngineSettings
    no_graphics: bool
    num_areas: int
    seed: int
    base_port: int
    first_worker: int
    timeout: int
    logs: str

    @classmethod
    def of(cls, options: RunOptions | None, behavior: str, seed: int) -> "EnvironmentPlan":
        """The plan of a run.

        Args:
            options: of the run.
            behavior: name of the behaviour, for the error.
            seed: of the run: its options do not tell it where ML-Agents drew it.

        Raises:
            TrainerConfigError: the run has no executable that could be started again, or several behaviours.
        """
        path = options.env_settings.env_path if options else None
        found = validate_environment_path(path) if path else None
        if options is None or found is None:
            raise TrainerConfigError(
                f"{behavior}: hyperparameters: actors: actors start the program of --env, and this run has none: add "
                "--env PROGRAM, or leave actors out. An Editor plays for one run only."
            )
        if len(options.behaviors) > 1:
            names = ", ".join(sorted(options.behaviors))
            raise TrainerConfigError(
                f"{behavior}: hyperparameters: actors: the run has the behaviors {names}, "
                "and actors play for one behavior only: leave those out that the environment does not have, or actors."
            )
        settings, engine = options.env_settings, options.engine_settings
        return cls(
            program=str(Path(found).absolute()),
            arguments=list(settings.env_args or []),
            engine=engine,
            no_graphics=engine.no_graphics or getattr(engine, "no_graphics_monitor", False),
            num_areas=settings.num_areas,
            seed=seed,
            base_port=settings.base_port,
            first_worker=settings.num_envs,
            timeout=settings.timeout_wait,
            logs=str(Path(options.checkpoint_settings.run_logs_dir).absolute()),
        )

    def open(self, rank: int, count: int) -> OpenEnvironment:
        """Starts the environment of an actor and waits until it has connected.

        Args:
            rank: of the actor.
            count: number of actors.

        Raises:
            UnityEnvironmentException: it cannot be started here; the message says why.
        """
        if not Path(self.program).is_file():
            raise UnityEnvironmentException(
                f"{self.program} is not on {socket.gethostname()}: copy the environment there, to the same place."
            )
        parameters, stats, engine = EnvironmentParametersChannel(), StatsSideChannel(), EngineConfigurationChannel()
        engine.set_configuration(_engine_config(self.engine))
        worker = self._free_worker(rank, count)
        env = UnityEnvironment(
            file_name=self.program,
            worker_id=worker,
            base_port=self.base_port,
            seed=self.seed + self.first_worker + rank,
            num_areas=self.num_areas,
            no_graphics=self.no_graphics,
            timeout_wait=self.timeout,
            additional_args=self.arguments,
            side_channels=[parameters, stats, engine],
            log_folder=self.logs if os.access(self.logs, os.W_OK) else tempfile.gettempdir(),
        )
        return OpenEnvironment(env, parameters, stats)

    def _free_worker(self, rank: int, count: int) -> int:
        """A number whose port is free: the actor's own, or one that no other actor tries."""
        first = self.first_worker + rank
        numbers = range(first, first + _PORTS_TRIED * count, count)
        return next((number for number in numbers if _is_free(self.base_port + number)), first)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("localhost", port))
        except OSError:
            return False
    return True


def _engine_config(engine: EngineSettings) -> EngineConfig:
    return EngineConfig(
        width=engine.width,
        height=engine.height,
        quality_level=engine.quality_level,
        time_scale=engine.time_scale,
        target_frame_rate=engine.target_frame_rate,
        capture_frame_rate=engine.capture_frame_rate,
    )
