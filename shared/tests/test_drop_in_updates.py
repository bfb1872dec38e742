"""Updates of ML-Agents' SAC and behavioural cloning: the same numbers on our replay as on an AgentBuffer."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mlagents.trainers.buffer import AgentBuffer, BufferKey, RewardSignalUtil
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.sac.optimizer_torch import SACSettings, TorchSACOptimizer
from mlagents.trainers.settings import (
    BehavioralCloningSettings,
    CuriositySettings,
    GAILSettings,
    NetworkSettings,
    RewardSignalSettings,
    RewardSignalType,
    RNDSettings,
    TrainerSettings,
)
from mlagents.trainers.torch_entities.components.bc.module import BCModule
from mlagents.trainers.torch_entities.networks import SimpleActor
from mlagents.trainers.trajectory import ObsUtil

from mlagents_plugin_shared.data import ReplayBuffer, ReplayKey
from twins import CASES, STEPS, Case, Twins, assert_same_numbers, parameters, rows_of, write_demonstration

LENGTH = 4  # of the sequences of recurrent networks
MEMORY = 8
SEQUENCES = 12  # in a batch; without memory they are steps

A_WEIGHT = "Policy.network_body._body_endoder.seq_layers.0.weight"

RECURRENT = pytest.mark.parametrize("recurrent", [False, True], ids=["", "recurrent"])


def network_settings(recurrent: bool) -> NetworkSettings:
    memory = NetworkSettings.MemorySettings(sequence_length=LENGTH, memory_size=MEMORY) if recurrent else None
    return NetworkSettings(hidden_units=16, num_layers=1, normalize=True, memory=memory)


def policy(case: Case, recurrent: bool) -> TorchPolicy:
    """A policy as ML-Agents' SAC trainer makes it, with the same parameters every time."""
    torch.manual_seed(0)
    actor = {"conditional_sigma": True, "tanh_squash": True}
    return TorchPolicy(0, case.behavior_spec(), network_settings(recurrent), SimpleActor, actor)


def sac(case: Case, folder: Path, recurrent: bool = False) -> TorchSACOptimizer:
    """ML-Agents' SAC with all four reward signals."""
    demo = write_demonstration(folder / "shown.demo", case.trajectories(count=3), case.behavior_spec())
    network = NetworkSettings(hidden_units=16)
    signals = {
        RewardSignalType.EXTRINSIC: RewardSignalSettings(),
        RewardSignalType.CURIOSITY: CuriositySettings(strength=0.1, network_settings=network),
        RewardSignalType.RND: RNDSettings(strength=0.1, network_settings=network),
        RewardSignalType.GAIL: GAILSettings(strength=0.1, demo_path=demo, use_actions=True, network_settings=network),
    }
    settings = TrainerSettings(
        trainer_type="sac",
        hyperparameters=SACSettings(learning_rate=0.01),
        network_settings=network_settings(recurrent),
        reward_signals=signals,
    )
    return TorchSACOptimizer(policy(case, recurrent), settings)


def sac_update(optimizer: TorchSACOptimizer, batch) -> dict[str, float]:
    """One update of SAC and of its reward signals, in the order of ML-Agents' off-policy trainer."""
    np.random.seed(1)  # noqa: NPY002  GAIL draws demonstrations from the global generator
    torch.manual_seed(1)
    for name, signal in optimizer.reward_signals.items():
        batch[RewardSignalUtil.rewards_key(name)] = signal.evaluate(batch) * signal.strength
    stats = optimizer.update(batch, SEQUENCES)
    return {**stats, **optimizer.update_reward_signals(batch)}


def sac_parameters(optimizer: TorchSACOptimizer) -> dict[str, torch.Tensor]:
    return parameters({**optimizer.policy.get_modules(), **optimizer.get_modules()})


def assert_same_updates(first: TorchSACOptimizer, second: TorchSACOptimizer, theirs, ours) -> None:
    """Three updates each: all statistics, and afterwards all parameters, agree."""
    before = sac_parameters(first)[A_WEIGHT].clone()
    for _ in range(3):
        assert_same_numbers(sac_update(first, theirs), sac_update(second, ours))
    assert_same_numbers(sac_parameters(first), sac_parameters(second))
    assert not torch.equal(before, sac_parameters(first)[A_WEIGHT])


def twins_and_rows(case: Case, recurrent: bool) -> tuple[Twins, np.ndarray]:
    """Both buffers, and rows: steps, or sequences from where ML-Agents cuts them, with the stored states."""
    length, memory = (LENGTH, MEMORY) if recurrent else (1, 0)
    starts = length * np.random.default_rng(0).integers(5 * STEPS // length, size=SEQUENCES)
    twins = Twins(case.trajectories(memory=memory), sequence_length=length, critic_memory=memory)
    return twins, (starts[:, None] + np.arange(length)).ravel()


@RECURRENT
@pytest.mark.parametrize("kind", CASES)
def test_sac_updates_are_the_same(tmp_path: Path, kind: str, recurrent: bool) -> None:
    """Statistics, networks, all four reward signals and entropy coefficients: equal after equal rows."""
    case = CASES[kind]
    twins, rows = twins_and_rows(case, recurrent)
    assert_same_updates(sac(case, tmp_path, recurrent), sac(case, tmp_path, recurrent), *twins.batches(rows))


@RECURRENT
@pytest.mark.parametrize("kind", CASES)
def test_sac_updates_differ_after_one_other_row(tmp_path: Path, kind: str, recurrent: bool) -> None:
    """The comparison above notices one wrong row."""
    case = CASES[kind]
    twins, rows = twins_and_rows(case, recurrent)
    (theirs, _), (_, ours) = twins.batches(rows), twins.batches([*rows[:-1], (rows[-1] + 1) % (5 * STEPS)])
    with pytest.raises(AssertionError, match="Losses/Policy Loss"):
        assert_same_updates(sac(case, tmp_path, recurrent), sac(case, tmp_path, recurrent), theirs, ours)


@pytest.mark.parametrize("kind", ["continuous", "discrete"])
def test_recurrent_sac_updates_are_the_same_on_sampled_sequences(tmp_path: Path, kind: str) -> None:
    """Our sequences start anywhere and repeat the last step of the segment with MASKS 0: SAC heeds both alike."""
    case = CASES[kind]
    twins = Twins(case.trajectories(memory=MEMORY), sequence_length=LENGTH, critic_memory=MEMORY)
    ours = twins.ours.sample_mini_batch(SEQUENCES * LENGTH, LENGTH)
    wanted = ours[ReplayKey.SERIAL][:, None] + np.arange(LENGTH)
    last = wanted[:, :1] // STEPS * STEPS + STEPS - 1
    theirs = rows_of(twins.theirs, np.minimum(wanted, last).ravel())
    theirs[BufferKey.MASKS].set(list((wanted <= last).ravel().astype(float)))
    assert 0 < np.sum(theirs[BufferKey.MASKS]) < SEQUENCES * LENGTH
    assert_same_updates(sac(case, tmp_path, recurrent=True), sac(case, tmp_path, recurrent=True), theirs, ours)


def cloning(case: Case, folder: Path, recurrent: bool) -> BCModule:
    """Behavioural cloning of five demonstrations; one epoch an update, several batches."""
    demo = write_demonstration(folder / "shown.demo", case.trajectories(), case.behavior_spec())
    settings = BehavioralCloningSettings(demo_path=demo, steps=1000, batch_size=8, num_epoch=1)
    return BCModule(policy(case, recurrent), settings, 0.01, default_batch_size=8, default_num_epoch=1)


def as_replay(demonstrations: AgentBuffer, seed: int) -> ReplayBuffer:
    """Our buffer with the rows of a demonstration buffer, which holds no next observations: they are the next rows."""
    sensors = sum(isinstance(key, tuple) for key in demonstrations)
    for i in range(sensors):
        observations = demonstrations[ObsUtil.get_name_at(i)]
        demonstrations[ObsUtil.get_name_at_next(i)].set([*observations[1:], observations[-1]])
    replay = ReplayBuffer(1000, seed=seed)
    demonstrations.resequence_and_append(replay, training_length=1)
    return replay


def cloned(module: BCModule, monkeypatch: pytest.MonkeyPatch, shuffle_seed: int) -> tuple[dict, dict]:
    """The statistics of an update and the parameters after it.

    AgentBuffer shuffles with NumPy's global generator; for the time of the update that is one like the replay's.
    """
    torch.manual_seed(1)
    with monkeypatch.context() as patch:
        patch.setattr(np.random, "shuffle", np.random.default_rng(shuffle_seed).shuffle)
        return module.update(), parameters(module.policy.get_modules())


@RECURRENT
@pytest.mark.parametrize("kind", CASES)
def test_behavioural_cloning_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, recurrent: bool
) -> None:
    """Demonstrations in our replay, shuffled alike: the same loss and policy; shuffled otherwise, another policy."""
    case = CASES[kind]
    theirs = cloning(case, tmp_path, recurrent)
    loss, expected = cloned(theirs, monkeypatch, shuffle_seed=7)
    policies = {}
    for seed in (7, 8):
        ours = cloning(case, tmp_path, recurrent)
        ours.demonstration_buffer = as_replay(ours.demonstration_buffer, seed)
        losses, policies[seed] = cloned(ours, monkeypatch, shuffle_seed=0)
        if seed == 7:
            assert_same_numbers(loss, losses)
    assert_same_numbers(expected, policies[7])
    with pytest.raises(AssertionError):
        assert_same_numbers(expected, policies[8])


class FirstRows:
    """Gives the same rows of either buffer, where each would draw from a generator of its own."""

    def __init__(self, buffer) -> None:
        self.buffer = buffer

    def sample_mini_batch(self, batch_size: int, sequence_length: int):
        return self.buffer.make_mini_batch(0, batch_size)


def test_gail_takes_its_demonstrations_from_our_replay(tmp_path: Path) -> None:
    """The expert's half of its batches can come from a ReplayBuffer too; the same demonstrations, the same losses."""
    case = CASES["hybrid"]
    first, second = (sac(case, tmp_path).reward_signals["gail"] for _ in range(2))
    replay = as_replay(second._demo_buffer, seed=0)
    theirs, ours = Twins(case.trajectories()).batches(range(24))
    for signal, demonstrations in ((first, first._demo_buffer), (second, replay)):
        signal._demo_buffer = FirstRows(demonstrations)
    for _ in range(3):
        stats = []
        for signal, batch in ((first, theirs), (second, ours)):
            torch.manual_seed(1)
            stats.append(signal.update(batch))
        assert_same_numbers(*stats)
