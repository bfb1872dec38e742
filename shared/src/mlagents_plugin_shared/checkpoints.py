"""Checkpoints: atomic .pt files, and .onnx files beside them."""

import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from mlagents.torch_utils import torch
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.model_saver.torch_model_saver import DEFAULT_CHECKPOINT_NAME, TorchModelSaver
from mlagents.trainers.optimizer.torch_optimizer import TorchOptimizer
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents_envs.logging_util import get_logger

from mlagents_plugin_shared.checkpoint_files import CheckpointError, newest_intact, read_checkpoint
from mlagents_plugin_shared.export import OnnxExporter
from mlagents_plugin_shared.files import replacing

logger = get_logger(__name__)

TRAINER_STATE = "Trainer"
"""Name in a checkpoint of what only a resumed run takes up again."""


class CheckpointSaver(TorchModelSaver):
    """ML-Agents' model saver with files that are whole or absent, and an export that works on every torch.

    Attributes:
        trainer_state: gives what a checkpoint holds beside the modules: plain numbers, strings and tensors.
        resumed_state: what it gave when the checkpoint was written from which this run resumed; else empty.
        on_loaded: is told the names of the modules that took up all that was saved of them, once they have.
        fits: whether every module took up all that was saved of it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.trainer_state: Callable[[], dict[str, Any]] = dict
        self.resumed_state: dict[str, Any] = {}
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

        Args:
            behavior_name: name of the behaviour.
            step: step of the policy.

        Returns:
            Path of the .onnx, and the paths of the files that belong to it.

        Raises:
            CheckpointError: a module holds numbers that are not finite; nothing is written.
        """
        stem = Path(self.model_path) / f"{behavior_name}-{step}"
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
        self.export(str(Path(self.model_path) / f"{behavior_name}-best"), behavior_name)

    def best_state(self, behavior_name: str) -> dict[str, Any]:
        """The trainer's state in `<behavior>-best.pt`; empty where there is none.

        Args:
            behavior_name: name of the behaviour.
        """
        try:
            return read_checkpoint(self._best_path(behavior_name)).get(TRAINER_STATE, {})
        except CheckpointError:
            return {}

    def copy_final_model(self, source_nn_path: str) -> None:
        """Copies the model of a checkpoint to `<results>/<run>/<behavior>.onnx`.

        Args:
            source_nn_path: path of the checkpoint's .onnx.
        """
        with replacing(f"{self.model_path}.onnx") as temporary:
            shutil.copyfile(source_nn_path, temporary)

    def _best_path(self, behavior_name: str) -> Path:
        return Path(self.model_path) / f"{behavior_name}-best.pt"

    def _write(self, path: Path) -> None:
        state = {name: module.state_dict() for name, module in self.modules.items()}
        for name, module_state in state.items():
            if not all(tensor.isfinite().all() for tensor in _tensors(module_state)):
                raise CheckpointError(f"{name} holds numbers that are not finite")
        with replacing(path) as temporary:
            torch.save({**state, TRAINER_STATE: self.trainer_state()}, temporary)

    def _load_model(self, load_path: str, policy: TorchPolicy | None = None, reset_global_steps: bool = False) -> None:
        try:
            path, saved = newest_intact(Path(load_path))
        except CheckpointError as error:
            raise TrainerConfigError(
                f"There is no checkpoint in {Path(load_path).parent} to begin from: {error}. "
                "Check --run-id, --initialize-from and the behaviour's name, or begin anew with --force."
            ) from None
        target = policy if policy is not None else self.policy
        modules = policy.get_modules() if policy is not None else self.modules
        whole = {name for name, module in modules.items() if _load_module(name, module, saved)}
        self.fits &= whole == modules.keys()
        if policy is None:
            self.on_loaded(whole)
        if reset_global_steps:
            target.set_step(0)
            logger.info(f"Starting training from step 0 and saving to {self.model_path}.")
        else:
            self.resumed_state = saved.get(TRAINER_STATE, {})
            logger.info(f"Resuming training from step {target.get_current_step()}, read from {path.name}.")


def _tensors(state: Any) -> Iterator[torch.Tensor]:
    """All tensors in a state dict, at any depth."""
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, dict):
        for part in state.values():
            yield from _tensors(part)


def _load_module(name: str, module: Any, saved: dict[str, Any]) -> bool:
    """Loads what fits, and says whether all did; what does not starts anew, with a warning, as in ML-Agents."""
    if name not in saved:
        logger.warning(f"The checkpoint holds no {name}: it starts anew.")
        return False
    try:
        if not isinstance(module, torch.nn.Module):
            _load_optimizer(module, saved[name])
            return True
        missing, unexpected = module.load_state_dict(saved[name], strict=False)
    except (KeyError, ValueError, RuntimeError) as error:
        logger.warning(f"{name} of the checkpoint does not fit this configuration; what differs starts anew: {error}")
        return False
    if missing or unexpected:
        logger.warning(f"{name} of the checkpoint lacks {missing} and has {unexpected} too many.")
    return not (missing or unexpected)


def _load_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Loads moments and options, but for the kernels, which are those of this machine's PyTorch.

    Raises:
        ValueError: it is the state of other parameters, which PyTorch would notice at the first step only.
    """
    own, groups = optimizer.param_groups, saved["param_groups"]
    parameters = (parameter for group in own for parameter in group["params"])
    kept = (index for group in groups for index in group["params"])
    for parameter, index in zip(parameters, kept, strict=True):
        for tensor in _tensors(saved["state"].get(index, {})):
            if tensor.dim() and tensor.shape != parameter.shape:
                raise ValueError(f"a state of shape {list(tensor.shape)} for a parameter of {list(parameter.shape)}")
    kernels = [{key: group[key] for key in ("foreach", "fused") if key in group} for group in own]
    merged = [{**group, **kernel} for group, kernel in zip(groups, kernels, strict=True)]
    optimizer.load_state_dict({**saved, "param_groups": merged})
