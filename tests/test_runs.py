"""Whole runs as a user starts them: the stock mlagents-learn, the plugins' wheels and the player, over the protocol."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from runs import (
    DQN,
    ENVIRONMENT,
    SCENES,
    SCRIPTS,
    SECONDS,
    TRAINERS,
    command,
    config,
    free_port,
    last_step,
    learn,
    started,
    trained,
    wait_for,
    wait_until,
)

MODELS = {
    "Basic": ("--observations", "20", "--actions", "discrete:3"),
    "3DBall": ("--observations", "8", "--actions", "continuous:2"),
}


@pytest.mark.parametrize("trainer_type", TRAINERS)
@pytest.mark.parametrize("threaded", [False, True])
def test_run_trains_resumes_and_initializes(tmp_path: Path, players: Path, trainer_type: str, threaded: bool) -> None:
    """Unity accepts the model; --resume goes on from its step; --initialize-from starts at 0 with its weights."""
    behavior, settings = TRAINERS[trainer_type]
    env = ("--env", players / behavior)
    settings = {**settings, "threaded": threaded}
    file = config(tmp_path, behavior, **settings)
    steps = settings["max_steps"]
    trained(tmp_path, file, *env, "--run-id", "first")
    assert (tmp_path / "results" / "first" / f"{behavior}.onnx").stat().st_size > 0
    checked = [tmp_path / "results" / "first" / f"{behavior}.onnx", "--deterministic", *MODELS[behavior]]
    subprocess.run(command("mlagents-onnx-check", *checked), check=True, timeout=SECONDS)
    first = last_step(tmp_path / "results" / "first", behavior)
    assert first >= steps

    file = config(tmp_path, behavior, **{**settings, "max_steps": first + steps // 2})
    output = trained(tmp_path, file, *env, "--run-id", "first", "--resume")
    assert f"Resuming training from step {first}" in output
    assert last_step(tmp_path / "results" / "first", behavior) > first

    file = config(tmp_path, behavior, **settings)
    output = trained(tmp_path, file, *env, "--run-id", "second", "--initialize-from", "first")
    assert "Starting training from step 0" in output
    assert not re.search("starts anew|does not fit", output)


@pytest.mark.parametrize(("trainer_type", "behavior"), [("ppo", "3DBall"), ("sac", "3DBall"), ("poca", "Basic")])
def test_stock_trainer_runs_beside_ours(tmp_path: Path, players: Path, trainer_type: str, behavior: str) -> None:
    """ML-Agents' own trainers save, export what Unity accepts, and resume, on the torch that is installed here."""
    stock = {"trainer_type": trainer_type, "hyperparameters": {"batch_size": 32, "buffer_size": 320}}
    file = config(tmp_path, behavior, **stock, max_steps=600, checkpoint_interval=200)
    arguments = ("--env", players / behavior, "--run-id", "x")
    trained(tmp_path, file, *arguments)
    run = tmp_path / "results" / "x"
    assert len(list((run / behavior).glob(f"{behavior}-*.onnx"))) >= 3
    checked = [run / f"{behavior}.onnx", "--deterministic", *MODELS[behavior]]
    subprocess.run(command("mlagents-onnx-check", *checked), check=True, timeout=SECONDS)
    first = last_step(run, behavior)
    output = trained(tmp_path, config(tmp_path, behavior, **stock, max_steps=first + 200), *arguments, "--resume")
    assert f"Resuming training from step {first}" in output
    assert last_step(run, behavior) > first


@pytest.mark.skipif(os.name != "posix", reason="kills a process group")
def test_killed_run_resumes(tmp_path: Path, players: Path) -> None:
    """SIGKILL after a checkpoint, then what ML-Agents writes at the end of a run cut off: --resume goes on."""
    behavior = "Basic"
    file = config(tmp_path, behavior, max_steps=10**9, checkpoint_interval=200)
    run = tmp_path / "results" / "x"
    arguments = ("--env", players / behavior, "--run-id", "x", "--base-port", free_port())
    with started(command("mlagents-learn", file, *arguments), tmp_path) as (process, log):
        wait_for("Exported", log, process)
        wait_until(lambda: len(list((run / behavior).glob(f"{behavior}-*.onnx"))) >= 2, log, process)
    status = run / "run_logs" / "training_status.json"
    assert json.loads(status.read_text())[behavior]["checkpoints"]
    for name in ("run_logs/training_status.json", "run_logs/timers.json", "configuration.yaml"):
        (run / name).write_text('{"metadata": {"stats_for')
    step = last_step(run, behavior)
    output = trained(tmp_path, config(tmp_path, behavior, max_steps=step + 200), *arguments[:4], "--resume")
    resumed = int(re.search(r"Resuming training from step (\d+)", output)[1])
    assert resumed >= step - 400
    assert "training_status.json is damaged" in output
    assert last_step(run, behavior) > step


@pytest.mark.parametrize("trainer_type", TRAINERS)
def test_run_with_two_environments(tmp_path: Path, players: Path, trainer_type: str) -> None:
    """--num-envs 2 trains on both."""
    behavior, settings = TRAINERS[trainer_type]
    output = trained(tmp_path, config(tmp_path, behavior, **settings), "--env", players / behavior, "--num-envs", 2)
    assert output.count("Connected to Unity environment") == 2
    assert (tmp_path / "results" / "ppo" / f"{behavior}.onnx").exists()


@pytest.mark.parametrize(
    ("small", "big", "threaded"), [("dqn", "a2c", False), ("pqn", "flashsac", False), ("flashsac", "pqn", True)]
)
def test_two_behaviors_are_trained_by_two_trainers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: str, big: str, threaded: bool
) -> None:
    """WallJump's agents change their behaviour with the wall's height; each goes on from its own checkpoint."""
    monkeypatch.setitem(ENVIRONMENT, "MLAGENTS_PROGRESS", "off")  # which would tell the end
    subprocess.run(command("mlagents-player", "build", "WallJump", "--output", tmp_path), check=True, timeout=SECONDS)
    file = tmp_path / "config.yaml"

    def train(steps: int, *arguments: object) -> str:
        short = {"max_steps": steps, "summary_freq": 300, "threaded": threaded}
        (_, small_settings), (_, big_settings) = TRAINERS[small], TRAINERS[big]
        behaviors = {"SmallWallJump": {**small_settings, **short}, "BigWallJump": {**big_settings, **short}}
        file.write_text(yaml.safe_dump({"behaviors": behaviors}))
        return trained(tmp_path, file, "--env", tmp_path / "WallJump", "--run-id", "x", *arguments)

    output = train(300)
    for behavior in ("SmallWallJump", "BigWallJump"):
        (line,) = re.findall(rf"{behavior}: ended at step .*", output)
        assert line.endswith(f" {tmp_path / 'results' / 'x'} WallJump")
    first = {behavior: last_step(tmp_path / "results" / "x", behavior) for behavior in ("SmallWallJump", "BigWallJump")}
    assert min(first.values()) >= 300
    output = train(600, "--resume")
    for behavior, step in first.items():
        assert f"Resuming training from step {step}" in output
        assert last_step(tmp_path / "results" / "x", behavior) >= 600
        assert (tmp_path / "results" / "x" / f"{behavior}.onnx").exists()


def test_yaml_of_the_readme_says_what_it_reached(
    tmp_path: Path, root: Path, players: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six lines: it reports ten times, and its last line ends with a command that works as it stands."""
    monkeypatch.setitem(ENVIRONMENT, "MLAGENTS_PROGRESS", "off")  # the plugin alone
    (text,) = re.findall(r"^```yaml\n(.*?)^```", (root / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    file = tmp_path / "config.yaml"
    file.write_text(text.replace("max_steps: 10000", "max_steps: 1000"))
    output = trained(tmp_path, file, "--env", players / "Basic", "--run-id", "my run")
    assert output.count("Mean Reward: ") + output.count("No episode was completed") >= 10
    last = output.strip().splitlines()[-1]
    assert re.search(r"Basic: ended at step \d+ \(max_steps: 1000\), mean reward of the last \d+ episodes -?\d", last)
    command_line = last.partition("; see it play: ")[2]
    watch = subprocess.run(command_line, shell=True, capture_output=True, text=True, timeout=SECONDS, cwd=tmp_path)
    assert "Basic: return " in watch.stdout, watch.stderr


@pytest.mark.parametrize("behavior", SCENES)
def test_run_infers(tmp_path: Path, players: Path, behavior: str) -> None:
    """--inference acts without training, and writes no checkpoint."""
    file, run = config(tmp_path, behavior), tmp_path / "results" / "x"
    trained(tmp_path, file, "--env", players / behavior, "--run-id", "x")
    before = sorted(path.name for path in (run / behavior).glob("*.pt"))
    arguments = ("--env", players / behavior, "--run-id", "x", "--resume", "--inference", "--base-port", free_port())
    with started(command("mlagents-learn", file, *arguments), tmp_path) as (process, log):
        wait_for("Not Training", log, process)
    assert sorted(path.name for path in (run / behavior).glob("*.pt")) == before


def test_run_waits_for_play(tmp_path: Path) -> None:
    """Without --env the trainer listens on port 5004, and the player's Play button trains with it."""
    with socket.socket() as probe:
        if probe.connect_ex(("localhost", 5004)) == 0:
            pytest.skip("another trainer holds the Editor's port, 5004")
    file = config(tmp_path, "Basic")
    with started(command("mlagents-learn", file, "--run-id", "x"), tmp_path) as (process, log):
        wait_for("Listening on port 5004", log, process)
        play = subprocess.run(
            command("mlagents-player", "play", "Basic"), capture_output=True, text=True, timeout=SECONDS, cwd=tmp_path
        )
        assert process.wait(timeout=SECONDS) == 0
    assert play.returncode == 0, play.stderr
    assert (tmp_path / "results" / "x" / "Basic.onnx").exists()


@pytest.mark.skipif("MLAGENTS_REFERENCE_DATA" not in os.environ, reason="MLAGENTS_REFERENCE_DATA is not set")
@pytest.mark.parametrize("behavior", SCENES)
def test_run_imitates(tmp_path: Path, players: Path, behavior: str) -> None:
    """GAIL and behavioural cloning learn from a recording made in Unity, beside the extrinsic reward."""
    demo = str(Path(os.environ["MLAGENTS_REFERENCE_DATA"]) / f"Expert{behavior}.demo")
    signals = {"extrinsic": {}, "gail": {"demo_path": demo, "strength": 0.01}}
    cloning = {"demo_path": demo, "steps": 1000, "batch_size": 16, "num_epoch": 1}
    file = config(tmp_path, behavior, reward_signals=signals, behavioral_cloning=cloning)
    trained(tmp_path, file, "--env", players / behavior, "--run-id", "x")
    assert (tmp_path / "results" / "x" / f"{behavior}.onnx").exists()


def test_exported_model_acts_as_the_checkpoint(tmp_path: Path, players: Path) -> None:
    """results/<run>/Basic.onnx chooses what the saved network chooses, for 1,000 random observations and masks."""
    from functools import partial

    import onnxruntime
    import torch
    from mlagents.trainers.settings import NetworkSettings
    from mlagents_envs.base_env import ActionSpec, DimensionProperty, ObservationSpec, ObservationType

    from mlagents_plugin_shared.learning.q_network import QNetwork
    from mlagents_plugin_shared.learning.return_heads import MeanReturn

    trained(tmp_path, config(tmp_path, "Basic"), "--env", players / "Basic", "--run-id", "x")
    run = tmp_path / "results" / "x"
    sensor = ObservationSpec((20,), (DimensionProperty.NONE,), ObservationType.DEFAULT, "Basic")
    settings = NetworkSettings(hidden_units=32, num_layers=1)
    network = QNetwork([sensor], settings, ActionSpec(0, (3,)), 1, partial(MeanReturn, dueling=True))
    network.load_state_dict(torch.load(run / "Basic" / "checkpoint.pt", weights_only=True)["Policy"])
    rng = np.random.default_rng(0)
    observations = rng.normal(size=(1000, 20)).astype(np.float32)
    masks = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 1000)]
    masks = np.maximum(masks, rng.integers(0, 2, (1000, 3))).astype(np.float32)
    with torch.no_grad():
        scores = network.scores([torch.as_tensor(observations)])[0].numpy()
    expected = np.where(masks == 1, scores, -np.inf).argmax(axis=1)
    model = onnxruntime.InferenceSession(run / "Basic.onnx", providers=["CPUExecutionProvider"])
    feed = {"obs_0": observations, "action_masks": masks}
    drawn, greedy = model.run(["discrete_actions", "deterministic_discrete_actions"], feed)
    np.testing.assert_array_equal(greedy[:, 0], expected)
    assert (masks[np.arange(1000), drawn[:, 0]] == 1).all()


@pytest.mark.parametrize(
    ("behavior", "changes", "message"),
    [
        (
            "Basic",
            {"hyperparameters": {"learnig_rate": 0.1}},
            r"learnig_rate is not a known key; did you mean learning_rate",
        ),
        ("Basic", {"hyperparameters": {"learning_rate": -0.1}}, r"learning_rate: -0\.1 is not valid"),
        (
            "Basic",
            {"hyperparameters": {"batch_size": 99, "buffer_size": 9}},
            r"batch_size: 99 .* buffer_size, which is 9",
        ),
        ("3DBall", {"hyperparameters": {"num_epoch": 2.5}}, r"3DBall: hyperparameters: num_epoch: 2\.5 is not valid"),
        ("Basic", {"trainer_type": "dqm"}, r"Invalid trainer type dqm was found"),
    ],
)
def test_faulty_file_is_refused_before_anything_is_written(
    tmp_path: Path, behavior: str, changes: dict, message: str
) -> None:
    """The last line says what is wrong and what to do, the exit code is not 0, and there is no results folder."""
    run = learn(tmp_path, config(tmp_path, behavior, **changes), "--run-id", "x")
    assert run.returncode != 0
    assert re.search(message, run.stderr.strip().splitlines()[-1])
    assert not (tmp_path / "results").exists()


def test_dqn_refuses_continuous_actions_by_name(tmp_path: Path, players: Path) -> None:
    """3DBall with trainer_type dqn: one line with the behaviour and what to use instead, and no model."""
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"behaviors": {"3DBall": DQN}}))
    run = learn(tmp_path, file, "--env", players / "3DBall", "--run-id", "x")
    assert run.returncode != 0
    assert re.search(r"Behavior 3DBall has 2 continuous actions.*flashsac, a2c, sac or ppo", run.stderr)
    assert not list(tmp_path.rglob("*.onnx"))
    assert not list(tmp_path.rglob("*.pt"))


def test_this_environment_holds_the_wheels() -> None:
    """The commands above are this environment's own."""
    assert Path(sys.executable).parent == SCRIPTS
    assert any(SCRIPTS.glob("mlagents-learn*"))
