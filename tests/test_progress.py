"""Whole runs with `mlagents-plugin-progress` beside ML-Agents' trainers and ours."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from runs import ENVIRONMENT, SCENES, SECONDS, config, interrupted, learn, trained

PPO = {
    "trainer_type": "ppo",
    "hyperparameters": {"batch_size": 32, "buffer_size": 128},
    "network_settings": {"hidden_units": 16, "num_layers": 1},
}
SAC = {
    "trainer_type": "sac",
    "hyperparameters": {"batch_size": 32, "buffer_size": 2000, "buffer_init_steps": 100, "steps_per_update": 10},
    "network_settings": {"hidden_units": 16, "num_layers": 1},
}
POCA = {**PPO, "trainer_type": "poca"}
LENGTH = {"max_steps": 400, "time_horizon": 10, "summary_freq": 200}
posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no pseudo-terminal of this kind, and no signals")


def written(folder: Path, settings: dict) -> Path:
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump({"behaviors": {"Basic": {**settings, **LENGTH}}}))
    return file


@pytest.mark.parametrize("settings", [PPO, SAC, POCA, SCENES["Basic"]], ids=lambda each: each["trainer_type"])
def test_every_trainer_is_shown(tmp_path: Path, players: Path, settings: dict) -> None:
    """Summaries once each with their percent, all settings in the files and one line of them, and the table."""
    said = trained(tmp_path, written(tmp_path, settings), "--env", players / "Basic", "--run-id", "x")
    summaries = [line for line in said.splitlines() if ". Step: " in line]
    assert len(summaries) == 2
    assert "50.0 % of 400" in summaries[0]
    assert f"Basic: {settings['trainer_type']} to step 400; network 1 x" in said
    assert "reward_signals:" not in said
    run = tmp_path / "results" / "x"
    assert "reward_signals:" in (run / "run_logs" / "console.log").read_text()
    assert "reward_signals:" in (run / "configuration.yaml").read_text()
    before, _, table = said.partition("The run took")
    assert ": ended at step " not in before
    assert "see it play" not in before
    assert f"Model of Basic: {run / 'Basic.onnx'}" in table
    assert f"watch {run} Basic" in table
    assert table.strip().endswith("--resume")


def test_commands_of_the_end_work(tmp_path: Path, players: Path) -> None:
    """The one that resumes does so where the run stood, and its curve is drawn as one."""
    file = written(tmp_path, PPO)
    said = trained(tmp_path, file, "--env", players / "Basic", "--run-id", "x")
    file.write_text(file.read_text().replace("max_steps: 400", "max_steps: 800"))
    resume = said.strip().splitlines()[-1].partition(": ")[2]
    run = subprocess.run(
        resume, shell=True, capture_output=True, text=True, timeout=SECONDS, env=ENVIRONMENT, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr
    assert re.search(r"Step: 600\..* 75\.0 % of 800", run.stdout)
    assert not re.search(r"Step: [24]00\.", run.stdout)


@posix
def test_interrupted_run_ends_with_its_table(tmp_path: Path, players: Path) -> None:
    """Ctrl+C: code 0, and the way to go on is the last line."""
    assert re.search(r"^Go on: .*--resume$", interrupted(tmp_path, players).strip().splitlines()[-1])


@pytest.mark.parametrize("how", ["off", "on"])
def test_end_is_told_once(tmp_path: Path, players: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """By the trainer in one line where there is no progress, and in the table alone where there is."""
    monkeypatch.setitem(ENVIRONMENT, "MLAGENTS_PROGRESS", how)
    file = written(tmp_path, SCENES["Basic"])
    said = trained(tmp_path, file, "--env", players / "Basic", "--run-id", "x")
    assert said.count("The run took") == (how == "on")
    assert said.count("Basic: ended at step ") == (how == "off")
    assert len(re.findall("mlagents-player watch", said)) == 1


def test_refused_start_shows_and_writes_nothing(tmp_path: Path, players: Path) -> None:
    """The reason stays the last line, and no file says that something was begun."""
    signals = {"extrinsic": {}, "gail": {"demo_path": "none.demo"}}
    file = config(tmp_path, "Basic", reward_signals=signals)
    run = learn(tmp_path, file, "--env", players / "Basic", "--run-id", "x")
    assert run.returncode == 1
    assert run.stderr.strip().splitlines()[-1].startswith("mlagents-learn: Basic: reward_signals: gail: demo_path:")
    assert "The run took" not in run.stdout
    assert not (tmp_path / "results" / "x").exists()
