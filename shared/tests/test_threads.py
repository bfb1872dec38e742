"""Where a trainer with `threaded: true` learns."""

import threading
from types import SimpleNamespace

import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.trainer_controller import TrainerController

from mlagents_plugin_shared.run.host import threads


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
