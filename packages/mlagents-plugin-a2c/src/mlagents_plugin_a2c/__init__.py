"""A2C for Unity ML-Agents: `trainer_type: a2c`."""

from typing import Any

__version__ = "0.2.0"


def get_type_and_setting() -> tuple[dict[str, Any], dict[str, Any]]:
    """Entry point of `mlagents.trainer_type`: the trainer and its settings, under the name of the trainer."""
    from mlagents_plugin_a2c.settings import A2CSettings
    from mlagents_plugin_a2c.trainer import A2CTrainer

    name = A2CTrainer.get_trainer_name()
    return {name: A2CTrainer}, {name: A2CSettings}
