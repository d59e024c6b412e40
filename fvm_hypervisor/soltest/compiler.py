"""The Solidity compiler of a project: which one it is, where it comes from, and how it is asked.

It is JavaScript, run by Node.js: a release in the user's cache, where npm brings it, or what `--use` names. A compiler
that lies in the project is code of the project: it runs only with `--solc-from-project`, and one of a folder above
never does. What a compiler is asked for is compiling.py's.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from fvm_hypervisor.soltest.project import Project
from fvm_hypervisor.soltest.solc_packages import (
    VERSION,
    cached_file,
    cached_versions,
    find_program,
    install,
    parse_version,
)
from hypervisor.errors import HypervisorError, InvalidInput

_SCRIPT: Final = Path(__file__).with_name("solc.mjs")
_NODE_OPTIONS: Final = ("--stack-size=4000", "--max-old-space-size=6144")
_OLDEST: Final = "0.5.0"
"""Earlier releases compile no standard JSON."""
_ENVIRONMENT: Final = ("PATH", "SYSTEMROOT", "TMPDIR")
"""What of the environment JavaScript sees: no NODE_OPTIONS, which may name code to run, and no secret."""


class CompileError(HypervisorError):
    """The compiler refused; its words."""

    has_lines = True


@dataclass(frozen=True, slots=True)
class Solc:
    """A compiler: npm's `soljson.js`, or a program that takes standard JSON."""

    version: str
    path: Path
    is_javascript: bool

    def start(self) -> CompilerRun:
        """A process of it. Raises InvalidInput where there is no Node.js."""
        return CompilerRun(self)


class CompilerRun:
    """A process of a compiler that waits for what it is asked, once: npm's needs a while before it can read that."""

    def __init__(self, solc: Solc) -> None:
        """Start it. Raises InvalidInput where there is no Node.js."""
        self.solc = solc
        environment, folder = dict(os.environ), None
        if solc.is_javascript:
            node = find_program("node", "install Node.js 20 or newer, or name a solc program with --use")
            command = [node, *_NODE_OPTIONS, str(_SCRIPT), str(solc.path)]
            environment = {name: environment[name] for name in _ENVIRONMENT if name in environment}
            folder = solc.path.parent
        else:
            command = [str(solc.path), "--standard-json"]
        self._process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder, env=environment
        )

    def ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Its answer to standard JSON, after which it has ended. Raises CompileError where it gives none."""
        name = f"{self.solc.path}, which says it is solc {self.solc.version}"
        with self._process:
            try:
                output, errors = self._process.communicate(orjson.dumps(asked))
            except BaseException:
                self.stop()
                raise
        try:
            answer = orjson.loads(output)
        except orjson.JSONDecodeError:
            words = errors.decode("utf-8", "replace").strip()[-2000:]
            ended = self._process.returncode
            raise CompileError(f"{name}, answered no JSON; it ended with {ended}: {words or 'no words'}") from None
        if not isinstance(answer, dict):
            raise CompileError(f"{name}, answered no object")
        return answer

    def stop(self) -> None:
        """End it, if it still runs; who asks it gets no answer."""
        if self._process.poll() is None:
            self._process.kill()

    def drop(self) -> None:
        """End it unasked."""
        with self._process:
            self.stop()


def choose_solc(
    project: Project, use: str | None, tell: Callable[[str], None] = lambda _: None, *, from_project: bool = False
) -> Solc:
    """The compiler of a project: what `--use` names (a version, a folder, a program), else what the project asks for.

    `from_project`: one that lies in the project may run. `tell` gets a line before npm works. Raises InvalidInput
    with the remedy.
    """
    if use is not None and not VERSION.fullmatch(use):
        return _checked(_solc_at(Path(use)))
    wanted = use or project.compiler.version
    if wanted is None:
        return _newest(project, from_project)
    if not VERSION.fullmatch(wanted):
        return _checked(_named_by_project(project, wanted, from_project))
    _check_version(wanted)
    if from_project:
        own = _own_package(project)
        if own is not None and own.version == wanted:
            return own
    if wanted in cached_versions():
        return Solc(wanted, cached_file(wanted), True)
    if use is not None:
        tell(f"Installing Solc {use} from npm")
        return Solc(use, install(use), True)
    raise InvalidInput(_none_of(project, wanted))


def is_to_be_installed(use: str | None) -> bool:
    """Whether npm has to bring what `--use` names."""
    return use is not None and VERSION.fullmatch(use) is not None and use not in cached_versions()


def wanted_version(project: Project, use: str | None) -> str | None:
    """The version of the compiler that is asked for; None where any will do. Raises InvalidInput as `choose_solc`."""
    if use is not None:
        return use if VERSION.fullmatch(use) else _solc_at(Path(use)).version
    wanted = project.compiler.version
    return None if wanted is None or not VERSION.fullmatch(wanted) else wanted


def _newest(project: Project, from_project: bool) -> Solc:
    """The compiler of a project that asks for none."""
    own = _own_package(project) if from_project else None
    if own is not None:
        return _checked(own)
    for version in cached_versions():
        return Solc(version, cached_file(version), True)
    raise InvalidInput(f"no solc is in the cache: run with --use VERSION, and npm gets it{_own_one(project)}")


def _none_of(project: Project, wanted: str) -> str:
    there = cached_versions()
    return (
        f"foundry.toml asks for solc {wanted}, and the cache has {', '.join(there) if there else 'none'}:"
        f" run with --use {wanted}, and npm gets it"
        + (f", or with --use {there[0]}" if there else "")
        + _own_one(project)
    )


def _own_one(project: Project) -> str:
    """What of the project itself could compile it, if the user says so."""
    own = _own_package(project)
    if own is None:
        return ""
    return f", or with --solc-from-project, which runs the project's own node_modules/solc, {own.version}"


def _own_package(project: Project) -> Solc | None:
    folder = project.root / "node_modules" / "solc"
    return _package(folder) if (folder / "package.json").is_file() else None


def _named_by_project(project: Project, path: str, from_project: bool) -> Solc:
    """A program or a folder that foundry.toml names by its path."""
    if not from_project:
        raise InvalidInput(
            f"foundry.toml names the compiler {path}, which runs with --solc-from-project only:"
            " it is a program of the project's choice. --use VERSION compiles with npm's"
        )
    return _solc_at(project.root / path)


def _check_version(version: str) -> None:
    """Refuse a compiler that is too old before npm gets it."""
    if VERSION.fullmatch(version) and parse_version(version) < parse_version(_OLDEST):
        raise InvalidInput(f"solc {version} is too old: versions from {_OLDEST} on can be used")


def _checked(solc: Solc) -> Solc:
    _check_version(solc.version)
    return solc


def _solc_at(path: Path) -> Solc:
    """A folder of npm's package, or a program."""
    if (path / "package.json").is_file():
        return _package(path)
    if not path.is_file():
        raise InvalidInput(
            f"--use {path}: there is no such folder or program, and a version has three numbers: 0.8.37, say"
        )
    program = path.resolve()
    done = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    found = VERSION.search(done.stdout)
    if found is None:
        raise InvalidInput(f"--use {path}: it does not say its version")
    return Solc(found.group(), program, False)


def _package(folder: Path) -> Solc:
    try:
        version = str(json.loads((folder / "package.json").read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InvalidInput(f"{folder} is not npm's package solc: its package.json names no version") from None
    return Solc(version, folder.resolve() / "soljson.js", True)
