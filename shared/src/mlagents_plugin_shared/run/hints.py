"""Commands for the user to type: each works as it stands, in the folder and with the Python that this process has."""

import sysconfig
from pathlib import Path

from mlagents_onnx_check.hints import callable_as


def script(name: str) -> str:
    """How a script of this environment is called from here: by its name where that finds it, or else by its path.

    Args:
        name: of the script.
    """
    return callable_as(name, Path(sysconfig.get_path("scripts")) / name)
