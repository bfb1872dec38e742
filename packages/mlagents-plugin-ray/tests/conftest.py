"""What the tests of this package share."""

import os
import secrets
import signal
from pathlib import Path

import pytest

from ray_testing import ON_A_BUSY_MACHINE, build

# Tests that run in the background of a shell ignore Ctrl+C, and so would what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Ray reads them when it is imported, and no later.
os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32), **ON_A_BUSY_MACHINE)


@pytest.fixture(scope="session")
def basic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The launcher of Basic."""
    return build("Basic", tmp_path_factory.mktemp("players"))


@pytest.fixture(scope="session")
def ball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The launcher of 3DBall."""
    return build("3DBall", tmp_path_factory.mktemp("players"))


@pytest.fixture
def port(worker_id: str) -> int:
    """First of a hundred ports that no other process of pytest takes."""
    return 7005 + 100 * (0 if worker_id == "master" else int(worker_id.removeprefix("gw")))
