"""The scale of rewards against a slow re-derivation, and what it must not depend on."""

import numpy as np
import pytest
import torch

from mlagents_plugin_shared.learning.reward_scale import RewardScale


def added(rewards: dict[str, list[float]], gamma: float = 0.5, largest: float | None = 5.0) -> RewardScale:
    """A scale of one stream, which has taken in one episode each of some agents."""
    scale = RewardScale({"extrinsic": gamma}, largest)
    for agent_id, episode in rewards.items():
        scale.add(agent_id, {"extrinsic": np.array(episode)}, terminated=True)
    return scale


def test_scale_golden() -> None:
    """G = 1, 2.5, 3.25: the deviation, 0.935414, is more than 3.25 / 5 = 0.65; with G_max 2 it is less than 1.625."""
    assert added({"a": [1.0, 2.0, 2.0]}).scale.item() == pytest.approx(0.935414, abs=1e-6)
    assert added({"a": [1.0, 2.0, 2.0]}, largest=2.0).scale.item() == pytest.approx(1.625)


def test_scale_equals_a_slow_re_derivation_over_segments_and_agents() -> None:
    """Sums go on from segment to segment of an agent, and begin anew after each terminal state."""
    rng = np.random.default_rng(0)
    scale, sums, running = RewardScale({"extrinsic": 0.9}, 5.0), [], {"a": 0.0, "b": 0.0}
    for i in range(40):
        agent_id, rewards, ended = "ab"[i % 2], rng.normal(size=rng.integers(1, 6)), bool(rng.random() < 0.3)
        scale.add(agent_id, {"extrinsic": rewards}, terminated=ended)
        for reward in rewards:
            running[agent_id] = 0.9 * running[agent_id] + reward
            sums.append(running[agent_id])
        if ended:
            running[agent_id] = 0.0
    assert scale.scale.item() == pytest.approx(max(np.std(sums), np.abs(sums).max() / 5.0), rel=1e-6)


@pytest.mark.parametrize(("ending", "largest_sum"), [("interrupted", 100.0), ("terminated", 9.56)])
def test_sums_go_on_behind_an_interruption(ending: str, largest_sum: float) -> None:
    """As the target does, also where each episode has an agent id of its own, as in Unity: 1 / (1 - 0.99)."""
    scale = RewardScale({"extrinsic": 0.99}, 5.0)
    for episode in range(200):
        for agent in "ab":
            scale.add(f"{agent}{episode}", {"extrinsic": np.ones(4)})
        for agent in "ab":
            scale.add(f"{agent}{episode}", {"extrinsic": np.ones(6)}, **{ending: True})
    assert scale._lived.most.item() == pytest.approx(largest_sum, rel=0.01)


def test_sums_of_endless_streams_go_on_behind_terminal_states() -> None:
    """ML-Agents bootstraps some learned rewards there; the extrinsic one beside it, the control, begins anew."""
    scale = RewardScale({"extrinsic": 0.9, "rnd": 0.9}, 5.0, endless=["rnd"])
    for episode in range(100):
        scale.add(str(episode), {"extrinsic": np.ones(1), "rnd": np.ones(1)}, terminated=True)
    assert scale._lived.most.tolist() == pytest.approx([1.0, 10.0], rel=0.01)


def test_sums_that_were_passed_on_survive_a_resume() -> None:
    """The next episode begins with them, as it would have."""
    scale, resumed = RewardScale({"extrinsic": 0.9}, 5.0), RewardScale({"extrinsic": 0.9}, 5.0)
    scale.add("a", {"extrinsic": np.array([4.0])}, interrupted=True)
    resumed.load_state_dict(scale.state_dict())
    for each in (scale, resumed):
        each.add("b", {"extrinsic": np.array([1.0])}, terminated=True)
    assert resumed._lived.most.item() == scale._lived.most.item() == pytest.approx(4.6)


@pytest.mark.parametrize("size", [1e-6, 1e-3, 1e3, 1e6])
def test_scaled_rewards_do_not_depend_on_their_size(size: float) -> None:
    """Thousands and thousandths become the same numbers."""
    rewards = np.random.default_rng(0).normal(size=50)
    expected = 1.0 / added({"a": list(rewards)}).scale.item()
    assert size / added({"a": list(size * rewards)}).scale.item() == pytest.approx(expected, rel=1e-5)


def test_scale_is_one_before_any_reward_and_where_none_is_wanted() -> None:
    """Nothing is divided by nothing."""
    assert added({}).scale.item() == 1.0
    assert added({"a": [0.0, 0.0]}).scale.item() == 1.0
    assert added({"a": [100.0, 50.0]}, largest=None).scale.item() == 1.0


def test_weights_and_shares_undo_the_scale() -> None:
    """Scaled returns of streams, times their weights, stand to each other as unscaled ones; shares count once."""
    scale = RewardScale({"extrinsic": 0.9, "rnd": 0.9}, 5.0)
    scale.add("a", {"extrinsic": np.array([1.0, -3.0]), "rnd": np.array([0.01, 0.02])}, terminated=True)
    returns = torch.tensor([2.0, 0.04])
    weighed = returns / scale.scale * scale.weights
    assert (weighed[0] / weighed[1]).item() == pytest.approx(50.0, rel=1e-5)
    assert scale.weights.max().item() == 1.0
    assert (scale.weights @ scale.shares).item() == pytest.approx(1.0)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_stream_that_has_paid_nothing_leaves_the_others_as_they_are(size: float) -> None:
    """A sparse reward that nobody has found yet must not mute curiosity beside entropy, however small it is."""
    curiosity = size * np.array([1.0, -3.0])
    alone, beside = RewardScale({"rnd": 0.9}, 5.0), RewardScale({"extrinsic": 0.9, "rnd": 0.9}, 5.0)
    alone.add("a", {"rnd": curiosity}, terminated=True)
    beside.add("a", {"extrinsic": np.zeros(2), "rnd": curiosity}, terminated=True)
    assert beside.scale[1] == alone.scale[0]
    assert beside.weights.tolist() == [1.0, 1.0]
    assert (beside.weights @ beside.shares).item() == pytest.approx(1.0)


def test_demonstrations_count_beside_what_was_lived_through() -> None:
    """As if an agent had seen them, and after a resume once and not twice."""
    lived, shown = np.array([1.0, 2.0]), np.array([40.0, -7.0])
    both, seen = RewardScale({"extrinsic": 0.9}, 5.0), RewardScale({"extrinsic": 0.9}, 5.0)
    both.add_demonstration({"extrinsic": shown})
    for rewards, agent_id in ((lived, "a"), (shown, "b")):
        seen.add(agent_id, {"extrinsic": rewards}, terminated=True)
    both.add("a", {"extrinsic": lived}, terminated=True)
    torch.testing.assert_close(both.scale, seen.scale)
    resumed = RewardScale({"extrinsic": 0.9}, 5.0)
    resumed.add_demonstration({"extrinsic": shown})
    resumed.load_state_dict(both.state_dict())
    assert torch.equal(resumed.scale, both.scale)


@pytest.mark.parametrize("shown", [[], [40.0]])
def test_demonstrations_that_come_with_a_resume_count_and_are_spoken_of(
    caplog: pytest.LogCaptureFixture, shown: list[float]
) -> None:
    """None, the control, say nothing."""
    resumed = RewardScale({"extrinsic": 0.5}, 5.0)
    resumed.add_demonstration({"extrinsic": np.array(shown)})
    resumed.load_state_dict(added({"a": [1.0, 2.0]}).state_dict())
    assert (resumed.scale.item() >= 40.0 / 5.0) == bool(shown)
    assert ("other demonstrations" in caplog.text) == bool(shown)


def test_rewards_that_are_no_numbers_leave_it_alone() -> None:
    """A NaN would never leave the statistics again, nor the sums that are passed on."""
    scale, control = added({"a": [1.0, 2.0]}), added({"a": [1.0, 2.0]})
    before = scale.scale.item()
    scale.add("b", {"extrinsic": np.array([np.nan])}, interrupted=True)
    assert scale.scale.item() == before
    for each in (scale, control):
        each.add("c", {"extrinsic": np.array([3.0])}, terminated=True)
    assert torch.equal(scale.scale, control.scale)


@pytest.mark.parametrize("same", [True, False])
def test_the_same_demonstrations_stay_what_they_were(same: bool) -> None:
    """What GAIL pays for them changes as it learns; of others, the control, the new ones count."""
    scale = RewardScale({"gail": 0.9}, 5.0)
    scale.add_demonstration({"gail": np.array([1.0, 2.0])})
    resumed = RewardScale({"gail": 0.9}, 5.0)
    resumed.add_demonstration({"gail": np.array([30.0, 40.0] if same else [30.0, 40.0, 50.0])})
    resumed.load_state_dict(scale.state_dict())
    assert torch.equal(resumed.scale, scale.scale) == same


def test_resumed_run_begins_its_episodes_anew() -> None:
    """Another episode of the same agent id owes nothing to the one that the end of the run has cut."""
    scale = RewardScale({"extrinsic": 0.9}, 5.0)
    scale.add("a", {"extrinsic": np.array([4.0, 4.0])})
    resumed = RewardScale({"extrinsic": 0.9}, 5.0)
    resumed.load_state_dict(scale.state_dict())
    scale.forget("a")
    for each in (scale, resumed):
        each.add("a", {"extrinsic": np.array([4.0])}, terminated=True)
    assert torch.equal(resumed.scale, scale.scale)


@pytest.mark.parametrize("strengths", [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0)])
def test_signal_of_strength_0_leaves_what_was_seen_of_the_others(strengths: tuple[float, float]) -> None:
    """A resumed run goes on with it."""
    gammas, rewards = {"extrinsic": 0.9, "rnd": 0.5}, np.array([1.0, 4.0, -2.0])
    scale, resumed = (RewardScale(gammas, 5.0, strengths) for _ in range(2))
    scale.add("a", {"extrinsic": strengths[0] * rewards, "rnd": strengths[1] * rewards}, terminated=True)
    resumed.load_state_dict(scale.state_dict())
    assert torch.equal(resumed.scale, scale.scale)
    assert (scale.scale.max().item() == 1.0) == (strengths == (0.0, 0.0))


@pytest.mark.parametrize("strength", [0.1, -2.0, 100.0])
def test_another_strength_leaves_scaled_rewards_as_they_were(strength: float) -> None:
    """Statistics are as if it had always been that one."""
    gammas, rewards = {"extrinsic": 0.9, "rnd": 0.5}, np.array([1.0, 4.0, -2.0])
    before = RewardScale(gammas, 5.0, [1.0, 3.0])
    always = RewardScale(gammas, 5.0, [strength, 3.0])
    for scale, size in ((before, 1.0), (always, strength)):
        scale.add("a", {"extrinsic": size * rewards, "rnd": 3.0 * rewards}, terminated=True)
    resumed = RewardScale(gammas, 5.0, [strength, 3.0])
    resumed.load_state_dict(before.state_dict())
    for scale in (always, resumed):
        scale.add("a", {"extrinsic": strength * rewards, "rnd": 3.0 * rewards}, terminated=True)
    torch.testing.assert_close(resumed.scale, always.scale)
    torch.testing.assert_close(resumed.weights, always.weights)


@pytest.mark.parametrize(("gamma", "strength"), [(0.5, 1.0), (0.9, 0.0)])
def test_sums_of_another_kind_begin_anew(caplog: pytest.LogCaptureFixture, gamma: float, strength: float) -> None:
    """Sums by another discount tell nothing of these, as is said, and rewards of strength 0 were never seen."""
    saved = RewardScale({"extrinsic": gamma}, 5.0, [strength])
    saved.add("a", {"extrinsic": strength * np.array([40.0, 40.0])})
    resumed = RewardScale({"extrinsic": 0.9}, 5.0, [1.0])
    resumed.load_state_dict(saved.state_dict())
    assert resumed.scale.item() == 1.0
    assert ("another reward_scaling, v_max or gamma" in caplog.text) == (gamma != 0.9)


@pytest.mark.parametrize("largest", [5.0, 10.0, None])
def test_another_range_is_spoken_of(caplog: pytest.LogCaptureFixture, largest: float | None) -> None:
    """Critics would go on with values of another size; the same range, the control, says nothing."""
    with caplog.at_level("WARNING"):
        RewardScale({"extrinsic": 0.5}, largest).load_state_dict(added({"a": [1.0, 2.0]}).state_dict())
    assert ("another reward_scaling, v_max or gamma" in caplog.text) == (largest != 5.0)
    assert "other demonstrations" not in caplog.text
