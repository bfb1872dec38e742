"""Unity's acceptance rules, and those beyond: each catches its mutation, and good models pass."""

import os
from pathlib import Path

import pytest

from mlagents_onnx_check import RULES, Behavior, check_model
from onnx_changes import drop, mutate
from onnx_mutations import BEHAVIOR, MUTATIONS, Mutation

FOLDER = os.environ.get("MLAGENTS_REFERENCE_DATA")
reference = pytest.mark.skipif(not FOLDER, reason="MLAGENTS_REFERENCE_DATA names no folder of models")


@pytest.mark.parametrize("behavior", [BEHAVIOR, Behavior()])
@pytest.mark.parametrize("deterministic", [False, True])
def test_good_model_passes(good: Path, behavior: Behavior, deterministic: bool) -> None:
    """The control of all mutations: nothing is found, not even a note."""
    report = check_model(good, behavior, deterministic=deterministic)
    assert report.findings == []
    assert report.accepted
    assert report.left_out == ""


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_mutation_is_caught_by_name(good: Path, tmp_path: Path, mutation: Mutation) -> None:
    """One change, and the rule that is made for it fires."""
    changed = mutate(good, tmp_path / "changed.onnx", mutation.changes)
    report = check_model(changed, mutation.behavior, deterministic=mutation.deterministic)
    levels = {finding.rule: finding.level for finding in report.findings}
    assert levels.get(mutation.rule) == mutation.level
    assert mutation.level == "note" or not report.accepted


def test_every_rule_has_a_mutation() -> None:
    """No rule that cannot fire, and none that is not described."""
    assert {mutation.rule for mutation in MUTATIONS} == set(RULES)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no version", 'Required constant "version_number" was not found in the model file.'),
        ("version 0", "Model version: -1 Minimum supported version: 2"),
        ("version 4", "Model version: 4  Maximum supported version: 3"),
        ("renamed input", "Observation Placeholder Input for sensor component 1 (obs_1)."),
        ("unknown input", "Model contains an unexpected input named : picture"),
        (
            "other picture",
            "The visual Observation of the model does not match. Received TensorProxy of shape [?x20x24x3] but was "
            "expecting [?x24x20x3] for the obs_1 Sensor.",
        ),
        ("fewer entities", "Received TensorProxy of shape [?x4x6] but was expecting [?x5x6] for the obs_2 Sensor."),
        ("longer vector", "Received TensorProxy of shape [?x5] but was expecting [?x4] for the obs_0 Sensor."),
        ("smaller branch", "of branch 1 does not match. Was expecting 3 but the model contains 2 "),
        (
            "no deterministic discrete output, wanted",
            "The model uses deterministic inference but does not contain Deterministic Discrete Action Output Tensor. "
            "Uncheck `Deterministic inference` flag..",
        ),
    ],
)
def test_unitys_own_message_is_given(good: Path, tmp_path: Path, name: str, message: str) -> None:
    """What Unity would print, to its last character."""
    mutation = next(each for each in MUTATIONS if each.name == name)
    changed = mutate(good, tmp_path / "changed.onnx", mutation.changes)
    report = check_model(changed, mutation.behavior, deterministic=mutation.deterministic)
    assert any(found.source == "unity" and found.message.endswith(message) for found in report.findings)


def test_unity_stops_where_its_loader_stops(good: Path, tmp_path: Path) -> None:
    """After a missing output it looks at no input."""
    changed = mutate(good, tmp_path / "changed.onnx", [drop("version_number", "memory_size")])
    report = check_model(changed, Behavior.parse(["99"]))
    assert [found.rule for found in report.findings if found.source == "unity"] == ["version-number"]


@reference
@pytest.mark.parametrize(
    ("model", "observations", "actions"),
    [
        ("deterContinuous2vis8vec2action_v2_0", ["8"], ["continuous:2"]),
        ("deterDiscrete1obs3action_v2_0", ["20"], ["discrete:3"]),
        ("hybrid0vis8vec_2c_2_3d_v2_0", ["8"], ["continuous:2", "discrete:2,3"]),
        ("discrete_rank2_vector_v2_0", ["20x23", "10", "8"], ["discrete:3,3,3"]),
    ],
)
def test_models_that_unity_accepts_pass(model: str, observations: list[str], actions: list[str]) -> None:
    """Models of Unity's own tests, by themselves and against their behaviour."""
    path = Path(str(FOLDER), f"{model}.onnx")
    assert check_model(path).errors == []
    assert check_model(path, Behavior.parse(observations, actions)).errors == []
    assert not check_model(path, Behavior.parse([*observations, "1"], actions)).accepted


@reference
def test_model_that_unity_refuses_is_refused_with_its_reason() -> None:
    """A recurrent model of ML-Agents 1.x."""
    report = check_model(Path(str(FOLDER), "discrete1vis0vec_2_3action_obsolete_recurr_v1_0.onnx"))
    (error,) = report.errors
    assert (error.rule, error.source) == ("legacy-recurrent", "unity")
    assert error.message.startswith("Models from com.unity.ml-agents 1.x that use recurrent neural networks are not")
