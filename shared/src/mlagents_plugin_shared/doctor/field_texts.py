"""What each key of a YAML does, in a sentence: docstrings behind the fields, and a table for ML-Agents' own classes.

The tables of hyperparameters in the READMEs and the JSON Schema are made of it.
"""

import ast
import functools
import sys
from itertools import pairwise
from pathlib import Path

import attr
from mlagents.trainers import settings as host
from mlagents.trainers.poca.optimizer_torch import POCASettings
from mlagents.trainers.ppo.optimizer_torch import PPOSettings
from mlagents.trainers.sac.optimizer_torch import SACSettings

_SCHEDULE = "`constant`, or `linear` to nearly 0 at `max_steps`; by default as `learning_rate_schedule`."

_PPO = {
    "beta": "Weight of the entropy bonus. Low lets the policy settle soon; high keeps it random for longer.",
    "epsilon": "How far the policy may move in one rollout. Low is steadier; high learns faster.",
    "lambd": "λ of GAE. Low trusts the critic; high trusts the rewards.",
    "shared_critic": "One network body for policy and value.",
    "beta_schedule": _SCHEDULE,
    "epsilon_schedule": _SCHEDULE,
}

HOST_TEXTS: dict[type, dict[str, str]] = {
    host.HyperparamSettings: {
        "batch_size": "Experiences of an update. Low is fast and unsteady; high is steady and slow.",
        "buffer_size": "Experiences that are kept to learn from. Low forgets soon; high takes more memory.",
        "learning_rate": "Step size. Low learns slowly; high learns faster, then is unstable.",
        "learning_rate_schedule": "`constant`, or `linear` to 0 at `max_steps`.",
    },
    host.OnPolicyHyperparamSettings: {
        "num_epoch": "Passes over a rollout. Low is steadier; high learns more from each step.",
    },
    host.OffPolicyHyperparamSettings: {
        "buffer_init_steps": "Agent steps before the first update. Low starts from narrow data; high starts later.",
        "steps_per_update": "Agent steps to each update. Low learns more from each step; high takes less time.",
        "save_replay_buffer": "Keeps the replay with the checkpoint, so that `--resume` learns on at once.",
        "reward_signal_steps_per_update": "Agent steps to each update of curiosity, RND, GAIL. High updates them less.",
    },
    PPOSettings: _PPO,
    POCASettings: _PPO,
    SACSettings: {
        "tau": "How far the target network moves at each update. Low is more stable; high follows faster.",
        "init_entcoef": "What entropy counts at first. Low trusts the critic soon; high explores longer.",
    },
    host.TrainerSettings: {
        "trainer_type": "The algorithm: ML-Agents' own ppo, sac or poca, or that of an installed plugin.",
        "hyperparameters": "Keys of the algorithm.",
        "checkpoint_interval": "Agent steps between two checkpoints.",
        "network_settings": "The network of the policy.",
        "reward_signals": "What the agent learns from: the scene's own rewards, and those that are made for it.",
        "init_path": "A checkpoint whose networks the run begins with.",
        "keep_checkpoints": "How many checkpoints are kept; older ones are deleted.",
        "even_checkpoints": "Spreads the kept checkpoints over `max_steps`, in place of `checkpoint_interval`.",
        "max_steps": "Agent steps of the behavior after which its training ends, those of all agents together.",
        "time_horizon": "Most steps of an agent that come at a time. Low brings them soon; high whole episodes.",
        "summary_freq": "Agent steps between two reports of the mean reward.",
        "threaded": "Learns while the scene goes on; runs are then not reproducible.",
        "self_play": "Agents play against earlier selves.",
        "behavioral_cloning": "Imitates demonstrations, beside what is learned from rewards.",
    },
    host.NetworkSettings: {
        "normalize": "Scales vector observations by their running mean and deviation.",
        "hidden_units": "Width of the hidden layers. Low is fast; high can learn more.",
        "num_layers": "Number of hidden layers.",
        "vis_encode_type": "What reads pictures; `resnet` is the largest.",
        "memory": "A recurrent network, for scenes that do not show all that matters.",
        "goal_conditioning_type": "How a goal observation reaches the layers: `hyper` makes weights of it.",
        "deterministic": "Takes the most probable action in place of a random one.",
    },
    host.NetworkSettings.MemorySettings: {
        "sequence_length": "Steps through which it learns to remember. High reaches further back, and is slower.",
        "memory_size": "Numbers that are remembered; even.",
    },
    host.RewardSignalSettings: {
        "gamma": "What a reward counts one step later. Low is short-sighted; high looks further ahead.",
        "strength": "By what rewards of this signal are multiplied.",
        "network_settings": "The network of this signal.",
    },
    host.GAILSettings: {
        "learning_rate": "Step size of the discriminator.",
        "encoding_size": "The former name of `network_settings: hidden_units`.",
        "use_actions": "Compares actions too, and not only what is observed.",
        "use_vail": "Forces the discriminator to a general view, by a bottleneck.",
        "demo_path": "A `.demo` file, or a folder of them.",
    },
    host.CuriositySettings: {
        "learning_rate": "Step size of the models whose errors are the reward.",
        "encoding_size": "The former name of `network_settings: hidden_units`.",
    },
    host.RNDSettings: {
        "learning_rate": "Step size of the network that predicts the random one.",
        "encoding_size": "The former name of `network_settings: hidden_units`.",
    },
    host.SelfPlaySettings: {
        "save_steps": "Trainer steps between two snapshots of the policy, which become opponents.",
        "team_change": "Trainer steps after which another team learns.",
        "swap_steps": "Steps of the opponents between two changes of them.",
        "window": "How many snapshots opponents are drawn from. Low is a narrow choice; high has older, weaker ones.",
        "play_against_latest_model_ratio": "How often the opponent is the policy of now.",
        "initial_elo": "The rating that a run begins with.",
    },
    host.BehavioralCloningSettings: {
        "demo_path": "A `.demo` file, or a folder of them.",
        "steps": "Trainer steps over which the imitation fades out; 0 keeps it.",
        "strength": "Step size of the imitation, in parts of `learning_rate`.",
        "samples_per_update": "Most demonstrated steps of an update; 0 takes all.",
        "num_epoch": "Passes over them; by default that of the trainer.",
        "batch_size": "Demonstrated steps of a gradient step; by default that of the trainer.",
    },
    host.EnvironmentSettings: {
        "env_path": "The built player; without one the Unity Editor is waited for.",
        "env_args": "Arguments for the player.",
        "base_port": "The first port; each further player takes the next one.",
        "num_envs": "Players side by side.",
        "num_areas": "Copies of the training area in each player.",
        "timeout_wait": "Seconds to wait for a player.",
        "seed": "Seed of the run's random numbers.",
        "max_lifetime_restarts": "How often players may be started again in a run; -1 sets no bound.",
        "restarts_rate_limit_n": "How often within the period; -1 sets no bound.",
        "restarts_rate_limit_period_s": "That period, in seconds.",
    },
    host.EngineSettings: {
        "width": "Width of the player's window, in pixels.",
        "height": "Height of it, in pixels.",
        "quality_level": "Unity's quality level.",
        "time_scale": "How much faster than real time the scene runs.",
        "target_frame_rate": "Frames a second; -1 for as many as there can be.",
        "capture_frame_rate": "Frames of a second of the scene's time.",
        "no_graphics": "Starts players without graphics, where they have no cameras.",
        "no_graphics_monitor": "The same for all players but the first.",
    },
    host.CheckpointSettings: {
        "run_id": "Name of the run, and of its folder of results.",
        "initialize_from": "The run whose networks this one begins with.",
        "load_model": "The former name of `resume`.",
        "resume": "Goes on with the run of this name.",
        "force": "Overwrites the run of this name.",
        "train_model": "Without effect; ML-Agents keeps it for old files.",
        "inference": "Plays and does not learn.",
        "results_dir": "The folder that runs are written to.",
    },
    host.TorchSettings: {"device": "Where networks are computed: `cpu`, `cuda`, `cuda:0` ..."},
    host.ParameterRandomizationSettings: {"seed": "Seed of the sampler's random numbers; -1 takes that of the run."},
    host.ConstantSettings: {"value": "The value."},
    host.UniformSettings: {"min_value": "The least value.", "max_value": "The largest value."},
    host.GaussianSettings: {"mean": "The mean.", "st_dev": "The standard deviation."},
    host.MultiRangeUniformSettings: {"intervals": "Pairs of the least and the largest value of a range."},
    host.Lesson: {
        "value": "The value of the parameter in this lesson: a number or a sampler.",
        "name": "Name of the lesson, for reports.",
        "completion_criteria": "When the next lesson begins; the last lesson has none.",
    },
    host.CompletionCriteriaSettings: {
        "behavior": "The behavior whose progress counts.",
        "measure": "`reward`, or `progress`, the share of `max_steps`.",
        "min_lesson_length": "Least episodes of the lesson.",
        "signal_smoothing": "Takes three parts of the new measure and one of the former.",
        "threshold": "The measure that has to be passed.",
        "require_reset": "Waits for the scene's reset before the value changes.",
    },
    host.EnvironmentParameterSettings: {"curriculum": "The lessons, in order."},
    host.RunOptions: {
        "default_settings": "Keys that count for every behavior, under those of its own.",
        "behaviors": "The behaviors by name, as their agents have it in Behavior Parameters.",
        "env_settings": "The player and its workers.",
        "engine_settings": "How Unity runs.",
        "environment_parameters": "Values that the scene asks for: numbers, samplers or curricula.",
        "checkpoint_settings": "The run's name and folder, and what it begins with.",
        "torch_settings": "Where networks are computed.",
        "debug": "Logs more.",
    },
}
"""What the keys of ML-Agents' own classes do, which have no docstrings."""


def field_texts(class_type: type) -> dict[str, str]:
    """What each field of a settings class does, by key: its own words before those of its bases.

    Fields without words are missing.

    Args:
        class_type: an attrs class.
    """
    own: dict[str, str] = {}
    for ancestor in class_type.__mro__:
        own = {**own, **{key: text for key, text in _texts(ancestor).items() if key not in own}}
    inherited = {key: text for ancestor in reversed(class_type.__mro__) for key, text in _of_host(ancestor).items()}
    found = {**{key: text for key, text in sorted(inherited.items()) if key not in own}, **own}
    return {key: text for key, text in found.items() if key in attr.fields_dict(class_type)}


def _texts(ancestor: type) -> dict[str, str]:
    return docstrings(ancestor) if attr.has(ancestor) and ancestor not in HOST_TEXTS else {}


def _of_host(ancestor: type) -> dict[str, str]:
    return HOST_TEXTS.get(ancestor, {})


def docstrings(owner: type) -> dict[str, str]:
    """The docstrings behind the assignments in a class's body, by name and on one line; none where it has no source.

    Args:
        owner: the class.
    """
    body: list[ast.stmt] = _module_of(owner).body
    for name in owner.__qualname__.split("."):
        body = next((node.body for node in body if isinstance(node, ast.ClassDef) and node.name == name), [])
    found: dict[str, str] = {}
    for statement, following in pairwise(body):
        target: ast.expr | None = None
        if isinstance(statement, ast.AnnAssign):
            target = statement.target
        elif isinstance(statement, ast.Assign):
            target = statement.targets[0]
        text = following.value if isinstance(following, ast.Expr) else None
        if isinstance(text, ast.Constant) and isinstance(target, ast.Name):
            found[target.id] = " ".join(str(text.value).split())
    return found


def _module_of(owner: type) -> ast.Module:
    file = getattr(sys.modules.get(owner.__module__), "__file__", None)
    return _parsed(file) if file and Path(file).suffix == ".py" else ast.Module([], [])


@functools.cache
def _parsed(file: str) -> ast.Module:
    return ast.parse(Path(file).read_text(encoding="utf-8"))
