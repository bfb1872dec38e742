"""Models that come with the package: `TRAINER/SCENE/` holds one for each behaviour, its settings and its card."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from mlagents_player import scenes
from mlagents_player.errors import PlayerError

FOLDER = Path(__file__).parent


class Pretrained(NamedTuple):
    """A model, or one for each behaviour of a scene.

    Attributes:
        folder: with `<behaviour>.onnx`, `configuration.yaml` and `README.md`.
        scene: that it plays, by its name for `watch`.
    """

    folder: Path
    scene: str


def names() -> list[str]:
    """What there is, as `pqn/Hallway`."""
    folders = {model.parent for model in FOLDER.glob("*/*/*.onnx")}
    return sorted(folder.relative_to(FOLDER).as_posix() for folder in folders)


def find(name: str) -> Pretrained:
    """A model by its name.

    Args:
        name: `TRAINER/SCENE`.

    Raises:
        PlayerError: there is none of that name.
    """
    known = names()
    if name not in known:
        nearest = get_close_matches(name, known, n=1)
        hint = f"Did you mean {nearest[0]}?" if nearest else f"There are: {', '.join(known)}."
        raise PlayerError(f"There is no pretrained model {name}. {hint}")
    folder = FOLDER / name
    return Pretrained(folder, folder.name if folder.name in scenes.names() else scenes.GYMNASIUM + folder.name)
