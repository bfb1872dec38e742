"""Whole runs as they are shown: in a terminal, in a pipe, in the encodings of Windows, and where they fail."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

import simulated_run
from mlagents_plugin_progress import progress_writer  # noqa: F401 - so that each run need not import it
from mlagents_plugin_progress.closing import command_line
from terminal import Shown, in_pipe, in_terminal, of_process

SCRIPT = Path(__file__).with_name("simulated_run.py")
LEFT_TO_THEIR_DEFAULT = (
    "MLAGENTS_PROGRESS",
    "MLAGENTS_PROGRESS_COMMANDS",
    "FORCE_COLOR",
    "NO_COLOR",
    "COLUMNS",
    "LINES",
)
posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no pseudo-terminal of this kind")


def environment(encoding: str, changes: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in LEFT_TO_THEIR_DEFAULT}
    return {**kept, "PYTHONWARNINGS": "ignore", "PYTHONIOENCODING": encoding, **changes}


def piped(folder: Path, given: dict | None = None, encoding: str = "utf-8", **changes: str) -> Shown:
    given = {"folder": str(folder), **(given or {})}
    variables = environment(encoding, changes)
    if os.name != "posix":
        return of_process([sys.executable, str(SCRIPT), json.dumps(given)], variables, encoding)
    return in_pipe(lambda: simulated_run.main(given), variables, encoding)


def shown(folder: Path, given: dict | None = None, columns: int = 80, encoding: str = "utf-8", **changes: str) -> Shown:
    given = {"folder": str(folder), **(given or {})}
    return in_terminal(lambda: simulated_run.main(given), environment(encoding, changes), encoding, columns)


def index_of(part: str, lines: list[str]) -> int:
    return next(place for place, text in enumerate(lines) if part in text)


# In a pipe


def test_pipe_gets_a_line_at_each_summary_and_a_table(tmp_path: Path) -> None:
    """ML-Agents' own line once, with what this package adds, no control codes, and one line of settings."""
    run = piped(tmp_path / "run")
    assert run.code == 0, run.errors
    assert "\x1b" not in run.text
    lines = run.lines
    summaries = [text for text in lines if ". Step: " in text]
    assert len(summaries) == 5
    assert summaries[0].startswith("[INFO] Basic. Step: 100. Time Elapsed: ")
    assert "Mean Reward: 0.150. Std of Reward: 0.050. Training. 10.0 % of 1000" in summaries[0]
    (settings,) = [text for text in lines if "buffer_size" in text]
    assert settings.startswith("[INFO] Basic: ppo to step 1,000; network 2 x 128; learning_rate 0.0003;")
    table = lines[index_of("The run took", lines) :]
    assert table[2].split() == ["Behavior", "Steps", "Steps/s", "Last", "Best", "At", "step"]
    assert table[4].split()[:4] == ["Basic", "500", "of", "1,000"]
    assert table[4].split()[-3:] == ["0.550", "0.550", "500"]


@pytest.mark.parametrize("silence", [0.0, 60.0])
def test_pipe_hears_of_a_run_whose_summaries_are_rare(tmp_path: Path, silence: float) -> None:
    """After a minute in which nothing was said; in what reads ML-Agents' lines it is none of them."""
    run = piped(tmp_path / "run", {"silence": silence, "summaries": 2})
    between = [text for text in run.lines if ": at step " in text]
    assert len(between) == (2 if silence == 0.0 else 0)
    assert all(text.startswith("[INFO] Basic: at step ") and " of 1,000 (" in text for text in between)
    assert len([text for text in run.lines if ". Step: " in text]) == 2


@posix
def test_terminal_that_draws_says_nothing_between_summaries(tmp_path: Path) -> None:
    """Its line is there all the time."""
    assert ": at step " not in shown(tmp_path / "run", {"silence": 0.0}).text


def test_color_that_ci_forces_makes_no_terminal_of_a_pipe(tmp_path: Path) -> None:
    """A log of CI has no bars that move."""
    assert "\x1b" not in piped(tmp_path / "run", FORCE_COLOR="1").text


def test_lines_of_mlagents_are_kept_in_a_file(tmp_path: Path) -> None:
    """All hyperparameters, and each summary as ML-Agents has it."""
    piped(tmp_path / "run")
    log = (tmp_path / "run" / "run_logs" / "console.log").read_text(encoding="utf-8")
    assert "Hyperparameters for behavior name Basic" in log
    assert "checkpoint_interval:" in log
    assert log.count("Basic. Step: ") == 5


def test_resumed_run_goes_on_in_that_file_and_knows_the_best_of_before(tmp_path: Path) -> None:
    """Both as a new run does not."""
    given = {"resume": True, "summaries": 1, "from": -50}
    piped(tmp_path / "run")
    resumed = piped(tmp_path / "run", given)
    log = tmp_path / "run" / "run_logs" / "console.log"
    assert log.read_text(encoding="utf-8").count("Basic. Step: ") == 6
    assert " 0.100   0.550       500" in resumed.text
    anew = piped(tmp_path / "run", {**given, "resume": False})
    assert log.read_text(encoding="utf-8").count("Basic. Step: ") == 1
    assert " 0.100   0.100        50" in anew.text


def test_inference_writes_no_file(tmp_path: Path) -> None:
    """It may play beside a run that trains, whose file this is; and it has neither end nor commands."""
    run = piped(tmp_path / "run", {"inference": True})
    assert not (tmp_path / "run" / "run_logs").exists()
    assert "% of" not in run.text
    assert "mlagents-plot" not in run.text


@pytest.mark.parametrize("value", ["0", "off", "OFF"])
def test_off_is_mlagents_as_it_is(tmp_path: Path, value: str) -> None:
    """The eighty lines are back, and nothing of this package is there."""
    run = piped(tmp_path / "run", MLAGENTS_PROGRESS=value)
    assert run.text.count("Hyperparameters for behavior name Basic") == 1
    assert len([text for text in run.lines if ". Step: " in text]) == 5
    assert "% of" not in run.text
    assert "The run took" not in run.text
    assert not (tmp_path / "run" / "run_logs").exists()


def test_word_that_is_not_known_is_named(tmp_path: Path) -> None:
    """With those that are, and progress is run."""
    run = piped(tmp_path / "run", MLAGENTS_PROGRESS="pretty")
    assert "MLAGENTS_PROGRESS is 'pretty', and can be on, plain or off" in run.text
    assert "The run took" in run.text


@pytest.mark.parametrize("value", ["on", "off"])
def test_other_writers_go_on(tmp_path: Path, value: str) -> None:
    """TensorBoard's files are there, and a writer of somebody else's gets every summary."""
    run = piped(tmp_path / "run", MLAGENTS_PROGRESS=value)
    assert "others got 5 summaries" in run.text
    assert len(list((tmp_path / "run" / "Basic").glob("events.out.tfevents*"))) == 1


def test_elo_is_the_score_of_self_play(tmp_path: Path) -> None:
    """Which is reported beside the reward."""
    run = piped(tmp_path / "run", {"settings": {"self_play": {"window": 10}}})
    assert "ELO: 1300.000. 10.0 % of 1000" in run.text
    assert "Elo 1,700" in run.text


def test_reward_of_the_group_counts(tmp_path: Path) -> None:
    """In the line by itself, as ML-Agents has it, and in the score as a part."""
    run = piped(tmp_path / "run", {"group": 2.0})
    assert "Mean Reward: 0.150. Mean Group Reward: 2.000. Training." in run.text
    assert " 2.550   2.550       500" in run.text


def test_model_and_commands_follow_the_table(tmp_path: Path) -> None:
    """Where a model is there; a variable leaves the commands out."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "Basic.onnx").touch()
    said = piped(tmp_path / "run").text
    assert f"Model of Basic: {tmp_path / 'run' / 'Basic.onnx'}" in said
    assert "mlagents-plot" in said.splitlines()[-1]
    said = piped(tmp_path / "run", MLAGENTS_PROGRESS_COMMANDS="off").text
    assert said.splitlines()[-1].startswith("Model of Basic: ")


def test_commands_are_quoted_for_the_shells_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """In cmd.exe an `&` begins another command, in PowerShell parentheses and `;` do more than they say."""
    words = [r"C:\R&D\a.yaml", "O'Brien.yaml", "cfg(1).yaml", "a;b", "plain", r"C:\x\y.yaml"]
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        typed = command_line(["mlagents-learn", *words])
    quoted = r'"C:\R&D\a.yaml"', '"O\'Brien.yaml"', '"cfg(1).yaml"', '"a;b"', "plain", r"C:\x\y.yaml"
    assert typed == " ".join(["mlagents-learn", *quoted])


@pytest.mark.parametrize(("max_steps", "steps"), [(500, "500"), (1000, "500 of 1,000")])
def test_table_says_how_many_steps_there_were_to_be(tmp_path: Path, max_steps: int, steps: str) -> None:
    """Where they are not all done."""
    said = piped(tmp_path / "run", {"settings": {"max_steps": max_steps}}).text
    assert re.search(rf"^ *Basic +{steps}  ", said, re.M)


def test_model_of_another_environment_goes_into_unity(tmp_path: Path) -> None:
    """A model that the player cannot play."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "Basic.onnx").touch()
    assert "In Unity: drag the model into the project" in piped(tmp_path / "run").text


def test_trainer_learns_whether_the_end_is_told(tmp_path: Path) -> None:
    """Of the behaviours that are shown, as long as progress is."""
    asked = {"ask": ["Basic", "Other"]}
    assert "told: ['Basic']" in piped(tmp_path / "run", asked).text
    assert "told: []" in piped(tmp_path / "run", asked, MLAGENTS_PROGRESS="off").text
    assert "told: []" in piped(tmp_path / "run", {**asked, "settings": {"max_steps": "a thousand"}}).text


# How runs end


def test_reason_of_an_error_is_the_last_line(tmp_path: Path) -> None:
    """On its own stream, after the table."""
    run = piped(tmp_path / "run", {"end": "error"})
    assert run.code == 1
    assert run.errors.splitlines()[-1] == "RuntimeError: the wheel came off"
    assert "The run took" in run.text


def test_start_that_is_refused_says_nothing_more(tmp_path: Path) -> None:
    """No table of nothing, and no file."""
    run = piped(tmp_path / "run", {"end": "refused"})
    assert run.code == 1
    assert run.errors.splitlines()[-1].endswith("Basic: batch_size: 0 is below 1.")
    assert run.text.strip() == ""
    assert not (tmp_path / "run").exists()


def test_fault_of_ours_does_not_end_the_run(tmp_path: Path) -> None:
    """It is named once, and ML-Agents' lines are back."""
    run = piped(tmp_path / "run", {"settings": {"max_steps": "a thousand"}})
    assert run.code == 0
    assert run.text.count("Progress is shown no more, and the run goes on: ValueError") == 1
    assert len([text for text in run.lines if ". Step: " in text]) == 5


def test_file_that_cannot_be_written_does_not_end_the_run(tmp_path: Path) -> None:
    """A file stands where the folder would be."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run_logs").touch()
    run = piped(tmp_path / "run")
    assert run.code == 0
    assert run.text.count("cannot be written") == 1
    assert "The run took" in run.text


# Encodings


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii"])
def test_pipe_takes_what_its_encoding_has(tmp_path: Path, encoding: str) -> None:
    """A behaviour with a name that it does not have is shown with question marks, and nothing fails."""
    run = piped(tmp_path / "run", {"behaviors": ["Basic", "プレーヤー"]}, encoding=encoding)
    assert run.code == 0, run.errors
    assert run.errors == ""
    assert "[INFO] ?????. Step: 100." in run.text
    assert "--------" in run.text


@posix
@pytest.mark.parametrize("encoding", ["cp1252", "cp437"])
def test_terminal_of_windows_gets_bars_in_ascii(tmp_path: Path, encoding: str) -> None:
    """Bar and curve of the same length as elsewhere."""
    run = shown(tmp_path / "run", {"behaviors": ["プレーヤー"]}, encoding=encoding)
    assert run.code == 0, run.text
    assert run.ever.isascii()
    assert "=====-----" in without_codes(run.ever)
    assert re.search(r"_-[=+]\*#", without_codes(run.ever))


def without_codes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


# In a terminal


@posix
def test_terminal_has_live_lines_until_the_end(tmp_path: Path) -> None:
    """At the end the table is in their place, the cursor is there, and nothing of them is left."""
    run = shown(tmp_path / "run", {"behaviors": ["Striker", "Goalie"]})
    assert run.code == 0, run.text
    assert not run.is_cursor_hidden
    drawn = without_codes(run.ever)
    assert "Behavior  Progress" in drawn
    assert "Striker   ━━━━━─────  50%" in drawn
    assert re.search("▁▃.▆█", drawn)
    assert "Progress" not in run.text
    assert ". Step: " not in run.text
    assert "The run took" in run.text


@posix
@pytest.mark.parametrize("columns", [40, 80, 132])
def test_lines_of_others_stand_above_and_are_whole(tmp_path: Path, columns: int) -> None:
    """Each once, in order, also those that are longer than the terminal is wide; the live lines never wrap."""
    said = ["[green]not markup", "x" * 300, "a\ttab", "the last line"]
    run = shown(tmp_path / "run", {"lines": said}, columns)
    assert run.code == 0, run.text
    joined = "".join(text.ljust(columns) if len(text) == columns else f"{text}\n" for text in run.lines)
    assert joined.count("[INFO] [green]not markup\n") == 1
    assert joined.count("x" * 300) == 1
    places = [index_of(part, run.lines) for part in ("not markup", "xxx", "tab", "the last line", "The run took")]
    assert places == sorted(places)
    rows = [row for row in without_codes(run.ever).replace("\r", "\n").split("\n") if row.startswith("Basic  ")]
    assert rows
    assert max(map(len, rows)) <= columns


@posix
@pytest.mark.parametrize("columns", [40, 20])
def test_end_in_a_narrow_terminal_is_told_in_words(tmp_path: Path, columns: int) -> None:
    """A table would be cut off in the middle of its numbers."""
    run = shown(tmp_path / "run", columns=columns)
    said = " ".join(" ".join(run.lines).split())
    assert "The run took" in said
    assert "Basic: 500 of 1,000 steps, last 0.550, best 0.550 at 500" in said


@posix
def test_error_in_a_terminal_leaves_it_as_it_should_be(tmp_path: Path) -> None:
    """Cursor, table, and the reason as the last line."""
    run = shown(tmp_path / "run", {"end": "error"})
    assert run.code == 1
    assert not run.is_cursor_hidden
    assert run.lines[-1] == "RuntimeError: the wheel came off"
    assert "Progress" not in run.text


@posix
def test_plain_lines_can_be_had_in_a_terminal(tmp_path: Path) -> None:
    """As in a pipe."""
    run = shown(tmp_path / "run", MLAGENTS_PROGRESS="plain")
    assert run.text.count(". Step: ") == 5
    assert "Progress" not in without_codes(run.ever)


@posix
def test_inference_in_a_terminal_counts_steps(tmp_path: Path) -> None:
    """It has no bar and no time left."""
    drawn = without_codes(shown(tmp_path / "run", {"inference": True}).ever)
    assert "Behavior" in drawn
    assert "Steps/s" in drawn
    assert "Progress" not in drawn
    assert "Left" not in drawn
