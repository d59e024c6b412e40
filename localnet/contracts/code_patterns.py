"""Comparison of compiled code with deployed code, ignoring metadata, library addresses and immutable values.

Source: the Solidity documentation on metadata, library linking and immutables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_MAX_CODE_BYTES: Final = 1 << 20
_PLACEHOLDER: Final = re.compile(r"__.{36}__")
_UNKNOWN: Final = re.compile(rb"\x7f\x00{32}|\x73\x00{20}", re.DOTALL)
"""Placeholders filled in at deployment: immutable values (PUSH32 of zeros), library addresses (PUSH20 of zeros)."""


@dataclass(frozen=True, slots=True)
class CodePattern:
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
