"""Where streams of chance begin, and their states in the types that a checkpoint can hold: strings and tensors.

Generators that a trainer or a policy owns begin at `derived_seed`. What is left draws from the global generators of
torch and NumPy, which ML-Agents seeds once a run: networks' first weights, the actions of A2C, noisy layers, quantiles,
the order of demonstrations that are cloned, the opponents of self-play. These take turns at one stream, whichever
behaviour, team or worker they are for, so that no two of them get the same numbers.
"""

import hashlib
import json
from typing import Any

import numpy as np
from mlagents.torch_utils import default_device, torch


def derived_seed(seed: int, *identity: str) -> int:
    """Seed of the stream of one part of a run.

    Streams of different identities or run seeds have nothing in common. A part that took the run's seed as it is would
    draw the same numbers as every other part that does, and seed + 1 is the seed of the next run. It is the same in
    every process, as Python's own hash of strings is not.

    Args:
        seed: of the run.
        identity: whose stream it is, from the whole to the part, such as behaviour, team and purpose.

    Returns:
        A number of 63 bits, which torch's generators take as well as NumPy's.
    """
    digest = hashlib.sha256(json.dumps([int(seed), *identity]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def numpy_state(generator: np.random.Generator | None = None) -> str:
    """State of a generator as JSON.

    Args:
        generator: the generator; default NumPy's global one.
    """
    if generator is not None:
        return json.dumps(generator.bit_generator.state)
    state: Any = np.random.get_state()  # noqa: NPY002 - ML-Agents draws from it
    return json.dumps([part.tolist() if isinstance(part, np.ndarray) else part for part in state])


def restore_numpy(state: str, generator: np.random.Generator | None = None) -> None:
    """Takes up what `numpy_state` gave.

    Args:
        state: the JSON.
        generator: the generator; default NumPy's global one.
    """
    if generator is not None:
        generator.bit_generator.state = json.loads(state)
        return
    name, key, *rest = json.loads(state)
    np.random.set_state((name, np.array(key, np.uint32), *rest))  # noqa: NPY002


def torch_state() -> dict[str, torch.Tensor]:
    """State of torch's global generators: of the CPU, and of the GPU that trains if there is one."""
    state = {"cpu": torch.get_rng_state()}
    if default_device().type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(default_device())
    return state


def restore_torch(state: dict[str, torch.Tensor]) -> None:
    """Takes up what `torch_state` gave; a GPU's state is left out where no GPU trains.

    Args:
        state: the states by device.
    """
    torch.set_rng_state(state["cpu"].cpu())
    if "cuda" in state and default_device().type == "cuda":
        torch.cuda.set_rng_state(state["cuda"].cpu(), default_device())
