"""Demonstrations in line with the agent's own data: what batches hold, what the margin loss does, what is learned."""

import logging
import os
from collections import defaultdict
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.settings import strict_to_cls
from mlagents.trainers.trajectory import ObsUtil
from mlagents_envs.base_env import ActionSpec

from dqn_runs import MEMORY, NO_LEARNING, config, final_return
from dqn_testing import BRANCHES, behavior_spec, decision_steps, disturb, segment, trainer
from mlagents_plugin_dqn.settings import Distribution, DQNSettings
from mlagents_plugin_shared.data import PrioritizedReplayBuffer, ReplayKey
from mlagents_plugin_shared.testing import Corridor, Match, Recall, ToyEnv, record, train

DISTRIBUTIONS = [kind.value for kind in Distribution]
FOLDER = os.environ.get("MLAGENTS_REFERENCE_DATA")
RECURRENT = {"network_settings": {"hidden_units": 16, "memory": {"memory_size": 8, "sequence_length": 4}}}


class Choices(ToyEnv):
    """Four observations with masks of two branches and costs, then one of two kinds of end."""

    action_spec = ActionSpec(0, BRANCHES)
    observation_shapes = ((4,),)

    def begin(self, agents: np.ndarray) -> None:
        self.age = 0
        self.interrupts = self.rng.random() < 0.5

    def observe(self) -> list[np.ndarray]:
        return [np.random.default_rng(self.age).normal(size=(1, 4)).astype(np.float32)]

    def legal(self) -> np.ndarray:
        return np.array([[self.age != 1, True, self.age != 2, True, True]])

    def act(self, action):
        self.age += 1
        over = np.array([self.age == 4])
        return -np.ones(1), over & (not self.interrupts), over & self.interrupts


class Basic(ToyEnv):
    """Unity's Basic: of 20 places the 7th pays 0.1 and the 17th pays 1, a step costs 0.01. Best return 0.93."""

    action_spec = ActionSpec(0, (3,))
    observation_shapes = ((20,),)

    def begin(self, agents: np.ndarray) -> None:
        if len(agents) == self.num_agents:
            self.place = np.full(self.num_agents, 10)
            self.age = np.zeros(self.num_agents, int)
        self.place[agents], self.age[agents] = 10, 0

    def observe(self) -> list[np.ndarray]:
        return [np.eye(20, dtype=np.float32)[self.place]]

    def act(self, action):
        self.place = np.clip(self.place + np.array([0, -1, 1])[action.discrete[:, 0]], 0, 19)
        self.age += 1
        small, large = self.place == 7, self.place == 17
        return 0.1 * small + large - 0.01, small | large, ~(small | large) & (self.age >= 100)


def right(observation: np.ndarray) -> list[int]:
    """The expert of the corridor."""
    return [2]


def shown_choices(observation: np.ndarray) -> list[int]:
    """The expert of `Match`."""
    return [int(part.argmax()) for part in np.split(observation[:8], [3, 6])]


@pytest.fixture
def demo(tmp_path: Path) -> str:
    """Four whole episodes, terminated and interrupted, and one that breaks off: 19 decisions, 18 of which led on."""
    return record(Choices(1, seed=3), lambda observation: [1, 0], tmp_path / "choices.demo", decisions=19)


@pytest.fixture
def corridor_demo(tmp_path: Path) -> str:
    """An expert walks the corridor."""
    return record(Corridor(1), right, tmp_path / "corridor.demo", decisions=100)


def learner(demo: str, settings: dict | None = None, **options):
    """A trainer with demonstrations and a filled replay, whose target network differs from the online one."""
    dqn = trainer(settings=settings, demo_path=demo, **options)
    for i in range(6):
        ends = [{}, {"terminated": True}, {"interrupted": True}][i % 3]
        memory = 8 if settings == RECURRENT else 0
        dqn.update_buffer.add(segment(dqn.policy.behavior_spec, 7, agent_id=str(i), seed=i, memory=memory, **ends))
    disturb(dqn.optimizer.target)
    return dqn


def test_batch_has_its_share_of_demonstrations(demo: str) -> None:
    """Half of 8 rows are demonstrated choices with their rewards; the last of the broken-off episode is not known."""
    dqn = learner(demo, demo_ratio=0.5, n_step=1)
    assert dqn.demonstrations.num_experiences == 17
    batch = dqn.sample()
    shown = batch[ReplayKey.DEMONSTRATION].astype(bool)
    assert shown.tolist() == [False] * 4 + [True] * 4
    assert (batch[BufferKey.DISCRETE_ACTION][shown] == [1, 0]).all()
    assert (batch[BufferKey.ENVIRONMENT_REWARDS][shown] == -1.0).all()
    assert not (batch[BufferKey.ENVIRONMENT_REWARDS][~shown] == -1.0).any()


def test_without_demonstrations_nothing_is_marked() -> None:
    """The switch is off by default, and costs nothing then."""
    dqn = trainer()
    dqn.update_buffer.add(segment(dqn.policy.behavior_spec, 7, terminated=True))
    batch = dqn.sample()
    assert ReplayKey.DEMONSTRATION not in batch
    assert "Losses/Margin Loss" not in dqn.optimizer.update(batch, 8)


@pytest.mark.parametrize("settings", [None, RECURRENT], ids=["feed-forward", "memory"])
@pytest.mark.parametrize(("distribution", "prioritized"), [*product(DISTRIBUTIONS, [False, True])])
def test_every_distribution_learns_from_mixed_batches(
    demo: str, distribution: str, prioritized: bool, settings: dict | None
) -> None:
    """Updates are finite and change the weights; priorities of both replays are those of their own rows."""
    torch.manual_seed(0)  # there are weights by which every demonstrated choice is ahead by the margin
    dqn = learner(
        demo, settings, distribution=distribution, prioritized_replay=prioritized, burn_in=2 if settings else 0,
        munchausen=True, noisy=True, num_quantiles=4, demo_ratio=0.5,
    )  # fmt: skip
    before = [p.clone() for p in dqn.optimizer.online.parameters()]
    stats: dict[str, list] = defaultdict(list)
    for _ in range(3):
        dqn._learn(stats, dqn.sample())
    assert all(np.isfinite(float(value)) for values in stats.values() for value in values)
    assert float(stats["Losses/Margin Loss"][0]) > 0.0
    assert any(not torch.equal(a, b) for a, b in zip(before, dqn.optimizer.online.parameters(), strict=True))
    if prioritized:
        for replay in (dqn.update_buffer, dqn.demonstrations):
            assert isinstance(replay, PrioritizedReplayBuffer)
            assert len(set(replay._ring.tree.values[replay._ring.sampleable[:-1]])) > 1


@pytest.mark.parametrize("distribution", [kind for kind in DISTRIBUTIONS if kind != "implicit_quantile"])
def test_margin_loss_is_re_derived_in_a_slow_loop(demo: str, distribution: str) -> None:
    """max_a [Q + margin where a is not the demonstrated] - Q of it, over legal actions; 0 for the agent's own rows."""
    dqn = learner(demo, distribution=distribution, demo_ratio=0.5, demo_margin=0.3, learning_rate=1e-12)
    batch = dqn.sample()
    q = dqn.optimizer.online.scores([torch.as_tensor(batch[ObsUtil.get_name_at(0)])])[0].detach().numpy()
    expected = []
    for b in np.flatnonzero(batch[ReplayKey.DEMONSTRATION]):
        for d, branch in enumerate(((0, 1, 2), (3, 4))):
            demonstrated = branch[0] + int(batch[BufferKey.DISCRETE_ACTION][b, d])
            legal = [a for a in branch if batch[BufferKey.ACTION_MASK][b, a] or a == demonstrated]
            expected.append(max(q[b, a] + 0.3 * (a != demonstrated) for a in legal) - q[b, demonstrated])
    found = float(dqn.optimizer.update(batch, 8)["Losses/Margin Loss"])
    assert found == pytest.approx(sum(expected) / (8 * 2), rel=1e-4)  # mean over 8 rows and 2 branches


def lead(dqn) -> float:
    """By how much the demonstrated actions lead, in the worst demonstrated state and branch."""
    batch = dqn.demonstrations.make_mini_batch(0, 18)
    q = dqn.optimizer.online.scores([torch.as_tensor(batch[ObsUtil.get_name_at(0)])])[0].detach().numpy()
    q = np.where(batch[BufferKey.ACTION_MASK], q, -np.inf)
    return float(min((q[:, 1] - q[:, [0, 2]].max(axis=1)).min(), (q[:, 3] - q[:, 4]).min()))


@pytest.mark.parametrize(("weight", "leads"), [(1.0, True), (0.0, False)])
def test_margin_loss_makes_demonstrated_actions_lead(demo: str, weight: float, leads: bool) -> None:
    """Nearly by the margin of 0.8 in every state and branch; the control without it gives them no lead."""
    torch.manual_seed(0)
    dqn = trainer(demo_path=demo, demo_pretraining_steps=300, demo_margin_weight=weight, learning_rate=5e-3, n_step=1)
    assert (lead(dqn) > 0.5) == leads


def test_margin_loss_leaves_the_agents_own_actions_alone(demo: str) -> None:
    """Without demonstrations in the batch its weight plays no part; with them it does."""
    for ratio, same in ((1e-9, True), (0.5, False)):
        found = []
        for weight in (0.0, 10.0):
            torch.manual_seed(1)
            dqn = learner(demo, demo_ratio=ratio, demo_margin_weight=weight)
            dqn._learn(defaultdict(list), dqn.sample())
            found.append(torch.nn.utils.parameters_to_vector(dqn.optimizer.parameters))
        assert torch.equal(*found) == same


def test_pretraining_says_how_it_goes_and_is_on_demonstrations_alone(demo: str, caplog) -> None:
    """Ten lines on the log, as many updates as asked for, and batches without any row of the agent."""
    with caplog.at_level(logging.INFO):
        dqn = trainer(demo_path=demo, demo_pretraining_steps=20, demo_ratio=0.25)
    lines = [line for line in caplog.messages if "updates on demonstrations" in line]
    assert len(lines) == 10
    assert "Toy: 20 of 20 updates on demonstrations, Losses/Value Loss" in lines[-1]
    assert dqn.optimizer.updates == 20
    assert dqn.replay.ratio == 0.25


def test_demonstrations_set_the_normalisation(demo: str) -> None:
    """Online and target network know the observations' scale before the first step."""
    settings = {"network_settings": {"hidden_units": 16, "num_layers": 1, "normalize": True}}
    dqn = trainer(settings=settings, demo_path=demo)
    for network in (dqn.optimizer.online, dqn.optimizer.target):
        encoder = network.network_body.processors[0]
        assert float(encoder.normalizer.normalization_steps) == 1 + 18
        assert encoder.normalizer.running_mean.abs().min() > 0


def pretrained(env: ToyEnv, folder: Path, memory: dict | None = None, **demonstrations) -> float:
    """The return of an agent that never learns from what it does itself, and never explores."""
    alone = {"exploration_schedule": "constant", "exploration_initial_eps": 0.0}
    alone |= {"buffer_init_steps": 5000} if demonstrations else NO_LEARNING  # without any update the run is refused
    trained = train(env, config(600, {**alone, **demonstrations}, {"memory": memory}), folder)
    assert not demonstrations or trained.optimizer.updates == demonstrations["demo_pretraining_steps"]
    return final_return(env)


@pytest.mark.parametrize("masked", [False, True])
def test_pretraining_alone_solves_the_corridor(tmp_path: Path, masked: bool) -> None:
    """From 100 decisions of an expert to the best return, with no update on the agent's own data."""
    demo = record(Corridor(1, masked=masked), right, tmp_path / "expert.demo", decisions=100)
    env = Corridor(masked=masked)
    assert pretrained(env, tmp_path, demo_path=demo, demo_pretraining_steps=200) >= 0.7
    assert env.illegal_actions == 0


def test_without_demonstrations_the_corridor_is_not_solved(tmp_path: Path) -> None:
    """The control."""
    assert pretrained(Corridor(), tmp_path) < 0.5


def test_pretraining_alone_learns_several_branches(tmp_path: Path) -> None:
    """300 choices of three branches; without them the control stays at chance, 7/18."""
    demo = record(Match(1), shown_choices, tmp_path / "expert.demo", decisions=300)
    assert pretrained(Match(), tmp_path / "with", demo_path=demo, demo_pretraining_steps=300) >= 0.9
    assert pretrained(Match(), tmp_path / "without") < 0.6


def test_pretraining_alone_learns_with_memory(tmp_path: Path, corridor_demo: str) -> None:
    """The corridor by sequences, with burn-in and priorities."""
    options = {"demo_path": corridor_demo, "demo_pretraining_steps": 200, "prioritized_replay": True, "burn_in": 2}
    assert pretrained(Corridor(), tmp_path, MEMORY, **options) >= 0.7


class Recaller:
    """Chooses the sign that was seen, in the step in which it counts, and 0 before."""

    def __call__(self, observation: np.ndarray) -> list[int]:
        if observation[:2].any():
            self.sign = int(observation[:2].argmax())
        return [self.sign if observation[2] else 0]


@pytest.mark.parametrize("interval", [100, 0])
def test_pretraining_learns_to_remember_where_states_are_computed_anew(tmp_path: Path, interval: int) -> None:
    """Sequences of three of six steps: those with the choice that counts begin after the sign was seen.

    The control begins them with a state of zeros, as a recording has it, and learns to guess.
    """
    demo = record(Recall(1, length=6, seed=5), Recaller(), tmp_path / "recall.demo", decisions=300)
    memory = {"memory_size": 32, "sequence_length": 3}
    options = {"demo_path": demo, "demo_pretraining_steps": 1000, "memory_refresh_interval": interval}
    found = pretrained(Recall(length=6), tmp_path, memory, **options)
    assert found >= 0.9 if interval else found < 0.5


@pytest.mark.skipif(not FOLDER, reason="MLAGENTS_REFERENCE_DATA names no folder of recordings")
def test_unitys_own_recording_is_enough_for_basic(tmp_path: Path) -> None:
    """100 updates on the 73 decisions of ExpertBasic.demo give the best return, 0.93; the control without gets -1."""
    demo = str(Path(str(FOLDER)) / "ExpertBasic.demo")
    assert pretrained(Basic(), tmp_path / "with", demo_path=demo, demo_pretraining_steps=100) >= 0.92
    assert pretrained(Basic(), tmp_path / "without") < 0.5


def test_protected_part_never_shrinks(tmp_path: Path, corridor_demo: str) -> None:
    """A whole run with a replay of 200: the agent's part has turned over, all demonstrations are as at the start."""
    done = train(Corridor(), config(1000, {"demo_path": corridor_demo, "buffer_size": 200}), tmp_path)
    fresh = trainer(Corridor(1).behavior_specs["Toy?team=0"], demo_path=corridor_demo)
    assert done.update_buffer.serial > 900
    assert done.update_buffer.num_experiences <= 200
    assert done.demonstrations.num_experiences == fresh.demonstrations.num_experiences == done.demonstrations.capacity
    for key in (ObsUtil.get_name_at(0), BufferKey.DISCRETE_ACTION, BufferKey.ENVIRONMENT_REWARDS):
        np.testing.assert_array_equal(done.demonstrations[key], fresh.demonstrations[key])


def test_resuming_loads_demonstrations_anew_and_does_not_pretrain_again(tmp_path: Path, corridor_demo: str) -> None:
    """The agent's replay comes from its file, without demonstrations in it."""
    hyperparameters = {
        "demo_path": corridor_demo, "demo_pretraining_steps": 50, "save_replay_buffer": True, "buffer_init_steps": 5000,
    }  # fmt: skip
    first = train(Corridor(), config(400, hyperparameters), tmp_path)
    second = train(Corridor(), config(500, hyperparameters), tmp_path, resume=True)
    assert first.optimizer.updates == second.optimizer.updates == 50
    assert second.demonstrations.num_experiences == first.demonstrations.num_experiences
    assert first.update_buffer.serial <= first.get_step
    assert second.update_buffer.serial > first.update_buffer.serial


@pytest.mark.parametrize("memory", [None, MEMORY], ids=["feed-forward", "memory"])
def test_all_kinds_of_imitation_work_together(tmp_path: Path, corridor_demo: str, memory) -> None:
    """GAIL, curiosity and RND are evaluated and learn on mixed batches, behavioural cloning reads the same file."""
    signals = {
        "extrinsic": {"gamma": 0.99},
        "gail": {"gamma": 0.9, "strength": 0.1, "demo_path": corridor_demo, "use_actions": True},
        "curiosity": {"gamma": 0.9, "strength": 0.01},
        "rnd": {"gamma": 0.8, "strength": 0.01},
    }
    cloning = {"demo_path": corridor_demo, "steps": 200, "strength": 0.5, "samples_per_update": 64}
    hyperparameters = {"demo_path": corridor_demo, "demo_pretraining_steps": 5}
    settings = config(300, hyperparameters, {"memory": memory}, reward_signals=signals, behavioral_cloning=cloning)
    done = train(Corridor(), settings, tmp_path)
    assert done.optimizer.bc_module.has_updated
    assert done.optimizer.reward_signals["curiosity"]._has_updated_once
    assert all(torch.isfinite(parameter).all() for parameter in done.policy.actor.parameters())


def test_behavioural_cloning_alone_solves_the_corridor(tmp_path: Path, corridor_demo: str) -> None:
    """ML-Agents' module on the softmax of Q, with next to no learning from rewards: chosen actions are the expert's."""
    cloning = {"demo_path": corridor_demo, "steps": 0, "strength": 5e9}
    done = train(Corridor(), config(600, NO_LEARNING, behavioral_cloning=cloning), tmp_path)
    env = Corridor()
    env.cell = np.arange(5)
    done.policy.epsilon = lambda step: 0.0
    steps = decision_steps(done.policy.behavior_spec, 5)
    steps.obs[0] = env.observe()[0]
    assert (done.policy.evaluate(steps, list("abcde"))["action"].discrete == 2).all()


def test_gail_alone_learns_to_match(tmp_path: Path) -> None:
    """Without the environment's reward, the discriminator's is enough to choose as the expert does."""
    demo = record(Match(1), shown_choices, tmp_path / "expert.demo", decisions=300)
    signals = {"gail": {"gamma": 0.9, "strength": 1.0, "demo_path": demo, "use_actions": True, "learning_rate": 2e-3}}
    env = Match()
    train(env, config(3000, reward_signals=signals), tmp_path)
    assert final_return(env) >= 0.7


def truncated(folder: Path) -> str:
    """A file of which the end is missing."""
    path = Path(record(Choices(1), lambda observation: [1, 0], folder / "a.demo", decisions=9))
    path.write_bytes(path.read_bytes()[:-5])
    return str(path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: str(path / "none.demo"), r"there is no file or folder .*none\.demo"),
        (lambda path: str(path), r"the folder .* holds no \.demo file"),
        (lambda path: record(Corridor(1), right, path / "a.demo", decisions=9), r"a\.demo was recorded with .* of 3, "),
        (lambda path: record(Choices(1), lambda o: [1, 0], path / "a.demo", decisions=2), r"a\.demo is empty: 2 "),
        (truncated, r"a\.demo is damaged, or no recording: it is cut short"),
    ],
    ids=["missing", "empty folder", "other actions", "empty", "damaged"],
)
def test_bad_demonstrations_are_refused_by_name(tmp_path: Path, write, message: str) -> None:
    """One line with the behaviour, the key, the file and what is wrong with it; ML-Agents prints it and ends."""
    with pytest.raises(TrainerConfigError, match=f"Toy: hyperparameters: demo_path: .*{message}"):
        trainer(demo_path=write(tmp_path))


def test_demonstrations_of_other_observations_are_refused_by_name(tmp_path: Path, corridor_demo: str) -> None:
    """Found and expected shapes are both named."""
    with pytest.raises(TrainerConfigError, match=r"corridor\.demo was .* \[\(6,\)\], but the behavior has \[\(4,\)\]"):
        trainer(behavior_spec((3,)), demo_path=corridor_demo)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"demo_ratio": 0.5}, "demo_ratio: 0.5 is not valid; there are no demonstrations; set demo_path"),
        ({"demo_pretraining_steps": 5}, "demo_pretraining_steps: 5 is not valid; there are no demonstrations"),
        ({"demo_margin": 0.1}, "demo_margin: 0.1 is not valid; there are no demonstrations"),
        ({"demo_margin_weight": 0.0}, "demo_margin_weight: 0.0 is not valid; there are no demonstrations"),
        ({"demo_path": "a", "demo_ratio": 1.5}, "demo_ratio: 1.5 is not valid; it must lie between"),
        ({"demo_path": "a", "demo_ratio": 0}, "demo_ratio: 0.* is not valid; the demonstrations of demo_path are not"),
        ({"demo_path": "a", "demo_margin": -1}, "demo_margin: -1.* is not valid"),
        ({"demo_path": "a", "demo_pretraining_steps": -1}, "demo_pretraining_steps: -1 is not valid"),
    ],
)
def test_settings_without_sense_are_refused(options: dict, message: str) -> None:
    """One line with the key, the value and why."""
    with pytest.raises(TrainerConfigError, match=message):
        strict_to_cls(options, DQNSettings)
