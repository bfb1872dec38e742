"""The workflows, and what is checked before a commit, agree with what the repository's own files say."""

import re

import pytest
import yaml
from packaging.requirements import Requirement

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib


@pytest.fixture(scope="module")
def workflows(root):
    """The content of each workflow by its file's name."""
    files = root.glob(".github/workflows/*.yml")
    return {file.name: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}


@pytest.fixture(scope="module")
def jobs(workflows):
    """All jobs that have steps of their own."""
    return [job for content in workflows.values() for job in content["jobs"].values() if "steps" in job]


def spelled_out(command, job):
    """A command for each combination of the matrix's values that it names."""
    commands = [command]
    for name, values in job.get("strategy", {}).get("matrix", {}).items():
        commands = [each.replace(f"${{{{ matrix.{name} }}}}", value) for each in commands for value in values]
    return commands


def test_workflows_run_sessions_that_there_are(jobs, root):
    """A session that is renamed is renamed in them too."""
    text = (root / "noxfile.py").read_text(encoding="utf-8")
    known = set(re.findall(r"^def (\w+)\(session: nox\.Session", text, re.M))
    commands = [line for job in jobs for step in job["steps"] for line in spelled_out(step.get("run", ""), job)]
    named = {match for line in commands for match in re.findall(r"nox --session \"?(\w+)", line)}
    assert {"tests", "together", "release_check", "torch"} <= named <= known


def test_tests_run_every_default_session_on_both_pythons(workflows, root):
    """What `nox` does by itself is what the workflow does, split into jobs."""
    text = (root / "noxfile.py").read_text(encoding="utf-8")
    default = set(re.findall(r'"(\w+)"', re.search(r"^nox\.options\.sessions = \[(.*)\]$", text, re.M)[1]))
    found = workflows["tests.yml"]["jobs"]
    on_one, on_all = found["checks"]["strategy"]["matrix"], found["tests"]["strategy"]["matrix"]
    assert {*on_one["session"], *on_all["session"]} == default
    assert on_all["python"] == re.findall(r'"([\d.]+)"', re.search(r"^PYTHONS = \[(.*)\]$", text, re.M)[1])
    assert {system.split("-")[0] for system in on_all["os"]} == {"ubuntu", "windows", "macos"}


def test_actions_have_versions_and_jobs_have_limits(jobs):
    """No branch of somebody else's runs here, and no job runs for ever."""
    used = [step["uses"] for job in jobs for step in job["steps"] if "uses" in step]
    assert [action for action in used if not re.search(r"@v\d", action)] == []
    assert all("timeout-minutes" in job for job in jobs)


def test_workflows_may_write_nothing(workflows):
    """They read; the one job that publishes may ask for an identity besides, and asks a person first."""
    assert all(content["permissions"] == {"contents": "read"} for content in workflows.values())
    allowed = {
        (file, name): job["permissions"]
        for file, content in workflows.items()
        for name, job in content["jobs"].items()
        if "permissions" in job
    }
    assert allowed == {("publish.yml", "publish"): {"id-token": "write"}}
    publish = workflows["publish.yml"]["jobs"]["publish"]
    assert publish["environment"] == "pypi"
    assert set(publish["needs"]) == {"tests", "check"}


def test_what_is_checked_before_a_commit_has_the_versions_of_the_lint_session(root):
    """ruff says the same in both."""
    hooks = yaml.safe_load((root / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    revisions = {entry["repo"].rpartition("/")[2]: entry["rev"].removeprefix("v") for entry in hooks}
    workspace = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    group = {each.name: each.specifier for each in map(Requirement, workspace["dependency-groups"]["lint"])}
    assert group["ruff"].contains(revisions["ruff-pre-commit"])
    assert group["check-jsonschema"].contains(revisions["check-jsonschema"])
