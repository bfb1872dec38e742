"""Random edits of files: each is refused by the name of its key, said to have no effect, or honoured."""

import copy
import logging
import math
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import attr
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers.cli_utils import parser
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.settings import RunOptions, TrainerSettings

from conftest import ROOT

FILES = {
    name: (ROOT / "configs" / name).read_text(encoding="utf-8")
    for name in ("dqn/Basic.yaml", "dqn/Hallway.yaml", "dqn/SoccerTwos.yaml", "a2c/WallJump.yaml")
}
FILES["defaults"] = """
default_settings:
  trainer_type: dqn
  hyperparameters: {preset: rainbow, learning_rate: 1.0e-4, v_max: 5.0, double: false}
  network_settings: {hidden_units: 32, vis_encode_type: simple}
  keep_checkpoints: 3
behaviors:
  Demonstrated:
    hyperparameters: {batch_size: 64, demo_path: a.demo, demo_ratio: 0.5, save_replay_buffer: true}
    reward_signals:
      extrinsic: {gamma: 0.95}
      gail: {demo_path: a.demo, use_actions: true, network_settings: {hidden_units: 16}}
      curiosity: {strength: 0.1, learning_rate: 1.0e-3}
    behavioral_cloning: {demo_path: a.demo, steps: 1000, strength: 0.5}
    checkpoint_interval: 5000
    threaded: false
  Walker:
    trainer_type: a2c
    hyperparameters: {use_sde: true, sde_sample_freq: 4, beta: 1.0e-3, normalize_returns: true}
    network_settings: {memory: {memory_size: 32, sequence_length: 16}, normalize: true}
    max_steps: 1.0e+6
env_settings: {num_areas: 2, timeout_wait: 30}
engine_settings: {time_scale: 10.0}
checkpoint_settings: {run_id: edits}
"""

VALUES = [
    True, False, None, 0, 1, -3, 7, 2.5, 64.5, 1.0e5, math.nan, math.inf, "1e5", "1e-3", "64", "0x", "true", "no way",
    "y", "", "linear", "none", [], {}, [1], {"a": 1},
]  # fmt: skip
"""What a value is replaced by: some are right for some keys."""

KINDS = ["delete", "double", "misspell", "mistype", "move"]

EDITS = st.tuples(
    st.sampled_from(KINDS),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.sampled_from(VALUES),
    st.sampled_from("abcdefghijklmnopqrstuvwxyz_"),
)


def mappings(node: Any, path: tuple = ()) -> Iterator[tuple]:
    """Paths of all mappings, the whole file first."""
    if isinstance(node, dict):
        yield path
        for key, value in node.items():
            yield from mappings(value, (*path, key))


def keys(node: Any, path: tuple = ()) -> Iterator[tuple]:
    """Paths of all keys."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield (*path, key)
            yield from keys(value, (*path, key))


def at(node: Any, path: tuple) -> Any:
    for key in path:
        node = node[key]
    return node


def misspelled(word: str, place: int, letter: str) -> str:
    """A word with one letter too many, too few, or another one."""
    before, after = word[: place % len(word)], word[place % len(word) + 1 :]
    return [before + letter + word[len(before) :], before + letter + after, (before + after) or letter][place % 3]


def edited(text: str, edit: tuple) -> tuple[str, list[str], str]:
    """The file after an edit, the names of which one has to be mentioned, and what was done.

    A subtree is also named by a key in it: where `extrinsic` stands for a behaviour, `gamma` is what is wrong.
    """
    kind, which, where, value, letter = edit
    whole = yaml.safe_load(text)
    path = list(keys(whole))[which % len(list(keys(whole)))]
    parent, key = at(whole, path[:-1]), path[-1]
    names = [key, *at(whole, path)] if isinstance(at(whole, path), dict) else [key]
    what = f"{kind} {': '.join(path)}"
    if kind == "double":
        parent[f"{key}@"] = value if isinstance(value, (int, float, str)) else 1
        dumped = yaml.safe_dump(whole, sort_keys=False)
        return re.sub(rf"^(\s*)'?{re.escape(key)}@'?:", rf"\1{key}:", dumped, flags=re.MULTILINE), [key], what
    if kind == "mistype":
        parent[key] = copy.deepcopy(value)
        return yaml.safe_dump(whole, sort_keys=False), names, f"{what} to {value!r}"
    taken = parent.pop(key)
    if kind == "misspell":
        key = misspelled(key, where, letter)
        parent[key], names, what = taken, [key, *names], f"{what} to {key}"
    if kind == "move":
        target = list(mappings(whole))[where % len(list(mappings(whole)))]
        at(whole, target)[key], what = taken, f"{what} to {': '.join(target) or 'the top'}"
    return yaml.safe_dump(whole, sort_keys=False), names, what


def plain(value: Any) -> Any:
    """A value as YAML has it; numbers as numbers, whichever way they are written."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bool) or value is None:
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def not_honoured(written: Any, settings: Any, path: str = "") -> Iterator[str]:
    """Paths of what stands in a file and is not in the settings that came of it."""
    if attr.has(type(settings)):
        settings = {field.name: getattr(settings, field.name) for field in attr.fields(type(settings))}
    if isinstance(written, dict) and isinstance(settings, dict):
        settings = {plain(key): value for key, value in settings.items()}
        for key, value in written.items():
            if key in settings:
                yield from not_honoured(value, settings[key], f"{path}{key}: ")
            else:
                yield f"{path}{key}"
    elif isinstance(written, list):
        if written != list(settings or []):
            yield path
    elif type(plain(written)) is not type(plain(settings)) or plain(written) != plain(settings):
        yield f"{path}{written!r} is {plain(settings)!r}"


def all_not_honoured(whole: dict, options: RunOptions, remarks: str) -> list[str]:
    """What a file says and its run does not do, without a word; default settings count where a behaviour has no own."""
    missing = list(not_honoured({key: whole[key] for key in whole if key != "default_settings"}, options))
    for behavior, became in options.behaviors.items():
        own = whole["behaviors"][behavior]
        for path in keys(whole.get("default_settings") or {}):
            default = at(whole["default_settings"], path)
            if path in keys(own) or (path[0] == "hyperparameters" and own.get("trainer_type", "dqn") != "dqn"):
                continue
            nested: Any = default
            for key in reversed(path):
                nested = {key: nested}
            missing += not_honoured(nested, became, f"{behavior}: ") if not isinstance(default, dict) else []
    return [path for path in missing if path.split(": ")[-1] not in remarks]


@pytest.fixture(autouse=True)
def plugins() -> Iterator[None]:
    """The trainers are known, and a file's default settings do not stay in their class."""
    register_trainer_plugins()
    yield
    TrainerSettings.default_override = None


@pytest.mark.parametrize("name", FILES)
def test_unedited_file_is_honoured(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The control: nothing is missing, and so the oracle can tell."""
    check(FILES[name], [], "nothing", tmp_path, caplog)


@pytest.mark.parametrize("name", FILES)
def test_edited_file_is_refused_by_name_or_honoured(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A hundred edits of each file: keys deleted, doubled, misspelt, moved, and values of other types."""

    @settings(max_examples=100, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(EDITS)
    def try_edit(edit: tuple) -> None:
        check(*edited(FILES[name], edit), tmp_path, caplog)

    try_edit()


def check(text: str, names: list[str], what: str, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Fails where an edit is neither refused by the name of its key, nor said to have no effect, nor honoured."""
    caplog.clear()
    TrainerSettings.default_override = None
    file = folder / "edited.yaml"
    file.write_text(text, encoding="utf-8")
    refusal = ""
    with caplog.at_level(logging.WARNING):
        try:
            options = RunOptions.from_argparse(parser.parse_args([str(file)]))
        except TrainerConfigError as error:
            refusal = str(error)
    if refusal:
        assert any(str(name) in refusal for name in names), f"{what}: refused without its name: {refusal}"
    else:
        missing = all_not_honoured(yaml.safe_load(text), options, caplog.text)
        assert not missing, f"{what}: neither refused nor honoured: {missing}"
