"""Demonstrations that configurations ask for, recorded by a model that comes with the player."""

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
    """A configuration in which each relative `demo_path` is that of episodes which are the same on every machine.

    Args:
        config: `behaviors` and all else.
        scene: that the behaviours are of.

    Raises:
        SystemExit: no model for the scene comes with the player.
    """
    result = copy.deepcopy(config)
    for behavior in result["behaviors"].values():
        settings = behavior.get("hyperparameters", {})
        if "demo_path" in settings and not Path(settings["demo_path"]).is_absolute():
            settings["demo_path"] = str(_recorded(scene.removeprefix(GYMNASIUM)))
    return result


def _recorded(scene: str) -> Path:
    """The file of a scene, whole or absent."""
    file = FOLDER / f"{scene}.demo"
    if not file.is_file():
        FOLDER.mkdir(parents=True, exist_ok=True)
        unfinished = FOLDER / f"{scene}-{os.getpid()}.demo"
        command = [sys.executable, "-m", "mlagents_player", "watch", "--pretrained", MODEL.format(scene)]
        if subprocess.run([*command, "--episodes", str(EPISODES), "--record", str(unfinished)]).returncode:
            sys.exit(f"{scene}: demo_path: it cannot be recorded; give the whole path of a file that is there")
        unfinished.replace(file)
    return file
