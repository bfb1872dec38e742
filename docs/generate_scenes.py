"""Writes what a scene's page says of sizes, actions, goal and configurations: docs/scenes/SCENE.md.

It is read from the scene's class, from benchmarks/results/scenes.yaml, and from the comments that open its
configurations, configs/*/SCENE.yaml.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from mlagents_envs.base_env import ActionSpec, ObservationSpec
from sources import ROOT

from mlagents_player import scenes
from mlagents_player.scenes.base import Scene, base_name

PAGES = ROOT / "docs" / "scenes"
GOALS = ROOT / "benchmarks" / "results" / "scenes.yaml"
FIRST, LAST = "<!-- facts of the scene {} -->", "<!-- end of the facts of {} -->"
FACT = re.compile(r"^# (?P<name>[A-Z][\w-]*): +(?P<text>.*(?:\n#  +.*)*)", re.MULTILINE)


def facts(name: str) -> Iterator[str]:
    """The lines of a scene's page that its sources say."""
    scene = scenes.load(name)
    yield from ("| | |", "|---|---|")
    for behavior, spec in _behaviors(scene).items():
        yield f"| Behavior Name | `{behavior}` |"
        yield f"| observations | {', '.join(map(_observation, spec.observation_specs))} |"
        yield f"| actions | {_actions(spec.action_spec)} |"
    yield f"| agents | {_agents(scene)} |"
    yield f"| decision | {_every(scene.decision_period)} |"
    yield f"| longest episode | {f'{scene.max_step:,} steps' if scene.max_step else 'no limit'} |"
    yield f"| environment parameters | {', '.join(f'`{each}`' for each in scene.parameter_names or ()) or 'none'} |"
    yield f"| goal | {', '.join(_goals(scene))} |"
    yield from ("", "| settings | status | agent steps | reward |", "|---|---|---|---|")
    for file in sorted(ROOT.glob(f"configs/*/{name}.yaml")):
        said = header(file)
        link = f"[{file.parent.name}](../../{file.relative_to(ROOT).as_posix()})"
        yield f"| {link} | {said['Status']} | {said['Steps']} | {said['Reward']} |"


def header(file: Path) -> dict[str, str]:
    """What the comment that opens a configuration says, each in one line."""
    opening = file.read_text(encoding="utf-8").partition("\nbehaviors:")[0] + "\n"
    return {found["name"]: " ".join(re.sub(r"\n# +", " ", found["text"]).split()) for found in FACT.finditer(opening)}


def _behaviors(scene: type[Scene]) -> dict:
    """By their names in the YAML: teams have one in common."""
    return {base_name(behavior): spec for behavior, spec in scene.behaviors.items()}


def _observation(spec: ObservationSpec) -> str:
    shape = "x".join(map(str, spec.shape))
    kind = {1: "a vector", 2: "entities", 3: "a picture"}[len(spec.shape)]
    return f"{kind} {shape}"


def _actions(spec: ActionSpec) -> str:
    parts = [f"{spec.continuous_size} continuous"] if spec.continuous_size else []
    if spec.discrete_branches:
        sizes = ", ".join(map(str, spec.discrete_branches))
        parts.append(f"branches of {sizes}" if len(spec.discrete_branches) > 1 else f"a branch of {sizes}")
    return " and ".join(parts)


def _agents(scene: type[Scene]) -> str:
    each = scene.agents_per_area
    return f"{scene.areas} areas with {each} each" if each > 1 else str(scene.areas)


def _every(period: int) -> str:
    return "every step" if period == 1 else f"every {period} steps"


def _goals(scene: type[Scene]) -> Iterator[str]:
    goals = yaml.safe_load(GOALS.read_text(encoding="utf-8"))
    for behavior in _behaviors(scene):
        goal = goals[behavior]
        of = f" ({behavior})" if len(_behaviors(scene)) > 1 else ""
        yield f"{goal['goal']:g}{of}: {goal.get('why', 'the benchmark that Unity gives')}"


def page(name: str) -> str:
    """The page of a scene with facts that are current.

    Raises:
        ValueError: the comments that they stand between are not there.
    """
    file = PAGES / f"{name}.md"
    before, opening, rest = file.read_text(encoding="utf-8").partition(f"{FIRST.format(name)}\n")
    _, closing, after = rest.partition(LAST.format(name))
    if not (opening and closing):
        raise ValueError(f"{file} has no lines {FIRST.format(name)} and {LAST.format(name)}")
    return before + opening + "\n".join(["", *facts(name), "", ""]) + closing + after


if __name__ == "__main__":
    for scene_name in scenes.names():
        (PAGES / f"{scene_name}.md").write_text(page(scene_name), encoding="utf-8")
