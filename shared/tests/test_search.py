"""Where a search looks is said beside each key, and a subclass has the last word."""

import attr
import pytest

from mlagents_plugin_shared.run.search import (
    Choice,
    Interval,
    not_searched,
    search_space,
    searched,
    searched_among,
)


@attr.s(auto_attribs=True)
class Base:
    """Settings that say where to look."""

    rate: float = attr.ib(default=0.1, metadata=searched(0.01, 1.0, log=True))
    size: int = attr.ib(default=8, metadata=searched_among(8, 16))
    steps: int = attr.ib(default=100, metadata=searched(0.1, 0.5, of_max_steps=True, unset=0.2))
    name: str = "plain"


@attr.s(auto_attribs=True)
class Derived(Base):
    """Another default, another range, and a key that is left as it is."""

    rate: float = 0.5
    size: int = attr.ib(default=32, metadata=searched(1, 64))
    steps: int = attr.ib(default=10, metadata=not_searched)


def test_search_space_has_the_keys_that_say_where_to_look():
    """Others are not searched."""
    space = search_space(Base)
    assert space == {
        "rate": Interval(0.01, 1.0, log=True),
        "size": Choice((8, 16)),
        "steps": Interval(0.1, 0.5, of_max_steps=True, unset=0.2),
    }


def test_search_space_of_a_subclass_is_that_of_its_base_but_for_what_it_says():
    """A key that is declared again for its default keeps its range."""
    assert search_space(Derived) == {"rate": Interval(0.01, 1.0, log=True), "size": Interval(1, 64), "steps": None}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: searched(1.0, 1.0), "low 1.0 is not below high 1.0"),
        (lambda: searched(2, 1), "low 2 is not below high 1"),
        (lambda: searched(0.0, 1.0, log=True), "log needs low above 0, not 0.0"),
        (lambda: searched_among(4), r"\(4,\) leaves no choice"),
        (lambda: searched_among(4, 4), r"\(4, 4\) leaves no choice"),
    ],
)
def test_range_without_a_choice_is_refused(make, message):
    """The author sees it where it stands."""
    with pytest.raises(ValueError, match=message):
        make()


def test_metadata_leaves_default_and_validator_alone():
    """What says where to look says nothing of what a key may hold."""
    assert Base() == Base(0.1, 8, 100, "plain")
    assert Derived().rate == 0.5
