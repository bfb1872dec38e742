"""All wheels in one environment: what each brings, and that none takes from another."""

import re
import subprocess
import sys
from collections import Counter
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mlagents_plugin_shared.run.published import TRAINERS

BUILT_IN_TRAINERS = {"ppo", "sac", "poca"}


@pytest.fixture(scope="module")
def registered():
    """Trainer types and settings as ``mlagents-learn`` registers them."""
    from mlagents.plugins.trainer_type import register_trainer_plugins

    return register_trainer_plugins()


def plugin_entry_points():
    return [point for point in metadata.entry_points(group="mlagents.trainer_type") if point.name != "default"]


def test_every_declared_trainer_is_an_entry_point(plugins):
    """The environment lists exactly the trainers that the packages declare, each once."""
    declared = [name for plugin in plugins for name in plugin.trainers]
    assert sorted(point.name for point in plugin_entry_points()) == sorted(declared)


def test_trainers_that_are_offered_where_they_lack_are_ours(plugins):
    """By the names of their distributions."""
    published = {f"mlagents-plugin-{name}" for name in TRAINERS}
    assert published <= {plugin.name for plugin in plugins}


def test_entry_point_brings_the_trainer_that_it_is_named_after(plugin):
    """Each entry point returns its trainer and its settings under its own name, and nothing else."""
    for point in plugin_entry_points():
        if point.name in plugin.trainers:
            trainer_types, settings = point.load()()
            assert set(trainer_types) == set(settings) == {point.name}


def test_plugins_leave_the_built_in_trainers_alone(registered, plugins):
    """ML-Agents' own trainers stay registered beside the plugins'."""
    trainer_types, settings = registered
    expected = BUILT_IN_TRAINERS | {name for plugin in plugins for name in plugin.trainers}
    assert set(trainer_types) == set(settings) == expected
    for name in BUILT_IN_TRAINERS:
        assert trainer_types[name].__module__.startswith("mlagents.")


def test_no_file_belongs_to_two_distributions(packages):
    """No package overwrites a file of another one."""
    owners = Counter(str(file) for dist in metadata.distributions() for file in {*(dist.files or [])})
    ours = [str(file) for package in packages for file in metadata.files(package.name)]
    assert [file for file in ours if owners[file] > 1] == []


def test_dependencies_are_met_but_for_the_known_override():
    """Python 3.11 runs a newer grpcio than ML-Agents asks for; every other requirement is met."""
    known = {"grpcio"} if sys.version_info >= (3, 11) else set()
    assert {requirement.name for _, requirement in broken_requirements()} == known
    assert {name for name, _ in broken_requirements()} <= {"mlagents", "mlagents-envs"}


def broken_requirements():
    """Distribution and requirement, wherever the environment does not meet one."""
    versions: dict[str, str] = {}
    for dist in metadata.distributions():  # the first one on the path counts: setuptools brings copies of others
        versions.setdefault(canonicalize_name(dist.metadata["Name"]), dist.version)
    for dist in metadata.distributions():
        for requirement in map(Requirement, dist.requires or []):
            if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
                continue
            version = versions.get(canonicalize_name(requirement.name))
            if version is None or not requirement.specifier.contains(version, prereleases=True):
                yield canonicalize_name(dist.metadata["Name"]), requirement


def test_command_of_the_page_lists_the_entry_points(root, plugins):
    """The command that the page gives for `Invalid trainer type` prints every trainer."""
    page = (root / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    code = re.search(r'python -c "(import pkg_resources;.*)"', page)
    assert code
    listing = subprocess.run([sys.executable, "-c", code[1]], capture_output=True, text=True, check=True)
    for plugin in plugins:
        for name in plugin.trainers:
            assert f"'{name}'" in listing.stdout
