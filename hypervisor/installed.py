"""Entry points of installed packages, read once per process, since reading them opens a file per package."""

from importlib.metadata import EntryPoints, entry_points
from typing import Any, Final

from hypervisor.once import once

INSTALL_AGAIN: Final = "the installation is from another release; reinstall it (in a checkout: make environment)"
"""Remedy if an entry point of this release is not registered."""


def entry_points_of(*, group: str) -> EntryPoints:
    """Return the entry points of a group."""
    found: EntryPoints = _all().select(group=group)
    return found


@once
def _all() -> Any:
    """Return all entry points; their type differs between Python 3.11 and later versions."""
    return entry_points()
