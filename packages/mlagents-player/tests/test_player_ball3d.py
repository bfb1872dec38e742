"""The scene 3DBall, in this process."""

import numpy as np
import pytest

from mlagents_player import parameters
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.physics import Balls, axis_rotation, gap_to_box, multiply
from mlagents_player.scenes.ball3d import Ball3D, reset_rotation, turn
from player_testing import InProcess, continuous

LEVEL = np.array([[1.0, 0.0, 0.0, 0.0]])


def level(run: InProcess) -> InProcess:
    """Put every platform level with its ball at rest on the middle."""
    run.scene.rotation[:] = LEVEL
    run.scene.balls.position[:] = [0, 3, 0]
    run.scene.balls.velocity[:] = 0
    return run


@pytest.fixture(scope="module")
def balanced() -> InProcess:
    """Two agents whose balls never move, for one episode and the message after it."""
    return level(InProcess(Ball3D, continuous(0, 0), areas=2)).run(5001)


def test_ball3d_balanced_return_is_100(balanced: InProcess) -> None:
    """999 decision rewards and a terminal one, each 0.1, over 5000 academy steps of 5 a decision."""
    rewards = [batch.rewards for ended, going in balanced.messages for batch in ended + going]
    assert len(balanced.messages) == 1001
    assert np.sum(rewards, axis=0, dtype=np.float64) == pytest.approx([100, 100])


def test_ball3d_timeout_comes_with_the_next_decision(balanced: InProcess) -> None:
    """At 5000 steps one message holds the interrupted terminal and, after it, the same agents' decision.

    The new ball has already fallen for one physics step: 9.81 x 0.02².
    """
    ended, going = balanced.messages[-1]
    assert ended[0].interrupted.all()
    assert np.array_equal(ended[0].ids, going[0].ids)
    assert ended[0].observations[0][:, 3] == pytest.approx(3, abs=0.01)
    assert going[0].observations[0][:, 3] == pytest.approx(4 - 9.81 * 0.02**2)


def test_ball3d_fall_comes_alone_between_decisions() -> None:
    """A ball lost in mid-period gives -1, not interrupted, in a message with no decision; the id stays."""
    run = InProcess(Ball3D, continuous(1, 1), seed=1)
    while not any(ended and not going for ended, going in run.messages):
        run.run(1)
    (ended,), _ = run.messages[-1]
    assert ended.rewards[0] == -1
    assert not ended.interrupted[0]
    run.run(5)
    assert run.messages[-1][1][0].ids[0] == ended.ids[0]


def test_ball3d_platform_rests_between_reset_and_decision() -> None:
    """After a reset in mid-period the platform does not turn, and the gap's rewards count as one window."""
    run = InProcess(Ball3D, continuous(1, 1), areas=1)
    run.run(2)
    run.scene.balls.position[0] = [3.1, 0, 0]
    run.run(1)  # the fall, at step 2 of 5
    rotation = run.scene.rotation.copy()
    run.run(2)
    assert np.array_equal(run.scene.rotation, rotation)
    run.run(1)
    assert run.messages[-1][1][0].rewards[0] == pytest.approx(0.1)
    assert run.messages[-1][1][0].observations[0][0, 3] < 4
    assert not np.array_equal(run.scene.rotation, rotation)


def test_ball3d_reward_window_is_one_decision() -> None:
    """SetReward replaces: five academy steps give 0.1, not 0.5."""
    run = level(InProcess(Ball3D, continuous(0, 0))).run(6)
    assert run.messages[-1][1][0].rewards[0] == pytest.approx(0.1)


@pytest.mark.parametrize("action", [1.0, 7.0, np.inf])
def test_ball3d_actions_are_clamped(action: float) -> None:
    """An action of 1 or more turns by 10 degrees a decision about z."""
    run = level(InProcess(Ball3D, continuous(action, 0))).run(5)
    assert run.scene.rotation[0, 3] == pytest.approx(np.sin(np.radians(5)))


def test_ball3d_nan_action_counts_as_zero(caplog: pytest.LogCaptureFixture) -> None:
    """A NaN moves nothing and is logged once."""
    run = level(InProcess(Ball3D, continuous(np.nan, 0))).run(20)
    assert run.scene.rotation[0, 3] == 0
    assert len(caplog.records) == 1


def test_ball3d_tilt_stops_beyond_the_limit() -> None:
    """A quaternion's component of 0.25 is passed once and then no more; the way back stays open."""
    rotation = LEVEL
    for _ in range(40):
        rotation = turn(rotation, 2, np.array([2.0]))
    assert 0.25 <= rotation[0, 3] < 0.25 + np.radians(1)
    assert turn(rotation, 2, np.array([-2.0]))[0, 3] < rotation[0, 3]


def test_ball3d_reset_ranges() -> None:
    """Tilts within 10 degrees, the ball 4 m up and at most 1.5 m off the middle, at rest."""
    scene = InProcess(Ball3D, continuous(0, 0), areas=2000).scene
    (observation,) = scene.observe("3DBall", np.arange(2000))
    limit = np.sin(np.radians(5))
    assert np.abs(observation[:, :2]).max() <= limit
    assert np.abs(observation[:, :2]).max() > 0.95 * limit
    assert np.abs(observation[:, [2, 4]]).max() <= 1.5
    assert (observation[:, 3] == 4).all()
    assert not observation[:, 5:].any()


def test_ball3d_reset_command_tells_no_terminals() -> None:
    """A RESET in mid-run starts new episodes without terminal steps, even of agents that had just fallen."""
    run = InProcess(Ball3D, continuous(1, 1), areas=3).run(20)
    run.reset_next = True
    run.run(6)
    assert not run.messages[-1][0]
    assert (run.messages[-1][1][0].observations[0][:, 3] == 4).all()


def test_ball3d_same_seed_same_trajectory() -> None:
    """Equal seeds give equal observations for a thousand steps; another seed does not."""
    first, second, third = (InProcess(Ball3D, continuous(0.1, -0.2), 4, seed).run(1000) for seed in (5, 5, 6))
    seen = [run.scene.observe("3DBall", np.arange(4))[0] for run in (first, second, third)]
    assert np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0], seen[2])


def test_ball3d_scale_changes_where_the_ball_rests() -> None:
    """A ball of scale 2 has radius 1 and rests at 2.5 + 1."""
    given = EnvironmentParameters()
    given.set("scale", parameters.constant(2.0))
    run = level(InProcess(Ball3D, continuous(0, 0), parameters=given))
    run.scene.balls.position[:] = [0, 3.5, 0]
    run.run(200)
    assert run.scene.balls.position[0, 1] == pytest.approx(3.5, abs=0.01)


def test_ball3d_scale_sampler_draws_for_each_agent() -> None:
    """A sampler gives each agent its own size at each reset, the same ones for the same seed."""
    radii = []
    for _ in range(2):
        given = EnvironmentParameters()
        given.set("scale", parameters.uniform(0.5, 3.0, seed=4))
        radii.append(InProcess(Ball3D, continuous(0, 0), areas=12, parameters=given).scene.balls.radius)
    assert len(set(radii[0])) == 12
    assert radii[0].min() >= 0.25
    assert radii[0].max() <= 1.5
    assert np.array_equal(*radii)


def test_ball3d_gravity_acts_at_once() -> None:
    """Free fall over five steps: 0.1 s times gravity, and 15 x 0.02² of way."""
    given = EnvironmentParameters()
    run = InProcess(Ball3D, continuous(0, 0), parameters=given)
    given.set("gravity", parameters.constant(20.0))
    run.scene.parameters_changed({"gravity"})
    run.run(5)
    assert run.scene.balls.velocity[0, 1] == pytest.approx(-2)
    assert run.scene.balls.position[0, 1] == pytest.approx(4 - 20 * 15 * 0.02**2)


def test_ball3d_mass_changes_nothing() -> None:
    """As in the engine: only weight and an immovable platform act on the ball."""
    given = EnvironmentParameters()
    given.set("mass", parameters.constant(20.0))
    light, heavy = (InProcess(Ball3D, continuous(0.3, 0), 3, 1, p).run(100) for p in (None, given))
    assert np.array_equal(light.scene.balls.position, heavy.scene.balls.position)


def test_balls_roll_down_a_slope() -> None:
    """A rolling sphere gains 5/7 g sin θ; without friction it would be all of g sin θ."""
    balls = Balls(1)
    slope = axis_rotation(2, np.array([10.0]))
    gap, normal = gap_to_box(np.array([[0.0, 3.0, 0.0]]), slope)
    balls.position[:] = 3 * normal
    for _ in range(25):
        balls.step(slope)
    assert gap[0] == pytest.approx(3 * np.cos(np.radians(10)) - 2.5)
    assert np.linalg.norm(balls.velocity) == pytest.approx(5 / 7 * 9.81 * np.sin(np.radians(10)) * 0.5, rel=0.01)


def test_balls_bounce_only_when_fast() -> None:
    """Arriving at 3 m/s a ball leaves with 0.05 of it; at 1.5 m/s it stays."""
    balls = Balls(2)
    balls.position[:] = [0, 2.99, 0]
    balls.velocity[:, 1] = [-3 + 9.81 * 0.02, -1.5]
    balls.step(np.repeat(LEVEL, 2, axis=0))
    assert balls.velocity[:, 1] == pytest.approx([0.15, 0])


def test_balls_leave_a_platform_that_turned_into_them() -> None:
    """Of a depth of 0.05 a step takes away 0.8, and no speed remains of it."""
    balls = Balls(1)
    balls.position[:] = [0, 2.95, 0]
    balls.step(LEVEL)
    assert balls.position[0, 1] == pytest.approx(2.95 + 0.8 * 0.05)
    assert balls.velocity[0] == pytest.approx([0, 0, 0], abs=1e-12)


def test_balls_fall_past_the_edge() -> None:
    """Beyond the edge there is nothing to touch but the corner."""
    balls = Balls(2)
    balls.position[:] = [[3.2, 3.0, 0], [2.6, 3.0, 0]]
    for _ in range(20):
        balls.step(np.repeat(LEVEL, 2, axis=0))
    assert balls.position[0, 1] < 2.2
    assert balls.velocity[1, 0] > 0


def test_gap_inside_the_box_is_to_the_nearest_face() -> None:
    """A point 0.1 below the top is pushed up, one 0.1 inside the side is pushed out."""
    gap, normal = gap_to_box(np.array([[0, 2.4, 0], [-2.4, 0, 0.0]]), np.repeat(LEVEL, 2, axis=0))
    assert gap == pytest.approx([-0.1, -0.1])
    assert normal == pytest.approx(np.array([[0, 1, 0], [-1, 0, 0]]))


def test_reset_rotation_inverts_the_reset() -> None:
    """The components x and z determine the rotation that a reset makes."""
    whole = multiply(axis_rotation(0, np.array([9.0])), axis_rotation(2, np.array([-7.0])))
    assert reset_rotation(whole[:, 1], whole[:, 3]) == pytest.approx(whole)
