"""Settings are what the user wrote: default settings, faults of a whole file, and what is left to ML-Agents."""

import logging
import re
from collections.abc import Iterator
from enum import Enum
from typing import Any, ClassVar

import attr
import pytest
import yaml
from mlagents.plugins import all_trainer_settings, all_trainer_types
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.settings import OffPolicyHyperparamSettings, RewardSignalType, RunOptions, TrainerSettings

from mlagents_plugin_shared.run import published
from mlagents_plugin_shared.run.host.written_settings import written_settings
from mlagents_plugin_shared.run.replay_settings import ReplaySettings
from mlagents_plugin_shared.run.settings import CheckedSettings, Far, Idle, positive


class Kind(Enum):
    """A choice of words."""

    FAST = "fast"
    SLOW = "slow"


@attr.s(auto_attribs=True)
class FakeSettings(CheckedSettings, OffPolicyHyperparamSettings):
    """Settings of an algorithm that does not exist."""

    idle: ClassVar[tuple[Idle, ...]] = (Idle(("depth",), lambda own, _: own.kind is Kind.FAST, "kind is fast"),)
    far: ClassVar[tuple[Far, ...]] = (
        Far("time_horizon", lambda _, behavior: "Too long." if behavior.time_horizon > 500 else ""),
    )

    kind: Kind = Kind.SLOW
    depth: int = attr.ib(default=attr.Factory(lambda own: 1 if own.kind is Kind.FAST else 9, True), validator=positive)
    ratio: float | None = None
    wide: bool = False


@attr.s(auto_attribs=True)
class OtherSettings(CheckedSettings, OffPolicyHyperparamSettings):
    """Another plugin's."""

    only_here: int = 1
    kind: bool = False


@pytest.fixture(autouse=True)
def trainers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three trainers of ours beside ML-Agents' own."""
    register_trainer_plugins()
    for name, settings in {"fake": FakeSettings, "other": OtherSettings, "replaying": ReplaySettings}.items():
        monkeypatch.setitem(all_trainer_settings, name, settings)
        monkeypatch.setitem(all_trainer_types, name, object)
    TrainerSettings.default_override = None
    yield
    TrainerSettings.default_override = None


def read(text: str) -> RunOptions:
    """The options of a file."""
    return RunOptions.from_dict(yaml.safe_load(text))


def faults(text: str) -> list[str]:
    """The lines of a refusal."""
    with pytest.raises(TrainerConfigError) as error:
        read(text)
    return str(error.value).splitlines()


def one_fault(behavior: str) -> str:
    """The only line about a behaviour, given without its trainer_type."""
    (line,) = faults(f"behaviors: {{Car: {{trainer_type: fake, {behavior}}}}}")
    assert line.startswith("Car: ")
    return line


# Default settings


@pytest.mark.parametrize(
    "text",
    [
        "{default_settings: {trainer_type: fake, max_steps: 9000}, behaviors: {Car: {hyperparameters: {kind: fast}}}}",
        "{default_settings: {max_steps: 9000}, behaviors: {Car: {trainer_type: fake, hyperparameters: {kind: fast}}}}",
        "{default_settings: {trainer_type: fake, max_steps: 9000, hyperparameters: {kind: fast}},"
        " behaviors: {Car: {}}}",
        "{default_settings: {trainer_type: fake, max_steps: 9000, hyperparameters: {kind: fast}}}",
        "{default_settings: {trainer_type: fake, max_steps: 9000, hyperparameters: {kind: fast}},"
        " behaviors: {Car: {trainer_type: fake}}}",
        "{default_settings: {trainer_type: other, max_steps: 9000, hyperparameters: {only_here: 2, kind: true}},"
        " behaviors: {Car: {trainer_type: fake, hyperparameters: {kind: fast}}}}",
        "{default_settings: {trainer_type: ppo, max_steps: 9000, hyperparameters: {epsilon: 0.1, num_epoch: 2}},"
        " behaviors: {Car: {trainer_type: fake, hyperparameters: {kind: fast}}}}",
    ],
)
def test_default_depends_on_what_was_written_wherever_it_stands(text: str, caplog) -> None:
    """The depth of a fast one is 1; written out with the defaults of a slow one it would be 9."""
    settings = read(text).behaviors["Car"]
    assert (settings.trainer_type, settings.max_steps, settings.hyperparameters.depth) == ("fake", 9000, 1)
    assert caplog.text == ""


def test_default_settings_count_where_the_behaviour_has_none() -> None:
    """Section by section, and key by key; a reward signal that nobody wrote is not there."""
    settings = read("""
default_settings:
  trainer_type: fake
  hyperparameters: {learning_rate: 0.5, batch_size: 32}
  network_settings: {hidden_units: 7, num_layers: 3}
behaviors:
  Car:
    hyperparameters: {batch_size: 16}
    network_settings: {hidden_units: 8}
    reward_signals: {curiosity: {strength: 0.5}}
""").behaviors["Car"]
    assert (settings.hyperparameters.learning_rate, settings.hyperparameters.batch_size) == (0.5, 16)
    assert (settings.network_settings.hidden_units, settings.network_settings.num_layers) == (8, 3)
    assert list(settings.reward_signals) == [RewardSignalType.CURIOSITY]
    assert written_settings(settings)["hyperparameters"] == {"learning_rate": 0.5, "batch_size": 16}


def test_default_settings_need_not_be_whole_beside_behaviours() -> None:
    """Alone, 100 steps are fewer than a batch of 128; the behaviour's batch is smaller."""
    text = "default_settings: {trainer_type: replaying, max_steps: 100}\n"
    options = read(text + "behaviors: {Car: {hyperparameters: {batch_size: 16}}}")
    assert options.behaviors["Car"].max_steps == 100
    with pytest.raises(TrainerConfigError, match=r"^Bus: max_steps: 100 is not valid; nothing would be learned"):
        options.behaviors["Bus"]
    assert faults(text)[0].startswith("default_settings: max_steps: 100 is not valid; nothing would be learned")


def test_defaults_of_ours_do_not_reach_into_trainers_of_ml_agents() -> None:
    """PPO gets what it has too, and nothing that nobody wrote."""
    settings = read("""
default_settings: {trainer_type: fake, max_steps: 777, hyperparameters: {kind: fast, learning_rate: 0.5}}
behaviors: {Car: {trainer_type: ppo, hyperparameters: {epsilon: 0.1}}, Bus: {trainer_type: sac}}
""").behaviors
    assert (settings["Car"].max_steps, settings["Car"].hyperparameters.learning_rate) == (777, 0.5)
    assert (settings["Car"].hyperparameters.epsilon, settings["Car"].hyperparameters.batch_size) == (0.1, 1024)
    assert settings["Bus"].hyperparameters.tau == 0.005


def test_defaults_do_not_stay_for_the_next_file() -> None:
    """Two files in one process."""
    read("{default_settings: {trainer_type: fake, max_steps: 9000}, behaviors: {Car: {}}}")
    assert read("behaviors: {Car: {trainer_type: fake}}").behaviors["Car"].max_steps == 500000


def test_trainers_of_ml_agents_are_left_to_it() -> None:
    """Its own merging, its own messages and its own conversions."""
    text = "{default_settings: {trainer_type: ppo, hyperparameters: {beta: 0.5}}, behaviors: {Car: {max_steps: '5.9'}}}"
    settings = read(text).behaviors["Car"]
    assert (settings.hyperparameters.beta, settings.max_steps) == (0.5, 5)
    assert faults("behaviors: {Car: {trainer_type: ppo, max_step: 5}}") == [
        "The option max_step was specified in your YAML file for TrainerSettings, but is invalid."
    ]


def test_written_out_configuration_is_taken_again() -> None:
    """What ML-Agents writes beside the results gives the same settings."""
    first = read("{default_settings: {trainer_type: fake, max_steps: 9000}, behaviors: {Car: {threaded: true}}}")
    again = RunOptions.from_dict(yaml.safe_load(yaml.dump(first.as_dict())))
    assert again.behaviors == first.behaviors


# Faults


def test_all_faults_of_a_file_come_at_once() -> None:
    """Of two behaviours, the default settings and the run, each with its path and value."""
    assert faults("""
default_settings: {trainer_type: fake, summary_freq: often}
behaviors:
  Car: {hyperparameters: {wide: "false", depth: 2.9, kind: fest}, network_settings: {hidden_unit: 64}}
  Bus: {max_steps: -5, reward_signals: {}, trainer_type: other}
engine_settings: {time_scales: 2}
""") == [
        "engine_settings: time_scales: 2 is not valid; time_scales is not a known key; did you mean time_scale?",
        "default_settings: summary_freq: 'often' is not valid; it must be a whole number.",
        "Car: hyperparameters: wide: 'false' is not valid; it must be true or false.",
        "Car: hyperparameters: depth: 2.9 is not valid; it must be a whole number.",
        "Car: hyperparameters: kind: 'fest' is not valid; it must be one of fast, slow; did you mean fast?",
        "Car: network_settings: hidden_unit: 64 is not valid; hidden_unit is not a known key; did you mean "
        "hidden_units?",
        "Bus: max_steps: -5 is not valid; it must be greater than 0.",
        "Bus: reward_signals: {} is not valid; name at least one, such as extrinsic, or leave it out.",
    ]


@pytest.mark.parametrize("value", ["'false'", "n", "'yes please'", "1", "0", "1.0", "null", "[]", "''"])
def test_truth_value_is_a_boolean_of_yaml(value: str) -> None:
    """No word and no number is."""
    assert "hyperparameters: wide: " in one_fault(f"hyperparameters: {{wide: {value}}}")
    assert one_fault(f"threaded: {value}").endswith("it must be true or false.")


@pytest.mark.parametrize(
    "value", ["2.9", "true", "false", ".nan", ".inf", "'many'", "null", "[1]", "'0x10'", "'1e400'"]
)
def test_whole_number_is_whole(value: str) -> None:
    """Nothing is cut off, and no truth value is a number."""
    assert one_fault(f"hyperparameters: {{depth: {value}}}").endswith("it must be a whole number.")


@pytest.mark.parametrize("value", ["1e5", "1.0e5", "100000.0", "1.0e+5", "100_000"])
def test_whole_number_may_be_written_as_yaml_allows(value: str) -> None:
    """Of 1e5 and 1.0e5 YAML makes strings."""
    options = read(
        f"behaviors: {{Car: {{trainer_type: fake, max_steps: {value}, hyperparameters: {{depth: {value}}}}}}}"
    )
    depth = options.behaviors["Car"].hyperparameters.depth
    assert (depth, type(depth), options.behaviors["Car"].max_steps) == (100000, int, 100000)


@pytest.mark.parametrize("value", [".nan", "-.inf", "true", "'1e-3x'", "null", "{}"])
def test_number_is_finite_and_no_truth_value(value: str) -> None:
    """Also where none is a value."""
    assert one_fault(f"hyperparameters: {{learning_rate: {value}}}").endswith("it must be a number.")
    if value != "null":
        assert one_fault(f"hyperparameters: {{ratio: {value}}}").endswith("it must be a number.")


@pytest.mark.parametrize(
    ("behavior", "says"),
    [
        ("checkpoint_interval: 0", "checkpoint_interval: 0 is not valid; it must be greater than 0"),
        ("keep_checkpoints: 0", "keep_checkpoints: 0 is not valid; it must be greater than 0"),
        ("time_horizon: 1.5", "time_horizon: 1.5 is not valid; it must be a whole number"),
        ("init_path: 5", "init_path: 5 is not valid; it must be some text"),
        ("network_settings: {num_layers: 0}", "num_layers: 0 is not valid; it must lie between 1 and 1000"),
        ("network_settings: {vis_encode_type: resnt}", "did you mean resnet?"),
        ("network_settings: {goal_conditioning_type: true}", "it must be one of hyper, none"),
        (
            "network_settings: {memory: {memory_size: 7}}",
            "memory_size: 7 is not valid; it must be even and lie between 2 and 65536",
        ),
        ("network_settings: {memory: {memory_sise: 8}}", "did you mean memory_size?"),
        ("network_settings: {memory: 64}", "network_settings: memory: 64 is not valid; keys are expected under it"),
        (
            "network_settings: {memory: {sequence_length: 256}}",
            "sequence_length: 256 is not valid; it must not be larger than batch_size, which is 128",
        ),
        (
            "reward_signals: {extrinsic: {gamma: 1.1}}",
            "extrinsic: gamma: 1.1 is not valid; it must lie between 0.0 and",
        ),
        (
            "reward_signals: {curiosity: {strength: 0}}",
            "curiosity: strength: 0 is not valid; it must not be 0, by which",
        ),
        ("reward_signals: {extrinsic: {strenght: 1}}", "did you mean strength?"),
        (
            "reward_signals: {extrinsik: {}}",
            "it must be one of extrinsic, gail, curiosity, rnd; did you mean extrinsic?",
        ),
        ("reward_signals: {gail: {}}", "reward_signals: gail: demo_path is missing"),
        (
            "reward_signals: {rnd: {network_settings: {hidden_units: 0}}}",
            "rnd: network_settings: hidden_units: 0 is not",
        ),
        ("behavioral_cloning: {steps: 5}", "behavioral_cloning: demo_path is missing"),
        ("self_play: {play_against_latest_model_ratio: 2}", "it must lie between 0.0 and 1.0"),
        ("self_play: {windows: 5}", "did you mean window?"),
        ("hyperparameters: {gamma: 0.9}", "gamma is not a known key here; it belongs under reward_signals: extrinsic:"),
        ("hyperparameters: {max_steps: 5}", "it belongs beside trainer_type:"),
        ("learning_rate: 0.1", "it belongs under hyperparameters:"),
        ("normalize: true", "it belongs under network_settings:"),
        ("hyperparameters: {only_here: 5}", "only_here is not a known key; it is one of trainer_type: other"),
        ("hyperparameters: {keep_best: true}, self_play: {}", "keep_best: true is not valid; beside self_play"),
        ("hyperparameters: {batch_size: 9, buffer_size: 8}", "batch_size: 9 is not valid; it must not be larger than"),
        ("even_checkpoints: true, max_steps: 300, keep_checkpoints: 301", "keep_checkpoints: 301 is not valid; beside"),
        ("hyperparameters:", "hyperparameters: null is not valid; keys are expected under it"),
    ],
)
def test_fault_around_the_hyperparameters_is_named(behavior: str, says: str) -> None:
    """Every section that our trainers read."""
    assert says in one_fault(behavior)


@pytest.mark.parametrize("signal", ["extrinsic: {}", "curiosity: {encoding_size: 32}", "rnd: {gamma: 1}"])
def test_signals_without_keys_are_taken(signal: str) -> None:
    """An empty section is one of defaults."""
    (settings,) = read(f"behaviors: {{Car: {{trainer_type: fake, reward_signals: {{{signal}}}}}}}").behaviors.values()
    (found,) = settings.reward_signals.values()
    assert found.strength == 1.0
    assert found.network_settings.hidden_units == (32 if "encoding" in signal else 128)


def test_trainer_of_this_project_that_is_not_installed_is_no_typing_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """However near its name is to one that is installed, pqn to dqn for instance."""
    monkeypatch.setattr(published, "TRAINERS", {"fakes"})
    with pytest.raises(TrainerConfigError, match="fakes was found; install mlagents-plugin-fakes, which has it, into"):
        read("behaviors: {Car: {trainer_type: fakes}}")


@pytest.mark.parametrize("written", ["trainer_type: fak", "trainer_typ: fake"])
def test_faults_of_a_misspelt_trainer_are_named_too(written: str) -> None:
    """At once, and not after it has been put right."""
    first, *others = faults(f"behaviors: {{Car: {{{written}, max_steps: 30k, hyperparameters: {{kind: fest}}}}}}")
    assert "; did you mean " in first
    assert others == [
        "Car: max_steps: '30k' is not valid; it must be a whole number.",
        "Car: hyperparameters: kind: 'fest' is not valid; it must be one of fast, slow; did you mean fast?",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "behaviors: {Car: {trainer_type: fak}}",
            "Car: trainer_type: Invalid trainer type fak was found; did you mean",
        ),
        ("behaviors: {Car: {hyperparameters: {depth: 1}}}", "no trainer_type was given: one of "),
        (
            "behaviors: {Car: {trainertype: fake, hyperparameters: {depth: 1}}}",
            "Car: trainertype: 'fake' is not valid; trainertype is not a known key; did you mean trainer_type?",
        ),
        (
            "behaviours: {Car: {trainer_type: fake}}",
            "behaviours: {'Car': {'trainer_type': 'fake'}} is not valid; behaviours is not a known key; did you mean "
            "behaviors?",
        ),
        (
            "Car: {trainer_type: fake}",
            "Car: {'trainer_type': 'fake'} is not valid; it holds keys of a behavior: indent it under behaviors:.",
        ),
        (
            "behaviors: {Car: {trainer_type: fake}, network_settings: {hidden_units: 8}}",
            "behaviors: network_settings: {'hidden_units': 8} is not valid; network_settings is a key of a behavior: "
            "indent it, so that it stands under the behavior's name.",
        ),
        (
            "behaviors: {Car: {trainer_type: fake}, max_steps: 5}",
            "behaviors: max_steps: 5 is not valid; max_steps is a key of a behavior: indent it, so that it stands "
            "under the behavior's name.",
        ),
        ("behaviors: {Car: 5, Bus: {trainer_type: fake}}", "behaviors: Car: 5 is not valid; keys are expected"),
        ("behaviors: [Car]", "behaviors: ['Car'] is not valid; names of behaviors are expected"),
        ("{behaviors: {Car: {trainer_type: fake}}, torch_settings: {devic: cpu}}", "did you mean device?"),
        ("{behaviors: {Car: {trainer_type: fake}}, env_settings: {num_envs: two}}", "env_settings: num_envs: 'two'"),
        (
            "{behaviors: {Car: {trainer_type: fake}}, summary_freq: 5}",
            "summary_freq: 5 is not valid; summary_freq is not",
        ),
    ],
)
def test_fault_of_a_file_is_named(text: str, says: str) -> None:
    """What stands around the behaviours, and who reads them."""
    assert says in faults(text)[0]


@pytest.mark.parametrize(
    ("asked", "end"), [("car", "It has Car, Bus; write car in place of Car, if that was meant."), ("X", "Car, Bus.")]
)
def test_behaviour_that_the_file_does_not_name_is_refused_with_those_that_it_does(asked: str, end: str) -> None:
    """ML-Agents says only which one is missing."""
    options = read("behaviors: {Car: {trainer_type: fake}, Bus: {trainer_type: ppo}}")
    with pytest.raises(TrainerConfigError, match=f"^The behavior name {asked} has not been specified") as error:
        options.behaviors[asked]
    assert str(error.value).endswith(end)


# Remarks


def test_what_has_no_effect_is_one_warning_a_behaviour(caplog) -> None:
    """Keys of ML-Agents' trainers, an own key and a value that is far off; of two behaviours, two."""
    with caplog.at_level(logging.WARNING):
        read("""
behaviors:
  Car:
    trainer_type: fake
    hyperparameters: {kind: fast, depth: 3, epsilon: 0.2, tau: 0.1, num_epoch: 3}
    time_horizon: 1000
    even_checkpoints: true
    checkpoint_interval: 500
  Bus: {trainer_type: fake, hyperparameters: {beta: 0.1}}
""")
    assert [record.getMessage() for record in caplog.records] == [
        "Car: without effect for trainer_type fake: epsilon (a key of ppo, poca), tau (a key of sac), num_epoch (a key "
        "of ppo, poca), depth (kind is fast), checkpoint_interval (even_checkpoints sets it). Far from what fake "
        "needs: Too long.",
        "Bus: without effect for trainer_type fake: beta (a key of ppo, poca).",
    ]


def test_default_setting_is_named_only_if_no_behaviour_has_a_use_for_it(caplog) -> None:
    """It may be meant for another behaviour."""
    defaults = "default_settings: {trainer_type: fake, hyperparameters: {depth: 3}}\n"
    read(defaults + "behaviors: {Car: {hyperparameters: {kind: fast}}, Bus: {}}")
    assert caplog.text == ""
    for behaviors in (
        "{Car: {hyperparameters: {kind: fast}}}",
        "{Car: {hyperparameters: {kind: fast}}, Bus: {trainer_type: sac}}",
    ):
        caplog.clear()
        read(f"{defaults}behaviors: {behaviors}")
        assert [record.getMessage() for record in caplog.records] == [
            "default_settings: without effect for trainer_type fake: depth (kind is fast)."
        ]


def test_behaviour_with_the_default_settings_is_named(caplog) -> None:
    """ML-Agents makes its settings when the environment names it."""
    options = read("default_settings: {trainer_type: fake, hyperparameters: {depth: 3, kind: fast}}")
    assert options.behaviors["Car"].hyperparameters.depth == 3
    assert [record.getMessage() for record in caplog.records] == [
        "Car: without effect for trainer_type fake: depth (kind is fast)."
    ]


def test_every_hyperparameter_of_ml_agents_is_taken() -> None:
    """Found by the fields of its classes: a key of any of its trainers, with its default."""
    for trainer in ("ppo", "sac", "poca"):
        settings: Any = {key: value for key, value in RunOptions().as_dict().items() if key == "debug"}
        own = TrainerSettings(trainer_type=trainer).as_dict()
        own["trainer_type"] = "fake"
        settings["behaviors"] = {"Car": own}
        assert RunOptions.from_dict(settings).behaviors["Car"].trainer_type == "fake"


# Around the behaviours

CURRICULUM = """
behaviors: {{Car: {{trainer_type: fake, max_steps: 9000}}}}
environment_parameters:
  width: 3
  speed:
    curriculum:
      - {{name: slow, value: 1, completion_criteria: {{measure: {measure}, behavior: {behavior}, threshold: 0.5}}}}
      - {{name: fast, value: {value}}}
"""


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"measure": "rewardd"}, r"completion_criteria: measure: 'rewardd' is not valid; .*; did you mean reward\?"),
        ({"behavior": "Cart"}, "completion_criteria: behavior: 'Cart' is not valid; .*: Car."),
        (
            {"behavior": "Car, treshold: 1"},
            r"completion_criteria: treshold: 1 is not valid; .*did you mean threshold\?",
        ),
        ({"value": "{sampler_type: even, sampler_parameters: {}}"}, "value: sampler_type: 'even' is not valid; .*"),
        ({"value": "[1]"}, r"value: \[1\] is not valid; a number, or .*"),
        ({"value": "{sampler_type: uniform}"}, "value: sampler_parameters is missing; .*"),
        (
            {"value": "{sampler_type: uniform, sampler_parameters: {min_valu: 1}}"},
            r"value: sampler_parameters: min_valu: 1 is not valid; .*; did you mean min_value\?",
        ),
        (
            {"value": "{sampler_type: multirangeuniform, sampler_parameters: {intervals: [1, 2]}}"},
            r"value: sampler_parameters: intervals: \[1, 2\] is not valid; .*",
        ),
    ],
)
def test_environment_parameter_is_refused_by_name(changes: dict[str, str], fault: str) -> None:
    """What ML-Agents ends at with a traceback, and a lesson that could never be completed."""
    values = {"measure": "reward", "behavior": "Car", "value": "2", **changes}
    (line,) = faults(CURRICULUM.format(**values))
    lesson = 2 if "value" in changes else 1
    assert re.fullmatch(rf"environment_parameters: speed: curriculum: lesson {lesson}: {fault}", line)


def test_what_ml_agents_refuses_of_a_parameter_is_said_in_its_words() -> None:
    """A range upside down, and a lesson that ends never."""
    upside_down = "{sampler_type: uniform, sampler_parameters: {min_value: 2, max_value: 1}}"
    (line,) = faults(CURRICULUM.format(measure="reward", behavior="Car", value=upside_down))
    assert line.startswith("environment_parameters: speed: ")
    assert "Minimum value is greater than maximum value" in line


def test_former_key_is_named_with_what_took_its_place() -> None:
    """Files of the first releases."""
    assert one_fault("use_recurrent: true").endswith(
        "use_recurrent is a key of an earlier ML-Agents; in its place stands network_settings: memory."
    )
    (line,) = faults("{behaviors: {Car: {trainer_type: fake}}, parameter_randomization: {mass: 1}}")
    assert "in its place stands environment_parameters" in line


def test_lesson_may_wait_for_any_behaviour_beside_default_settings() -> None:
    """The control: the default settings stand for all that a file does not name."""
    text = CURRICULUM.format(measure="reward", behavior="Cart", value="2")
    options = read(f"default_settings: {{trainer_type: fake, max_steps: 9000}}{text}")
    assert list(options.environment_parameters) == ["width", "speed"]
    options = read(CURRICULUM.format(measure="reward", behavior="Car", value="2"))
    assert len(options.environment_parameters["speed"].curriculum) == 2


def test_default_settings_that_are_no_keys_are_refused_by_name() -> None:
    """As a list is none."""
    text = "{default_settings: [1], behaviors: {Car: {trainer_type: fake, max_steps: 9000}}}"
    assert faults(text) == ["default_settings: [1] is not valid; keys are expected under it."]


class Bare(ReplaySettings):
    """Lacks its decorator."""

    width: float = 1.0


@pytest.mark.parametrize("annotation", ["float", complex, dict, list, None])
def test_annotation_that_no_file_can_be_read_by_is_named(monkeypatch: pytest.MonkeyPatch, annotation: Any) -> None:
    """Class, field and remedy, also where the key is not written."""
    width = attr.ib(default=1.0, type=annotation)
    monkeypatch.setitem(all_trainer_settings, "fake", attr.make_class("Odd", {"width": width}, bases=(FakeSettings,)))
    (line,) = faults("behaviors: {Walker: {trainer_type: fake}}")
    assert ".Odd: width: " in line
    assert ("__future__" in line) == isinstance(annotation, str)


def test_settings_class_without_its_decorator_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its fields would be unknown keys, or missing; a class that adds none needs no decorator."""
    monkeypatch.setitem(all_trainer_settings, "fake", Bare)
    (line,) = faults("behaviors: {Walker: {trainer_type: fake}}")
    assert line.endswith(".Bare: its fields are not known; put @attr.s(auto_attribs=True) above the class.")
    monkeypatch.setitem(all_trainer_settings, "fake", type("Plain", (ReplaySettings,), {}))
    assert read("behaviors: {Walker: {trainer_type: fake}}")
