"""ML-Agents' own SAC on our replay buffer, as the README shows it: whole runs."""

import re
from pathlib import Path

import numpy as np
import pytest
from mlagents.plugins import all_trainer_settings, all_trainer_types
from mlagents.trainers.buffer import AgentBuffer
from mlagents.trainers.sac.optimizer_torch import SACSettings
from mlagents.trainers.sac.trainer import SACTrainer

from mlagents_plugin_shared.data import ReplayBuffer
from mlagents_plugin_shared.testing import Corridor, Match, Recall, Target, ToyEnv, train
from twins import Case, assert_same_numbers, parameters, write_demonstration

README = Path(__file__).parents[1] / "README.md"

TASKS = {
    "continuous": Target,
    "discrete": lambda: Corridor(masked=True),
    "hybrid": lambda: Match(continuous=True),
    "recurrent": Recall,
}


def example_of_the_readme() -> type[SACTrainer]:
    """The class that the README's example defines."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {"__name__": "readme"}
    exec(next(block for block in blocks if "class FastSACTrainer" in block), names)
    return names["FastSACTrainer"]


FastSACTrainer = example_of_the_readme()


class DrawsAsAgentBuffer(ReplayBuffer):
    """Samples the rows that AgentBuffer would, from the same generator."""

    offset = 0

    def sample_mini_batch(self, batch_size: int, sequence_length: int = 1, burn_in: int = 0):
        rows = np.random.randint(self.num_experiences, size=batch_size)  # noqa: NPY002
        return self.gather((rows + self.offset) % self.num_experiences)


def on_buffer(make_buffer) -> type[SACTrainer]:
    """The README's trainer with another buffer."""

    class Trainer(FastSACTrainer):
        def __init__(self, *args, **kwargs) -> None:
            super().__init__(*args, **kwargs)
            self.update_buffer = make_buffer(self.hyperparameters.buffer_size)

    return Trainer


class DrawsOneRowOff(DrawsAsAgentBuffer):
    """Samples the transitions after those."""

    offset = 1


TRAINERS = {
    "fast_sac": FastSACTrainer,
    "on_theirs": on_buffer(lambda capacity: AgentBuffer()),
    "on_ours": on_buffer(DrawsAsAgentBuffer),
    "off_by_one": on_buffer(DrawsOneRowOff),
}


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers the trainers, as entry points would."""
    for name, trainer in TRAINERS.items():
        monkeypatch.setitem(all_trainer_types, name, trainer)
        monkeypatch.setitem(all_trainer_settings, name, SACSettings)


def config(trainer_type: str, **hyperparameters) -> dict:
    """A run of 400 steps."""
    return {
        "trainer_type": trainer_type,
        "max_steps": 400,
        "time_horizon": 8,
        "hyperparameters": {"batch_size": 16, "buffer_size": 1000, "steps_per_update": 10, **hyperparameters},
        "network_settings": {"hidden_units": 16},
    }


def with_all_signals(settings: dict, task: ToyEnv, folder: Path) -> dict:
    """Adds curiosity, RND, GAIL and behavioural cloning to a run's settings."""
    case = Case(task.action_spec, tuple(task.observation_shapes))
    demo = write_demonstration(folder / "shown.demo", case.trajectories(), case.behavior_spec())
    network = {"hidden_units": 16}
    signals = {
        "extrinsic": {},
        "curiosity": {"strength": 0.1, "network_settings": network},
        "rnd": {"strength": 0.1, "network_settings": network},
        "gail": {"strength": 0.1, "demo_path": demo, "network_settings": network},
    }
    cloning = {"demo_path": demo, "steps": 1000, "batch_size": 8, "num_epoch": 1}
    return {**settings, "reward_signals": signals, "behavioral_cloning": cloning}


def with_memory(settings: dict) -> dict:
    """A recurrent policy."""
    memory = {"sequence_length": 4, "memory_size": 8}
    return {**settings, "network_settings": {**settings["network_settings"], "memory": memory}}


@pytest.mark.parametrize("kind", TASKS)
def test_sac_trains_on_our_replay_buffer(tmp_path: Path, kind: str) -> None:
    """The README's example: it updates, the buffer wraps around, and the run ends with a model."""
    settings = config("fast_sac", buffer_size=200)
    trainer = train(TASKS[kind](), with_memory(settings) if kind == "recurrent" else settings, tmp_path)
    assert trainer.update_buffer.num_experiences == 200
    assert trainer.update_steps == pytest.approx(40, abs=2)
    assert (tmp_path / "Toy.onnx").exists()


@pytest.mark.parametrize("kind", ["continuous", "discrete", "hybrid"])
def test_sac_run_with_all_signals_is_the_same(tmp_path: Path, kind: str) -> None:
    """With curiosity, RND, GAIL and cloning: the same episodes and parameters as on an AgentBuffer.

    Each of some 40 updates draws the same rows; with the rows after those, it is another run.
    """
    returns, learned = {}, {}
    for name in ("on_theirs", "on_ours", "off_by_one"):
        task, folder = TASKS[kind](), tmp_path / name
        folder.mkdir()
        trainer = train(task, with_all_signals(config(name), task, folder), folder)
        returns[name], learned[name] = task.returns, parameters(trainer.model_saver.modules)
        assert trainer.update_steps > 30
    np.testing.assert_allclose(returns["on_ours"], returns["on_theirs"], rtol=1e-5)
    assert_same_numbers(learned["on_theirs"], learned["on_ours"])
    with pytest.raises(AssertionError):
        assert_same_numbers(learned["on_theirs"], learned["off_by_one"])


def test_sac_resumes_with_our_replay_buffer(tmp_path: Path) -> None:
    """save_replay_buffer: ML-Agents' own trainer writes our file and reads it on --resume."""
    settings = config("fast_sac", save_replay_buffer=True)
    first = train(Target(), settings, tmp_path)
    second = train(Target(), {**settings, "max_steps": first.get_step}, tmp_path, resume=True)
    kept = second.update_buffer.make_mini_batch(0, first.update_buffer.num_experiences)
    saved = first.update_buffer.make_mini_batch(0, first.update_buffer.num_experiences)
    assert kept.num_experiences == saved.num_experiences >= 400
    for key in saved:
        np.testing.assert_array_equal(kept[key], saved[key])
