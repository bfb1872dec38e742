"""A rollout as tensors: parts of it, minibatches, and what is scaled."""

import numpy as np
import pytest
from mlagents.torch_utils import torch

from mlagents_plugin_shared.learning.rollout_batch import Rollout, even_parts
from rollouts import MEMORY, fill, trainer


def rollout(memory: dict[str, int] | None = None) -> Rollout:
    """44 steps; with memory 12 sequences of 4, the last of which are padded."""
    owner = trainer(memory=memory)
    fill(owner)
    owner.add_advantages(owner.update_buffer)
    return Rollout.from_batch(owner.update_buffer.sequences(), owner.policy, owner.optimizer.streams)


def columns(part: Rollout) -> list[torch.Tensor]:
    """Everything that has a row a step."""
    steps = part.steps
    return [
        *steps.observations,
        steps.actions,
        steps.action_masks,
        steps.log_probs,
        steps.mask,
        part.advantage,
        part.returns,
        part.values,
    ]


def test_parts_are_even() -> None:
    """Nothing is left out, and no small rest takes a pass of its own."""
    for count in range(1, 60):
        parts = list(even_parts(count, 10))
        assert [i for start, stop in parts for i in range(start, stop)] == list(range(count))
        assert all(min(count, 10) <= stop - start < 20 for start, stop in parts)


@pytest.mark.parametrize("memory", [None, MEMORY])
def test_parts_are_the_whole_in_order(memory) -> None:
    """Every column, and the memories at the start of sequences; each part knows the steps of the whole."""
    whole = rollout(memory)
    parts = list(whole.parts(8))
    assert len(parts) > 3
    for column, *pieces in zip(columns(whole), *map(columns, parts), strict=True):
        assert torch.equal(torch.cat(pieces), column)
    if memory:
        assert torch.equal(torch.cat([part.critic_memories for part in parts], dim=1), whole.critic_memories)
        assert torch.equal(torch.cat([part.steps.memories for part in parts], dim=1), whole.steps.memories)
    assert {part.total for part in parts} == {44.0}


@pytest.mark.parametrize("memory", [None, MEMORY])
def test_minibatches_hold_every_sequence_once(memory) -> None:
    """In another order each time, with steps of a sequence together and its memory beside it."""
    whole = rollout(memory)
    length = whole.steps.sequence_length
    numbered = whole._replace(advantage=torch.arange(float(len(whole.advantage))))
    generator, orders = np.random.default_rng(0), []
    for _ in range(2):
        parts = list(numbered.minibatches(8, generator))
        order = torch.cat([part.advantage for part in parts]).long()
        orders.append(order)
        assert sorted(order.tolist()) == list(range(len(whole.advantage)))
        assert torch.equal(
            order[::length].repeat_interleave(length) + torch.arange(length).repeat(len(order) // length), order
        )
        for column, *pieces in zip(columns(numbered), *map(columns, parts), strict=True):
            assert torch.equal(torch.cat(pieces), column[order])
        if memory:
            memories = torch.cat([part.critic_memories for part in parts], dim=1)
            assert torch.equal(memories, whole.critic_memories[:, order[::length] // length])
        assert all(8 <= len(part.advantage) < 16 and part.total is None for part in parts)
    assert not torch.equal(*orders)


def test_minibatches_of_one_seed_are_the_same() -> None:
    """The generator is all that they draw from."""
    first, second = (
        torch.cat([part.advantage for part in rollout().minibatches(8, np.random.default_rng(3))]) for _ in range(2)
    )
    assert torch.equal(first, second)


def with_advantage(advantage: list[float], mask: list[float]) -> Rollout:
    """A rollout of which nothing else counts."""
    whole = rollout()
    return whole._replace(advantage=torch.tensor(advantage), steps=whole.steps._replace(mask=torch.tensor(mask)))


def test_normalize_advantage_golden() -> None:
    """(1, 3) becomes (-1, 1); the padded 100 does not count."""
    scaled = with_advantage([1.0, 3.0, 100.0], [1.0, 1.0, 0.0]).normalize_advantage().advantage
    torch.testing.assert_close(scaled[:2], torch.tensor([-1.0, 1.0]))


def test_normalize_of_equal_advantages_is_zero() -> None:
    """No deviation, no division by zero."""
    assert with_advantage([3.0] * 5, [1.0] * 5).normalize_advantage().advantage.abs().max().item() == 0.0


def test_log_ratio_is_over_all_action_dimensions() -> None:
    """log(e² e²) of two numbers and two branches that are e as likely now."""
    steps = rollout().steps
    torch.testing.assert_close(steps.log_ratio(steps.log_probs + 1.0), torch.full((44,), 4.0))
