"""What a configuration learns, seed by seed: `nox -s bench -- learning configs/dqn/CartPole-v1.yaml`.

Trains in process on the player's scene or the Gymnasium environment that the file is named after, then plays 100
episodes with the final policy: in Gymnasium greedily, in a scene with the exported models and the outputs that Unity
takes by default, the stochastic ones. Demonstrations that a file asks for are recorded. Every seed is
reported, and the spread is that of the seeds. `--set` changes keys of the file:
`--set hyperparameters.n_step=1 max_steps=20000`.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import _gym
import _in_process
import numpy as np
import yaml
from _demonstrations import with_demonstrations
from _settings import assignments, changed

from mlagents_player import scenes
from mlagents_player.arguments import count


def learn(name: str, config: dict[str, Any], seed: int, areas: int, episodes: int) -> dict[str, _in_process.Learned]:
    """What came of each behaviour."""
    if name in scenes.names():
        return _in_process.learn(name, config, seed, num_areas=areas, episodes=episodes)
    (behavior,) = config["behaviors"].values()
    return {name: _gym.learn(name, behavior, seed, num_agents=areas, episodes=episodes)}


def main() -> None:
    """Prints a line a seed and behaviour."""
    parser = argparse.ArgumentParser(description="Trains configurations on scenes and environments, seed by seed.")
    parser.add_argument("configs", type=Path, nargs="+", help="files named after a scene or an environment")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--areas", type=count, help="copies to train on; default: num_areas of the file")
    parser.add_argument("--episodes", type=count, default=100, help="episodes of the final policy")
    parser.add_argument("--set", dest="changes", nargs="+", default=[], metavar="KEY=VALUE", help="keys to change")
    parser.add_argument("--curve", action="store_true", help="also print the training returns along the run")
    arguments = parser.parse_args()
    for file in arguments.configs:
        content = yaml.safe_load(file.read_text("utf-8"))
        behaviors = {name: changed(own, assignments(arguments.changes)) for name, own in content["behaviors"].items()}
        config = with_demonstrations({**content, "behaviors": behaviors}, file.stem)
        areas = arguments.areas or content.get("env_settings", {}).get("num_areas", 1)
        means: dict[str, list[float]] = {name: [] for name in behaviors}
        for seed in arguments.seeds:
            start = time.perf_counter()
            learned = learn(file.stem, config, seed, areas, arguments.episodes)
            taken = time.perf_counter() - start
            for name, result in learned.items():
                means[name].append(result.mean)
                print(f"{name} seed {seed}: {result.mean:.3f} ± {result.std:.3f}  ({taken:.0f} s)", flush=True)
                if arguments.curve:
                    print("  " + " ".join(f"{step}:{value:.4g}" for step, value in result.curve), flush=True)
        for name, values in means.items():
            if not values:
                print(f"{name}: none of its episodes in {arguments.episodes}; play more with --episodes", flush=True)
                continue
            print(
                f"{name}: mean {np.mean(values):.3f}, spread {np.std(values):.3f}, least {min(values):.3f} "
                f"of {len(values)} seeds at {behaviors[name]['max_steps']:,} steps",
                flush=True,
            )


if __name__ == "__main__":
    main()
