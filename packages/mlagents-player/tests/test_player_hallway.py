"""The scene Hallway, in this process."""

import numpy as np
import pytest

from mlagents_player import Aggregation
from mlagents_player.scenes.hallway import Hallway, O, X
from player_testing import InProcess, discrete

NOTHING, AHEAD, BACK, TURN_RIGHT, TURN_LEFT = range(5)


def hallway(action: int = AHEAD, kind: int = O, side: float = 1.0) -> InProcess:
    """An agent below the goal of the O (`side` 1) or of the X (-1), looking at it, the symbol out of its way."""
    run = InProcess(Hallway, discrete(action))
    scene = run.scene
    scene.kind[:] = kind
    scene.symbol.position[:] = -6, -5
    for goal, x in zip(scene.goals, (7, -7), strict=True):
        goal.position[0, 0] = x
    scene.agent.position[:] = 7 * side, 10
    scene.agent.yaw[:] = 0
    scene.statistics.clear()
    return run


@pytest.mark.parametrize(
    ("kind", "side", "last", "name"),
    [(O, 1, 1, "Correct"), (X, -1, 1, "Correct"), (O, -1, -0.1, "Wrong"), (X, 1, -0.1, "Wrong")],
)
def test_hallway_goals(kind: int, side: int, last: float, name: str) -> None:
    """1 on the goal of the symbol's kind and -0.1 on the other, in place of that window's cost; both are counted."""
    run = hallway(kind=kind, side=side)
    while not run.messages or not run.messages[-1][0]:
        run.run(1)
    (terminal,), _ = run.messages[-1]
    assert terminal.rewards[0] == pytest.approx(last)
    assert not terminal.interrupted[0]
    assert (f"Goal/{name}", 1, Aggregation.SUM) in run.scene.statistics


def test_hallway_timeout() -> None:
    """3000 steps cost 1 in all, over 500 decisions, and are interrupted."""
    run = hallway(NOTHING).run(3001)
    assert sum(b.rewards[0] for e, g in run.messages for b in e + g) == pytest.approx(-1, abs=1e-3)
    assert len(run.messages) == 501
    assert run.messages[-1][0][0].interrupted[0]


def test_hallway_rays_tell_symbols_and_goals_apart() -> None:
    """The middle ray meets the goal of the O 12.29 m ahead less its depth and the ball; the symbol shows its kind."""
    run = hallway()
    rays, _ = run.scene.observe("Hallway", np.array([0]))
    assert rays[0].reshape(3, 5, 7)[-1, 0] == pytest.approx([1, 0, 0, 0, 0, 0, (22.29 - 10 - 2 - 0.5) / 12])
    for kind, column in ((O, 2), (X, 3)):
        run.scene.kind[:] = kind
        run.scene.symbol.position[:] = 7, 14
        rays, _ = run.scene.observe("Hallway", np.array([0]))
        assert rays[0].reshape(3, 5, 7)[-1, 0].argmax() == column


def test_hallway_symbol_is_in_the_way() -> None:
    """Nobody walks through it."""
    run = hallway()
    run.scene.symbol.position[:] = 7, 14
    run.run(60)
    assert run.scene.agent.position[0, 1] == pytest.approx(14 - 0.5 - 0.5, abs=0.05)


def test_hallway_observes_time() -> None:
    """The share of 3000 steps that is gone at each of the last three decisions."""
    run = hallway(NOTHING).run(13)
    assert run.messages[-1][1][0].observations[1][0] == pytest.approx([1 / 3000, 7 / 3000, 13 / 3000])


def test_hallway_resets_vary() -> None:
    """Both symbols and both orders of the goals occur; only the O moves sideways, as in Unity's script."""
    scene = InProcess(Hallway, discrete(NOTHING), areas=100).scene
    assert 20 < scene.kind.sum() < 80
    assert 20 < (scene.goals[0].position[:, 0] > 0).sum() < 80
    assert (scene.goals[0].position[:, 0] == -scene.goals[1].position[:, 0]).all()
    assert (scene.symbol.position[scene.kind == X, 0] == 0).all()
    assert (scene.symbol.position[scene.kind == O, 0] != 0).any()
