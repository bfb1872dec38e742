"""Checkpoints: atomic .pt files, and .onnx files beside them."""

import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path, PurePath
from typing import Any

from mlagents.torch_utils import torch
from mlagents.trainers.exception import TrainerConfigError, UnityTrainerException
from mlagents.trainers.model_saver.torch_model_saver import DEFAULT_CHECKPOINT_NAME, TorchModelSaver
from mlagents.trainers.optimizer.torch_optimizer import TorchOptimizer
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.settings import TrainerSettings
from mlagents_envs.logging_util import get_logger

from mlagents_plugin_shared.run.checkpoint_files import CheckpointError, newest_intact, read_checkpoint
from mlagents_plugin_shared.run.export import OnnxExporter
from mlagents_plugin_shared.run.files import replacing
from mlagents_plugin_shared.run.parts import SavedParts, read_parts
from mlagents_plugin_shared.run.taking_up import take_up

logger = get_logger(__name__)

TRAINER_STATE = "Trainer"
"""Name in a checkpoint of what only a resumed run takes up again."""


class CheckpointSaver(TorchModelSaver):
    """ML-Agents' model saver with files that are whole or absent, and an export that works on every torch.

    A run that is resumed goes on from its own checkpoint, whatever `init_path` it once began from.

    Attributes:
        behavior_name: whose checkpoints these are, for messages.
        trainer_state: gives what a checkpoint holds beside the modules, see `save_parts`.
        origin: parts in the checkpoint that this run resumes or, by `init_path`, begins from; none without.
        on_loaded: is told the names of the modules that took up all that was saved of them, once they have.
        fits: whether every network took up all that was saved of it.
    """

    initialize_path: str | None

    def __init__(self, trainer_settings: TrainerSettings, model_path: str, load: bool = False) -> None:
        super().__init__(trainer_settings, str(Path(model_path)), load)
        self.behavior_name = Path(model_path).name
        self.trainer_state: Callable[[], dict[str, Any]] = dict
        self.origin = SavedParts(None, {})
        self.fits = True
        self.on_loaded: Callable[[Collection[str]], None] = lambda whole: None

    def register(self, module: TorchPolicy | TorchOptimizer) -> None:
        """Adds the modules of a policy or optimizer to what is saved."""
        is_first_policy = self.policy is None and isinstance(module, TorchPolicy)
        super().register(module)
        if is_first_policy:
            self.exporter = OnnxExporter(module)

    def save_checkpoint(self, behavior_name: str, step: int) -> tuple[str, list[str]]:
        """Writes `<behavior>-<step>.pt`, `checkpoint.pt`, from which a run resumes, and `<behavior>-<step>.onnx`.

        Where one of them cannot be written, no numbered one stays, and `checkpoint.pt` is the old or the new one.
        A behaviour's name may have slashes, as `Group/Agent`: its folder then lies deeper, and files are `Agent-...`.

        Args:
            behavior_name: name of the behaviour.
            step: step of the policy.

        Returns:
            Path of the .onnx, and the paths of the files that belong to it.

        Raises:
            CheckpointError: a module holds numbers that are not finite; nothing is written.
        """
        stem = self._stem(behavior_name, step)
        numbered = Path(f"{stem}.pt")
        is_new = not numbered.exists()
        try:
            self._write(numbered)
            with replacing(Path(self.model_path) / DEFAULT_CHECKPOINT_NAME) as temporary:
                shutil.copyfile(numbered, temporary)
            self.export(str(stem), behavior_name)
        except Exception:
            if is_new:
                numbered.unlink(missing_ok=True)
            raise
        return f"{stem}.onnx", [str(numbered)]

    def save_best(self, behavior_name: str) -> None:
        """Writes `<behavior>-best.pt` and `.onnx`, which ML-Agents' `keep_checkpoints` does not count.

        Args:
            behavior_name: name of the behaviour.
        """
        self._write(self._best_path(behavior_name))
        self.export(str(self._stem(behavior_name, "best")), behavior_name)

    def best_parts(self, behavior_name: str) -> dict[str, dict[str, Any]]:
        """States of the trainer's parts in `<behavior>-best.pt`; empty where there is none.

        Args:
            behavior_name: name of the behaviour.
        """
        try:
            return self._parts_in(read_checkpoint(self._best_path(behavior_name))).states
        except CheckpointError:
            return {}

    def _parts_in(self, saved: dict[str, Any]) -> SavedParts:
        return read_parts(saved.get(TRAINER_STATE, {}), saved, self.behavior_name)

    def copy_final_model(self, source_nn_path: str) -> None:
        """Copies the model of a checkpoint to `<results>/<run>/<behavior>.onnx`.

        Args:
            source_nn_path: path of the checkpoint's .onnx.
        """
        with replacing(f"{self.model_path}.onnx") as temporary:
            shutil.copyfile(source_nn_path, temporary)

    def _best_path(self, behavior_name: str) -> Path:
        return Path(f"{self._stem(behavior_name, 'best')}.pt")

    def _stem(self, behavior_name: str, which: int | str) -> Path:
        """A file without its suffix."""
        return Path(self.model_path) / f"{PurePath(behavior_name).name}-{which}"

    def _write(self, path: Path) -> None:
        state = {name: module.state_dict() for name, module in self.modules.items()}
        for name, module_state in state.items():
            if not all(tensor.isfinite().all() for tensor in _tensors(module_state)):
                raise CheckpointError(f"{name} holds numbers that are not finite")
        with replacing(path) as temporary:
            torch.save({**state, TRAINER_STATE: self.trainer_state()}, temporary)

    def initialize_or_load(self, policy: TorchPolicy | None = None) -> None:
        """Takes up the run's own checkpoint where it is resumed, or else `init_path`, if there is one.

        Args:
            policy: the policy to load; default all that is registered.

        Raises:
            TrainerConfigError: there is no whole checkpoint.
        """
        if self.load and self.initialize_path is not None:
            logger.info(f"{self.behavior_name}: init_path is where the run began; --resume goes on from its own files.")
            self.initialize_path = None
        super().initialize_or_load(policy)

    def _load_model(self, load_path: str, policy: TorchPolicy | None = None, reset_global_steps: bool = False) -> None:
        try:
            path, saved = newest_intact(Path(load_path))
        except CheckpointError as error:
            raise TrainerConfigError(self._describe_missing(load_path, error)) from None
        target = policy if policy is not None else self.policy
        modules = policy.get_modules() if policy is not None else self.modules
        misfits = {name: take_up(module, saved.get(name)) for name, module in modules.items()}
        whole = {name for name, why in misfits.items() if why is None}
        self._tell_of_misfits(misfits, path.name)
        self.fits &= all(name in whole for name, module in modules.items() if isinstance(module, torch.nn.Module))
        if policy is None:
            self.on_loaded(whole)
        self.origin = self._parts_in(saved)
        if reset_global_steps:
            target.set_step(0)
            logger.info(f"Starting training from step 0 and saving to {self.model_path}.")
        else:
            logger.info(f"Resuming training from step {target.get_current_step()}, read from {path.name}.")

    def _tell_of_misfits(self, misfits: dict[str, str | None], file: str) -> None:
        """One warning of all that does not fit: a policy and its target network have the same reason."""
        names: dict[str, list[str]] = {}
        for name, why in misfits.items():
            if why is not None:
                names.setdefault(why, []).append(name)
        if names:
            reasons = "; ".join(f"{', '.join(of)}: {why}" for why, of in names.items())
            logger.warning(
                f"{self.behavior_name}: {file} does not fit this configuration, and what differs starts anew: "
                f"{reasons}. To go on from all of it, use the settings that it was trained with."
            )

    def _describe_missing(self, load_path: str, error: CheckpointError) -> str:
        if self.initialize_path is not None:
            return (
                f"{self.behavior_name}: init_path: {load_path} is no checkpoint to begin from: {error}. Give the path "
                "of a .pt file, or leave init_path and --initialize-from out."
            )
        return (
            f"{self.behavior_name}: there is no checkpoint in {Path(load_path).parent} to begin from: {error}. "
            "Check --run-id and the behaviour's name, or begin anew with --force."
        )


class StockSaver(CheckpointSaver):
    """Our saver for ML-Agents' own trainers, which end with the first error that it raises."""

    def save_checkpoint(self, behavior_name: str, step: int) -> tuple[str, list[str]]:
        """Writes a checkpoint and its model, as `CheckpointSaver` does.

        Args:
            behavior_name: name of the behaviour.
            step: step of the policy.

        Returns:
            Path of the .onnx, and the paths of the files that belong to it.

        Raises:
            UnityTrainerException: a module holds numbers that are not finite; nothing is written.
        """
        try:
            return super().save_checkpoint(behavior_name, step)
        except CheckpointError as error:
            raise UnityTrainerException(
                f"{behavior_name}: the checkpoint at step {step} was not written: {error}. Are rewards or observations "
                "too large, or is learning_rate too high? --resume goes on from the last whole checkpoint."
            ) from None


def _tensors(state: Any) -> Iterator[torch.Tensor]:
    """All tensors in a state dict, at any depth."""
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, dict):
        for part in state.values():
            yield from _tensors(part)
