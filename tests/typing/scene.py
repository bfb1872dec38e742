"""A scene as its author writes it against the player: `nox -s types` checks it strictly, nothing runs it."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mlagents_player import (
    Actions,
    ActionSpec,
    Aggregation,
    BehaviorSpec,
    Rows,
    Scene,
    SceneEnvironment,
    vector_observation,
)


class Line(Scene):
    """One agent on a line."""

    behaviors: ClassVar = {"Line": BehaviorSpec([vector_observation(1, "Line")], ActionSpec(0, (3,)))}
    max_step = 50

    def reset(self, agents: Rows) -> None:
        """Back to the middle."""
        self.group_ids[agents] = 0

    def observe(self, behavior: str, agents: Rows) -> list[NDArray[np.float32]]:
        """The number of the step."""
        return [self.step_count[agents, None].astype(np.float32)]

    def action_mask(self, behavior: str, agents: Rows) -> NDArray[np.bool_] | None:
        """Everything is allowed."""
        return None

    def act(self, agents: Rows, actions: Actions) -> None:
        """Reward the step to the right."""
        moved: NDArray[np.int32] = actions.discrete[:, 0]
        self.add_reward(agents, (moved == 2).astype(np.float32))
        self.end_episode(agents[moved == 1], interrupted=True)
        self.add_statistic("Line/Moved", float(moved.mean()), Aggregation.MOST_RECENT)


def played(steps: int) -> float:
    """The scene in one's own process, as ML-Agents' low-level API has it."""
    environment = SceneEnvironment(Line, num_areas=2, seed=1, parameters={"length": 3.0})
    environment.reset()
    for _ in range(steps):
        environment.step()
    (name,) = environment.behavior_specs
    decisions, _ = environment.get_steps(name)
    environment.close()
    return float(decisions.reward.sum())


def mistakes(scene: Line, agents: Rows) -> None:
    """Faults that an author's checker must find: where one passes, a type was lost, and its `ignore` is an error."""
    scene.add_reward(agents, "much")  # type: ignore[arg-type]
    scene.end_episode(agents, interupted=True)  # type: ignore[call-arg]
    scene.add_statistic("Line/Moved", 1.0, "mean")  # type: ignore[arg-type]
    SceneEnvironment(scene)  # type: ignore[arg-type]
    SceneEnvironment("Basic", areas=2)  # type: ignore[call-arg]
    vector_observation("one", "Line")  # type: ignore[arg-type]
