"""What takes minutes: the configurations keep what their headers promise, and nothing breaks on ten seeds."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from mlagents.torch_utils import torch
from runs import ENVIRONMENT, SCRIPTS, free_port

from mlagents_plugin_shared.testing import Corridor, Match, train

pytestmark = [pytest.mark.learning, pytest.mark.timeout(2400)]


def curve(root: Path, folder: Path, config: str, seed: int) -> dict[int, float]:
    """Trains, and gives the mean reward of every summary by its step."""
    scene = Path(config).stem
    subprocess.run([SCRIPTS / "mlagents-player", "build", scene, "--output", folder], check=True)
    options = {"--env": folder / scene, "--seed": seed, "--base-port": free_port(), "--results-dir": folder / "results"}
    line = [SCRIPTS / "mlagents-learn", root / "configs" / config, *(item for pair in options.items() for item in pair)]
    run = subprocess.run([str(item) for item in line], capture_output=True, text=True, env=ENVIRONMENT)
    assert run.returncode == 0, run.stderr[-2000:]
    found = re.findall(r"Step: (\d+)\..*?Mean Reward: (-?\d+\.\d+)\.", run.stdout)
    result = {int(step): float(reward) for step, reward in found}
    print(f"{config} seed {seed}: {result}")
    return result


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_dqn_solves_basic(root: Path, tmp_path: Path, seed: int) -> None:
    """The last 1,000 steps, over 100 episodes, average at least 0.90 of 0.93, within 10,000 steps."""
    rewards = curve(root, tmp_path, "dqn/Basic.yaml", seed)
    assert max(rewards) <= 10_000
    assert rewards[max(rewards)] >= 0.90


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_a2c_balances_the_ball(root: Path, tmp_path: Path, seed: int) -> None:
    """The mean reward of a summary reaches 95 of 100 within 150,000 agent steps, and stays there to the end."""
    rewards = curve(root, tmp_path, "a2c/3DBall.yaml", seed)
    assert max(rewards) <= 150_000
    assert rewards[max(rewards)] >= 95


@pytest.mark.parametrize("seed", range(1, 11))
@pytest.mark.parametrize("size", [1e-3, 1e3])
@pytest.mark.parametrize(
    ("task", "options"), [(Corridor, {}), (Match, {"continuous": True})], ids=["discrete", "hybrid"]
)
def test_flashsac_takes_rewards_of_any_size(tmp_path: Path, task: type, options: dict, size: float, seed: int) -> None:
    """No step of 500 is left out for numbers that are not finite, and none is in a network or a temperature."""
    config = {
        "trainer_type": "flashsac",
        "max_steps": 2000,
        "hyperparameters": {"learning_rate": 3e-3, "batch_size": 32, "steps_per_update": 4, "actor_update_interval": 1},
        "network_settings": {"hidden_units": 32, "num_layers": 1},
    }
    env = task(16, reward_scale=size, **options)
    optimizer = train(env, config, tmp_path, seed=seed).optimizer
    print(f"{task.__name__}, rewards of {size:g}, seed {seed}: {np.mean(env.returns[-100:]):.3f}")
    assert optimizer.updates >= 400
    assert optimizer.guard.skipped == 0
    for network in (optimizer.actor, optimizer.twins, optimizer.target, optimizer.temperatures):
        assert all(torch.isfinite(number).all() for number in network.state_dict().values())
