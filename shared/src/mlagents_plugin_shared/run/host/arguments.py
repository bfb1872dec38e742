"""Arguments of the command line: what cannot be done is refused before a run begins, and the port is the one asked for.

* `--inference` plays what a run has learned. Without `--resume` ML-Agents would play an untrained policy for ever.
* `--initialize-from` names a run that has a checkpoint of every behaviour of the file. ML-Agents would say which one it
  lacks, and not which ones it has; and behaviours that the file does not name, whose settings are `default_settings`,
  would begin without it.
* `--env` names a program that can be run. ML-Agents would first write into the folder of the run.
* `--base-port` holds without `--env` too, where ML-Agents would listen on 5004 whatever was asked for. The Editor
  connects to 5004 unless its project settings name another port.
"""

import inspect
from pathlib import Path
from typing import Any

from mlagents.trainers import learn
from mlagents.trainers.cli_utils import DetectDefault, parser
from mlagents.trainers.exception import UnityTrainerException
from mlagents.trainers.model_saver.torch_model_saver import DEFAULT_CHECKPOINT_NAME
from mlagents.trainers.settings import EnvironmentSettings, RunOptions
from mlagents.trainers.trainer import TrainerFactory

from mlagents_plugin_shared.run.checkpoint_files import saved_behaviors
from mlagents_plugin_shared.run.host._command import replace_run_training
from mlagents_plugin_shared.run.host.players import find_program

_run_training = learn.run_training
_setup_init_path = learn.setup_init_path
_create_environment_factory = learn.create_environment_factory
_generate = TrainerFactory.generate

# The port that the user has chosen for the run that begins; None where it is left to ML-Agents.
_chosen_port: int | None = None


def _run_training_if_it_can_be(run_seed: int, options: RunOptions, num_areas: int) -> None:
    global _chosen_port
    _check_inference(options)
    if options.env_settings.env_path is not None:
        find_program(options.env_settings.env_path)
    _chosen_port = _port_of(options.env_settings)
    _run_training(run_seed, options, num_areas)


def _check_inference(options: RunOptions) -> None:
    checkpoints = options.checkpoint_settings
    settings = [*options.behaviors.values(), *filter(None, [options.default_settings])]
    begins_elsewhere = checkpoints.initialize_from or any(each.init_path for each in settings)
    if checkpoints.inference and not (checkpoints.resume or begins_elsewhere):
        raise UnityTrainerException(
            f"--inference plays what a run has learned, and without --resume that is nothing. Add --resume to play "
            f"{checkpoints.write_path}, or --run-id for another run."
        )


def _setup_init_path_or_name_those_that_are_there(behaviors: Any, init_dir: str) -> None:
    try:
        _setup_init_path(behaviors, init_dir)
    except UnityTrainerException:
        folder = Path(init_dir)
        there = [behavior.relative_to(folder).as_posix() for behavior in saved_behaviors(folder)]
        files = {name: _file_to_begin_from(folder / name, each.init_path) for name, each in behaviors.items()}
        lines = [
            f"{name}: --initialize-from {folder.name}: there is no {file}; that run has checkpoints of "
            f"{', '.join(there) or 'nothing'}. Set init_path of {name} to the path of a .pt file, or leave "
            "--initialize-from out."
            for name, file in files.items()
            if not (file.is_file() and file.suffix == ".pt")
        ]
        raise UnityTrainerException("\n".join(lines)) from None


def _file_to_begin_from(folder: Path, init_path: str | None) -> Path:
    """The file that ML-Agents looks for; a bare name is one in the behaviour's folder of the other run."""
    file = Path(init_path or DEFAULT_CHECKPOINT_NAME)
    return folder / file if file.name == str(file) else file


def _generate_from_the_other_run(factory: Any, behavior_name: str) -> Any:
    is_in_file = behavior_name in factory.trainer_config
    settings = factory.trainer_config[behavior_name]
    if not (is_in_file or factory.load_model or factory.init_path is None):
        learn.setup_init_path({behavior_name: settings}, factory.init_path)
    return _generate(factory, behavior_name)


def _port_of(settings: EnvironmentSettings) -> int | None:
    """The port, if the user wrote one: in a YAML the default is what ML-Agents writes of every run by itself."""
    is_written = "base_port" in DetectDefault.non_default_args
    return settings.base_port if is_written or settings.base_port != parser.get_default("base_port") else None


def _create_factory_on_chosen_port(*arguments: Any, **named: Any) -> Any:
    call = inspect.signature(_create_environment_factory).bind(*arguments, **named)
    if call.arguments["env_path"] is None:
        call.arguments["start_port"] = _chosen_port
    return _create_environment_factory(*call.args, **call.kwargs)


learn.setup_init_path = _setup_init_path_or_name_those_that_are_there
learn.create_environment_factory = _create_factory_on_chosen_port
TrainerFactory.generate = _generate_from_the_other_run
replace_run_training(_run_training_if_it_can_be)
