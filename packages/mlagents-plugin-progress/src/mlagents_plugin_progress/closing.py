"""The end of a run: a table of what each behaviour has reached, its models, and the commands that go on from there."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mlagents_onnx_check.hints import quoted, script
from mlagents_plugin_progress.glyphs import UNFOLDED, count, duration, encodable, encoding_of, number, speed
from mlagents_plugin_progress.tally import Tally

_BEGINS_ANEW = {"--resume": False, "--force": False, "--initialize-from": True}


def table(tallies: Sequence[Tally], encoding: str, *, trains: bool) -> Table:
    """What each behaviour has reached.

    Args:
        tallies: of the behaviours.
        encoding: of the terminal; what it lacks of a name is replaced before widths are taken.
        trains: False in inference, which has no end to come nearer to.
    """
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    drawn.add_column("Behavior", overflow="fold")
    for name in ("Steps", "Steps/s", "Last", "Best", "At step"):
        drawn.add_column(name, justify="right")
    for tally in tallies:
        last = tally.scores[-1] if tally.scores else None
        unit = "Elo " if tally.self_play else ""
        drawn.add_row(
            encodable(tally.behavior, encoding),
            _steps(tally, trains=trains),
            speed(tally.mean_steps_per_second),
            unit + number(last.value) if last else "-",
            unit + number(tally.best.value) if tally.best else "-",
            count(tally.best.step) if tally.best else "-",
        )
    return drawn


def _in_words(tally: Tally, *, trains: bool) -> str:
    """The row of a behaviour, for terminals in which the table would be cut off."""
    words = ["no step" if tally.step is None else f"{_steps(tally, trains=trains)} steps"]
    if tally.scores:
        words.append(f"last {number(tally.scores[-1].value)}")
    if tally.best:
        words.append(f"best {number(tally.best.value)} at {count(tally.best.step)}")
    return f"{tally.behavior}: {', '.join(words)}"


def _steps(tally: Tally, *, trains: bool) -> str:
    """How many; with those that there were to be, where they are not all done."""
    if tally.step is None:
        return "-"
    is_short = trains and tally.max_steps > 0 and not tally.is_done
    return f"{tally.step:,} of {tally.max_steps:,}" if is_short else f"{tally.step:,}"


def models(tallies: Sequence[Tally], folder: Path) -> dict[str, Path]:
    """The exported model of each behaviour that has one.

    Args:
        tallies: of the behaviours.
        folder: `results/<run>`.
    """
    files = {tally.behavior: folder / f"{tally.behavior}.onnx" for tally in tallies}
    return {behavior: file for behavior, file in files.items() if file.is_file()}


def next_commands(folder: Path, environment: str | None, arguments: Sequence[str], *, is_done: bool) -> dict[str, str]:
    """What to do after a run, and the command that does it, as it is typed here; in Unity it is no command.

    Args:
        folder: `results/<run>`.
        environment: what `--env` named.
        arguments: of the process: the program, and what it was given.
        is_done: whether all behaviours have reached their `max_steps`.
    """
    commands = {}
    if scene := _scene_of_player(environment):
        commands["See it play"] = command_line([script("mlagents-player"), "watch", str(folder), scene])
    else:
        commands["In Unity"] = "drag the model into the project, and from there into Model of the Behavior Parameters"
    commands["Draw its curves"] = command_line([script("mlagents-plot"), str(folder)])
    if Path(arguments[0]).stem == "mlagents-learn":
        words = [*without(_BEGINS_ANEW, arguments[1:]), "--resume"]
        how = "Go on, once max_steps is larger" if is_done else "Go on"
        commands[how] = command_line([script("mlagents-learn"), *words])
    return commands


def without(options: dict[str, bool], arguments: Sequence[str]) -> list[str]:
    """The arguments without these options; the dictionary says which of them take a value."""
    kept: list[str] = []
    skips = False
    for argument in arguments:
        name, is_one_word, _ = argument.partition("=")
        if not skips and name not in options:
            kept.append(argument)
        skips = not skips and not is_one_word and options.get(name, False)
    return kept


def command_line(words: Sequence[str]) -> str:
    """The words as they are typed in this operating system's shell; the first is already a command."""
    program, *others = words
    typed = " ".join(map(_quoted_on_windows, others)) if os.name == "nt" else shlex.join(others)
    return f"{program} {typed}".rstrip()


def _quoted_on_windows(word: str) -> str:
    return subprocess.list2cmdline([word]) if '"' in word else quoted(word)


def say(
    console: Console, tallies: Sequence[Tally], seconds: float, lines: dict[str, str], *, trains: bool = True
) -> None:
    """Prints the table, and what follows it as lines that are not folded, so that they can be copied.

    Args:
        console: of the standard output.
        tallies: of the behaviours.
        seconds: that the run took.
        lines: what stands below, each under its name.
        trains: False in inference.
    """
    drawn = table(tallies, encoding_of(console.file), trains=trains)
    fits = console.measure(drawn, options=console.options.update(width=UNFOLDED)).maximum <= console.width
    reached = [drawn] if fits else [Text(_in_words(tally, trains=trains)) for tally in tallies]
    heading = f"The run took {duration(seconds)}."
    if not all(tally.self_play for tally in tallies):  # an Elo is called so where it stands
        heading += " Last, Best: mean reward of the episodes of a summary."
    console.print(Text(heading), *reached, sep="\n")
    for name, line in lines.items():
        text = Text.assemble((f"{name}: ", "dim"), line)
        console.print(Text(encodable(text.plain, encoding_of(console.file)), spans=text.spans), soft_wrap=True)


def _scene_of_player(environment: str | None) -> str | None:
    """The scene of `mlagents-player` that was played; None where it was Unity's or somebody else's."""
    if environment is None or find_spec("mlagents_player") is None:
        return None
    from mlagents_envs.env_utils import validate_environment_path  # the file that ML-Agents has started

    from mlagents_player.launcher import scene_of  # another distribution, which need not be installed

    launcher = validate_environment_path(environment)
    return scene_of(Path(launcher)) if launcher else None


def arguments_of_process() -> list[str]:
    """Program and arguments of this process."""
    return list(sys.argv) or [""]
