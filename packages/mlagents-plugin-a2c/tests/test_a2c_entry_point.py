"""What mlagents-learn finds where this plugin is installed."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.learn import parse_command_line

from mlagents_plugin_a2c.settings import A2CSettings


def test_configuration_with_a2c_is_understood(tmp_path: Path) -> None:
    """`trainer_type: a2c` gives this plugin's settings."""
    file = tmp_path / "config.yaml"
    file.write_text("behaviors: {3DBall: {trainer_type: a2c}}")
    assert isinstance(parse_command_line([str(file)]).behaviors["3DBall"].hyperparameters, A2CSettings)


@pytest.mark.skipif(find_spec("mlagents_plugin_dqn") is not None, reason="the dqn plugin is installed here too")
def test_configuration_with_dqn_is_not(tmp_path: Path) -> None:
    """With this plugin alone, `trainer_type: dqn` ends in ML-Agents' own message."""
    file = tmp_path / "config.yaml"
    file.write_text("behaviors: {Basic: {trainer_type: dqn}}")
    with pytest.raises(TrainerConfigError, match="Invalid trainer type dqn was found"):
        parse_command_line([str(file)])
