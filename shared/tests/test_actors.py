"""Actors elsewhere: what comes from them counts as what a trainer's own environments bring."""

import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.settings import RunOptions, TrainerSettings
from mlagents.trainers.stats import StatsReporter
from mlagents_envs.side_channel.environment_parameters_channel import EnvironmentParametersChannel
from mlagents_envs.side_channel.stats_side_channel import StatsAggregationMethod

from fakes import counting_segment
from mlagents_plugin_shared.data.trajectories import Segment, blank_segment
from mlagents_plugin_shared.run import experience_source, replay_trainer
from mlagents_plugin_shared.run.actor import Actor, NotPlayable, Place
from mlagents_plugin_shared.run.actor_intake import ActorIntake
from mlagents_plugin_shared.run.actor_settings import ActorSettings
from mlagents_plugin_shared.run.experience_source import ActingBehavior, Arrivals, Delivery, create_source
from mlagents_plugin_shared.testing import BEHAVIOR, Corridor, Duel, InProcessSource, Recall, ToyEnv, train
from recording import RecordingReplayTrainer, config, registered  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("registered")


class Point(NamedTuple):
    """An entry point."""

    name: str
    value: str
    load: Callable[[], Any]


class Sources(list):
    """The sources that were made, of whatever environments a test asks for."""

    create_env: Callable[[int], ToyEnv] = staticmethod(lambda rank: Corridor(seed=rank + 1))

    def make(self, settings: ActorSettings) -> InProcessSource:
        self.append(InProcessSource(settings, lambda rank: self.create_env(rank)))
        return self[-1]


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> Sources:
    """As if a package that starts actors were installed."""
    made = Sources()
    install(monkeypatch, Point("here", "tests:make", lambda: made.make))
    return made


def install(monkeypatch: pytest.MonkeyPatch, *points: Point) -> None:
    """Entry points of the group, and no others."""
    monkeypatch.setattr(experience_source, "entry_points", lambda group: list(points))


def acting_config(
    max_steps: int = 400, count: int = 2, weights_every: int = 64, learner_acts: bool = True, **hyperparameters: Any
) -> dict:
    """Settings of the recording trainer, with actors."""
    actors = {"count": count, "weights_every": weights_every, "learner_acts": learner_acts}
    return config("replay", max_steps, actors=actors, **{"buffer_size": 1000, **hyperparameters})


# Settings


@pytest.mark.parametrize(
    ("actors", "message"),
    [
        ({"count": -1}, "hyperparameters: actors: count: -1 is not valid; it must be 0 or greater."),
        ({"count": 1.5}, "hyperparameters: actors: count: 1.5 is not valid; it must be a whole number."),
        ({"weights_every": 0}, "actors: weights_every: 0 is not valid; it must be greater than 0."),
        ({"address": "here"}, "actors: address: 'here' is not valid; it must be local, auto or HOST:PORT."),
        ({"address": "head:0"}, "actors: address: 'head:0' is not valid; it must be local, auto or HOST:PORT."),
        ({"address": "head:65536"}, "actors: address: 'head:65536' is not valid; it must be local, auto or HOST:PORT."),
        ({"resources": 4}, "actors: resources: 4 is not valid; keys are expected under it, or leave it out."),
        (
            {"resources": {"unity": 0}},
            "actors: resources: {'unity': 0} is not valid; it must hold amounts greater than",
        ),
        ({"resources": {"unity": "x"}}, "actors: resources: {'unity': 'x'} is not valid; it must be a number."),
        ({"counts": 2}, "actors: counts: 2 is not valid; counts is not a known key; did you mean count?"),
        (8, "hyperparameters: actors: 8 is not valid; keys are expected under it, or leave it out."),
    ],
)
def test_actors_are_checked_by_key(actors: Any, message: str):
    """One line names the key, what was found and what to do."""
    with pytest.raises(TrainerConfigError) as error:
        read(config("replay", actors=actors))
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def read(own: dict) -> TrainerSettings:
    """As `mlagents-learn` reads them."""
    return RunOptions.from_dict({"behaviors": {BEHAVIOR: own}}).behaviors[BEHAVIOR]


def test_actors_are_read_and_written():
    """What a run writes of its settings can be read again."""
    written = {
        "count": 3,
        "address": "10.0.0.1:6379",
        "weights_every": 10,
        "learner_acts": False,
        "resources": {"unity": 1},
    }
    settings = read(config("replay", actors=written))
    assert settings.hyperparameters.actors == ActorSettings(3, "10.0.0.1:6379", 10, False, {"unity": 1.0})
    again = settings.as_dict()["hyperparameters"]
    assert again["actors"] == written
    assert read(config("replay")).as_dict()["hyperparameters"]["actors"] is None
    assert read(config("replay", actors=None)).hyperparameters.actors is None


def test_key_of_actors_in_the_wrong_place_is_told_where_it_belongs():
    """`weights_every` beside `actors` is a mistake that is made easily."""
    with pytest.raises(TrainerConfigError, match=r"it belongs under hyperparameters: actors:"):
        read(config("replay", weights_every=10))


def test_on_policy_trainer_refuses_actors_by_name():
    """It learns from what its present policy did."""
    with pytest.raises(TrainerConfigError, match=r"hyperparameters: actors: .* an on-policy algorithm learns from"):
        read(config("rollout", actors={"count": 2}))


def test_actors_beside_self_play_are_refused():
    """They would not know their opponents."""
    with pytest.raises(TrainerConfigError, match=r"actors: count: 2 is not valid; beside self_play"):
        read({**config("replay", actors={"count": 2}), "self_play": {}})


@pytest.mark.parametrize(("count", "steps"), [(1, 200), (2, 100), (8, 25), (512, 1)])
def test_deliveries_are_smaller_the_more_actors_there_are(count: int, steps: int):
    """So that the lag of a policy depends little on their number."""
    assert ActorSettings(count=count, weights_every=400).steps_at_a_time == steps


# How a source is found


def test_missing_source_is_one_line_with_the_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Before the first step."""
    install(monkeypatch)
    with pytest.raises(
        TrainerConfigError, match=r"Toy: hyperparameters: actors: count: 2 .*pip install.*-ray"
    ) as error:
        train(Corridor(), acting_config(), tmp_path)
    assert len(str(error.value).splitlines()) == 1


def test_several_sources_are_refused(monkeypatch: pytest.MonkeyPatch):
    """Which of them was meant, nobody says."""
    install(monkeypatch, Point("a", "one:make", list), Point("b", "two:make", list))
    with pytest.raises(TrainerConfigError, match=r"several packages start actors, a \(one:make\), b \(two:make\)"):
        create_source(ActorSettings(), "Toy")


def test_source_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch):
    """With the reason."""
    install(monkeypatch, Point("a", "one:make", lambda: __import__("no_such_module")))
    with pytest.raises(TrainerConfigError, match="one:make cannot start actors: No module named 'no_such_module'"):
        create_source(ActorSettings(), "Toy")


@pytest.mark.parametrize("actors", [None, {"count": 0}])
def test_without_actors_no_source_is_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, actors: Any):
    """So nothing of it is imported."""
    monkeypatch.setattr(experience_source, "entry_points", None)
    assert train(Corridor(), config("replay", 100, actors=actors), tmp_path).actors is None


# What comes from actors


def test_steps_of_actors_count_and_are_learned_from(sources: Sources, tmp_path: Path):
    """Updates keep to their ratio over the steps of all; the actors end with the run."""
    trainer = train(Corridor(), acting_config(steps_per_update=5), tmp_path)
    (source,) = sources
    assert trainer.update_buffer.serial == trainer.get_step >= 400
    assert len(trainer.optimizer.batches) == pytest.approx(trainer.get_step / 5, abs=16 / 5 + 8)
    assert source.versions == list(range(1, trainer.get_step // 64 + 1))[: len(source.versions)]
    assert len(source.versions) >= 3
    assert source.closed


def test_run_ends_at_its_steps(sources: Sources, tmp_path: Path):
    """What actors bring beyond `max_steps` is not taken, but for the rest of a segment."""
    trainer = train(Corridor(), acting_config(count=8, weights_every=10_000), tmp_path)
    assert 400 <= trainer.get_step < 400 + 2 * 64


@pytest.mark.parametrize("learner_acts", [True, False])
def test_learner_that_does_not_act_leaves_it_to_the_actors(
    sources: Sources, tmp_path: Path, learner_acts: bool, monkeypatch: pytest.MonkeyPatch
):
    """Its own environments take a step a second; else they play where nothing waits that actors have brought."""
    monkeypatch.setattr(replay_trainer, "_LONGEST_INTAKE", 3600.0)  # a second is not much on a busy machine
    steps = {True: 0, False: 0}

    def count(segment: Segment) -> None:
        if sum(steps.values()) < 1000:  # the last of its own come when the actors have ended
            steps[":" in segment.agent_id] += len(segment)

    watched(acting_config(1000, learner_acts=learner_acts), tmp_path, count)
    assert steps[True] > 500
    assert (steps[False] > 0) == learner_acts


def test_episodes_of_actors_are_in_the_statistics(sources: Sources, tmp_path: Path):
    """Returns as the environments count them."""
    sources.create_env = lambda rank: Corridor(seed=rank, reward_scale=10.0)
    trainer = train(Corridor(), acting_config(), tmp_path)
    scaled = [10 * value for env in sources[0].envs for value in env.returns]
    counted = [value for value in trainer.episodes.returns if value < -1.5 or value > 1.0]
    assert counted
    assert all(any(abs(value - each) < 1e-3 for each in scaled) for value in counted)


def test_one_actor_brings_what_a_single_process_sees(sources: Sources, tmp_path: Path):
    """The same environment, weights and choices give the same steps, number by number."""
    sources.create_env = lambda rank: Corridor(seed=0)
    network = {"hidden_units": 8, "deterministic": True}
    own, acted = [], []
    single = {**config("replay", 200, buffer_size=1000, buffer_init_steps=150), "network_settings": network}
    watched(single, tmp_path / "single", own.append, Corridor(seed=0))
    several = {**acting_config(400, count=1, weights_every=1, buffer_init_steps=350), "network_settings": network}
    watched(several, tmp_path / "several", acted.append, Corridor(seed=9))
    acted = [segment for segment in acted if not segment.agent_id.startswith("agent_")]
    assert len(acted) >= 10
    for one, other in zip(own, acted, strict=False):
        assert other.agent_id.endswith(one.agent_id)
        np.testing.assert_array_equal(one.observations[0], other.observations[0])
        for key, column in one.columns.items():
            np.testing.assert_array_equal(column, other.columns[key])


def test_memory_and_normalisation_take_actors_in(sources: Sources, tmp_path: Path):
    """Recurrent states come with the steps, and every observation is in the statistics."""
    sources.create_env = lambda rank: Recall(seed=rank)
    settings = acting_config(steps_per_update=5)
    settings["network_settings"] = {"normalize": True, "memory": {"memory_size": 4, "sequence_length": 4}}
    trainer = train(Recall(), settings, tmp_path)
    memories = trainer.update_buffer[BufferKey.MEMORY]
    assert np.abs(np.asarray(memories)).sum() > 0
    normalizer = trainer.policy.actor.network_body.observation_encoder.processors[0].normalizer
    assert normalizer.normalization_steps.item() == pytest.approx(trainer.get_step, abs=2)


def test_agents_of_actors_cannot_be_confused(sources: Sources, tmp_path: Path):
    """All environments here count their agents from 0."""
    ids: set[str] = set()
    watched(acting_config(), tmp_path, lambda segment: ids.add(segment.agent_id))
    assert len(ids) == 3 * 4
    assert sum(agent_id.startswith("agent_0-") for agent_id in ids) == 4


def watched(settings: dict, folder: Path, see: Callable, env: ToyEnv | None = None) -> Any:
    """Trains, and shows each segment that is taken in."""
    take_in = RecordingReplayTrainer.take_in

    def seen(trainer: Any, segment: Segment) -> None:
        see(segment)
        take_in(trainer, segment)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecordingReplayTrainer, "take_in", seen)
        return train(env or Corridor(), settings, folder)


def test_open_episodes_of_a_lost_actor_are_dropped(sources: Sources, tmp_path: Path):
    """Nothing is left of its agents; the run goes on with another one in its place."""
    lost: set[str] = set()

    def lose(segment: Any) -> None:
        if sources and not lost and sources[0]._actors and not segment.agent_id.startswith("agent"):
            lost.add(sources[0]._actors[0].name)
            sources[0].lose(0)

    trainer = watched(acting_config(), tmp_path, lose)
    (name,) = lost
    assert not any(agent_id.startswith(name) for agent_id in trainer.update_buffer._ring.unfinished)
    assert not any(agent_id.startswith(name) for agent_id in trainer.episodes._open_ends)
    assert not any(agent_id.startswith(name) for each in trainer.collected_rewards.values() for agent_id in each)
    assert len(sources[0].envs) == 3


def test_resume_starts_actors_from_the_checkpoint(sources: Sources, tmp_path: Path):
    """By the weights and the step that it holds."""
    trainer = train(Corridor(), acting_config(200), tmp_path)
    resumed = train(Corridor(), acting_config(300), tmp_path, resume=True)
    assert resumed.get_step >= 300
    assert len(sources) == 2
    weights, began = trainer.policy.get_weights(), sources[1].first_weights
    assert all((weights[name].cpu() == began[name]).all() for name in began)


def test_actors_end_between_rounds(sources: Sources, tmp_path: Path):
    """With `threaded: true` the trainer's thread may still take in what they bring, and publish, when the run ends."""
    trainer = train(Corridor(), acting_config(100), tmp_path)
    seen: list[str] = []
    free = threading.Event()

    def note(what: str) -> None:
        seen.append(what)
        free.wait(0.2)

    trainer.actors.publish_if_due = lambda step, weights: note("publishes")
    trainer.actors.close = lambda: note("closes")
    with trainer.rounds.between():
        others = [threading.Thread(target=work) for work in (trainer._publish, trainer.save_model)]
        for other in others:
            other.start()
        assert not free.wait(0.2)
        assert seen == []
    for other in others:
        other.join(60)
    assert sorted(seen) == ["closes", "publishes"]


def test_inference_starts_no_actors(sources: Sources, tmp_path: Path):
    """Nothing is learned from them."""
    train(Corridor(), acting_config(100), tmp_path)
    train(Corridor(max_steps=20), acting_config(100), tmp_path, resume=True, inference=True)
    assert len(sources) == 1


def test_statistics_tell_of_actors(sources: Sources, tmp_path: Path):
    """Alive, restarts, lags and rates."""
    seen: dict[str, list[float]] = {}
    with pytest.MonkeyPatch.context() as patch:
        add_stat = StatsReporter.add_stat

        def noted(reporter: Any, key: str, value: float, aggregation: Any = StatsAggregationMethod.AVERAGE) -> None:
            seen.setdefault(key, []).append(value)
            add_stat(reporter, key, value, aggregation)

        patch.setattr(StatsReporter, "add_stat", noted)
        train(Corridor(), {**acting_config(), "summary_freq": 100}, tmp_path)
    assert seen["Distributed/Actors Alive"] == [2] * len(seen["Distributed/Actors Alive"])
    assert set(seen["Distributed/Restarts"]) == {0}
    assert max(seen["Distributed/Lag Versions"]) <= 2
    assert 0 < max(seen["Distributed/Lag Steps"]) < 400
    assert min(seen["Distributed/Steps per Second"]) > 0
    assert seen["Environment/Episode Length"]


# First priorities


def test_first_priorities_are_those_that_an_actor_gives(sources: Sources, tmp_path: Path):
    """Each transition has its own; without any it has the largest so far."""
    settings = acting_config(100, prioritized_replay=True, priority_alpha=1.0)
    trainer = train(Corridor(), settings, tmp_path)
    trainer.trainer_settings.max_steps = 10_000
    first = trainer.update_buffer.serial
    errors = np.arange(1.0, 7.0)
    segments = [episode(trainer, "given"), episode(trainer, "not given")]
    with trainer.rounds.one(learns=lambda: True):
        trainer._take_in_delivery(Delivery("x", 0, segments[:1], [errors]))
        trainer._take_in_delivery(Delivery("x", 0, segments[1:]))
    priorities, largest = trainer.update_buffer.priorities()
    np.testing.assert_allclose(priorities[first : first + 6], errors, rtol=1e-4)
    np.testing.assert_allclose(priorities[first + 6 : first + 12], largest)


def episode(trainer: Any, agent_id: str) -> Segment:
    """A whole episode of 6 steps."""
    blank = blank_segment(trainer.policy.behavior_spec, 0)
    shapes = trainer.update_buffer.row_shapes
    columns = {
        key: np.zeros((6, *shapes.get(key, column.shape[1:])), column.dtype) for key, column in blank.columns.items()
    }
    observations = [np.zeros((7, *rows.shape[1:]), np.float32) for rows in blank.observations]
    return Segment(agent_id, observations, columns, terminated=True, interrupted=False)


# The intake


class Script(InProcessSource):
    """Brings what it is told to."""

    def __init__(self, *arrivals: Arrivals) -> None:
        super().__init__(ActorSettings(weights_every=100), Corridor)
        self._arrivals = list(arrivals)

    def start(self, behavior: ActingBehavior, weights: Any) -> None:
        """Nothing is started."""

    def poll(self) -> Arrivals:
        return self._arrivals.pop(0) if self._arrivals else Arrivals([], [])


def test_intake_names_agents_by_their_actor_and_knows_whose_episodes_are_open():
    """Those that have ended are not lost with their actor."""
    segments = [counting_segment(0, 2, agent_id="a"), counting_segment(0, 2, agent_id="b", terminated=True)]
    script = Script(Arrivals([Delivery("x", 0, segments)], []), Arrivals([], ["x", "unknown"]))
    intake = started(script)
    (delivery,), gone = intake.receive(0)
    assert [segment.agent_id for segment in delivery.segments] == ["x:a", "x:b"]
    assert gone == []
    assert intake.receive(0) == ([], ["x:a"])


def started(script: Script, step: int = 0) -> ActorIntake:
    intake = ActorIntake(ActorSettings(weights_every=100), script)
    intake.start(ActingBehavior("Toy?team=0", None, None, 0), {}, step)  # type: ignore[arg-type]
    return intake


def test_weights_are_published_at_most_every_so_many_steps():
    """Counted from the last time, and from the start of a resumed run."""
    script = Script()
    intake = started(script, step=1000)
    for step in (1000, 1099, 1100, 1150, 1199, 1250, 1349, 1350):
        intake.publish_if_due(step, dict)
    assert script.versions == [1, 2, 3]


def test_lag_is_in_versions_and_in_steps():
    """Weighed by the steps of each delivery."""
    one = Delivery("x", 0, [counting_segment(0, 30)])
    other = Delivery("x", 2, [counting_segment(0, 10, agent_id="b")])
    intake = started(Script(Arrivals([one, other], [])))
    for step in (100, 210):
        intake.publish_if_due(step, dict)
    intake.receive(250)
    statistics = intake.statistics()
    assert statistics["Distributed/Lag Versions"] == pytest.approx((30 * 2 + 10 * 0) / 40)
    assert statistics["Distributed/Lag Steps"] == pytest.approx((30 * 250 + 10 * 40) / 40)
    assert "Distributed/Lag Versions" not in intake.statistics()


def test_closed_intake_brings_and_publishes_nothing():
    """A behaviour may have ended while others of the run go on."""
    script = Script(Arrivals([Delivery("x", 0, [counting_segment(0, 2)])], []))
    intake = started(script)
    intake.close()
    assert intake.receive(0) == ([], [])
    intake.publish_if_due(10_000, dict)
    assert script.versions == []
    assert script.closed


# The actor


def acting(env: ToyEnv, count: int = 1, rank: int = 0, **network: Any) -> Actor:
    """An actor of the recording trainer."""
    settings = read({**config("replay"), "time_horizon": 4, "network_settings": network})
    env.reset()
    spec = env.behavior_specs[f"{BEHAVIOR}?team=0"]
    behavior = ActingBehavior(f"{BEHAVIOR}?team=0", spec, settings, 0)
    actor = Actor(behavior, env, EnvironmentParametersChannel(), Place(rank, count))
    actor.load(actor.policy.get_weights(), 0)
    actor.reset()
    return actor


def test_actor_plays_for_so_many_decisions():
    """Four agents decide in each step."""
    actor = acting(Corridor())
    assert actor.collect(40).steps <= 40
    assert actor._env_steps == 10


def test_actor_brings_every_step_once():
    """Segments of an agent follow each other without a gap."""
    actor = acting(Corridor())
    segments = [segment for _ in range(10) for segment in actor.collect(8).segments]
    by_agent: dict[str, list] = {}
    for segment in segments:
        by_agent.setdefault(segment.agent_id, []).append(segment)
    assert len(by_agent) == 4
    for own in by_agent.values():
        for former, following in pairwise(own):
            if not (former.terminated or former.interrupted):
                np.testing.assert_array_equal(former.observations[0][-1], following.observations[0][0])


def test_actor_tells_the_version_by_which_a_segment_began():
    """Weights that came in its course are not those of its first steps."""
    actor = acting(Corridor())
    actor.collect(4 * 3)
    actor.load(actor.policy.get_weights(), 7)
    assert actor.collect(4 * 2).version == 0
    assert actor.collect(4 * 20).version == 7


def test_actors_have_names_that_no_other_has():
    """Nor the one that was started in its place."""
    assert len({acting(Corridor(), rank=0).name for _ in range(3)}) == 3


def test_actor_plays_several_teams_by_one_policy():
    """As a trainer without self-play does."""
    assert acting(Duel()).collect(40).steps > 0


def test_actor_refuses_an_environment_with_other_behaviors():
    """It has no policy for them."""
    env = Corridor()
    actor = acting(env)
    env._results = {name.replace(BEHAVIOR, "Stranger"): steps for name, steps in env._results.items()}
    env._names = list(env._results)
    actor.reset()
    with pytest.raises(NotPlayable, match="agents of the behavior Stranger too"):
        actor.collect(4)
