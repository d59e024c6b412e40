"""Choice of a project's Solidity compiler, and its installation if no suitable one is installed.

The release is the one that `--use` or foundry.toml names, otherwise the newest installed one that the pragmas allow,
otherwise the newest one that they allow. Native programs are preferred to npm's compiler: both produce the same code. A
missing release is downloaded from the Solidity project's binaries, or from npm.

A compiler that foundry.toml names by its path runs only with the user's consent.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from fvm_hypervisor.soltest.compile.compiler import Solc
from fvm_hypervisor.soltest.compile.releases import VERSION, Pragmas, parse_release
from fvm_hypervisor.soltest.project.consent import Consent
from fvm_hypervisor.soltest.project.project import Project
from fvm_hypervisor.soltest.solc_natives import OFFICIAL, check_native, native_programs
from fvm_hypervisor.soltest.solc_packages import ABSENT, cached_file, cached_versions, install, known_releases
from hypervisor.errors import InvalidInput
from store.untrusted import parse_json

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
        from fvm_hypervisor.soltest.solc_download import NativeUnavailable, install_native

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
