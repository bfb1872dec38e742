"""What ML-Agents notes of a run in `training_status.json`."""

from mlagents.trainers.training_status import GlobalTrainingStatus, StatusType


def last_checkpoint(behavior: str) -> int | None:
    """Step of a behaviour's last checkpoint, of this run or of the one that it goes on from.

    Args:
        behavior: its name.
    """
    # Asking for a behaviour that it does not know would add it to the file.
    if behavior not in GlobalTrainingStatus.saved_state:
        return None
    checkpoints = GlobalTrainingStatus.get_parameter_state(behavior, StatusType.CHECKPOINTS)
    return int(checkpoints[-1]["steps"]) if checkpoints else None
