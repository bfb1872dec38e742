"""The scene SoccerTwos, in this process."""

import numpy as np
import pytest

from mlagents_player import Actions
from mlagents_player.academy import Academy, AgentInfos, Reply
from mlagents_player.parameters import EnvironmentParameters, constant
from mlagents_player.scenes.soccer import BALL, FIELD, KICK, SoccerTwos

BLUE, PURPLE = "SoccerTwos?team=0", "SoccerTwos?team=1"


def field(areas: int = 1) -> SoccerTwos:
    """A field whose players stand apart from the ball in the middle."""
    scene = SoccerTwos(areas, np.random.default_rng(0), EnvironmentParameters())
    scene.reset(np.arange(scene.num_agents))
    scene.position[:, :BALL] = [[-9, -5], [-9, 5], [9, -5], [9, 5]]
    scene.position[:, BALL] = 0
    return scene


def run_ahead(scene: SoccerTwos, player: int, ahead: int = 1) -> None:
    scene.act(np.array([player]), Actions(np.zeros((1, 0), np.float32), np.int32([[ahead, 0, 0]])))
    scene.simulate()


@pytest.mark.parametrize(("side", "winners"), [(1, [0, 1]), (-1, [2, 3])])
def test_soccer_goal_rewards_the_teams(side: int, winners: list[int]) -> None:
    """1 less the time that was used for those who scored, -1 for the others; it ends for all four and no field else."""
    scene = field(areas=2)
    scene.step_count[:] = 500
    scene.position[0, BALL] = side * (FIELD[0] - 0.1), 0
    scene.velocity[0, BALL] = side * 20.0, 0
    scene.simulate()
    expected = [0.9 if player in winners else -1.0 for player in range(4)]
    assert scene.group_rewards[:4] == pytest.approx(expected)
    assert scene.ended.tolist() == [True] * 4 + [False] * 4
    assert not scene.rewards.any()


def test_soccer_ball_bounces_beside_the_goal() -> None:
    """Off the mouth the wall turns it back with 0.6 of its speed."""
    scene = field()
    scene.position[0, BALL] = FIELD[0] - 0.6, 5
    scene.velocity[0, BALL] = 20, 0
    scene.simulate()
    assert scene.velocity[0, BALL, 0] == pytest.approx(-0.6 * 20 * 0.99)
    assert not scene.ended.any()


def test_soccer_running_players_kick_once() -> None:
    """A touch while running ahead adds 2.67 m/s to the ball, away from the player, when it begins."""
    speeds = []
    for ahead in (1, 0):
        scene = field()
        scene.position[0, 0], scene.yaw[0, 0] = (-0.99, 0), 90
        scene.velocity[0, 0] = 2.6 * (1 - ahead), 0  # equally fast, whether it runs or slides
        run_ahead(scene, 0, ahead)
        speeds.append(scene.velocity[0, BALL, 0])
    assert speeds[0] - speeds[1] == pytest.approx(KICK)
    assert pytest.approx(KICK) == 2000 * 0.02 / 15


def test_soccer_ball_touch_rewards_who_begins_to_touch_the_ball() -> None:
    """A fifth of the parameter, once for a touch that lasts, for this player alone; from the next episode on."""
    scene = field(areas=2)
    scene.parameters.set("ball_touch", constant(0.5))
    gained = []
    for _ in range(2):
        scene.position[0, 0], scene.velocity[0, 0] = (-0.9, 0), (0, 0)
        scene.position[0, BALL] = 0
        scene.rewards[:] = 0
        for _ in range(3):
            scene.velocity[0, 0] = 2.6, 0
            scene.simulate()
        gained.append(scene.rewards.tolist())
        scene.reset(np.arange(4))
        scene.position[0, :BALL] = [[-9, -5], [-9, 5], [9, -5], [9, 5]]
    assert gained[0] == [0.0] * 8
    assert gained[1] == pytest.approx([0.1] + [0.0] * 7)


def test_soccer_teams_see_the_same_from_their_sides() -> None:
    """On a mirrored field blue and purple players have equal observations."""
    scene = field()
    scene.yaw[0] = 90, 90, -90, -90
    first, third = scene.observe(BLUE, np.array([0])), scene.observe(PURPLE, np.array([3]))
    for blue, purple in zip(first, third, strict=True):
        assert blue == pytest.approx(purple, abs=1e-5)


def test_soccer_rays_tell_all_six_tags_apart() -> None:
    """Looking at each in turn gives its own place in the one-hot."""
    scene = field()
    scene.position[0, :4] = [[-5, 0], [-5, 5], [5, 6], [5, -6]]
    seen = []
    for yaw in (90, -90):
        scene.yaw[0, 0] = yaw
        seen.append(scene.observe(BLUE, np.array([0]))[0][0].reshape(3, 11, 8)[-1, 0, :6].argmax())
    scene.position[0, BALL] = 0, 7
    scene.yaw[0, 0] = 90
    seen.append(scene.observe(BLUE, np.array([0]))[0][0].reshape(3, 11, 8)[-1, 0, :6].argmax())
    scene.position[0, 1], scene.position[0, 2] = (-5, 4), (-1, 0)
    for yaw in (180, 0, 90):
        scene.yaw[0, 0] = yaw
        seen.append(scene.observe(BLUE, np.array([0]))[0][0].reshape(3, 11, 8)[-1, 0, :6].argmax())
    assert seen == [0, 1, 2, 3, 4, 5]


def test_soccer_timeout_interrupts_both_teams_together() -> None:
    """Groups of two per team and field; after 5000 steps all four end in one message, interrupted."""
    messages: list[dict[str, list[AgentInfos]]] = []

    def decide(infos: dict[str, list[AgentInfos]]) -> Reply:
        messages.append(infos)
        return Reply()

    scene = SoccerTwos(1, np.random.default_rng(0), EnvironmentParameters())
    academy = Academy(scene)
    scene.step_count[:] = 4990
    for _ in range(11):
        academy.step(decide)
    last = messages[-1]
    assert [last[team][0].group_ids.tolist() for team in (BLUE, PURPLE)] == [[1, 1], [2, 2]]
    for team in (BLUE, PURPLE):
        assert last[team][0].done
        assert last[team][0].interrupted.all()
