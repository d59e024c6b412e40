"""The Solidity compiler of a project: which one it is, where it comes from, and how it is asked.

It is JavaScript, run by Node.js: a package `solc` in a `node_modules` folder, the one that `--use` names, or one that
npm installed into the user's cache. What it is asked for is compiling.py's.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from devtools.soltest.project import Project
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.user_files import user_folder

_SCRIPT: Final = Path(__file__).with_name("solc.mjs")
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")
_OLDEST: Final = (0, 5, 0)
"""Earlier packages of npm compile no standard JSON."""


class CompileError(HypervisorError):
    """The compiler refused; its words."""

    has_lines = True


@dataclass(frozen=True, slots=True)
class Solc:
    """A compiler: npm's package in a folder, or a program that takes standard JSON."""

    version: str
    path: Path
    is_package: bool

    def compile(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Its answer to standard JSON. Raises CompileError where it gives none."""
        if self.is_package:
            node = _program("node", "install Node.js 20 or newer, or name a solc program with --use")
            command = [node, "--stack-size=4000", "--max-old-space-size=6144", str(_SCRIPT), str(self.path)]
        else:
            command = [str(self.path), "--standard-json"]
        done = subprocess.run(command, input=json.dumps(asked).encode(), capture_output=True, check=False)  # noqa: S603
        try:
            answer = orjson.loads(done.stdout)
        except orjson.JSONDecodeError:
            words = done.stderr.decode("utf-8", "replace").strip()[-2000:]
            raise CompileError(f"solc {self.version} ended with {done.returncode}: {words or 'no words'}") from None
        if not isinstance(answer, dict):
            raise CompileError(f"solc {self.version} answered no object")
        return answer


def _program(name: str, remedy: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise InvalidInput(f"{name} is missing: {remedy}")
    return found


# --- which compiler -------------------------------------------------------------------------------------------------


def choose_solc(project: Project, use: str | None, tell: Callable[[str], None] = lambda _: None) -> Solc:
    """The compiler of a project: what `--use` names (a version, a folder, a program), else what it asks for.

    `tell` is given a line before npm installs one. Raises InvalidInput with the remedy.
    """
    return _usable(_chosen(project, use, tell))


def _chosen(project: Project, use: str | None, tell: Callable[[str], None]) -> Solc:
    wanted = project.compiler.version
    if use is not None and not _VERSION.fullmatch(use):
        return _named(Path(use))
    wanted = use or wanted
    if wanted is not None:
        _check_version(wanted)
    there = _packages(project.root)
    if wanted is None:
        if there:
            return there[0]
        raise InvalidInput("no solc is installed: `npm install solc` in the project, or run with --use VERSION")
    for found in there:
        if found.version == wanted:
            return found
    if use is not None:
        tell(f"Installing Solc {use} from npm")
        return _installed(use)
    if not _VERSION.fullmatch(wanted) and Path(wanted).exists():
        return _named(Path(wanted))
    others = ", ".join(sorted({found.version for found in there}))
    raise InvalidInput(
        f"foundry.toml asks for solc {wanted}, and "
        + (f"there is {others}" if others else "none is installed")
        + f": `npm install solc@{wanted}` in the project, or run with --use {wanted} (npm installs it into the cache)"
        + (f" or --use {there[0].version}" if there else "")
    )


def _usable(solc: Solc) -> Solc:
    _check_version(solc.version)
    return solc


def _check_version(version: str) -> None:
    """Refuse a compiler that is too old before npm installs it."""
    if _VERSION.fullmatch(version) and tuple(int(part) for part in version.split(".")) < _OLDEST:
        oldest = ".".join(str(part) for part in _OLDEST)
        raise InvalidInput(f"solc {version} is too old: versions from {oldest} on can be used")


def wanted_version(project: Project, use: str | None) -> str | None:
    """The version of the compiler that is asked for; None where any will do. Raises InvalidInput as `choose_solc`."""
    if use is not None:
        return use if _VERSION.fullmatch(use) else _named(Path(use)).version
    wanted = project.compiler.version
    return None if wanted is None or not _VERSION.fullmatch(wanted) else wanted


def _named(path: Path) -> Solc:
    """A folder of npm's package, or a program."""
    if (path / "package.json").is_file():
        return _package(path)
    if not path.is_file():
        raise InvalidInput(f"--use {path}: there is no such version, folder or program")
    program = path.resolve()
    done = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    found = _VERSION.search(done.stdout)
    if found is None:
        raise InvalidInput(f"--use {path}: it does not say its version")
    return Solc(found.group(), program, False)


def _package(folder: Path) -> Solc:
    try:
        version = str(json.loads((folder / "package.json").read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InvalidInput(f"{folder} is not npm's package solc: its package.json names no version") from None
    return Solc(version, folder.resolve(), True)


def _packages(root: Path) -> list[Solc]:
    """npm's solc in the project's folder or above, then those of the cache."""
    places = [folder / "node_modules" / "solc" for folder in (root, *root.parents)]
    places += sorted(_cache().glob("*/node_modules/solc"), reverse=True)
    return [_package(place) for place in places if (place / "package.json").is_file()]


def _cache() -> Path:
    return user_folder("cache") / "solc"


def _installed(version: str) -> Solc:
    """npm's package of a version, installed into the cache of the user."""
    folder = _cache() / version
    npm = _program("npm", "install Node.js with npm")
    folder.mkdir(parents=True, exist_ok=True)
    options = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    command = [npm, "install", "--prefix", str(folder), *options, f"solc@{version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        words = " ".join(done.stderr.split())[-400:]
        unknown = f"npm has no solc {version}: see `npm view solc versions`"
        raise InvalidInput(unknown if "ETARGET" in words else f"npm could not install solc {version}: {words}")
    return _package(folder / "node_modules" / "solc")
