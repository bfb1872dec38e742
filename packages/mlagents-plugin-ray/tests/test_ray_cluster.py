"""Joining Ray: tokens, and a cluster of two nodes on this machine."""

import os
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from mlagents.trainers.exception import TrainerConfigError

from mlagents_plugin_ray import cluster
from mlagents_plugin_shared.run.actor_settings import ActorSettings

WHERE = "Toy: hyperparameters: actors: address: auto"


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """As on a machine that has never seen Ray; the place of its token."""
    for name in (cluster.MODE, cluster.TOKEN):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv(cluster.TOKEN_FILE, str(tmp_path / "auth_token"))
    return tmp_path / "auth_token"


def test_own_ray_gets_a_new_token_each_time(monkeypatch: pytest.MonkeyPatch):
    """Nobody else has it."""
    made = []
    for _ in range(2):
        monkeypatch.delenv(cluster.TOKEN, raising=False)
        cluster.require_token(is_own=True, where=WHERE)
        made.append(cluster.os.environ[cluster.TOKEN])
    assert cluster.os.environ[cluster.MODE] == "token"
    assert len(set(made)) == 2
    assert all(len(token) >= 32 for token in made)


def test_token_of_the_user_is_kept(monkeypatch: pytest.MonkeyPatch, no_token: Path):
    """From the variable, or from the file."""
    monkeypatch.setenv(cluster.TOKEN, "mine")
    cluster.require_token(is_own=True, where=WHERE)
    assert cluster.os.environ[cluster.TOKEN] == "mine"
    monkeypatch.delenv(cluster.TOKEN)
    no_token.write_text("mine")
    for is_own in (True, False):
        cluster.require_token(is_own, WHERE)
        assert cluster.TOKEN not in cluster.os.environ


def test_cluster_without_a_token_is_refused(no_token: Path):
    """One line says where it is looked for, and how to make one."""
    with pytest.raises(TrainerConfigError, match=r"auto: there is no token for this cluster.*--generate") as error:
        cluster.require_token(is_own=False, where=WHERE)
    assert str(no_token) in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("is_own", [True, False])
def test_tokens_cannot_be_switched_off(monkeypatch: pytest.MonkeyPatch, is_own: bool):
    """Whoever reaches this machine could run code on it."""
    monkeypatch.setenv(cluster.MODE, "disabled")
    with pytest.raises(TrainerConfigError, match=r"RAY_AUTH_MODE is disabled, .* Unset RAY_AUTH_MODE"):
        cluster.require_token(is_own, WHERE)


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"CPU": 2.0}, "Toy: hyperparameters: actors: resources: CPU is not valid; Ray counts it by itself"),
        ({"GPU": 1.0}, "resources: GPU is not valid; .* no accelerator"),
        ({"unity": 1.5}, "resources: unity: 1.5 is not valid; it must lie between 0.0001 and 1, or be a whole number"),
        ({"unity": 0.00001}, "resources: unity: 1e-05 is not valid"),
    ],
)
@pytest.mark.parametrize("address", ["local", "auto"])
def test_resources_that_ray_cannot_count_are_refused(address: str, resources: dict[str, float], message: str):
    """By name and amount, wherever actors play, and before Ray is started."""
    with pytest.raises(TrainerConfigError, match=message) as error:
        cluster.connect(ActorSettings(address=address, resources=resources), "Toy")
    assert len(str(error.value).splitlines()) == 1


def test_shares_of_a_resource_add_up_to_a_whole_number():
    """A machine of Ray's has no half of one, though an actor may take half."""
    assert cluster._of_all(ActorSettings(count=3, resources={"unity": 0.5, "box": 2.0})) == {"unity": 2, "box": 6}
    cluster.check_resources({"unity": 0.5, "box": 2.0}, WHERE)


def node(alive: bool = True, **resources: float) -> dict:
    """A row of `ray.nodes()`."""
    return {"Alive": alive, "Resources": resources}


@pytest.mark.parametrize(
    ("nodes", "room"),
    [
        ([node(CPU=8.0)], 0),
        ([node(CPU=8.0), node(CPU=1.0, unity=4.0), node(CPU=4.0, unity=0.5)], 2),
        ([node(CPU=2.0, unity=1.0), node(False, CPU=4.0, unity=4.0)], 2),
        ([], 0),
    ],
)
def test_too_little_room_for_all_actors_is_told(nodes: list[dict], room: int):
    """By how many have a machine, and what each takes; Ray would let the others wait in silence."""
    told = cluster.too_little_room(nodes, ActorSettings(count=3, resources={"unity": 0.5}))
    assert (
        f"count: 3: the machines that Ray has now hold {room} of these actors, which take {{CPU: 1, unity: 0.5}}"
        in told
    )
    assert len(told.splitlines()) == 1


def test_room_for_all_actors_is_no_news():
    """Tenths add up to a whole."""
    nodes = [node(CPU=8.0), node(CPU=2.0), node(CPU=9.0, unity=0.7)]
    assert cluster.too_little_room(nodes, ActorSettings(count=7, resources={"unity": 0.1})) == ""
    assert cluster.too_little_room(nodes, ActorSettings(count=19)) == ""


@pytest.mark.parametrize("address", ["{}", "auto"])
def test_address_where_nobody_listens_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, address: str):
    """In one line; Ray would try for a quarter of an hour."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
        cluster.check_reachable(nobody, WHERE)
    monkeypatch.setenv(cluster.TOKEN, "mine")
    monkeypatch.setenv(cluster.ADDRESS, nobody if address == "auto" else "")
    had_ray = "ray" in sys.modules
    with pytest.raises(TrainerConfigError, match=rf"address: .*: nobody answers at {nobody}: .*ray start") as error:
        cluster.connect(ActorSettings(address=address.format(nobody)), "Toy")
    assert len(str(error.value).splitlines()) == 1
    assert ("ray" in sys.modules) == had_ray


@pytest.mark.parametrize(("given", "taken"), [(None, "120"), ("7", "7")])
def test_ray_gets_two_minutes_to_start(monkeypatch: pytest.MonkeyPatch, given: str | None, taken: str):
    """Unless the user says otherwise; before Ray is imported, which reads it then."""
    stand_in = ModuleType("ray")
    stand_in.is_initialized = lambda: True
    monkeypatch.setitem(sys.modules, "ray", stand_in)
    monkeypatch.setenv(cluster.TOKEN, "mine")
    monkeypatch.setenv(cluster.STARTING, given or "")
    if given is None:
        monkeypatch.delenv(cluster.STARTING)
    with pytest.raises(TrainerConfigError, match="another behavior"):
        cluster.connect(ActorSettings(), "Toy")
    assert os.environ[cluster.STARTING] == taken


def test_machine_without_ray_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    """Ray's own words name flags that mlagents-learn does not have."""

    def refuse(**_: Any) -> None:
        raise ConnectionError("Could not find any running Ray instance. Please specify the `--address` flag.")

    stand_in = ModuleType("ray")
    stand_in.is_initialized, stand_in.init = lambda: False, refuse
    monkeypatch.setitem(sys.modules, "ray", stand_in)
    monkeypatch.setenv(cluster.TOKEN, "mine")
    monkeypatch.delenv(cluster.ADDRESS, raising=False)
    with pytest.raises(TrainerConfigError, match=r"address: auto: no Ray was found on this machine.*--head") as error:
        cluster.connect(ActorSettings(address="auto"), "Toy")
    assert "flag" not in str(error.value)


def test_unknown_host_is_refused_and_what_is_no_address_is_left_to_ray():
    """Names that do not resolve are as bad as silent ones."""
    with pytest.raises(TrainerConfigError, match=r"nobody answers at no-such-host\.invalid:6379"):
        cluster.check_reachable("no-such-host.invalid:6379", WHERE)
    cluster.check_reachable("", WHERE)
