"""A trainer says what makes its trajectories: the class in its attribute `agent_manager`, or else ML-Agents' own."""

from typing import Any

from mlagents.trainers.agent_processor import AgentManager
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.ghost.trainer import GhostTrainer
from mlagents.trainers.trainer_controller import TrainerController

_create_trainer_and_manager = TrainerController._create_trainer_and_manager


def _create_with_its_manager(controller: Any, env_manager: Any, name_behavior_id: str) -> None:
    _create_trainer_and_manager(controller, env_manager, name_behavior_id)
    outer = controller.trainers[BehaviorIdentifiers.from_name_behavior_id(name_behavior_id).brain_name]
    kind = getattr(outer.trainer if isinstance(outer, GhostTrainer) else outer, "agent_manager", AgentManager)
    if kind is not AgentManager:
        stock = env_manager.agent_managers[name_behavior_id]
        manager = kind(
            stock.policy, name_behavior_id, outer.stats_reporter, outer.parameters.time_horizon, outer.threaded
        )
        _take_over(manager, stock)
        env_manager.set_agent_manager(name_behavior_id, manager)


def _take_over(manager: AgentManager, stock: AgentManager) -> None:
    """Goes on with the queues of another manager, which has taken in nothing yet and whose queues a trainer knows."""
    manager.trajectory_queue, manager.policy_queue = stock.trajectory_queue, stock.policy_queue
    manager._trajectory_queues = stock._trajectory_queues


TrainerController._create_trainer_and_manager = _create_with_its_manager
