"""Download of native solc releases, named in the Solidity project's list, into the user's cache.

The list has a SHA-256 for each release and platform; solc_natives.py checks a program against it at each use.
`FVM_SOLC_BINARIES` is the URL of a mirror; if it is empty, downloads are disabled. Layout: README of the Solidity
project's repository solc-bin.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from fvm_hypervisor.download import DownloadFailed, download
from fvm_hypervisor.soltest.solc_natives import MAX_PROGRAM_BYTES, native_folder, platform_name, reported_version
from hypervisor.errors import InvalidInput
from store.untrusted import parse_json

MIRROR: Final = "FVM_SOLC_BINARIES"
_BINARIES: Final = "https://binaries.soliditylang.org"
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_.+-]{1,100}")
_TIMEOUT: Final = 5.0
"""Seconds without data after which a server is considered unavailable, and npm is used instead."""
_MAX_LIST: Final = 4 << 20


class NativeUnavailable(Exception):
    """Raised if the official list has no program for this platform and release, or cannot be downloaded."""


def install_native(version: str, notify: Callable[[str], None]) -> Path:
    """Download a release's program into the user's cache, verify its SHA-256, and return its path.

    `notify` is called before the program is downloaded. Raises NativeUnavailable, and InvalidInput if the SHA-256
    differs from the list's.
    """
    name, base = platform_name(), os.environ.get(MIRROR, _BINARIES).rstrip("/")
    if name is None or not base:
        raise NativeUnavailable("there is no native solc for this platform")
    folder = native_folder(name) / version
    with tempfile.TemporaryDirectory(prefix="fvm-solc-") as scratch:
        part = Path(scratch) / "part"
        try:
            file, expected = _find_release(f"{base}/{name}", version, part)
            notify(f"Installing Solc {version} for {name}")
            part.unlink()
            download(f"{base}/{name}/{file}", part, MAX_PROGRAM_BYTES, timeout=_TIMEOUT)
        except (DownloadFailed, OSError) as error:
            raise NativeUnavailable(str(error)) from None
        content = part.read_bytes()
    digest = sha256(content).hexdigest()
    if digest != expected:
        raise InvalidInput(f"{base}/{name}/{file} is not solc {version}: SHA-256 {digest}, the list has {expected}")
    return _store(folder, content, digest, version)


def _store(folder: Path, content: bytes, digest: str, version: str) -> Path:
    """Store a program in the cache, if it runs on this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        program = Path(scratch) / "solc"
        program.write_bytes(content)
        program.chmod(0o755)
        if reported_version(program) != version:
            raise NativeUnavailable(f"solc {version} does not run on this machine")
        pin = Path(scratch) / "sha256"
        pin.write_text(digest, encoding="ascii")
        for file in (pin, program):  # the program last: its presence marks the release as installed
            file.replace(folder / file.name)
    return folder / "solc"


def _find_release(url: str, version: str, part: Path) -> tuple[str, str]:
    """Return the file name and SHA-256 of a release in the list. Raises NativeUnavailable, DownloadFailed."""
    download(f"{url}/list.json", part, _MAX_LIST, timeout=_TIMEOUT)
    try:
        content: dict[str, Any] = parse_json(part.read_bytes())
        file = content["releases"][version]
        (build,) = (build for build in content["builds"] if build["path"] == file)
        digest = str(build["sha256"]).removeprefix("0x")
        if not _FILE_NAME.fullmatch(file) or len(bytes.fromhex(digest)) != sha256().digest_size:
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise NativeUnavailable(f"{url}/list.json names no solc {version}") from None
    return file, digest
