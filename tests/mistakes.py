"""A configuration with every section, and mistakes in it: what the schema and the doctor are to find."""

import copy
from typing import Any, NamedTuple

import yaml

RIGHT = """
default_settings:
  trainer_type: dqn
  hyperparameters: {learning_rate: 1.0e-3, n_step: 3}
  max_steps: 50000
behaviors:
  Car:
    trainer_type: dqn
    hyperparameters:
      batch_size: 64
      buffer_size: 10000
      tau: 0.01
      distribution: none
      exploration_final_eps: 0.01
      exploration_steps: 3000
    network_settings:
      normalize: false
      hidden_units: 64
      num_layers: 1
      vis_encode_type: simple
      memory: {sequence_length: 16, memory_size: 64}
    reward_signals:
      extrinsic: {gamma: 0.95, strength: 1.0}
      curiosity: {strength: 0.1, learning_rate: 3.0e-4, network_settings: {hidden_units: 32}}
    max_steps: 8000
    time_horizon: 10
    summary_freq: 1000
    keep_checkpoints: 5
  Walker:
    trainer_type: a2c
    hyperparameters: {buffer_size: 240, beta: 1.0e-3, lambd: 0.95, optimizer: adam}
    self_play: {save_steps: 20000, window: 10, play_against_latest_model_ratio: 0.5}
  Flyer:
    trainer_type: flashsac
    hyperparameters: {steps_per_update: 2, target_entropy_ratio: 0.1}
  Guard:
    trainer_type: ppo
    hyperparameters: {batch_size: 32, buffer_size: 256, epsilon: 0.2}
  Plain:
    hyperparameters: {batch_size: 32}
env_settings: {env_path: null, env_args: [--quick], num_envs: 1, base_port: 5005, seed: 1}
engine_settings: {time_scale: 20, no_graphics: true}
environment_parameters:
  mass:
    sampler_type: uniform
    sampler_parameters: {min_value: 0.5, max_value: 10}
  bins:
    sampler_type: multirangeuniform
    sampler_parameters: {intervals: [[0, 1], [2, 3]]}
  height: 2.5
  wall:
    curriculum:
      - name: low
        completion_criteria: {measure: progress, behavior: Car, min_lesson_length: 100, threshold: 0.1}
        value: {sampler_type: gaussian, sampler_parameters: {mean: 1, st_dev: 0.5}}
      - {name: high, value: 8.0}
checkpoint_settings: {run_id: mistakes, results_dir: results}
torch_settings: {device: cpu}
debug: false
"""
"""It is taken as it stands."""


class Mistake(NamedTuple):
    """A change of `RIGHT`.

    Attributes:
        path: of a key, or of what is to be one.
        value: what comes there, or one of the signs below.
        says: what the complaint must name; the last key of the path where it is empty.
    """

    path: str
    value: Any
    says: str = ""

    @property
    def key(self) -> str:
        """What the complaint must name."""
        return self.says or self.path.split("/")[-1]

    def text(self) -> str:
        """The file with the mistake."""
        whole = copy.deepcopy(yaml.safe_load(RIGHT))
        *parents, key = self.path.split("/")
        node = whole
        for parent in parents:
            node = node[int(parent) if parent.isdigit() else parent]
        if self.value is DELETED:
            del node[key]
        elif isinstance(self.value, Renamed):
            node[str(self.value)] = node.pop(key)
        else:
            node[key] = self.value
        return yaml.safe_dump(whole, sort_keys=False)


class Renamed(str):
    """Another name for a key."""


DELETED = object()

MISTAKES = [
    # Sections
    Mistake("behaviors", Renamed("behaviours"), "behaviours"),
    Mistake("behaviors", [1, 2]),
    Mistake("env_setings", {"num_envs": 2}),
    Mistake("debug", "maybe"),
    Mistake("parameter_randomization", {"mass": 1}),
    # Beside the trainer
    Mistake("behaviors/Car/trainer_type", "dqnn"),
    Mistake("behaviors/Car/max_stepz", 5),
    Mistake("behaviors/Car/max_steps", "many"),
    Mistake("behaviors/Car/max_steps", -8000),
    Mistake("behaviors/Car/time_horizon", 0),
    Mistake("behaviors/Car/summary_freq", 2.5),
    Mistake("behaviors/Car/keep_checkpoints", [5]),
    Mistake("behaviors/Car/threaded", "perhaps"),
    Mistake("behaviors/Car/learning_rate", 0.1),
    Mistake("behaviors/Car", 5),
    # Hyperparameters
    Mistake("behaviors/Car/hyperparameters/batch_siz", 64),
    Mistake("behaviors/Car/hyperparameters/batch_size", 0),
    Mistake("behaviors/Car/hyperparameters/tau", 1.5),
    Mistake("behaviors/Car/hyperparameters/distribution", "categorial"),
    Mistake("behaviors/Car/hyperparameters/n_step", "three"),
    Mistake("behaviors/Car/hyperparameters/max_steps", 5),
    Mistake("behaviors/Car/hyperparameters", None),
    Mistake("behaviors/Walker/hyperparameters/lambd", -0.1),
    Mistake("behaviors/Walker/hyperparameters/optimizer", "sgd"),
    Mistake("behaviors/Walker/hyperparameters/dueling", True),
    Mistake("behaviors/Flyer/hyperparameters/target_entropy_ratio", 2),
    Mistake("behaviors/Guard/hyperparameters/epsilonn", 0.2),
    Mistake("behaviors/Guard/hyperparameters/tau", 0.005),
    Mistake("behaviors/Plain/hyperparameters/batch_size", "big"),
    Mistake("default_settings/hyperparameters/learning_rate", 0),
    Mistake("default_settings/trainer_type", DELETED),
    # Networks, rewards, self-play
    Mistake("behaviors/Car/network_settings/hiden_units", 64),
    Mistake("behaviors/Car/network_settings/vis_encode_type", "huge"),
    Mistake("behaviors/Car/network_settings/memory/memory_size", 63),
    Mistake("behaviors/Car/reward_signals/extrinsik", {}),
    Mistake("behaviors/Car/reward_signals/extrinsic/gamma", 1.5),
    Mistake("behaviors/Car/reward_signals/gail", {"strength": 0.1}, "demo_path"),
    Mistake("behaviors/Car/behavioral_cloning", {"steps": 100}, "demo_path"),
    Mistake("behaviors/Walker/self_play/play_against_latest_model_ratio", 2),
    Mistake("behaviors/Walker/self_play/windows", 5),
    # The run
    Mistake("env_settings/num_env", 2),
    Mistake("env_settings/base_port", "five"),
    Mistake("engine_settings/time_scale", "fast"),
    Mistake("checkpoint_settings/resme", True),
    Mistake("checkpoint_settings/run_id", ""),
    Mistake("torch_settings/devise", "cpu"),
    # Environment parameters
    Mistake("environment_parameters/mass/sampler_type", "even"),
    Mistake("environment_parameters/mass/sampler_parameters/min_valu", 1),
    Mistake("environment_parameters/mass/sampler_parameters", DELETED),
    Mistake("environment_parameters/bins/sampler_parameters/intervals", [0, 1]),
    Mistake("environment_parameters/height", "tall"),
    Mistake("environment_parameters/wall/curriculum/0/completion_criteria/treshold", 0.1),
    Mistake("environment_parameters/wall/curriculum/0/completion_criteria/measure", "steps"),
    Mistake("environment_parameters/wall/curriculum/0/completion_criteria/behavior", DELETED),
    Mistake("environment_parameters/wall/curriculum/0/completion_criteria/behavior", ["Car"]),
    Mistake("environment_parameters/wall/curriculum/1/value", DELETED),
    Mistake("environment_parameters/wall/curriculum/1/name", [None]),
]
