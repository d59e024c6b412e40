"""Files of a project: reading of its foundry.toml, and safe writing.

Files are written completely or not at all, and never outside the project, even through links.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from hypervisor.errors import InvalidInput
from hypervisor.installation import parse_toml, read_bounded

CONFIG_FILE: Final = "foundry.toml"
_MAX_SETTINGS_BYTES: Final = 256 << 10
"""Maximum size of foundry.toml and remappings.txt."""


def read_config(file: Path) -> dict[str, Any]:
    """Return the content of a foundry.toml. Raises InvalidInput, naming the file."""
    text = read_utf8(file)
    try:
        return parse_toml(text)
    except ValueError as error:
        raise InvalidInput(f"{file}: {error}") from None


def read_utf8(file: Path) -> str:
    """Return the text of a project's file with settings. Raises InvalidInput, naming the file."""
    data = read_bounded(file, _MAX_SETTINGS_BYTES, "the file")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file}: invalid UTF-8 at byte {error.start:,}; save the file as UTF-8") from None


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
