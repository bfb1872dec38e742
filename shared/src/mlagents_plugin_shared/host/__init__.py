"""What has to be mended in ML-Agents (1.1.0) itself for a run to lose neither work nor time; it offers no hook for it.

Importing the package does it, for every trainer of the process. Each module mends one thing:

* `training_status`: `run_logs/training_status.json` is whole or absent, and a damaged one ends no run.
* `saving`: at the end of a run every behaviour is saved, even if one of them cannot be.
* `messages`: a player's message that cannot be used is an error which names the behaviour and the sensor.
* `waiting`: the trainer sleeps until a player has answered.
"""

from mlagents_plugin_shared.host import messages, saving, training_status, waiting

__all__ = ["messages", "saving", "training_status", "waiting"]
