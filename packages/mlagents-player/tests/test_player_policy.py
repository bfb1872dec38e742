"""Policies: exported models as Unity runs them, and chance."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from mlagents_envs.base_env import ActionSpec, BehaviorSpec
from onnx import TensorProto, helper, numpy_helper

from mlagents_player import policy, scenes, vector_observation
from mlagents_player.academy import AgentInfos
from mlagents_player.errors import PlayerError
from mlagents_player.policy import OnnxPolicy, RandomPolicy

SPEC = BehaviorSpec([vector_observation(2)], ActionSpec(0, (3,)))
TEAMS = ("Soccer?team=0", "Soccer?team=1")


def infos(agents: int, observations: int = 2, masks: np.ndarray | None = None) -> AgentInfos:
    ids = np.arange(agents, dtype=np.int32)
    seen = [np.ones((agents, observations), np.float32)]
    return AgentInfos(ids, np.zeros(agents, np.float32), seen, False, np.zeros(agents, bool), masks)


def counting_model(file: Path, observations: int = 2) -> Path:
    """A model whose memory counts its calls and whose action is the memory before: 0, 1, 2, ..."""
    tensor = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Add", ["recurrent_in", "one"], ["recurrent_out"]),
        helper.make_node("Reshape", ["recurrent_in", "flat"], ["count"]),
        helper.make_node("ReduceSum", ["obs_0", "axis"], ["sum"]),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        helper.make_node("Add", ["count", "nothing"], ["number"]),
        helper.make_node("Cast", ["number"], ["deterministic_discrete_actions"], to=TensorProto.INT64),
        helper.make_node("Mul", ["action_masks", "zero"], ["unused"]),
    ]
    constants = [
        helper.make_tensor("one", TensorProto.FLOAT, [1, 1, 1], [1]),
        helper.make_tensor("zero", TensorProto.FLOAT, [1], [0]),
        helper.make_tensor("flat", TensorProto.INT64, [2], [-1, 1]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
    ]
    inputs = {"obs_0": ["batch", observations], "action_masks": ["batch", 3], "recurrent_in": ["batch", 1, 1]}
    graph = helper.make_graph(
        nodes,
        "counter",
        [tensor(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [
            tensor("deterministic_discrete_actions", TensorProto.INT64, ["batch", 1]),
            tensor("recurrent_out", TensorProto.FLOAT, ["batch", 1, 1]),
        ],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), file)
    return file


def test_model_keeps_a_memory_for_each_agent(tmp_path: Path) -> None:
    """The memory goes on from call to call, agent by agent, and begins anew after an episode's end."""
    model = OnnxPolicy(counting_model(tmp_path / "B.onnx"), "B", SPEC)
    assert model.act(infos(2)).discrete.tolist() == [[0], [0]]
    assert model.act(infos(1)).discrete.tolist() == [[1]]
    assert model.act(infos(2)).discrete.tolist() == [[2], [1]]
    model.forget(np.array([0]))
    assert model.act(infos(2)).discrete.tolist() == [[0], [2]]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (BehaviorSpec([vector_observation(3)], ActionSpec(0, (3,))), r"takes obs_0 of shape \[2\]; .* gives \[3\]"),
        (BehaviorSpec([vector_observation(2)], ActionSpec(2, ())), "has no continuous actions"),
        (BehaviorSpec([], ActionSpec(0, (3,))), "has the input obs_0"),
    ],
)
def test_model_that_does_not_fit_is_refused(spec: BehaviorSpec, says: str, tmp_path: Path) -> None:
    """With the file, the behaviour and both shapes."""
    with pytest.raises(PlayerError, match=says):
        OnnxPolicy(counting_model(tmp_path / "B.onnx"), "B", spec)


def test_model_that_is_none_is_refused(tmp_path: Path) -> None:
    """Garbage and a missing file are one line."""
    (tmp_path / "bad.onnx").write_bytes(b"\xff\x00garbage")
    with pytest.raises(PlayerError, match="cannot be loaded"):
        OnnxPolicy(tmp_path / "bad.onnx", "B", SPEC)
    with pytest.raises(PlayerError, match=r"no model .*none\.onnx for behaviour B"):
        policy.load(tmp_path / "none.onnx", {"B": SPEC})


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (POINTER, "is a Git LFS pointer, not the file itself: run `git lfs pull`"),
        (b"<!DOCTYPE html><html>", "is an HTML page, not the file itself: download it"),
        (b"PK\x03\x04 and more", r"is no \.onnx file but a zip archive"),
    ],
)
def test_model_that_is_something_else_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    """The file, what it is and what to do."""
    (tmp_path / "B.onnx").write_bytes(content)
    with pytest.raises(PlayerError, match=rf"B\.onnx {says}"):
        OnnxPolicy(tmp_path / "B.onnx", "B", SPEC)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            None,
            r"B\.onnx is without its weights: they lie in B\.onnx\.data, which is missing\. Put B\.onnx\.data beside",
        ),
        (POINTER, r"B\.onnx is without its weights: .*B\.onnx\.data is a Git LFS pointer"),
        (b"\x00\x01", r"B\.onnx cannot be loaded with its weights in B\.onnx\.data: copy both again"),
    ],
)
def test_weights_that_are_not_beside_their_model_are_named(tmp_path: Path, content: bytes | None, says: str) -> None:
    """It is not the model that is missing. With its weights beside it, it is loaded."""
    model = onnx.load(counting_model(tmp_path / "B.onnx"))
    model.graph.initializer.append(numpy_helper.from_array(np.ones(1000, np.float32), "ones"))
    model.graph.node[0].input[1] = "largest"
    model.graph.node.insert(0, helper.make_node("ReduceMax", ["ones"], ["largest"], keepdims=0))
    onnx.save(model, tmp_path / "B.onnx", save_as_external_data=True, location="B.onnx.data", size_threshold=1000)
    assert OnnxPolicy(tmp_path / "B.onnx", "B", SPEC).act(infos(1)).discrete.tolist() == [[0]]
    (tmp_path / "B.onnx.data").unlink()
    if content is not None:
        (tmp_path / "B.onnx.data").write_bytes(content)
    with pytest.raises(PlayerError, match=says):
        OnnxPolicy(tmp_path / "B.onnx", "B", SPEC)


def test_folder_has_a_model_for_each_behavior(tmp_path: Path) -> None:
    """As a run's results do; teams share one."""
    counting_model(tmp_path / "Soccer.onnx")
    loaded = policy.load(tmp_path, {"Soccer?team=0": SPEC, "Soccer?team=1": SPEC})
    assert set(loaded) == {"Soccer?team=0", "Soccer?team=1"}
    with pytest.raises(PlayerError, match=r"Other\.onnx"):
        policy.load(tmp_path, {"Other": SPEC})


def drawing_model(file: Path) -> Path:
    """A model that draws two normal numbers for an agent."""
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("RandomNormalLike", ["obs_0"], ["continuous_actions"])],
        "drawer",
        [tensor("obs_0", TensorProto.FLOAT, ["batch", 2])],
        [tensor("continuous_actions", TensorProto.FLOAT, ["batch", 2])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), file)
    return file


def test_teams_of_one_model_draw_from_streams_of_their_own(tmp_path: Path) -> None:
    """Otherwise both act alike; the same seed draws the same again."""
    file, spec = drawing_model(tmp_path / "B.onnx"), BehaviorSpec([vector_observation(2)], ActionSpec(2, ()))
    once, again, other = (
        [
            loaded.act(infos(50)).continuous
            for loaded in policy.load(file, dict.fromkeys(TEAMS, spec), seed=seed).values()
        ]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(once, again)
    numbers = [*once, *other]
    assert len(np.unique(np.concatenate(numbers))) == sum(map(np.size, numbers))


def test_random_policy_respects_masks() -> None:
    """Over many draws every allowed action occurs and no masked one; branches are drawn apart."""
    chance = RandomPolicy(ActionSpec(2, (3, 2)), np.random.default_rng(0))
    masks = np.tile([False, True, False, False, False], (500, 1))
    actions = chance.act(infos(500, masks=masks))
    assert set(actions.discrete[:, 0]) == {0, 2}
    assert set(actions.discrete[:, 1]) == {0, 1}
    assert (np.abs(actions.continuous) <= 1).all()
    assert actions.continuous.shape == (500, 2)


@pytest.mark.parametrize(
    ("scene", "model", "total"),
    [
        ("3DBall", "deterContinuous2vis8vec2action_v2_0.onnx", 100),
        ("Basic", "deterDiscrete1obs3action_v2_0.onnx", 0.93),
    ],
)
def test_models_trained_in_unity_reach_unitys_benchmark(scene: str, model: str, total: float) -> None:
    """What Unity's engine taught works here: two models of Unity's own tests get the best return in every episode."""
    from mlagents_player.evaluation import Evaluation
    from mlagents_player.parameters import EnvironmentParameters

    folder = os.environ.get("MLAGENTS_REFERENCE_DATA")
    if not folder:
        pytest.skip("MLAGENTS_REFERENCE_DATA names no folder of models")
    scene_type = scenes.load(scene)
    evaluated = Evaluation(policy.load(Path(folder, model), scene_type.behaviors), wanted=4)
    evaluated.run(scene_type(4, np.random.default_rng(0), EnvironmentParameters()), lambda: None)
    assert [episode.total for episode in evaluated.finished] == pytest.approx([total] * 4)
