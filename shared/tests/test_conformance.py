"""Unity's acceptance rules, and those beyond: each catches its mutation, and good models pass."""

import json
import os
import sys
from pathlib import Path

import onnx
import pytest

from mlagents_plugin_shared.conformance import Behavior, ModelFileError, check_model
from mlagents_plugin_shared.conformance.cli import main
from mlagents_plugin_shared.conformance.findings import RULES
from onnx_changes import drop, mutate
from onnx_mutations import ACTIONS, BEHAVIOR, MUTATIONS, OBSERVATIONS, Mutation, export_good_model

FOLDER = os.environ.get("MLAGENTS_REFERENCE_DATA")
reference = pytest.mark.skipif(not FOLDER, reason="MLAGENTS_REFERENCE_DATA names no folder of models")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is right."""
    return export_good_model(tmp_path_factory.mktemp("models"))


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


def test_command_prints_and_exits_0_for_good_models(good: Path, capsys: pytest.CaptureFixture) -> None:
    """A line for a human, and what the model is for in the syntax of the options."""
    assert main([str(good), "--observations", *OBSERVATIONS, "--actions", *ACTIONS, "--deterministic"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{good}: accepted"
    assert second == "  observations 4 3x20x24 5x6, actions continuous:2 discrete:3,3, memory 8"


def test_command_exits_1_if_one_model_is_not_accepted(good: Path, capsys: pytest.CaptureFixture) -> None:
    """With the rule and Unity's message."""
    assert main([str(good), "--actions", "continuous:2"]) == 1
    printed = capsys.readouterr().out
    assert f"{good}: NOT accepted" in printed
    assert "error branch-count: Unity says: Discrete Action Size of the model does not match." in printed


def test_command_prints_json(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A list of reports, in the order of the command line."""
    bad = mutate(good, tmp_path / "bad.onnx", [drop("version_number")])
    assert main([str(good), str(bad), "--json"]) == 1
    reports = json.loads(capsys.readouterr().out)
    assert [(each["path"], each["accepted"]) for each in reports] == [(str(good), True), (str(bad), False)]
    assert reports[0]["findings"] == []
    assert reports[1]["findings"][0] == {
        "rule": "version-number",
        "message": 'Required constant "version_number" was not found in the model file.',
        "source": "unity",
        "level": "error",
    }


@pytest.mark.parametrize("content", [None, b"", b"not a model", "folder"])
def test_command_exits_2_for_what_is_no_model(good: Path, tmp_path: Path, capsys, content) -> None:
    """A missing file, an empty one, a text, a folder: one line on stderr, and the other models are still checked."""
    path = tmp_path / "model.onnx"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    assert main([str(path), str(good)]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"mlagents-onnx-check: {path}")
    assert printed.err.count("\n") == 1
    assert printed.out.startswith(f"{good}: accepted")
    with pytest.raises(ModelFileError):
        check_model(path)


def with_side_file(good: Path, folder: Path) -> Path:
    """The model with all weights in a file beside it."""
    model = folder / "model.onnx"
    options = {"save_as_external_data": True, "location": "model.onnx.data", "size_threshold": 0}
    onnx.save(onnx.load(good), model, **options)
    return model


def test_model_is_read_with_the_file_beside_it(good: Path, tmp_path: Path) -> None:
    """A control of the next test."""
    assert check_model(with_side_file(good, tmp_path), BEHAVIOR).accepted


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "{model} is without its weights: they lie in model.onnx.data, which is missing. Put model.onnx.data"),
        (b"version https://git-lfs.github.com/spec/v1\n", "{model} is without its weights: {model}.data is a Git LFS"),
        (b"\x00\x01", "{model} is without its weights: {model}.data is cut short: export or copy it again"),
        (b"", "{model} is without its weights: {model}.data is empty"),
    ],
)
def test_command_names_weights_that_are_missing(good: Path, tmp_path: Path, capsys, content, line: str) -> None:
    """It is not the model that is missing, and the remedy is to put its other file beside it."""
    model = with_side_file(good, tmp_path)
    side = tmp_path / "model.onnx.data"
    side.unlink()
    if content is not None:
        side.write_bytes(content)
    assert main([str(model)]) == 2
    assert capsys.readouterr().err.startswith(f"mlagents-onnx-check: {line.format(model=model)}")


@pytest.mark.parametrize(
    "options",
    [
        ["--observations", "84x84x84x3"],
        ["--observations", "4", "model.onnx"],
        ["--actions", "3,2"],
        ["--actions", "discrete:3", "discrete:2"],
        ["--actions", "continuous:0"],
    ],
)
def test_command_exits_2_for_what_it_cannot_read(good: Path, capsys: pytest.CaptureFixture, options) -> None:
    """Sizes of another form are named, with an example."""
    with pytest.raises(SystemExit) as ended:
        main([str(good), *options])
    assert ended.value.code == 2
    assert options[-1] in capsys.readouterr().err


def test_check_says_when_it_could_not_run_the_model(good: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    """Without onnxruntime what the file shows is checked all the same."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main([str(good)]) == 0
    assert "onnxruntime is not installed: the model was not run" in capsys.readouterr().out
    bad = mutate(good, tmp_path / "bad.onnx", [drop("version_number")])
    assert not check_model(bad).accepted


def test_readme_lists_every_rule() -> None:
    """What the command may say is explained."""
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert [rule for rule in RULES if f"`{rule}`" not in readme] == []
