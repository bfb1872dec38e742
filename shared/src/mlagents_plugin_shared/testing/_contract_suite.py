"""The tests that every trainer plugin has to pass. Only pytest imports this module, by `testing.contract`.

Each test has a control that must fail: a run that cannot learn, a blank sensor, a state that is not taken up, a model
that is told nothing of masks.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import attr
import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.stats import StatsReporter
from mlagents.trainers.trainer import Trainer
from mlagents_envs.base_env import ActionTuple, BehaviorSpec

from mlagents_plugin_shared.learning.networks import update_normalization
from mlagents_plugin_shared.run.chance import Chance
from mlagents_plugin_shared.run.checkpoints import CheckpointSaver
from mlagents_plugin_shared.testing.decisions import illegal_choices, masked_decisions, model_inputs
from mlagents_plugin_shared.testing.exports import SENSORS, ExportedModel
from mlagents_plugin_shared.testing.in_process import train
from mlagents_plugin_shared.testing.installed_plugin import ACTIONS, Plugin, Settings, merged
from mlagents_plugin_shared.testing.recordings import record
from mlagents_plugin_shared.testing.resuming import differences, killed_and_resumed
from mlagents_plugin_shared.testing.tasks import (
    Corridor,
    Crowd,
    Duel,
    Goal,
    MaskedGrid,
    Match,
    Mirror,
    Picture,
    Recall,
    Target,
)
from mlagents_plugin_shared.testing.toy_environment import BEHAVIOR, ToyEnv

AGENTS = 16
WINNING_CALL = 2
MEMORY: Settings = {"network_settings": {"memory": {"memory_size": 16, "sequence_length": 4}}}
SMALL_MEMORY: Settings = {"network_settings": {"memory": {"memory_size": 8, "sequence_length": 2}}}
SELF_PLAY: Settings = {"self_play": {"save_steps": 200, "swap_steps": 100, "team_change": 1000}}
DETERMINISTIC: Settings = {
    "network_settings": {"deterministic": True, "normalize": True, "hidden_units": 16, "num_layers": 1}
}


class Task(NamedTuple):
    """A toy task of the suite.

    Attributes:
        env: its class.
        kind: of its actions.
        enough: mean return of the last 100 episodes, exploration included, that counts as learned.
        options: of the class.
        unsolvable: options with which nobody can solve it, for want of what it shows or what it counts.
        settings: that the task needs.
    """

    env: type[ToyEnv]
    kind: str
    enough: float
    options: Mapping[str, Any] = MappingProxyType({})
    unsolvable: Mapping[str, Any] = MappingProxyType({})
    settings: Settings = MappingProxyType({})


TASKS: dict[str, Task] = {
    "corridor": Task(Corridor, "discrete", 0.6),
    "masks": Task(MaskedGrid, "discrete", 0.5),
    "branches": Task(Match, "discrete", 0.9, {"branches": (3, 3, 3, 2)}),
    "continuous": Task(Target, "continuous", 0.8),
    "hybrid": Task(Match, "hybrid", 0.75, {"continuous": True}),
    "fitting": Task(Mirror, "hybrid", 0.65, unsolvable={"apart": True}),
    "picture": Task(Picture, "discrete", 0.8, unsolvable={"blank": [0]}),
    "entities": Task(Crowd, "discrete", 0.8, unsolvable={"blank": [0]}),
    "goal": Task(Goal, "discrete", 0.8, unsolvable={"blank": [1]}),
    "memory": Task(Recall, "discrete", 0.7, settings=MEMORY),
}
REMEMBERING = ("memory",)
MASKING = ("masks",)
REWARD_SCALES = {"tiny rewards": 1e-3, "huge rewards": 1e3}
CIRCUMSTANCES = (
    *("many agents", "threaded", *REWARD_SCALES),
    *("curiosity", "rnd", "gail", "cloning", "everything", "everything, memory"),
)


def final_return(env: ToyEnv) -> float:
    """Mean of the last 100 episodes of training."""
    return float(np.mean(env.returns[-100:]))


class Export(NamedTuple):
    """A model that is compared with its policy.

    Attributes:
        kind: of the actions, a name in `ACTIONS`.
        sensors: a name in `SENSORS`.
        variant: of the hyperparameters.
    """

    kind: str
    sensors: str
    variant: str

    def __str__(self) -> str:
        """As in the name of a test."""
        return "-".join(self)


class Contract:
    """The suite; `contract` makes a class of it for a plugin, which pytest collects.

    Attributes:
        plugin: the plugin.
        tasks: changes of its settings by name of the task, or "self-play".
        variants: hyperparameters by name, each of which resumes, exports and keeps to masks.
        vanishing: hyperparameters with which nothing is learned.
        blind_steps: `max_steps` of the runs that must not learn.
    """

    plugin: Plugin
    tasks: Mapping[str, Settings]
    variants: Mapping[str, Settings]
    vanishing: Settings
    blind_steps: int

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Gives each test the cases that fit the plugin's kinds of actions."""
        for name, cases in self._cases().items():
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, cases, ids=str)

    def _cases(self) -> dict[str, list]:
        kinds = self.plugin.kinds
        tasks = [name for name, task in TASKS.items() if task.kind in kinds]
        broadest = self.plugin.broadest
        plain, *variants = self.variants
        return {
            "task": tasks,
            "unsolvable": [name for name in tasks if TASKS[name].unsolvable],
            "mask": [name for name in tasks if name in MASKING],
            "remembering": [name for name in tasks if name in REMEMBERING],
            "self_play": ["self-play"] if "discrete" in kinds else [],
            "masked": [kind for kind in kinds if ACTIONS[kind].discrete_size],
            "recurrent": [False, True],
            "variant": list(self.variants),
            "exported": [
                *(Export(kind, "vector", plain) for kind in kinds),
                *(Export(broadest, sensors, plain) for sensors in SENSORS if sensors != "vector"),
                *(Export(broadest, "everything", variant) for variant in variants),
            ],
            "circumstance": [*CIRCUMSTANCES],
            "key": list(attr.fields_dict(self.plugin.settings_class)),
        }

    def _config(self, *changes: Settings) -> dict[str, Any]:
        return self.plugin.config(*changes)

    def _task_config(self, name: str, *changes: Settings) -> dict[str, Any]:
        settings = TASKS[name].settings if name in TASKS else {}
        return self._config(settings, self.tasks.get(name, {}), *changes)

    def _cannot_learn(self, name: str, settings: Settings, folder: Path, **options: Any) -> list[float]:
        """Returns of runs that must fail: a network in three is born to solve a small task, but not each of three."""
        task = TASKS[name]
        reached: list[float] = []
        while len(reached) < 3 and (not reached or min(reached) >= task.enough):
            env = task.env(AGENTS, **task.options, **options)
            train(env, settings, folder / str(len(reached)), seed=len(reached))
            reached.append(final_return(env))
        return reached

    # Learning

    def test_learns(self, tmp_path: Path, task: str) -> None:
        """Every task that fits its kinds of actions, without an illegal action."""
        env = TASKS[task].env(AGENTS, **TASKS[task].options)
        train(env, self._task_config(task), tmp_path)
        print(f"{task}: {final_return(env):.3f} over the last 100 of {len(env.returns)} episodes")
        assert final_return(env) >= TASKS[task].enough
        assert env.illegal_actions == 0

    def test_does_not_learn_with_a_vanishing_learning_rate(self, tmp_path: Path, task: str) -> None:
        """The control: what reaches the bounds is learning."""
        settings = self._task_config(task, {"max_steps": self.blind_steps, "hyperparameters": self.vanishing})
        assert min(self._cannot_learn(task, settings, tmp_path)) < TASKS[task].enough

    def test_needs_the_masks(self, tmp_path: Path, mask: str) -> None:
        """The control of masks: where the trainer is not told of them, illegal actions end its episodes."""
        env = TASKS[mask].env(AGENTS, hides_masks=True)
        train(env, self._task_config(mask, {"max_steps": self.blind_steps}), tmp_path)
        assert final_return(env) < TASKS[mask].enough
        assert env.illegal_actions > 100

    def test_does_not_learn_what_nobody_can(self, tmp_path: Path, unsolvable: str) -> None:
        """The control of sensors, where the one that matters is blank, and of actions that fit, where none has to."""
        settings = self._task_config(unsolvable, {"max_steps": self.blind_steps})
        task = TASKS[unsolvable]
        assert min(self._cannot_learn(unsolvable, settings, tmp_path, **task.unsolvable)) < task.enough

    def test_does_not_remember_without_memory(self, tmp_path: Path, remembering: str) -> None:
        """The control of memory."""
        settings = self._task_config(remembering, {"network_settings": {"memory": None}, "max_steps": self.blind_steps})
        assert min(self._cannot_learn(remembering, settings, tmp_path)) < TASKS[remembering].enough

    def test_learns_by_self_play(self, tmp_path: Path, self_play: str) -> None:
        """Both teams act, and the policy comes to call the winning number; the control calls what it was born with."""
        settings = self._task_config(self_play, SELF_PLAY)
        assert _share_of_winning_calls(self._inferred_duel(settings, tmp_path / "learns")) > 0.8
        still = merged(settings, {"max_steps": self.blind_steps, "hyperparameters": self.vanishing})
        shares = [_share_of_winning_calls(self._inferred_duel(still, tmp_path / str(seed), seed)) for seed in (0, 1)]
        assert min(shares) < 0.8

    def _inferred_duel(self, settings: Settings, folder: Path, seed: int = 0) -> Trainer:
        train(Duel(), settings, folder, seed=seed)
        return train(Duel(max_steps=1), settings, folder, resume=True, inference=True)

    # Resuming

    def test_resumes_bit_for_bit(
        self, tmp_path: Path, variant: str, recurrent: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is killed and resumed ends as what was not: networks, moments, experience and generators."""
        if variant != next(iter(self.variants)):  # exports take most of the time; that they do nothing is seen once
            monkeypatch.setattr(CheckpointSaver, "export", lambda self, path, name: Path(f"{path}.onnx").touch())
        whole, resumed = self._killed_and_resumed(tmp_path, variant, recurrent)
        assert differences(whole, resumed) == []

    def test_resumes_intrinsic_rewards_bit_for_bit(self, tmp_path: Path) -> None:
        """Curiosity and RND go on with their networks and moments, and give rewards from the first batch on.

        In which order a file names reward signals means nothing: it is another one when the run is resumed.
        """
        signals = {"extrinsic": {}, "curiosity": {"strength": 0.1}, "rnd": {"strength": 0.1}}
        turned = dict(reversed(signals.items()))
        whole, resumed = self._killed_and_resumed(
            tmp_path, next(iter(self.variants)), False, {"reward_signals": signals}, resumed={"reward_signals": turned}
        )
        assert differences(whole, resumed) == []

    def test_that_forgets_its_chance_differs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The control: what is not taken up shows in the weights."""
        monkeypatch.setattr(Chance, "load_state_dict", lambda self, state: None)
        whole, resumed = self._killed_and_resumed(tmp_path, next(iter(self.variants)), False)
        assert any(name.startswith("/Policy/") for name in differences(whole, resumed))

    def test_resumes_imitation_at_its_rate(self, tmp_path: Path) -> None:
        """Behavioural cloning that has faded out stays so."""
        task, options = self._small_task()
        demo = record(task(1, **options), _expert(task, options), tmp_path / "expert.demo", decisions=40)
        cloning, _ = _circumstance("cloning", demo)
        settings = self._config(cloning, {"behavioral_cloning": {"steps": 10}, "max_steps": 100})
        first = train(task(**options), settings, tmp_path)
        resumed = train(task(**options), {**settings, "max_steps": 150}, tmp_path, resume=True)
        assert first.optimizer.bc_module.has_updated  # the control
        assert not resumed.optimizer.bc_module.has_updated

    def _killed_and_resumed(
        self, folder: Path, variant: str, recurrent: bool, *changes: Settings, resumed: Settings | None = None
    ) -> tuple[Trainer, Trainer]:
        """A run of 240 steps with a checkpoint at 130, whose buffer is small; `resumed` are changes for its rest."""
        hyperparameters = {**self._config().get("hyperparameters", {}), **self.variants[variant]}
        small: dict[str, Any] = {"buffer_size": 50}
        if self.plugin.is_off_policy:
            small = {"buffer_size": 150, "steps_per_update": 6, "save_replay_buffer": True}
        if "batch_size" in hyperparameters or self.plugin.is_off_policy:
            small["batch_size"] = min(hyperparameters.get("batch_size", 32), 32)
        settings = self._config(
            {"hyperparameters": {**hyperparameters, **small}},
            {"max_steps": 240, "checkpoint_interval": 130, "network_settings": {"normalize": True}},
            SMALL_MEMORY if recurrent else {},
            *changes,
        )
        task, options = self._small_task(recurrent)
        return killed_and_resumed(task, settings, folder, resumed_config={**settings, **(resumed or {})}, **options)

    def _small_task(self, recurrent: bool = False) -> tuple[type[ToyEnv], dict[str, Any]]:
        """A task whose episodes all begin together, with as many kinds of actions as the plugin accepts."""
        if self.plugin.broadest == "continuous":
            return Target, {}
        if recurrent and "discrete" in self.plugin.kinds:
            return Recall, {}
        return Match, {"continuous": self.plugin.broadest == "hybrid"}

    def test_infers_without_learning(self, tmp_path: Path) -> None:
        """The weights stay, and no file is written."""
        task, options = self._small_task()
        settings = self._config({"max_steps": 300, "checkpoint_interval": 100})
        first = train(task(**options), settings, tmp_path)
        files = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.pt")}
        second = train(task(max_steps=100, **options), settings, tmp_path, resume=True, inference=True)
        for before, after in zip(first.policy.actor.parameters(), second.policy.actor.parameters(), strict=True):
            assert torch.equal(before, after)
        assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.pt")} == files

    # Exports

    def test_exports_what_it_plays(self, tmp_path: Path, exported: Export, recurrent: bool) -> None:
        """100 agents act for 5 steps under random masks, each with its memory: the model chooses as the policy does."""
        actions = ACTIONS[exported.kind]
        spec = BehaviorSpec(SENSORS[exported.sensors], actions)
        memory = SMALL_MEMORY if recurrent else {}  # its cells are larger than 1, and so is what is rounded
        made = self.plugin.trainer(spec, DETERMINISTIC, memory, {"hyperparameters": self.variants[exported.variant]})
        _stir(made)
        model = _exported(made, tmp_path)
        rng, memories = np.random.default_rng(0), None
        for _ in range(5):
            steps = masked_decisions(spec, 100, rng)
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # which rounds to three digits
                taken = made.policy.get_action(steps)
            found = model.act(steps)
            if actions.continuous_size:
                np.testing.assert_allclose(
                    found["deterministic_continuous_actions"], taken.env_action.continuous, rtol=0, atol=1e-5
                )
            if actions.discrete_size:
                np.testing.assert_array_equal(found["deterministic_discrete_actions"], taken.env_action.discrete)
            if recurrent:
                memories = found["recurrent_out"][:, 0]
                np.testing.assert_allclose(memories, taken.outputs["memory_out"], rtol=1e-4, atol=3e-5)
        assert memories is None or memories.std() > 0

    def test_keeps_to_masks(self, tmp_path: Path, masked: str, variant: str) -> None:
        """None of 20,000 decisions under random masks is illegal, neither as it explores nor as it is exported."""
        spec = BehaviorSpec(SENSORS["vector"], ACTIONS[masked])
        made = self.plugin.trainer(spec, {"hyperparameters": self.variants[variant]})
        _stir(made)
        steps = masked_decisions(spec, 20_000, np.random.default_rng(0), scale=10.0)
        assert illegal_choices(steps, made.policy.get_action(steps).env_action.discrete) == 0
        model = _exported(made, tmp_path)
        for name in ("discrete_actions", "deterministic_discrete_actions"):
            assert illegal_choices(steps, model.run(model_inputs(steps))[name]) == 0
        # The control: told that all actions are legal, the same model breaks the masks.
        unmasked = {**model_inputs(steps), "action_masks": np.ones_like(model_inputs(steps)["action_masks"])}
        assert illegal_choices(steps, model.run(unmasked)["deterministic_discrete_actions"]) > 1000

    # What users combine

    def test_survives(self, tmp_path: Path, circumstance: str) -> None:
        """A run to its end with updates and finite weights, whose model can be resumed; signals have learned, too."""
        task, options = self._small_task()
        demo = record(task(1, **options), _expert(task, options), tmp_path / "expert.demo", decisions=100)
        changes, expected = _circumstance(circumstance, demo)
        few_updates = {"hyperparameters": {"steps_per_update": 6}} if self.plugin.is_off_policy else {}
        settings = self._config({"max_steps": 300, "summary_freq": 10_000}, few_updates, changes)
        StatsReporter.stats_dict.pop(BEHAVIOR, None)
        env = task(
            100 if circumstance == "many agents" else 4, reward_scale=REWARD_SCALES.get(circumstance, 1.0), **options
        )
        trained = train(env, settings, tmp_path / "run")
        losses = {name for name in StatsReporter.stats_dict[BEHAVIOR] if name.startswith("Losses/")}
        assert losses >= expected
        assert len(losses) > len(expected)
        assert trained.optimizer.guard.skipped == 0
        assert all(torch.isfinite(weight).all() for weight in trained.policy.actor.parameters())
        again = train(task(4, **options), {**settings, "max_steps": 350}, tmp_path / "run", resume=True)
        assert again.get_step >= 350

    # Bad settings

    def test_refuses_a_misspelt_key(self) -> None:
        """By the behaviour's name and the key."""
        with pytest.raises(TrainerConfigError, match="learning_rte") as refused:
            self.plugin.read({"hyperparameters": {"learning_rte": 1e-3}})
        assert str(refused.value).startswith(f"{BEHAVIOR}: ")

    def test_refuses_what_is_no_value_of_a_key(self, key: str) -> None:
        """A list, which no hyperparameter is: behaviour, key and value are named in one line."""
        with pytest.raises(TrainerConfigError, match=key) as refused:
            self.plugin.read({"hyperparameters": {key: ["nonsense"]}})
        _is_one_line_about(refused.value, key, "nonsense")

    @pytest.mark.parametrize(
        ("out_of_range", "value"), [("learning_rate", -0.5), ("batch_size", 0), ("buffer_size", 0)]
    )
    def test_refuses_what_is_out_of_range(self, out_of_range: str, value: float) -> None:
        """The keys that all algorithms have; the control is read without a word."""
        with pytest.raises(TrainerConfigError, match=out_of_range) as refused:
            self.plugin.read({"hyperparameters": {out_of_range: value}})
        _is_one_line_about(refused.value, out_of_range, str(value))
        assert self.plugin.read().trainer_type == self.plugin.trainer_type

    def test_is_registered_as_it_says(self) -> None:
        """`get_trainer_name` is the name under which ML-Agents finds it."""
        assert self.plugin.trainer_class.get_trainer_name() == self.plugin.trainer_type


def make(trainer_type: str, settings: Settings, *, tasks: Mapping[str, Settings], **attributes: Any) -> type[Contract]:
    """The suite for a plugin; see `testing.contract` for the arguments.

    Raises:
        ValueError: no such plugin is installed, or a task is not known.
    """
    if unknown := tasks.keys() - {*TASKS, "self-play"}:
        raise ValueError(f"no task is named {', '.join(sorted(unknown))}; there are {', '.join(TASKS)} and self-play")
    plugin = Plugin(trainer_type, settings)
    return type(f"Contract_{trainer_type}", (Contract,), {"plugin": plugin, "tasks": tasks, **attributes})


def _circumstance(name: str, demo: str) -> tuple[dict[str, Any], set[str]]:
    """Settings of a circumstance, and the losses that are reported in it beside those of the algorithm."""
    gail = {"strength": 0.1, "demo_path": demo, "use_actions": True}
    signals: dict[str, tuple[dict, set[str]]] = {
        "curiosity": ({"curiosity": {"strength": 0.01}}, {"Losses/Curiosity Forward Loss"}),
        "rnd": ({"rnd": {"strength": 0.01, "gamma": 0.8}}, {"Losses/RND Loss"}),
        "gail": ({"gail": gail}, {"Losses/GAIL Loss"}),
    }
    one_batch = {"batch_size": 32, "samples_per_update": 32, "num_epoch": 1}
    cloning = {"behavioral_cloning": {"demo_path": demo, "steps": 10_000, "strength": 0.5, **one_batch}}
    chosen = [name] if name in signals else list(signals) if name.startswith("everything") else []
    changes: dict[str, Any] = {"threaded": name == "threaded"}
    expected = set().union(*(signals[each][1] for each in chosen))
    if chosen:
        changes["reward_signals"] = {"extrinsic": {}, **{k: v for each in chosen for k, v in signals[each][0].items()}}
    if name == "cloning" or name.startswith("everything"):
        changes.update(cloning)
        expected.add("Losses/Pretraining Loss")
    return merged(changes, MEMORY if name.endswith("memory") else {}), expected


def _expert(task: type[ToyEnv], options: Mapping[str, Any]) -> Any:
    """The best action in `Target` or `Match`, by what is seen."""
    if task is Target:
        return lambda seen: ActionTuple(continuous=seen[None, :1])
    branches = task(1, **options).action_spec.discrete_branches

    def match(seen: np.ndarray) -> ActionTuple:
        one_hot = np.split(seen[:-1], np.cumsum(branches)[:-1])
        number = seen[None, -1:] if options.get("continuous") else np.zeros((1, 0), np.float32)
        return ActionTuple(number, np.array([[each.argmax() for each in one_hot]], np.int32))

    return match


def _stir(trainer: Trainer) -> None:
    """Gives a policy other weights than its first ones, so that it tells states apart, and a normalisation."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in trainer.policy.actor.parameters():
            if weight.requires_grad:  # the others are what a model tells Unity
                noise = torch.randn(weight.shape, device="cpu").to(weight)  # on a GPU the same
                weight.add_(noise * weight.std(unbiased=False).clamp(min=0.1))
    if trainer.policy.normalize:
        seen = masked_decisions(trainer.policy.behavior_spec, 50, np.random.default_rng(9), scale=2.0)
        for body in trainer.optimizer.network_bodies:
            update_normalization(body, [rows + 1.0 for rows in seen.obs])


def _exported(trainer: Trainer, folder: Path) -> ExportedModel:
    """The policy's model, which Unity would accept."""
    exporter = trainer.model_saver.exporter
    exporter.export_policy_model(str(folder / BEHAVIOR))
    path = folder / f"{BEHAVIOR}.onnx"
    assert exporter.check(path).findings == []
    return ExportedModel(path)


def _share_of_winning_calls(trainer: Any) -> float:
    """How often the policy of team 0 calls the highest number, as it is played."""
    duel = Duel(num_agents=200)
    duel.reset()
    team = f"{BEHAVIOR}?team=0"
    calls = trainer.policies[team].get_action(duel.get_steps(team)[0]).env_action.discrete
    return float((calls == WINNING_CALL).mean())


def _is_one_line_about(error: Exception, key: str, value: str) -> None:
    text = str(error)
    assert text.startswith(f"{BEHAVIOR}: ")
    assert key in text
    assert value in text
    assert "\n" not in text
