"""What a run is for: ending where the policy is good enough, and keeping the best one. Both go by the same mean."""

from typing import Any

from mlagents_envs.logging_util import get_logger

from mlagents_plugin_shared.run.settings import CheckedSettings

logger = get_logger(__name__)


class Goals:
    """`stop_at_reward` and `keep_best` of the settings.

    Attributes:
        is_reached: whether the mean return was at `stop_at_reward` once.
        best: highest mean return of a policy that was kept; None before the first.

    Args:
        behavior: name of the behaviour, for messages.
        settings: hyperparameters.
    """

    def __init__(self, behavior: str, settings: CheckedSettings) -> None:
        self.is_reached = False
        self.best: float | None = None
        self._behavior = behavior
        self._settings = settings

    def notice(self, mean: float | None, step: int) -> bool:
        """Whether `stop_at_reward` has just been reached.

        Args:
            mean: mean return of a full window of episodes, None before.
            step: of the trainer.
        """
        goal = self._settings.stop_at_reward
        if self.is_reached or goal is None or mean is None or mean < goal:
            return False
        self.is_reached = True
        logger.info(
            f"{self._behavior}: mean reward {mean:.3f} over {self._settings.reward_window} episodes reaches "
            f"stop_at_reward {goal} at step {step}: it has learned enough."
        )
        return True

    def is_best(self, mean: float | None) -> bool:
        """Whether a policy of this mean return is to be kept: `keep_best` is set, and none was better.

        Args:
            mean: mean return of a full window of episodes, None before.
        """
        return self._settings.keep_best and mean is not None and (self.best is None or mean > self.best)

    def state_dict(self) -> dict[str, Any]:
        """The best mean return; whether a goal is reached follows from the settings of the run that resumes."""
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave."""
        self.best = state["best"]
