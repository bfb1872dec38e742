"""Checkpoints of trainers that know nothing of ours."""

from mlagents.trainers.exception import UnityTrainerException

from mlagents_plugin_shared.checkpoint_files import CheckpointError
from mlagents_plugin_shared.checkpoints import CheckpointSaver


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
