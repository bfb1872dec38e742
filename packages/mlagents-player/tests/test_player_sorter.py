"""The scene Sorter, in this process."""

import numpy as np
import pytest

from mlagents_player import Actions, parameters
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.scenes.sorter import FACE, Sorter
from player_testing import InProcess, discrete

ONE = np.array([0])


def sorter(tiles: int = 3) -> Sorter:
    """Tiles 4, 8 and 15 at 0, 90 and 180 degrees."""
    scene = InProcess(Sorter, discrete(0, 0, 0)).scene
    scene.count[:] = tiles
    scene.number[0, :3] = 4, 8, 15
    scene.angle[0, :3] = 0, 90, 180
    return scene


def touch(scene: Sorter, angle: float) -> tuple[float, bool]:
    """Walk from the middle to the ring; the reward and whether the episode ended."""
    scene.rewards[:] = 0
    scene.agent.position[:] = 0
    scene.simulate()
    scene.agent.position[:] = FACE * np.array([np.sin(np.radians(angle)), np.cos(np.radians(angle))])
    scene.simulate()
    return float(scene.rewards[0]), bool(scene.ended[0])


def test_sorter_ascending_order_wins() -> None:
    """1 for each tile in turn, nothing for one again or for the bare wall; the last ends the episode."""
    scene = sorter()
    assert touch(scene, 0) == (1, False)
    assert touch(scene, 0) == (0, False)
    assert touch(scene, 45) == (0, False)
    assert touch(scene, 90) == (1, False)
    assert touch(scene, 180) == (1, True)


def test_sorter_wrong_order_loses() -> None:
    """-1 and the end."""
    assert touch(sorter(), 180) == (-1, True)


def test_sorter_staying_at_a_tile_counts_once() -> None:
    """A touch counts when it begins."""
    scene = sorter()
    touch(scene, 0)
    scene.simulate()
    assert scene.rewards[0] == 1


def test_sorter_entities() -> None:
    """Each tile: one-hot number, way to it in twentieths of a metre, visited; the other rows are zero."""
    scene = sorter()
    touch(scene, 0)
    scene.agent.position[:] = 0, 4
    tiles, own = scene.observe("Sorter", ONE)
    assert tiles[0, :3, :20].argmax(axis=1).tolist() == [4, 8, 15]
    assert tiles[0, :3, 20:22] == pytest.approx(np.array([[0, FACE - 4], [FACE, -4], [0, -FACE - 4]]) / 20, abs=1e-6)
    assert tiles[0, :3, 22].tolist() == [1, 0, 0]
    assert not tiles[0, 3:].any()
    assert own[0] == pytest.approx([0, 0.2, 0, 1])


@pytest.mark.parametrize("most", [1, 5, 20])
def test_sorter_number_of_tiles(most: int) -> None:
    """From 1 to `num_tiles`, with different numbers in ascending order at different places."""
    given = EnvironmentParameters()
    given.set("num_tiles", parameters.constant(most))
    scene = InProcess(Sorter, discrete(0, 0, 0), areas=200, parameters=given).scene
    assert set(scene.count) <= set(range(1, most + 1))
    assert {1, most} <= set(scene.count)
    for agent in range(200):
        count = scene.count[agent]
        assert (np.diff(scene.number[agent, :count]) > 0).all()
        assert len(set(scene.angle[agent, :count])) == count


def test_sorter_runs_where_it_looked_before_it_turned() -> None:
    """A push of 2 m/s, less the drag of 4 and the floor's 0.6 x 2.5 x 9.81 m/s², along the yaw before the turn."""
    scene = sorter()
    scene.agent.yaw[:] = 0
    scene.act(ONE, Actions(np.zeros((1, 0), np.float32), np.int32([[1, 0, 2]])))
    scene.simulate()
    assert scene.agent.velocity[0] == pytest.approx([0, 2 * 0.92 - 0.6 * 2.5 * 9.81 * 0.02])
    assert scene.agent.yaw[0] == pytest.approx(4)


def test_sorter_agent_stays_in_the_ring() -> None:
    """Running outward for long ends at the wall."""
    run = InProcess(Sorter, discrete(1, 0, 0))
    run.scene.angle[:] = 90  # no tile in the way
    run.run(200)
    assert run.scene.agent.position[0] == pytest.approx([0, FACE - 0.5])
