"""Everything that this repository does to itself; ``nox --list`` shows it.

The packages are discovered: a folder with a pyproject.toml in ``packages/`` is all that a new one needs.
"""

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import nox
from packaging.requirements import Requirement
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

ROOT = Path(__file__).resolve().parent
DIST = ROOT / "dist"
PLAYERS = ROOT / "players"
SITE = ROOT / "build" / "site"
PACKAGES = {
    nox.project.load_toml(file)["project"]["name"]: file.parent
    for file in sorted([*ROOT.glob("shared/pyproject.toml"), *ROOT.glob("packages/*/pyproject.toml")])
}

UNBOUNDED = [  # they run on Pythons on which ML-Agents does not
    name
    for name, folder in PACKAGES.items()
    if "<" not in nox.project.load_toml(folder / "pyproject.toml")["project"].get("requires-python", "")
]

DRAWN_BY_GYMNASIUM = ["gymnasium[box2d]"]  # its physics, and pygame, with which the other families draw themselves

# ML-Agents' own, at every start, and nobody who trains can do anything about it.
WITHOUT_PKG_RESOURCES_WARNING = (
    {} if "PYTHONWARNINGS" in os.environ else {"PYTHONWARNINGS": "ignore:pkg_resources is deprecated as an API"}
)

GITHUB_FILES = {  # check-jsonschema brings their schemas along
    "citation-file-format": "CITATION.cff",
    "dependabot": ".github/dependabot.yml",
    "github-issue-config": ".github/ISSUE_TEMPLATE/config.yml",
    "github-issue-forms": ".github/ISSUE_TEMPLATE/[0-9]-*.yml",
    "github-workflows": ".github/workflows/*.yml",
}

PYTHONS = ["3.10", "3.11"]
LATER_PYTHONS = ["3.12", "3.13"]
NEWEST = "newest"
TORCHES = [
    "2.1.1",
    "2.8.0",
    "2.13.0",
    NEWEST,
]  # the oldest that ML-Agents allows, the last with the former exporter, the newest tried, and that of the day
ON_GPU = ("contract", "devices", "export", "resume")  # ends of names of test files
ORDINARY = "not cluster and not clone and not doctor and not faults and not learning"  # have no session
OWN_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
OWN_PYTHON_FITS = OWN_PYTHON in PYTHONS
ONE_PYTHON = None if OWN_PYTHON_FITS else PYTHONS[-1]

nox.needs_version = ">=2026.8.10"  # older ones take a dangling pyenv shim for an interpreter, and fail
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lint", "types", "build", "tests", "later", "together", "template"]
# nox's own interpreter runs the tests, and the other one where it is found. Where nox runs on a Python that
# ML-Agents does not know, uv fetches one that it does.
nox.options.download_python = "never" if OWN_PYTHON_FITS else "auto"
nox.options.error_on_missing_interpreters = not OWN_PYTHON_FITS


@nox.session(python=ONE_PYTHON, reuse_venv=True)
def lint(session: nox.Session) -> None:
    """Check style and formatting with ruff, and configurations and files of GitHub with their schemas."""
    install(session, *group(ROOT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    for schema, pattern in GITHUB_FILES.items():
        files = sorted(map(str, ROOT.glob(pattern)))
        session.run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)
    configurations = map(str, sorted(ROOT.glob("configs/*/*.yaml")))
    session.run("check-jsonschema", "--schemafile", str(ROOT / "configs" / "schema.json"), *configurations)


@nox.session(python=ONE_PYTHON, reuse_venv=True)
def types(session: nox.Session) -> None:
    """Check the sources of every package and the benchmarks with mypy, and strictly what users write, by the wheels."""
    install_all(session, *group(ROOT, "types"))
    session.run("mypy", *(str(folder / "src") for folder in PACKAGES.values()))
    elsewhere = [f"--config-file={ROOT / 'pyproject.toml'}", f"--cache-dir={session.virtualenv.location}/mypy"]
    with session.chdir(ROOT / "benchmarks"):
        session.run("mypy", *elsewhere, ".")
    with tempfile.TemporaryDirectory() as empty, session.chdir(empty):
        session.run("mypy", "--strict", *elsewhere, *map(str, sorted(ROOT.glob("tests/typing/*.py"))))


@nox.session(python=ONE_PYTHON, reuse_venv=True)
def build(session: nox.Session) -> None:
    """Build sdists, and wheels from the sdists, into dist/, and check them."""
    check_distributions(session, "--standing")


@nox.session(python=ONE_PYTHON, reuse_venv=True)
def release_check(session: nox.Session) -> None:
    """Say what stands between packages and their release: nox -s release_check [-- PACKAGE|TAG ...]."""
    check_distributions(session, *session.posargs)


@nox.session(python=PYTHONS)
@nox.parametrize("package", [nox.param(name, id=name) for name in PACKAGES])
def tests(session: nox.Session, package: str) -> None:
    """Run one package's tests on its wheel, beside nothing but what it declares."""
    test_wheel(session, package)


@nox.session(python=LATER_PYTHONS)
@nox.parametrize("package", [nox.param(name, id=name) for name in UNBOUNDED])
def later(session: nox.Session, package: str) -> None:
    """The same on Pythons that ML-Agents does not know, for packages that do not need it."""
    test_wheel(session, package)


@nox.session(python=PYTHONS)
def together(session: nox.Session) -> None:
    """Run the tests of tests/ where all wheels share one environment."""
    install_all(session, *group(ROOT, "docs", "test"))
    run_pytest(session, PACKAGES.values(), ROOT / "tests", "-m", ORDINARY, *session.posargs)


@nox.session(python=ONE_PYTHON, reuse_venv=True)
@nox.parametrize("kind", [nox.param(kind, id=kind) for kind in ("on-policy", "off-policy")])
def template(session: nox.Session, kind: str) -> None:
    """Render the template, and run the new plugin's own checks where nothing of this repository is near."""
    build_wheels(session)
    install(session, *group(ROOT, "template"), ours=False)
    if kind == "on-policy":  # once
        session.run("pytest", "-p", "no:cacheprovider", str(ROOT / "templates" / "plugin" / "tests"))
    with tempfile.TemporaryDirectory() as folder, wheels_for_others() as wheels:
        plugin = Path(folder) / "plugin"
        answers = ["--defaults", "--quiet", f"--data=name={kind.replace('-', '_')}", f"--data=kind={kind}"]
        session.run("copier", "copy", *answers, str(ROOT / "templates" / "plugin"), str(plugin))
        env = {"PIP_FIND_LINKS": " ".join([str(wheels), *find_links()]), "PYTHONPATH": None}
        for check in ("lint", f"tests-{session.python or OWN_PYTHON}"):
            session.run("nox", "--noxfile", str(plugin / "noxfile.py"), "--session", check, env=env)


@nox.session(python=ONE_PYTHON)
@nox.parametrize("release", [nox.param(release, id=release) for release in TORCHES])
def torch(session: nox.Session, release: str) -> None:
    """Run the tests of everything that uses torch on one of its releases: nox -s "torch(2.8.0)"."""
    requirement = "torch" if release == NEWEST else f"torch=={release}"
    links = [f"--find-links={link}" for link in find_links()]
    search = ["uv", "pip", "install", "--dry-run", requirement, *links]
    if "No solution found" in session.run_install(*search, external=True, silent=True, success_codes=[0, 1]):
        session.skip(f"{requirement} cannot be had for Python {session.python or OWN_PYTHON}")
    build_wheels(session)
    trainers = {name: folder for name, folder in PACKAGES.items() if needs_torch(folder)}
    own_groups = [requirement for folder in trainers.values() for requirement in group(folder, "test")]
    install(session, *PACKAGES, requirement, *group(ROOT, "docs", "test"), *own_groups, free=["torch"])
    for folder in trainers.values():
        run_pytest(session, [folder], folder / "tests", "-m", ORDINARY, *session.posargs)
    run_pytest(session, PACKAGES.values(), ROOT / "tests", "-m", ORDINARY, *session.posargs)


@nox.session(python=PYTHONS)
@nox.parametrize("package", [nox.param(name, id=name) for name in PACKAGES])
def lowest(session: nox.Session, package: str) -> None:
    """Run one package's tests on the lowest versions that it declares, torch's apart: that is the session torch."""
    build_wheels(session)
    folder = PACKAGES[package]
    declared = [each for each in (*dependencies(folder), *group(folder, "test")) if name_of(each) != "torch"]
    install(session, package, *declared, free=list(map(name_of, declared)), resolution="lowest-direct")
    run_pytest(session, [folder], folder / "tests", "-m", ORDINARY, *session.posargs)


@nox.session(python=ONE_PYTHON, reuse_venv=True)
def coverage(session: nox.Session) -> None:
    """Measure which lines and branches all tests together run, those of their child processes too."""
    own_groups = [requirement for folder in PACKAGES.values() for requirement in group(folder, "test")]
    install_all(session, *group(ROOT, "coverage", "docs", "test"), *own_groups)
    names = {package: import_name(folder) for package, folder in PACKAGES.items()}
    data = Path(session.virtualenv.location) / "measured" / "coverage"
    data.parent.mkdir(exist_ok=True)
    settings = f"--rcfile={ROOT / 'pyproject.toml'}"
    measure = ["coverage", "run", settings, f"--source={','.join(names.values())}", "-m", "pytest"]
    session.env["COVERAGE_FILE"] = str(data)
    session.run("coverage", "erase", settings)
    for folder in PACKAGES.values():
        run_pytest(session, [folder], folder / "tests", "-m", ORDINARY, *session.posargs, command=measure)
    integration = ["-m", ORDINARY, *session.posargs]
    run_pytest(session, PACKAGES.values(), ROOT / "tests", *integration, command=measure)
    session.run("coverage", "combine", "--quiet", settings)
    for package, name in names.items():
        session.log(package)
        session.run("coverage", "report", settings, f"--include=*/{name}/*", "--format=total", "--fail-under=0")
    session.run("coverage", "report", settings)


@nox.session(python=ONE_PYTHON, reuse_venv=True)
def learning(session: nox.Session) -> None:
    """Run the tests that train for minutes."""
    install_all(session, *group(ROOT, "test"))
    run_pytest(session, PACKAGES.values(), ROOT / "tests", "-m", "learning", *session.posargs)


@nox.session(python=ONE_PYTHON, reuse_venv=True)
def cuda(session: nox.Session) -> None:
    """Run on this machine's GPU what has to hold on one: contract suites, exports, resuming, the mathematics."""
    install_all(session, *group(ROOT, "test"))
    has_gpu = "import sys, torch; sys.exit(None if torch.cuda.is_available() else 'PyTorch finds no GPU here.')"
    session.run("python", "-c", has_gpu, log=False)
    for folder in PACKAGES.values():
        found = [file for kind in ON_GPU for file in sorted(folder.glob(f"tests/test_*{kind}.py"))]
        if found:
            names = " or ".join(file.stem for file in found)
            run_pytest(session, [folder], folder / "tests", "-m", ORDINARY, "-k", names, *session.posargs, gpu=True)


@nox.session(python=ONE_PYTHON, reuse_venv=True)
def doctor(session: nox.Session) -> None:
    """Break fresh environments as users do, and have the doctor's commands repair them: real installs, minutes."""
    install_all(session, *group(ROOT, "test"))
    with wheels_for_others() as wheels:
        session.env["UV_FIND_LINKS"] = ",".join([str(wheels), *find_links()])
        run_pytest(session, PACKAGES.values(), ROOT / "tests", "-m", "doctor", "-n0", *session.posargs)


@nox.session(python=ONE_PYTHON, reuse_venv=True)
def faults(session: nox.Session) -> None:
    """Run the tests of faults in whole runs, with a hundred kills of each trainer; -- --kills N for fewer."""
    install_all(session, *group(ROOT, "test"))
    run_pytest(session, PACKAGES.values(), ROOT / "tests", "-m", "faults", "-n0", "-s", *session.posargs)


@nox.session(python=ONE_PYTHON, reuse_venv=True)
def clone(session: nox.Session) -> None:
    """Follow the README as a stranger does, from `git clone` to a film; what is not committed is not in it."""
    install_all(session, *group(ROOT, "test"))
    run_pytest(session, PACKAGES.values(), ROOT / "tests", "-m", "clone", "-n0", *session.posargs)


@nox.session(python=ONE_PYTHON, reuse_venv=True)
def cluster(session: nox.Session) -> None:
    """Run the tests of whole runs with actors, some of them across machines, which need root and Linux."""
    package = "mlagents-plugin-ray"
    folder = PACKAGES[package]
    install_all(session, *group(folder, "test"))
    run_pytest(session, [folder], folder / "tests", "-m", "cluster", "-n0", "-s", *session.posargs)


@nox.session(python=ONE_PYTHON, reuse_venv=True)
def learn(session: nox.Session) -> None:
    """Run mlagents-learn: nox -s learn -- configs/dqn/Basic.yaml [its other arguments]."""
    arguments = list(session.posargs)
    config = chosen_config(session)
    scene, requirements = scene_of(config)
    install_all(session, *requirements, *with_extra("watch"))
    if not is_given("--run-id", arguments):
        arguments += ["--run-id", f"{config.parent.name}-{config.stem}"]
    run = Path(value_of("--results-dir", arguments) or "results", str(value_of("--run-id", arguments)))
    if not is_given("--env", arguments):
        session.run("mlagents-player", "build", scene, "--output", str(PLAYERS))
        arguments += ["--env", str(PLAYERS / scene.replace(":", "-"))]
    if not is_given("--base-port", arguments):
        arguments += ["--base-port", str(free_port())]
    # The session ends with its own commands, which work outside of its environment.
    env = {"MLAGENTS_PROGRESS_COMMANDS": "off", **WITHOUT_PKG_RESOURCES_WARNING}
    try:
        # After Ctrl+C the trainer exports its models; nox would kill it after 0.3 seconds.
        session.run("mlagents-learn", *arguments, env=env, interrupt_timeout=60)
    except KeyboardInterrupt:
        say_what_comes_next(session, run, scene, config)
        raise
    say_what_comes_next(session, run, scene, config)


@nox.session(python=ONE_PYTHON, reuse_venv=True)
def watch(session: nox.Session) -> None:
    """Let a trained model play: nox -s watch -- results/basic Basic, or --pretrained NAME [--output FILM.gif]."""
    if len(session.posargs) < 2 and value_of("--pretrained", session.posargs) is None:
        session.error("no model and scene given; try: nox -s watch -- results/basic Basic, or --pretrained pqn/Hallway")
    build_wheels(session)
    install(session, *with_extra("watch"), *(DRAWN_BY_GYMNASIUM if is_gymnasium(session.posargs) else []))
    session.run("mlagents-player", "watch", *session.posargs)


@nox.session(python=ONE_PYTHON, reuse_venv=True)
def bench(session: nox.Session) -> None:
    """Run a benchmark: nox -s bench -- NAME [its arguments]; without a name, list them."""
    scripts = {file.stem: file for file in sorted(ROOT.glob("benchmarks/[!_]*.py"))}
    if not session.posargs:
        session.log(f"Benchmarks: {', '.join(scripts)}")
        return
    name, *arguments = session.posargs
    if name not in scripts:
        session.error(f"no benchmark {name!r}; there are: {', '.join(scripts)}")
    install_all(session, *group(ROOT, "bench"))
    session.run("python", "-W", "ignore", str(scripts[name]), *arguments)


@nox.session(python=ONE_PYTHON, reuse_venv=True)
def results(session: nox.Session) -> None:
    """Train every scene on several seeds, ours beside peers: nox -s results -- quick | full | list | page | models."""
    install_all(session, *group(ROOT, "bench"))
    arguments = session.posargs or ["list"]
    # Ctrl+C ends the trainings that are underway; the next call goes on.
    environment = {"PYTHONPATH": str(ROOT / "benchmarks")}
    session.run("python", "-W", "ignore", "-m", "results", *arguments, env=environment, interrupt_timeout=60)


@nox.session(python=ONE_PYTHON, reuse_venv=True)
def tune(session: nox.Session) -> None:
    """Search hyperparameters: nox -s tune -- configs/dqn/Basic.yaml [--trials 30 --seeds 2 --steps 5000]."""
    asks_for_help = {"-h", "--help"} & {*session.posargs}
    requirements = [] if asks_for_help else scene_of(chosen_config(session))[1]
    install_all(session, *group(ROOT, "tune"), *requirements)
    # Ctrl+C ends the training that is underway; the next call goes on.
    environment = {"PYTHONPATH": str(ROOT / "benchmarks")}
    session.run("python", "-W", "ignore", "-m", "tune", *session.posargs, env=environment, interrupt_timeout=60)


@nox.session(python=ONE_PYTHON, reuse_venv=True)
def docs(session: nox.Session) -> None:
    """Write docs/api.md and the tables in the READMEs, docs/architecture.md and docs/scenes from the sources."""
    install_all(session, *group(ROOT, "docs"))
    for generator in sorted(ROOT.glob("docs/generate_*.py")):
        session.run("python", "-W", "ignore", str(generator))


@nox.session(python=ONE_PYTHON, reuse_venv=True)
def site(session: nox.Session) -> None:
    """Build the documentation site into build/site, and open every page in a browser; -- --no-browser builds alone."""
    install(session, *group(ROOT, "site"), ours=False)
    options = ["--fail-on-warning", "--keep-going", "--fresh-env", "--quiet"]
    session.run("sphinx-build", *options, "--conf-dir", str(ROOT / "docs"), str(ROOT), str(SITE))
    session.log(f"the site: {(SITE / 'index.html').as_uri()}")
    if "--no-browser" not in session.posargs:
        session.run("pytest", "--rootdir", str(ROOT), str(ROOT / "docs" / "site" / "tests"), *session.posargs)


@nox.session(python=ONE_PYTHON, reuse_venv=True)
def dev(session: nox.Session) -> None:
    """Make an environment to work in: every package editable, the requirements of all tests and checks."""
    editable = [argument for folder in PACKAGES.values() for argument in ("--editable", str(folder))]
    tools = [*group(ROOT, "docs", "lint", "types", "test")]
    tools += [requirement for folder in PACKAGES.values() for requirement in group(folder, "test")]
    install(session, *editable, *tools, ours=False)
    session.log(f"its commands, python among them, are in {session.bin}")


def group(folder: Path, *names: str) -> tuple[str, ...]:
    """Requirements of the dependency groups in a folder's pyproject.toml."""
    return nox.project.dependency_groups(nox.project.load_toml(folder / "pyproject.toml"), *names)


def needs_torch(folder: Path) -> bool:
    """Whether the package in a folder declares torch."""
    declared = nox.project.load_toml(folder / "pyproject.toml")["project"]["dependencies"]
    return any(re.match(r"torch\b", requirement) for requirement in declared)


def test_wheel(session: nox.Session, package: str) -> None:
    """Run a package's tests on its wheel, beside nothing but what it declares."""
    build_wheels(session)
    folder = PACKAGES[package]
    install(session, package, *group(folder, "test"))
    run_pytest(session, [folder], folder / "tests", "-m", ORDINARY, *session.posargs)


def dependencies(folder: Path) -> list[str]:
    """What a folder's pyproject.toml declares for those who install the package, the extras included."""
    project = nox.project.load_toml(folder / "pyproject.toml")["project"]
    extras = project.get("optional-dependencies", {}).values()
    return [*project.get("dependencies", []), *(requirement for extra in extras for requirement in extra)]


def name_of(requirement: str) -> str:
    """Name of the distribution that a requirement asks for."""
    return canonicalize_name(Requirement(requirement).name)


def import_name(folder: Path) -> str:
    """Name of the one package that a distribution installs."""
    return next(marker.parent.name for marker in folder.glob("src/*/py.typed"))


def build_wheels(session: nox.Session) -> None:
    """Fill dist/, unless it was built from exactly these sources."""
    stamp = DIST / ".sources"
    digest = sources_digest()
    if not installs(session) or (stamp.is_file() and stamp.read_text(encoding="utf-8") == digest):
        return
    shutil.rmtree(DIST, ignore_errors=True)
    session.run_install("uv", "build", "--all-packages", "--out-dir", str(DIST), external=True, silent=True)
    stamp.write_text(digest, encoding="utf-8")


@contextlib.contextmanager
def wheels_for_others() -> Iterator[Path]:
    """The wheels in dist/ in a folder of another name each time, for those who install with uv by themselves.

    uv keeps what a folder held, and a wheel of the same version is then an old one.
    """
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copytree(DIST, Path(folder) / "wheels"))


def installs(session: nox.Session) -> bool:
    """Whether steps that install do so: with -R nox leaves them out where the environment is there.

    What such a step makes must not be marked as made, or the next run without -R would believe it.
    """
    return session.run_install("python", "-c", "", silent=True, log=False) is not None


def sources_digest() -> str:
    """Digest of all files of all packages, without caches."""
    digest = hashlib.sha256()
    for folder in PACKAGES.values():
        for file in sorted(folder.rglob("*")):
            name = file.relative_to(ROOT)
            if file.is_file() and not any(part.startswith((".", "__pycache__")) for part in name.parts):
                digest.update(f"{name.as_posix()} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def check_distributions(session: nox.Session, *arguments: str) -> None:
    """Build all packages, and look at what was built and at what is said of it."""
    build_wheels(session)
    install(session, *group(ROOT, "build"))
    session.run("twine", "check", "--strict", *map(str, [*DIST.glob("*.tar.gz"), *DIST.glob("*.whl")]))
    session.run("python", str(ROOT / "tools" / "release_check.py"), *arguments)


def install_all(session: nox.Session, *requirements: str) -> None:
    """Install every wheel and the requirements, unless the environment holds just these."""
    build_wheels(session)
    stamp = Path(session.virtualenv.location) / "installed.txt"
    wanted = "\n".join([sources_digest(), *requirements, *constraints(session)])
    if not installs(session) or (stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted):
        return
    install(session, *PACKAGES, *requirements)
    stamp.write_text(wanted, encoding="utf-8")


def install(
    session: nox.Session,
    *requirements: str,
    ours: bool = True,
    free: Sequence[str] = (),
    resolution: str = "highest",
) -> None:
    """Install with uv: the wheels in dist/ win, then those that PIP_FIND_LINKS holds, then the index.

    What is `free` may also come from the index where PIP_FIND_LINKS holds it. `resolution` is uv's.
    """
    file = Path(session.virtualenv.location) / "constraints.txt"
    file.write_text("\n".join(constraints(session, ours=ours, free=free)), encoding="utf-8")
    # A wheel that was built again has its old version: uv would keep the one that is installed.
    again = [f"--reinstall-package={name}" for name in PACKAGES]
    links = [f"--find-links={link}" for link in find_links()]
    # Compiled once here rather than at every start: some machines forbid Python to write its caches.
    how = ["--compile-bytecode", "--constraint", str(file), "--resolution", resolution]
    session.install(*requirements, *how, *again, *links)


def constraints(session: nox.Session, *, ours: bool = True, free: Sequence[str] = ()) -> list[str]:
    """Lines of a constraints file; unlike a requirement, it hides no undeclared dependency.

    Without them uv would prefer an index's newer version to a wheel that lies at hand.
    """
    python = str(session.python or OWN_PYTHON)
    own = newest_wheels([DIST], python) if ours else {}
    local = newest_wheels([Path(link) for link in find_links()], python)
    return [
        *(f"{name} @ {wheel.as_uri()}" for name, (_, wheel) in own.items()),
        *(f"{name}=={version}" for name, (version, _) in local.items() if name not in {*PACKAGES, *free}),
    ]


def find_links() -> list[str]:
    """Folders and pages in PIP_FIND_LINKS, which uv does not read by itself."""
    return os.environ.get("PIP_FIND_LINKS", "").split()


def newest_wheels(folders: list[Path], python: str) -> dict[str, tuple[Version, Path]]:
    """Newest wheel of each distribution that an interpreter of this version can install."""
    python_version = [int(part) for part in python.split(".")[:2]]
    tags = {*cpython_tags(python_version), *compatible_tags(python_version)}
    newest: dict[str, tuple[Version, Path]] = {}
    for wheel in (file for folder in folders for file in folder.glob("*.whl")):
        name, version, _, wheel_tags = parse_wheel_filename(wheel.name)
        if tags & wheel_tags and (name not in newest or version > newest[name][0]):
            newest[name] = (version, wheel)
    return newest


# Run in an empty directory: nothing but an installed package can be found.
LIES_IN_SITE_PACKAGES = """
import importlib.util, pathlib, sys, sysconfig
for name in sys.argv[1:]:
    origin = pathlib.Path(importlib.util.find_spec(name).origin)
    if pathlib.Path(sysconfig.get_path("purelib")) not in origin.parents:
        sys.exit(f"{name} would be tested from {origin}, not from its wheel")
"""


def run_pytest(
    session: nox.Session,
    packages: Iterable[Path],
    tests: Path,
    *arguments: str,
    command: Sequence[str] = ("pytest",),
    gpu: bool = False,
) -> None:
    """Run tests from an empty directory, so that they see the installed packages and not ``src``, and no GPU."""
    names = [import_name(folder) for folder in packages]
    # One thread for each of pytest's processes: torch would start as many as there are cores in every one.
    env = {"PYTHONPATH": None, "OMP_NUM_THREADS": "1"}
    if not gpu:  # numbers that tests expect are those of a CPU
        env["CUDA_VISIBLE_DEVICES"] = "-1"
    with tempfile.TemporaryDirectory() as empty, session.chdir(empty):
        session.run("python", "-c", LIES_IN_SITE_PACKAGES, *names, env=env, log=False)
        session.run(*command, "--numprocesses=auto", "--timeout=600", str(tests), *arguments, env=env)


def chosen_config(session: nox.Session) -> Path:
    """The trainer configuration among the session's arguments."""
    config = next((Path(arg) for arg in session.posargs if arg.endswith((".yaml", ".yml"))), None)
    if config is None:
        session.error("no configuration given; try: nox -s learn -- configs/dqn/Basic.yaml")
    if not config.is_file():
        session.error(f"configuration {config} does not exist")
    return config


def scene_of(config: Path) -> tuple[str, list[str]]:
    """The player's scene that a file or its first behaviour is named after, and what it needs beside the packages."""
    name = config.stem
    if name not in {file.stem for file in ROOT.glob("configs/*/*.yaml")}:
        behavior = re.search(r"^behaviors:\s+(?:#.*\s+)*([\w-]+):", config.read_text("utf-8"), re.MULTILINE)
        name = behavior[1] if behavior else name
    return (f"gym:{name}", DRAWN_BY_GYMNASIUM) if is_of_gymnasium(name) else (name, [])


def is_of_gymnasium(name: str) -> bool:
    """Whether a file or a model is named after an environment of Gymnasium's: no scene of Unity's is called so."""
    return re.search(r"-v\d+$", name) is not None


def is_gymnasium(arguments: Sequence[str]) -> bool:
    """Whether one of the arguments of `watch` is a scene of Gymnasium's, or a model that comes with its scene."""
    pretrained = value_of("--pretrained", arguments) or ""
    return any(argument.startswith("gym:") for argument in arguments) or is_of_gymnasium(pretrained)


def with_extra(name: str) -> list[str]:
    """The packages that have this extra, each with it."""
    extras = {
        package: nox.project.load_toml(folder / "pyproject.toml")["project"].get("optional-dependencies", {})
        for package, folder in PACKAGES.items()
    }
    return [f"{package}[{name}]" for package, known in extras.items() if name in known]


def is_given(option: str, arguments: Sequence[str]) -> bool:
    """Whether the option is among the arguments, as ``--option value`` or ``--option=value``."""
    return any(argument.split("=")[0] == option for argument in arguments)


def value_of(option: str, arguments: Sequence[str]) -> str | None:
    """The option's value among the arguments, None where it is not given; the last one counts."""
    found = None
    for argument, following in zip(arguments, [*arguments[1:], None], strict=True):
        name, is_one_word, value = argument.partition("=")
        if name == option:
            found = value if is_one_word else following
    return found


def without(options: dict[str, bool], arguments: Sequence[str]) -> list[str]:
    """The arguments without these options; the dictionary says which of them take a value."""
    kept: list[str] = []
    skips = False
    for argument in arguments:
        name, is_one_word, _ = argument.partition("=")
        if not skips and name not in options:
            kept.append(argument)
        skips = not skips and not is_one_word and options.get(name, False)
    return kept


def say_what_comes_next(session: nox.Session, run: Path, scene: str, config: Path) -> None:
    """Print the commands that go on from a run, each on a line of its own that can be copied."""
    if list(run.glob("*.onnx")):
        for what, command in next_commands(session, run, scene, config).items():
            print(f"\n{what}:\n    {command_line(command)}")
        print(flush=True)


def next_commands(session: nox.Session, run: Path, scene: str, config: Path) -> dict[str, list[str]]:
    """What to do after a run, and the words of the command that does it, from the folder where nox was called."""
    nox_command = [*this_python(), "-m", "nox"]
    tensorboard, logs = Path(session.bin) / "tensorboard", ROOT / run
    if Path(session.invoked_from).resolve() == ROOT:
        tensorboard, logs = (path.relative_to(ROOT) if ROOT in path.parents else path for path in (tensorboard, logs))
    else:
        nox_command += ["-f", str(ROOT / "noxfile.py")]
    film = str(run / f"{scene.rpartition(':')[2]}.gif")
    begins_anew = {"--resume": False, "--force": False, "--initialize-from": True}
    watched = [str(run), scene, "--output", film]
    resumed = [*without(begins_anew, session.posargs), "--resume"]
    return {
        f"To see it play, in the film {film}": [*nox_command, "-s", "watch", "--", *watched],
        "To see its curves, in a browser": [str(tensorboard), "--logdir", str(logs)],
        f"To go on, after Ctrl+C or with a larger max_steps in {config}": [*nox_command, "-s", "learn", "--", *resumed],
    }


def this_python() -> list[str]:
    """The words that start nox's own Python: its short name, if that starts no other one, or else its path."""
    for name in (["python"], ["python3"], ["py", f"-{OWN_PYTHON}"]):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            print_path = [*name, "-c", "import sys; print(sys.executable)"]
            started = subprocess.run(print_path, capture_output=True, text=True, timeout=60, check=True)
            if Path(started.stdout.strip()) == Path(sys.executable):
                return name
    return [sys.executable]


def command_line(words: Sequence[str]) -> str:
    """The words as they are typed in this operating system's shell."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def free_port() -> int:
    """ML-Agents' own first port, or a later one where that is taken, by another training for instance."""
    for port in range(5005, 6000, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("localhost", port))
            return port
    return 5005
