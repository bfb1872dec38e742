"""The export at start-up, and the check of every export."""

import tempfile
from pathlib import Path

import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.settings import NetworkSettings
from mlagents.trainers.torch_entities.networks import SimpleActor
from mlagents_envs.base_env import ActionSpec, BehaviorSpec, DimensionProperty, ObservationSpec, ObservationType

from mlagents_onnx_check import Behavior, check_model
from mlagents_plugin_shared.run import export
from mlagents_plugin_shared.run.export import ExportError, OnnxExporter


def exporter(version: float = 3.0) -> OnnxExporter:
    """An exporter of a policy that states this version."""
    sensor = ObservationSpec((4,), (DimensionProperty.NONE,), ObservationType.DEFAULT, "vector")
    spec = BehaviorSpec([sensor], ActionSpec(2, (3, 2)))
    policy = TorchPolicy(0, spec, NetworkSettings(hidden_units=8, num_layers=1), SimpleActor, {})
    policy.actor.version_number.data.fill_(version)
    return OnnxExporter(policy)


@pytest.fixture
def temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the export warns of."""
    messages: list[str] = []
    monkeypatch.setattr(export.logger, "warning", messages.append)
    return messages


def test_rehearsal_leaves_no_file_and_no_other_random_numbers(temporary_files: Path) -> None:
    """A seeded run goes on as without it; the model, which draws actions, was run all the same."""
    rehearsed = exporter()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    rehearsed.rehearse()
    assert torch.equal(torch.rand(3), expected)
    assert list(temporary_files.iterdir()) == []
    assert rehearsed.policy.actor.training


def test_export_draws_random_numbers(tmp_path: Path) -> None:
    """The control: outside of a rehearsal they are not given back."""
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    exporter().export_policy_model(str(tmp_path / "Toy"))
    assert not torch.equal(torch.rand(3), expected)


def test_rehearsal_names_cause_versions_and_remedy(temporary_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that cannot export says so in one line, and nothing is left behind."""

    def fail(actor, inputs, path, **options) -> None:
        Path(path).write_bytes(b"half")
        raise ModuleNotFoundError("No module named 'onnxscript'\nmore")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(ExportError) as failure:
        exporter().rehearse()
    message = str(failure.value)
    assert "\n" not in message
    for part in ("ModuleNotFoundError: No module named 'onnxscript'.", f"torch {torch.__version__}", "install those"):
        assert part in message
    assert list(temporary_files.iterdir()) == []


def test_rehearsal_of_a_network_that_fails_by_itself_does_not_blame_the_exporter(temporary_files: Path) -> None:
    """Agents without sensors: no other torch would help."""
    policy = exporter().policy
    blind = TorchPolicy(0, BehaviorSpec([], policy.behavior_spec.action_spec), policy.network_settings, SimpleActor, {})
    with pytest.raises(ExportError, match=r"does not work for these agents.*at least one sensor") as error:
        OnnxExporter(blind).rehearse()
    assert "torch" not in str(error.value)
    assert not list(temporary_files.iterdir())


def test_rehearsal_refuses_what_unity_would_refuse() -> None:
    """A model of a later version is named by the rule and Unity's message."""
    with pytest.raises(ExportError, match=r"version-too-new: Model was trained with a newer version .* version: 4 "):
        exporter(4.0).rehearse()


@pytest.mark.parametrize(("version", "warnings"), [(3.0, 0), (4.0, 1)])
def test_each_export_is_checked(tmp_path: Path, warned: list[str], version: float, warnings: int) -> None:
    """A model that Unity would not accept is written, with a warning; for one that it accepts there is none."""
    exporter(version).export_policy_model(str(tmp_path / "Toy"))
    assert (tmp_path / "Toy.onnx").exists()
    assert len(warned) == warnings
    assert all("Toy.onnx. version-too-new: " in message for message in warned)


@pytest.mark.parametrize("behavior", ["of the policy", "not stated"])
@pytest.mark.parametrize("deterministic", [False, True])
def test_export_of_all_kinds_of_sensors_and_actions_has_no_finding(
    tmp_path: Path, behavior: str, deterministic: bool
) -> None:
    """A vector, a picture, entities, both kinds of actions and a memory: not even a note."""
    NONE, SHIFT = DimensionProperty.NONE, DimensionProperty.TRANSLATIONAL_EQUIVARIANCE
    sensors = [
        ObservationSpec((4,), (NONE,), ObservationType.DEFAULT, "vector"),
        ObservationSpec((3, 20, 24), (NONE, SHIFT, SHIFT), ObservationType.DEFAULT, "picture"),
        ObservationSpec((5, 6), (DimensionProperty.VARIABLE_SIZE, NONE), ObservationType.DEFAULT, "entities"),
    ]
    spec = BehaviorSpec(sensors, ActionSpec(2, (3, 3)))
    memory = NetworkSettings.MemorySettings(sequence_length=4, memory_size=8)
    settings = NetworkSettings(hidden_units=8, num_layers=1, memory=memory)
    OnnxExporter(TorchPolicy(0, spec, settings, SimpleActor, {})).export_policy_model(str(tmp_path / "Toy"))
    expected = Behavior.of(spec) if behavior == "of the policy" else None
    assert check_model(tmp_path / "Toy.onnx", expected, deterministic=deterministic).findings == []
