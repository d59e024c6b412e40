"""Safe writing of files into a project: complete files, never outside the project, even through links."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from hypervisor.errors import InvalidInput

CONFIG_FILE: Final = "foundry.toml"


def check_inside(root: Path, path: Path, what: str) -> None:
    """Raise InvalidInput if a path, with links resolved, is outside the project."""
    try:
        is_inside = path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError) as error:
        raise InvalidInput(f"{what} {path} cannot be followed: {error}") from None
    if not is_inside:
        raise InvalidInput(
            f"{what} {path} leads to {path.resolve()}, outside the project {root}, where nothing is written;"
            " name a folder of the project, or delete the link"
        )


def write_inside(root: Path, file: Path, content: bytes) -> None:
    """Write a file in a project and create its folder. A link with this name is replaced, not followed.

    Raises InvalidInput if the folder is outside the project, OSError if the write fails.
    """
    check_inside(root, file.parent, "the folder")
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    partial.write_bytes(content)
    partial.replace(file)
