"""How long an actor is waited for, of which nothing comes."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from mlagents_plugin_ray import source as source_module
from mlagents_plugin_ray.source import RaySource, _Player
from mlagents_plugin_shared.run.actor import Place
from mlagents_plugin_shared.run.actor_settings import ActorSettings

TIMEOUT = 60


class Silent:
    """An actor of Ray's whose calls never come back."""

    collect = SimpleNamespace(remote=lambda orders: object())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Seconds, and those at which an actor was ended; Ray is a stand-in with one machine of one core."""
    seen = SimpleNamespace(now=0, ended=[])
    ray = SimpleNamespace(
        kill=lambda handle: seen.ended.append(seen.now),
        nodes=lambda: [{"Alive": True, "Resources": {"CPU": 1.0}}],
        wait=lambda calls, timeout: ([], calls),
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(source_module, "time", SimpleNamespace(monotonic=lambda: seen.now))
    return seen


def silent_source(resources: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> RaySource:
    """A source whose one actor starts and starts."""
    source = RaySource(ActorSettings(resources=resources))
    monkeypatch.setattr(source, "_made", lambda place: Silent())
    source._plan = SimpleNamespace(timeout=TIMEOUT)
    source._watch = SimpleNamespace(lost=lambda: "")
    source._weights = (dict, 0)
    source._players = [_Player(Place(0, 1))]
    return source


def test_actor_that_does_not_start_gets_longer_each_time(clock: Any, monkeypatch: pytest.MonkeyPatch):
    """Twice as long, up to eight times; one that is always given up a moment too early would never play."""
    source = silent_source({}, monkeypatch)
    for clock.now in range(4000):
        source.poll()
    waits = [later - earlier for earlier, later in zip([0, *clock.ended], clock.ended, strict=False)]
    assert [round(wait, -1) for wait in waits] == [120, 240, 480, 960, 960, 960]


@pytest.mark.parametrize(("resources", "says"), [({}, False), ({"walrus": 1.0}, True)])
def test_actor_that_no_machine_has_room_for_is_told(
    clock: Any, monkeypatch: pytest.MonkeyPatch, resources: dict[str, float], says: bool
):
    """When it is given up, for the machine may have left meanwhile."""
    source = silent_source(resources, monkeypatch)
    for clock.now in range(200):
        source.poll()
    assert any("hold 0 of these actors" in said for said in source._said) == says
