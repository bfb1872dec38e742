"""What has to be mended in ML-Agents (1.1.0) itself for a run to lose neither work nor time; it offers no hook for it.

Importing the package does it, for every trainer of the process. Each module mends one thing, `compiler` in PyTorch:

* `training_status`: `run_logs/training_status.json` is whole or absent, and a damaged one ends no run.
* `old_checkpoints`: an old checkpoint that cannot be deleted spoils no new one.
* `final_saving`: at the end every behaviour is saved, whatever fails; the reason stays, and no file is half written.
* `run_folder`: a start that is refused leaves no trace in the run's folder, and a run holds it.
* `reasons`: the reason of a run's end is the last line, without a traceback.
* `constructors`: a trainer whose constructor fails says why.
* `threads`: a trainer with `threaded: true` that fails ends the run.
* `agent_managers`: a trainer says what makes its trajectories.
* `arguments`: what cannot be done is refused before a run begins; `--base-port` holds without `--env` too.
* `players`: a player that ends with an error ends the run with its last words.
* `restarts`: a player that was started again has the sensors and actions that the run began with.
* `worker`: trainer, worker and player end together, also where one of them is killed.
* `demonstration_errors`: GAIL and behavioural cloning name a demonstration that they cannot use.
* `messages`: a player's message that cannot be used is an error which names the behaviour and the sensor.
* `event_files`: TensorBoard's files that cannot be written end no run.
* `executable`: what the run plays on is known.
* `stock_savers`: ML-Agents' own trainers export on every torch, into files that are whole or absent.
* `handover`: a player's messages pass from thread to thread as they are, and are not written and read once more.
* `waiting`: the trainer sleeps until a player has answered.
* `compiler`: PyTorch's compiler is not imported for gradient steps, in which it has no part.
* `written_settings`: settings are what the user wrote, and all faults of a file are named at once.
"""

from importlib import import_module

_MENDED = (
    "agent_managers",
    "arguments",
    "compiler",
    "constructors",
    "demonstration_errors",
    "event_files",
    "executable",
    "handover",
    "messages",
    "old_checkpoints",
    "players",
    "reasons",
    "restarts",
    "run_folder",
    "final_saving",
    "stock_savers",
    "threads",
    "training_status",
    "waiting",
    "worker",
    "written_settings",
)
for _name in _MENDED:
    import_module(f"{__name__}.{_name}")
