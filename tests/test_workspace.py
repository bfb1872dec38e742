"""What the design asks of every distribution, and of the repository as a whole."""

import ast
import re
import shutil
import subprocess

import pytest
import yaml
from packaging.requirements import Requirement

from mlagents_plugin_shared.run.published import TRAINERS

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

PLUGIN_HEADINGS = [
    "install",
    "yaml",
    "run",
    "can i use it",
    "hyperparameters",
    "logged metrics",
    "differences from the paper",
    "results",
    "limits",
]

# Spelled so that this file does not match itself.
FORBIDDEN = {
    "a registry's host name": re.compile(r"\bpy(?:pi)\.org|\bpython(?:hosted)\.org|--(?:extra-)?index-url"),
    "a path of one machine": re.compile(r"(?<![\w.~}*-])/(?:root|work|opt|tmp|home|Users)/"),
}
LOCK_FILES = re.compile(r"(?:^|/)(?:[\w.-]+\.lock|package-lock\.json|pylock\.\S*toml)$")


def test_version_is_literal(package):
    """The version stands in pyproject.toml as three numbers, and nothing is computed at build time."""
    assert re.fullmatch(r"\d+\.\d+\.\d+", package.project["version"])
    assert "dynamic" not in package.project


def test_licence_is_stated_and_shipped(package, root):
    """The licence is an SPDX expression (PEP 639), and its text is the repository's own."""
    assert package.project["license"] == "Apache-2.0"
    assert package.project["license-files"] == ["LICENSE"]
    assert package.text("LICENSE") == (root / "LICENSE").read_text(encoding="utf-8")


def test_copies_are_equal(root):
    """The player stands alone, and has its own copy of what `mlagents-onnx-check` has for the same question."""
    copies = list(root.glob("packages/*/src/*/file_kinds.py"))
    assert len(copies) == 2
    assert copies[0].read_bytes() == copies[1].read_bytes()


def test_python_range_is_what_the_host_can_run_on(package):
    """ML-Agents needs at least 3.10.1 and cannot start on 3.12; what does not need it is not bound by that."""
    assert package.project["requires-python"] == (">=3.10.1,<3.12" if package.needs_host else ">=3.10")


def test_package_that_does_not_need_the_host_does_not_import_it(package):
    """Nor torch, nor what does."""
    if not package.needs_host:
        assert {"mlagents", "mlagents_envs", "mlagents_plugin_shared", "torch"}.isdisjoint(package.imports())


def test_import_package_is_named_like_the_distribution_and_typed(package):
    """src holds one package, whose name follows from the distribution's, with a py.typed marker."""
    assert [entry.name for entry in (package.folder / "src").iterdir()] == [package.import_name]
    assert (package.folder / "src" / package.import_name / "py.typed").is_file()


def test_changelog_has_an_entry_for_the_version(package):
    """Users find the version that they install in the changelog."""
    assert re.search(rf"^## \[?{re.escape(package.project['version'])}\b", package.text("CHANGELOG.md"), re.M)


def test_readme_is_the_description(package):
    """The README opens with the distribution's name."""
    assert package.project["readme"] == "README.md"
    assert package.text("README.md").startswith(f"# {package.name}")


def test_plugin_readme_has_the_headings_of_all_plugins(plugin):
    """A reader who knows one plugin's README finds their way in every other."""
    headings = [line.lower() for line in plugin.text("README.md").splitlines() if line.startswith("#")]
    missing = [wanted for wanted in PLUGIN_HEADINGS if not any(wanted in line for line in headings)]
    assert missing == []


def test_plugins_never_import_each_other(package, plugins):
    """A plugin can be installed, and removed, without any other."""
    others = {other.import_name for other in plugins} - {package.import_name}
    assert others.isdisjoint(package.imports())


def test_plugin_asks_for_one_minor_version_of_shared(plugin, packages):
    """All plugins can share one environment: they ask for the same range of the shared package."""
    shared = next(package for package in packages if package.folder.name == "shared")
    _, minor, _ = shared.project["version"].split(".")
    assert f"{shared.name}>=0.{minor},<0.{int(minor) + 1}" in plugin.project["dependencies"]


def test_template_refuses_the_names_of_all_trainers(root, plugins):
    """Two plugins of one name replace each other, and one of ML-Agents' names replaces its trainer."""
    questions = yaml.safe_load((root / "templates" / "plugin" / "copier.yml").read_text(encoding="utf-8"))
    host, ours = map(ast.literal_eval, re.findall(r"name in (\[.*?\])", questions["name"]["validator"]))
    assert host == ["ppo", "sac", "poca"]
    assert ours == sorted(name for plugin in plugins for name in plugin.trainers)


def test_released_trainer_is_offered_to_those_who_lack_it(plugin):
    """A changelog with a day in it is of a package that can be installed."""
    if re.search(r"^## \S+ - \d{4}-\d\d-\d\d$", plugin.text("CHANGELOG.md"), re.M):
        assert plugin.trainers.keys() <= TRAINERS


def test_ci_runs_the_test_line_of_the_readme(root):
    """What CI checks is what the README promises."""
    last_line = (root / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1]
    assert last_line in (root / "README.md").read_text(encoding="utf-8").splitlines()


def commands(readme):
    """The lines of a README's fenced blocks, without comments of a shell."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", readme, re.M | re.S)
    blocks = [text for language, text in fenced if not language]
    return [line.partition("  #")[0].strip() for text in blocks for line in text.splitlines()]


@pytest.fixture(scope="module")
def override(root):
    """The line of the page for beginners that writes the override for Python 3.11."""
    page = (root / "docs" / "start.md").read_text(encoding="utf-8")
    (line,) = [line for line in commands(page) if "overrides.txt'" in line]
    return line


def test_what_packages_ask_of_each_other_is_taken_from_the_workspace(root, packages):
    """Without a source uv refuses to make `nox -s dev`, the first command of whoever works here."""
    known = {package.name for package in packages}
    asked = set()
    for package in packages:
        content = tomllib.loads((package.folder / "pyproject.toml").read_text(encoding="utf-8"))
        groups = [each for group in content.get("dependency-groups", {}).values() for each in group]
        asked |= {Requirement(text).name for text in [*package.project["dependencies"], *groups]} & known
    workspace = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    assert asked == set(workspace["tool"]["uv"]["sources"])


def test_override_is_the_one_that_uv_reads_here(root, override, tmp_path, monkeypatch):
    """The line writes what the root's pyproject.toml says of Python 3.11, with quotes that every shell takes alike."""
    program = re.fullmatch(r'python -c "([^"$`\\]+)"', override)[1]
    monkeypatch.chdir(tmp_path)
    exec(program)
    workspace = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    written = (tmp_path / "overrides.txt").read_text()
    assert f"{written} ; python_version >= '3.11'" in workspace["tool"]["uv"]["override-dependencies"]


def test_readme_installs_alike_on_every_python(package, root, override):
    """pip, uv, and uv with the override: the same three ways in each README, and no other for our own packages.

    What needs no ML-Agents needs no override; beside ML-Agents it comes with the pins.
    """
    installed = [line for line in commands(package.text("README.md")) if "install" in line or "overrides" in line]
    ours = [line for line in installed if "mlagents" in line or "overrides" in line]
    names = ours[0].removeprefix("python -m pip install ")
    assert re.match(r'"?([\w-]+)', names)[1] == package.name
    with_host = [override, f"uv pip install --overrides overrides.txt {names}"]
    beside_host = [f'python -m pip install {names} "numpy<1.24" "protobuf<3.21"']
    assert ours == [
        f"python -m pip install {names}",
        f"uv pip install {names}",
        *(with_host if package.needs_host else beside_host),
    ]


def test_readme_installs_nothing_that_replaces_what_mlagents_needs(package):
    """What is installed beside ML-Agents, without asking it, comes with its pins."""
    for line in commands(package.text("README.md")):
        if "pip install" in line and "mlagents" not in line:
            assert line.endswith(' "numpy<1.24" "protobuf<3.21"')


def test_page_for_beginners_installs_as_the_packages_do(root, packages):
    """Its table has the same three commands."""
    readme = (root / "docs" / "start.md").read_text(encoding="utf-8")
    name = next(package.name for package in packages if package.trainers and f"install {package.name}" in readme)
    for command in ("python -m pip install", "uv pip install", "uv pip install --overrides overrides.txt"):
        assert f"| `{command} {name}` |" in readme


def test_install_hints_of_all_packages_agree():
    """Two distributions that never import each other tell their users the same."""
    from mlagents_onnx_check import hints as check
    from mlagents_player import hints as player

    for requirements in (("onnxruntime",), ("gymnasium[box2d]", "imageio-ffmpeg>=0.4")):
        assert player.install_command(*requirements) == check.install_command(*requirements)


@pytest.fixture(scope="module")
def tracked(root):
    """Names of the files that git tracks."""
    if shutil.which("git") is None or not (root / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True)
    return [name for name in listing.stdout.split("\0") if (root / name).is_file()]


def test_no_lock_file_is_tracked(tracked):
    """A lock file would carry addresses of one registry."""
    assert [name for name in tracked if LOCK_FILES.search(name)] == []


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_depends_on_one_machine(tracked, root, what):
    """A clone works wherever it lies and wherever its packages come from."""
    texts = ((name, (root / name).read_text(encoding="utf-8", errors="ignore")) for name in tracked)
    assert [name for name, text in texts if FORBIDDEN[what].search(text)] == []
