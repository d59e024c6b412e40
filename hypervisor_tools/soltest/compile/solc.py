"""Choice of a project's solc: trusted native programs, downloads, and npm's releases.

The release is the one that `--use` or foundry.toml names, otherwise the newest installed one that the pragmas allow,
otherwise the newest one that they allow. Native programs are preferred to npm's compiler: both produce the same code. A
missing release is downloaded from the Solidity project's binaries, or from npm. A compiler that foundry.toml names by
its path runs only with the user's consent.

Native programs:

- Foundry installs releases in `~/.svm/VERSION/solc-VERSION`.
- `solc` on `PATH` counts if its folder is outside the project.
- Programs of the Solidity project's list are stored in the user's cache, with their SHA-256.

A program must belong to the user or to root, must not be world-writable, and must report the expected release: a build
from other sources than the tag's would write another version into the metadata. The list has a SHA-256 for each release
and platform; a program is checked against it at each use. `FVM_SOLC_BINARIES` is the URL of a mirror; if it is empty,
downloads are disabled. Layout: README of the Solidity project's repository solc-bin.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from hypervisor.errors import InvalidInput
from hypervisor.installation import entry_points_of, read_bounded, user_folder
from hypervisor_tools.soltest.compile.compiler import Solc
from hypervisor_tools.soltest.compile.releases import (
    ABSENT,
    VERSION,
    Pragmas,
    cached_file,
    cached_versions,
    install,
    known_releases,
    parse_release,
)
from hypervisor_tools.soltest.project.consent import Consent
from hypervisor_tools.soltest.project.project import Project
from store.untrusted import parse_json

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
    from hypervisor_tools.download import DownloadFailed, download  # it loads an HTTP client

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
    from hypervisor_tools.download import download

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


Texts = Iterable[tuple[str, str]]
"""Sources by name, for their pragmas."""
NPM: Final = "npm"
_FOUNDRY_SOLC: Final = "solc of foundry.toml"
_OLDEST: Final = "0.5.0"
"""Oldest supported release; earlier ones lack standard JSON."""


def installed_compilers(root: Path) -> list[tuple[str, str]]:
    """Return the installed releases, newest first, with their origins; programs in `root` are ignored."""
    found = [(native.version, native.origin) for native in native_programs(root)]
    found += [(version, NPM) for version in cached_versions()]
    return sorted(found, key=lambda one: parse_release(one[0]), reverse=True)


class SolcChoice:
    """Chooses the compiler of a project; each one is checked once. `notify` is called before a download."""

    def __init__(
        self, project: Project, use: str | None = None, notify: Callable[[str], None] = lambda _: None
    ) -> None:
        self._project, self._use, self._notify = project, use, notify
        self._checked: dict[str, Solc | None] = {}

    def solc(self, texts: Texts = ()) -> Solc:
        """Return the compiler, downloaded if necessary. Raises InvalidInput with the remedy."""
        found = self.installed_solc(texts)
        if found is not None:
            return found
        version = self._version() or self._newest_release(Pragmas(texts))
        self._checked[version] = found = self._fetch(version)
        return found

    def installed_solc(self, texts: Texts = ()) -> Solc | None:
        """Return the compiler if it is installed. Raises InvalidInput for one that cannot be used."""
        named = self._use or self._project.compiler.version
        if named is not None and not VERSION.fullmatch(named):
            return _require_supported(_solc_at(Path(named), "--use") if self._use else self._named_by_project(named))
        if named is not None:
            _check_age(named)
            return self._of_release(named)
        pragmas = Pragmas(texts)
        for version in dict.fromkeys(version for version, _ in installed_compilers(self._project.root)):
            if parse_release(version) >= parse_release(_OLDEST) and pragmas.admit(version):
                found = self._of_release(version)
                if found is not None:
                    return found
        return None

    def required_version(self) -> str | None:
        """Return the release set by name; None if the pragmas decide, or a program that foundry.toml names.

        Raises InvalidInput, also if that program does not exist.
        """
        if self._use is not None and not VERSION.fullmatch(self._use):
            return _solc_at(Path(self._use), "--use").version
        named = self._use or self._project.compiler.version
        if named is not None and not VERSION.fullmatch(named):
            self._place_in_project(named)  # results of earlier runs must not hide that the compiler is missing
        return self._version()

    def _version(self) -> str | None:
        named = self._use or self._project.compiler.version
        return named if named is not None and VERSION.fullmatch(named) else None

    def _of_release(self, version: str) -> Solc | None:
        """Return an installed compiler of a release: native, or npm's in the cache."""
        if version not in self._checked:
            self._checked[version] = self._check_release(version)
        return self._checked[version]

    def _check_release(self, version: str) -> Solc | None:
        for found in native_programs(self._project.root):
            if found.version == version and check_native(found):
                return Solc(version, found.path, False, found.origin)
        return Solc(version, cached_file(version), True, NPM) if version in cached_versions() else None

    # --- downloads --------------------------------------------------------------------------------------------

    def _newest_release(self, pragmas: Pragmas) -> str:
        found = pragmas.newest(version for version in known_releases() if version not in ABSENT)
        if found is None:
            raise InvalidInput(
                f"no release of solc satisfies all pragmas: {pragmas.listing()}. Choose one with --use, or"
                " exclude sources with --skip: all sources are compiled with the same release"
            )
        return found

    def _fetch(self, version: str) -> Solc:
        if self._project.offline:
            installed = dict.fromkeys(version for version, _ in installed_compilers(self._project.root))
            raise InvalidInput(
                f"solc {version} is not installed, and --offline (offline in foundry.toml) prevents a download: run"
                f" once without it, or pass an installed one with --use; installed: {', '.join(installed) or 'none'}"
            )
        from hypervisor_tools.soltest.compile.solc import NativeUnavailable, install_native

        try:
            return Solc(version, install_native(version, self._notify), False, OFFICIAL)
        except NativeUnavailable:
            pass  # npm has all releases, for all platforms
        if version not in known_releases() and self._use is None:
            raise InvalidInput(
                f"foundry.toml asks for solc {version}, whose SHA-256 is not known here: --use {version} gets it from"
                " npm, and later runs expect the same bytes"
            )
        self._notify(f"Installing Solc {version} from npm")
        return Solc(version, install(version), True, NPM)

    def _place_in_project(self, path: str) -> Path:
        """Return the path of the compiler that foundry.toml names. Raises InvalidInput if nothing is there."""
        place = self._project.root / path
        if not place.exists():
            raise InvalidInput(
                f"{_FOUNDRY_SOLC} is {path}, but there is no {place}: correct the path, name a version such as 0.8.37,"
                " or pass --use"
            )
        return place

    def _named_by_project(self, path: str) -> Solc:
        place = self._place_in_project(path)
        self._project.consent.require(Consent.SOLC, f"the project has the compiler {path}, a program of its choice")
        return _solc_at(place, _FOUNDRY_SOLC)


COMPILERS_GROUP: Final = "hypervisor.compilers"


def other_compiler(name: str, project: Path) -> tuple[Solc, str]:
    """Return the compiler that an installed package registers under a name, and its name with the package's version.

    It runs in the folder of the project.

    Raises InvalidInput if there is none.
    """
    points = entry_points_of(group=COMPILERS_GROUP)
    for point in points.select(name=name):
        try:
            found = point.load()
        except (ImportError, AttributeError) as error:
            raise InvalidInput(f"the compiler '{name:.80}' of foundry.toml cannot be loaded: {error}") from None
        if not isinstance(found, Solc):
            raise InvalidInput(f"the compiler '{name:.80}' of foundry.toml is a {type(found).__name__}, not a Solc")
        label = name if point.dist is None else f"{name} ({point.dist.name} {point.dist.version})"
        return replace(found, origin=label, project=project), label
    raise InvalidInput(
        f"foundry.toml names the compiler '{name:.80}', which is not installed: install its package, or name one of:"
        f" {', '.join(sorted(points.names)) or 'none is installed'}"
    )


def _check_age(version: str) -> None:
    if parse_release(version) < parse_release(_OLDEST):
        raise InvalidInput(f"solc {version} is too old: {_OLDEST} or newer is required")


def _require_supported(solc: Solc) -> Solc:
    if VERSION.fullmatch(solc.version):
        _check_age(solc.version)
    return solc


def _solc_at(path: Path, option: str) -> Solc:
    """Return the compiler at a path that `option` names: the folder of npm's package, or a program."""
    if (path / "package.json").is_file():
        return _package(path)
    if not path.is_file():
        raise InvalidInput(
            f"{option} {path}: no such folder or program, and not a version with three numbers, such as 0.8.37"
        )
    program = path.resolve()
    done = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False)
    found = VERSION.search(done.stdout)
    if found is None:
        raise InvalidInput(f"{option} {path}: the program does not report its version")
    return Solc(found.group(), program, False)


def _package(folder: Path) -> Solc:
    try:
        version = str(parse_json((folder / "package.json").read_bytes())["version"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InvalidInput(f"{folder} is not npm's solc package: its package.json has no version") from None
    return Solc(version, folder.resolve() / "soljson.js", True)
