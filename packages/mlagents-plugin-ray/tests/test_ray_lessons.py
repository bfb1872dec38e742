"""Environment parameters of a curriculum reach the actors."""

from collections.abc import Iterator

import pytest
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers.settings import RunOptions
from mlagents.trainers.training_status import GlobalTrainingStatus, StatusType

from mlagents_plugin_ray.source import _Lessons

LESSONS = {
    "size": {
        "curriculum": [
            {
                "name": "small",
                "value": 1.0,
                "completion_criteria": {"behavior": "Basic", "measure": "reward", "threshold": 0.5},
            },
            {"name": "large", "value": 5.0},
        ]
    }
}


@pytest.fixture(autouse=True)
def status() -> Iterator[None]:
    """Lessons are noted for the whole process, and a behaviour without settings asks for ppo."""
    register_trainer_plugins()
    GlobalTrainingStatus.saved_state.clear()
    yield
    GlobalTrainingStatus.saved_state.clear()


def value(lessons: _Lessons) -> tuple[int, float]:
    """Number and size of now."""
    number, parameters = lessons.current()
    return number, parameters["size"].value


def test_lesson_that_changes_has_another_number():
    """By which actors know that they have to begin anew."""
    lessons = _Lessons(RunOptions.from_dict({"behaviors": {"Basic": {}}, "environment_parameters": LESSONS}), 1)
    GlobalTrainingStatus.set_parameter_state("size", StatusType.LESSON_NUM, 0)
    first = value(lessons)
    assert first[1] == 1.0
    assert value(lessons) == first
    GlobalTrainingStatus.set_parameter_state("size", StatusType.LESSON_NUM, 1)
    assert value(lessons) == (first[0] + 1, 5.0)
    assert value(lessons) == (first[0] + 1, 5.0)


def test_parameters_are_drawn_by_the_seed_of_the_run():
    """Two runs without --seed would else draw the same, and all their actors with them."""
    drawn = {"size": {"sampler_type": "uniform", "sampler_parameters": {"min_value": 0, "max_value": 1}}}
    for seed in (1, 2):
        options = RunOptions.from_dict({"behaviors": {"Basic": {}}, "environment_parameters": drawn})
        assert _Lessons(options, seed).current()[1]["size"].seed == seed


def test_run_without_parameters_has_none():
    """And one number for good."""
    lessons = _Lessons(RunOptions(), 1)
    assert lessons.current() == lessons.current()
    assert lessons.current()[1] == {}
