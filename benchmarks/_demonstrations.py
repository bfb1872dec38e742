"""Demonstrations that configurations ask for, recorded by a model that comes with the player where there are none."""

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from mlagents_player.scenes import GYMNASIUM

FOLDER = Path(__file__).resolve().parents[1] / "results" / "demonstrations"
EPISODES = 100
MODEL = "pqn/{}"
"""Name of the pretrained model for a scene."""


def with_demonstrations(config: dict[str, Any], scene: str) -> dict[str, Any]:
    """A configuration whose `demo_path` of each behaviour is a file that is there.

    Args:
        config: `behaviors` and all else.
        scene: that the behaviours are of.
    """
    result = copy.deepcopy(config)
    for behavior in result["behaviors"].values():
        settings = behavior.get("hyperparameters", {})
        if "demo_path" in settings and not Path(settings["demo_path"]).exists():
            settings["demo_path"] = str(_recorded(scene.removeprefix(GYMNASIUM)))
    return result


def _recorded(scene: str) -> Path:
    """The file of a scene, whole or absent; always the same episodes."""
    file = FOLDER / f"{scene}.demo"
    if not file.is_file():
        FOLDER.mkdir(parents=True, exist_ok=True)
        unfinished = FOLDER / f"{scene}-{os.getpid()}.demo"
        command = [sys.executable, "-m", "mlagents_player", "watch", "--pretrained", MODEL.format(scene)]
        subprocess.run([*command, "--episodes", str(EPISODES), "--record", str(unfinished)], check=True)
        unfinished.replace(file)
    return file
