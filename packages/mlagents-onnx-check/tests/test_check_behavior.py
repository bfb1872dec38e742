"""The two ways to say what an agent observes and does."""

from types import SimpleNamespace

import pytest

from mlagents_onnx_check import Behavior, Sensor


def test_behavior_of_a_specification_equals_that_of_a_command_line() -> None:
    """It is read like ML-Agents' BehaviorSpec, which need not be there."""
    observations = [SimpleNamespace(name="obs_0", shape=(4,)), SimpleNamespace(name="obs_1", shape=(3, 20, 24))]
    spec = SimpleNamespace(
        observation_specs=observations, action_spec=SimpleNamespace(continuous_size=2, discrete_branches=(3, 2))
    )
    assert Behavior.of(spec) == Behavior.parse(["4", "3x20x24"], ["continuous:2", "discrete:3,2"])


def test_behavior_that_is_not_stated_is_not_known() -> None:
    """Actions that are stated in part are none of the other kind."""
    assert Behavior.parse() == Behavior(None, None, None)
    assert Behavior.parse(actions=["discrete:3"]) == Behavior(None, 0, (3,))
    assert Behavior.parse(["7"]) == Behavior((Sensor("obs_0", (7,)),))


@pytest.mark.parametrize("text", ["", "0", "4x", "1x2x3x4", "4.5", "-1", "20,23"])
def test_observation_of_another_form_is_refused(text: str) -> None:
    """With an example."""
    with pytest.raises(ValueError, match="is not a shape such as 20, 20x23"):
        Behavior.parse([text])
