"""A demonstration that GAIL or behavioural cloning cannot use is an error with behaviour, key, file and remedy.

ML-Agents' loader reads whatever bytes there are, and says `wrong wire type` or that two specifications differ.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from mlagents.trainers import demo_loader
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.torch_entities.components.bc import module as bc_module
from mlagents.trainers.torch_entities.components.reward_providers import gail_reward_provider
from mlagents.trainers.trainer_controller import TrainerController
from mlagents_envs.base_env import BehaviorSpec
from mlagents_envs.exception import UnityException

from mlagents_onnx_check.file_kinds import describe_stranger
from mlagents_plugin_shared.data.demonstrations import DemonstrationError, check_match

# What reading bytes raises that no recorder wrote, or a path that is none; pictures that cannot be read are an OSError.
_UNUSABLE = (AttributeError, DecodeError, IndexError, OSError, RuntimeError, UnityException, ValueError)

_create_trainer_and_manager = TrainerController._create_trainer_and_manager


class _UnusableDemonstration(Exception):
    """What is wrong, without the behaviour, which a loader does not know."""


def _naming_file(key: str) -> Callable[..., Any]:
    """The function that loads demonstrations, for one place in the YAML.

    Args:
        key: the place.
    """

    @functools.wraps(demo_loader.demo_to_buffer)
    def load(file_path: str, sequence_length: int, expected_behavior_spec: BehaviorSpec | None = None) -> Any:
        try:
            return demo_loader.demo_to_buffer(file_path, sequence_length, expected_behavior_spec)
        except _UNUSABLE as error:
            path = Path(file_path)
            reason = _find_stranger(path) or _find_mismatch(path, expected_behavior_spec) or _describe(path, error)
            raise _UnusableDemonstration(f"{key}: {reason}") from error

    return load


def _find_stranger(path: Path) -> str | None:
    """The first file that is no demonstration at all."""
    for file in sorted(path.glob("*.demo")) if path.is_dir() else [path]:
        if stranger := describe_stranger(file, ".demo"):
            return f"{file} {stranger}."
    return None


def _find_mismatch(path: Path, expected: BehaviorSpec | None) -> str | None:
    """How a sound recording differs from the behaviour."""
    try:
        found, _, _ = demo_loader.load_demonstration(str(path))
        if expected is not None:
            check_match(path, found, expected)
    except _UNUSABLE:
        return None
    except DemonstrationError as error:
        return f"{error}. Record it with the behaviour as it is now."
    return None


def _describe(path: Path, error: Exception) -> str:
    if not path.exists():
        return f"{path} does not exist. Look at the path: it counts from where mlagents-learn was started."
    if path.is_dir() and not list(path.glob("*.demo")):
        return f"the folder {path} holds no .demo file."
    if path.is_file() and path.suffix != ".demo":
        return f"{path} is not named .demo, which ML-Agents asks for."
    said = " ".join(str(error).split()).removesuffix(".") or type(error).__name__
    return f"{path} is damaged or cut short: {said}. Record or copy it again."


def _create_and_name_behavior(controller: Any, env_manager: Any, name_behavior_id: str) -> None:
    try:
        _create_trainer_and_manager(controller, env_manager, name_behavior_id)
    except _UnusableDemonstration as error:
        behavior = name_behavior_id.partition("?")[0]
        raise TrainerConfigError(f"{behavior}: {error}") from error


gail_reward_provider.demo_to_buffer = _naming_file("reward_signals: gail: demo_path")
bc_module.demo_to_buffer = _naming_file("behavioral_cloning: demo_path")
TrainerController._create_trainer_and_manager = _create_and_name_behavior
