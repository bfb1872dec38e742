"""`mlagents-player watch`: an exported model, or chance, plays a scene; seen as a film, counted as returns."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlagents_player import evaluation, film, policy, pretrained, scenes
from mlagents_player.arguments import count, demo_file, seconds, seed
from mlagents_player.caption import Caption, captioned
from mlagents_player.errors import PlayerError, blaming
from mlagents_player.evaluation import Evaluation
from mlagents_player.hosted_scene import opened
from mlagents_player.recording import Recorder
from mlagents_player.scenes.base import BehaviorSpec, Scene, team
from mlagents_player.status_line import StatusLine

RANDOM = "random"


def add_arguments(command: argparse.ArgumentParser, scene_help: str) -> None:
    """The command line of `watch`."""
    command.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="an .onnx file; or a folder, as results/<run-id>, with one for each behaviour; or random, for chance",
    )
    command.add_argument("scene", nargs="?", metavar="SCENE", help=scene_help)
    command.add_argument(
        "--pretrained",
        metavar="NAME",
        help="in place of MODEL and SCENE: one that comes with this package, such as pqn/Hallway; "
        "mlagents-player list shows them",
    )
    command.add_argument("--opponent", metavar="MODEL", help="what plays the other team (default: MODEL)")
    command.add_argument(
        "--beside",
        metavar="MODEL",
        help="film another model, or random, to the right of the first; both play for --seconds",
    )
    command.add_argument("--episodes", type=count, default=10, metavar="N", help="how many (default: %(default)s)")
    command.add_argument(
        "--areas",
        type=count,
        metavar="N",
        help="training areas that play side by side, no more than the episodes fill; many episodes take less time in "
        "many areas (default: as many as the scene has)",
    )
    command.add_argument(
        "--longest",
        type=count,
        default=evaluation.LONGEST,
        metavar="N",
        help="decisions after which an episode is cut off, and counts with the rewards so far (default: %(default)s)",
    )
    command.add_argument(
        "--output", type=Path, metavar="FILE", help="write a film, .gif or .mp4, or its last picture, .png"
    )
    command.add_argument("--window", action="store_true", help="show the film in a window")
    command.add_argument("--seconds", type=seconds, default=60.0, help="longest film (default: %(default)s)")
    command.add_argument("--json", action="store_true", help="print the numbers as JSON")
    command.add_argument(
        "--seed", type=seed, default=0, help="of the scene and of the policy, -1 for any (default: %(default)s)"
    )
    command.add_argument("--stochastic", action="store_true", help="draw actions; default: the model's best ones")
    command.add_argument(
        "--record",
        type=demo_file,
        metavar="FILE.demo",
        help="record a demonstration; where the file is there already, the first free one of FILE-1.demo, "
        "FILE-2.demo, ... is written",
    )


def run(options: argparse.Namespace) -> None:
    """Play, film, record and print.

    Raises:
        PlayerError: the scene, the model, the film or the recording cannot be had.
    """
    _choose(options)
    if options.output and options.output.suffix not in film.KINDS:
        raise PlayerError(f"{options.output} is no film; its name ends with {', '.join(film.KINDS)}.")
    if options.beside and not options.output:
        raise PlayerError(f"--beside {options.beside} is for a film; add --output FILE.gif.")
    scene_type = scenes.load(options.scene, drawn=bool(options.output or options.window))
    recorder = Recorder(options.record, scene_type.behaviors) if options.record else None
    with StatusLine() as status:
        first = _play(options, scene_type, options.model, status, recorder)
        other = _play(options, scene_type, options.beside, status) if options.beside else None
        if options.output:
            status.show(f"writing {options.output}", now=True)
            reel = first.reel.beside(other.reel) if other else first.reel
            reel.save(options.output, first.seconds)
    recorded = recorder.save() if recorder else []
    _print(options, first.summary, other.summary if other else None, recorded)
    if options.output and first.is_cut and not other:
        print(f"The film is of the first {options.seconds:g} seconds; --seconds N makes it longer.", file=sys.stderr)


def _choose(options: argparse.Namespace) -> None:
    """Fills in model and scene where a pretrained one is asked for."""
    if options.pretrained is None:
        if options.scene is None:
            raise PlayerError("watch needs MODEL and SCENE, as in: mlagents-player watch results/basic Basic")
        return
    if options.model is not None:
        raise PlayerError(f"--pretrained {options.pretrained} brings its model and scene; leave {options.model} out.")
    options.model, options.scene = map(str, pretrained.find(options.pretrained))


@dataclass
class _Played:
    """What came of a model: its film, how long each picture is shown, whether play went on after it; its numbers."""

    reel: film.Reel
    seconds: float
    is_cut: bool
    summary: dict[str, dict[str, Any]]


def _play(
    options: argparse.Namespace,
    scene_type: type[Scene],
    model: str,
    status: StatusLine,
    recorder: Recorder | None = None,
) -> _Played:
    policies = _policies(options, scene_type, model)
    evaluated = Evaluation(policies, options.episodes, options.longest, recorder)
    reel = film.Reel()
    with opened(scene_type, _areas(scene_type, options), np.random.default_rng(options.seed)) as scene:
        caption = Caption(_title(model), scene, evaluated)
        shown = _film(scene, options, reel, caption)

        def step() -> None:
            caption.step()
            if shown:
                shown.step()
            ended = f"{len(evaluated.finished)} of {_number(options.episodes, 'episode')}"
            status.show(f"{_title(model)} plays {options.scene}: {ended}")

        evaluated.run(scene, step, lambda: bool(options.beside and shown and not shown.is_full))
    seconds, is_cut = (shown.seconds, shown.is_full) if shown else (0.0, False)
    return _Played(reel, seconds, is_cut, _outcome(evaluated.finished, scene_type))


def _title(model: str) -> str:
    """What a film calls a model: its file without the ending, its folder, or chance."""
    return Path(model).resolve().name.removesuffix(".onnx")


def _policies(options: argparse.Namespace, scene_type: type[Scene], model: str) -> dict[str, policy.Policy]:
    behaviors = scene_type.behaviors
    if options.opponent is None:
        return _load(model, behaviors, options)
    others = {name: spec for name, spec in behaviors.items() if team(name) > 0}
    if not others:
        raise PlayerError(f"--opponent {options.opponent}: {options.scene} has no second team; leave it out.")
    own = {name: spec for name, spec in behaviors.items() if name not in others}
    return _load(model, own, options) | _load(options.opponent, others, options)


def _load(model: str, behaviors: Mapping[str, BehaviorSpec], options: argparse.Namespace) -> dict[str, policy.Policy]:
    if model == RANDOM:
        return {
            name: policy.RandomPolicy(spec.action_spec, np.random.default_rng([options.seed, *name.encode()]))
            for name, spec in behaviors.items()
        }
    return policy.load(Path(model), behaviors, options.stochastic, options.seed)


def _areas(scene_type: type[Scene], options: argparse.Namespace) -> int:
    """No more areas than the episodes fill."""
    return min(options.areas or scene_type.areas, math.ceil(options.episodes / scene_type.agents_per_area))


def _film(scene: Scene, options: argparse.Namespace, reel: film.Reel, caption: Caption) -> film.Film | None:
    """A film of the first area with what there is to say of its first agent, if there is to be one."""
    if not (options.output or options.window):
        return None

    def picture() -> film.Frame:
        with blaming(f"Scene {type(scene).__name__}", "picture"):
            drawn = scene.picture(0)
        return captioned(drawn, caption.lines)

    made = film.Film(picture, scene.pace, reel.frames.append, options.seconds)
    if options.window:
        window = film.Window(f"{options.scene}: {options.model}", made.seconds)

        def show(frame: film.Frame) -> None:
            reel.frames.append(frame)
            window.show(frame)

        made.show = show
    return made


def _outcome(finished: list[evaluation.Episode], scene_type: type[Scene]) -> dict[str, dict[str, Any]]:
    """The numbers of each behaviour; where there are two teams, with the games."""
    found = evaluation.summary(finished)
    if any(team(name) for name in scene_type.behaviors):
        for name in found:
            found[name]["games"] = evaluation.games(finished, name)
    return found


def _print(
    options: argparse.Namespace,
    behaviors: dict[str, dict[str, Any]],
    others: dict[str, dict[str, Any]] | None,
    recorded: list[Path],
) -> None:
    if options.json:
        names = {"scene": options.scene, "model": options.model, "opponent": options.opponent, "seed": options.seed}
        beside = {"beside": {"model": options.beside, "behaviors": others}} if others else {}
        files = {"recorded": [str(file) for file in recorded]} if recorded else {}
        print(json.dumps({**names, "behaviors": behaviors, **beside, **files}, indent=2))
        return
    for line in _lines(behaviors, options.longest):
        print(line)
    for line in _lines(others or {}, options.longest):
        print(f"{options.beside}: {line}")
    for file in filter(None, [options.output, *recorded]):
        print(file)


def _lines(behaviors: dict[str, dict[str, Any]], longest: int) -> Iterator[str]:
    for name, numbers in behaviors.items():
        total, decisions = numbers["return"], numbers["decisions"]["mean"]
        yield (
            f"{name}: return {total['mean']:.3f} ± {total['std']:.3f} ({total['min']:.3f} to {total['max']:.3f}), "
            f"{_number(numbers['episodes'], 'episode')} of {decisions:.1f} decisions"
            + (f", {numbers['cut_off']} of them cut off after {longest}" if numbers["cut_off"] else "")
            + _games(numbers.get("games"))
        )


def _games(counted: dict[str, int] | None) -> str:
    """What follows in the line of a team."""
    if not counted:
        return ""
    kinds = ", ".join(f"{number} {kind}" for kind, number in counted.items())
    return f"; {_number(sum(counted.values()), 'game')}: {kinds}"


def _number(number: int, of_what: str) -> str:
    return f"{number} {of_what}{'' if number == 1 else 's'}"
