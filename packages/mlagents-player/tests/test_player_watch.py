"""`mlagents-player watch`: returns, films and their errors."""

import json
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlagents_player import Actions, ActionSpec, BehaviorSpec, cli, evaluation, hints, policy, scenes
from mlagents_player.academy import AgentInfos
from mlagents_player.canvas import GAP, PAPER, beside
from mlagents_player.caption import Caption, captioned, words
from mlagents_player.evaluation import Evaluation, summary
from mlagents_player.film import Film
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.policy import RandomPolicy
from mlagents_player.scenes.ball3d import Ball3D
from mlagents_player.scenes.base import Scene
from mlagents_player.scenes.basic import Basic
from player_testing import continuous, discrete


class Fixed:
    """A policy that always does the same."""

    def __init__(self, act: Callable[[AgentInfos], Actions]) -> None:
        self.act = act

    def forget(self, ids: np.ndarray) -> None:
        pass


def test_returns_are_what_the_trainer_counts() -> None:
    """Seven moves right are 0.93; the reward before an episode's first decision is nobody's."""
    evaluated = Evaluation({"Basic": Fixed(discrete(2))}, wanted=3)
    evaluated.run(Basic(1, np.random.default_rng(0), EnvironmentParameters()), lambda: None)
    numbers = summary(evaluated.finished)["Basic"]
    assert numbers["episodes"] == 3
    assert numbers["return"] == {"mean": 0.93, "std": 0, "min": 0.93, "max": 0.93}
    assert numbers["decisions"]["mean"] == 7


def test_episodes_count_in_the_order_of_their_beginning() -> None:
    """With twelve platforms and twelve episodes each counts once, however early others fall again."""
    evaluated = Evaluation({"3DBall": Fixed(continuous(0.0, 0.0))}, wanted=12)
    evaluated.run(Ball3D(12, np.random.default_rng(0), EnvironmentParameters()), lambda: None)
    lengths = [episode.decisions for episode in evaluated.finished]
    assert len(lengths) == 12
    assert max(lengths) > min(lengths)
    assert evaluated._begun > 12


def test_episode_that_never_ends_is_cut_off_and_counts_with_what_it_has() -> None:
    """Basic has no time limit, and who stands still there never arrives."""
    evaluated = Evaluation({"Basic": Fixed(discrete(0))}, wanted=3, longest=20)
    evaluated.run(Basic(2, np.random.default_rng(0), EnvironmentParameters()), lambda: None)
    numbers = summary(evaluated.finished)["Basic"]
    assert (numbers["episodes"], numbers["cut_off"], numbers["decisions"]["mean"]) == (3, 3, 20.0)
    assert numbers["return"]["mean"] == pytest.approx(-0.2)


@pytest.mark.parametrize("name", [*scenes.names(), "gym:CartPole-v1"])
def test_every_scene_draws_itself(name: str) -> None:
    """A picture with even sides, many colours, and another one after some steps."""
    scene = scenes.load(name, drawn=True)(2, np.random.default_rng(0), EnvironmentParameters())
    scene.reset(np.arange(scene.num_agents))
    first, other = scene.picture(0), scene.picture(1)
    assert first.dtype == np.uint8
    assert first.ndim == 3
    assert len(np.unique(first.reshape(-1, 3), axis=0)) > 3
    assert first.shape == other.shape
    assert name.startswith("gym:") or all(side % 2 == 0 for side in first.shape[:2])
    assert name == "Basic" or not np.array_equal(first, other)


def test_watch_writes_a_gif_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Frames at the scene's pace, four a second for Basic, and the numbers as JSON alone."""
    file = tmp_path / "films" / "basic.gif"
    assert cli.main(["watch", "random", "Basic", "--episodes", "2", "--output", str(file), "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["behaviors"]["Basic"]["episodes"] == 2
    with Image.open(file) as film:
        assert film.n_frames > 10
        assert film.info["duration"] % 250 == 0  # equal frames are joined


@pytest.mark.parametrize(("ending", "magic"), [(".mp4", b"ftyp"), (".png", b"PNG")])
def test_watch_writes_an_mp4_or_a_picture(ending: str, magic: bytes, tmp_path: Path) -> None:
    """The same with the other endings."""
    file = tmp_path / f"basic{ending}"
    assert cli.main(["watch", "random", "Basic", "--episodes", "1", "--output", str(file)]) == 0
    assert magic in file.read_bytes()[:8]


def test_watch_records_what_it_sees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An evaluated policy becomes a demonstration, and the numbers one line of text; a second one says where it is."""
    file = tmp_path / "basic.demo"
    record = ["watch", "random", "Basic", "--episodes", "3", "--record", str(file)]
    assert cli.main(record) == 0
    numbers, written = capsys.readouterr().out.splitlines()
    assert numbers.startswith("Basic: return ")
    assert written == str(file)
    assert cli.main(["fidelity", "Basic", "--demo", str(file)]) == 0
    assert "exact" in capsys.readouterr().out
    assert cli.main([*record, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recorded"] == [str(tmp_path / "basic-1.demo")]


def test_watch_is_reproduced_by_its_seed(capsys: pytest.CaptureFixture[str]) -> None:
    """The same seed gives the same numbers, another one others."""
    printed = []
    for seed in ("1", "1", "2"):
        cli.main(["watch", "random", "3DBall", "--episodes", "3", "--seed", seed, "--json"])
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != printed[2]


def test_watch_takes_any_seed_as_mlagents_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """-1 draws a seed below 10,000 and says which, so that it can be had again."""
    monkeypatch.setattr(secrets, "randbelow", lambda limit: limit - 1)
    printed = []
    for seed in ("-1", "9999"):
        assert cli.main(["watch", "random", "Basic", "--episodes", "3", "--json", "--seed", seed]) == 0
        printed.append(json.loads(capsys.readouterr().out))
    assert printed[0]["seed"] == 9999
    assert printed[0] == printed[1]


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--seed=-2", "not a whole number of at least 0, or -1"),
        ("--seed=1.5", "not a whole number of at least 0, or -1"),
        ("--seconds=-1", "not a number of seconds of at least 0"),
        ("--seconds=nan", "not a number of seconds of at least 0"),
    ],
)
def test_watch_refuses_options_of_another_kind(option: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By the option's name, before anything is played."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["watch", "random", "Basic", option])
    assert stop.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert option.split("=")[0] in last
    assert says in last


def test_watch_with_an_opponent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The second team has the other policy, and each team its numbers."""
    loaded = []

    def load(model: Path, behaviors: Mapping[str, BehaviorSpec], *_: Any) -> dict[str, RandomPolicy]:
        loaded.append((model.name, *behaviors))
        return {name: RandomPolicy(spec.action_spec, np.random.default_rng(0)) for name, spec in behaviors.items()}

    monkeypatch.setattr(policy, "load", load)
    assert cli.main(["watch", "old.onnx", "SoccerTwos", "--opponent", "new.onnx", "--episodes", "4", "--json"]) == 0
    assert loaded == [("old.onnx", "SoccerTwos?team=0"), ("new.onnx", "SoccerTwos?team=1")]
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["opponent"] == "new.onnx"
    assert [numbers["behaviors"][f"SoccerTwos?team={team}"]["episodes"] for team in (0, 1)] == [2, 2]


def test_games_are_won_lost_or_undecided() -> None:
    """By the sign of the rewards where the game ended, and neither where time was up or it was cut off."""
    name = "SoccerTwos?team=0"
    ended = [evaluation.Episode(name, total=total, game=(0, place)) for place, total in enumerate((0.9, 0.1, -1, 0))]
    limited = [
        evaluation.Episode(name, total=0.5, interrupted=True, game=(0, 4)),
        evaluation.Episode(name, total=-2, cut_off=True, game=(0, 5)),
    ]
    others = [evaluation.Episode("SoccerTwos?team=1", total=1.0, game=(0, 6))]
    assert evaluation.games(ended + limited + others, name) == {"won": 2, "lost": 1, "undecided": 3}


def test_game_of_a_group_counts_once_and_by_what_the_team_got() -> None:
    """Whoever left before its end, and whatever small rewards one of its agents had."""
    name = "Game?team=0"
    left_early, stayed = (evaluation.Episode(name, total=total, game=(1, 1)) for total in (-0.2, 1.0))
    timed_out = [evaluation.Episode(name, total=0.5, interrupted=stays, game=(1, 2)) for stays in (False, True)]
    other_field = [evaluation.Episode(name, total=-1.0, game=(3, 1)) for _ in range(2)]
    found = evaluation.games([left_early, stayed, *timed_out, *other_field], name)
    assert found == {"won": 1, "lost": 1, "undecided": 1}


def batch(
    ids: list[int], groups: list[int] | None, *, reward: float, done: bool, interrupted: list[bool]
) -> AgentInfos:
    """A message about agents of groups, all with the same reward."""
    return AgentInfos(
        np.array(ids, np.int32),
        np.full(len(ids), reward, np.float32),
        [],
        done=done,
        interrupted=np.array(interrupted),
        group_ids=None if groups is None else np.array(groups, np.int32),
        group_rewards=None if groups is None else np.zeros(len(ids), np.float32),
    )


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (None, {"won": 0, "lost": 2, "undecided": 2}),
        ([0, 0, 0, 0], {"won": 0, "lost": 2, "undecided": 2}),
        ([1, 1, 3, 3], {"won": 0, "lost": 1, "undecided": 1}),
    ],
)
def test_game_that_ran_out_of_time_is_undecided(groups: list[int] | None, expected: dict[str, int]) -> None:
    """Whatever small rewards were given in it; agents of a group play it together, others each for itself."""
    chance = RandomPolicy(ActionSpec(0, (2,)), np.random.default_rng(0))
    players = Evaluation({"Game?team=0": chance}, wanted=4)
    ids = [1, 2, 3, 4]
    began = batch(ids, groups, reward=0.0, done=False, interrupted=[False] * 4)
    ended = batch(ids, groups, reward=-1.0, done=True, interrupted=[True, True, False, False])
    for infos in (began, ended):
        players.decide({"Game?team=0": [infos]})
    assert evaluation.games(players.finished, "Game?team=0") == expected


def test_next_game_of_a_group_is_another_one() -> None:
    """Its agents have the same group again."""
    players = Evaluation({"Game?team=0": RandomPolicy(ActionSpec(0, (2,)), np.random.default_rng(0))}, wanted=4)
    for reward in (1.0, -1.0):
        began = batch([1, 2], [1, 1], reward=0.0, done=False, interrupted=[False] * 2)
        ended = batch([1, 2], [1, 1], reward=reward, done=True, interrupted=[False] * 2)
        players.decide({"Game?team=0": [began]})
        players.decide({"Game?team=0": [ended]})
    assert evaluation.games(players.finished, "Game?team=0") == {"won": 1, "lost": 1, "undecided": 0}


def test_watch_counts_the_games_of_two_teams_once(capsys: pytest.CaptureFixture[str]) -> None:
    """What one team wins the other loses, two against two; a scene with one team has no games."""
    command = ["watch", "random", "SoccerTwos", "--episodes", "8"]
    cli.main([*command, "--json"])
    teams = json.loads(capsys.readouterr().out)["behaviors"].values()
    assert [numbers["episodes"] for numbers in teams] == [4, 4]
    first, second = (numbers["games"] for numbers in teams)
    assert sum(first.values()) == 2
    assert (first["won"], first["lost"], first["undecided"]) == (second["lost"], second["won"], second["undecided"])
    cli.main(command)
    assert f"; 2 games: {first['won']} won, {first['lost']} lost, {first['undecided']} undecided" in (
        capsys.readouterr().out
    )
    cli.main(["watch", "random", "Basic", "--episodes", "1", "--json"])
    assert "games" not in json.loads(capsys.readouterr().out)["behaviors"]["Basic"]


@pytest.mark.parametrize("opponent", [[], ["--opponent", "random"]])
def test_chance_plays_each_team_differently(opponent: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two teams that draw the same numbers would mirror each other."""
    drawn = []

    class Noted(RandomPolicy):
        def __init__(self, spec: ActionSpec, rng: np.random.Generator) -> None:
            super().__init__(spec, rng)
            drawn.append(rng.random())

    monkeypatch.setattr(policy, "RandomPolicy", Noted)
    assert cli.main(["watch", "random", "SoccerTwos", *opponent, "--episodes", "4"]) == 0
    assert len(set(drawn)) == 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["--episodes", "6"], 1), (["--episodes", "6", "--areas", "4"], 4), (["--episodes", "2", "--areas", "4"], 2)],
)
def test_watch_plays_in_areas_side_by_side(
    arguments: list[str], expected: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many as are asked for, and no more than the episodes fill; the episodes are as many."""
    made: list[int] = []
    begin = Basic.__init__

    def noting(scene: Basic, num_areas: int, *others: Any) -> None:
        made.append(num_areas)
        begin(scene, num_areas, *others)

    monkeypatch.setattr(Basic, "__init__", noting)
    assert cli.main(["watch", "random", "Basic", "--json", *arguments]) == 0
    assert made == [expected]
    assert json.loads(capsys.readouterr().out)["behaviors"]["Basic"]["episodes"] == int(arguments[1])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["random", "Basic", "--output", "film.avi"], "is no film; its name ends with .gif, .mp4, .png"),
        (["none.onnx", "Basic"], "There is no model none.onnx for behaviour Basic"),
        (["random", "Bsic"], "Did you mean Basic?"),
        (["random", "gym:Blackjack-v2"], "cannot be made"),
        (["random", "Basic", "--beside", "random"], "--beside random is for a film; add --output FILE.gif."),
        (["random", "Basic", "--opponent", "random"], "--opponent random: Basic has no second team; leave it out."),
        (["random", "SoccerTwos", "--opponent", "none.onnx"], "no model none.onnx for behaviour SoccerTwos?team=1"),
    ],
)
def test_watch_says_what_is_wrong(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line and code 1."""
    assert cli.main(["watch", *arguments]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("module", "distribution", "arguments"),
    [
        ("onnxruntime", "onnxruntime", ["some.onnx", "Basic"]),
        ("imageio_ffmpeg", "imageio-ffmpeg", ["random", "Basic", "--output", "a.mp4"]),
    ],
)
def test_watch_without_the_extra(
    module: str,
    distribution: str,
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where a library is missing the line to install it is given."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some.onnx").write_bytes(b"")
    monkeypatch.setitem(sys.modules, module, None)
    assert cli.main(["watch", *arguments, "--episodes", "1"]) == 1
    assert capsys.readouterr().err.endswith(f"install it with: {hints.install_command(distribution)}\n")


@pytest.mark.parametrize("method", ["__init__", "close", "picture"])
def test_watch_of_a_scene_that_raises_is_one_line(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a training: scene, method and error, and no traceback."""

    def fail(self: Scene, *arguments: object) -> None:
        raise ValueError("my own bug")

    monkeypatch.setattr(Basic, method, fail)
    assert cli.main(["watch", "random", "Basic", "--episodes", "1", "--output", str(tmp_path / "film.gif")]) == 1
    said = capsys.readouterr().err
    assert f"Scene Basic raised ValueError('my own bug') in {method} (test_player_watch.py, line" in said
    assert "Traceback" not in said


def test_watch_says_what_failed_first(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A scene that broke may fail to close, too."""

    def fail(self: Scene, *arguments: object) -> None:
        raise ValueError("my own bug")

    monkeypatch.setattr(Basic, "simulate", fail)
    monkeypatch.setattr(Basic, "close", fail)
    assert cli.main(["watch", "random", "Basic", "--episodes", "1"]) == 1
    assert "in simulate (" in capsys.readouterr().err


def test_watch_closes_its_scenes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Windows and files that a scene of somebody else's holds open are closed, once for each that was built."""
    closed: list[Scene] = []
    monkeypatch.setattr(Basic, "close", lambda scene: closed.append(scene))
    film = ["--output", str(tmp_path / "film.gif"), "--seconds", "0.1"]
    assert cli.main(["watch", "random", "Basic", "--episodes", "1", "--beside", "random", *film]) == 0
    assert len(set(map(id, closed))) == len(closed) == 2


def test_watch_without_a_screen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """No window can be opened: what to do instead."""
    monkeypatch.setitem(sys.modules, "tkinter", None)
    assert cli.main(["watch", "random", "Basic", "--window"]) == 1
    assert "No window can be opened" in capsys.readouterr().err


def test_caption_follows_an_agent_from_episode_to_episode() -> None:
    """Seven moves right end an episode of Basic with 0.93; then the next one begins at 0."""
    scene = Basic(1, np.random.default_rng(0), EnvironmentParameters())
    evaluated = Evaluation({"Basic": Fixed(discrete(2))}, wanted=2)
    caption = Caption("dqn", scene, evaluated)
    said: list[tuple[str, str]] = []
    evaluated.run(scene, lambda: (caption.step(), said.append(caption.lines)))
    assert said[0] == ("dqn: episode 1, step 0", "return 0.00, action stay")
    assert said[3] == ("dqn: episode 1, step 3", "return -0.02, action right")
    assert ("dqn: episode 2, step 1", "return 0.00 (last 0.93), action right") in said


@pytest.mark.parametrize(
    ("action", "names", "expected"),
    [
        (Actions(np.array([[0.5, -1.0]], np.float32), np.zeros((1, 0), np.int32)), (), "+0.50 -1.00"),
        (Actions(np.zeros((1, 0), np.float32), np.array([[2, 0]], np.int32)), (), "2 0"),
        (Actions(np.zeros((1, 0), np.float32), np.array([[1, 0]], np.int32)), (("", "ahead"), ("", "jump")), "ahead"),
        (Actions(np.zeros((1, 0), np.float32), np.array([[0, 0]], np.int32)), (("", "ahead"), ("", "jump")), "nothing"),
        (Actions(np.array([[0.25]], np.float32), np.array([[1]], np.int32)), (("", "laser"),), "+0.25 laser"),
    ],
)
def test_action_is_said_in_words(action: Actions, names: tuple[tuple[str, ...], ...], expected: str) -> None:
    """Numbers for what is continuous; names where the scene has some, and none for what does nothing."""
    assert words(action, names) == expected


@pytest.mark.parametrize("name", scenes.names())
def test_names_of_actions_are_as_many_as_there_are_actions(name: str) -> None:
    """Branch by branch; a scene without discrete actions has none."""
    scene = scenes.load(name)
    for spec in scene.behaviors.values():
        assert tuple(map(len, scene.action_names)) == spec.action_spec.discrete_branches


@pytest.mark.parametrize("width", [96, 480, 720])
def test_caption_fits_below_a_picture(width: int) -> None:
    """The picture stays as it is; what is below has ink, even sides, and an edge that is free."""
    picture = np.full((100, width, 3), 7, np.uint8)
    whole = captioned(picture, ("random: episode 12, step 345", "return -12.34"))
    strip = whole[100:]
    assert (whole[:100] == picture).all()
    assert len(whole) % 2 == 0
    assert (strip < 100).all(axis=2).any()
    assert (strip[:, -4:] == PAPER).all() or width == 96


def test_close_up_follows_its_agent() -> None:
    """Where agents are small there are two pictures: as high as one another, the second around the agent."""
    scene = scenes.load("FoodCollector")(1, np.random.default_rng(0), EnvironmentParameters())
    scene.reset(np.arange(scene.num_agents))
    first = scene.picture(0)
    height = len(first)
    assert first.shape[1] > 1.9 * height
    assert scene.focus(0) == tuple(scene.position[0])
    scene.position[0] = (-40.0, -40.0)  # a corner: less than half of what is around it is inside of the field
    moved = scene.picture(0)
    assert moved.shape == first.shape
    near = moved[:, -height:]
    middle = near[height // 2 - 3 : height // 2 + 3, height // 2 - 3 : height // 2 + 3]
    assert (middle[..., 2] > middle[..., 0] + 50).any()  # the agent is blue


def test_pictures_side_by_side_have_paper_between_them() -> None:
    """And below the lower one."""
    whole = beside(np.zeros((4, 6, 3), np.uint8), np.zeros((2, 8, 3), np.uint8))
    assert whole.shape == (4, 6 + GAP + 8, 3)
    assert (whole[:, 6 : 6 + GAP] == PAPER).all()
    assert (whole[2:, -8:] == PAPER).all()


def test_watch_films_two_models_beside_one_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both play for as long as the film goes on; what counts is the same as without a film."""
    film = ["--seconds", "2", "--output", str(tmp_path / "two.gif")]
    line = ["watch", "random", "3DBall", "--episodes", "1", "--json"]
    assert cli.main([*line, "--beside", "random", *film]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert cli.main(line) == 0
    alone = json.loads(capsys.readouterr().out)
    assert numbers["behaviors"] == numbers["beside"]["behaviors"] == alone["behaviors"]
    with Image.open(tmp_path / "two.gif") as made:
        assert made.width == 2 * 480 + GAP
        shown = 0
        for number in range(made.n_frames):
            made.seek(number)
            shown += made.info["duration"]
    assert shown == 2040


def test_watch_prints_whose_numbers_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those of the second model begin with its name."""
    film = ["--seconds", "1", "--output", str(tmp_path / "two.gif")]
    assert cli.main(["watch", "random", "Basic", "--episodes", "1", "--beside", "random", *film]) == 0
    first, second, file = capsys.readouterr().out.splitlines()
    assert first.startswith("Basic: return ")
    assert second == f"random: {first}"
    assert file == str(tmp_path / "two.gif")


def test_film_takes_25_pictures_a_second_at_most() -> None:
    """Every second step of 0.02 s, every step of 0.25 s, and none after the longest time."""
    for pace, every in ((0.02, 2), (0.25, 1)):
        taken: list[np.ndarray] = []
        film = Film(lambda: np.zeros((2, 2, 3), np.uint8), pace, taken.append, longest=10 * pace)
        for _ in range(30):
            film.step()
        assert film.seconds == every * pace
        assert len(taken) == len(range(0, 11, every))


@pytest.mark.parametrize(("seconds", "is_cut"), [("0.2", True), ("60", False)])
def test_film_that_is_cut_says_so(
    seconds: str, is_cut: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the error stream: what is printed stays the numbers and the file."""
    line = ["watch", "random", "Basic", "--episodes", "1", "--seconds", seconds, "--output", str(tmp_path / "x.gif")]
    assert cli.main(line) == 0
    said = capsys.readouterr()
    assert (said.err == "The film is of the first 0.2 seconds; --seconds N makes it longer.\n") is is_cut
    assert said.out.splitlines()[-1] == str(tmp_path / "x.gif")


def test_terminal_sees_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, which is gone at the end."""
    line = ["watch", "random", "Basic", "--episodes", "2", "--output", str(tmp_path / "x.gif")]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert cli.main(line) == 0
    shown = capsys.readouterr().err.split("\r")
    assert "random plays Basic: 0 of 2 episodes" in shown
    assert shown[-3].rstrip() == f"writing {tmp_path / 'x.gif'}"
    assert (shown[-2].strip(), shown[-1]) == ("", "")
