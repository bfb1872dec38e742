"""The environment of an actor is the run's own, with a port and a seed of its own."""

import pickle
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.settings import RunOptions
from mlagents_envs.exception import UnityEnvironmentException

import mlagents_plugin_ray
from mlagents_plugin_ray import environments
from mlagents_plugin_ray.environments import EnvironmentPlan


def options(program: object, **engine: object) -> RunOptions:
    """Of a run on a program."""
    return RunOptions.from_dict(
        {
            "env_settings": {
                "env_path": str(program) if program else None,
                "env_args": ["--level", "3"],
                "num_envs": 2 if program else 1,
                "base_port": 6005,
            },
            "engine_settings": engine,
        }
    )


def test_plan_takes_everything_from_the_run(basic: Path):
    """And travels to other processes; the seed is the one that ML-Agents drew, where the options have none."""
    plan = pickle.loads(pickle.dumps(EnvironmentPlan.of(options(basic, time_scale=5.0, no_graphics=True), "Basic", 7)))
    assert plan.program == str(basic)
    assert plan.arguments == ["--level", "3"]
    assert (plan.seed, plan.base_port, plan.first_worker) == (7, 6005, 2)
    assert plan.engine.time_scale == 5.0
    assert plan.no_graphics


@pytest.mark.parametrize("given", [None, options(None)], ids=["no run", "the Editor"])
def test_run_without_a_program_is_refused(given: RunOptions | None):
    """Actors have nothing to start."""
    with pytest.raises(TrainerConfigError, match=r"Basic: hyperparameters: actors: .* add --env PROGRAM"):
        EnvironmentPlan.of(given, "Basic", 7)


def test_run_with_several_behaviors_is_refused(basic: Path):
    """At its start, by name: an actor has a policy for one."""
    given = options(basic)
    given.behaviors["Basic"], given.behaviors["Other"] = {}, {}
    with pytest.raises(TrainerConfigError, match=r"the run has the behaviors Basic, Other, .* for one behavior only"):
        EnvironmentPlan.of(given, "Basic", 7)


def test_program_that_is_not_on_a_machine_is_named(basic: Path):
    """With the machine."""
    plan = EnvironmentPlan.of(options(basic), "Basic", 7)._replace(program=str(basic.parent / "none"))
    with pytest.raises(UnityEnvironmentException, match=f"none is not on {socket.gethostname()}"):
        plan.open(0, 1)


def test_ports_go_by_rank_and_leave_out_those_that_are_taken(basic: Path, port: int):
    """An actor tries none that another one would."""
    plan = EnvironmentPlan.of(options(basic), "Basic", 7)._replace(base_port=port)
    assert [plan._free_worker(rank, 3) for rank in range(3)] == [2, 3, 4]
    with socket.socket() as other:
        other.bind(("localhost", port + 3))
        assert [plan._free_worker(rank, 3) for rank in range(3)] == [2, 6, 4]


def test_run_is_noted_and_nothing_is_written(basic: Path, monkeypatch: pytest.MonkeyPatch):
    """The entry point of ML-Agents' group for writers of statistics."""
    monkeypatch.setattr(environments, "noted_options", None)
    given = options(basic)
    assert mlagents_plugin_ray.note_run(given) == []
    assert environments.noted_options is given


def test_entry_points_do_not_import_ray():
    """Whoever has the package and no actors pays for nothing."""
    code = (
        "import sys, mlagents_plugin_ray; from mlagents.trainers.settings import RunOptions;"
        "mlagents_plugin_ray.note_run(RunOptions());"
        "from mlagents_plugin_shared.run.actor_settings import ActorSettings;"
        "mlagents_plugin_ray.create_source(ActorSettings());"
        "sys.exit('ray' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=120).returncode == 0
