"""What policies keep of agents: by their ids, for as long as they act, and through a resume."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlagents.torch_utils import torch

from mlagents_plugin_shared.acting.exploring import AgentTable
from mlagents_plugin_shared.acting.repetition import Repetition

AGENTS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6, unique=True)


def table() -> AgentTable:
    """A count that begins at 7, and two numbers that begin at 0."""
    return AgentTable(count=torch.tensor(7), pair=torch.zeros(2))


def count(agents: AgentTable, agent_ids: list[str]) -> list[int]:
    """Counts one up for each agent; gives the counts."""
    rows = agents.rows(agent_ids)
    agents["count"][rows] += 1
    return agents["count"][rows].tolist()


@given(st.lists(st.tuples(st.booleans(), AGENTS), max_size=30))
def test_table_equals_a_dictionary(events: list[tuple[bool, list[str]]]) -> None:
    """Whoever acts and is forgotten, in whichever order; with no more rows than agents at a time."""
    agents, expected, most = table(), dict[str, int](), 0
    for forgets, agent_ids in events:
        if forgets:
            agents.forget(agent_ids)
            for agent_id in agent_ids:
                expected.pop(agent_id, None)
        else:
            expected.update({agent_id: expected.get(agent_id, 7) + 1 for agent_id in agent_ids})
            assert count(agents, agent_ids) == [expected[agent_id] for agent_id in agent_ids]
        most = max(most, len(expected))
        assert len(agents) == len(expected)
        assert len(agents["count"]) == len(agents["pair"]) == most


def test_table_gives_one_row_to_an_agent_that_is_named_twice() -> None:
    """No row is lost."""
    agents = table()
    assert agents.rows(["a", "b", "a"]).tolist() == [1, 0, 1]
    agents.forget(["a", "b", "b"])
    assert len(agents) == 0
    assert agents.rows(["c", "d"]).sort().values.tolist() == [0, 1]


def test_table_goes_on_from_its_state() -> None:
    """By agent, whichever rows they had; what changes later does not change the state."""
    first, second = table(), table()
    count(first, ["a", "b", "c"])
    first.forget(["b"])
    count(first, ["c"])
    state = first.state_dict()
    count(first, ["a", "c"])
    second.load_state_dict(state)
    assert len(second) == 2
    assert count(second, ["c", "a", "b"]) == [10, 9, 8]
    assert state["columns"]["count"].tolist() == [8, 9]


@pytest.mark.parametrize(
    "other", [AgentTable(count=torch.tensor(0)), AgentTable(count=torch.zeros(3), pair=torch.zeros(2))]
)
def test_table_begins_anew_where_columns_differ(other: AgentTable) -> None:
    """A network of another size, another kind of exploration: no agent is known."""
    other.rows(["a"])
    agents = table()
    agents.load_state_dict(other.state_dict())
    assert len(agents) == 0
    assert count(agents, ["a"]) == [8]


def test_table_that_is_cleared_knows_nobody() -> None:
    """All begin anew."""
    agents = table()
    count(agents, ["a", "b"])
    agents.clear()
    assert len(agents) == len(agents["pair"]) == 0
    np.testing.assert_array_equal(count(agents, ["b", "a"]), [8, 8])


def repeating(monkeypatch: pytest.MonkeyPatch, lengths: list[int]) -> tuple[AgentTable, Repetition]:
    """A table and what its agents repeat, for given lengths."""
    drawn = iter(lengths)
    monkeypatch.setattr(
        "mlagents_plugin_shared.acting.repetition.repeat_lengths",
        lambda count, cap, generator, exponent: torch.tensor([next(drawn) for _ in range(count)], dtype=torch.int64),
    )
    agents = AgentTable(**Repetition.columns(torch.zeros(2)))
    return agents, Repetition(agents, 16)


def test_repetition_lasts_for_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three decisions and one, each agent's own, whoever acts in between; then it is over until the next start."""
    agents, repetition = repeating(monkeypatch, [3, 1])
    rows = agents.rows(["a", "b"])
    assert repetition.is_over(rows).tolist() == [True, True]
    repetition.start(rows, torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert repetition.take(rows).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert repetition.is_over(rows).tolist() == [False, True]
    for left in (1, 0):
        only = agents.rows(["a", "c"])
        assert repetition.take(only)[0].tolist() == [1.0, 2.0]
        assert agents["repeats_left"][only].tolist() == [left, 0]
    assert repetition.is_over(agents.rows(["a", "b", "c"])).all()


def test_repetition_ends_with_the_episode_or_when_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others go on."""
    agents, repetition = repeating(monkeypatch, [5, 5, 5])
    repetition.start(agents.rows(["a", "b", "c"]), torch.ones(3, 2))
    agents.forget(["a"])
    repetition.stop(agents.rows(["b"]))
    assert repetition.is_over(agents.rows(["a", "b", "c"])).tolist() == [True, True, False]


def test_repetition_goes_on_from_the_state_of_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is repeated and how often yet."""
    agents, repetition = repeating(monkeypatch, [4])
    repetition.start(agents.rows(["a"]), torch.tensor([[1.0, 2.0]]))
    repetition.take(agents.rows(["a"]))
    other, resumed = repeating(monkeypatch, [])
    other.rows(["z"])
    other.load_state_dict(agents.state_dict())
    rows = other.rows(["a"])
    assert [resumed.take(rows).tolist() for _ in range(3)] == [[[1.0, 2.0]]] * 3
    assert resumed.is_over(rows).all()
