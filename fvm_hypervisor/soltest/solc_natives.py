"""Trusted native solc programs: Foundry's, the user's own, and those of the Solidity project's list.

- Foundry installs releases in `~/.svm/VERSION/solc-VERSION`.
- `solc` on `PATH` counts if its folder is outside the project.
- solc_download.py stores programs of the Solidity project's list in the user's cache, with their SHA-256.

A program must belong to the user or to root, must not be world-writable, and must report the expected release: a build
from other sources than the tag's would write another version into the metadata.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from fvm_hypervisor.soltest.compile.releases import VERSION, parse_release
from hypervisor.errors import InvalidInput
from hypervisor.installation import read_bounded, user_folder

FOUNDRY: Final = "Foundry's cache"
PATH: Final = "PATH"
OFFICIAL: Final = "solc-bin"
_PLATFORMS: Final = {
    ("linux", "x86_64"): "linux-amd64",
    ("linux", "aarch64"): "linux-arm64",
    ("darwin", "x86_64"): "macosx-amd64",
    ("darwin", "arm64"): "macosx-amd64",
}
_REPORTED: Final = re.compile(r"^Version: (\d+\.\d+\.\d+)\+commit\.[0-9a-f]{8}\.(?!mod\.)", re.MULTILINE)
MAX_PROGRAM_BYTES: Final = 256 << 20
"""Maximum size of a program in bytes; releases have 10 to 80 million."""
_START: Final = 10.0
"""Seconds that a program may take to report its version."""


@dataclass(frozen=True, slots=True)
class NativeSolc:
    """A program, its release, and its origin: `FOUNDRY`, `OFFICIAL` or `PATH`."""

    version: str
    path: Path
    origin: str


def native_programs(root: Path) -> Iterator[NativeSolc]:
    """Yield the trusted programs on this machine, newest releases first within each folder.

    The project's folder `root` is not searched. Call `check_native` on the chosen one.
    """
    return (found for found in _candidates(root) if _is_trusted(found.path, root))


def check_native(found: NativeSolc) -> bool:
    """Return True if a program is the release of its folder.

    Raises InvalidInput if a program in the user's cache was changed.
    """
    if found.origin == OFFICIAL:
        _check_digest(found.path, found.version)
        return True
    return found.origin == PATH or reported_version(found.path) == found.version


def reported_version(path: Path) -> str | None:
    """Return the release that a program reports; None for a development build, or if it does not run."""
    try:
        done = subprocess.run(
            [str(path), "--version"], capture_output=True, timeout=_START, check=False, cwd=path.parent, env={}
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _REPORTED.search(done.stdout.decode("utf-8", "replace"))
    return None if found is None else found[1]


def _check_digest(path: Path, version: str) -> None:
    """Raise InvalidInput if a program in the cache does not have the SHA-256 of the official list."""
    expected = (path.parent / "sha256").read_text(encoding="ascii").strip()
    digest = sha256(read_bounded(path, MAX_PROGRAM_BYTES, "the compiler")).hexdigest()
    if digest != expected:
        raise InvalidInput(
            f"{path} is not solc {version}: its SHA-256 is {digest}, expected {expected}. Delete {path.parent} to"
            " download the compiler again"
        )


def _candidates(root: Path) -> Iterator[NativeSolc]:
    for folder in _foundry_folders():
        yield from _installed_programs(folder, "solc-{}", FOUNDRY)
    name = platform_name()
    if name is not None:
        yield from _installed_programs(native_folder(name), "solc", OFFICIAL)
    own = _on_path(root)
    if own is not None and _is_trusted(own, root):  # checked before it is executed
        version = reported_version(own)
        if version is not None:
            yield NativeSolc(version, own, PATH)


def _installed_programs(folder: Path, name: str, origin: str) -> Iterator[NativeSolc]:
    """Yield the programs in folders named by release, newest first."""
    try:
        versions = [place.name for place in folder.iterdir() if VERSION.fullmatch(place.name)]
    except OSError:
        return
    for version in sorted(versions, key=parse_release, reverse=True):
        path = folder / version / name.format(version)
        if path.is_file():
            yield NativeSolc(version, path, origin)


def _foundry_folders() -> Iterator[Path]:
    """Yield the folders of Foundry's version manager: in the home folder, or in the data folder."""
    try:
        home = Path.home()
    except RuntimeError:
        return
    yield home / ".svm"
    data = home / "Library" / "Application Support" if sys.platform == "darwin" else home / ".local" / "share"
    yield Path(os.environ.get("XDG_DATA_HOME") or data) / "svm"


def _on_path(root: Path) -> Path | None:
    """Return the first `solc` on PATH; entries that are relative or in the project are ignored."""
    entries = [entry for entry in os.environ.get("PATH", "").split(os.pathsep) if Path(entry).is_absolute()]
    outside = [entry for entry in entries if not Path(entry).resolve().is_relative_to(root.resolve())]
    found = shutil.which("solc", path=os.pathsep.join(outside)) if outside else None
    return None if found is None else Path(found)


def _is_trusted(path: Path, root: Path) -> bool:
    """Return True if a program is outside the project, and only the user and root may change it."""
    try:
        real = path.resolve(strict=True)
        if real.is_relative_to(root.resolve()) or not real.is_file() or not os.access(real, os.X_OK):
            return False
        return all(_is_safe(place) for place in (real, *real.parents))
    except OSError:
        return False


def _is_safe(path: Path) -> bool:
    found = path.stat()
    if found.st_uid not in (0, os.getuid()):
        return False
    is_shared = stat.S_ISDIR(found.st_mode) and bool(found.st_mode & stat.S_ISVTX)  # only owners replace files
    return is_shared or not found.st_mode & stat.S_IWOTH


def platform_name() -> str | None:
    """Return the official list's name of this platform; None if it has no programs for it."""
    return _PLATFORMS.get((sys.platform, platform.machine()))


def native_folder(name: str) -> Path:
    """Return the folder in the user's cache for programs of a platform."""
    return user_folder("cache") / "solc" / name
