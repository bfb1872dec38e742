"""The scene 3DBallDiscrete, in this process."""

import numpy as np
import pytest

from mlagents_player.scenes.ball3d import Ball3D
from mlagents_player.scenes.ball3d_discrete import TURNS, Ball3DDiscrete
from player_testing import InProcess, continuous, discrete


@pytest.mark.parametrize("action", range(5))
def test_ball3d_discrete_is_3dball_with_five_turns(action: int) -> None:
    """With the same seed each action does what the largest turn about one axis does in 3DBall, or none."""
    ours = InProcess(Ball3DDiscrete, discrete(action), seed=4).run(46)
    theirs = InProcess(Ball3D, continuous(*map(float, TURNS[action])), seed=4).run(46)
    assert len(ours.messages) == len(theirs.messages)
    for (gone, going), (other_gone, other_going) in zip(ours.messages, theirs.messages, strict=True):
        for batches in ((gone, other_gone), (going, other_going)):
            for mine, other in zip(*batches, strict=True):
                assert np.array_equal(mine.observations[0], other.observations[0])
                assert np.array_equal(mine.rewards, other.rewards)


def test_ball3d_discrete_actions_differ() -> None:
    """The control: no two actions leave the platform the same."""
    ends = {tuple(InProcess(Ball3DDiscrete, discrete(a), seed=4).run(11).scene.rotation[0]) for a in range(5)}
    assert len(ends) == 5
