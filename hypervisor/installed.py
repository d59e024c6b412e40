"""What the installed packages register. They are looked through once in a process: each has a file to be read."""

from importlib.metadata import EntryPoints, entry_points
from typing import Any, Final

from hypervisor.once import once

INSTALL_AGAIN: Final = "the installation is of another release, install it again (in a checkout: make environment)"
"""What to do where something is not registered that this release brings."""


def registered(*, group: str) -> EntryPoints:
    """The entry points of a group."""
    found: EntryPoints = _all().select(group=group)
    return found


@once
def _all() -> Any:
    """What selects them: Python 3.11 has another class for all of them than later ones."""
    return entry_points()
