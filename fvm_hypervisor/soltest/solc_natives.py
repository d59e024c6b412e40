"""Native solc programs that can be trusted: Foundry's, the user's own, and those of the Solidity project's list.

- Foundry keeps the releases that it has installed in `~/.svm/VERSION/solc-VERSION`.
- `solc` on `PATH` counts if its folder lies outside of the project.
- solc_download.py puts programs of the Solidity project's list into the user's cache, with their SHA-256.

A program that was found must belong to the user or to root, may not be writable by everybody, and must report itself
as the release: a build of other sources than those of the tag would write another version into the metadata.
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

from fvm_hypervisor.soltest.solc_packages import VERSION
from fvm_hypervisor.soltest.version_pragmas import parse_release
from hypervisor.errors import InvalidInput
from hypervisor.user_files import read_bounded, user_folder

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
LARGEST: Final = 256 << 20
"""Bytes of a program: releases have 10 to 80 million."""
_START: Final = 10.0
"""Seconds that a program may take to report its version."""


@dataclass(frozen=True, slots=True)
class NativeSolc:
    """A program, the release that it is, and where it is from: `FOUNDRY`, `OFFICIAL` or `PATH`."""

    version: str
    path: Path
    origin: str


def native_programs(root: Path) -> Iterator[NativeSolc]:
    """Yield the programs of this machine that may be trusted, those of the newest release of each folder first.

    `root` is the project's folder, in which nothing is looked for. `check_native` is for the one that is chosen.
    """
    return (found for found in _candidates(root) if _is_trusted(found.path, root))


def check_native(found: NativeSolc) -> bool:
    """Return True if a program is the release that it is kept as.

    Raises InvalidInput for a program of the user's cache that was changed.
    """
    if found.origin == OFFICIAL:
        _check_digest(found.path, found.version)
        return True
    return found.origin == PATH or reported_version(found.path) == found.version


def reported_version(path: Path) -> str | None:
    """Return the release that a program reports itself as; None for a development build, or what does not run."""
    try:
        done = subprocess.run(  # noqa: S603
            [str(path), "--version"], capture_output=True, timeout=_START, check=False, cwd=path.parent, env={}
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _REPORTED.search(done.stdout.decode("utf-8", "replace"))
    return None if found is None else found[1]


def _check_digest(path: Path, version: str) -> None:
    """Raise InvalidInput if a program of the cache is not the one that the official list has."""
    expected = (path.parent / "sha256").read_text(encoding="ascii").strip()
    digest = sha256(read_bounded(path, LARGEST, "the compiler")).hexdigest()
    if digest != expected:
        raise InvalidInput(
            f"{path} is not solc {version}: its SHA-256 is {digest}, expected {expected}. Delete {path.parent}: the"
            " compiler is fetched again"
        )


def _candidates(root: Path) -> Iterator[NativeSolc]:
    for folder in _foundry_folders():
        yield from _kept(folder, "solc-{}", FOUNDRY)
    name = platform_name()
    if name is not None:
        yield from _kept(native_folder(name), "solc", OFFICIAL)
    own = _on_path(root)
    if own is not None and _is_trusted(own, root):  # it is executed here
        version = reported_version(own)
        if version is not None:
            yield NativeSolc(version, own, PATH)


def _kept(folder: Path, name: str, origin: str) -> Iterator[NativeSolc]:
    """The programs in folders that are called as their release, the newest first."""
    try:
        versions = [place.name for place in folder.iterdir() if VERSION.fullmatch(place.name)]
    except OSError:
        return
    for version in sorted(versions, key=parse_release, reverse=True):
        path = folder / version / name.format(version)
        if path.is_file():
            yield NativeSolc(version, path, origin)


def _foundry_folders() -> Iterator[Path]:
    """Where Foundry's version manager keeps compilers: in the home folder, or in the folder for data."""
    try:
        home = Path.home()
    except RuntimeError:
        return
    yield home / ".svm"
    data = home / "Library" / "Application Support" if sys.platform == "darwin" else home / ".local" / "share"
    yield Path(os.environ.get("XDG_DATA_HOME") or data) / "svm"


def _on_path(root: Path) -> Path | None:
    """The first `solc` on PATH; entries that are relative or in the project do not count."""
    entries = [entry for entry in os.environ.get("PATH", "").split(os.pathsep) if Path(entry).is_absolute()]
    outside = [entry for entry in entries if not Path(entry).resolve().is_relative_to(root.resolve())]
    found = shutil.which("solc", path=os.pathsep.join(outside)) if outside else None
    return None if found is None else Path(found)


def _is_trusted(path: Path, root: Path) -> bool:
    """Return True if a program lies outside of the project, and only the user and root may change it."""
    try:
        real = path.resolve(strict=True)
        if real.is_relative_to(root.resolve()) or not real.is_file() or not os.access(real, os.X_OK):
            return False
        return all(_is_safe(place) for place in (real, *real.parents))
    except OSError:
        return False


def _is_safe(place: Path) -> bool:
    found = place.stat()
    if found.st_uid not in (0, os.getuid()):
        return False
    is_shared = stat.S_ISDIR(found.st_mode) and bool(found.st_mode & stat.S_ISVTX)  # only owners replace its files
    return is_shared or not found.st_mode & stat.S_IWOTH


def platform_name() -> str | None:
    """Return the official list's name of this platform, None if it has no programs for it."""
    return _PLATFORMS.get((sys.platform, platform.machine()))


def native_folder(name: str) -> Path:
    """Return the folder in the user's cache of programs for a platform."""
    return user_folder("cache") / "solc" / name
