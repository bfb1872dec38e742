"""A trainer says what makes its trajectories: the class in its attribute `agent_manager`, or else ML-Agents' own."""

from typing import Any

from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.trainer_controller import TrainerController

_create_trainer_and_manager = TrainerController._create_trainer_and_manager


def _create_with_its_manager(controller: Any, env_manager: Any, name_behavior_id: str) -> None:
    _create_trainer_and_manager(controller, env_manager, name_behavior_id)
    outer = controller.trainers[BehaviorIdentifiers.from_name_behavior_id(name_behavior_id).brain_name]
    trainer = getattr(outer, "trainer", outer)  # in self-play ML-Agents' own is around it
    if hasattr(trainer, "agent_manager"):
        stock = env_manager.agent_managers[name_behavior_id]
        manager = trainer.agent_manager(
            stock.policy, name_behavior_id, outer.stats_reporter, outer.parameters.time_horizon, outer.threaded
        )
        manager.take_over(stock)
        env_manager.set_agent_manager(name_behavior_id, manager)


TrainerController._create_trainer_and_manager = _create_with_its_manager
