"""Files that a run of tests leaves in a project: whole, and nowhere else, whatever links and names say."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from hypervisor.errors import InvalidInput

CONFIG_FILE: Final = "foundry.toml"


def check_inside(root: Path, place: Path, what: str) -> None:
    """Raises InvalidInput where a place, followed to where it leads, is not in the project's folder."""
    try:
        is_inside = place.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError) as error:
        raise InvalidInput(f"{what} {place} cannot be followed: {error}") from None
    if not is_inside:
        raise InvalidInput(
            f"{what} {place} leads to {place.resolve()}, out of the project {root}: nothing is written there;"
            " name a folder of the project, or delete the link"
        )


def write_inside(root: Path, file: Path, content: bytes) -> None:
    """Write a file in a project, its folders with it. A link of this name is replaced, not followed.

    Raises InvalidInput where its folder is not in the project, OSError as writing does.
    """
    check_inside(root, file.parent, "the folder")
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    partial.write_bytes(content)
    partial.replace(file)
