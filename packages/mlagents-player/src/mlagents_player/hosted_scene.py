"""A scene with what reaches and leaves it beside its agents: seed, environment parameters, side channels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

import numpy as np

from mlagents_player import side_channels
from mlagents_player.errors import PlayerError, blaming, did_you_mean
from mlagents_player.parameters import EnvironmentParameters, Sampler, seeded
from mlagents_player.scenes.base import Scene
from mlagents_player.side_channels import Received


class HostedScene:
    """A scene that has been built, and its lines to the outside.

    Attributes:
        scene: The scene.
    """

    def __init__(
        self,
        scene_type: type[Scene],
        copies: int,
        seed: int,
        side_channel: bytes = b"",
        parameters: Mapping[str, Sampler] | None = None,
    ) -> None:
        """Build the scene.

        Args:
            scene_type: Its class.
            copies: How often the whole published scene is there; at least 1.
            seed: Of all its chance, a signed 32-bit number.
            side_channel: Messages that came before it was built, one after the other.
            parameters: Environment parameters that are set before those of the messages.

        Raises:
            PlayerError: a parameter is not one of the scene's, or its code raised something.
        """
        self._parameters = EnvironmentParameters()
        given = dict(parameters or {})
        for name, sampler in given.items():
            self._parameters.set(name, sampler)
        received = side_channels.apply(side_channel, self._parameters)
        received.changed.update(given)
        self.scene = _built(scene_type, scene_type.areas * copies, seeded(seed), self._parameters)
        self._tell(received)

    def receive(self, side_channel: bytes) -> None:
        """Obey the messages of one exchange.

        Raises:
            PlayerError: a parameter is not one of the scene's, or its code raised something.
        """
        self._tell(side_channels.apply(side_channel, self._parameters))

    def set_parameters(self, parameters: Mapping[str, Sampler]) -> None:
        """Set environment parameters from now on.

        Raises:
            PlayerError: one is not of the scene's, and none is set; or its code raised something.
        """
        check_names(type(self.scene), parameters)
        for name, sampler in parameters.items():
            self._parameters.set(name, sampler)
        self._tell(Received(changed=set(parameters)))

    def send(self) -> bytes:
        """What the scene has had for the trainer since the last time, beside its agents."""
        scene = self.scene
        messages = [side_channels.statistic(*given) for given in scene.statistics]
        messages += [side_channels.message(channel, payload) for channel, payload in scene.messages]
        scene.statistics.clear()
        scene.messages.clear()
        return b"".join(messages)

    def close(self) -> None:
        """Let the scene close what it holds open."""
        _close(self.scene)

    def _tell(self, received: Received) -> None:
        check_names(type(self.scene), received.changed)
        with blaming(f"Scene {type(self.scene).__name__}", "parameters_changed"):
            self.scene.parameters_changed(received.changed)
        with blaming(f"Scene {type(self.scene).__name__}", "message_received"):
            for channel, payload in received.raw:
                self.scene.message_received(channel, payload)


@contextmanager
def opened(scene_type: type[Scene], areas: int, rng: np.random.Generator) -> Iterator[Scene]:
    """A scene that no trainer speaks with, as long as it is needed; its environment parameters have their defaults.

    Args:
        scene_type: Its class.
        areas: Training areas in it; at least 1.
        rng: Of all its chance.

    Raises:
        SceneError: its code raised something where it is built or closed.
    """
    scene = _built(scene_type, areas, rng, EnvironmentParameters())
    try:
        yield scene
    except BaseException:
        with suppress(PlayerError):  # what came first is what to say
            _close(scene)
        raise
    _close(scene)


def _built(scene_type: type[Scene], areas: int, rng: np.random.Generator, parameters: EnvironmentParameters) -> Scene:
    with blaming(f"Scene {scene_type.__name__}", "__init__"):
        return scene_type(areas, rng, parameters)


def _close(scene: Scene) -> None:
    with blaming(f"Scene {type(scene).__name__}", "close"):
        scene.close()


def check_names(scene_type: type[Scene], names: Iterable[str]) -> None:
    """Raise `PlayerError` if a scene has not all of these environment parameters."""
    known = scene_type.parameter_names
    unknown = [] if known is None else sorted(set(names) - set(known))
    if unknown:
        hint = "".join(did_you_mean(name, known or ()) for name in unknown)
        has = ", ".join(known or ()) or "none"
        raise PlayerError(f"The scene has no environment parameter {', '.join(unknown)}; it has: {has}.{hint}")
