"""npm's releases of solc in the user's cache: one JavaScript file per release, pinned by its hash.

`solc_sha256.json` has the SHA-256 of `soljson.js` in npm's package for each release from 0.5.0 to 0.8.37; from 0.7.1 to
0.8.11 it is the figure in solc-bin's list of emscripten-wasm32. A later release is pinned at its first installation.
The file is hashed again each time before Node.js runs it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tempfile
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from fvm_hypervisor.soltest.compile.releases import VERSION, parse_release
from hypervisor.errors import InvalidInput
from hypervisor.installation import read_bounded, user_folder

_PACKAGE: Final = {"0.8.7": "0.8.7-fixed"}
"""Mapping from release to npm package version where they differ: package 0.8.7 contains compiler 0.7.5."""
ABSENT: Final = {"0.8.1": "0.8.0"}
"""Releases missing from npm, with the release that the package contains instead."""
_FILE: Final = "soljson.js"
_PIN: Final = "sha256"
_MAX_SIZE: Final = 64 << 20
"""Maximum size of a compiler in bytes; the largest release so far, 0.8.11, has 27 million."""


def find_program(name: str, remedy: str) -> str:
    """Return the path of a program on PATH. Raises InvalidInput with the remedy."""
    found = shutil.which(name)
    if found is None:
        raise InvalidInput(f"{name} is missing: {remedy}")
    return found


def cached_versions() -> list[str]:
    """Return the releases in the cache, newest first."""
    found = (path.parent.name for path in _folder().glob(f"*/{_FILE}"))
    return sorted((name for name in found if VERSION.fullmatch(name)), key=parse_release, reverse=True)


def cached_file(version: str) -> Path:
    """Return the path of a release in the cache. Raises InvalidInput if the file was changed."""
    path = _folder() / version / _FILE
    digest = sha256(read_bounded(path, _MAX_SIZE, "the compiler")).hexdigest()
    if digest != _recorded_hash(version):
        raise InvalidInput(
            f"{path} is not solc {version}: its SHA-256 is {digest}, expected {_recorded_hash(version)}."
            f" Delete {path.parent} to download the compiler again"
        )
    return path


def install(version: str) -> Path:
    """Install the compiler of npm's package in the cache. Raises InvalidInput with npm's message."""
    if version in ABSENT:
        raise InvalidInput(
            f"npm's package of solc {version} contains {ABSENT[version]}: choose another release with --use"
        )
    folder = _folder() / version
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        source = _download(version, Path(scratch))
        digest = sha256(source).hexdigest()
        known = known_releases().get(version)
        if known is not None and digest != known:
            raise InvalidInput(f"npm's solc {version} is not the released one: SHA-256 {digest}, expected {known}")
        for name, content in (
            (_PIN, digest.encode()),
            (_FILE, source),
        ):  # the compiler last: its presence marks the release as installed
            new = Path(scratch) / name
            new.write_bytes(content)
            new.replace(folder / name)
    return folder / _FILE


def _folder() -> Path:
    return user_folder("cache") / "solc"


def _recorded_hash(version: str) -> str:
    known = known_releases().get(version)
    if known is not None:
        return known
    try:
        return (_folder() / version / _PIN).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return "a recorded hash, which is missing"


@cache
def known_releases() -> dict[str, str]:
    """Return the SHA-256 of npm's `soljson.js` by release."""
    pins: dict[str, str] = json.loads(Path(__file__).with_name("solc_sha256.json").read_text(encoding="ascii"))
    return pins


def _download(version: str, scratch: Path) -> bytes:
    """Return `soljson.js` of npm's package. npm runs in the empty folder `scratch`, since it reads a local `.npmrc`."""
    npm, name = find_program("npm", "install Node.js with npm"), _PACKAGE.get(version, version)
    command = [npm, "pack", f"solc@{name}", "--ignore-scripts", "--loglevel=error"]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    if done.returncode:
        output = " ".join(done.stderr.split())[-400:]
        unknown = f"npm has no solc {version}: see `npm view solc versions`"
        raise InvalidInput(unknown if "ETARGET" in output else f"npm could not get solc {version}: {output}")
    try:
        with tarfile.open(scratch / f"solc-{name}.tgz") as package:
            member = package.getmember(f"package/{_FILE}")
            file = package.extractfile(member)
            if file is None or member.size > _MAX_SIZE:
                raise KeyError
            return file.read(_MAX_SIZE)
    except (OSError, KeyError, tarfile.TarError, EOFError):
        raise InvalidInput(f"npm's solc {version} has no {_FILE} of at most {_MAX_SIZE >> 20} MiB") from None
