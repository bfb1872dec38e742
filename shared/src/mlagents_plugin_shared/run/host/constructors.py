"""A trainer whose constructor fails says why.

ML-Agents takes any `KeyError` in it for a trainer type that nobody has registered.
"""

from typing import Any

from mlagents.plugins import all_trainer_types
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.trainer import TrainerFactory

_generate = TrainerFactory.generate


def _generate_or_say_why(factory: Any, behavior_name: str) -> Any:
    try:
        return _generate(factory, behavior_name)
    except TrainerConfigError as error:
        is_known = factory.trainer_config[behavior_name].trainer_type in all_trainer_types
        if is_known and isinstance(error.__context__, KeyError):
            raise error.__context__ from None
        raise


TrainerFactory.generate = _generate_or_say_why
