"""ML-Agents' own reward signals, unchanged, on our batches: the same numbers as on an AgentBuffer."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.settings import (
    CuriositySettings,
    GAILSettings,
    NetworkSettings,
    RewardSignalSettings,
    RewardSignalType,
    RNDSettings,
)
from mlagents.trainers.torch_entities.components.reward_providers import BaseRewardProvider, create_reward_provider

from fakes import HYBRID, trajectory
from mlagents_plugin_shared.data import ReplayBuffer, RolloutBuffer
from mlagents_plugin_shared.data.trajectories import trajectory_to_segment
from twins import CASES, STEPS, Case, Twins, assert_same_numbers, rows_of, write_demonstration

SIGNALS = {
    "extrinsic": (RewardSignalType.EXTRINSIC, RewardSignalSettings, {}),
    "curiosity": (RewardSignalType.CURIOSITY, CuriositySettings, {}),
    "rnd": (RewardSignalType.RND, RNDSettings, {}),
    "gail": (RewardSignalType.GAIL, GAILSettings, {}),
    "gail with actions": (RewardSignalType.GAIL, GAILSettings, {"use_actions": True}),
    "gail with vail": (RewardSignalType.GAIL, GAILSettings, {"use_vail": True}),
}


def provider(signal: str, case: Case, folder: Path) -> BaseRewardProvider:
    """A reward signal whose networks start with the same parameters every time."""
    kind, settings_class, options = SIGNALS[signal]
    if kind is RewardSignalType.GAIL:
        demo = write_demonstration(folder / "shown.demo", case.trajectories(count=3), case.behavior_spec())
        options = {**options, "demo_path": demo}
    settings = settings_class(network_settings=NetworkSettings(hidden_units=16, normalize=True), **options)
    torch.manual_seed(0)
    return create_reward_provider(kind, case.behavior_spec(), settings)


def update(signal: BaseRewardProvider, batch) -> dict:
    """An update; GAIL draws demonstrations, and noise for its gradient penalty, from these generators."""
    np.random.seed(1)  # noqa: NPY002  ML-Agents draws from the global generator
    torch.manual_seed(1)
    return signal.update(batch)


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("kind", CASES)
def test_replay_buffer_reward_signals_give_the_same_numbers(tmp_path: Path, kind: str, signal: str) -> None:
    """Evaluate, update and evaluate again: rewards and losses agree on the same rows."""
    case = CASES[kind]
    first, second = provider(signal, case, tmp_path), provider(signal, case, tmp_path)
    rows = np.random.default_rng(0).integers(5 * STEPS, size=24)
    theirs, ours = Twins(case.trajectories()).batches(rows)
    for _ in range(3):
        rewards = first.evaluate(theirs)
        np.testing.assert_allclose(second.evaluate(ours), rewards, rtol=1e-5, atol=1e-7)
        assert_same_numbers(update(first, theirs), update(second, ours))
    assert rewards.shape == (24,)


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("kind", CASES)
def test_reward_signals_tell_rows_apart(tmp_path: Path, kind: str, signal: str) -> None:
    """The comparison above would notice one wrong row of 24: rewards, and losses where there are any, differ."""
    case = CASES[kind]
    first, second = provider(signal, case, tmp_path), provider(signal, case, tmp_path)
    rows = np.random.default_rng(0).integers(5 * STEPS, size=24)
    twins = Twins(case.trajectories())
    theirs, _ = twins.batches(rows)
    _, ours = twins.batches([*rows[:-1], (rows[-1] + 1) % (5 * STEPS)])
    losses, others = update(first, theirs), update(second, ours)
    if losses:
        with pytest.raises(AssertionError):
            assert_same_numbers(losses, others)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(second.evaluate(ours)[-1], first.evaluate(theirs)[-1], rtol=1e-5)


@pytest.mark.parametrize("kind", CASES)
def test_segments_and_appended_columns_are_the_same_transitions(kind: str) -> None:
    """`add` stores what AgentBuffer's `resequence_and_append` stores; after an interruption it knows one step more."""
    case = CASES[kind]
    trajectories = case.trajectories()
    theirs, appended = Twins(trajectories).batches(range(5 * STEPS))
    buffer = ReplayBuffer(100)
    for each in trajectories:
        buffer.add(trajectory_to_segment(each, case.action_spec))
    added = buffer.gather(np.arange(5 * STEPS))
    interrupted = 2 * STEPS - 1, 5 * STEPS - 1
    for key in appended:
        np.testing.assert_array_equal(np.delete(appended[key], interrupted, 0), np.delete(added[key], interrupted, 0))
        if key in theirs:
            np.testing.assert_allclose(appended[key], theirs[key], atol=1e-7)
    np.testing.assert_array_equal(np.flatnonzero(added[BufferKey.DONE]), [STEPS - 1, 4 * STEPS - 1])


@pytest.mark.parametrize("signal", SIGNALS)
def test_rollout_buffer_reward_signals_give_the_same_numbers(tmp_path: Path, signal: str) -> None:
    """A whole rollout is evaluated as the AgentBuffer of the same trajectories, buffer or batch alike."""
    trajectories = [trajectory(HYBRID, STEPS, seed=seed) for seed in range(3)]
    buffer = RolloutBuffer()
    for each in trajectories:
        buffer.add(trajectory_to_segment(each, HYBRID))
    theirs = rows_of(Twins(trajectories).theirs, range(3 * STEPS))
    first, second = (provider(signal, CASES["hybrid"], tmp_path) for _ in range(2))
    assert_same_numbers(update(first, theirs), update(second, buffer.batch()))
    for ours in (buffer.batch(), buffer):
        np.testing.assert_allclose(second.evaluate(ours), first.evaluate(theirs), rtol=1e-5, atol=1e-7)
