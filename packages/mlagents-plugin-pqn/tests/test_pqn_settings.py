"""Hyperparameters: what is spoken of, and with which remedy."""

import re
from typing import Any

import pytest
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers.settings import RunOptions

register_trainer_plugins()


def warned(caplog: pytest.LogCaptureFixture, max_steps: int, *, memory: bool = False, **hyperparameters: Any) -> str:
    """What reading a file with these hyperparameters warns of."""
    caplog.clear()
    config = {"trainer_type": "pqn", "max_steps": max_steps, "hyperparameters": hyperparameters}
    if memory:
        config["network_settings"] = {"memory": {"memory_size": 8, "sequence_length": 4}}
    RunOptions.from_dict({"behaviors": {"Toy": config}})
    return caplog.text


def test_few_rollouts_are_spoken_of_with_a_size_that_helps(caplog: pytest.LogCaptureFixture) -> None:
    """Also where that is below the default; a file with the size that was named, the control, warns of nothing."""
    text = warned(caplog, 10_000, buffer_size=512, batch_size=32)
    assert "512 gives 19 rollouts" in text
    most = int(re.search(r"at most ([\d,]+)", text)[1].replace(",", ""))
    assert "rollouts" not in warned(caplog, 10_000, buffer_size=most, batch_size=32)


def test_gates_of_a_memory_that_there_is_not_have_no_effect(caplog: pytest.LogCaptureFixture) -> None:
    """With memory, the control, they have."""
    assert "chrono_init (there is no memory)" in warned(caplog, 500_000, chrono_init=False)
    assert "chrono_init" not in warned(caplog, 500_000, memory=True, chrono_init=False)
