"""Search for test files in the paths of a command."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hypervisor.errors import InvalidInput


def files_of(paths: Iterable[Path], *patterns: str) -> list[Path]:
    """Return the files in `paths` and those in its folders that match a pattern, without duplicates.

    Raises InvalidInput for a path that does not exist.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise InvalidInput(f"{path} does not exist")
        within = sorted(file for pattern in patterns for file in path.glob(pattern)) if path.is_dir() else [path]
        found.update(dict.fromkeys(within))
    return list(found)
