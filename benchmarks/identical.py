"""Whether training is bit for bit what it was at another revision: `nox -s bench -- identical --against main`.

Trains small configurations of every trainer for 200 gradient updates and more, on the CPU with a fixed seed, and takes
digests of all that comes of it: weights with normaliser statistics and target networks, moments, the replay or open
rollout, what else is in the checkpoint (generators, returns, updates that are due), every reported number, and every
action. Without --against it prints a digest of each.

With --against the revision's files are taken out into a temporary folder, and both versions train the same. Some
configurations stop half-way and are resumed; "taken over" is a run that the other version began and this one resumed.
Values are looked for by what they are and not by where they stand, so that a checkpoint may be arranged in another way:
a part is the same where all that the revision's held is found, as often. What came in addition does not count.
"""

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _fingerprint import CONFIGURATIONS, FILE, LEAST_UPDATES, PARTS

ROOT = Path(__file__).resolve().parents[1]
WORKER = Path(__file__).with_name("_fingerprint.py")
IN_FILES = ("weights", "moments", "experience", "state")
"""Parts that are read from files, where one may have moved to another."""

Fingerprints = dict[str, Any]


def check_out(revision: str, folder: Path) -> None:
    """Takes the files of a revision out of git.

    Args:
        revision: a commit, branch or tag.
        folder: where to.
    """
    archive = subprocess.run(["git", "archive", "--format=tar", revision], cwd=ROOT, capture_output=True)
    if archive.returncode:
        raise SystemExit(f"--against {revision}: {archive.stderr.decode(errors='replace').strip()}")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder)


def fingerprints(tree: Path, folder: Path, names: Sequence[str], half_of: Path | None = None) -> Fingerprints:
    """Trains in a process of its own with the sources of a tree.

    Args:
        tree: root of a checkout.
        folder: for what it writes.
        names: of the configurations.
        half_of: folder of another tree, whose runs are to be taken over.
    """
    folder.mkdir()
    sources = [str(found) for pattern in ("*/src", "packages/*/src") for found in sorted(tree.glob(pattern))]
    # A fixed order of sets, and sums of torch that are not split among threads.
    fixed = {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment = {**os.environ, **fixed, "PYTHONPATH": os.pathsep.join(sources)}
    arguments = [str(tree), str(folder), "--names", *names, *(["--half-of", str(half_of)] if half_of else [])]
    command = [sys.executable, "-W", "ignore", str(WORKER), *arguments]
    with subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE) as process:
        for number, name in enumerate(process.stdout or (), start=1):
            print(f"\r{number} of {len(names)}: {name.strip():50}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    if process.returncode:
        raise SystemExit(f"the training with the sources of {tree} ended with an error")
    found: Fingerprints = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return found


def missing(part: str, before: Fingerprints, after: Fingerprints) -> list[str]:
    """Names of what one version's training gave and the other's did not, in one part.

    Args:
        part: which one.
        before: fingerprint of the revision.
        after: fingerprint of this version.
    """
    if part not in IN_FILES:
        return [name for name, value in before["parts"][part].items() if after["parts"][part].get(name) != value]
    left = Counter(value for where in IN_FILES for value in after["parts"][where].values())
    gone: list[str] = []
    for name, value in before["parts"][part].items():
        left[value] -= 1
        if left[value] < 0:
            gone.append(name)
    return gone


def compare(name: str, before: Fingerprints, after: Fingerprints, parts: Sequence[str]) -> bool:
    """Prints a line for a configuration, and lines for what differs; whether nothing does.

    Args:
        name: of the configuration.
        before: fingerprint of the revision.
        after: fingerprint of this version.
        parts: those that count.
    """
    gone = {part: missing(part, before, after) for part in PARTS}
    cells = [f"{len(names)} differ" if names else "same" for names in gone.values()]
    differs = any(gone[part] for part in parts)
    print(row(name, "differs" if differs else "identical", after["updates"], *cells), flush=True)
    for part, names in gone.items():
        if names:
            print(f"    {part}: {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}")
    return not differs


def row(name: str, *cells: object) -> str:
    """A line of the table."""
    return f"| {name:42} | " + " | ".join(f"{cell!s:10}" for cell in cells) + " |"


def short_digest(values: dict[str, str]) -> str:
    """First digits of the digest of one part."""
    return hashlib.sha256(json.dumps(sorted(values.items())).encode()).hexdigest()[:10]


def show(names: Sequence[str], folder: Path) -> bool:
    """Prints the digests of this version; whether all configurations took enough updates."""
    found = fingerprints(ROOT, folder / "this", names)
    print(row("configuration", "updates", *PARTS))
    for name in names:
        print(row(name, found[name]["updates"], *(short_digest(found[name]["parts"][part]) for part in PARTS)))
    return took_enough(found)


def hold_against(revision: str, names: Sequence[str], parts: Sequence[str], folder: Path) -> bool:
    """Prints what differs from a revision; whether nothing does."""
    check_out(revision, folder / "tree")
    before = fingerprints(folder / "tree", folder / "before", names)
    after = fingerprints(ROOT, folder / "after", names, half_of=folder / "before")
    print(row("configuration", f"to {revision[:7]}", "updates", *PARTS))
    same = []
    for name in names:
        same.append(compare(name, before[name], after[name], parts))
        if CONFIGURATIONS[name].resumed:
            same.append(compare(f"{name}, taken over", before[name], after[name]["taken over"], parts))
    print(f"{sum(same)} of {len(same)} are identical in {', '.join(parts)}")
    return all(same) and took_enough(after)


def took_enough(found: Fingerprints) -> bool:
    """Whether all took so many updates that they prove something; says which did not."""
    short = [name for name in found if found[name]["updates"] < LEAST_UPDATES]
    if short:
        print(f"fewer than {LEAST_UPDATES} updates: {', '.join(short)}")
    return not short


def main() -> bool:
    """Whether all is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", metavar="REVISION", help="commit, branch or tag to compare with")
    parser.add_argument("--only", default="", metavar="TEXT", help="configurations whose name has this in it")
    parser.add_argument("--without", nargs="+", default=[], choices=PARTS, help="parts that may differ")
    options = parser.parse_args()
    names = [name for name in CONFIGURATIONS if options.only in name]
    if not names:
        parser.error(f"--only {options.only}: no configuration has this in its name; there are: {list(CONFIGURATIONS)}")
    parts = [part for part in PARTS if part not in options.without]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        if options.against is None:
            return show(names, Path(folder))
        return hold_against(options.against, names, parts, Path(folder))


if __name__ == "__main__":
    sys.exit(not main())
