"""Actors on Ray for Unity ML-Agents' off-policy trainer plugins: `actors:` in the YAML.

Nothing here imports Ray before a run asks for actors.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlagents_plugin_shared.run.actor_settings import ActorSettings
    from mlagents_plugin_shared.run.experience_source import ExperienceSource


def note_run(options: Any) -> list:
    """Entry point of ML-Agents' group `mlagents.stats_writer`: notes the options of the run, and writes no statistics.

    It is the one documented hook at which ML-Agents hands out what `--env` and all other arguments were; trainers are
    told nothing of them.

    Args:
        options: ML-Agents' `RunOptions`.
    """
    from mlagents_plugin_ray import environments

    environments.noted_options = options
    return []


def create_source(settings: "ActorSettings") -> "ExperienceSource":
    """Entry point of `shared`'s group `mlagents_plugin_shared.experience_sources`.

    Args:
        settings: what stands under `actors:`.
    """
    from mlagents_plugin_ray.source import RaySource

    return RaySource(settings)
