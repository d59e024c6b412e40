"""Compiles a project with npm's solc, once for the same sources and settings; takes what forge compiled where it fits.

The compiler is JavaScript, run by Node.js: a package `solc` in a `node_modules` folder, the one that `--use` names, or
one that npm installed into the user's cache. What it answers is kept under the project's cache folder, a file for each
contract, under the hash of everything that it was asked.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson

from devtools.soltest.artifact import Artifacts, Place
from devtools.soltest.project import CompilerSettings, Project
from devtools.soltest.sources import Sources
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.user_files import user_folder

_SCRIPT: Final = Path(__file__).with_name("solc.mjs")
_FORMAT: Final = 2
"""Of the cache: another one is not read."""
_OUTPUTS: Final = (
    "abi", "evm.bytecode.object", "evm.bytecode.sourceMap", "evm.bytecode.linkReferences",
    "evm.deployedBytecode.object", "evm.deployedBytecode.sourceMap", "evm.deployedBytecode.linkReferences",
    "evm.deployedBytecode.immutableReferences", "evm.methodIdentifiers",
)  # fmt: skip
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
        raise InvalidInput(f"{folder} is no package solc of npm") from None
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


# --- compiling ------------------------------------------------------------------------------------------------------


def standard_json(project: Project, sources: Sources, outputs: Sequence[str] = _OUTPUTS) -> dict[str, Any]:
    """What the compiler is asked: code of the project's own contracts, interfaces of the others."""
    selection: dict[str, dict[str, list[str]]] = {
        name: {"*": list(outputs) if name in sources.own else ["abi"]} for name in sources.texts
    }
    return {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.texts.items()},
        "settings": _settings(project.compiler) | {
            "remappings": [str(found) for found in sources.remappings],
            "outputSelection": selection,
        },
    }  # fmt: skip


def _settings(chosen: CompilerSettings) -> dict[str, Any]:
    optimizer: dict[str, Any] = {"enabled": chosen.optimizer, "runs": chosen.runs}
    if chosen.optimizer_details is not None:
        optimizer["details"] = chosen.optimizer_details
    metadata: dict[str, Any] = {}  # a key that an old compiler does not know is an error, even where it says the usual
    if chosen.bytecode_hash != "ipfs":
        metadata["bytecodeHash"] = chosen.bytecode_hash
    if not chosen.cbor_metadata:
        metadata["appendCBOR"] = False
    settings: dict[str, Any] = {"optimizer": optimizer, "metadata": metadata}
    if chosen.via_ir:
        settings["viaIR"] = True
    if chosen.evm_version is not None:
        settings["evmVersion"] = chosen.evm_version
    return settings


def compile_project(
    project: Project, sources: Sources, solc: Solc, tell: Callable[[str], None] = lambda _: None
) -> Artifacts:
    """The project's contracts, compiled now or before; `tell` is given a line before they are compiled.

    Raises CompileError with the compiler's words.
    """
    asked = standard_json(project, sources)
    key = sha256(f"{_FORMAT}:{solc.version}:".encode() + orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()
    folder = project.root / project.cache / "hypervisor" / key[:32]
    index = folder / "index.json"
    found = _kept(project, folder, index)
    if found is None:
        tell(f"Compiling {len(sources.texts)} files with Solc {solc.version}")
        _keep(folder, index, answered(solc, asked))
        found = _kept(project, folder, index)
    if found is None:
        raise InvalidInput(f"{folder} does not keep what is written to it: is the disk full?")
    return found


def _kept(project: Project, folder: Path, index: Path) -> Artifacts | None:
    """What was compiled before; None where it is not there, or not whole."""
    try:
        content = orjson.loads(index.read_bytes())
        places = []
        for number, (file, name, size) in enumerate(content["contracts"]):
            place = Place(file, name, folder / f"{number}.json")
            if place.path.stat().st_size != size:
                return None
            places.append(place)
        return Artifacts(project.root, places, {number: path for path, number in content["sources"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def answered(solc: Solc, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a compiler answers. Raises CompileError with its words where it refuses the sources."""
    answer = solc.compile(asked)
    errors = [found for found in answer.get("errors", ()) if found.get("severity") == "error"]
    if errors:
        words = "\n".join(str(found.get("formattedMessage", found.get("message"))).rstrip() for found in errors[:20])
        raise CompileError(f"solc {solc.version} refused the sources:\n{words}")
    return answer


def _keep(folder: Path, index: Path, answer: Mapping[str, Any]) -> None:
    """Write a file for each contract, then the index, so that one who finds the index finds all."""
    folder.mkdir(parents=True, exist_ok=True)
    contracts: list[tuple[str, str, int]] = []
    for file, names in sorted(answer.get("contracts", {}).items()):
        for name, found in sorted(names.items()):
            evm = found.get("evm", {})
            content = {
                "abi": found.get("abi", []),
                "bytecode": evm.get("bytecode", {}),
                "deployedBytecode": evm.get("deployedBytecode", {}),
                "methodIdentifiers": evm.get("methodIdentifiers", {}),
            }
            size = (folder / f"{len(contracts)}.json").write_bytes(orjson.dumps(content))
            contracts.append((file, name, size))
    numbers = {path: source["id"] for path, source in answer.get("sources", {}).items()}
    partial = index.with_suffix(f".{os.getpid()}")
    partial.write_bytes(orjson.dumps({"contracts": contracts, "sources": numbers}))
    partial.replace(index)
