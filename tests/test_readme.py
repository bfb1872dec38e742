"""The README: what it says to type is what works, and its links lead somewhere."""

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from pages import BLOCK, links, missing_targets

ADDRESS = "ADDRESS-OF-THIS-REPOSITORY"
SECONDS = 3000


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    """The text."""
    return (root / "README.md").read_text(encoding="utf-8")


def fenced(text: str, language: str = "") -> list[str]:
    """The blocks of a language."""
    return [block["text"] for block in BLOCK.finditer(text) if block["kind"] == language]


def test_links_of_the_readme_lead_to_files(root: Path, readme: str) -> None:
    """And to headings that are there."""
    assert len(links(readme)) > 20
    assert missing_targets(root / "README.md") == []


def test_film_of_the_readme_is_small(root: Path, readme: str) -> None:
    """One film, which a page shows at once."""
    (film,) = [target for target in links(readme) if target.endswith(".gif")]
    assert (root / film).stat().st_size < 1_000_000


def test_line_for_python_3_11_writes_the_override_and_installs(
    readme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line with quotes that every shell takes alike; it calls uv with start.md's override, and ends as uv does."""
    (line,) = [line for block in fenced(readme) for line in block.splitlines() if "overrides" in line]
    program = re.fullmatch(r'python -c "([^"$`\\%!]+)"', line)
    assert program
    called = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "call", lambda words: called.append(words) or 3)
    with pytest.raises(SystemExit) as ended:
        exec(program[1])
    assert ended.value.code == 3
    assert called == [["uv", "pip", "install", "--overrides", "overrides.txt", "mlagents-plugin-dqn"]]
    assert (tmp_path / "overrides.txt").read_text() == "grpcio>=1.51.3,<1.52"


def test_line_that_trains_is_what_the_five_commands_do(readme: str) -> None:
    """Two of the five in one."""
    (five,) = fenced(readme, "sh")
    _, _, install, learn, _ = five.splitlines()
    assert f"{install} && {learn}" in fenced(readme)[0].splitlines()


@pytest.mark.clone
@pytest.mark.timeout(SECONDS)
@pytest.mark.skipif(os.name != "posix", reason="types the lines into bash")
def test_five_commands_lead_from_a_clone_to_a_film(root: Path, readme: str, tmp_path: Path) -> None:
    """As they stand, in a Python of their own, where the address leads to this checkout."""
    from PIL import Image

    if shutil.which("git") is None or not (root / ".git").exists():
        pytest.skip("not a git checkout")
    (five,) = fenced(readme, "sh")
    assert len(five.splitlines()) == 5
    venv.create(tmp_path / "python", with_pip=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment["PATH"] = os.pathsep.join([str(tmp_path / "python" / "bin"), environment["PATH"]])
    (tmp_path / ADDRESS).symlink_to(root)
    ran = subprocess.run(["bash", "-e"], input=five, text=True, cwd=tmp_path, env=environment, timeout=SECONDS)
    assert ran.returncode == 0
    results = tmp_path / "mlagents-trainers" / "results" / "basic"
    assert (results / "Basic.onnx").stat().st_size > 0
    with Image.open(results / "Basic.gif") as film:
        assert film.n_frames > 10
    assert sys.prefix not in (results / "configuration.yaml").read_text(encoding="utf-8")
