"""Every configuration trains what its name says and says what to expect."""

import re

import pytest
import yaml

STATUS = re.compile(r"\b(almost tuned|unsolved|untested|tuned)\b")
HEADER_FACTS = ["environment", "reward", "steps", "wall-clock", "seeds"]


def header(config):
    """The comment lines that open a file."""
    lines = config.read_text(encoding="utf-8").splitlines()
    end = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return "\n".join(lines[:end]).lower()


def status(config):
    """What the header says of it."""
    return re.search(r"^# status: +(.*)$", header(config), re.MULTILINE)[1]


def test_every_trainer_has_a_configuration(plugin, root):
    """A user finds at least one file to start from."""
    for name in plugin.trainers:
        assert list((root / "configs" / name).glob("*.yaml"))


def test_config_parses_with_the_plugins_registered(config):
    """mlagents-learn takes the file and finds every key known."""
    from mlagents.trainers.learn import parse_command_line

    options = parse_command_line([str(config)])
    assert {settings.trainer_type for settings in options.behaviors.values()} == {config.parent.name}


def test_config_starts_without_a_warning(config):
    """What is said of a file that is offered is a fault of the file."""
    from mlagents_plugin_shared.doctor.config_check import check_file

    report = check_file(config)
    said = [each.text for each in (*report.faults, *report.warnings) if "is not there, seen from" not in each.text]
    assert said == []


def test_config_is_named_after_its_trainer_and_environment(config):
    """configs/<trainer_type>/<Environment>.yaml holds that trainer for every behaviour of the environment."""
    from mlagents_player import scenes
    from mlagents_player.scenes.base import base_name

    scene = scenes.load(config.stem).behaviors if config.stem in scenes.names() else [config.stem]
    behaviors = yaml.safe_load(config.read_text(encoding="utf-8"))["behaviors"]
    assert set(behaviors) == set(map(base_name, scene))
    assert {behavior["trainer_type"] for behavior in behaviors.values()} == {config.parent.name}


@pytest.mark.parametrize("fact", HEADER_FACTS)
def test_header_states_what_to_expect(config, fact):
    """The header names the environment, the reward, the steps, the time and the seeds."""
    assert fact in header(config)


def test_header_states_how_well_the_numbers_are_known(config):
    """The header says tuned, almost tuned, unsolved or untested."""
    assert STATUS.search(header(config))


def test_unsolved_configuration_names_one_that_does_better(config):
    """Where another trainer's file is tuned for the same environment, or almost, the header says to take that."""
    others = config.parents[1].glob(f"*/{config.name}")
    better = [f"take configs/{other.parent.name}" for other in others if "unsolved" not in status(other)]
    if better and status(config) == "unsolved":
        said = re.sub(r"\n# +", " ", header(config))
        assert any(each in said for each in better), f"say one of {better}"


def test_header_is_no_wider_than_the_code(config):
    """An editor shows it whole."""
    assert max(map(len, header(config).splitlines())) <= 120
