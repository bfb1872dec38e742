"""What is installed here, from its metadata: nothing is imported."""

from collections.abc import Iterator
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution, distributions, entry_points
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version


class Unmet(NamedTuple):
    """A requirement of a distribution that the environment does not meet.

    Attributes:
        requirement: what is asked for, without its marker.
        found: the version that is installed, None where there is none.
    """

    requirement: Requirement
    found: str | None

    @property
    def text(self) -> str:
        """In words."""
        return f"{self.requirement.name} {self.found or 'missing'}, asked for is {named(self.requirement)}"


def version_of(name: str) -> str | None:
    """The installed version of a distribution, None where there is none.

    Args:
        name: of the distribution.
    """
    try:
        return distribution(name).version or None  # broken metadata have none
    except PackageNotFoundError:
        return None


def number_of(version: str | None) -> Version | None:
    """A version that can be compared.

    Args:
        version: its text.
    """
    try:
        return Version(version or "")
    except InvalidVersion:
        return None


def installer_of(name: str) -> str:
    """What has installed a distribution: pip, uv, conda, poetry ...; empty where it did not say.

    Args:
        name: of the distribution.
    """
    try:
        return (distribution(name).read_text("INSTALLER") or "").strip()
    except PackageNotFoundError:
        return ""


def requirements_of(name: str) -> list[Requirement]:
    """What a distribution asks for on this machine, extras apart.

    Args:
        name: of the distribution.
    """
    try:
        return list(_requirements(distribution(name)))
    except PackageNotFoundError:
        return []


def unmet(name: str) -> list[Unmet]:
    """The requirements of a distribution that the environment does not meet.

    Args:
        name: of the distribution.
    """
    found = ((requirement, version_of(requirement.name)) for requirement in requirements_of(name))
    return [Unmet(requirement, version) for requirement, version in found if not fits(version, requirement)]


def fits(version: str | None, requirement: Requirement) -> bool:
    """Whether an installed version is one that is asked for.

    Args:
        version: None where nothing is installed.
        requirement: what is asked for.
    """
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def named(requirement: Requirement) -> str:
    """A requirement as it is typed, without its marker.

    Args:
        requirement: what is asked for.
    """
    return f"{requirement.name}{requirement.specifier}"


def askers(name: str, allowed: Requirement) -> list[str]:
    """Distributions that cannot do with any allowed version of another one, by what they ask for at least.

    They would break, or break it again, where the other one is repaired and they stay.

    Args:
        name: of the other one.
        allowed: the versions of it that are allowed.
    """
    return sorted(
        canonicalize_name(each.metadata["Name"])
        for each in distributions()
        if each.metadata["Name"]
        for requirement in _requirements(each)
        if canonicalize_name(requirement.name) == canonicalize_name(name) and _is_beyond(requirement, allowed)
    )


def _is_beyond(requirement: Requirement, allowed: Requirement) -> bool:
    """Whether the least version that is asked for is more than what is allowed."""
    lowest = [
        number_of(each.version.removesuffix(".*")) for each in requirement.specifier if each.operator in _AT_LEAST
    ]
    return any(low is not None and not allowed.specifier.contains(low, prereleases=True) for low in lowest)


_AT_LEAST = (">=", ">", "==", "~=")


def _requirements(each: Distribution) -> Iterator[Requirement]:
    for line in each.requires or []:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            requirement.marker = None
            yield requirement


def points(group: str) -> list[EntryPoint]:
    """The entry points of a group, in the order in which ML-Agents takes them.

    Args:
        group: its name.
    """
    return list(entry_points(group=group))


def owner_of(point: EntryPoint) -> str:
    """The distribution of an entry point, with its version.

    Args:
        point: the entry point.
    """
    return f"{owner_name(point)} {point.dist.version}" if point.dist else "an unknown distribution"


def owner_name(point: EntryPoint) -> str:
    """The name of an entry point's distribution, empty where it has none.

    Args:
        point: the entry point.
    """
    return point.dist.metadata["Name"] or "" if point.dist else ""


def is_conda(prefix: str) -> bool:
    """Whether an environment is conda's.

    Args:
        prefix: its folder.
    """
    return (Path(prefix) / "conda-meta").is_dir()
