"""Checkpoints are whole or absent, load no code, and export on the torch at hand."""

import io
import itertools
import os
import pickle
import re
import signal
import struct
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.torch_utils import torch
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.policy.checkpoint_manager import ModelCheckpoint, ModelCheckpointManager
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.settings import NetworkSettings, TrainerSettings
from mlagents.trainers.torch_entities.networks import SimpleActor
from mlagents.trainers.training_status import GlobalTrainingStatus
from mlagents_envs.base_env import (
    ActionSpec,
    BehaviorSpec,
    DimensionProperty,
    ObservationSpec,
    ObservationType,
)

from mlagents_plugin_shared.run import checkpoints
from mlagents_plugin_shared.run.checkpoint_files import CheckpointError, read_checkpoint
from mlagents_plugin_shared.run.checkpoints import CheckpointSaver
from mlagents_plugin_shared.run.files import remove_unfinished
from mlagents_plugin_shared.run.host import old_checkpoints
from mlagents_plugin_shared.run.taking_up import take_up

HYBRID = ActionSpec(2, (3, 2))
MEMORY = NetworkSettings.MemorySettings(sequence_length=4, memory_size=8)


def policy(actions: ActionSpec = HYBRID, memory=None) -> TorchPolicy:
    """A policy of ML-Agents with one vector sensor."""
    sensor = ObservationSpec((4,), (DimensionProperty.NONE,), ObservationType.DEFAULT, "vector")
    settings = NetworkSettings(hidden_units=8, num_layers=1, memory=memory, normalize=True)
    return TorchPolicy(0, BehaviorSpec([sensor], actions), settings, SimpleActor, {})


def saver(folder: Path, module: TorchPolicy, load: bool = False) -> CheckpointSaver:
    """A saver of this policy."""
    register_trainer_plugins()
    result = CheckpointSaver(TrainerSettings(), str(folder), load)
    result.register(module)
    return result


def weights(module: TorchPolicy) -> torch.Tensor:
    """All parameters in one tensor."""
    return torch.cat([p.detach().flatten() for p in module.actor.parameters()])


def test_checkpoint_restores_weights_and_step(tmp_path: Path) -> None:
    """A second policy resumes as the first."""
    first, second = policy(), policy()
    first.set_step(123)
    with torch.no_grad():
        next(first.actor.network_body.parameters()).add_(1.0)
    saver(tmp_path, first).save_checkpoint("Toy", 123)
    saver(tmp_path, second, load=True).initialize_or_load()
    assert second.get_current_step() == 123
    torch.testing.assert_close(weights(second), weights(first))


def test_checkpoint_writes_three_files_and_no_others(tmp_path: Path) -> None:
    """The numbered checkpoint, its model, and the one to resume from."""
    export, others = saver(tmp_path, policy()).save_checkpoint("Toy.v2", 5)
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"Toy.v2-5.pt", "Toy.v2-5.onnx", "checkpoint.pt"}
    assert (Path(export).name, [Path(o).name for o in others]) == ("Toy.v2-5.onnx", ["Toy.v2-5.pt"])


def test_checkpoint_survives_a_failure_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up half-way leaves the former checkpoint as it was, and nothing half-written."""
    module = policy()
    keeper = saver(tmp_path, module)
    keeper.save_checkpoint("Toy", 1)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def fail(state, path) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(checkpoints.torch, "save", fail)
    with pytest.raises(OSError, match="no space"):
        keeper.save_checkpoint("Toy", 2)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("form", ["pickle", "zip"])
def test_checkpoint_runs_no_code(tmp_path: Path, form: str) -> None:
    """A file that calls a function is refused, and the function is not called."""

    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "called"),)

    file = tmp_path / "checkpoint.pt"
    if form == "zip":
        torch.save({"Policy": Malicious()}, file)
    else:
        file.write_bytes(pickle.dumps({"Policy": Malicious()}))
    with pytest.raises(TrainerConfigError, match=r"checkpoint\.pt (holds objects other than numbers|is damaged)"):
        saver(tmp_path, policy(), load=True).initialize_or_load()
    assert not (tmp_path / "called").exists()


def test_missing_checkpoint_is_named(tmp_path: Path) -> None:
    """One line with the file and where to look."""
    with pytest.raises(TrainerConfigError, match=r"there is no checkpoint\.pt.*--run-id"):
        saver(tmp_path, policy(), load=True).initialize_or_load()


def flipped(new: bytes, old: bytes) -> bytes:
    """One bit of the largest tensor."""
    largest = max(zipfile.ZipFile(io.BytesIO(new)).infolist(), key=lambda entry: entry.file_size)
    name, extra = struct.unpack_from("<HH", new, largest.header_offset + 26)
    place = largest.header_offset + 30 + name + extra + largest.file_size // 2
    return new[:place] + bytes([new[place] ^ 1]) + new[place + 1 :]


def misread(new: bytes, old: bytes) -> bytes:
    """One bit of how the largest tensor is stored, at its entry in the table at the end: packed, which it is not."""
    infos = zipfile.ZipFile(io.BytesIO(new)).infolist()
    largest = max(range(len(infos)), key=lambda index: infos[index].file_size)
    place = -1
    for _ in range(largest + 1):
        place = new.index(b"PK\x01\x02", place + 1)
    return new[: place + 10] + bytes([new[place + 10] ^ 8]) + new[place + 11 :]


DAMAGE = {
    "empty": lambda new, old: b"",
    "cut": lambda new, old: new[: len(new) // 2],
    "without its last byte": lambda new, old: new[:-1],
    "one bit flipped": flipped,
    "one bit of the table flipped": misread,
    "zeros in the middle": lambda new, old: new[: len(new) // 3] + bytes(len(new) // 3) + new[2 * (len(new) // 3) :],
    "half of another version": lambda new, old: new[: len(new) // 2] + old[len(new) // 2 :],
    "no checkpoint": lambda new, old: b"text",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_checkpoint_is_replaced_by_the_newest_whole_one(tmp_path: Path, damage: str, caplog) -> None:
    """checkpoint.pt and the newest numbered one are damaged: the one before is used, and the log says so."""
    folder = tmp_path / "Toy"
    first, resumed = policy(), policy()
    keeper = saver(folder, first)
    for step in (9, 10, 11):
        first.set_step(step)
        with torch.no_grad():
            next(first.actor.network_body.parameters()).add_(1.0)
        keeper.save_checkpoint("Toy", step)
        if step == 10:
            expected = weights(first)
    old, new = ((folder / f"Toy-{step}.pt").read_bytes() for step in (10, 11))
    for name in ("checkpoint.pt", "Toy-11.pt"):
        (folder / name).write_bytes(DAMAGE[damage](new, old))
    with caplog.at_level("WARNING"):
        saver(folder, resumed, load=True).initialize_or_load()
    assert resumed.get_current_step() == 10
    torch.testing.assert_close(weights(resumed), expected)
    assert "checkpoint.pt" in caplog.text
    assert "Using Toy-10.pt, the newest that is whole" in caplog.text


def test_checkpoints_that_are_all_damaged_end_in_one_error(tmp_path: Path) -> None:
    """It names the folder and what is wrong with each file."""
    folder = tmp_path / "Toy"
    saver(folder, policy()).save_checkpoint("Toy", 5)
    for file in folder.glob("*.pt"):
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(TrainerConfigError, match=r"checkpoint\.pt is damaged.*Toy-5\.pt is damaged.*--force") as error:
        saver(folder, policy(), load=True).initialize_or_load()
    assert "\n" not in str(error.value)


def test_checkpoint_of_weights_that_are_no_numbers_is_not_written(tmp_path: Path) -> None:
    """The last good one stays."""
    module = policy()
    keeper = saver(tmp_path, module)
    keeper.save_checkpoint("Toy", 1)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with torch.no_grad():
        next(module.actor.parameters()).fill_(float("nan"))
    with pytest.raises(CheckpointError, match="Policy holds numbers that are not finite"):
        keeper.save_checkpoint("Toy", 2)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_checkpoint_survives_a_kill_at_any_instant(tmp_path: Path) -> None:
    """A process that does nothing but save is killed 12 times: what it leaves is always whole, and never older."""
    folder = tmp_path / "Toy"
    module = policy()
    keeper = saver(folder, module)
    keeper.save_checkpoint("Toy", 0)
    rng = np.random.default_rng(0)
    step = 0
    for _ in range(12):
        if (child := os.fork()) == 0:
            while True:
                step += 1
                module.set_step(step)
                keeper.save_checkpoint("Toy", step)
        while not (folder / f"Toy-{step + 1}.pt").exists():
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.1))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        resumed = policy()
        saver(folder, resumed, load=True).initialize_or_load()
        read_checkpoint(folder / "checkpoint.pt")
        assert resumed.get_current_step() >= step
        step = resumed.get_current_step()
        for file in folder.glob("Toy-*.pt"):
            read_checkpoint(file)
        for file in folder.glob("Toy-*.onnx"):
            onnx.checker.check_model(onnx.load(file))
    remove_unfinished(folder)
    assert not list(folder.glob(".*"))


def test_old_checkpoint_in_use_is_no_fault_of_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """ML-Agents deletes it when a new one is there: what can be deleted is, and the rest is named."""
    monkeypatch.setattr(GlobalTrainingStatus, "saved_state", defaultdict(dict))
    for step in (1, 2):
        export, others = saver(tmp_path, policy()).save_checkpoint("Toy", step)
        if step == 2:
            monkeypatch.setattr(old_checkpoints, "delete", deleting_all_but(".onnx"))
        new = ModelCheckpoint(step, export, None, 0.0, auxillary_file_paths=others)
        ModelCheckpointManager.add_checkpoint("Toy", new, keep_checkpoints=1)
    assert {file.name for file in tmp_path.iterdir()} == {"Toy-1.onnx", "Toy-2.onnx", "Toy-2.pt", "checkpoint.pt"}
    assert [listed["steps"] for listed in ModelCheckpointManager.get_checkpoints("Toy")] == [2]
    (warned,) = caplog.messages
    assert re.search(r"Toy-1\.onnx, of an older checkpoint, could not be deleted: it is in use\. Delete it ", warned)


def deleting_all_but(suffix: str) -> Callable[[str], None]:
    """Deletes files, but none of a suffix: another program has those open."""

    def delete(path: str) -> None:
        if path.endswith(suffix):
            raise PermissionError(13, "it is in use", path)
        Path(path).unlink()

    return delete


def test_checkpoint_of_another_network_starts_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Other actions: what does not fit keeps its fresh weights, with one warning that says what and what to do."""
    saver(tmp_path, policy()).save_checkpoint("Toy", 1)
    other = policy(ActionSpec(3, ()))
    with caplog.at_level("WARNING"):
        saver(tmp_path, other, load=True).initialize_or_load()
    assert torch.isfinite(weights(other)).all()
    (warned,) = caplog.messages
    assert warned.startswith(
        f"{tmp_path.name}: checkpoint.pt does not fit this configuration, and what differs starts anew: Policy: "
    )
    assert warned.endswith(" To go on from all of it, use the settings that it was trained with.")


def test_extra_state_of_an_authors_network_is_taken_up() -> None:
    """It has no shape, and is the network's own matter."""

    class Counting(torch.nn.Linear):
        count = 0

        def get_extra_state(self) -> dict[str, int]:
            return {"count": self.count}

        def set_extra_state(self, state: dict[str, int]) -> None:
            self.count = state["count"]

    saved, resumed = Counting(2, 1), Counting(2, 1)
    saved.count = 3
    assert take_up(resumed, saved.state_dict()) is None
    assert resumed.count == 3


def test_what_does_not_fit_is_named_in_short() -> None:
    """Of a network of another width one weight, and how many more; of another depth what one of the two lacks."""

    def network(*widths: int) -> torch.nn.Module:
        return torch.nn.Sequential(*(torch.nn.Linear(*pair) for pair in itertools.pairwise(widths)))

    made = network(3, 5, 2)
    assert take_up(made, network(3, 5, 2).state_dict()) is None
    before = made.state_dict()["1.bias"].clone()
    saved = network(3, 4, 2).state_dict()
    assert take_up(made, saved) == "0.weight is 4x3 in the checkpoint and 5x3 here, and 2 more differ"
    assert torch.equal(made.state_dict()["1.bias"], saved["1.bias"])
    assert not torch.equal(before, saved["1.bias"])
    assert take_up(made, network(3, 5).state_dict()) == "1.weight and 1 more are not in the checkpoint"
    assert take_up(made, network(3, 5, 2, 2).state_dict()) == "2.weight and 1 more are only there"
    assert take_up(made, network(3, 5, 1).state_dict() | {"7.bias": before}) == (
        "1.weight is 1x5 in the checkpoint and 2x5 here, and 1 more differ, 7.bias is only there"
    )
    assert take_up(made, None) == "the checkpoint holds none"


@pytest.mark.parametrize("actions", [ActionSpec(2, ()), ActionSpec(0, (3, 2)), ActionSpec(2, (3, 2))])
@pytest.mark.parametrize("memory", [None, MEMORY])
def test_exported_model_acts_as_the_policy(tmp_path: Path, actions: ActionSpec, memory) -> None:
    """Deterministic outputs equal those of torch, for a batch of 7 random observations and masks."""
    module = policy(actions, memory)
    path, _ = saver(tmp_path, module).save_checkpoint("Toy", 0)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    model = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    masks = np.ones((7, 5), np.float32)
    masks[:, [1, 4]] = rng.integers(0, 2, (7, 2))
    feed = {
        "obs_0": rng.normal(size=(7, 4)),
        "action_masks": masks,
        "recurrent_in": rng.normal(size=(7, 1, 8)),
    }
    names = [i.name for i in model.get_inputs()]
    outputs = [o.name for o in model.get_outputs()]
    values = dict(zip(outputs, model.run(None, {name: feed[name].astype(np.float32) for name in names}), strict=True))
    memories = torch.as_tensor(feed["recurrent_in"], dtype=torch.float32).transpose(0, 1)
    with torch.no_grad():
        encoding, after = module.actor.network_body(
            [torch.as_tensor(feed["obs_0"], dtype=torch.float32)], None, memories
        )
        expected = module.actor.action_model.get_action_out(encoding, torch.as_tensor(masks))
    if actions.continuous_size:
        np.testing.assert_allclose(values["deterministic_continuous_actions"], expected[3], atol=1e-5)
    if actions.discrete_size:
        np.testing.assert_array_equal(values["deterministic_discrete_actions"], expected[4])
    if memory:
        np.testing.assert_allclose(values["recurrent_out"][:, 0], after[0], atol=1e-5)


@pytest.mark.parametrize("size", [2, 3])
def test_optimizer_keeps_its_own_kernel(size: int) -> None:
    """A checkpoint's moments are taken up, its kernel is not; moments of other shapes are refused."""

    def made(length: int, **kernel: bool) -> torch.optim.Adam:
        parameter = torch.nn.Parameter(torch.ones(length))
        parameter.grad = torch.ones(length)
        return torch.optim.Adam([parameter], lr=0.1, **kernel)

    saved, resumed = made(2), made(size, foreach=True)
    saved.step()
    state = saved.state_dict()
    state["param_groups"][0]["fused"] = True
    assert (take_up(resumed, state) is None) == (size == 2)
    assert resumed.param_groups[0]["foreach"]
    assert not resumed.param_groups[0]["fused"]
    assert bool(resumed.state) == (size == 2)


RMSPROP, ADAM, SGD = torch.optim.RMSprop, torch.optim.Adam, torch.optim.SGD


def stepped(kind: type, steps: int = 1, **options) -> torch.optim.Optimizer:
    """An optimizer of two parameters that has taken some steps."""
    parameters = [torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3, 2))]
    optimizer = kind(parameters, **{"lr": 0.1, **options})
    for _ in range(steps):
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    return optimizer


@pytest.mark.parametrize(
    ("first", "second", "fits"),
    [
        ((RMSPROP, {}), (RMSPROP, {}), True),
        ((RMSPROP, {}), (RMSPROP, {"centered": True}), False),
        ((RMSPROP, {"centered": True}), (RMSPROP, {}), False),
        ((RMSPROP, {}), (RMSPROP, {"momentum": 0.9}), False),
        ((RMSPROP, {"eps": 1e-3}), (RMSPROP, {"alpha": 0.5}), True),
        ((ADAM, {}), (ADAM, {"amsgrad": True}), False),
        ((ADAM, {"amsgrad": True}), (ADAM, {}), False),
        ((ADAM, {}), (torch.optim.AdamW, {}), True),
        ((ADAM, {"eps": 1e-3}), (ADAM, {"betas": (0.5, 0.9)}), True),
        ((ADAM, {}), (RMSPROP, {}), False),
        ((SGD, {"momentum": 0.9}), (ADAM, {}), False),
        ((SGD, {"momentum": 0.9}), (SGD, {}), False),
    ],
)
def test_moments_of_another_optimizer_begin_anew(
    first: tuple[type, dict], second: tuple[type, dict], fits: bool
) -> None:
    """Also those of the same class with other options; the options are this run's, and the next steps can be taken."""
    saved, resumed = stepped(first[0], **first[1]).state_dict(), stepped(second[0], steps=0, **second[1])
    options = [{name: group[name] for name in resumed.defaults} for group in resumed.param_groups]
    assert (take_up(resumed, saved) is None) == fits
    assert bool(resumed.state) == fits
    assert [{name: group[name] for name in resumed.defaults} for group in resumed.param_groups] == options
    before = [parameter.clone() for parameter in resumed.param_groups[0]["params"]]
    for parameter in resumed.param_groups[0]["params"]:
        parameter.grad = torch.ones_like(parameter)
    resumed.step()
    assert not any(map(torch.equal, before, resumed.param_groups[0]["params"]))


def test_moments_go_on_where_they_were() -> None:
    """Two steps, and one step saved and one more after it, lead to the same moments."""
    whole, half = stepped(ADAM, steps=2), stepped(ADAM, steps=1)
    resumed = stepped(ADAM, steps=0)
    assert take_up(resumed, half.state_dict()) is None
    for parameter in resumed.param_groups[0]["params"]:
        parameter.grad = torch.ones_like(parameter)
    resumed.step()
    for mine, other in zip(resumed.state.values(), whole.state.values(), strict=True):
        assert all(torch.equal(mine[name], other[name]) for name in other)
