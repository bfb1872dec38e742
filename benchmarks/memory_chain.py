"""How far back a recurrent PQN remembers, seed by seed: `nox -s bench -- memory_chain --seeds 101 102 103 104 105`.

A sign is shown at first and asked for at the end, as in bsuite's memory length (`MemoryChain` of
`mlagents_plugin_shared.testing`), to 32 agents. The figure is the share of right less wrong answers in the last 100
episodes, exploration included: 1 is perfect, 0 is chance. `--set network_settings.memory=null` is the control.
"""

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from _settings import assignments, changed

from mlagents_player.arguments import count
from mlagents_plugin_shared.testing import MemoryChain, train

AGENTS = 32
CONFIG: dict[str, Any] = {
    "trainer_type": "pqn",
    "max_steps": 100_000,
    "time_horizon": 128,
    "summary_freq": 10_000,
    "hyperparameters": {
        "learning_rate": 5e-4,
        "batch_size": 512,
        "buffer_size": 4096,
        "num_epoch": 16,
        "exploration_steps": 25_000,
        "exploration_final_eps": 0.01,
    },
    "network_settings": {
        "hidden_units": 128,
        "num_layers": 1,
        "memory": {"sequence_length": 128, "memory_size": 256},
    },
}


def remembered(length: int, seed: int, config: dict[str, Any]) -> tuple[float, float]:
    """Trains in this process, quietly.

    Args:
        length: steps from the sign to the question, both included.
        seed: of task and trainer.
        config: what stands below the behaviour's name in a YAML.

    Returns:
        Mean return of the last 100 episodes, and seconds of the processor.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    os.dup2(sys.stdout.fileno(), sys.stderr.fileno())
    env = MemoryChain(AGENTS, length=length, seed=seed)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        train(env, config, Path(folder), seed=seed)
    return float(np.mean(env.returns[-100:])), time.process_time() - began


def main() -> None:
    """Prints a line a training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=count, nargs="+", default=[20, 100], help="steps of an episode")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--set", dest="changes", nargs="+", default=[], metavar="KEY=VALUE", help="keys to change")
    arguments = parser.parse_args()
    config = changed(CONFIG, assignments(arguments.changes))
    for length, seed in product(arguments.lengths, arguments.seeds):
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            mean, seconds = process.submit(remembered, length, seed, config).result()
        print(f"{length} steps  seed {seed}: {mean:.3f}  ({seconds:.0f} s of the processor)", flush=True)


if __name__ == "__main__":
    main()
