"""User-registered precompiles: a function or a WASM module at an address, which contracts call as they call SHA-256.

Here is what one is, and the table that a machine's context carries. `hypervisor.precompile_registration` finds those
that packages register and puts them on a machine; the EVM runtime charges and runs them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from hypervisor.argument_checks import octets, whole_number
from hypervisor.errors import InvalidInput

MOST_GAS: Final = (1 << 63) - 1
LONGEST_MODULE: Final = 1 << 20
"""Bytes."""
LONGEST_OUTPUT: Final = 1 << 20
"""Bytes of what one returns; more is a failure of the call."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_WORD: Final = 32


@dataclass(frozen=True, slots=True)
class Precompile:
    """A precompile that a user registers. Raises InvalidInput for what cannot be one.

    Either `function` answers calldata with bytes, or `module` is WebAssembly that does (docs/precompiles.md says how).
    What raises, traps or answers anything else fails the call. Its price is `gas` and `gas_per_word` for each 32 bytes
    of calldata begun, in Ethereum's gas, taken before it runs.

    >>> from hypervisor.precompiles import Precompile
    >>> def double(data: bytes) -> bytes:
    ...     return data * 2
    >>> row = Precompile("double", "0x0000000000000000000000000000000000000d0b", 60, double, gas_per_word=3)
    >>> row.price(b"12345"), row.at.hex()[-4:]
    (63, '0d0b')
    """

    name: str
    """What traces and errors call it: letters, digits and underscores."""
    address: str
    """`0x` and 40 hex digits."""
    gas: int
    function: Callable[[bytes], bytes] | None = None
    module: bytes = b""
    gas_per_word: int = 0
    signature: str = ""
    """By which traces decode calldata and output: `name(types)(types returned)`. A selector may come first."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or _NAME.fullmatch(self.name) is None:
            raise InvalidInput(
                f"{self.name!r:.80} cannot be a precompile's name: expected letters, digits and underscores, at most 64"
            )
        who = f"precompile '{self.name}'"
        if not isinstance(self.address, str) or _ADDRESS.fullmatch(self.address) is None:
            raise InvalidInput(f"{who}: {self.address!r:.80} is not an address: expected 0x and 40 hex digits")
        whole_number(self.gas, f"the gas of {who}", 0, MOST_GAS)
        whole_number(self.gas_per_word, f"the gas per word of {who}", 0, MOST_GAS)
        octets(self.module, f"the module of {who}")
        if not isinstance(self.signature, str):
            raise InvalidInput(f"{who}: {self.signature!r:.80} is not a signature: expected name(types)(types)")
        if (self.function is None) == (not self.module):
            given = "both" if self.module else "none"
            raise InvalidInput(f"{who} needs a function or a WASM module, one of the two, not {given}")
        if self.function is not None and not callable(self.function):
            raise InvalidInput(f"{who}: {self.function!r:.80} is not a function of the calldata")
        if len(self.module) > LONGEST_MODULE:
            raise InvalidInput(
                f"{who}: the module has {len(self.module):,} bytes, at most {LONGEST_MODULE:,} are taken: make it less"
            )

    @property
    def at(self) -> bytes:
        """The address, 20 bytes."""
        return bytes.fromhex(self.address[2:])

    def price(self, data: bytes) -> int:
        """What a call with this calldata costs, in Ethereum's gas."""
        return self.gas + self.gas_per_word * -(-len(data) // _WORD)


class PrecompileTable:
    """Those of a machine, which the EVM runtime has accepted: by address, and by name. A table equals itself only."""

    __slots__ = ("by_address", "by_name")

    def __init__(self, rows: Mapping[bytes, Precompile]) -> None:
        self.by_address = dict(rows)
        self.by_name = {row.name: row for row in rows.values()}
