"""Where a trainer with `threaded: true` learns."""

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.trainer_controller import TrainerController

from mlagents_plugin_shared.run.host import threads
from mlagents_plugin_shared.testing import Corridor, train
from recording import config, registered  # noqa: F401 - a fixture


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_thread_learns_where_the_run_does(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    """On a GPU its tensors are there, too: PyTorch's default device is one of each thread. `nox -s cuda` trains so."""
    monkeypatch.setattr(threads, "default_device", lambda: torch.device(device))
    chosen = {}
    monkeypatch.setattr(torch, "set_default_device", lambda d: chosen.update({threading.get_ident(): d.type}))
    run = TrainerController.__new__(TrainerController)
    run.kill_trainers = False
    seen: list[str] = []

    def advance() -> None:
        seen.append(chosen.get(threading.get_ident(), "cpu"))
        run.kill_trainers = True

    thread = threading.Thread(target=run.trainer_update_func, args=(SimpleNamespace(advance=advance),))
    thread.start()
    thread.join()
    assert run.failure_of_thread is None
    assert seen == [device]


@pytest.mark.usefixtures("registered")
def test_reset_waits_for_the_end_of_a_round(tmp_path: Path) -> None:
    """ML-Agents resets in the main thread, while another one is in the middle of an episode's numbers."""
    made = train(Corridor(), config("replay", 40), tmp_path)
    begun, ends = threading.Event(), threading.Event()

    def play() -> None:
        with made.rounds.one(learns=lambda: True):
            begun.set()
            ends.wait(timeout=60)

    round_of_another = threading.Thread(target=play)
    round_of_another.start()
    begun.wait(timeout=60)
    reset = threading.Thread(target=made.end_episode)
    reset.start()
    reset.join(timeout=0.2)
    assert reset.is_alive()
    ends.set()
    reset.join(timeout=60)
    round_of_another.join(timeout=60)
    assert not reset.is_alive()
