"""What policies keep of agents: by their ids, for as long as they act, and through a resume."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlagents.torch_utils import torch

from mlagents_plugin_shared.acting.exploring import AgentTable

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
