"""The command `mlagents-player`."""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from mlagents_player import demonstrations, fidelity, launcher, pretrained, scenes, watch
from mlagents_player.arguments import PlayerArguments, count, demo_file, parse_port, player_arguments, seconds
from mlagents_player.client import Connection, Options, play
from mlagents_player.errors import PlayerError, SceneError, one_line
from mlagents_player.hints import quoted
from mlagents_player.scenes.base import BehaviorSpec, Scene

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

log = logging.getLogger("mlagents_player")

EDITOR_PORT = 5004
REFERENCE_DATA = "MLAGENTS_REFERENCE_DATA"
SCENE_HELP = "name of a scene, which mlagents-player list shows, or gym:ID for a Gymnasium environment"
PLAY_SECONDS = 60.0
LAUNCH_SECONDS = 30.0  # the trainer listens before it starts a player
FIRST_SECONDS, PROGRESS_SECONDS = 1.0, 10.0  # until a wait is told, and from then on


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the result is the exit code."""
    _show_what_the_terminal_can()
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except PlayerError as error:
        print(f"mlagents-player: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("mlagents-player: stopped.", file=sys.stderr)
        return 130


def _show_what_the_terminal_can() -> None:
    """Let the output have a question mark for what its encoding lacks; the error stream escapes that by itself."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = argparse.ArgumentParser(
        prog="mlagents-player",
        description="Play the part of a Unity environment, so that mlagents-learn trains without Unity.",
    )
    top.add_argument("--version", action="version", version=f"mlagents-player {version('mlagents-player')}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_list(commands)
    _add_build(commands)
    _add_play(commands)
    _add_watch(commands)
    _add_fidelity(commands)
    _add_run(commands)
    return top


def _add_list(commands: Commands) -> None:
    command = commands.add_parser("list", help="show the scenes", description="Show the scenes as a table.")
    command.set_defaults(run=_list)


def _add_build(commands: Commands) -> None:
    command = commands.add_parser(
        "build",
        help="write launchers for mlagents-learn --env",
        description="Write a launcher for each scene; mlagents-learn --env takes it for a Unity executable.",
    )
    command.add_argument("scenes", nargs="+", metavar="SCENE", help=SCENE_HELP)
    command.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the launchers")
    command.set_defaults(run=_build)


def _add_play(commands: Commands) -> None:
    command = commands.add_parser(
        "play",
        help="connect to a trainer that waits, as the Editor's Play button does",
        description="Connect to an mlagents-learn that was started without --env, and play until it ends.",
    )
    command.add_argument("scene", metavar="SCENE", help=SCENE_HELP)
    command.add_argument("--port", type=_port, default=EDITOR_PORT, help="port of the trainer (default: %(default)s)")
    command.add_argument(
        "--timeout",
        type=seconds,
        default=PLAY_SECONDS,
        metavar="SECONDS",
        help="how long to wait for a trainer (default: %(default)s)",
    )
    command.add_argument(
        "--num-areas", type=count, metavar="N", help="copies of the scene (default: as the trainer says)"
    )
    command.add_argument(
        "--record",
        type=demo_file,
        metavar="FILE.demo",
        help="record what the trainer does as a demonstration, which ML-Agents' imitation learning reads; where the "
        "file is there already, the first free one of FILE-1.demo, FILE-2.demo, ... is written",
    )
    command.add_argument("--raw-pictures", action="store_true", help="send pictures as floats instead of PNG")
    command.set_defaults(run=_play)


def _add_watch(commands: Commands) -> None:
    command = commands.add_parser(
        "watch",
        help="see and measure what an exported model does",
        description="Let an exported model play a scene without a trainer; print the mean and spread of its return, "
        "and write or show a film of it.",
    )
    watch.add_arguments(command, SCENE_HELP)
    command.set_defaults(run=watch.run)


def _add_fidelity(commands: Commands) -> None:
    command = commands.add_parser(
        "fidelity",
        help="compare a scene with a recording made in Unity",
        description="Replay a recording decision by decision and print how far the scene's predictions "
        "are off, next to those of a predictor which says that nothing changes.",
    )
    command.add_argument("scene", metavar="SCENE", help=SCENE_HELP)
    command.add_argument(
        "--demo",
        type=Path,
        metavar="FILE",
        help=f"the recording (default: Expert<SCENE>.demo in the folder that ${REFERENCE_DATA} names)",
    )
    command.set_defaults(run=_fidelity)


def _add_run(commands: Commands) -> None:
    command = commands.add_parser(
        "run",
        help="what a launcher starts; takes the arguments that mlagents-learn passes to a Unity executable",
        description="Play a scene for the trainer that started this process.",
        usage="mlagents-player run SCENE --mlagents-port PORT [-logFile FILE] [--num-areas N] [--record FILE.demo] "
        "[--raw-pictures] [...]",
    )
    command.add_argument("scene", metavar="SCENE", help=SCENE_HELP)
    command.add_argument("arguments", nargs=argparse.REMAINDER, help="as a Unity player; unknown ones are ignored")
    command.set_defaults(run=_run)


def _port(text: str) -> int:
    try:
        return parse_port(text)
    except PlayerError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _list(options: argparse.Namespace) -> None:
    found: dict[str, type[Scene]] = {}
    broken: list[PlayerError] = []
    for name in scenes.names():
        try:
            found[name] = scenes.load(name)
        except PlayerError as error:  # somebody else's; the others can be played
            broken.append(error)
    print("\n".join([table(found), *map(str, broken)]))
    print("and gym:ID for any Gymnasium environment, as in gym:CartPole-v1")
    print(f"watch --pretrained plays: {', '.join(pretrained.names())}")


def _build(options: argparse.Namespace) -> None:
    for name in options.scenes:
        scenes.load(name)
    for name in options.scenes:
        path = launcher.build(name, options.output)
        print(f"{path}\n  {learn_command(path)}")


def learn_command(path: PurePath) -> str:
    """The line that trains with a launcher, for any shell."""
    return f"mlagents-learn <trainer-config-file> --env {quoted(path)} --run-id {quoted(path.name)}"


def _play(options: argparse.Namespace) -> None:
    _log_to(None)
    scene = scenes.load(options.scene)
    with Connection(options.port) as connection:
        _wait(connection, options.port, options.timeout)
        print(f"Playing {options.scene} until the trainer ends.", flush=True)
        ended = play(connection, scene, Options(options.num_areas, options.record, options.raw_pictures))
        print(f"Ended: {ended}.")


def _wait(connection: Connection, port_number: int, longest: float) -> None:
    """Wait for a trainer and say so now and then; `PlayerError` if none comes."""
    deadline = time.monotonic() + longest
    pause = FIRST_SECONDS
    while not connection.wait(min(pause, max(0.0, deadline - time.monotonic()))):
        left = deadline - time.monotonic()
        if left <= 0:
            raise PlayerError(
                f"No trainer listens on port {port_number}; waited {longest:g} s. "
                "Start mlagents-learn without --env first, and give --port if it uses another one."
            )
        print(f"Waiting for a trainer on port {port_number}, {left:.0f} s left ...", flush=True)
        pause = PROGRESS_SECONDS


def _fidelity(options: argparse.Namespace) -> None:
    scene = scenes.load(options.scene)
    recording = demonstrations.read(options.demo or _default_recording(options.scene))
    print(fidelity.report(fidelity.compare(scene, recording)))


def _default_recording(scene: str) -> Path:
    folder = os.environ.get(REFERENCE_DATA)
    if not folder:
        raise PlayerError(f"Give --demo FILE, or set {REFERENCE_DATA} to a folder with Expert{scene}.demo.")
    return Path(folder) / f"Expert{scene}.demo"


def _run(options: argparse.Namespace) -> None:
    given = player_arguments(options.arguments)
    _log_to(given.log_file)
    # On Windows Ctrl+C in the trainer's console reaches its player too. The trainer still needs the player
    # while it saves; that the trainer has gone shows at the connection.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _run_scene(options.scene, given)
    finally:
        signal.signal(signal.SIGINT, interrupt)


def _run_scene(name: str, given: PlayerArguments) -> None:
    # Closed after the reason is in the log: the trainer, once it is told that the player ends, may read it there.
    with ExitStack() as connections, _logging(given.log_file):
        scene = scenes.load(name)
        trainer_port = given.checked_port()
        options = Options(given.checked_areas(), given.checked_record(), given.raw_pictures)
        if given.ignored:
            log.info("Ignored arguments: %s", " ".join(given.ignored))
        connection = connections.enter_context(Connection(trainer_port))
        if not connection.wait(LAUNCH_SECONDS):
            raise PlayerError(f"No trainer listens on port {trainer_port}; waited {LAUNCH_SECONDS:g} s.")
        log.info("Playing %s on port %d.", name, trainer_port)
        log.info("Ended: %s.", play(connection, scene, options))


@contextmanager
def _logging(file: Path | None) -> Iterator[None]:
    """Why the player fails, as the last line of its log; before it the traceback of what was not foreseen."""
    try:
        yield
    except Exception as error:
        what = one_line("".join(traceback.format_exception_only(error)))
        reason = error if isinstance(error, PlayerError) else PlayerError(f"Internal error: {what}")
        unforeseen = error.__cause__ if isinstance(error, SceneError) else error
        if unforeseen is not reason:
            log.error("The player failed.", exc_info=unforeseen)
        if file:  # without one, the reason goes to the error stream as it is
            log.error("%s", reason)
        raise reason from error


def table(found: Mapping[str, type[Scene]]) -> str:
    """Scenes by name as a table of text."""
    rows = [("SCENE", "AGENTS", "OBSERVATIONS", "ACTIONS", "DESCRIPTION")]
    for name, scene in found.items():
        specs = list(scene.behaviors.values())
        rows.append(
            (
                name,
                str(scene.areas * scene.agents_per_area),
                " / ".join(dict.fromkeys(map(_observations, specs))),
                " / ".join(dict.fromkeys(map(_actions, specs))),
                scene.description,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _observations(spec: BehaviorSpec) -> str:
    return " + ".join("x".join(map(str, observation.shape)) for observation in spec.observation_specs)


def _actions(spec: BehaviorSpec) -> str:
    actions = spec.action_spec
    continuous = [f"{actions.continuous_size} continuous"] if actions.continuous_size else []
    discrete = ["branches " + ", ".join(map(str, actions.discrete_branches))] if actions.discrete_size else []
    return " + ".join(continuous + discrete)


def _log_to(file: Path | None) -> None:
    """Send the log to a file, or to the standard error stream if there is none or it cannot be written."""
    problem = None
    handler: logging.Handler = logging.StreamHandler()
    if file:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handler = logging.FileHandler(file, "w", encoding="utf-8")
        except OSError as error:
            problem = error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.handlers = [handler]
    log.setLevel(logging.INFO)
    if problem:
        log.warning("The log file cannot be written: %s.", problem)
