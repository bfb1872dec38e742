"""FlashSAC for Unity ML-Agents: `trainer_type: flashsac`."""

from typing import Any

__version__ = "0.2.0"


def get_type_and_setting() -> tuple[dict[str, Any], dict[str, Any]]:
    """Entry point of `mlagents.trainer_type`: the trainer and its settings, under the name of the trainer."""
    from mlagents_plugin_flashsac.settings import FlashSACSettings
    from mlagents_plugin_flashsac.trainer import FlashSACTrainer

    name = FlashSACTrainer.get_trainer_name()
    return {name: FlashSACTrainer}, {name: FlashSACSettings}
