"""Array-backed buffers that stand in for ML-Agents' `AgentBuffer`."""

from mlagents_plugin_shared.buffers.batch import Batch, join_batches
from mlagents_plugin_shared.buffers.memory import BufferMemoryError
from mlagents_plugin_shared.buffers.mixed import MixedReplay
from mlagents_plugin_shared.buffers.prioritized import PrioritizedReplayBuffer
from mlagents_plugin_shared.buffers.replay import ReplayBuffer
from mlagents_plugin_shared.buffers.rollout import RolloutBuffer, StreamSteps
from mlagents_plugin_shared.buffers.selection import ReplayKey

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
