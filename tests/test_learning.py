"""The configurations keep what their headers promise: whole trainings of minutes through mlagents-learn."""

import re
import subprocess
from pathlib import Path

import pytest
from runs import ENVIRONMENT, SCRIPTS, free_port

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
