"""Side channels: what ML-Agents' channels write is read, and garbage is left out."""

import logging
import struct
import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlagents_envs.side_channel.engine_configuration_channel import EngineConfig, EngineConfigurationChannel
from mlagents_envs.side_channel.environment_parameters_channel import EnvironmentParametersChannel
from mlagents_envs.side_channel.raw_bytes_channel import RawBytesChannel
from mlagents_envs.side_channel.side_channel_manager import SideChannelManager
from mlagents_envs.side_channel.stats_side_channel import StatsAggregationMethod, StatsSideChannel

from mlagents_player import side_channels
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.side_channels import ENGINE_CONFIGURATION, ENVIRONMENT_PARAMETERS


def written(*channels: object) -> bytes:
    return bytes(SideChannelManager(list(channels)).generate_side_channel_messages())


def test_apply_reads_every_kind_of_parameter() -> None:
    """Floats and the three samplers keep to what the trainer said; a default answers for the rest."""
    channel = EnvironmentParametersChannel()
    channel.set_float_parameter("mass", 2.5)
    channel.set_uniform_sampler_parameters("scale", 1.0, 3.0, 7)
    channel.set_gaussian_sampler_parameters("gravity", 10.0, 0.5, 8)
    channel.set_multirangeuniform_sampler_parameters("wind", [(0.0, 1.0), (5.0, 8.0)], 9)
    environment = EnvironmentParameters()
    assert side_channels.apply(written(channel), environment).changed == {"mass", "scale", "gravity", "wind"}
    assert environment.get("mass", 1.0) == 2.5
    assert environment.get("length", 1.25) == 1.25
    scale, gravity, wind = (environment.draw(name, 0, 4000) for name in ("scale", "gravity", "wind"))
    assert (scale.min() >= 1, scale.max() <= 3, scale.mean()) == (True, True, pytest.approx(2, abs=0.05))
    assert (gravity.mean(), gravity.std()) == (pytest.approx(10, abs=0.05), pytest.approx(0.5, abs=0.05))
    assert ((wind <= 1) | (wind >= 5)).all()
    assert np.mean(wind >= 5) == pytest.approx(3 / 4, abs=0.05)  # as wide as three quarters of the whole


def test_apply_samplers_are_seeded() -> None:
    """The same message draws the same values, another seed other ones, also a negative seed."""

    def drawn(seed: int) -> list[float]:
        channel, environment = EnvironmentParametersChannel(), EnvironmentParameters()
        channel.set_uniform_sampler_parameters("scale", 0.0, 1.0, seed)
        side_channels.apply(written(channel), environment)
        return environment.draw("scale", 0, 3).tolist()

    assert drawn(-3) == drawn(-3)
    assert drawn(-3) != drawn(4)


def test_apply_ignores_engine_settings_and_unknown_channels(caplog: pytest.LogCaptureFixture) -> None:
    """Neither changes a parameter, and neither is worth a warning."""
    engine, raw = EngineConfigurationChannel(), RawBytesChannel(uuid.uuid4())
    engine.set_configuration(EngineConfig.default_config())
    raw.send_raw_data(b"\x00\x01")
    assert side_channels.apply(written(engine, raw), EnvironmentParameters()).changed == set()
    assert not caplog.records


@pytest.mark.parametrize(
    "data",
    [
        b"\x01\x02\x03",
        ENVIRONMENT_PARAMETERS.bytes_le + struct.pack("<i", 99) + b"short",
        ENVIRONMENT_PARAMETERS.bytes_le + struct.pack("<i", -5),
        ENVIRONMENT_PARAMETERS.bytes_le + struct.pack("<i", 4) + struct.pack("<i", 1000),
        ENVIRONMENT_PARAMETERS.bytes_le + struct.pack("<i", 4) + struct.pack("<i", -1),
        ENVIRONMENT_PARAMETERS.bytes_le + struct.pack("<i4s", 13, b"\x01\x00\x00\x00") + b"m" + b"\x07" * 8,
        ENGINE_CONFIGURATION.bytes_le + struct.pack("<ii", 4, 77),
        ENGINE_CONFIGURATION.bytes_le + struct.pack("<ii", 4, 2),
    ],
)
def test_apply_logs_what_it_cannot_read(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Cut-short headers, payloads and fields, and unknown kinds: one warning, nothing set, nothing raised."""
    with caplog.at_level(logging.WARNING):
        assert side_channels.apply(data, EnvironmentParameters()).changed == set()
    assert len(caplog.records) == 1


def test_apply_keeps_what_came_before_the_garbage() -> None:
    """A good message before a bad one is obeyed."""
    channel, environment = EnvironmentParametersChannel(), EnvironmentParameters()
    channel.set_float_parameter("mass", 3.0)
    assert side_channels.apply(written(channel) + b"junk", environment).changed == {"mass"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_apply_refuses_numbers_that_are_none(value: float) -> None:
    """A parameter of NaN or infinity would end in NaN observations; it is left out."""
    channel = EnvironmentParametersChannel()
    channel.set_float_parameter("scale", value)
    assert side_channels.apply(written(channel), EnvironmentParameters()).changed == set()


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=80))
def test_apply_never_raises(data: bytes) -> None:
    """Whatever bytes come, the player goes on."""
    side_channels.apply(data, EnvironmentParameters())
    side_channels.apply(ENVIRONMENT_PARAMETERS.bytes_le + struct.pack("<i", len(data)) + data, EnvironmentParameters())


def test_statistic_is_read_by_mlagents() -> None:
    """A number arrives in ML-Agents' own channel under its name and with its aggregation."""
    channel = StatsSideChannel()
    SideChannelManager([channel]).process_side_channel_message(side_channels.statistic("Goal/Correct", 1.5, 2))
    assert channel.get_and_reset_stats() == {"Goal/Correct": [(1.5, StatsAggregationMethod.SUM)]}
