"""Recorded episodes: the same numbers as ML-Agents' own loader where that is right, and every bad file by name."""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.demo_loader import demo_to_buffer, write_demo
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.trajectory import ObsUtil
from mlagents_envs.base_env import ActionSpec, BehaviorSpec, DimensionProperty, ObservationSpec, ObservationType
from mlagents_envs.communicator_objects.agent_info_action_pair_pb2 import AgentInfoActionPairProto
from mlagents_envs.communicator_objects.brain_parameters_pb2 import BrainParametersProto
from mlagents_envs.communicator_objects.demonstration_meta_pb2 import DemonstrationMetaProto
from mlagents_envs.communicator_objects.observation_pb2 import PNG
from PIL import Image

from mlagents_plugin_shared.data import ReplayBuffer, ReplayKey
from mlagents_plugin_shared.data.demonstrations import DemonstrationError, load_demonstrations
from mlagents_plugin_shared.data.trajectories import Segment, blank_segment
from mlagents_plugin_shared.testing import Corridor, train

BRANCHES = (3, 2)
FOLDER = os.environ.get("MLAGENTS_REFERENCE_DATA")
recorded = pytest.mark.skipif(not FOLDER, reason="MLAGENTS_REFERENCE_DATA names no folder of recordings")


def behavior_spec(
    branches: Sequence[int] = BRANCHES, shapes: Sequence[tuple[int, ...]] = ((2,),), continuous: int = 0
) -> BehaviorSpec:
    sensors = [
        ObservationSpec(shape, (DimensionProperty.NONE,) * len(shape), ObservationType.DEFAULT, f"sensor_{i}")
        for i, shape in enumerate(shapes)
    ]
    return BehaviorSpec(sensors, ActionSpec(continuous, tuple(branches)))


def pair(
    count: int,
    actions: Sequence[int] = (1, 0),
    *,
    agent: int = 0,
    done: bool = False,
    interrupted: bool = False,
    forbidden: Sequence[bool] = (),
    pictures: bool = False,
) -> AgentInfoActionPairProto:
    """A decision whose observation is `count` and its negative, and whose reward is `count`."""
    message = AgentInfoActionPairProto()
    info = message.agent_info
    info.id, info.reward, info.done, info.max_step_reached = agent, count, done, interrupted
    info.group_reward = 10.0 * count
    info.action_mask.extend(forbidden)
    info.observations.add(shape=[2]).float_data.data.extend([count, -count])
    if pictures:
        encoded = io.BytesIO()
        Image.fromarray(np.full((4, 5, 3), count, np.uint8)).save(encoded, "PNG")
        info.observations.add(shape=[3, 4, 5], compression_type=PNG, compressed_data=encoded.getvalue())
    message.action_info.discrete_actions.extend(actions)
    return message


def write(
    path: Path,
    pairs: Sequence[AgentInfoActionPairProto],
    *,
    branches: Sequence[int] = BRANCHES,
    continuous: int = 0,
    steps: int | None = None,
    version: int = 1,
) -> Path:
    brain = BrainParametersProto(brain_name="Toy")
    brain.action_spec.num_continuous_actions = continuous
    brain.action_spec.num_discrete_actions = len(branches)
    brain.action_spec.discrete_branch_sizes.extend(branches)
    meta = DemonstrationMetaProto(api_version=version, number_steps=len(pairs) if steps is None else steps)
    write_demo(str(path), meta, brain, pairs)
    return path


def segments(path: Path, spec: BehaviorSpec | None = None, memory: int = 0) -> list[Segment]:
    spec = spec or behavior_spec()
    return [episode.segment(spec, memory) for episode in load_demonstrations(path, spec)]


def observed(found: Sequence[Segment]) -> list[list[float]]:
    """The counts that each segment observed, the last of which came after its decisions."""
    return [segment.observations[0][:, 0].tolist() for segment in found]


def ends(found: Sequence[Segment]) -> list[tuple[bool, bool]]:
    return [(segment.terminated, segment.interrupted) for segment in found]


def test_demonstration_is_what_ml_agents_reads(tmp_path: Path) -> None:
    """Two whole episodes that share a pair: all numbers agree. A third, of one decision and no end, is left out."""
    actions = [(i % 3, i % 2) for i in range(7)]
    path = write(tmp_path / "a.demo", [pair(i, actions[i], done=i in (3, 5)) for i in range(7)])
    found = segments(path)
    _, theirs = demo_to_buffer(str(path), 1, behavior_spec())
    assert observed(found) == [[0, 1, 2, 3], [3, 4, 5]]
    ours = np.concatenate([segment.observations[0][:-1] for segment in found])
    np.testing.assert_array_equal(ours, np.array(theirs[ObsUtil.get_name_at(0)])[:5])
    for key in (BufferKey.DISCRETE_ACTION, BufferKey.ENVIRONMENT_REWARDS, BufferKey.DONE):
        ours = np.concatenate([segment.columns[key] for segment in found])
        np.testing.assert_array_equal(ours, np.array(theirs[key])[:5], err_msg=str(key))


@recorded
@pytest.mark.parametrize("name", ["ExpertBasic", "Expert3DBall"])
def test_unitys_recordings_are_what_ml_agents_reads(name: str) -> None:
    """Files from Unity, discrete with ten episodes and continuous without an end: all numbers agree."""
    path = Path(str(FOLDER)) / f"{name}.demo"
    spec, theirs = demo_to_buffer(str(path), 1)
    found = segments(path, spec)
    action = BufferKey.DISCRETE_ACTION if spec.action_spec.discrete_size else BufferKey.CONTINUOUS_ACTION
    assert sum(map(len, found)) == theirs.num_experiences
    for key in (action, BufferKey.ENVIRONMENT_REWARDS, BufferKey.DONE):
        ours = np.concatenate([segment.columns[key] for segment in found])
        np.testing.assert_array_equal(ours, np.array(theirs[key], dtype=ours.dtype), err_msg=str(key))
    ours = np.concatenate([segment.observations[0][:-1] for segment in found])
    np.testing.assert_array_equal(ours, np.array(theirs[ObsUtil.get_name_at(0)]))
    assert ends(found) == [(True, False)] * (len(found) - 1) + [(False, False)]


def test_last_state_of_an_episode_is_not_acted_in(tmp_path: Path) -> None:
    """Recordings of today have a pair for the end, with the old agent's id: nothing leads from it to the next one."""
    pairs = [pair(0, agent=1), pair(1, agent=1), pair(2, agent=1, done=True)]
    pairs += [pair(3, agent=2), pair(4, agent=2, done=True, interrupted=True)]
    found = segments(write(tmp_path / "a.demo", pairs))
    assert observed(found) == [[0, 1, 2], [3, 4]]
    assert ends(found) == [(True, False), (False, True)]
    assert [segment.columns[BufferKey.DONE].tolist() for segment in found] == [[False, True], [True]]


def test_interrupted_end_in_the_place_of_which_the_next_episode_begins_is_left_out(tmp_path: Path) -> None:
    """The state after the interruption was not recorded, and the next episode's first state is not its successor."""
    pairs = [pair(i, done=i == 3, interrupted=i == 3) for i in range(6)]
    found = segments(write(tmp_path / "a.demo", pairs))
    assert observed(found) == [[0, 1, 2], [3, 4, 5]]
    assert ends(found) == [(False, False)] * 2


def test_episodes_of_one_decision_are_kept(tmp_path: Path) -> None:
    """Each pair ends one episode and begins the next, of one agent or of another each time."""
    for name, agents in (("same", [0] * 4), ("other", [5, 6, 7, 7])):
        pairs = [pair(i, agent=agent, done=i > 0) for i, agent in enumerate(agents)]
        found = segments(write(tmp_path / f"{name}.demo", pairs))
        assert observed(found) == [[0, 1], [1, 2], [2, 3]]
        assert ends(found) == [(True, False)] * 3


def test_recordings_that_break_off_are_not_joined_to_what_follows(tmp_path: Path) -> None:
    """Neither where the agent changes without an end, nor from one file of a folder to the next, in order of names."""
    write(tmp_path / "b.demo", [pair(i, agent=1) for i in range(3)])
    write(tmp_path / "a.demo", [pair(i + 10, agent=1 + i // 3) for i in range(6)])
    (tmp_path / "notes.txt").write_text("no demonstration")
    found = segments(tmp_path)
    assert observed(found) == [[10, 11, 12], [13, 14, 15], [0, 1, 2]]
    assert ends(found) == [(False, False)] * 3
    assert len({segment.agent_id for segment in found}) == 3


def test_segment_has_the_columns_of_the_agents_own(tmp_path: Path) -> None:
    """Keys, types and widths are those of a blank segment, with memory of zeros; rewards are those after the action."""
    pairs = [pair(i, (i % 3, i % 2), done=i == 3, agent=1) for i in range(4)]
    (found,) = segments(write(tmp_path / "a.demo", pairs), memory=6)
    blank = blank_segment(behavior_spec(), 6)
    assert found.layout == blank.layout
    assert {key: column.dtype for key, column in found.columns.items()} == {
        key: column.dtype for key, column in blank.columns.items()
    }
    assert found.columns[BufferKey.PREV_ACTION].tolist() == [[0, 0], [0, 0], [1, 1]]
    assert found.columns[BufferKey.ENVIRONMENT_REWARDS].tolist() == [1, 2, 3]
    assert found.columns[BufferKey.GROUP_REWARD].tolist() == [10, 20, 30]
    assert not found.columns[BufferKey.MEMORY].any()


def test_recorded_masks_say_what_is_forbidden(tmp_path: Path) -> None:
    """A segment's mask says what is allowed; a decision without one allows everything; the next mask is known."""
    masks = [(True, False, False, False, True), (), (False, True, False, True, False), ()]
    pairs = [pair(i, forbidden=mask, done=i == 3, agent=1) for i, mask in enumerate(masks)]
    (found,) = segments(write(tmp_path / "a.demo", pairs))
    assert found.columns[BufferKey.ACTION_MASK].tolist() == [[0, 1, 1, 1, 0], [1] * 5, [1, 0, 1, 0, 1]]
    replay = ReplayBuffer(3)
    replay.add(found)
    assert replay.gather(np.arange(3))[ReplayKey.NEXT_ACTION_MASK].tolist() == [[1] * 5, [1, 0, 1, 0, 1], [1] * 5]


def test_pictures_are_decoded_as_ml_agents_decodes_them(tmp_path: Path) -> None:
    """A PNG beside a vector: the same float32, which a replay keeps in 8 bits."""
    pairs = [pair(i, pictures=True, done=i == 3) for i in range(4)]
    path = write(tmp_path / "a.demo", pairs)
    spec = behavior_spec(shapes=((2,), (3, 4, 5)))
    (found,) = segments(path, spec)
    _, theirs = demo_to_buffer(str(path), 1, spec)
    assert found.observations[1].dtype == np.float32
    np.testing.assert_array_equal(found.observations[1][:-1], np.array(theirs[ObsUtil.get_name_at(1)]))
    replay = ReplayBuffer(3)
    replay.add(found)
    np.testing.assert_array_equal(replay.gather(np.arange(3))[ObsUtil.get_name_at(1)], found.observations[1][:-1])


def test_actions_of_old_recordings_are_found(tmp_path: Path) -> None:
    """Files from before discrete actions had a field of their own hold them as floats."""
    pairs = [pair(i, ()) for i in range(3)]
    for message in pairs:
        message.action_info.vector_actions_deprecated.extend([2.0, 1.0])
    (found,) = segments(write(tmp_path / "a.demo", pairs))
    assert found.columns[BufferKey.DISCRETE_ACTION].tolist() == [[2, 1]] * 2


def test_recording_that_was_never_closed_is_read(tmp_path: Path) -> None:
    """The number of decisions in its head is then 0."""
    assert observed(segments(write(tmp_path / "a.demo", [pair(i) for i in range(4)], steps=0))) == [[0, 1, 2, 3]]


def test_decoding_twice_gives_the_same(tmp_path: Path) -> None:
    """Episodes that share a pair do not take its end from each other, in whatever order they are decoded."""
    path = write(tmp_path / "a.demo", [pair(i, done=i in (2, 4)) for i in range(5)])
    episodes = load_demonstrations(path, behavior_spec())
    for _ in range(2):
        assert ends([episode.segment(behavior_spec(), 0) for episode in reversed(episodes)]) == [(True, False)] * 2


def good() -> list[AgentInfoActionPairProto]:
    return [pair(i, done=i == 3) for i in range(4)]


def with_bad_reward() -> list[AgentInfoActionPairProto]:
    pairs = good()
    pairs[2].agent_info.reward = float("nan")
    return pairs


def with_other_shape_inside() -> list[AgentInfoActionPairProto]:
    pairs = good()
    del pairs[2].agent_info.observations[0].float_data.data[:]
    return pairs


@pytest.mark.parametrize(
    ("pairs", "options", "message"),
    [
        (good(), {"branches": (3, 3)}, "was recorded with discrete branches of 3, 3, but the behavior has .* 3, 2"),
        (good(), {"branches": (), "continuous": 2}, "was recorded with 2 continuous actions, but .* branches of 3, 2"),
        ([], {}, "is empty: 0 recorded decisions"),
        ([pair(0)], {}, "is empty: 1 recorded decisions"),
        ([pair(0), pair(1)], {}, "is empty: 2 recorded decisions"),
        (good(), {"steps": 9}, "is damaged, or no recording: it is cut short, after 4 of 9 decisions"),
        (good(), {"version": 7}, "is damaged, or no recording: version 7 of the format is not known"),
        ([pair(i, (1, 2)) for i in range(3)], {}, r"is damaged after 0 decisions: .* outside of the branches \(3, 2\)"),
        ([pair(i, (1,)) for i in range(3)], {}, r"is damaged after 0 decisions: there are \[1\] discrete_actions"),
        (with_bad_reward(), {}, "is damaged after 0 decisions: The rewards provided had NaN"),
        (with_other_shape_inside(), {}, "is damaged after 0 decisions: "),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_bad_recordings_are_refused_by_name(tmp_path: Path, pairs, options: dict, message: str) -> None:
    """One line with the file, what was found and what is expected."""
    path = write(tmp_path / "bad.demo", pairs, **options)
    with pytest.raises(DemonstrationError, match=message) as error:
        segments(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_other_observations_are_refused_by_name(tmp_path: Path) -> None:
    """Another size, and a sensor too many."""
    path = write(tmp_path / "bad.demo", good())
    for shapes in (((3,),), ((2,), (2,))):
        with pytest.raises(DemonstrationError, match=r"bad.demo was recorded with .* shape \[\(2,\)\], but .* has \["):
            load_demonstrations(path, behavior_spec(shapes=shapes))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"is empty"),
        (b"\xff" * 100, r"is damaged, or no recording"),
        (b"behaviors:\n  Basic:\n    trainer_type: dqn\n", r"is no \.demo file but a text file"),
    ],
)
def test_files_of_other_kinds_are_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    """Nothing, no message, and text."""
    path = tmp_path / "bad.demo"
    path.write_bytes(content)
    with pytest.raises(DemonstrationError, match=rf"bad\.demo {said}"):
        load_demonstrations(path, behavior_spec())


@pytest.mark.parametrize("key", ["gail", "behavioral_cloning"])
@pytest.mark.parametrize(
    ("branches", "line"),
    [
        ((3,), r"observations of shape \[\(2,\)\], but the behavior has \[\(\d+,\)\]\. Record it with"),
        ((4, 4), r"discrete branches of 4, 4, but the behavior has discrete branches of 3\. Record it with"),
    ],
)
def test_recording_of_another_behavior_is_named_where_ml_agents_reads_it(
    tmp_path: Path, key: str, branches: tuple[int, ...], line: str
) -> None:
    """GAIL and behavioural cloning: both actions or both observations, and the key."""
    demo = {"demo_path": str(write(tmp_path / "a.demo", [pair(i, branches) for i in range(9)], branches=branches))}
    config = {"trainer_type": "ppo", "max_steps": 100, "hyperparameters": {"batch_size": 16, "buffer_size": 64}}
    added = {"reward_signals": {"extrinsic": {}, "gail": demo}} if key == "gail" else {"behavioral_cloning": demo}
    with pytest.raises(TrainerConfigError, match=rf"^Toy: .*{key}: demo_path: \S+a\.demo was recorded with {line}"):
        train(Corridor(), {**config, **added}, tmp_path / "results")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_truncated_files_are_refused(tmp_path: Path, share: float) -> None:
    """Wherever a copy stopped."""
    path = write(tmp_path / "bad.demo", good())
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DemonstrationError, match=r"bad\.demo is"):
        load_demonstrations(path, behavior_spec())


def test_missing_files_are_named(tmp_path: Path) -> None:
    """Neither a file, nor a folder with one."""
    with pytest.raises(DemonstrationError, match=r"there is no file or folder .*none\.demo"):
        load_demonstrations(tmp_path / "none.demo", behavior_spec())
    with pytest.raises(DemonstrationError, match=r"the folder .* holds no \.demo file"):
        load_demonstrations(tmp_path, behavior_spec())
