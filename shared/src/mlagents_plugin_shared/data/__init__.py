"""The data: segments of trajectories, and array-backed buffers that stand in for ML-Agents' `AgentBuffer`."""

from mlagents_plugin_shared.data.batch import Batch, ReplayKey, join_batches
from mlagents_plugin_shared.data.memory import BufferMemoryError
from mlagents_plugin_shared.data.mixed import MixedReplay
from mlagents_plugin_shared.data.prioritized import PrioritizedReplayBuffer
from mlagents_plugin_shared.data.replay import ReplayBuffer
from mlagents_plugin_shared.data.rollout import RolloutBuffer, StreamSteps

__all__ = [
    "Batch",
    "BufferMemoryError",
    "MixedReplay",
    "PrioritizedReplayBuffer",
    "ReplayBuffer",
    "ReplayKey",
    "RolloutBuffer",
    "StreamSteps",
    "join_batches",
]
