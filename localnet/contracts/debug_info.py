"""Debug information of compiled code: sources, source maps, and comparison with deployed code.

A comparison ignores metadata, library addresses and immutable values. Source: the Solidity documentation on metadata,
library linking and immutables. Source maps are in a contract's artifact (Foundry), or in the build info next to it
(Hardhat).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from hypervisor.installation import read_bounded
from localnet.contracts.source_maps import MAX_BUILD_INFO_BYTES, MAX_SOURCE_BYTES, CodeMap, ForgeBuilds, folder_reader
from store.untrusted import parse_json

_MAX_CODE_BYTES: Final = 1 << 20
_PLACEHOLDER: Final = re.compile(r"__.{36}__")
_UNKNOWN: Final = re.compile(rb"\x7f\x00{32}|\x73\x00{20}", re.DOTALL)
"""Placeholders filled in at deployment: immutable values (PUSH32 of zeros), library addresses (PUSH20 of zeros)."""


class CodePattern(NamedTuple):
    """Compiled code without metadata, and the positions that a deployment fills in."""

    code: bytes
    open_places: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, text: str) -> CodePattern:
        """Parse hex text, in which libraries' addresses may be missing. Raises ValueError."""
        code = without_metadata(bytes.fromhex(_PLACEHOLDER.sub("0" * 40, text.removeprefix("0x"))))
        if len(code) > _MAX_CODE_BYTES:
            raise ValueError("longer than any contract")
        return cls(code, tuple((found.start() + 1, found.end()) for found in _UNKNOWN.finditer(code)))

    def begins(self, code: bytes) -> bool:
        """Return True if `code` begins with this code."""
        if not self.code or len(code) < len(self.code):
            return False
        at = 0
        for start, end in self.open_places:
            if code[at:start] != self.code[at:start]:
                return False
            at = end
        return code[at : len(self.code)] == self.code[at:]


def without_metadata(code: bytes) -> bytes:
    """Return code without metadata: a trailing CBOR map, followed by its length in two bytes."""
    length = int.from_bytes(code[-2:], "big") + 2
    return code[:-length] if 2 < length < len(code) and 0xA1 <= code[-length] <= 0xA4 else code


class DebugInfo(NamedTuple):
    """The source maps of creation and runtime code, None if missing."""

    creation: CodeMap | None = None
    runtime: CodeMap | None = None


_NOTHING: Final = DebugInfo()


def debug_info(content: Mapping[str, Any], file: Path, folder: Path, name: str) -> DebugInfo:
    """Return the maps of the contract in an artifact's content; empty if they are missing or unreadable."""
    try:
        if isinstance(content.get("deployedBytecode"), Mapping):
            return _foundry(content, file, folder)
        return _hardhat(content, file, folder, name)
    except (AttributeError, KeyError, TypeError, ValueError, OSError):
        return _NOTHING


def _foundry(content: Mapping[str, Any], file: Path, folder: Path) -> DebugInfo:
    """Read Foundry's artifact: `id` is the number of the contract's own source; the compiler run has the others.

    If the run is unknown, a source has a number only if all candidate runs agree on it.
    """
    ((own, _),) = content["metadata"]["settings"]["compilationTarget"].items()
    number, builds = int(content["id"]), ForgeBuilds(folder, folder.parent / "cache")
    build = builds.build(file)
    paths = {} if build is None else builds.numbers(build)
    if paths.get(number) != own:
        paths = builds.agreed_sources(number, str(own))
    read = folder_reader(folder.parent)
    return DebugInfo(_map(content["bytecode"], paths, read), _map(content["deployedBytecode"], paths, read))


def _hardhat(content: Mapping[str, Any], file: Path, folder: Path, name: str) -> DebugInfo:
    """Read Hardhat's artifact: version 3 names its build info by `buildInfoId`, version 2 in a separate file."""
    if "buildInfoId" in content:
        inputs = _below(folder, folder / "build-info" / f"{content['buildInfoId']}.json")
        outputs = inputs.with_name(f"{inputs.stem}.output.json")
    else:
        pointer = _json(file.with_name(f"{file.stem}.dbg.json"))
        inputs = outputs = _below(folder, file.parent / str(pointer["buildInfo"]))
    sources = _json(inputs)["input"]["sources"]
    made = _json(outputs)["output"]
    source = str(content.get("inputSourceName", content.get("sourceName")))
    code = made["contracts"][source][name]["evm"]
    paths = {int(entry["id"]): str(path) for path, entry in made["sources"].items()}

    def read(path: str) -> bytes | None:
        text = sources.get(path, {}).get("content")
        return text.encode() if isinstance(text, str) and len(text) <= MAX_SOURCE_BYTES else None

    return DebugInfo(_map(code["bytecode"], paths, read), _map(code["deployedBytecode"], paths, read))


def _map(code: Mapping[str, Any], paths: Mapping[int, str], read: Callable[[str], bytes | None]) -> CodeMap | None:
    """Return the map of a compiler's code; None if there is none, or the code lacks addresses of libraries."""
    text, source_map = code.get("object"), code.get("sourceMap")
    if not isinstance(text, str) or not isinstance(source_map, str) or not source_map:
        return None
    return CodeMap(CodePattern.of(text).code, source_map, paths, read)


def _below(folder: Path, file: Path) -> Path:
    """Return the path of a file that an artifact names, below the folder of artifacts. Raises ValueError."""
    found = file.resolve()
    if not found.is_relative_to(folder.resolve()):
        raise ValueError(f"{file} is outside {folder}")
    return found


def _json(file: Path) -> Any:
    return parse_json(read_bounded(file, MAX_BUILD_INFO_BYTES, "the file"))
