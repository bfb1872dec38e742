"""Pages for authors: the files and commands that stand in them, and a folder in which a reader has followed one."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from runs import ENVIRONMENT, SCRIPTS, free_port

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
BLOCK = re.compile(r"(?:^`(?P<file>[\w./-]+)`\n\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 400


class Page:
    """A page.

    Attributes:
        files: text by path, of blocks below a line with nothing but the path.
        commands: lines of `sh` blocks, in order.
        outputs: blocks of no language.
    """

    def __init__(self, text: str) -> None:
        found = list(BLOCK.finditer(text))
        self.files = {block["file"]: block["text"] for block in found if block["file"]}
        self.commands = [line for block in found if block["kind"] == "sh" for line in block["text"].splitlines()]
        self.outputs = [block["text"] for block in found if not block["kind"]]

    def follow(self, folder: Path) -> None:
        """Writes all files, and installs the package as `pip install --editable` does, but for the download."""
        for name, text in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        project = tomllib.loads(self.files["pyproject.toml"])["project"]
        installed = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        installed.mkdir()
        (installed / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
        lines = [
            line
            for group, points in project["entry-points"].items()
            for line in (f"[{group}]", *(f"{name} = {target}" for name, target in points.items()))
        ]
        (installed / "entry_points.txt").write_text("\n".join(lines))


def run(folder: Path, line: str) -> subprocess.CompletedProcess:
    """Runs a command of a page in the folder, where its package is installed."""
    program, *arguments = shlex.split(line)
    if program == "mlagents-learn":
        arguments += ["--base-port", str(free_port())]
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable if program == "python" else str(SCRIPTS / program), *arguments],
        cwd=folder,
        env={**ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def links(text: str) -> list[str]:
    """Targets of the links and pictures of a page that lead to files of the repository."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    found = [link["target"] for link in LINK.finditer(re.sub(r"`[^`\n]*`", "", prose))]
    return [target for target in found if not re.match(r"https?:|mailto:", target)]


def missing_targets(file: Path) -> list[str]:
    """Links of a page that lead to no file, or to no heading of the page that they lead to."""
    missing = []
    for target in links(file.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        there = (file.parent / path) if path else file
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in headings(there)):
            missing.append(target)
    return missing


def headings(file: Path) -> set[str]:
    """What links call the headings of a page: as GitHub and the site do; and the names that a page sets itself."""
    text = file.read_text(encoding="utf-8")
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}
    return slugs | set(re.findall(r"^\((\S+)\)=$", text, re.MULTILINE))
