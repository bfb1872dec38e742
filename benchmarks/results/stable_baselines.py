"""Algorithms of Stable-Baselines3 and sb3-contrib, with the values of the RL Zoo, on Gymnasium environments."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
import sb3_contrib
import stable_baselines3
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import set_num_threads

from mlagents_player.scenes import GYMNASIUM
from results.learners import POINTS, Kinds, Play
from results.records import Played
from results.suites import STABLE_BASELINES, Training

if TYPE_CHECKING:
    from results.training import Journal

EVALUATED = 20
"""Copies that a trained model plays in."""


def learn(training: Training, folder: Path, journal: "Journal") -> Play:
    """Trains to the end; a killed training begins anew.

    Args:
        training: what to train; its configuration is an entry of peers/stable_baselines3.yaml.
        folder: not used.
        journal: takes the mean returns.
    """
    set_num_threads(1)
    stem = training.scene.removeprefix(GYMNASIUM)
    settings = {key: _rate(value) for key, value in copy.deepcopy(training.config).items()}
    steps, copies = int(float(settings.pop("steps"))), settings.pop("copies", 1)
    normalization = settings.pop("normalize", None)
    env: VecEnv = make_vec_env(lambda: gymnasium.make(stem), n_envs=copies, seed=training.seed)
    if normalization is not None:
        env = VecNormalize(env, gamma=settings.get("gamma", 0.99), **normalization)
    journal.begin_anew()
    model = _algorithm(training.learner)("MlpPolicy", env, seed=training.seed, device="cpu", **settings)
    model.learn(steps, callback=_Note(journal, stem, steps // POINTS))

    def play() -> dict[str, Kinds]:
        starts = make_vec_env(lambda: gymnasium.make(stem), n_envs=EVALUATED, seed=1_000_000 + training.seed)
        drawn = _play(model, env, starts, training.episodes, deterministic=False)
        greedy = _play(model, env, starts, training.episodes, deterministic=True)
        return {stem: {"default": drawn, "greedy": greedy}}

    return play


class _Note(BaseCallback):
    """Hands the mean return of the episodes of each stretch on."""

    def __init__(self, journal: "Journal", behavior: str, stretch: int) -> None:
        super().__init__()
        self.journal, self.behavior, self.stretch = journal, behavior, stretch
        self.returns: list[float] = []
        self.due = stretch

    def _on_step(self) -> bool:
        self.returns += [info["episode"]["r"] for info in self.locals["infos"] if "episode" in info]
        if self.num_timesteps >= self.due:
            self.due += self.stretch
            if self.returns:
                self.journal.note(self.behavior, self.num_timesteps, float(np.mean(self.returns)))
            self.returns.clear()
        return True


def _algorithm(learner: str) -> Any:
    name = learner.removeprefix(STABLE_BASELINES).upper()
    return getattr(stable_baselines3, name, None) or getattr(sb3_contrib, name)


def _rate(value: Any) -> Any:
    """`lin_7e-4`, as the Zoo writes it: a rate that falls to 0 with the share of the steps that remain."""
    if not (isinstance(value, str) and value.startswith("lin_")):
        return value
    initial = float(value.removeprefix("lin_"))
    falling: Callable[[float], float] = lambda remaining: remaining * initial  # noqa: E731 - a value, not a function
    return falling


def _play(model: Any, trained_on: VecEnv, env: VecEnv, episodes: int, *, deterministic: bool) -> Played:
    """Returns of a model's episodes; every copy plays as many, since the first to end are the short ones."""
    if isinstance(trained_on, VecNormalize):
        env = VecNormalize(env, training=False, norm_reward=False, norm_obs=trained_on.norm_obs)
        env.obs_rms = trained_on.obs_rms
    returns, _ = evaluate_policy(model, env, episodes, deterministic, return_episode_rewards=True)
    values = np.array(returns)
    mean, std, least, most = (float(value) for value in (values.mean(), values.std(), values.min(), values.max()))
    return Played(mean, std, least, most, len(values))
