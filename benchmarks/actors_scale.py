"""How far actors scale, on paper: `nox -s bench -- actors_scale`.

Measures on this machine what a step, a delivery, an update and a copy of the policy cost the learner, and calculates
from it where 8, 64 and 512 actors saturate the learner, the network or Ray. No run of so many actors is behind it.
"""

import argparse
import logging
import pickle
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import _in_process
import numpy as np
import yaml
from mlagents.trainers.buffer import BufferKey
from mlagents_envs.base_env import ActionSpec, BehaviorSpec, DimensionProperty, ObservationSpec, ObservationType

from mlagents_plugin_shared.data import ReplayBuffer
from mlagents_plugin_shared.data.packing import pack
from mlagents_plugin_shared.data.trajectories import Segment, blank_segment
from mlagents_plugin_shared.run.actor_settings import ActorSettings
from mlagents_plugin_shared.run.replay_trainer import ReplayTrainer

CONFIG = Path(__file__).parents[1] / "configs" / "dqn" / "CartPole-v1.yaml"
SEGMENTS, HORIZON = 8, 32
SCENES = {"4 numbers": (4,), "20 numbers": (20,), "84 x 84 picture": (3, 84, 84)}
GIGABIT = 125e6
"""Bytes a second of a network."""


class Step(NamedTuple):
    """What a step of an actor costs the learner: microseconds, and bytes on the way."""

    pack: float
    unpack: float
    store: float
    size: float


class Costs(NamedTuple):
    """What else the learner does: seconds each, and the bytes of a policy."""

    update: float
    call: float
    publish: float
    policy: int


def step_costs(shape: Sequence[int]) -> Step:
    """Measures what a step costs, with observations of a shape."""
    segments = [segment(shape, agent) for agent in range(SEGMENTS)]
    sent = pickle.dumps(pack(segments), protocol=5)
    received = pickle.loads(sent).unpack()
    replay = ReplayBuffer(SEGMENTS * HORIZON * 4)

    def store() -> None:
        for each in received:
            replay.add(each)

    calls: dict[str, Callable[[], object]] = {
        "pack": lambda: pickle.dumps(pack(segments), protocol=5),
        "unpack": lambda: pickle.loads(sent).unpack(),
        "store": store,
    }
    steps = SEGMENTS * HORIZON
    taken = {name: processor_seconds(call, 200) / steps * 1e6 for name, call in calls.items()}
    return Step(**taken, size=len(sent) / steps)


def processor_seconds(call: Callable[[], object], repeats: int) -> float:
    """Seconds of the processor that a call takes, after one to warm up; what else the machine does hardly counts."""
    call()
    began = time.process_time()
    for _ in range(repeats):
        call()
    return (time.process_time() - began) / repeats


def segment(shape: Sequence[int], agent: int) -> Segment:
    """Steps of an agent by chance."""
    rng = np.random.default_rng(agent)
    kinds = (DimensionProperty.NONE,) * len(shape)
    spec = BehaviorSpec([ObservationSpec(tuple(shape), kinds, ObservationType.DEFAULT, "seen")], ActionSpec(0, (3,)))
    blank = blank_segment(spec, 0)
    columns = {key: np.repeat(column, HORIZON, axis=0) for key, column in blank.columns.items()}
    columns[BufferKey.ENVIRONMENT_REWARDS] = rng.random(HORIZON).astype(np.float32)
    for key in (BufferKey.DISCRETE_ACTION, BufferKey.PREV_ACTION):
        columns[key] = rng.integers(3, size=(HORIZON, 1)).astype(np.int32)
    rows = (HORIZON + 1, *shape)
    seen = rng.random(rows, "f4") if len(shape) == 1 else (rng.integers(256, size=rows) / 255).astype(np.float32)
    return Segment(f"0-0123456789ab:agent_0-{agent}", [seen], columns, terminated=False, interrupted=False)


def costs(steps: int) -> Costs:
    """Measures an update of DQN on CartPole, and, in a cluster of this machine, a call and a copy."""
    content = yaml.safe_load(CONFIG.read_text("utf-8"))
    (config,) = content["behaviors"].values()
    config.update(max_steps=steps, summary_freq=steps)
    learning = Stopwatch(ReplayTrainer._update_policy)
    ReplayTrainer._update_policy = learning.method()  # type: ignore[method-assign]
    with TemporaryDirectory() as folder:
        (trainer,) = _in_process.train(
            f"gym:{CONFIG.stem}", content, Path(folder), 1, lambda summary: None, num_areas=8
        ).values()
    weights = dict(trainer.policy.get_weights())
    call, publish = ray_costs(weights)
    return Costs(learning.seconds / trainer._rates.total, call, publish, len(pickle.dumps(weights, protocol=5)))


class Stopwatch:
    """Adds up what a method takes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.seconds = 0.0
        self._function = function

    def method(self) -> Callable[..., Any]:
        """The method, timed."""

        def timed(*arguments: Any) -> Any:
            began = time.process_time()
            result = self._function(*arguments)
            self.seconds += time.process_time() - began
            return result

        return timed


def ray_costs(weights: dict[str, Any]) -> tuple[float, float]:
    """Seconds of the processor that a call with its delivery, and a copy of the weights, take the learner."""
    import ray

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    sent = bytes(200 * 50)
    actor: Any = ray.remote(num_cpus=1)(Echo).remote(sent)
    ray.get(actor.give.remote())
    fetched = processor_seconds(lambda: ray.get(actor.give.remote()), 1000)
    published = processor_seconds(lambda: ray.put(weights), 200)
    ray.shutdown()
    return fetched, published


class Echo:
    """Gives the same bytes at each call."""

    def __init__(self, sent: bytes) -> None:
        self._sent = sent

    def give(self) -> bytes:
        """As an actor's delivery."""
        return self._sent


class Load(NamedTuple):
    """Shares of a second that are taken up at a number of actors; 1 is all."""

    learner: float
    network: float


def load(count: int, rate: float, each: Step, costs: Costs, settings: ActorSettings, steps_per_update: int) -> Load:
    """What so many actors ask for, if nothing holds them back.

    Args:
        count: of actors.
        rate: agent steps a second of one.
        each: costs of a step.
        costs: all others.
        settings: of the actors.
        steps_per_update: agent steps an update.
    """
    steps = count * rate
    versions = steps / settings.weights_every
    learner = steps * (each.unpack + each.store) / 1e6
    learner += steps / steps_per_update * costs.update
    learner += steps / settings.steps_at_a_time * costs.call
    learner += versions * costs.publish
    fetched = min(versions, rate / settings.steps_at_a_time) * count  # a machine of one actor each, the worst case
    return Load(learner, (steps * each.size + fetched * costs.policy) / GIGABIT)


def describe(count: int, rate: float, name: str, each: Step, costs: Costs, weights_every: int, ratio: int) -> str:
    """A line of the table."""
    settings = ActorSettings(count=count, weights_every=weights_every)
    found = load(count, rate, each, costs, settings, ratio)
    share, what = max(zip(found, ("learner", "network"), strict=True))
    fed = f"all {count * rate:,.0f} steps/s" if share <= 1 else f"{count * rate / share:,.0f} steps/s, the {what}'s"
    cells = [name, str(count), str(weights_every), str(ratio), f"{found.learner:.2f}", f"{found.network:.2f}", fed]
    return f"| {' | '.join(cells)} |"


def header(*columns: str) -> str:
    """The first two lines of a table."""
    return f"| {' | '.join(columns)} |\n" + "|---" * len(columns) + "|"


def main() -> None:
    """Prints what was measured, and then what follows from it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=500, help="agent steps a second of one actor")
    parser.add_argument("--counts", type=int, nargs="+", default=[8, 64, 512])
    parser.add_argument("--steps", type=int, default=4000, help="agent steps of the training that times updates")
    options = parser.parse_args()
    of_scene = {name: step_costs(shape) for name, shape in SCENES.items()}
    print("Measured on this machine, in seconds of the processor:\n")
    print(header("scene", "bytes a step", "packing", "unpacking", "into the replay"))
    for name, each in of_scene.items():
        print(f"| {name} | {each.size:,.0f} | {each.pack:.1f} µs | {each.unpack:.1f} µs | {each.store:.1f} µs |")
    found = costs(options.steps)
    print(
        f"\nan update {found.update * 1e3:.2f} ms; a delivery of Ray's {found.call * 1e3:.2f} ms of the learner; "
        f"a copy of the policy {found.publish * 1e3:.2f} ms, {found.policy:,} bytes\n"
    )
    print(
        f"On paper, at {options.rate:.0f} agent steps a second of each actor; 1.00 is all of one core or one gigabit:\n"
    )
    print(header("scene", "actors", "`weights_every`", "`steps_per_update`", "learner", "network", "it takes"))
    for name, each in of_scene.items():
        for count in options.counts:
            for weights_every, ratio in ((400, 4), (400 * count, 4 * count)):  # the second as in Ape-X, by actor
                print(describe(count, options.rate, name, each, found, weights_every, ratio))


if __name__ == "__main__":
    main()
