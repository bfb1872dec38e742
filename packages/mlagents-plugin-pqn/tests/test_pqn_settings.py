"""Hyperparameters: what is spoken of, and with which remedy."""

import re

import pytest
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers.settings import RunOptions

register_trainer_plugins()


def warned(caplog: pytest.LogCaptureFixture, max_steps: int, **hyperparameters: int) -> str:
    """What reading a file with these hyperparameters warns of."""
    caplog.clear()
    config = {"trainer_type": "pqn", "max_steps": max_steps, "hyperparameters": hyperparameters}
    RunOptions.from_dict({"behaviors": {"Toy": config}})
    return caplog.text


def test_few_rollouts_are_spoken_of_with_a_size_that_helps(caplog: pytest.LogCaptureFixture) -> None:
    """Also where that is below the default; a file with the size that was named, the control, warns of nothing."""
    text = warned(caplog, 10_000, buffer_size=512, batch_size=32)
    assert "512 gives 19 rollouts" in text
    most = int(re.search(r"at most ([\d,]+)", text)[1].replace(",", ""))
    assert "rollouts" not in warned(caplog, 10_000, buffer_size=most, batch_size=32)
