"""Demonstrations: what is recorded here is what ML-Agents and the fidelity command read."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from mlagents_envs.communicator_objects.agent_info_action_pair_pb2 import AgentInfoActionPairProto
from mlagents_envs.communicator_objects.brain_parameters_pb2 import BrainParametersProto
from mlagents_envs.communicator_objects.demonstration_meta_pb2 import DemonstrationMetaProto

from mlagents_player import demonstrations, fidelity, scenes
from mlagents_player.academy import Academy, AgentInfos, Reply
from mlagents_player.demonstrations import META_BYTES
from mlagents_player.errors import PlayerError
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.recording import Recorder, _meta_data, _write_new
from player_testing import in_editor, random_actions, random_step


def recorded(name: str, path: Path, steps: int, areas: int = 1) -> Recorder:
    """A scene that was played at random for some academy steps."""
    scene_type = scenes.load(name)
    recorder = Recorder(path, scene_type.behaviors)
    rng = np.random.default_rng(0)

    def decide(infos: dict[str, list[AgentInfos]]) -> Reply:
        deciding = {b: batch for b, batches in infos.items() for batch in batches if not batch.done}
        actions = {
            behavior: random_actions(scene_type.behaviors[behavior].action_spec, len(batch.ids), rng)
            for behavior, batch in deciding.items()
        }
        reply = Reply(actions)
        recorder.note(infos, reply)
        return reply

    academy = Academy(scene_type(areas, np.random.default_rng(1), EnvironmentParameters()))
    for _ in range(steps):
        academy.step(decide)
    return recorder


def messages(file: Path) -> tuple[DemonstrationMetaProto, BrainParametersProto, list[AgentInfoActionPairProto]]:
    meta, brain, *pairs = demonstrations._delimited(file.read_bytes())
    return (
        DemonstrationMetaProto.FromString(meta),
        BrainParametersProto.FromString(brain),
        [AgentInfoActionPairProto.FromString(pair) for pair in pairs],
    )


def test_recording_of_basic_is_exact(tmp_path: Path) -> None:
    """The fidelity command replays it without any difference: observations, rewards and ends."""
    (file,) = recorded("Basic", tmp_path / "deep" / "basic.demo", 400).save()
    comparison = fidelity.compare(scenes.load("Basic"), demonstrations.read(file))
    assert np.array_equal(comparison.predicted, comparison.recorded)
    assert comparison.equal_rewards == comparison.equal_ends == len(comparison.recorded)


def test_recording_tells_its_size(tmp_path: Path) -> None:
    """Meta data in their fixed place: steps, episodes and the mean return."""
    (file,) = recorded("Basic", tmp_path / "a name that is longer.demo", 400).save()
    meta, brain, pairs = messages(file)
    assert (meta.api_version, meta.demonstration_name, meta.number_steps) == (1, "a name that is l", len(pairs))
    rewards = np.array([pair.agent_info.reward for pair in pairs[1:]])
    assert meta.number_episodes == 1 + sum(pair.agent_info.done for pair in pairs[:-1])
    assert meta.mean_reward == pytest.approx(rewards.sum() / meta.number_episodes)
    assert brain.brain_name == "Basic"
    assert file.read_bytes()[META_BYTES - 1] == 0


def test_recording_keeps_agents_apart(tmp_path: Path) -> None:
    """Episodes of several agents follow one another, each with its own order of observations."""
    (file,) = recorded("3DBall", tmp_path / "ball.demo", 400, areas=3).save()
    _, _, pairs = messages(file)
    ids = [pair.agent_info.id for pair in pairs]
    starts = [k for k, pair in enumerate(pairs) if pair.agent_info.done]
    assert set(ids) == {0, 1, 2}
    for before, after in zip([0, *starts[:-1]], starts, strict=True):
        assert len(set(ids[before:after])) == 1
    assert all(pair.action_info.continuous_actions for pair in pairs[:-1])


def test_recording_of_pictures_masks_and_several_behaviors(tmp_path: Path) -> None:
    """Pictures stay compressed, masks are kept, and each behaviour has a file of its own."""
    (grid,) = recorded("GridWorld", tmp_path / "grid.demo", 60).save()
    info = messages(grid)[2][0].agent_info
    assert info.observations[0].compressed_data.startswith(b"\x89PNG")
    assert len(info.action_mask) == 5
    files = recorded("SoccerTwos", tmp_path / "soccer.demo", 20).save()
    assert [file.name for file in files] == ["soccer-SoccerTwos-team-0.demo", "soccer-SoccerTwos-team-1.demo"]


def test_recording_is_read_by_mlagents(tmp_path: Path) -> None:
    """ML-Agents' own loader makes a buffer of it, with an end for each episode."""
    loader = pytest.importorskip("mlagents.trainers.demo_loader", reason="needs mlagents beside the player")
    (file,) = recorded("FoodCollector", tmp_path / "food.demo", 100).save()
    spec, pairs, total = loader.load_demonstration(str(file))
    assert spec == scenes.load("FoodCollector").behaviors["FoodCollector"]
    assert len(pairs) == total
    _, buffer = loader.demo_to_buffer(str(file), 1)
    assert buffer.num_experiences == total - 1


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("демонстрация", "демонстра"),  # two bytes a character; the numbers leave 19 of the 33
        ("ボールを押す見本です", "ボールを押す"),  # three
        ("🎓🎓🎓🎓🎓", "🎓🎓🎓🎓"),  # four
        ("entraînement-3déb", "entraînement-3dé"),
        ("not \udcff Unicode", "not ? Unicode"),
    ],
)
def test_recording_names_what_fits_of_any_name(tmp_path: Path, name: str, shown: str) -> None:
    """The name is cut between two characters, so that the meta data end where ML-Agents' reader expects it."""
    (file,) = recorded("Basic", tmp_path / f"{name}.demo", 100).save()
    meta, brain, pairs = messages(file)
    assert (meta.demonstration_name, brain.brain_name) == (shown, "Basic")
    assert meta.number_steps == len(pairs)


@pytest.mark.parametrize(
    ("steps", "episodes", "length"),
    [(200_000, 16_383, 16), (200_000, 16_384, 15), (2_097_152, 200, 15), (2**31 - 1, 2**31 - 1, 11)],
)
def test_recording_of_many_steps_shortens_the_name(steps: int, episodes: int, length: int) -> None:
    """1 + 2 + (2 + name) + (1 + steps) + (1 + episodes) + 5 bytes are 33 at most, where a number takes 1 to 5."""
    head = _meta_data("abcdefghijklmnop", steps, episodes, 0.5)
    meta = DemonstrationMetaProto.FromString(next(demonstrations._delimited(head)))
    assert len(head) == META_BYTES
    assert meta.demonstration_name == "abcdefghijklmnop"[:length]
    assert (meta.number_steps, meta.number_episodes) == (steps, episodes)


def test_recording_never_overwrites(tmp_path: Path) -> None:
    """Of several players, and of one that is started again, each has the first free name, as in Unity."""
    again = [recorded("Basic", tmp_path / "two.demo", 100).save()[0].name for _ in range(3)]
    assert again == ["two.demo", "two-1.demo", "two-2.demo"]
    teams = [recorded("SoccerTwos", tmp_path / "soccer.demo", 20).save()[1].name for _ in range(2)]
    assert teams == ["soccer-SoccerTwos-team-1.demo", "soccer-SoccerTwos-team-1-1.demo"]


def test_recordings_at_the_same_time_have_files_of_their_own(tmp_path: Path) -> None:
    """32 writers at once leave 32 files, each whole."""
    contents = [f"{number}".encode() * 1000 for number in range(32)]
    with ThreadPoolExecutor(8) as writers:
        files = list(writers.map(lambda content: _write_new(tmp_path / "a.demo", content), contents))
    assert len(set(files)) == len(contents)
    assert [file.read_bytes() for file in files] == contents


def test_recording_into_an_unwritable_place(tmp_path: Path) -> None:
    """One line that names the file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(PlayerError, match="Cannot write"):
        recorded("Basic", tmp_path / "file" / "basic.demo", 50).save()


def test_play_records(tmp_path: Path) -> None:
    """With `--record` the file is there when the trainer has ended the session; a reset drops what it broke off."""
    file = tmp_path / "basic.demo"
    with in_editor(scenes.load("Basic"), record=file) as environment:
        rng = np.random.default_rng(0)
        for step in range(200):
            if step == 100:
                environment.reset()
            random_step(environment, "Basic", rng)
    meta, _, pairs = messages(file)
    assert meta.number_steps == len(pairs) > 100


def test_disk_that_is_full_leaves_no_half_of_a_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reader would stumble over the rest."""

    class Full(io.FileIO):
        def write(self, data: bytes) -> int:
            super().write(data[:10])
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", lambda self, mode: Full(self, mode))
    with pytest.raises(OSError, match="No space left"):
        _write_new(tmp_path / "two.demo", b"x" * 100)
    assert list(tmp_path.iterdir()) == []
