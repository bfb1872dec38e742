"""The scene SoccerTwos, in this process."""

import numpy as np
import pytest

from mlagents_player import Actions
from mlagents_player.academy import Academy, AgentInfos, Reply
from mlagents_player.parameters import EnvironmentParameters, constant
from mlagents_player.scenes.soccer import BALL, BALL_RADIUS, FIELD, FRONT, GOAL_BACK, KICK, MASS, MOUTH, SoccerTwos

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
    scene.position[0, BALL] = side * (FIELD[0] - 0.6), 0
    scene.velocity[0, BALL] = side * 20.0, 0
    scene.simulate()
    expected = [0.9 if player in winners else -1.0 for player in range(4)]
    assert scene.group_rewards[:4] == pytest.approx(expected)
    assert scene.ended.tolist() == [True] * 4 + [False] * 4
    assert not scene.rewards.any()


@pytest.mark.parametrize(
    ("place", "scores"),
    [
        ((15.12, 0), False),  # the goal's floor begins at 15.5; the ball reaches √(0.624² - 0.5²) = 0.374 m there
        ((15.13, 0), True),
        ((15.13, 3.6), True),
        ((14.85, 4.02), False),  # beside the net's front edge, (15.5, 4.15)
        ((14.95, 3.95), True),
    ],
)
def test_soccer_ball_scores_when_it_touches_floor_or_net(place: tuple[float, float], scores: bool) -> None:
    """The goal's floor lies behind the line, and the ball is sunk into the ground by 0.12 m, as Unity's is."""
    scene = field()
    scene.position[0, BALL] = place
    scene.simulate()
    assert scene.ended.all() == scores


@pytest.mark.parametrize("half", [-1, 1])
@pytest.mark.parametrize("end", [-1, 1])
def test_soccer_ball_bounces_off_side_and_corner(half: int, end: int) -> None:
    """With 0.8 of its speed across the wall; up to 2 m/s it does not bounce. A corner's wall stands at 60 degrees."""
    scene = field()
    wall = np.array([end * np.sqrt(3) / 2, half / 2])  # outward
    along = np.array([-wall[1], wall[0]])
    middle = np.array([end * 14.46, half * 6.41]) - (0.23 + BALL_RADIUS) * wall
    for speed, bounce in ((10.0, 0.8), (1.9, 0.0)):
        scene.position[0, BALL] = middle
        scene.velocity[0, BALL] = speed * wall + 3 * along
        scene.simulate()
        assert scene.velocity[0, BALL] == pytest.approx(0.98 * (-bounce * speed * wall + 3 * along), abs=1e-6)
        assert (scene.position[0, BALL] - middle) @ wall == pytest.approx(0, abs=1e-3)
        scene.position[0, BALL] = 0, half * (FIELD[1] - BALL_RADIUS)
        scene.velocity[0, BALL] = 3, half * speed
        scene.simulate()
        assert scene.velocity[0, BALL] == pytest.approx([0.98 * 3, -0.98 * half * bounce * speed])
    assert not scene.ended.any()


def test_soccer_players_stay_within_walls_and_goals() -> None:
    """However fast: not beyond the sides, not behind the walls across the corners, but into the goals."""
    scene = field(areas=20)
    rng = np.random.default_rng(0)
    deepest = 0.0
    for _ in range(200):
        scene.velocity[:, :BALL] = rng.uniform(-35, 35, (20, 4, 2))
        scene.simulate()
        place = np.abs(scene.position[:, :BALL]) + 0.5  # how far they reach
        corner = np.abs(scene.position[:, :BALL]) @ [np.sqrt(3) / 2, 0.5] + 0.5
        is_in_mouth = place[..., 1] < MOUTH + 0.5
        assert (place <= [GOAL_BACK + 1e-9, FIELD[1] + 1e-9]).all()
        assert ((corner <= 15.5) | is_in_mouth).all()
        deepest = max(deepest, place[..., 0].max())
    assert deepest == pytest.approx(GOAL_BACK)


def test_soccer_start_is_that_of_the_prefab() -> None:
    """3.19 m and 5 m more from the middle, each up to 5 m nearer or farther; the mates stand 2.4 m apart."""
    scene = SoccerTwos(200, np.random.default_rng(0), EnvironmentParameters())
    scene.reset(np.arange(scene.num_agents))
    blue, purple = scene.position[:, :2, 0], scene.position[:, 2:4, 0]
    assert (blue.min(), blue.max()) == pytest.approx((-13.19, -3.19), abs=0.1)
    assert (purple.min(), purple.max()) == pytest.approx((3.19, 13.19), abs=0.1)
    assert (scene.position[:, :BALL, 1] == [1.2, -1.2, 1.2, -1.2]).all()


def test_soccer_players_run_ahead_by_2_and_aside_by_06() -> None:
    """Those of the position Generic, less the drag of 3; where they go they looked before they turned."""
    speeds = []
    for moves in ((1, 0, 0), (2, 0, 0), (1, 1, 0), (0, 2, 0), (1, 0, 1)):
        scene = field()
        scene.yaw[0, 0] = 0
        scene.act(np.array([0]), Actions(np.zeros((1, 0), np.float32), np.int32([moves])))
        scene.simulate()
        speeds.append(scene.velocity[0, 0] / 0.94)
    assert np.array(speeds) == pytest.approx(np.array([(0, 2), (0, -2), (0.6, 0), (-0.6, 0), (0, 2)]))


def test_soccer_running_players_kick_once() -> None:
    """A touch while running ahead adds 13.3 m/s to the ball, away from the player, when it begins."""
    speeds = []
    for ahead in (1, 0):
        scene = field()
        scene.position[0, 0], scene.yaw[0, 0] = (-1.12, 0), 90
        scene.velocity[0, 0] = 2.0 * (1 - ahead), 0  # equally fast, whether it runs or slides
        run_ahead(scene, 0, ahead)
        speeds.append(scene.velocity[0, BALL, 0])
    assert speeds[0] - speeds[1] == pytest.approx(KICK)
    assert pytest.approx(KICK) == 2000 * 0.02 / 3
    assert MASS.tolist() == [50.0] * 4 + [3.0]


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
    scene.position[0, [0, BALL]] = [[0, 0], [0, 7]]  # near enough to see the back of the goal
    scene.yaw[0, 0] = 90
    seen.append(scene.observe(BLUE, np.array([0]))[0][0].reshape(3, 11, 8)[-1, 0, :6].argmax())
    scene.position[0, :3] = [[-5, 0], [-5, 4], [-1, 0]]
    for yaw in (180, 0, 90):
        scene.yaw[0, 0] = yaw
        seen.append(scene.observe(BLUE, np.array([0]))[0][0].reshape(3, 11, 8)[-1, 0, :6].argmax())
    assert seen == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("scale", [4.0, 7.5, 10.0])
def test_soccer_rays_see_the_ball_as_large_as_it_is(scale: float) -> None:
    """Its radius is 0.624 m at 7.5; a ray's ball of 0.5 m flies 0.5 m higher than its middle."""
    scene = field()
    scene.parameters.set("ball_scale", constant(scale))
    scene.reset(np.arange(4))
    scene.position[0, :5] = [[-5, 0], [-9, 5], [9, -5], [9, 5], [3, 0]]
    scene.yaw[0, 0] = 90
    seen = scene.observe(BLUE, np.array([0]))[0][0].reshape(3, 11, 8)[-1, 0]
    reach = np.sqrt((0.624172 * scale / 7.5 + FRONT.radius) ** 2 - 0.5**2)
    assert seen == pytest.approx([1, 0, 0, 0, 0, 0, 0, (8 - reach) / 20], abs=1e-5)


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
