"""A start that is refused changes nothing: every byte of the results folder is what it was, and the mended run goes on.

ML-Agents' own `run_training` runs here in this process, with a toy task in place of players: `docs/reliability.md` has
the table. What needs real processes is at the end.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from mlagents.plugins import all_trainer_types
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.torch_utils import torch
from mlagents.trainers.exception import TrainerConfigError
from mlagents_envs.base_env import ActionTuple
from mlagents_envs.exception import UnityEnvironmentException, UnityWorkerInUseException
from runs import ENVIRONMENT, SCENES, SECONDS, command, config, free_port, started, trained, wait_until
from runs import learn as learn_to_the_end
from starting import STEPS, TRAINERS, Alone, TwoBehaviors, files, settings, start, step_of

from mlagents_plugin_shared.run.files import FolderInUse
from mlagents_plugin_shared.run.host import run_folder
from mlagents_plugin_shared.testing import Corridor, Duel, Target, ToyEnv

MODES = ["first", "resume", "force"]


@pytest.fixture(scope="module", params=list(TRAINERS))
def trainer_type(request: pytest.FixtureRequest) -> str:
    """Each of our trainers."""
    return request.param


@pytest.fixture(scope="module")
def whole_run(trainer_type: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has ended; what a kill would have left lies beside its files."""
    folder = tmp_path_factory.mktemp("whole")
    start(folder, {"Toy": settings(trainer_type)}, Alone())
    (folder / "results" / "x" / "Toy" / ".unfinished-12345678-Toy-1.pt").write_bytes(b"half")
    return folder / "results" / "x"


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest, tmp_path: Path, whole_run: Path) -> str:
    """How the run is started: for the first time, or with --resume or --force where there is one already."""
    if request.param != "first":
        shutil.copytree(whole_run, tmp_path / "results" / "x")
    return request.param


class Broken(Duel):
    """An environment that cannot be started."""

    def __init__(self, failure: BaseException) -> None:
        super().__init__()
        self.failure = failure

    def reset(self) -> None:
        """Fails."""
        raise self.failure


class Fault(NamedTuple):
    """Why a start is refused, and how that is brought about."""

    message: str = ""
    error: type[BaseException] | None = TrainerConfigError
    changes: Mapping[str, Any] = MappingProxyType({})
    behaviors: Callable[[dict[str, Any]], dict[str, Any]] = lambda values: {"Toy": values}
    env: Callable[[], ToyEnv] = Alone
    prepare: Callable[[pytest.MonkeyPatch, Path, str], None] = lambda patch, run, trainer_type: None


def fail(error: Exception) -> Callable[..., None]:
    """A function that fails."""

    def failing(*_: Any, **__: Any) -> None:
        raise error

    return failing


def cut_checkpoints(patch: pytest.MonkeyPatch, run: Path, trainer_type: str) -> None:
    """All are damaged, and so is the one that `init_path` names."""
    for file in run.rglob("[!.]*.pt"):
        file.write_bytes(file.read_bytes()[:200])
    Path("half.pt").write_bytes(b"half")


def drop_checkpoints(patch: pytest.MonkeyPatch, run: Path, trainer_type: str) -> None:
    """There is none."""
    for file in run.rglob("[!.]*.pt"):
        file.unlink()


NO_FILE = "nothing_of_this_name.demo"
CLONING = {"behavioral_cloning": {"demo_path": NO_FILE, "steps": 100}}
GAIL = {"reward_signals": {"extrinsic": {}, "gail": {"demo_path": NO_FILE}}}

REASONS = {
    "cloning": Fault(f"Toy: behavioral_cloning: demo_path: {NO_FILE}", changes=CLONING),
    "gail": Fault(f"Toy: reward_signals: gail: demo_path: {NO_FILE}", changes=GAIL),
    "damaged checkpoint": Fault(
        "half.pt is no .pt file|checkpoint.pt is damaged", changes={"init_path": "half.pt"}, prepare=cut_checkpoints
    ),
    "no checkpoint": Fault(
        "there is no (none|checkpoint).pt", changes={"init_path": "none.pt"}, prepare=drop_checkpoints
    ),
    "export": Fault(
        "cannot be exported.*onnxscript",
        prepare=lambda patch, run, trainer_type: patch.setattr(torch.onnx, "export", fail(ImportError("onnxscript"))),
    ),
    "self-play": Fault(
        "keep_best: true is not valid; beside self_play",
        changes={"self_play": {"save_steps": 100}},
        behaviors=lambda values: {
            "Toy": {**values, "hyperparameters": {**values["hyperparameters"], "keep_best": True}}
        },
        env=Duel,
    ),
    "unknown behavior": Fault("Toy", behaviors=lambda values: {"Tyo": values}),
    "second behavior": Fault(
        NO_FILE,
        behaviors=lambda values: {"Toy": values, "Group/Other": {**values, **GAIL}},
        env=TwoBehaviors,
    ),
    "environment": Fault(
        "ended at once", UnityEnvironmentException, env=lambda: Broken(UnityEnvironmentException("ended at once"))
    ),
    "port": Fault("still in use", UnityWorkerInUseException, env=lambda: Broken(UnityWorkerInUseException(0))),
    "interrupt": Fault(error=None, env=lambda: Broken(KeyboardInterrupt())),
    "second run": Fault(
        "another process writes to .*--run-id",
        prepare=lambda patch, run, trainer_type: patch.setattr(
            run_folder, "hold_folder", fail(FolderInUse("another process writes to x"))
        ),
    ),
    "unforeseen": Fault(
        "out of memory",
        RuntimeError,
        prepare=lambda patch, run, trainer_type: patch.setattr(
            all_trainer_types[trainer_type], "create_optimizer", fail(RuntimeError("CUDA: out of memory"))
        ),
    ),
}


def refuse(folder: Path, fault: Fault, trainer_type: str, mode: str, **changes: Any) -> None:
    """A start that is refused, as ML-Agents refuses it, and after which nothing has changed."""
    temporary = folder.with_name(f"{folder.name}-temporary")
    temporary.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(tempfile, "tempdir", str(temporary))  # where logs of players are kept
        register_trainer_plugins()
        fault.prepare(patch, folder / "results" / "x", trainer_type)
        before = files(folder)
        behaviors = fault.behaviors(settings(trainer_type, **{"max_steps": 4 * STEPS, **fault.changes, **changes}))
        if fault.error is None:
            start(folder, behaviors, fault.env(), mode)
        else:
            with pytest.raises(fault.error, match=fault.message):
                start(folder, behaviors, fault.env(), mode)
        assert files(folder) == before


@pytest.mark.parametrize("reason", REASONS)
def test_refused_start_changes_nothing(tmp_path: Path, trainer_type: str, mode: str, reason: str) -> None:
    """Whatever the reason, whichever the trainer, and be it the first start, --resume or --force over a former run."""
    refuse(tmp_path, REASONS[reason], trainer_type, mode)
    if "checkpoint" not in reason or mode != "resume":
        goes_on(tmp_path, trainer_type, mode)


def goes_on(folder: Path, trainer_type: str, mode: str) -> None:
    """The mended command goes on where the run was."""
    reached = step_of(folder) if mode == "resume" else 0
    start(folder, {"Toy": settings(trainer_type, max_steps=reached + 40)}, Alone(), mode)
    assert reached + 40 <= step_of(folder) <= reached + 80
    names = {path.name for path in (folder / "results" / "x").rglob("*")}
    assert {"Toy.onnx", "configuration.yaml", "timers.json", "training_status.json", "Player-0.log"} <= names
    assert not [name for name in names if name.startswith(".unfinished")]
    assert len(list((folder / "results" / "x" / "Toy").glob("events.out*"))) == (2 if mode == "resume" else 1)


def damage_replay(patch: pytest.MonkeyPatch, run: Path, trainer_type: str) -> None:
    """The replay is cut off."""
    file = run / "Toy" / "last_replay_buffer.hdf5"
    file.write_bytes(file.read_bytes()[:1000])


SAVES_REPLAY = {"hyperparameters": {"save_replay_buffer": True}}
DQN_REASONS = {
    "demonstrations": Fault(NO_FILE, changes={"hyperparameters": {"demo_path": NO_FILE}}),
    "memory": Fault("buffer_size 2000000000 needs", changes={"hyperparameters": {"buffer_size": 2 * 10**9}}),
    "actions": Fault("1 continuous actions", env=Target),
}
REPLAY_REASONS = {
    "damaged replay": Fault("the replay .* cannot be loaded", prepare=damage_replay, changes=SAVES_REPLAY),
    "other observations": Fault("the replay .* cannot be loaded", env=Corridor, changes=SAVES_REPLAY),
}


@pytest.mark.parametrize("trainer_type", ["dqn"], indirect=True)
@pytest.mark.parametrize("reason", DQN_REASONS)
def test_refused_start_of_dqn_changes_nothing(tmp_path: Path, trainer_type: str, mode: str, reason: str) -> None:
    """What only a trainer with a replay and discrete actions refuses."""
    refuse(tmp_path, DQN_REASONS[reason], trainer_type, mode)
    goes_on(tmp_path, trainer_type, mode)


@pytest.mark.parametrize("trainer_type", ["dqn"], indirect=True)
@pytest.mark.parametrize("mode", ["resume"], indirect=True)
@pytest.mark.parametrize("reason", REPLAY_REASONS)
def test_replay_that_does_not_fit_is_left_alone(tmp_path: Path, trainer_type: str, mode: str, reason: str) -> None:
    """A resume that cannot use the saved replay."""
    refuse(tmp_path, REPLAY_REASONS[reason], trainer_type, mode)


@pytest.mark.parametrize("reason", ["export", "gail", "second behavior", "interrupt"])
def test_refused_start_of_a_threaded_trainer_changes_nothing(
    tmp_path: Path, trainer_type: str, mode: str, reason: str
) -> None:
    """Its thread may run already when another behaviour is refused; it does not any more when the run has ended."""
    refuse(tmp_path, REASONS[reason], trainer_type, mode, threaded=True)
    assert not [thread for thread in threading.enumerate() if "trainer_update_func" in thread.name]


@pytest.mark.parametrize("trainer_type", ["dqn"], indirect=True)
@pytest.mark.parametrize("reason", ["cloning", "gail", "export", "unforeseen"])
def test_refused_start_of_self_play_changes_nothing(tmp_path: Path, trainer_type: str, mode: str, reason: str) -> None:
    """There the policy is made by a ghost trainer, before the trainer is asked to take it."""
    fault = REASONS[reason]._replace(env=Duel)
    refuse(tmp_path, fault, trainer_type, mode, self_play={"save_steps": 100})


@pytest.mark.parametrize("stock", ["ppo", "sac", "poca"])
@pytest.mark.parametrize("reason", ["cloning", "gail", "environment", "interrupt", "second run"])
@pytest.mark.parametrize("trainer_type", ["dqn"], indirect=True)
@pytest.mark.parametrize("mode", ["first", "force"], indirect=True)
def test_refused_start_of_a_stock_trainer_changes_nothing(
    tmp_path: Path, trainer_type: str, mode: str, stock: str, reason: str
) -> None:
    """ML-Agents' own trainers are mended where our package is in their process."""
    refuse(tmp_path, REASONS[reason], stock, mode)


def test_behavior_that_is_refused_later_costs_the_others_nothing(tmp_path: Path, trainer_type: str, mode: str) -> None:
    """What is training by then is saved, and what is refused is not; mended, one goes on and the other begins."""
    behaviors = {"Toy": settings(trainer_type, max_steps=10**6), "Group/Other": settings(trainer_type, **GAIL)}
    with pytest.raises(TrainerConfigError, match=NO_FILE):
        start(tmp_path, behaviors, TwoBehaviors(appears_after=100), mode)
    reached = step_of(tmp_path)
    assert reached >= 200
    assert not (tmp_path / "results" / "x" / "Group").exists()
    mended = {name: settings(trainer_type, max_steps=reached + 40) for name in behaviors}
    start(tmp_path, mended, TwoBehaviors(), "resume")
    assert step_of(tmp_path) >= reached + 40
    assert reached + 40 <= step_of(tmp_path, "Group/Other") < reached + 80


@pytest.mark.parametrize("mode", ["resume"], indirect=True)
def test_run_that_is_at_its_end_is_exported_again(tmp_path: Path, trainer_type: str, mode: str) -> None:
    """Nothing is left to train on a resume, but it is no refusal: the models are written."""
    (tmp_path / "results" / "x" / "Toy.onnx").unlink()
    start(tmp_path, {"Toy": settings(trainer_type, max_steps=50)}, Alone(), mode)
    assert (tmp_path / "results" / "x" / "Toy.onnx").exists()


@pytest.mark.parametrize("trainer_type", TRAINERS)
def test_team_that_comes_later_costs_the_first_one_nothing(tmp_path: Path, trainer_type: str) -> None:
    """Without self-play all teams are trained as one, by the policy that has learned; the new one is its copy."""

    class Watched(TwoBehaviors):
        def act(self, action: ActionTuple) -> Any:
            if self.steps_until == 0:
                (trainer,) = trainers
                weights.append([parameter.clone() for parameter in trainer.policy.actor.parameters()])
            return super().act(action)

    def watched_add_policy(trainer: Any, *arguments: Any) -> None:
        trainers.add(trainer)
        add_policy(trainer, *arguments)
        added.append([parameter.clone() for parameter in arguments[1].actor.parameters()])

    register_trainer_plugins()
    weights, added, trainers = [], [], set()
    add_policy = all_trainer_types[trainer_type].add_policy
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(all_trainer_types[trainer_type], "add_policy", watched_add_policy)
        start(tmp_path, {"Toy": settings(trainer_type, max_steps=600)}, Watched("Toy?team=1", appears_after=60))
    fresh, later = added
    assert not all(map(torch.equal, fresh, later))
    assert all(map(torch.equal, weights[0], later))
    assert step_of(tmp_path) >= 600


# Whole runs


@pytest.fixture(scope="module")
def whole_runs(players: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of each scene, named like it."""
    folder = tmp_path_factory.mktemp("runs")
    for behavior in SCENES:
        trained(folder, config(folder, behavior), "--env", players / behavior, "--run-id", behavior)
    return folder


def copy_of(whole_runs: Path, folder: Path, behavior: str, *, resumes: bool) -> list[str]:
    """Takes the run over, as a user who copies its folder, if it is to be resumed; gives the arguments for it."""
    if not resumes:
        return ["--run-id", "x"]
    shutil.copytree(whole_runs / "results" / behavior, folder / "results" / "x")
    return ["--run-id", "x", "--resume"]


@pytest.mark.parametrize("behavior", SCENES)
@pytest.mark.parametrize("resumes", [False, True])
def test_refused_command_changes_nothing(
    tmp_path: Path, players: Path, whole_runs: Path, behavior: str, resumes: bool
) -> None:
    """With a player, whose log is a file of the run; the mended command goes on, and touches no other run's files."""
    arguments = ["--env", players / behavior, *copy_of(whole_runs, tmp_path, behavior, resumes=resumes)]
    file = config(tmp_path, behavior, max_steps=10**6, **CLONING)
    before, originals = files(tmp_path), files(whole_runs)
    run = learn_to_the_end(tmp_path, file, *arguments)
    assert run.returncode == 1
    assert NO_FILE in run.stderr.splitlines()[-1]
    assert files(tmp_path) == before
    steps = SCENES[behavior]["max_steps"]
    file = config(tmp_path, behavior, max_steps=2 * steps, keep_checkpoints=1)
    output = trained(tmp_path, file, *arguments)
    assert ("Resuming training from step" in output) == resumes
    assert (tmp_path / "results" / "x" / f"{behavior}.onnx").exists()
    assert len(list((tmp_path / "results" / "x" / behavior).glob(f"{behavior}-*.pt"))) == 1
    assert files(whole_runs) == originals


def test_refused_module_changes_nothing(tmp_path: Path, players: Path, whole_runs: Path) -> None:
    """`python -m mlagents.trainers.learn` has functions of its own, beside those of the module that others import."""
    arguments = copy_of(whole_runs, tmp_path, "Basic", resumes=True)
    file = config(tmp_path, "Basic", max_steps=10**6, **CLONING)
    before = files(tmp_path)
    line = [sys.executable, "-m", "mlagents.trainers.learn", file, "--env", players / "Basic", *arguments]
    run = subprocess.run(
        [*map(str, line), "--base-port", str(free_port())], cwd=tmp_path, env=ENVIRONMENT, timeout=SECONDS
    )
    assert run.returncode == 1
    assert files(tmp_path) == before


@pytest.mark.skipif(os.name != "posix", reason="players are shell scripts here")
@pytest.mark.parametrize("resumes", [False, True])
def test_player_that_cannot_be_started_changes_nothing(tmp_path: Path, whole_runs: Path, resumes: bool) -> None:
    """What it wrote is kept elsewhere, since it may be the reason."""
    arguments = copy_of(whole_runs, tmp_path, "Basic", resumes=resumes)
    player, file = tmp_path / "player", config(tmp_path, "Basic", max_steps=10**6)
    player.write_text('#!/bin/sh\nfor last; do :; done\necho "no display" > results/x/run_logs/Player-0.log\nexit 3\n')
    player.chmod(0o755)
    before = files(tmp_path)
    run = learn_to_the_end(tmp_path, file, "--env", player, *arguments)
    assert run.returncode == 1
    assert files(tmp_path) == before
    (kept,) = re.findall(r"What the player wrote is in (\S+Player-0\.log)\.", run.stdout)
    assert Path(kept).read_text() == "no display\n"
    shutil.rmtree(Path(kept).parent)


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
@pytest.mark.parametrize("resumes", [False, True])
def test_interrupt_while_a_player_starts_changes_nothing(tmp_path: Path, whole_runs: Path, resumes: bool) -> None:
    """Ctrl+C before there is anything to save."""
    arguments = copy_of(whole_runs, tmp_path, "Basic", resumes=resumes)
    player, file = tmp_path / "player", config(tmp_path, "Basic", max_steps=10**6)
    player.write_text("#!/bin/sh\ntouch started\nexec sleep 600\n")
    player.chmod(0o755)
    before = files(tmp_path)
    line = command("mlagents-learn", file, "--env", player, *arguments, "--base-port", free_port())
    with started(line, tmp_path) as (process, log):
        wait_until((tmp_path / "started").exists, log, process)
        os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all
        process.wait(timeout=SECONDS)
        output = log.read_text()
        log.unlink()
    (tmp_path / "started").unlink()
    assert "Nothing was trained" in output
    assert files(tmp_path) == before
