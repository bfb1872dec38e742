"""Joining Ray: tokens, and a cluster of two nodes on this machine."""

from pathlib import Path

import pytest
from mlagents.trainers.exception import TrainerConfigError

from mlagents_plugin_ray import cluster

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
