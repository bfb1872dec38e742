"""What stands between a package and its release: `nox -s release_check -- mlagents-plugin-dqn-v0.2.0`.

Reads the tree, dist/ and git's tags; asks no network. Every fault is one line. A tag is the package's name, `-v` and
its version. Given the name alone it checks what the tag would need; given nothing, it checks all packages, as if they
were released together.
"""

import argparse
import datetime
import re
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from email.message import Message
from email.parser import Parser
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
TAG = re.compile(r"(?P<name>[a-z0-9-]+)-v(?P<version>\d\S*)")
_PYTHON = re.compile(r"Programming Language :: Python :: 3\.(\d+)")
_HEADING = re.compile(r"^## (.*)$", re.M)


class UnknownPackage(Exception):
    """An argument that names no package of the tree."""


class Package(NamedTuple):
    """One distribution of the tree.

    Attributes:
        folder: where its pyproject.toml lies.
        project: the table `project` in it.
    """

    folder: Path
    project: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the distribution."""
        return self.project["name"]

    @property
    def version(self) -> str:
        """As pyproject.toml has it."""
        return self.project["version"]

    @property
    def tag(self) -> str:
        """Under which it is released."""
        return f"{self.name}-v{self.version}"

    def text(self, name: str) -> str:
        """What a file of it says; nothing where there is none."""
        file = self.folder / name
        return file.read_text("utf-8") if file.is_file() else ""


class Tree(NamedTuple):
    """What is looked at.

    Attributes:
        root: of the repository.
        packages: all of them, by name.
        dist: where their sdists and wheels lie.
        chosen: names of those to release together.
        today: a changelog's date is not after it.
    """

    root: Path
    packages: dict[str, Package]
    dist: Path
    chosen: frozenset[str]
    today: datetime.date


def read_packages(root: Path) -> dict[str, Package]:
    """The packages of a tree by name."""
    files = sorted([*root.glob("shared/pyproject.toml"), *root.glob("packages/*/pyproject.toml")])
    found = [Package(file.parent, tomllib.loads(file.read_text("utf-8"))["project"]) for file in files]
    return {package.name: package for package in found}


def choose(argument: str, packages: dict[str, Package]) -> tuple[Package, str]:
    """The package that a name or a tag means, and the tag, empty for a name.

    Raises:
        UnknownPackage: there is no such package.
    """
    if argument in packages:
        return packages[argument], ""
    match = TAG.fullmatch(argument)
    if match and match["name"] in packages:
        return packages[match["name"]], argument
    known = ", ".join(packages)
    raise UnknownPackage(f"{argument}: neither a package nor a tag such as NAME-v0.2.0; there are: {known}")


def standing_faults(tree: Tree, package: Package) -> Iterator[str]:
    """What must hold in every commit."""
    yield from range_faults(tree, package)
    yield from python_faults(package)
    yield from distribution_faults(tree, package)


def release_faults(tree: Tree, package: Package, tag: str) -> Iterator[str]:
    """What must hold besides when it is released."""
    if tag and tag != package.tag:
        yield f"the tag {tag} is not that of pyproject.toml's version {package.version}; tag it {package.tag}"
    yield from changelog_faults(package, tree.today)
    yield from url_faults(package)
    yield from readme_faults(package)
    yield from git_faults(tree, package, tag)


def range_faults(tree: Tree, package: Package) -> Iterator[str]:
    """Ranges of our own packages that their versions in this tree lie outside of."""
    for requirement, other in _own_requirements(tree, package):
        if not requirement.specifier.contains(other.version):
            yield f"pyproject.toml: {requirement} leaves out {other.name} {other.version}, which this tree has"


def python_faults(package: Package) -> Iterator[str]:
    """Classifiers that say something else than `requires-python`, or not enough."""
    classifiers = package.project.get("classifiers", [])
    allowed = SpecifierSet(package.project.get("requires-python", ""))
    named = {int(match[1]) for match in map(_PYTHON.fullmatch, classifiers) if match}
    if not allowed or not named:
        yield "pyproject.toml: requires-python, or the classifiers of the Python versions, are missing"
        return
    # Without an upper bound the classifiers alone say up to where it was tried.
    last = max(named, default=0) if allowed.contains("3.99") else 99
    fitting = {minor for minor in range(last + 1) if allowed.contains(f"3.{minor}.50")}
    for minor in sorted(named - fitting):
        yield f"pyproject.toml: a classifier names Python 3.{minor}, which requires-python {allowed} forbids"
    for minor in sorted(fitting - named):
        yield f"pyproject.toml: requires-python {allowed} allows Python 3.{minor}, which no classifier names"
    if not any(classifier.startswith("Development Status :: ") for classifier in classifiers):
        yield "pyproject.toml: no classifier says the Development Status"
    if any(classifier.startswith("License :: ") for classifier in classifiers):
        yield "pyproject.toml: a License classifier stands beside the licence expression; take it out"


def distribution_faults(tree: Tree, package: Package) -> Iterator[str]:
    """What the built sdist and wheel lack, or say otherwise than pyproject.toml."""
    stem = f"{package.name.replace('-', '_')}-{package.version}"
    sdist, wheels = tree.dist / f"{stem}.tar.gz", list(tree.dist.glob(f"{stem}-*.whl"))
    if not sdist.is_file():
        yield f"{sdist.name} is not in {tree.dist.name}/; build it"
    else:
        yield from _content_faults(tree, package, sdist.name, _sdist_texts(sdist), "PKG-INFO", "LICENSE")
    if len(wheels) != 1:
        yield f"{tree.dist.name}/ holds {len(wheels)} wheels of {stem} instead of one; build it"
    for wheel in wheels:
        texts, info = _wheel_texts(wheel), f"{stem}.dist-info"
        yield from _content_faults(tree, package, wheel.name, texts, f"{info}/METADATA", f"{info}/licenses/LICENSE")
        if texts is not None and not any(name.endswith("/py.typed") for name in texts):
            yield f"{wheel.name} holds no py.typed"


def changelog_faults(package: Package, today: datetime.date) -> Iterator[str]:
    """A topmost heading that is not the version with its day, one that says unreleased, a version without a word."""
    headings = _HEADING.findall(package.text("CHANGELOG.md"))
    wanted = f"## {package.version} - YEAR-MONTH-DAY"
    if not headings or _version_in(headings[0]) != package.version:
        found = f"## {headings[0]}" if headings else "none"
        yield f"CHANGELOG.md: the topmost heading is {found}, not {wanted}"
        return
    for heading in headings:
        date = re.fullmatch(r"\S+ - (\d{4}-\d\d-\d\d)", heading)
        if "unreleased" in heading.lower():
            yield f"CHANGELOG.md: ## {heading} still says unreleased; write the day as YEAR-MONTH-DAY"
        elif date is None or (day := _day(date[1])) is None:
            yield f"CHANGELOG.md: ## {heading} has no day; write it as YEAR-MONTH-DAY"
        elif day > today + datetime.timedelta(days=1):  # it may be tomorrow already where the changelog was written
            yield f"CHANGELOG.md: ## {heading} lies in the future; today is {today}"
    body = re.split(r"^## .*$", package.text("CHANGELOG.md"), flags=re.M)[1]
    if not re.search(r"^\s*[-*|]|^\w", body, re.M):
        yield f"CHANGELOG.md: nothing stands under ## {headings[0]}; say what is new"


def url_faults(package: Package) -> Iterator[str]:
    """Addresses that the index's page would lack."""
    urls = package.project.get("urls", {})
    if not urls:
        yield "pyproject.toml: [project.urls] is missing; name at least Source, the address of the repository"
    for label, url in urls.items():
        if not url.startswith("https://"):
            yield f"pyproject.toml: urls: {label}: {url} is no https address"


def readme_faults(package: Package) -> Iterator[str]:
    """A README that the index cannot render, or whose links lead nowhere there."""
    from readme_renderer import markdown  # a second that refused arguments need not wait for

    rendered = markdown.render(package.text("README.md")) if package.text("README.md") else None
    if not rendered:
        yield "README.md cannot be rendered"
        return
    page = _Links()
    page.feed(rendered)
    for target in dict.fromkeys(page.targets):
        if target.startswith("#"):
            if target[1:] not in page.anchors:
                heading = target[1:].removeprefix("user-content-")
                yield f"README.md: #{heading} is no heading of it; name one of those that it has"
        elif not re.match(r"(https?|mailto):", target):
            yield f"README.md: {target} leads nowhere on the index's page; write the whole address"


def git_faults(tree: Tree, package: Package, tag: str) -> Iterator[str]:
    """A version that was released from another commit, changes that no commit holds, a requirement not yet released."""
    commit, tags = _git(tree.root, "rev-parse", "HEAD"), (_git(tree.root, "tag", "--list") or "").split()
    if commit is None:  # no checkout: nothing to compare with
        return
    if package.tag in tags and _git(tree.root, "rev-list", "-n1", package.tag) != commit:
        yield f"{package.tag} is a tag of another commit already; raise the version"
    if tag and _git(tree.root, "status", "--porcelain"):
        yield "the tree has changes that no commit holds; commit them or take them back"
    for requirement, other in _own_requirements(tree, package):
        versions = [version for tag in tags if (version := _released(other, tag))]
        if other.name not in tree.chosen and not any(map(requirement.specifier.contains, versions)):
            yield f"it needs {requirement}, and no tag has released one; release {other.tag} first"


def _released(package: Package, tag: str) -> Version | None:
    """The version of a package that a tag released; None where it is another's, or says no version."""
    match = TAG.fullmatch(tag)
    try:
        return Version(match["version"]) if match and match["name"] == package.name else None
    except InvalidVersion:
        return None


def _own_requirements(tree: Tree, package: Package) -> Iterator[tuple[Requirement, Package]]:
    extras = package.project.get("optional-dependencies", {}).values()
    for text in [*package.project.get("dependencies", []), *(each for extra in extras for each in extra)]:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        if name in tree.packages and name != package.name:
            yield requirement, tree.packages[name]


def _content_faults(
    tree: Tree, package: Package, archive: str, texts: dict[str, bytes] | None, metadata: str, licence: str
) -> Iterator[str]:
    if texts is None:
        yield f"{archive} cannot be read; build it again"
        return
    if texts.get(licence) != (tree.root / "LICENSE").read_bytes():
        yield f"{archive}: {licence} is {'not that of the repository' if licence in texts else 'missing'}"
    said = Parser().parsestr(texts.get(metadata, b"").decode())
    for field, wanted in _expected_metadata(package).items():
        if _normal(said, field) != wanted:
            yield f"{archive}: {field} is {_normal(said, field) or 'missing'}, not {wanted}"


def _expected_metadata(package: Package) -> dict[str, str]:
    return {
        "Name": package.name,
        "Version": str(Version(package.version)),
        "Summary": package.project.get("description", "a description"),
        "License-Expression": package.project.get("license", "an SPDX expression"),
        "Requires-Python": str(SpecifierSet(package.project.get("requires-python", ""))),
        "Description-Content-Type": "text/markdown",
    }


def _normal(metadata: Message, field: str) -> str:
    said = metadata.get(field, "")
    return str(SpecifierSet(said)) if field == "Requires-Python" else said


def _sdist_texts(sdist: Path) -> dict[str, bytes] | None:
    """Files of an sdist by their names in its one folder; None where it is not whole."""
    try:
        with tarfile.open(sdist) as archive:
            members = [member for member in archive if member.isfile()]
            files = {member.name.partition("/")[2]: archive.extractfile(member) for member in members}
            return {name: file.read() for name, file in files.items() if file is not None}
    except (tarfile.TarError, EOFError, OSError, zlib.error):
        return None


def _wheel_texts(wheel: Path) -> dict[str, bytes] | None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, EOFError, OSError, zlib.error):
        return None


def _version_in(heading: str) -> str:
    return heading.split()[0].strip("[]") if heading.split() else ""


def _day(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        return None


def _git(root: Path, *arguments: str) -> str | None:
    """What a command of git prints; None where it fails, as outside of a checkout."""
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


class _Links(HTMLParser):
    """Collects where a page leads, and what it can be entered at."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes the link, picture and anchor of a tag."""
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.targets.append(value)
            elif name in ("id", "name") and value:
                self.anchors.add(value)


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Prints a line for each fault.

    Returns:
        The exit code: 1 where there is a fault.
    """
    parser = argparse.ArgumentParser(description="What stands between packages and their release.")
    parser.add_argument("packages", nargs="*", metavar="PACKAGE|TAG", help="default: all packages")
    parser.add_argument("--standing", action="store_true", help="only what must hold in every commit")
    options = parser.parse_args(arguments)
    packages = read_packages(root)
    try:
        chosen = [choose(argument, packages) for argument in options.packages or packages]
    except UnknownPackage as error:
        print(error, file=sys.stderr)
        return 1
    names = frozenset(package.name for package, _ in chosen)
    tree = Tree(root, packages, root / "dist", names, datetime.datetime.now(datetime.timezone.utc).date())
    found = False
    for package, tag in chosen:
        faults = list(standing_faults(tree, package))
        faults += [] if options.standing else release_faults(tree, package, tag)
        for fault in faults:
            print(f"{package.name}: {fault}.")
        if not faults and not options.standing:
            print(f"{package.name}: {package.version} can be released, with the tag {package.tag}.")
        found = found or bool(faults)
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
