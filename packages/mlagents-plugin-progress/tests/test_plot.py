"""The command mlagents-plot: what it draws, and what it says where it cannot."""

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from mlagents_plugin_progress import learning_curves
from mlagents_plugin_progress.learning_curves import COLOURS, STYLES
from mlagents_plugin_progress.plot import main
from written_runs import REWARD, write_events, write_run

UP = [0.1, 0.3, 0.6, 0.9]


def words(picture: Path) -> str:
    """The text of an SVG."""
    return " ".join(
        "".join(element.itertext()).strip() for element in ElementTree.parse(picture).iter() if element.text
    )


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    return line.removeprefix("mlagents-plot: ")


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_same_runs_give_the_same_file(tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In each format, in a folder that need not be there."""
    run = write_run(tmp_path / "dqn", UP)
    files = [tmp_path / "pictures" / f"{name}{suffix}" for name in "ab"]
    for file in files:
        assert main([str(run), "--output", str(file)]) == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    assert capsys.readouterr().out.splitlines() == [f"wrote {file}" for file in files]


def test_picture_has_a_size_to_read(tmp_path: Path) -> None:
    """Twice as wide and high for the panels of four behaviours."""
    sizes = []
    for behaviors in (["One"], ["One", "Two", "Three", "Four"]):
        run = write_run(tmp_path / str(len(behaviors)), UP, behaviors)
        main([str(run), "--output", str(tmp_path / "picture.png")])
        with Image.open(tmp_path / "picture.png") as picture:
            sizes.append(picture.size)
    assert sizes[0][0] == 960
    assert sizes[1][0] == 1920


def test_seeds_are_one_line_and_their_number_is_said(tmp_path: Path) -> None:
    """Another learning rate is another line; what the band is stands below."""
    runs = [write_run(tmp_path / f"dqn-{seed}", [x + 0.01 * seed for x in UP], seed=seed) for seed in (1, 2, 3)]
    runs.append(write_run(tmp_path / "fast", UP, settings={"hyperparameters": {"learning_rate": 0.1}}))
    picture = tmp_path / "picture.svg"
    main([*map(str, runs), "--output", str(picture)])
    assert "dqn (3 seeds)" in words(picture)
    assert "fast" in words(picture)
    assert "95 % bootstrap interval" in words(picture)
    main([*map(str, runs), "--no-groups", "--output", str(picture)])
    assert "(3 seeds)" not in words(picture)
    assert "dqn-2" in words(picture)


def test_seeds_that_are_not_known_are_lines_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And it is said why, unless each was to be one anyway."""
    runs = [str(write_run(tmp_path / f"dqn-{seed}", UP, seed=seed, has_ended=False)) for seed in (1, 2)]
    command = [*runs, "--output", str(tmp_path / "picture.svg")]
    main(command)
    assert "and 1 more: no configuration.yaml" in capsys.readouterr().err
    main([*command, "--no-groups"])
    assert capsys.readouterr().err == ""


def test_axes_say_what_they_show(tmp_path: Path) -> None:
    """Steps or time, the statistic, and that it is smoothed."""
    run = write_run(tmp_path / "dqn", UP)
    picture = tmp_path / "picture.svg"
    main([str(run), "--output", str(picture)])
    assert "agent steps" in words(picture)
    assert "mean episode reward" in words(picture)
    assert "moving average" not in words(picture)
    main([str(run), "--output", str(picture), "--by", "time", "--smoothing", "0.6", "--tag", REWARD])
    assert "training time (seconds)" in words(picture)
    assert REWARD in words(picture)
    assert "moving average, weight of the past 0.6" in words(picture)


def test_every_behavior_has_a_panel(tmp_path: Path) -> None:
    """Those of one run and those of another."""
    runs = [write_run(tmp_path / "a", UP, ["Striker", "Goalie"]), write_run(tmp_path / "b", UP, ["Goalie", "Keeper"])]
    main([*map(str, runs), "--output", str(tmp_path / "picture.svg")])
    said = words(tmp_path / "picture.svg")
    assert all(name in said for name in ("Striker", "Goalie", "Keeper"))


@pytest.mark.parametrize("rewards", [[0.5], UP])
def test_one_point_is_drawn(tmp_path: Path, rewards: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """As a dot, which a line of one point would not be."""
    markers = []
    plot = learning_curves.Axes.plot
    monkeypatch.setattr(
        learning_curves.Axes, "plot", lambda axes, x, y, **how: markers.append(how["marker"]) or plot(axes, x, y, **how)
    )
    main([str(write_run(tmp_path / "dqn", rewards)), "--output", str(tmp_path / "picture.png")])
    assert markers == (["o"] if len(rewards) == 1 else [""])


Drawn = list[tuple[float, float, float]]
"""First x, last x and width of each line."""


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """The lines of a picture."""
    lines: Drawn = []
    plot = learning_curves.Axes.plot

    def noted(axes, x, y, **how):
        lines.append((float(x[0]), float(x[-1]), how["linewidth"]))
        return plot(axes, x, y, **how)

    monkeypatch.setattr(learning_curves.Axes, "plot", noted)
    return lines


def test_seed_that_trained_for_longer_goes_on_as_a_thin_line(tmp_path: Path, drawn: Drawn) -> None:
    """The mean ends where the first seed does, and the picture says what the thin line is."""
    runs = [write_run(tmp_path / f"dqn-{seed}", UP * seed, seed=seed) for seed in (1, 2)]
    main([*map(str, runs), "--output", str(tmp_path / "picture.svg")])
    assert drawn == [(100, 400, 1.6), (400, 800, pytest.approx(0.7))]
    assert "Thin: single seeds" in words(tmp_path / "picture.svg")


def test_seeds_of_one_length_have_no_thin_lines(tmp_path: Path, drawn: Drawn) -> None:
    """And nothing is said of any."""
    runs = [write_run(tmp_path / f"dqn-{seed}", UP, seed=seed) for seed in (1, 2)]
    main([*map(str, runs), "--output", str(tmp_path / "picture.svg")])
    assert drawn == [(100, 400, 1.6)]
    assert "Thin" not in words(tmp_path / "picture.svg")


def test_seeds_of_other_speeds_are_one_line_by_time(tmp_path: Path, drawn: Drawn) -> None:
    """One takes 10 s for 100 steps, the other 20 s: the step 400 is at (40 + 80) / 2 s, and none of it is lost."""
    runs = [write_run(tmp_path / f"dqn-{seed}", UP, seed=seed) for seed in (1, 2)]
    slow = [(100 * place, 1000.0 + 20 * place, {REWARD: reward}) for place, reward in enumerate(UP, 1)]
    write_events(runs[1] / "Basic", slow)
    main([*map(str, runs), "--by", "time", "--output", str(tmp_path / "picture.svg")])
    assert drawn == [(15, 60, 1.6)]
    assert "training time (seconds)" in words(tmp_path / "picture.svg")
    assert "each step at its mean time" in words(tmp_path / "picture.svg")


def test_seeds_with_no_step_in_common_are_lines_of_their_own(tmp_path: Path) -> None:
    """Nothing can be averaged, and nothing fails."""
    runs = [write_run(tmp_path / f"dqn-{seed}", UP[:1], seed=seed) for seed in (1, 2)]
    write_events(tmp_path / "dqn-2" / "Basic", [(900, 1090.0, {REWARD: 1.0})])
    assert main([*map(str, runs), "--output", str(tmp_path / "picture.svg")]) == 0


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_names_are_drawn_as_they_are(tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No formula is read out of a $, a line that begins with _ stands in the legend, a missing glyph is one line."""
    runs = [
        write_run(tmp_path / name, UP, ["cost_{in_$", "\u65e5\u672c"], settings={"max_steps": len(name)})
        for name in ("_first", "a $x_{1$", "\u65e5")
    ]
    picture = tmp_path / f"picture.{suffix}"
    assert main([*map(str, runs), "--output", str(picture)]) == 0
    assert len(capsys.readouterr().err.splitlines()) == 1
    if suffix == "svg":
        assert all(name in words(picture) for name in ("_first", "a $x_{1$", "cost_{in_$"))


@pytest.mark.parametrize("smoothing", ["0", "0.999999"])
def test_values_that_are_not_finite_are_said_and_spoil_no_others(
    tmp_path: Path, smoothing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one run, of seeds, and where there are no others."""
    drawn = []
    plot = learning_curves.Axes.plot
    monkeypatch.setattr(
        learning_curves.Axes, "plot", lambda axes, x, y, **how: drawn.append(y) or plot(axes, x, y, **how)
    )
    nan, inf = float("nan"), float("inf")
    write_run(tmp_path / "alone", [0.1, nan, 0.3, inf], settings={"max_steps": 1})
    write_run(tmp_path / "never", [nan, nan], settings={"max_steps": 2})
    for seed, rewards in enumerate([[nan, 0.2, 0.3], [0.1, nan, 0.3], [nan, nan, nan]]):
        write_run(tmp_path / f"dqn-{seed}", rewards, seed=seed)
    picture = tmp_path / "picture.svg"
    assert main([str(tmp_path / "*"), "--output", str(picture), "--smoothing", smoothing]) == 0
    assert all(np.isfinite(y).all() for y in drawn)
    said = words(picture)
    assert all(
        text in said for text in ("alone (2 not finite)", "never (2 not finite)", "dqn (3 seeds) (5 not finite)")
    )


def test_lines_are_told_apart_by_more_than_colour() -> None:
    """No two of 35 are alike, and neighbours differ in both."""
    looks = [(COLOURS[place % len(COLOURS)], str(STYLES[place % len(STYLES)])) for place in range(35)]
    assert len(set(looks)) == 35
    assert all(one[0] != other[0] and one[1] != other[1] for one, other in pairwise(looks))


def test_what_is_no_run_is_named_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing folder, a file, a folder of runs, one with nothing in it, and a pattern of nothing."""
    write_run(tmp_path / "results" / "dqn", UP)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    output = ["--output", str(tmp_path / "picture.png")]
    for name, said in {
        "none": "none does not exist; a run is a folder that mlagents-learn has written, results/<run-id>",
        "file": "file is a file; give the folder of the run, results/<run-id>",
        "empty": "empty has no event files; a run writes them to <run-id>/<behavior>",
        "results": "results holds 1 runs; name them:",
        "n*": "no folder is called",
    }.items():
        assert main([str(tmp_path / name), *output]) == 1
        assert said in complaint(capsys)
    assert not (tmp_path / "picture.png").exists()


def test_statistic_that_is_not_there_is_answered_with_those_that_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a run without an episode says so."""
    run = write_run(tmp_path / "dqn", UP)
    main([str(run), "--tag", "Reward", "--output", str(tmp_path / "picture.png")])
    assert complaint(capsys) == f"{run} has no statistic 'Reward'; it has: {REWARD}"
    write_events(tmp_path / "young" / "Basic", [(100, 1.0, {"Losses/Value Loss": 1.0})])
    main([str(tmp_path / "young"), "--output", str(tmp_path / "picture.png")])
    assert "has no reward yet: it comes with a summary" in complaint(capsys)


def test_run_with_nothing_yet_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And named, where a pattern takes it in."""
    write_run(tmp_path / "dqn", UP)
    (tmp_path / "young").mkdir()
    (tmp_path / "a file").touch()
    assert main([str(tmp_path / "*"), "--output", str(tmp_path / "picture.png")]) == 0
    assert capsys.readouterr().err.startswith(f"mlagents-plot: left out: {tmp_path / 'young'} has no event files")


def test_picture_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file stands where its folder would be."""
    run = write_run(tmp_path / "dqn", UP)
    (tmp_path / "file").touch()
    assert main([str(run), "--output", str(tmp_path / "file" / "picture.png")]) == 1
    assert "picture.png cannot be written:" in complaint(capsys)


@pytest.mark.parametrize("arguments", [["--output", "a.jpg"], ["--smoothing", "1"], ["--smoothing", "-0.1"]])
def test_argument_that_cannot_be_used_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With its value."""
    with pytest.raises(SystemExit) as ended:
        main(["run", *arguments])
    assert ended.value.code == 2
    assert arguments[1] in capsys.readouterr().err.splitlines()[-1]
