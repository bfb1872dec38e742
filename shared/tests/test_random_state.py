"""Streams of chance: each part of a run has its own, the same in every process."""

from hypothesis import given
from hypothesis import strategies as st
from mlagents.torch_utils import torch

from mlagents_plugin_shared.run.random_state import derived_seed


def test_derived_seed_golden() -> None:
    """Python's hash of strings differs from process to process: this does not, so that a seed repeats a run."""
    assert derived_seed(1, "Duel", "Duel?team=0", "policy", "0") == 3501895422441185179


@given(st.integers(-(2**31), 2**31), st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_derived_seed_differs_by_identity(seed: int, one: list[str], other: list[str]) -> None:
    """Also where the same letters are cut apart elsewhere; and seeds are taken by torch."""
    first, second = derived_seed(seed, *one), derived_seed(seed, *other)
    assert (first == second) == (one == other)
    assert 0 <= first < 2**63
    torch.Generator(device="cpu").manual_seed(first)


def test_derived_seed_differs_by_run() -> None:
    """The parts of a thousand runs have streams of their own."""
    parts = ("replay", "demonstrations", "mixture", "policy")
    assert len({derived_seed(seed, "Toy", part) for seed in range(1000) for part in parts}) == 4000
