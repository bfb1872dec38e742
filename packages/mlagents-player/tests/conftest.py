"""Fixtures of the player's tests: built launchers, and ML-Agents' own environment on them."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlagents_envs.environment import UnityEnvironment

from mlagents_player import launcher
from player_testing import free_port

# A test run in the background ignores Ctrl+C, and so would the processes that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def players(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with launchers of both scenes, under a path that has a space."""
    folder = tmp_path_factory.mktemp("built players")
    for scene in ("Basic", "3DBall"):
        launcher.build(scene, folder)
    return folder


@pytest.fixture
def unity(players: Path, tmp_path: Path) -> Iterator[Callable[..., UnityEnvironment]]:
    """Opens ML-Agents' own environment on a built player; closes what a test left open."""
    opened: list[UnityEnvironment] = []

    def start(scene: str, **options: object) -> UnityEnvironment:
        options = {"timeout_wait": 60, "log_folder": str(tmp_path), "base_port": free_port(), **options}
        environment = UnityEnvironment(str(players / scene), **options)
        opened.append(environment)
        environment.reset()
        return environment

    yield start
    for environment in opened:
        if environment._loaded:
            environment.close()
