"""Actors on two nodes of a cluster, both of this machine: one leaves, one joins, and a stranger knocks."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers.settings import RunOptions

from mlagents_player.scene_environment import SceneEnvironment
from mlagents_plugin_ray import environments
from mlagents_plugin_ray.source import RaySource
from mlagents_plugin_shared.run.actor import Place, acting_trainer
from mlagents_plugin_shared.run.experience_source import ActingBehavior, Arrivals
from ray_testing import settings, wait_until

cluster_utils = pytest.importorskip("ray.cluster_utils")

ACTORS = 2

KNOCK = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False)"


@pytest.fixture
def nodes() -> Iterator[Any]:
    """A head that runs no actors, and two nodes that run one each."""
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    cluster.workers = [cluster.add_node(num_cpus=1, resources={"unity": 1}) for _ in range(ACTORS)]
    yield cluster
    cluster.shutdown()


@pytest.fixture
def source(nodes: Any, basic: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[RaySource]:
    """A source that has joined the cluster, and whose actors start."""
    actors = {"count": ACTORS, "address": nodes.address, "weights_every": 100, "resources": {"unity": 1}}
    register_trainer_plugins()
    options = RunOptions.from_dict(
        {
            "behaviors": {"Basic": settings("dqn", 1000, actors)},
            "env_settings": {"env_path": str(basic), "base_port": port},
            "engine_settings": {"no_graphics": True},
        }
    )
    monkeypatch.setattr(environments, "noted_options", options)
    own = options.behaviors["Basic"]
    joined, own.hyperparameters.actors = own.hyperparameters.actors, None
    behavior = ActingBehavior("Basic?team=0", spec_of("Basic"), own, 0)
    started = RaySource(joined)
    started.start(behavior, acting_trainer(behavior, Place(0, 1), "learner").policy.get_weights())
    yield started
    started.close()


def spec_of(scene: str) -> Any:
    """Observations and actions of a scene's behaviour."""
    env = SceneEnvironment(scene)
    env.reset()
    (spec,) = env.behavior_specs.values()
    env.close()
    return spec


def wait_for_actors(source: RaySource, count: int) -> list[Arrivals]:
    """Polls until so many actors play."""
    arrivals: list[Arrivals] = []

    def play() -> bool:
        arrivals.append(source.poll())
        return source.status().alive == count

    wait_until(play)
    return arrivals


def test_actors_play_on_two_nodes_and_survive_that_one_leaves(source: RaySource, nodes: Any):
    """Each is placed by its resource; what is lost is named, and a node that joins gets it."""
    arrivals = wait_for_actors(source, ACTORS)
    names = {delivery.actor for each in arrivals for delivery in each.deliveries}
    assert {name.split("-")[0] for name in names} == {"0", "1"}
    nodes.remove_node(nodes.workers[1])
    arrivals = wait_for_actors(source, ACTORS - 1)
    lost = [name for each in arrivals for name in each.lost]
    assert len(lost) == 1
    assert lost[0] in names
    nodes.add_node(num_cpus=1, resources={"unity": 1})
    arrivals = wait_for_actors(source, ACTORS)
    new = {delivery.actor for each in arrivals for delivery in each.deliveries}
    assert lost[0] not in new
    assert source.status().restarts >= 1
    assert source.status().received > 0


def test_stranger_without_the_token_is_refused(nodes: Any):
    """And one who has it is not."""
    for token, code in ((secrets.token_hex(32), 1), (os.environ["RAY_AUTH_TOKEN"], 0)):
        knocks = subprocess.run(
            [sys.executable, "-c", KNOCK, nodes.address],
            env={**os.environ, "RAY_AUTH_TOKEN": token},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert min(knocks.returncode, 1) == code, knocks.stderr[-2000:]
        assert ("AuthenticationError" in knocks.stderr) == bool(code)
