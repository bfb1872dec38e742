"""The pages of the site: their files, settings and commands are what runs, and their links lead somewhere."""

import ast
import re
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from pages import BLOCK, Page, missing_targets, run

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("docs/scenes/*.md")])
STEPS = 600
# What is printed by Python, pip, NumPy and the like. Each was seen in an environment that was broken on purpose.
FOREIGN = (
    "ModuleNotFoundError: No module named",
    "AttributeError: module 'numpy' has no attribute 'float'.",
    "TypeError: Descriptors cannot be created directly.",
    "ERROR: No matching distribution found for mlagents==1.1.*",
    "Failed to build grpcio==1.48.2",
    "mlagents-learn: command not found",
    "UserWarning: pkg_resources is deprecated as an API.",
)


def text_of(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def fenced(text: str, kind: str) -> list[str]:
    """Blocks of a kind, none of them an example of what is wrong."""
    return [block["text"] for block in BLOCK.finditer(text) if block["kind"] == kind]


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.stem)
def test_links_of_every_page_lead_somewhere(file: Path) -> None:
    """In a checkout too, where there is no site: to a file, and to a heading of it."""
    if file.stem != "api":  # it is generated, and has a test of its own
        assert missing_targets(file) == []


@pytest.fixture(scope="module")
def noxfile() -> str:
    return (ROOT / "noxfile.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.stem)
def test_commands_of_every_page_are_commands(file: Path, noxfile: str) -> None:
    """Sessions of nox that there are, options that mlagents-learn has, configurations that lie there."""
    from mlagents.trainers.cli_utils import parser as learn

    for line in (line for block in fenced(file.read_text(encoding="utf-8"), "") for line in block.splitlines()):
        for session in re.findall(r"nox -s (\w+)", line):
            assert re.search(rf"^def {session}\(", noxfile, re.MULTILINE), line
        for config in re.findall(r"(?<!\S)configs/[\w/.-]+\.yaml", line):
            assert (ROOT / config).is_file(), line
        if line.startswith("mlagents-learn "):
            given = {word.partition("=")[0] for word in line.split() if word.startswith("--")}
            assert given <= set(learn._option_string_actions), line


def test_yaml_of_the_pages_is_taken(tmp_path: Path) -> None:
    """ML-Agents reads it with the plugins registered, and finds no fault in it."""
    from mlagents.trainers.learn import parse_command_line

    found = 0
    for name in ("unity.md", "choosing.md", "environment.md"):
        for block in fenced(text_of(name), "yaml"):
            file = tmp_path / "settings.yaml"
            file.write_text(block, encoding="utf-8")
            assert parse_command_line([str(file)]).behaviors
            found += 1
    assert found >= 3


@pytest.fixture(scope="module")
def environment() -> Page:
    return Page(text_of("environment.md"))


@pytest.fixture
def followed(environment: Page, tmp_path: Path) -> Path:
    """The reader's folder, with the settings of the page on Unity, and runs that are shorter than the pages'."""
    environment.follow(tmp_path)
    settings = {**environment.files, **Page(text_of("unity.md")).files}
    for name in ("Chase.yaml", "Chaser.yaml"):
        content = yaml.safe_load(settings[name])
        (behavior,) = content["behaviors"].values()
        behavior["max_steps"] = STEPS
        (tmp_path / name).write_text(yaml.safe_dump(content), encoding="utf-8")
    return tmp_path


def test_commands_of_the_page_on_environments_run(environment: Page, followed: Path) -> None:
    """A Gymnasium environment and a scene of one's own are trained, checked and filmed; a random walk arrives."""
    for line in environment.commands:
        ran = run(followed, line)
        output = ran.stdout + ran.stderr
        assert ran.returncode == 0, f"{line}\n{output[-3000:]}"
        if line == "mlagents-player list":
            assert "walk to a target" in output
        if line.startswith("mlagents-onnx-check"):
            assert output in Page(text_of("unity.md")).outputs
        if line.startswith("python random_walk"):
            assert int(output.split()[0]) > 0
    assert (followed / "chase.gif").stat().st_size > 0
    assert (followed / "chaser.gif").stat().st_size > 0
    assert len(environment.commands) == 9


def test_tree_of_the_page_on_environments_lists_its_files(environment: Page) -> None:
    """And the one that stands on the page on Unity."""
    (tree,) = (text for text in environment.outputs if text.startswith("my-game/"))
    listed = set(re.findall(r"[\w.]+\.(?:py|toml|yaml)", tree))
    assert listed == {name.rpartition("/")[2] for name in environment.files} - {"random_walk.py"} | {"Chaser.yaml"}


def test_script_for_unity_and_scene_are_the_same_game(environment: Page) -> None:
    """Step, size, cost and distance stand in both."""
    (script,) = fenced(text_of("unity.md"), "csharp")
    scene = environment.files["chase/scene.py"]
    for in_unity, in_python in (
        ("0.1f * Moves", "0.1 * MOVES"),
        ("AddReward(-0.001f)", "add_reward(agents, -0.001)"),
        ("AddReward(1f)", "add_reward(arrived, 1.0)"),
        ("way.x / 10f", "/ 10"),
        ("< 1f", "< 1"),
    ):
        assert in_unity in script
        assert in_python in scene
    assert "4.5f" in script
    assert "SIZE = 4.5" in environment.files["chase/__init__.py"]


def messages() -> list[str]:
    """Headings of the page on errors that are messages."""
    return re.findall(r"^### `(.+)`", text_of("troubleshooting.md"), re.MULTILINE)


@pytest.fixture(scope="module")
def spoken() -> str:
    """All texts in our sources and ML-Agents', joined as they are printed, without what is filled in."""
    folders = [ROOT / "shared" / "src", *ROOT.glob("packages/*/src")]
    files = [file for folder in folders for file in folder.rglob("*.py")]
    for name in ("mlagents", "mlagents-envs"):
        files += [Path(str(each.locate())) for each in metadata.files(name) or [] if each.suffix == ".py"]
    return "\n".join(text for file in files for text in texts(file.read_text(encoding="utf-8")))


def texts(source: str) -> list[str]:
    """The string constants of a module; an f-string without its values."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            found.append("".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(re.sub(r"{\w*}", "\0", node.value))
    return found


@pytest.mark.parametrize("message", messages())
def test_message_on_the_page_is_what_is_printed(message: str, spoken: str) -> None:
    """Word for word, but for what differs."""
    if not message.startswith(FOREIGN):
        parts = [part.strip() for part in message.split("…")]
        assert [part for part in parts if part and part not in spoken] == []


def test_page_on_errors_names_cause_and_remedy() -> None:
    """Below every message."""
    sections = re.split(r"^### ", text_of("troubleshooting.md"), flags=re.MULTILINE)[1:]
    assert len(sections) > 25
    for section in sections:
        body = section.partition("\n")[2].strip()
        if body:  # two messages with one cause stand below one another
            assert "**Cause.**" in body, section
            assert "**Remedy.**" in body, section


def test_facts_of_the_scenes_are_current(docs_script) -> None:
    """`nox -s docs` would write each scene's page as it is, and every scene has one."""
    from mlagents_player import scenes

    generator = docs_script("generate_scenes")
    pages = {file.stem: file.read_text(encoding="utf-8") for file in generator["PAGES"].glob("*.md")}
    assert set(pages) == set(scenes.names())
    assert [name for name, page in pages.items() if generator["page"](name) != page] == [], "run nox -s docs"


def test_films_are_small() -> None:
    """A page with a film opens at once."""
    films = [*ROOT.glob("docs/images/*.gif"), *ROOT.glob("docs/images/scenes/*.gif")]
    assert len(films) >= 10
    assert [film.name for film in films if film.stat().st_size > 1_000_000] == []
