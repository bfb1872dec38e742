"""What `nox -s release_check` finds in a tree that is not ready, a fault at a time."""

import importlib.util
import io
import subprocess
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

PYPROJECT = """[project]
name = "{name}"
version = "0.2.0"
description = "A part."
readme = "README.md"
license = "Apache-2.0"
requires-python = ">=3.10.1,<3.12"
classifiers = [
    "Development Status :: 4 - Beta",
    "Programming Language :: Python :: 3.10",
    "Programming Language :: Python :: 3.11",
]
dependencies = [{dependencies}]

[project.urls]
Source = "https://example.com/parts"
"""
README = "# {name}\n\nA [part](https://example.com/part).\n\n```\npython -m pip install {name}\n```\n"
CHANGELOG = "# Changelog\n\n## 0.2.0 - 2025-03-04\n\n### Added\n\n- A part.\n\n## 0.1.0 - 2025-01-02\n\n- Begun.\n"
METADATA = """Metadata-Version: 2.4
Name: {name}
Version: 0.2.0
Summary: A part.
License-Expression: Apache-2.0
Requires-Python: <3.12,>=3.10.1
Description-Content-Type: text/markdown

# {name}
"""
LICENCE = "A licence.\n"
WHEEL, INFO = "part_plugin-0.2.0-py3-none-any.whl", "part_plugin-0.2.0.dist-info"


@pytest.fixture(scope="session")
def release_check(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("release_check", root / "tools" / "release_check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository of two packages that can be released, the shared one with its tag."""
    (tmp_path / "LICENSE").write_text(LICENCE)
    (tmp_path / "dist").mkdir()
    (tmp_path / ".gitignore").write_text("dist/\n")
    for name, folder, dependencies in (
        ("part-shared", "shared", '"numpy"'),
        ("part-plugin", "packages/part-plugin", '"part-shared>=0.2,<0.3"'),
    ):
        (tmp_path / folder).mkdir(parents=True)
        for file, text in {"pyproject.toml": PYPROJECT, "README.md": README, "CHANGELOG.md": CHANGELOG}.items():
            content = text.format(name=name, dependencies=dependencies)
            (tmp_path / folder / file).write_text(content, encoding="utf-8")
        build(tmp_path / "dist", name)
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    git(tmp_path, "tag", "part-shared-v0.2.0")
    return tmp_path


def build(dist: Path, name: str) -> None:
    """An sdist and a wheel with what matters of them."""
    stem = f"{name.replace('-', '_')}-0.2.0"
    metadata = METADATA.format(name=name)
    with tarfile.open(dist / f"{stem}.tar.gz", "w:gz") as sdist:
        for file, text in {"PKG-INFO": metadata, "LICENSE": LICENCE}.items():
            member = tarfile.TarInfo(f"{stem}/{file}")
            member.size = len(text)
            sdist.addfile(member, io.BytesIO(text.encode()))
    with zipfile.ZipFile(dist / f"{stem}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", metadata)
        wheel.writestr(f"{stem}.dist-info/licenses/LICENSE", LICENCE)
        wheel.writestr(f"{name.replace('-', '_')}/py.typed", "")


def git(folder: Path, *arguments: str) -> None:
    own = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *own, *arguments], check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "all")


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def rewrite(wheel: Path, member: str, text: str | None) -> None:
    """Puts another text in the place of a member of a wheel, or none."""
    with zipfile.ZipFile(wheel) as archive:
        members = {name: archive.read(name).decode() for name in archive.namelist()}
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in {**members, member: text}.items():
            if content is not None:
                archive.writestr(name, content)


def test_tree_without_a_fault_can_be_released(release_check, tree, capsys):
    """It says so, with the tag to make, and ends with 0; the tag itself passes too."""
    assert release_check.main([], tree) == 0
    said = capsys.readouterr().out.splitlines()
    assert "part-plugin: 0.2.0 can be released, with the tag part-plugin-v0.2.0." in said
    git(tree, "tag", "part-plugin-v0.2.0")
    assert release_check.main(["part-plugin-v0.2.0"], tree) == 0


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        ("CHANGELOG.md", "2025-03-04", "unreleased", "CHANGELOG.md: ## 0.2.0 - unreleased still says unreleased"),
        ("CHANGELOG.md", "2025-01-02", "Unreleased", "CHANGELOG.md: ## 0.1.0 - Unreleased still says unreleased"),
        ("CHANGELOG.md", "2025-03-04", "2999-03-04", "CHANGELOG.md: ## 0.2.0 - 2999-03-04 lies in the future"),
        ("CHANGELOG.md", "2025-03-04", "2025-13-04", "CHANGELOG.md: ## 0.2.0 - 2025-13-04 has no day"),
        ("CHANGELOG.md", " - 2025-03-04", "", "CHANGELOG.md: ## 0.2.0 has no day"),
        ("CHANGELOG.md", "## 0.2.0", "## 0.3.0", "CHANGELOG.md: the topmost heading is ## 0.3.0 - 2025-03-04, not"),
        ("CHANGELOG.md", "## 0.2.0", "## 0.2.0.1", "CHANGELOG.md: the topmost heading is ## 0.2.0.1 - 2025-03-04, not"),
        ("CHANGELOG.md", "### Added\n\n- A part.\n", "### Added\n", "CHANGELOG.md: nothing stands under ## 0.2.0"),
        ("pyproject.toml", "<0.3", "<0.2.0", "pyproject.toml: part-shared<0.2.0,>=0.2 leaves out part-shared 0.2.0"),
        ("pyproject.toml", "[project.urls]", "[tool.urls]", "pyproject.toml: [project.urls] is missing"),
        ("pyproject.toml", "https:", "http:", "pyproject.toml: urls: Source: http://example.com/parts is no https"),
        ("pyproject.toml", ":: 3.11", ":: 3.12", "pyproject.toml: a classifier names Python 3.12, which requires-p"),
        ("pyproject.toml", ":: 3.11", ":: 3.10", "pyproject.toml: requires-python <3.12,>=3.10.1 allows Python 3.11"),
        ("pyproject.toml", "Development Status", "Natural Language", "pyproject.toml: no classifier says the Develo"),
        ("pyproject.toml", "requires-python", "requires", "pyproject.toml: requires-python, or the classifiers of"),
        ("pyproject.toml", "Beta\",", "Beta\", \"License :: OSI Approved\",", "pyproject.toml: a License classifier"),
        ("README.md", "https://example.com/part", "docs/part.md", "README.md: docs/part.md leads nowhere on the inde"),
        ("README.md", "A [part]", "![A](images/a.png)\n\n[part]", "README.md: images/a.png leads nowhere on the inde"),
        ("README.md", "https://example.com/part", "#install", "README.md: #install is no heading of it"),
    ],
)  # fmt: skip
def test_fault_of_a_package_is_one_line(release_check, tree, capsys, file, old, new, fault):
    """It names the package, the file and what was found; the exit code is 1, and the other package has no fault."""
    edit(tree / "packages" / "part-plugin" / file, old, new)
    commit(tree)
    git(tree, "tag", "--force", "part-shared-v0.2.0")
    assert release_check.main(["part-shared", "part-plugin"], tree) == 1
    faults = [line for line in capsys.readouterr().out.splitlines() if "can be released" not in line]
    assert any(line.startswith(f"part-plugin: {fault}") for line in faults), faults
    assert all(line.startswith("part-plugin: ") for line in faults)


@pytest.mark.parametrize(
    ("member", "text", "fault"),
    [
        (f"{INFO}/licenses/LICENSE", None, f"{WHEEL}: {INFO}/licenses/LICENSE is missing"),
        (f"{INFO}/licenses/LICENSE", "Mine.", f"{WHEEL}: {INFO}/licenses/LICENSE is not that of the repository"),
        ("part_plugin/py.typed", None, f"{WHEEL} holds no py.typed"),
        (f"{INFO}/METADATA", METADATA.format(name="other"), f"{WHEEL}: Name is other, not part-plugin"),
        (f"{INFO}/METADATA", METADATA.format(name="part-plugin").replace("Requires-Python: <3.12,>=3.10.1\n", ""),
         f"{WHEEL}: Requires-Python is missing, not <3.12,>=3.10.1"),
    ],
)  # fmt: skip
def test_fault_of_a_wheel_is_found_in_every_commit(release_check, tree, capsys, member, text, fault):
    """`nox -s build` finds it too, which does not ask for what a release alone needs."""
    rewrite(tree / "dist" / WHEEL, member, text)
    edit(tree / "packages" / "part-plugin" / "CHANGELOG.md", "2025-03-04", "unreleased")
    assert release_check.main(["--standing"], tree) == 1
    assert capsys.readouterr().out == f"part-plugin: {fault}.\n"


def test_sdist_without_a_licence_is_a_fault(release_check, tree, capsys):
    """So is one that was not built."""
    sdist = tree / "dist" / "part_plugin-0.2.0.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        member = tarfile.TarInfo("part_plugin-0.2.0/PKG-INFO")
        member.size = len(METADATA.format(name="part-plugin"))
        archive.addfile(member, io.BytesIO(METADATA.format(name="part-plugin").encode()))
    assert release_check.main(["--standing"], tree) == 1
    assert capsys.readouterr().out == f"part-plugin: {sdist.name}: LICENSE is missing.\n"
    sdist.unlink()
    assert release_check.main(["--standing"], tree) == 1
    assert capsys.readouterr().out == f"part-plugin: {sdist.name} is not in dist/; build it.\n"


def test_tag_of_another_version_is_a_fault(release_check, tree, capsys):
    """The version of a package is what its pyproject.toml says."""
    assert release_check.main(["part-plugin-v0.3.0"], tree) == 1
    wanted = "the tag part-plugin-v0.3.0 is not that of pyproject.toml's version 0.2.0; tag it part-plugin-v0.2.0"
    assert capsys.readouterr().out == f"part-plugin: {wanted}.\n"


@pytest.mark.parametrize("argument", ["part", "part-plugin-0.2.0", "part-v0.2.0", "v0.2.0"])
def test_argument_that_names_no_package_is_refused(release_check, tree, capsys, argument):
    """With the names of those that there are."""
    assert release_check.main([argument], tree) == 1
    assert capsys.readouterr().err.startswith(f"{argument}: neither a package nor a tag such as NAME-v0.2.0; there are")


def test_version_that_another_commit_was_released_with_is_a_fault(release_check, tree, capsys):
    """A version is published once; its tag on this very commit is the release itself."""
    git(tree, "tag", "part-plugin-v0.2.0")
    assert release_check.main(["part-plugin"], tree) == 0
    capsys.readouterr()
    edit(tree / "packages" / "part-plugin" / "README.md", "A [", "The [")
    commit(tree)
    assert release_check.main(["part-plugin"], tree) == 1
    assert "part-plugin-v0.2.0 is a tag of another commit already; raise the version." in capsys.readouterr().out


def test_release_waits_for_what_it_needs(release_check, tree, capsys):
    """A plugin whose shared package nobody can install is not published; together they are."""
    git(tree, "tag", "--delete", "part-shared-v0.2.0")
    assert release_check.main(["part-plugin"], tree) == 1
    needed = "it needs part-shared<0.3,>=0.2, and no tag has released one; release part-shared-v0.2.0 first"
    assert capsys.readouterr().out == f"part-plugin: {needed}.\n"
    assert release_check.main(["part-plugin", "part-shared"], tree) == 0


def test_tag_does_not_speak_for_what_no_commit_holds(release_check, tree, capsys):
    """What is published is what was tagged."""
    edit(tree / "packages" / "part-plugin" / "README.md", "A [", "The [")
    assert release_check.main(["part-plugin-v0.2.0"], tree) == 1
    assert "the tree has changes that no commit holds" in capsys.readouterr().out


def test_tag_that_says_no_version_is_none_of_a_release(release_check, tree, capsys):
    """Somebody's own tag beside the released ones."""
    git(tree, "tag", "part-shared-v0.2.0-rc-for-friends")
    assert release_check.main(["part-plugin"], tree) == 0, capsys.readouterr()


@pytest.mark.parametrize("name", [WHEEL, "part_plugin-0.2.0.tar.gz"])
def test_archive_that_is_not_whole_is_a_fault(release_check, tree, capsys, name):
    """As of a build that was interrupted."""
    archive = tree / "dist" / name
    archive.write_bytes(archive.read_bytes()[:-60])
    assert release_check.main(["part-plugin"], tree) == 1
    assert f"part-plugin: {name} cannot be read; build it again." in capsys.readouterr().out
