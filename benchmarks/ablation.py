"""Each extension of DQN alone, and the presets, on two environments: `nox -s bench -- ablation --output docs/images`.

Every row starts from plain DQN (preset: dqn) and changes what it is named after. The number is the mean height of the
learning curve, exploration included, over the twentieths of the run in which episodes ended: it rewards learning soon.
Mean and standard deviation over the seeds; the plot has the curves.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from _gym import learn
from _in_process import Learned

mpl.use("Agg")
from matplotlib import pyplot

VARIANTS: dict[str, dict[str, Any]] = {
    "dqn": {},
    "double": {"double": True},
    "dueling": {"dueling": True},
    "n_step 3": {"n_step": 3},
    "prioritized_replay": {"prioritized_replay": True},
    "noisy": {"noisy": True},
    "categorical": {"distribution": "categorical"},
    "quantile": {"distribution": "quantile"},
    "implicit_quantile": {"distribution": "implicit_quantile", "num_quantiles": 8},
    "munchausen": {"munchausen": True},
    "layer_norm": {"layer_norm": True},
    "preset double_dueling": {"preset": "double_dueling"},
    "preset rainbow": {"preset": "rainbow", "target_update_interval": 200},
    "preset btr": {"preset": "btr", "target_update_interval": 200},
}
# Returns that the atoms must span.
SUPPORT = {"CartPole-v1": (0.0, 100.0), "Acrobot-v1": (-100.0, 0.0)}


def config(environment: str, variant: str, max_steps: int) -> dict[str, Any]:
    """A small network, and what the variant changes."""
    v_min, v_max = SUPPORT[environment]
    return {
        "trainer_type": "dqn",
        "max_steps": max_steps,
        "time_horizon": 32,
        "hyperparameters": {
            "preset": "dqn",
            "learning_rate": 1e-3,
            "batch_size": 64,
            "buffer_init_steps": 500,
            "target_update_interval": 200,
            "exploration_steps": max_steps // 5,
            "v_min": v_min,
            "v_max": v_max,
            **VARIANTS[variant],
        },
        "network_settings": {"hidden_units": 64, "num_layers": 2},
    }


def run(environment: str, variant: str, seed: int, max_steps: int) -> Learned:
    """One run; the final policy plays little, for the curve is what counts."""
    return learn(environment, config(environment, variant, max_steps), seed, num_agents=8, episodes=8)


def main() -> None:
    """Prints a table for each environment, and draws the curves."""
    parser = argparse.ArgumentParser(description="Each extension of DQN alone, and the presets.")
    parser.add_argument("--environments", nargs="+", default=list(SUPPORT), choices=list(SUPPORT))
    parser.add_argument("--steps", type=int, nargs="+", default=[10_000, 12_000], help="agent steps on each")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--output", type=Path, help="folder for the plot")
    arguments = parser.parse_args()
    steps = dict(zip(arguments.environments, arguments.steps, strict=True))
    runs = list(product(steps, VARIANTS, arguments.seeds))
    results: dict[tuple[str, str], list[Learned]] = {}
    with ProcessPoolExecutor(arguments.jobs) as pool:
        jobs = [pool.submit(run, name, variant, seed, steps[name]) for name, variant, seed in runs]
        for (name, variant, seed), job in zip(runs, jobs, strict=True):
            results.setdefault((name, variant), []).append(job.result())
            if seed == arguments.seeds[-1]:
                areas = [np.mean([value for _, value in result.curve]) for result in results[name, variant]]
                values = " ".join(f"{area:.0f}" for area in areas)
                print(f"| {name} | {variant} | {np.mean(areas):.1f} ± {np.std(areas):.1f} | {values} |", flush=True)
    if arguments.output:
        draw(results, steps, arguments.output / "dqn-ablation.png")


def draw(results: dict[tuple[str, str], list[Learned]], steps: dict[str, int], path: Path) -> None:
    """One panel an environment, one line a variant: the mean over the seeds."""
    figure, panels = pyplot.subplots(1, len(steps), figsize=(7 * len(steps), 5), squeeze=False, layout="constrained")
    for panel, (name, total) in zip(panels[0], steps.items(), strict=True):
        grid = np.linspace(0, total, 21)[1:]
        for i, variant in enumerate(VARIANTS):
            curves = [np.interp(grid, *np.array(result.curve).T) for result in results[name, variant]]
            style = {
                "color": mpl.colormaps["tab20"](i % 20),
                "linewidth": 2.5 if variant.startswith(("dqn", "preset")) else 1.3,
            }
            panel.plot(grid, np.mean(curves, axis=0), label=variant, **style)
        panel.set(title=name, xlabel="agent steps", ylabel="return of the training episodes")
        panel.grid(alpha=0.3)
    panels[0][-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
