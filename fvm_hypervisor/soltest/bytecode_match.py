"""Whether code on a chain is a compiled contract's: in full, in part, where only the metadata differ, or not.

What a deployment fills in is passed over: libraries' addresses and immutable values. Metadata are the CBOR map behind
the code, with its length in two bytes (the Solidity documentation, "Encoding of the Metadata Hash in the Bytecode").
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from fvm_hypervisor.soltest.artifact import Bytecode
from fvm_hypervisor.soltest.known_code import Pattern
from localnet.contracts.code_patterns import without_metadata

_SOLC: Final = b"\x64solc\x43"
"""In CBOR, the key "solc" and the head of three bytes: the numbers of the release."""


class Match(StrEnum):
    """How code matches, in forge's words."""

    FULL = "full"
    PARTIAL = "partial"


def match_runtime(bytecode: Bytecode, code: bytes) -> Match | None:
    """How deployed code matches a contract's; None where it does not. Raises ValueError for an artifact of no code."""
    pattern = Pattern.of(bytecode)
    if len(code) == len(pattern.code) and pattern.begins(code):
        return Match.FULL
    bare = _without_metadata(pattern)
    return Match.PARTIAL if len(without_metadata(code)) == len(bare.code) and bare.begins(code) else None


def match_creation(bytecode: Bytecode, code: bytes) -> tuple[Match, bytes] | None:
    """How init code matches a contract's, and the constructor's arguments behind it; None where it does not.

    Metadata of another length make another code: it names its own length. Raises ValueError for an artifact of no code.
    """
    pattern = Pattern.of(bytecode)
    if len(code) < len(pattern.code) or not _without_metadata(pattern).begins(code):
        return None
    return Match.FULL if pattern.begins(code) else Match.PARTIAL, code[len(pattern.code) :]


def solc_release(code: bytes) -> str | None:
    """The release of solc that the metadata behind code name, as 0.8.30; None where they name none."""
    metadata = code[len(without_metadata(code)) :]
    place = metadata.find(_SOLC)
    release = metadata[place + len(_SOLC) :][:3]
    return None if place < 0 or len(release) < 3 else ".".join(map(str, release))


def _without_metadata(pattern: Pattern) -> Pattern:
    code = without_metadata(pattern.code)
    return Pattern(code, tuple(hole for hole in pattern.holes if hole[1] <= len(code)))
