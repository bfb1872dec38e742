"""Checkpoints on the disk: where they lie, and reading them: whole ones only, and none that carries code."""

import os
import pickle
import re
import shutil
import zipfile
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from mlagents.torch_utils import torch
from mlagents.trainers.exception import TrainerConfigError, UnityTrainerException
from mlagents.trainers.model_saver.torch_model_saver import DEFAULT_CHECKPOINT_NAME
from mlagents_envs.logging_util import get_logger

from mlagents_onnx_check.file_kinds import describe_stranger

logger = get_logger(__name__)

FORMER = "former"
"""Folder in a behaviour's own, with what a run left there that `--force` began anew."""

_IS_WINDOWS = os.name == "nt"
_FORBIDDEN_ON_WINDOWS = '<>:"|?*'


class CheckpointError(UnityTrainerException):
    """A checkpoint that cannot be read, or must not be written."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The contents of a checkpoint, on the CPU.

    Every byte is checked against the file's own checksums, and no code of it is run.

    Args:
        path: a .pt file.

    Returns:
        State of every module, by its name.

    Raises:
        CheckpointError: it is missing, damaged, holds code, or is no checkpoint of a policy.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no {path.name}")
    try:
        with zipfile.ZipFile(path) as archive:  # torch itself does not look at the checksums
            if damaged := archive.testzip():
                raise CheckpointError(f"{path.name} is damaged at {damaged}")
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except zipfile.BadZipFile as error:
        what = describe_stranger(path, ".pt") or f"is damaged: {error}"
        raise CheckpointError(f"{path.name} {what}") from None
    except pickle.UnpicklingError:
        raise CheckpointError(f"{path.name} holds objects other than numbers, which may be code") from None
    except (CheckpointError, MemoryError):
        raise
    except Exception as error:  # damage is whatever zip, zlib and pickle stumble over
        why = str(error).splitlines() or [type(error).__name__]
        raise CheckpointError(f"{path.name} cannot be read: {why[0]}") from None
    if not (isinstance(saved, dict) and "Policy" in saved):
        raise CheckpointError(f"{path.name} is no checkpoint of a policy")
    return saved


def newest_intact(path: Path) -> tuple[Path, dict[str, Any]]:
    """The checkpoint that a run begins from, or the newest numbered one beside it that is whole.

    Args:
        path: the .pt file that was asked for. Where it is `checkpoint.pt`, those beside it can stand in.

    Returns:
        The file that was read, and its contents.

    Raises:
        CheckpointError: none of them is whole; it says why of each.
    """
    faults: list[str] = []
    candidates = [path, *(numbered_checkpoints(path.parent) if path.name == DEFAULT_CHECKPOINT_NAME else [])]
    for candidate in candidates:
        try:
            saved = read_checkpoint(candidate)
        except CheckpointError as error:
            faults.append(str(error))
            continue
        if faults:
            logger.warning(f"{path.parent}: {'; '.join(faults)}. Using {candidate.name}, the newest that is whole.")
        return candidate, saved
    raise CheckpointError("; ".join(faults))


def has_checkpoint(folder: Path) -> bool:
    """Whether a behaviour was saved, be the files whole or not.

    Args:
        folder: `results/<run>/<behavior>`.
    """
    return (folder / DEFAULT_CHECKPOINT_NAME).exists() or bool(numbered_checkpoints(folder))


def run_folder_of(behavior: str, folder: Path) -> Path:
    """`results/<run>`; the behaviour's own folder lies in it, deeper where its name has slashes.

    Args:
        behavior: name of the behaviour.
        folder: `results/<run>/<behavior>`.

    Raises:
        TrainerConfigError: by its name it would lie elsewhere, or cannot be made on Windows.
    """
    name = PurePath(behavior)
    if name.is_absolute() or name.drive or ".." in name.parts or not name.parts:
        why = "its files would lie outside of the run's folder"
    elif _IS_WINDOWS and any(_is_forbidden_on_windows(part) for part in name.parts):
        why = "its files would lie in a folder of this name, which Windows does not allow"
    else:
        return folder.parents[len(name.parts) - 1]
    raise TrainerConfigError(
        f"Behavior {behavior!r}: {why}; choose another Behavior Name in the agent's Behavior Parameters."
    )


def _is_forbidden_on_windows(part: str) -> bool:
    """Whether a folder cannot be called so: `Agent:1`, `aux`, `Walker?`, or with a space or a dot at its end."""
    is_cut_off = part.endswith((" ", "."))
    has_forbidden = any(each in _FORBIDDEN_ON_WINDOWS or ord(each) < ord(" ") for each in part)
    return is_cut_off or has_forbidden or PureWindowsPath(part).is_reserved()


def is_new_in_run(folder: Path, run_folder: Path) -> bool:
    """Whether a run was never saved with a behaviour, but was with others.

    Args:
        folder: `results/<run>/<behavior>`.
        run_folder: `results/<run>`.
    """
    return not has_checkpoint(folder) and any(other != folder for other in saved_behaviors(run_folder))


def saved_behaviors(run_folder: Path) -> list[Path]:
    """Folders of the behaviours that a run was saved with.

    Args:
        run_folder: `results/<run>`.
    """
    saved = (file.parent for file in run_folder.rglob(DEFAULT_CHECKPOINT_NAME))
    return sorted(folder for folder in saved if folder.name != FORMER)


def set_former_aside(folder: Path) -> None:
    """Moves what a run left that is begun anew to `former`, in place of what lies there: a resume must not take it up.

    Args:
        folder: `results/<run>/<behavior>`.
    """
    files = [file for file in folder.glob("*") if file.suffix in (".pt", ".onnx", ".hdf5") and file.is_file()]
    if not files:
        return
    former = folder / FORMER
    try:
        shutil.rmtree(former, ignore_errors=True)
        former.mkdir(exist_ok=True)
        for file in files:
            file.replace(former / file.name)
    except OSError as error:
        logger.warning(f"{error}: files of the run before are still in {folder}; delete them before a --resume.")
    else:
        logger.info(f"Checkpoints and models of the run before are in {former}.")


def numbered_checkpoints(folder: Path) -> list[Path]:
    """`<behavior>-<step>.pt` in the folder of a behaviour, newest first; of `Group/Agent` these are `Agent-<step>.pt`.

    Args:
        folder: `results/<run>/<behavior>`.
    """
    pattern = re.compile(re.escape(folder.name) + r"-(\d+)\.pt")
    steps = {file: int(match[1]) for file in folder.glob("*.pt") if (match := pattern.fullmatch(file.name))}
    return sorted(steps, key=lambda file: steps[file], reverse=True)
