"""What whole runs cost: `nox -s bench -- cost`, or `nox -s bench -- cost a2c ppo --agents 1 12 64`.

Each run is `mlagents-learn` with the player, which ends once enough was measured. Learners take turns, so that other
work on the machine slows all of them alike: trust the ratios. Start-up does not count. A learner has its file of
configs/ or results/peers (Unity's own values) that is named after the scene; where it has none, what `mlagents-doctor
--convert-to` makes of Unity's file for SAC, or for PPO if it learns from rollouts. 3DBallDiscrete, on which all
learners can play, is 3DBall with other actions, and where it has no file the one for 3DBall holds.

Of the learner's time `waiting` is that for players and messages, `inference` choosing actions, `intake` making
trajectories of steps and taking them in, and `update` learning. Processor seconds are those of the learner, of the
processes of ML-Agents' beside the players, which read and write messages, and of the players; other work on the
machine hardly changes them. Every process imports the plugins of this environment, so that what they mend of ML-Agents
serves its own trainers too; with `--plain` these also run without, which is what somebody has who installed none.
"""

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import yaml
from _player import free_port
from _scene_variants import Variant
from _settings import assignments, changed
from mlagents.plugins import all_trainer_settings
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers.settings import OffPolicyHyperparamSettings
from results.suites import PEERS, SuiteError, learner_config

from mlagents_player.arguments import count
from mlagents_player.errors import PlayerError
from mlagents_player.launcher import build
from mlagents_player.scenes import GYMNASIUM
from mlagents_plugin_shared.doctor.converted import NotConverted, converted

HERE = Path(__file__).parent
STOCK = ("ppo", "sac")
"""Trainers of ML-Agents, which others are compared with."""

TWINS = {"3DBallDiscrete": "3DBall"}
"""Scenes whose files hold for another one that has none: it differs in its actions alone."""

LONGEST = 10**8
"""Agent steps of a run, which ends long before."""


class Case(NamedTuple):
    """A run to be measured.

    Attributes:
        learner: a folder of configs/ or results/peers, or a plugin.
        variant: the scene.
        workers: `--num-envs`.
        areas: `num_areas`.
        buffer_size: in place of the learner's own.
        plain: without plugins of ours.
    """

    learner: str
    variant: Variant
    workers: int
    areas: int
    buffer_size: int | None
    plain: bool = False

    @property
    def name(self) -> str:
        """Of the learner."""
        return f"{self.learner}, plain" if self.plain else self.learner

    @property
    def agents(self) -> int:
        """Agents of all workers together."""
        scene = self.variant.load()
        return scene.areas * scene.agents_per_area * self.areas * self.workers


@dataclass(frozen=True)
class Cost:
    """What a run has cost.

    Attributes:
        rate: agent steps a second, end to end.
        waiting, inference, intake, update, rest: percent of the learner's time.
        learner, workers, players: seconds of processors for 1,000 agent steps.
        peak: most memory that the learner held, MB.
    """

    rate: float
    waiting: float
    inference: float
    intake: float
    update: float
    rest: float
    learner: float
    workers: float
    players: float
    peak: float

    @classmethod
    def of(cls, measured: Mapping[str, Any]) -> "Cost":
        """From what `_measured_learn` writes."""
        began, ended = measured["began"], measured["ended"]
        seconds, steps = ended["seconds"] - began["seconds"], ended["steps"] - began["steps"]
        timers = {name: total - began["timers"].get(name, 0.0) for name, total in ended["timers"].items()}
        inference = timers["SubprocessEnvManager._take_step"]
        parts = {
            "waiting": timers["SubprocessEnvManager._step"] - inference,
            "inference": inference,
            "intake": timers["EnvManager._process_step_infos"] + timers["process_trajectory"],
            "update": timers.get("_update_policy", 0.0),  # none in this thread with `threaded: true`
        }
        parts["rest"] = seconds - sum(parts.values())
        processors = {name: total - began["processors"][name] for name, total in ended["processors"].items()}
        return cls(
            rate=steps / seconds,
            **{name: 100 * part / seconds for name, part in parts.items()},
            **{name: 1000 * taken / steps for name, taken in processors.items()},
            peak=measured["peak_bytes"] / 1e6,
        )

    @property
    def processors(self) -> float:
        """Seconds of all processes for 1,000 agent steps."""
        return self.learner + self.workers + self.players

    @classmethod
    def median(cls, costs: list["Cost"]) -> "Cost":
        """The median of each."""
        return cls(*(median(column) for column in zip(*(asdict(cost).values() for cost in costs), strict=True)))


HEADER = """\
| learner | scene | agents | workers | num_areas | floats more | buffer_size | steps/s \
| waiting | inference | intake | update | rest | CPU s/1,000 steps: learner | workers | players | peak MB |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"""


def row(case: Case, cost: Cost) -> str:
    """A line of the table."""
    shares = (cost.waiting, cost.inference, cost.intake, cost.update, cost.rest)
    processors = (cost.learner, cost.workers, cost.players)
    cells = [case.name, case.variant.scene, case.agents, case.workers, case.areas, case.variant.floats]
    cells += [case.buffer_size or "own", f"{cost.rate:,.0f}", *(f"{share:.0f} %" for share in shares)]
    cells += [*(f"{seconds:.2f}" for seconds in processors), f"{cost.peak:,.0f}"]
    return f"| {' | '.join(map(str, cells))} |"


def config_of(case: Case, changes: list[str]) -> dict[str, Any]:
    """The whole configuration of a run.

    Args:
        case: what is to be run.
        changes: `KEY=VALUE` for all learners, `LEARNER:KEY=VALUE` for one.

    Raises:
        SuiteError: there is no file for the learner.
    """
    config = _file_of(case.learner, case.variant.scene)
    own = [f"max_steps={LONGEST}", f"checkpoint_interval={LONGEST}"]
    if case.buffer_size:
        own.append(f"hyperparameters.buffer_size={case.buffer_size}")
    for change in changes:
        learner, colon, rest = change.partition(":")
        if not colon or "=" in learner:  # a colon in the value
            own.append(change)
        elif learner == case.learner:
            own.append(rest)
    behaviors = zip(case.variant.load().behaviors, config["behaviors"].values(), strict=True)
    areas = {**config.get("env_settings", {}), "num_areas": case.areas}
    values = assignments(own)
    return {
        **config,
        "behaviors": {name: changed(written, values) for name, written in behaviors},
        "env_settings": areas,
    }


def _file_of(learner: str, scene: str) -> dict[str, Any]:
    """The learner's own file for the scene or its twin, or else one that is converted."""
    names = [scene, *([TWINS[scene]] if scene in TWINS else [])]
    for name in names:
        with contextlib.suppress(SuiteError):
            return learner_config(learner, name)
    if learner in all_trainer_settings and learner not in STOCK:
        is_off_policy = issubclass(all_trainer_settings[learner], OffPolicyHyperparamSettings)
        origin = "sac" if is_off_policy else "ppo"
        for name in names:
            file = PEERS / origin / f"{name.removeprefix(GYMNASIUM)}.yaml"
            if file.is_file():
                return yaml.safe_load(converted(file, learner))
    raise SuiteError(f"there is no file for {learner} on {scene}, and none of Unity's to be converted")


def run(case: Case, seed: int, arguments: argparse.Namespace) -> Cost:
    """Runs a case until enough was measured.

    Raises:
        SystemExit: the run has failed.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        config, measured = folder / "config.yaml", folder / "measured.json"
        config.write_text(yaml.safe_dump(config_of(case, arguments.changes)), encoding="utf-8")
        case.variant.install(folder)
        player = build(case.variant.name, folder)
        line = [sys.executable, "-W", "ignore", HERE / "_measured_learn.py", measured]
        line += [
            "plain" if case.plain else "",
            arguments.seconds,
            arguments.steps,
            config,
            "--env",
            player,
            "--num-envs",
            case.workers,
        ]
        line += ["--seed", seed, "--base-port", free_port(), "--torch-device", "cpu"]
        path = os.pathsep.join([str(folder), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path}
        ended = subprocess.run(
            list(map(str, line)),
            cwd=folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if not measured.is_file():
            sys.exit(f"{ended.stdout[-3000:]}\n{case.name} ended with code {ended.returncode} and was not measured")
        return Cost.of(json.loads(measured.read_text("utf-8")))


def settings(arguments: argparse.Namespace) -> Iterator[list[Case]]:
    """The cases, those of all learners together for each way to run."""
    for agents, floats, buffer_size, workers, areas in itertools.product(
        arguments.agents, arguments.floats, arguments.buffer_sizes, arguments.workers, arguments.areas
    ):
        variant = Variant(arguments.scene, agents, floats)
        cases = [Case(learner, variant, workers, areas, buffer_size) for learner in arguments.learners]
        yield cases + [case._replace(plain=True) for case in cases if arguments.plain and case.learner in STOCK]


def ratios(costs: dict[Case, list[Cost]]) -> Iterator[str]:
    """Each learner beside those of ML-Agents that ran in the same way: a line each, medians over the turns."""
    for case, ours in costs.items():
        for learner, plain in itertools.product(STOCK, (False, True)):
            peer = case._replace(learner=learner, plain=plain)
            theirs = costs.get(peer, [])
            if theirs and case.learner not in STOCK:
                rate = _spread([own.rate / other.rate for own, other in zip(ours, theirs, strict=True)])
                spent = _spread([other.processors / own.processors for own, other in zip(ours, theirs, strict=True)])
                name = f"ratio: {case.name} beside {peer.name}, {case.agents} agents"
                yield f"{name}: {rate} the steps a second, {spent} those of a second of processors"


def _spread(found: list[float]) -> str:
    return f"{median(found):.2f} x ({min(found):.2f} to {max(found):.2f})"


def check(cases: list[Case], changes: list[str]) -> None:
    """Ends with one line where a case cannot be run."""
    try:
        for case in cases:
            config_of(case, changes)
    except (NotConverted, PlayerError, SuiteError) as error:
        sys.exit(str(error))


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("learners", nargs="*", default=["dqn", "a2c", "ppo", "sac"], help="default: %(default)s")
    parser.add_argument("--plain", action="store_true", help="ML-Agents' own learners without plugins of ours too")
    parser.add_argument("--scene", default="3DBallDiscrete", help="of the player, or gym:ID")
    parser.add_argument(
        "--agents", type=count, nargs="+", default=[None], help="in a copy of the scene; default: its own"
    )
    parser.add_argument("--workers", type=count, nargs="+", default=[1], help="--num-envs")
    parser.add_argument("--areas", type=count, nargs="+", default=[1], help="num_areas")
    parser.add_argument("--floats", type=int, nargs="+", default=[0], help="observed beside what the scene shows")
    parser.add_argument("--buffer-sizes", type=count, nargs="+", default=[None], help="default: those of the files")
    parser.add_argument("--repeats", type=count, default=3, help="turns of every learner")
    parser.add_argument("--seconds", type=float, default=10.0, help="that are measured of a run at least")
    parser.add_argument("--steps", type=int, default=0, help="agent steps that a run has at least, to fill a replay")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--set", dest="changes", nargs="+", default=[], metavar="[LEARNER:]KEY=VALUE", help="keys to change"
    )
    return parser.parse_args()


def main() -> None:
    """Prints a line a run, the medians and the ratios."""
    arguments = parsed()
    register_trainer_plugins()
    together = list(settings(arguments))
    check([case for cases in together for case in cases], arguments.changes)
    costs: dict[Case, list[Cost]] = {case: [] for cases in together for case in cases}
    print(HEADER)
    for cases in together:
        for repeat in range(arguments.repeats):
            for case in cases:
                costs[case].append(run(case, arguments.seed + repeat, arguments))
                print(row(case, costs[case][-1]), flush=True)
    print(f"\nMedians of {arguments.repeats}:\n\n{HEADER}")
    for case, found in costs.items():
        print(row(case, Cost.median(found)))
    print()
    for line in ratios(costs):
        print(line)


if __name__ == "__main__":
    main()
