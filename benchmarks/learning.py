"""What a configuration learns, seed by seed: `nox -s bench -- learning configs/dqn/CartPole-v1.yaml`.

Trains in process on the Gymnasium environment that the file is named after, then plays 100 episodes with the final
policy, greedily. Every seed is reported, and the spread is that of the seeds. `--set` changes keys of the file:
`--set hyperparameters.n_step=1 max_steps=20000`.
"""

import argparse
import copy
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from _gym import learn


def changed(config: dict[str, Any], changes: list[str]) -> dict[str, Any]:
    """A configuration with some keys set, `a.b=value`."""
    result = copy.deepcopy(config)
    for change in changes:
        path, _, value = change.partition("=")
        *folders, key = path.split(".")
        inner = result
        for folder in folders:
            inner = inner.setdefault(folder, {})
        inner[key] = yaml.safe_load(value)
    return result


def main() -> None:
    """Prints a line a seed."""
    parser = argparse.ArgumentParser(description="Trains configurations on Gymnasium environments, seed by seed.")
    parser.add_argument("configs", type=Path, nargs="+", help="files named after an environment")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--agents", type=int, help="copies to train on; default: num_areas of the file")
    parser.add_argument("--episodes", type=int, default=100, help="episodes of the final policy")
    parser.add_argument("--set", dest="changes", nargs="+", default=[], metavar="KEY=VALUE", help="keys to change")
    parser.add_argument("--curve", action="store_true", help="also print the training returns along the run")
    arguments = parser.parse_args()
    for file in arguments.configs:
        content = yaml.safe_load(file.read_text("utf-8"))
        (config,) = content["behaviors"].values()
        config = changed(config, arguments.changes)
        agents = arguments.agents or content.get("env_settings", {}).get("num_areas", 1)
        means = []
        for seed in arguments.seeds:
            start = time.perf_counter()
            result = learn(file.stem, config, seed, num_agents=agents, episodes=arguments.episodes)
            means.append(result.returns.mean())
            taken = time.perf_counter() - start
            print(f"{file.stem} seed {seed}: {means[-1]:.1f} ± {result.returns.std():.1f}  ({taken:.0f} s)", flush=True)
            if arguments.curve:
                print("  " + " ".join(f"{step}:{value:.0f}" for step, value in result.curve), flush=True)
        print(
            f"{file.stem}: mean {np.mean(means):.1f}, spread {np.std(means):.1f}, least {min(means):.1f} "
            f"of {len(means)} seeds at {config['max_steps']:,} steps",
            flush=True,
        )


if __name__ == "__main__":
    main()
