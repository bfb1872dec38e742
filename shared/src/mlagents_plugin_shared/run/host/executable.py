"""What a run plays on: the executable of `--env`, of which ML-Agents tells its trainers nothing."""

from pathlib import Path
from typing import Any

from mlagents.trainers.subprocess_env_manager import SubprocessEnvManager
from mlagents_envs.env_utils import validate_environment_path

_init = SubprocessEnvManager.__init__
_env_path: str | None = None


def executable() -> Path | None:
    """The file that the last run of this process has started, or starts now; None where it waits for the Editor."""
    found = validate_environment_path(_env_path) if _env_path else None
    return Path(found) if found else None


def _init_and_note(manager: Any, env_factory: Any, run_options: Any, *arguments: Any, **options: Any) -> None:
    global _env_path
    _env_path = run_options.env_settings.env_path
    _init(manager, env_factory, run_options, *arguments, **options)


SubprocessEnvManager.__init__ = _init_and_note
