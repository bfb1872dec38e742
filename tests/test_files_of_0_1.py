"""Runs of 0.1 go on: torch and h5py alone read here what its code wrote, see files_of_0_1/README.md."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import AgentBuffer
from mlagents.trainers.trainer import Trainer
from mlagents_envs.base_env import ActionTuple

from mlagents_plugin_shared.testing import BEHAVIOR, Match, Outcome, Recall, Target, ToyEnv, train

FILES = Path(__file__).with_name("files_of_0_1")
SMALL = {"hidden_units": 8, "num_layers": 1, "normalize": True}
MEMORY = {**SMALL, "memory": {"memory_size": 4, "sequence_length": 2}}
CURIOSITY = {"strength": 0.1, "network_settings": {"hidden_units": 8, "num_layers": 1}}


class Thrice(Target):
    """`Target`, three times an episode."""

    age = 0

    def act(self, action: ActionTuple) -> Outcome:
        reward, over, cut = super().act(action)
        self.age += 1
        return reward, over & (self.age % 3 == 0), cut


def settings(
    trainer_type: str, hyperparameters: dict[str, Any], network: dict[str, Any] = SMALL, **others: Any
) -> dict[str, Any]:
    """A run of 230 steps, which end in the middle of a rollout, or of an episode where time_horizon cuts it."""
    own: dict[str, Any] = {"buffer_size": 50}
    if trainer_type == "dqn":
        own = {"buffer_size": 60, "batch_size": 16, "target_update_interval": 10, "save_replay_buffer": True}
    return {
        "trainer_type": trainer_type,
        "max_steps": 230,
        "summary_freq": 100,
        "time_horizon": 8,
        "hyperparameters": {**own, "reward_window": 20, **hyperparameters},
        "network_settings": network,
        **others,
    }


CASES: dict[str, tuple[type[ToyEnv], dict[str, Any]]] = {
    "dqn-prioritized": (Match, settings("dqn", {"prioritized_replay": True, "keep_best": True})),
    "dqn-memory": (Recall, settings("dqn", {"burn_in": 1}, MEMORY, time_horizon=2)),
    "dqn-c51": (
        Recall,
        settings("dqn", {"distribution": "categorical", "num_atoms": 5, "exploration": "ladder"}, time_horizon=2),
    ),
    "a2c-continuous": (Target, settings("a2c", {"keep_best": True})),
    "a2c-popart": (
        Target,
        settings("a2c", {"normalize_returns": True}, reward_signals={"extrinsic": {}, "curiosity": CURIOSITY}),
    ),
    # It ends one step after an update, both in one episode: the critic remembers what came before.
    "a2c-memory": (Recall, settings("a2c", {"buffer_size": 8}, MEMORY, time_horizon=1, max_steps=235)),
    "a2c-sde": (Thrice, settings("a2c", {"use_sde": True, "sde_sample_freq": 30}, time_horizon=2)),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one folder a case, as 0.1 left it."""
    folder = tmp_path_factory.mktemp("files_of_0_1")
    for name in CASES:
        shutil.unpack_archive(FILES / f"{name}.zip", folder / name)
    return folder


def resume(name: str, files: Path, folder: Path, *, more_steps: int = 0) -> Trainer:
    """The trainer of a run of 0.1 that is resumed in a folder, after so many further steps.

    ML-Agents trains while the step is not above max_steps, so none is taken where max_steps is one less.
    """
    task, config = CASES[name]
    shutil.copytree(files / name, folder / BEHAVIOR)
    max_steps = saved_step(read(files / name / "checkpoint.pt")) - 1 + more_steps
    return train(task(4), {**config, "max_steps": max_steps}, folder, resume=True)


def read(file: Path) -> dict[str, Any]:
    """What torch reads from a checkpoint of 0.1."""
    return torch.load(file, weights_only=True)


def best_in(folder: Path) -> float | None:
    """Mean reward of the best policy, None where it was not kept."""
    file = folder / f"{BEHAVIOR}-best.pt"
    return read(file)["Trainer"]["best"] if file.exists() else None


def saved_step(saved: dict[str, Any]) -> int:
    """Agent steps at which a checkpoint of 0.1 was written."""
    return int(saved["global_step"]["_GlobalSteps__global_step"])


def differences(trainer: Trainer, saved: dict[str, Any], best: float | None) -> list[str]:
    """Names of all that a trainer has otherwise than a checkpoint of 0.1, but for the replay.

    Args:
        trainer: just resumed.
        saved: what torch read from the checkpoint.
        best: in the file of the best policy.
    """
    modules = {**trainer.policy.get_modules(), **trainer.optimizer.get_modules()}
    of_modules = {name: state for name, state in saved.items() if name != "Trainer"}
    counts = {name: of_modules.pop(name)["_extra_state"] for name in saved if name == "Optimizer:updates"}
    found = {name: module.state_dict() for name, module in modules.items()}
    for state in (*of_modules.values(), *found.values()):
        state.pop("param_groups", None)  # options are those of the settings
    state = saved["Trainer"]
    own = trainer.optimizer.state_dict()
    pairs: dict[str, tuple[Any, Any]] = {
        "modules": (of_modules, found),
        "counts": (counts, {f"Optimizer:{name}": count for name, count in own.items() if name == "updates"}),
        "step": (saved_step(saved), trainer.get_step),
        "best": (best, trainer.goals.best),
        "returns": (state["returns"], list(trainer.episodes.returns)),
        "reward_buffer": (state["reward_buffer"], list(trainer.reward_buffer)),
        "skipped": (state["skipped"], trainer.optimizer.guard.skipped),
        "learned_signals": (state["learned_signals"], own["learned_signals"]),
        "torch": (state["acting"]["torch"]["cpu"], torch.get_rng_state()),
        "numpy": (json.loads(state["numpy"])[1], np.random.get_state()[1].tolist()),  # noqa: NPY002 - ML-Agents' own
        "explorers": (state["acting"]["explorers"], trainer.chance.state_dict()["policies"]),
    }
    if "rollout" in state:
        pairs["rollout"] = (cut_short(state["rollout"]), rollout_of(trainer))
        pairs["critic_memories"] = (state["critic_memories"], dict(trainer.optimizer.critic_memory_dict))
    else:
        pairs["updates_due"] = (state["updates_due"], trainer._updates_due)
        pairs["reward_updates_due"] = (state["reward_updates_due"], trainer._reward_updates_due)
        generator = trainer.update_buffer.generator
        pairs["generator"] = (json.loads(state["generators"]["replay"]), generator.bit_generator.state)
    return [name for part, (wanted, has) in pairs.items() for name in differing(part, wanted, has)]


def cut_short(rollout: dict[str, Any]) -> dict[str, Any]:
    """A rollout after its environment was reset: the last segment of each agent was interrupted, if it did not end."""
    last = {agent: i for i, (agent, *_) in enumerate(rollout["segments"])}
    segments = [
        [agent, length, terminated, interrupted or (i == last[agent] and not terminated)]
        for i, (agent, length, terminated, interrupted) in enumerate(rollout["segments"])
    ]
    return {**rollout, "segments": segments}


def rollout_of(trainer: Trainer) -> dict[str, Any]:
    """The open rollout of a trainer as a checkpoint of 0.1 has it."""
    rollout = trainer.update_buffer
    ends = zip(rollout.agent_ids, rollout.lengths, rollout.terminated, rollout.interrupted, strict=True)
    state = rollout.state_dict()
    return {
        "names": state["names"],
        "segments": [[agent, int(length), bool(over), bool(cut)] for agent, length, over, cut in ends],
        "observations": [torch.from_numpy(rows) for rows in rollout.observations()],
        "last_observations": state["last_observations"],
        "columns": [torch.from_numpy(rollout[AgentBuffer._decode_key(name)]) for name in state["names"]],
    }


def differing(name: str, wanted: Any, has: Any) -> Iterator[str]:
    """Names of the numbers in which two of a kind differ."""
    if isinstance(wanted, dict) and isinstance(has, dict):
        for key in wanted.keys() | has.keys():
            yield from differing(f"{name}/{key}", wanted.get(key), has.get(key))
    elif isinstance(wanted, list) and isinstance(has, list) and len(wanted) == len(has):
        for i, (one, other) in enumerate(zip(wanted, has, strict=True)):
            yield from differing(f"{name}/{i}", one, other)
    elif isinstance(wanted, torch.Tensor) and isinstance(has, torch.Tensor):
        if wanted.dtype != has.dtype or not torch.equal(wanted, has):
            yield name
    elif wanted != has:
        yield name


@pytest.mark.parametrize("name", CASES)
def test_resumed_run_has_what_0_1_saved(files: Path, tmp_path: Path, name: str) -> None:
    """Weights, moments, statistics, step, scores, generators, memories and rollout are those of the file."""
    saved, best = read(files / name / "checkpoint.pt"), best_in(files / name)
    assert (best is not None) == CASES[name][1]["hyperparameters"].get("keep_best", False)
    if name.startswith("a2c"):
        rollout, memories = (saved["Trainer"][part] for part in ("rollout", "critic_memories"))
        assert len(rollout["observations"][0]) > 0
        assert bool(memories) == (name == "a2c-memory")
    if name in ("a2c-sde", "dqn-c51"):
        (explorers,) = saved["Trainer"]["acting"]["explorers"].values()
        assert len(explorers[0]["agents"]["agents"]) == 4  # in the middle of their episodes
    assert differences(resume(name, files, tmp_path), saved, best) == []


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("dqn")])
def test_resumed_replay_has_what_0_1_saved(files: Path, tmp_path: Path, name: str) -> None:
    """Transitions, what can be drawn, priorities and the generator are those of the file, oldest first."""
    replay = resume(name, files, tmp_path).update_buffer
    with h5py.File(files / name / "last_replay_buffer.hdf5") as file:
        rows = {key: dataset[()] for key, dataset in file["rows"].items()}
        serial, size, generator = (file.attrs[key] for key in ("serial", "size", "generator"))
        largest = json.loads(file.attrs["state"]).get("max_priority")
    assert (replay.serial, replay.capacity) == (serial, 60)
    assert serial > size == 60  # it was full, and its oldest transition is not in the first row
    order = np.arange(serial - size, serial) % replay.capacity
    found = replay.row_arrays()
    assert found.keys() == rows.keys()
    for key, values in rows.items():
        np.testing.assert_array_equal(found[key][order], values, err_msg=key)
    assert replay.generator.bit_generator.state == json.loads(generator)
    assert ("priority" in rows) == (largest is not None) == (name == "dqn-prioritized")
    if largest is not None:
        assert replay.priorities()[1] == largest


@pytest.mark.parametrize("name", CASES)
def test_run_of_0_1_goes_on(files: Path, tmp_path: Path, name: str) -> None:
    """All networks that learn are others after 200 further steps, and all their numbers are finite."""
    trainer, saved = resume(name, files, tmp_path, more_steps=200), read(files / name / "checkpoint.pt")
    assert trainer.get_step >= saved_step(saved) + 200
    assert trainer.optimizer.guard.skipped == 0
    for part, parameters in learned(trainer).items():
        assert any(not torch.equal(value, saved[part][key]) for key, value in parameters.items()), part
        assert all(value.isfinite().all() for value in parameters.values()), part


def learned(trainer: Trainer) -> dict[str, dict[str, torch.Tensor]]:
    """Parameters of all networks by their name in a checkpoint."""
    modules = {**trainer.policy.get_modules(), **trainer.optimizer.get_modules()}
    networks = {name: module for name, module in modules.items() if isinstance(module, torch.nn.Module)}
    parameters = {name: dict(network.named_parameters()) for name, network in networks.items()}
    return {name: found for name, found in parameters.items() if found and name != "global_step"}


def test_what_is_not_taken_up_is_named(files: Path, tmp_path: Path) -> None:
    """The control: a checkpoint that differs in a number differs, part by part."""
    name = "a2c-continuous"
    trainer, saved, best = resume(name, files, tmp_path), read(files / name / "checkpoint.pt"), best_in(files / name)
    assert best is not None
    weight = next(key for key in saved["Policy"] if key.endswith("weight"))
    saved["Policy"][weight][0, 0] += 1e-6
    saved["Optimizer:value_optimizer"]["state"][0]["exp_avg"] += 1e-6
    saved["Trainer"]["returns"][0] += 1e-6
    saved["Trainer"]["rollout"]["observations"][0][0] += 1e-6
    assert set(differences(trainer, saved, best + 1e-6)) == {
        f"modules/Policy/{weight}",
        "modules/Optimizer:value_optimizer/state/0/exp_avg",
        "returns/0",
        "rollout/observations/0",
        "best",
    }
