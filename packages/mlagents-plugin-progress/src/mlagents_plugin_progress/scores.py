"""Which of ML-Agents' statistics says how good a behaviour is: one definition for progress, curves and tables."""

from collections.abc import Mapping

REWARD = "Environment/Cumulative Reward"
"""Mean return of the episodes since the last summary, without what the group got."""

GROUP_REWARD = "Environment/Group Cumulative Reward"
"""Mean return that the groups got, of trainers that know groups."""

ELO = "Self-play/ELO"
"""Rating in self-play, where the mean return of both sides says little."""


def score_of(means: Mapping[str, float], *, self_play: bool = False) -> float | None:
    """The score of one summary: the Elo in self-play, otherwise the mean return, the group's included.

    Args:
        means: of the statistics of a summary, by tag.
        self_play: whether the behaviour plays against itself.

    Returns:
        None where no episode ended since the last summary.
    """
    if self_play and ELO in means:
        return means[ELO]
    if self_play or not (REWARD in means or GROUP_REWARD in means):
        return None
    return means.get(REWARD, 0.0) + means.get(GROUP_REWARD, 0.0)
