"""Compare code on a chain with a compiled contract: a full match, a partial match (other metadata), or none.

Values that a deployment fills in are ignored: library addresses and immutables. Metadata is the CBOR map at the end of
the code, followed by its length in two bytes (Solidity documentation, "Encoding of the Metadata Hash in the Bytecode").
Code that creates contracts contains their metadata too, whose hashes are ignored as well.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from hypervisor_tools.soltest.compile.artifact import Bytecode
from hypervisor_tools.soltest.trace.known_code import Pattern
from localnet.contracts.debug_info import without_metadata

_SOLC: Final = b"\x64solc\x43"
"""CBOR encoding of the key "solc" and the head of a 3-byte string, which holds the release numbers."""
_HASH: Final = re.compile(rb"\x64ipfs\x58\x22\x12\x20.{32}|\x65bzzr[01]\x58\x20.{32}", re.DOTALL)
"""CBOR encoding of a key, IPFS or Swarm, and the hash of the metadata."""
_HASH_SIZE: Final = 32


class Match(StrEnum):
    """Match of code with a contract, in forge's terms."""

    FULL = "full"
    PARTIAL = "partial"


def match_runtime(bytecode: Bytecode, code: bytes) -> Match | None:
    """Return how deployed code matches a contract, or None. Raises ValueError if the artifact has no code."""
    pattern = Pattern.of(bytecode)
    if len(code) == len(pattern.code) and pattern.begins(code):
        return Match.FULL
    bare = _without_metadata(pattern)
    return Match.PARTIAL if len(without_metadata(code)) == len(bare.code) and bare.begins(code) else None


def match_creation(bytecode: Bytecode, code: bytes) -> tuple[Match, bytes] | None:
    """Return how init code matches a contract and the constructor arguments after it, or None.

    Metadata of another length never match, since the code contains its own length. Raises ValueError if the artifact
    has no code.
    """
    pattern = Pattern.of(bytecode)
    if len(code) < len(pattern.code) or not _without_metadata(pattern).begins(code):
        return None
    return Match.FULL if pattern.begins(code) else Match.PARTIAL, code[len(pattern.code) :]


def has_metadata_hash(code: bytes) -> bool:
    """Return True if code ends with metadata that contain a hash of the sources."""
    return _HASH.search(code, len(without_metadata(code))) is not None


def solc_release(code: bytes) -> str | None:
    """Return the solc release that the metadata of code name, such as 0.8.30; None if they name none."""
    metadata = code[len(without_metadata(code)) :]
    start = metadata.find(_SOLC)
    release = metadata[start + len(_SOLC) :][:3]
    return None if start < 0 or len(release) < 3 else ".".join(map(str, release))


def _without_metadata(pattern: Pattern) -> Pattern:
    """Return a pattern without the metadata at the end and without the metadata hashes of created contracts."""
    code = without_metadata(pattern.code)
    hashes = [(found.end() - _HASH_SIZE, found.end()) for found in _HASH.finditer(code)]
    holes = (hole for hole in (*pattern.holes, *hashes) if hole[1] <= len(code))
    return Pattern(code, tuple(sorted(holes)))
