"""ML-Agents as it is without our plugins, in an environment that has them."""

import importlib.metadata
from typing import Any

OURS = "mlagents_plugin_"


def hide_plugins() -> None:
    """Leaves our plugins out of what ML-Agents will find; to be called before it looks for them."""
    found = importlib.metadata.entry_points

    def those_of_others(**selected: Any) -> Any:
        if selected:  # not ML-Agents, which takes all of them and chooses
            return found(**selected)
        by_group = found()
        others: Any = {
            group: [each for each in points if not each.value.startswith(OURS)] for group, points in by_group.items()
        }
        return type(by_group)(others)

    importlib.metadata.entry_points = those_of_others
