"""Writes configs/schema.json: the JSON Schema of the files in configs/, for editors and for the check of all of them.

It has ML-Agents' own trainers and those of this repository; `mlagents-doctor --schema` prints that of an environment.
"""

from generate_hyperparameters import trainers
from mlagents.plugins.trainer_type import get_default_trainer_types
from sources import ROOT

from mlagents_plugin_shared.doctor.schema import as_text, schema

FILE = ROOT / "configs" / "schema.json"


def page() -> str:
    """The text of the file."""
    _, settings = get_default_trainer_types()
    own = {each.name: each.settings for each in trainers()}
    return as_text(schema({**{name: settings[name] for name in ("ppo", "sac", "poca")}, **own}))


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
