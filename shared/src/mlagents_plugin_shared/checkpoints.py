"""Checkpoints: atomic .pt files, and .onnx files beside them."""

import shutil
from pathlib import Path
from typing import Any

from mlagents.torch_utils import default_device, torch
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.model_saver.torch_model_saver import DEFAULT_CHECKPOINT_NAME, TorchModelSaver
from mlagents.trainers.optimizer.torch_optimizer import TorchOptimizer
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents_envs.logging_util import get_logger

from mlagents_plugin_shared.export import OnnxExporter
from mlagents_plugin_shared.files import replacing

logger = get_logger(__name__)


class CheckpointSaver(TorchModelSaver):
    """ML-Agents' model saver with files that are whole or absent, and an export that works on every torch."""

    def register(self, module: TorchPolicy | TorchOptimizer) -> None:
        """Adds the modules of a policy or optimizer to what is saved."""
        is_first_policy = self.policy is None and isinstance(module, TorchPolicy)
        super().register(module)
        if is_first_policy:
            self.exporter = OnnxExporter(module)

    def save_checkpoint(self, behavior_name: str, step: int) -> tuple[str, list[str]]:
        """Writes `<behavior>-<step>.pt` and `.onnx`, then `checkpoint.pt`, from which a run resumes.

        Args:
            behavior_name: name of the behaviour.
            step: step of the policy.

        Returns:
            Path of the .onnx, and the paths of the files that belong to it.
        """
        stem = Path(self.model_path) / f"{behavior_name}-{step}"
        numbered = Path(f"{stem}.pt")
        with replacing(numbered) as temporary:
            torch.save({name: module.state_dict() for name, module in self.modules.items()}, temporary)
        self.export(str(stem), behavior_name)
        with replacing(Path(self.model_path) / DEFAULT_CHECKPOINT_NAME) as temporary:
            shutil.copyfile(numbered, temporary)
        return f"{stem}.onnx", [str(numbered)]

    def copy_final_model(self, source_nn_path: str) -> None:
        """Copies the model of a checkpoint to `<results>/<run>/<behavior>.onnx`.

        Args:
            source_nn_path: path of the checkpoint's .onnx.
        """
        with replacing(f"{self.model_path}.onnx") as temporary:
            shutil.copyfile(source_nn_path, temporary)

    def _load_model(self, load_path: str, policy: TorchPolicy | None = None, reset_global_steps: bool = False) -> None:
        if not Path(load_path).is_file():
            raise TrainerConfigError(
                f"There is no checkpoint {load_path}. Check --run-id, --initialize-from and the behaviour's name."
            )
        # weights_only: a checkpoint from elsewhere must not be able to run code.
        saved = torch.load(load_path, map_location=default_device(), weights_only=True)
        target = policy if policy is not None else self.policy
        for name, module in (policy.get_modules() if policy is not None else self.modules).items():
            _load_module(name, module, saved)
        if reset_global_steps:
            target.set_step(0)
            logger.info(f"Starting training from step 0 and saving to {self.model_path}.")
        else:
            logger.info(f"Resuming training from step {target.get_current_step()}.")


def _load_module(name: str, module: Any, saved: dict[str, Any]) -> None:
    """Loads what fits; what does not fit starts anew, with a warning, as in ML-Agents."""
    if name not in saved:
        logger.warning(f"The checkpoint holds no {name}: it starts anew.")
        return
    try:
        if not isinstance(module, torch.nn.Module):
            module.load_state_dict(saved[name])
            return
        missing, unexpected = module.load_state_dict(saved[name], strict=False)
    except (KeyError, ValueError, RuntimeError) as error:
        logger.warning(f"{name} of the checkpoint does not fit this configuration and starts anew: {error}")
        return
    if missing or unexpected:
        logger.warning(f"{name} of the checkpoint lacks {missing} and has {unexpected} too many.")
