"""Updates of FlashSAC against ML-Agents' SAC, at equal batch and network: `nox -s bench -- flashsac`.

All take turns in one process: trust the ratios more than the times. An update runs from the draw of a batch to the
optimizer's step. `sac` is `preset: sac`, the same mathematics as ML-Agents' but for its separate value network, and
`light` the default; `--presets flashsac` has wider critics and residual blocks. A GPU is used where there is one.
"""

import argparse

from _timing import medians
from _updates import fill, trainer, updates_of_ours, updates_of_sac
from mlagents.torch_utils import default_device, torch
from mlagents_envs.base_env import ActionSpec

from mlagents_player.arguments import count
from mlagents_plugin_flashsac.settings import Preset

SAC = "ML-Agents' SAC"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Updates of FlashSAC against ML-Agents' SAC.")
    parser.add_argument("--presets", nargs="+", choices=[preset.value for preset in Preset], default=["sac", "light"])
    parser.add_argument("--batch-size", type=count, default=256)
    parser.add_argument("--hidden-units", type=count, nargs="+", default=[128, 256], help="of each of two layers")
    parser.add_argument("--floats", type=count, default=24, help="size of the observation")
    parser.add_argument("--actions", type=count, default=4, help="continuous actions")
    parser.add_argument("--capacity", type=count, default=20_000, help="transitions in the replay")
    parser.add_argument("--repeats", type=count, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    size, floats, actions = arguments.batch_size, arguments.floats, ActionSpec(arguments.actions, ())
    common = {"batch_size": size, "buffer_size": arguments.capacity}
    print(f"{default_device().type}, batch {size}, {floats} floats, {arguments.actions} continuous actions")
    print(f"{'':<28}{'hidden units':>14}{'us an update':>14}{'x SAC':>9}")
    for hidden_units in arguments.hidden_units:
        sac = trainer("sac", floats, actions, hidden_units, common)
        ours = {
            preset: trainer("flashsac", floats, actions, hidden_units, {"preset": preset, **common})
            for preset in arguments.presets
        }
        fill([sac, *ours.values()], floats, actions, arguments.capacity)
        updates = {SAC: updates_of_sac(sac, size)}
        updates.update({name: updates_of_ours(each) for name, each in ours.items()})
        # two at a time: half of FlashSAC's updates are of the critics alone
        times = medians(updates, arguments.repeats, each=2)
        for name, microseconds in times.items():
            ratio = times[SAC] / microseconds
            print(f"{name:<28}{hidden_units:>14}{microseconds:>14.0f}{ratio:>8.2f}x", flush=True)


if __name__ == "__main__":
    main()
