"""Scenes of the player with other numbers of agents and larger observations."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlagents_player import BehaviorSpec, Scene, scenes, vector_observation
from mlagents_player.errors import PlayerError
from mlagents_player.scenes.base import Rows


class Variant(NamedTuple):
    """How a scene is to be played.

    Attributes:
        scene: of the player, or gym:ID.
        agents: in each copy of the scene; None: as many as it has.
        floats: that are observed beside what the scene shows.
    """

    scene: str
    agents: int | None = None
    floats: int = 0

    @property
    def name(self) -> str:
        """The name under which players find it."""
        return "-".join(map(str, self)).replace(":", "-")

    def load(self) -> type[Scene]:
        """The class of the scene.

        Raises:
            PlayerError: there is no such scene, or it cannot be played so.
        """
        found = scenes.load(self.scene)
        if self.floats:
            found = _with_floats(found, self.floats)
        if self.agents is None:
            return found
        if self.agents % found.agents_per_area:
            raise PlayerError(
                f"{self.scene} has {found.agents_per_area} agents an area: {self.agents} are not possible"
            )
        return type("Sized", (found,), {"areas": self.agents // found.agents_per_area})

    def install(self, folder: Path) -> None:
        """Makes it a scene like the others, for whoever has the folder on their path, and the one of this file too."""
        module = f"{Path(__file__).stem}_installed"
        source = f"from {Path(__file__).stem} import Variant\n\nVARIANT = Variant{tuple(self)!r}.load()\n"
        (folder / f"{module}.py").write_text(source, encoding="utf-8")
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[{scenes.GROUP}]\n{self.name} = {module}:VARIANT\n", encoding="utf-8")


def _with_floats(scene: type[Scene], floats: int) -> type[Scene]:
    """The same with zeros beside what is observed: messages, networks and replay do not know that they say nothing."""
    beside = vector_observation(floats, "Beside")

    class Wide(scene):  # type: ignore[valid-type, misc]
        behaviors = {  # noqa: RUF012
            name: BehaviorSpec([*spec.observation_specs, beside], spec.action_spec)
            for name, spec in scene.behaviors.items()
        }

        def observe(self, behavior: str, agents: Rows) -> list[np.ndarray]:
            return [*super().observe(behavior, agents), np.zeros((len(agents), floats), np.float32)]

    return Wide
