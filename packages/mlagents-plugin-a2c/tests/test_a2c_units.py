"""Values in other units than the run that goes on with them: PopArt switched on or off, other reward streams."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents_envs.base_env import ActionTuple

from mlagents_plugin_a2c.trainer import A2CTrainer
from mlagents_plugin_shared.run.checkpoint_files import read_checkpoint
from mlagents_plugin_shared.testing import Corridor, Outcome, train

MEMORY = {"memory_size": 8, "sequence_length": 4}
EXTRINSIC = {"gamma": 0.95}
CURIOSITY = {"gamma": 0.9, "strength": 0.01}
RND = {"gamma": 0.8, "strength": 0.01}


class RichCorridor(Corridor):
    """Rewards 100 times as large; best return 80 or 85."""

    def act(self, action: ActionTuple) -> Outcome:
        """Pays."""
        reward, terminated, interrupted = super().act(action)
        return 100.0 * reward, terminated, interrupted


def run(folder: Path, max_steps: int, *, resume: bool = False, signals: Any = None, memory: Any = None, **changes: Any):
    """A short run; `init_path` goes beside the hyperparameters."""
    top = {"init_path": changes.pop("init_path")} if "init_path" in changes else {}
    settings = {
        "trainer_type": "a2c",
        "max_steps": max_steps,
        "time_horizon": 16,
        "hyperparameters": {"buffer_size": 64, "learning_rate": 3e-3, **changes},
        "network_settings": {"hidden_units": 32, "num_layers": 1, "memory": memory},
        "reward_signals": signals or {"extrinsic": EXTRINSIC},
        **top,
    }
    return train(RichCorridor(seed=1), settings, folder, seed=1, resume=resume)


def values(trainer) -> dict[str, np.ndarray]:
    """[6] values of the cells by reward stream, as GAE takes them."""
    optimizer = trainer.optimizer
    memories = torch.zeros(1, 6, optimizer.critic.memory_size) if trainer.policy.use_recurrent else None
    with torch.no_grad():
        found, _ = optimizer._values_and_memories([torch.eye(6)], memories, 1)
    return dict(zip(optimizer.streams, found.numpy().T, strict=True))


@pytest.mark.parametrize("way", ["resume", "init_path"])
@pytest.mark.parametrize(("shared_critic", "memory"), [(False, None), (True, None), (False, MEMORY)])
@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True), (True, True), (False, False)])
def test_values_stay_what_they_were(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    first: bool,
    second: bool,
    shared_critic: bool,
    memory: Any,
    way: str,
) -> None:
    """Whatever becomes of normalize_returns; moments of gradients in other units begin anew, and only those."""
    common = {"shared_critic": shared_critic, "memory": memory}
    before = run(tmp_path / "a", 640, normalize_returns=first, **common)
    if way == "resume":
        after = run(tmp_path / "a", 640, resume=True, normalize_returns=second, **common)
    else:
        monkeypatch.setattr(A2CTrainer, "_is_ready_update", lambda trainer: False)
        checkpoint = str(tmp_path / "a" / "Toy" / "checkpoint.pt")
        after = run(tmp_path / "b", 32, init_path=checkpoint, normalize_returns=second, **common)
    np.testing.assert_allclose(values(after)["extrinsic"], values(before)["extrinsic"], rtol=1e-4, atol=1e-3)
    assert bool(before.optimizer.popart.rollouts.any()) == first
    assert bool(after.optimizer.popart.rollouts.any()) == (first and second)
    assert bool(after.optimizer.descent.optimizer.state) == (first == second)


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True)])
def test_a_run_goes_on_learning_in_the_new_units(tmp_path: Path, first: bool, second: bool) -> None:
    """Values of the resumed run are returns that can be had: not above 100, which the goal pays, nor far below 0."""
    run(tmp_path, 6000, normalize_returns=first)
    trainer = run(tmp_path, 10000, resume=True, normalize_returns=second)
    cells = values(trainer)["extrinsic"][:5]
    assert cells.min() > 20.0
    assert cells.max() < 110.0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"extrinsic": EXTRINSIC}, {"curiosity": CURIOSITY, "extrinsic": EXTRINSIC}),
        ({"curiosity": CURIOSITY, "extrinsic": EXTRINSIC}, {"extrinsic": EXTRINSIC}),
        ({"curiosity": CURIOSITY, "extrinsic": EXTRINSIC}, {"rnd": RND, "extrinsic": EXTRINSIC}),
        ({"curiosity": CURIOSITY, "extrinsic": EXTRINSIC}, {"extrinsic": EXTRINSIC, "curiosity": CURIOSITY}),
    ],
    ids=["added", "removed", "replaced", "in another order"],
)
@pytest.mark.parametrize("shared_critic", [False, True])
def test_a_stream_keeps_its_units_whatever_becomes_of_others(
    tmp_path: Path, before: dict, after: dict, shared_critic: bool
) -> None:
    """Statistics belong to the stream of their name; one that is new begins with its own."""
    common = {"normalize_returns": True, "shared_critic": shared_critic}
    first = run(tmp_path, 640, signals=before, **common)
    second = run(tmp_path, 640, resume=True, signals=after, **common)
    for name in second.optimizer.streams:
        rollouts = second.optimizer.popart.streams[name].rollouts
        assert bool(rollouts > 0) == (name in before)
        if name in before:
            np.testing.assert_allclose(values(second)[name], values(first)[name], rtol=1e-5)
    assert bool(second.optimizer.descent.optimizer.state) == (set(before) == set(after))


def test_moments_follow_streams_in_another_order(tmp_path: Path) -> None:
    """The squared gradients of each value head are those of the same stream, wherever it stands in the YAML."""
    first = run(tmp_path, 640, signals={"curiosity": CURIOSITY, "extrinsic": EXTRINSIC})
    second = run(tmp_path, 640, resume=True, signals={"extrinsic": EXTRINSIC, "curiosity": CURIOSITY})
    squares = [squared_gradients(trainer) for trainer in (first, second)]
    assert squares[0].keys() == squares[1].keys()
    assert all(torch.equal(square, squares[1][name]) for name, square in squares[0].items())


def as_of_0_1(file: Path, streams: list[str]) -> None:
    """A checkpoint as 0.1 wrote it: one vector of statistics, and value heads in the order of the streams."""
    saved = read_checkpoint(file)
    popart, moments = saved["Optimizer:popart"], saved["Optimizer:value_optimizer"]["state"]
    parts = {key: [popart[f"streams.{stream}.{key}"] for stream in streams] for key in ("mean", "variance")}
    rollouts = popart[f"streams.{streams[0]}.rollouts"]
    saved["Optimizer:popart"] = {**{key: torch.stack(part) for key, part in parts.items()}, "rollouts": rollouts}
    heads = range(len(moments) - 2 * len(streams), len(moments))
    by_name = dict(zip(sorted(streams), zip(heads[::2], heads[1::2], strict=True), strict=True))
    former = [moments[index] for stream in streams for index in by_name[stream]]
    moments.update(dict(zip(heads, former, strict=True)))
    torch.save(saved, file)


@pytest.mark.parametrize("shared_critic", [False, True])
def test_moments_of_0_1_follow_their_streams(tmp_path: Path, shared_critic: bool) -> None:
    """The heads of several streams stood in another order there, and have the same shape."""
    signals = {"extrinsic": EXTRINSIC, "curiosity": CURIOSITY}
    first = run(tmp_path, 640, signals=signals, shared_critic=shared_critic)
    for file in tmp_path.rglob("*.pt"):
        as_of_0_1(file, list(signals))
    second = run(tmp_path, 640, resume=True, signals=signals, shared_critic=shared_critic)
    squares = [squared_gradients(trainer) for trainer in (first, second)]
    assert squares[0].keys() == squares[1].keys()
    assert all(torch.equal(square, squares[1][name]) for name, square in squares[0].items())


def squared_gradients(trainer) -> dict[str, torch.Tensor]:
    """Second moments of the critic by the name of the parameter."""
    state = trainer.optimizer.descent.optimizer.state
    name = "exp_avg_sq" if "exp_avg_sq" in next(iter(state.values())) else "square_avg"
    parameters = trainer.optimizer.critic.named_parameters()
    return {key: state[parameter][name] for key, parameter in parameters if parameter in state}


@pytest.mark.parametrize("first", [False, True])
def test_sharing_the_critic_leaves_the_policy_alone(tmp_path: Path, first: bool) -> None:
    """shared_critic switched on or off on resume: the actor is the one that was saved, not the critic in its place."""
    before = run(tmp_path, 640, shared_critic=first)
    after = run(tmp_path, 640, resume=True, shared_critic=not first)
    kept = after.policy.actor.state_dict()
    own = {name: value for name, value in before.policy.actor.state_dict().items() if "value_heads" not in name}
    assert all(torch.equal(value, kept[name]) for name, value in own.items())
