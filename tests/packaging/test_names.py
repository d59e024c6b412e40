"""Names of our packages: no installed distribution or standard module has one of them."""

import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.packaging.project import PACKAGES, PROJECT

OURS = "fvm-hypervisor"
NAMES = frozenset({*PACKAGES, "localnet"})
INSTALLED = {distribution.name: distribution for distribution in distributions()}


def locked() -> Iterator[tuple[str, str]]:
    """Return names and versions of requirements.lock for this Python and system."""
    for line in (PROJECT / "requirements.lock").read_text().splitlines():
        if "==" in line and not line.lstrip().startswith("#"):
            requirement = Requirement(line.removesuffix("\\"))
            if requirement.marker is None or requirement.marker.evaluate():
                yield canonicalize_name(requirement.name), str(requirement.specifier).removeprefix("==")


LOCKED = dict(locked())


def top_level(distribution: Distribution) -> set[str]:
    """Return the names that a distribution makes importable, from its list of files."""
    files = distribution.files
    assert files is not None, f"{distribution.name} has no list of files"
    return {file.parts[0].removesuffix(".py") for file in files if file.parts[0] != ".."}


def test_every_locked_package_is_installed_as_locked() -> None:
    present = {str(canonicalize_name(name)): distribution.version for name, distribution in INSTALLED.items()}
    assert {name: present.get(name) for name in LOCKED} == LOCKED


@pytest.mark.slow
def test_installed_distributions_do_not_shadow_our_packages() -> None:
    taken = {name: top_level(distribution) & NAMES for name, distribution in INSTALLED.items() if name != OURS}
    assert {name: names for name, names in taken.items() if names} == {}


def test_stdlib_modules_do_not_shadow_our_packages() -> None:
    assert not NAMES & sys.stdlib_module_names
