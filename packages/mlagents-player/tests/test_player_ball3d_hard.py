"""The scene 3DBallHard, in this process."""

import numpy as np

from mlagents_player import parameters
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.scenes.ball3d import Ball3D
from mlagents_player.scenes.ball3d_hard import Ball3DHard
from player_testing import InProcess, continuous


def test_ball3d_hard_stacks_what_3dball_sees() -> None:
    """With the same seed and actions the last of nine positions and rotations are those of 3DBall, oldest first."""
    easy, hard = (InProcess(scene, continuous(0.1, 0.2), seed=4).run(46) for scene in (Ball3D, Ball3DHard))
    seen = [going[0].observations[0][0] for _, going in easy.messages if going][:10]
    positions, rotations = hard.messages[8][1][0].observations
    assert np.array_equal(positions[0].reshape(9, 3), [values[2:5] for values in seen[:9]])
    assert np.array_equal(rotations[0].reshape(9, 2), [values[:2] for values in seen[:9]])


def test_ball3d_hard_stacks_begin_with_zeros() -> None:
    """The first decision of an episode fills one place of nine."""
    first = InProcess(Ball3DHard, continuous(0, 0)).run(1).messages[0][1][0].observations[0][0]
    assert (first[:-3] == 0).all()
    assert first[-2] == 4


def test_ball3d_hard_reads_scale_once() -> None:
    """A scale that comes after the first episode changes nothing."""
    given = EnvironmentParameters()
    scene = InProcess(Ball3DHard, continuous(0, 0), parameters=given).scene
    given.set("scale", parameters.constant(3))
    scene.reset(np.array([0]))
    assert scene.balls.radius[0] == 0.5
    assert InProcess(Ball3DHard, continuous(0, 0), parameters=given).scene.balls.radius[0] == 1.5
