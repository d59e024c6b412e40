"""User-defined precompiles: a Python function or a WASM module at an address, called like a built-in precompile.

This module defines a precompile, its description by a TOML file, and the table in a machine's context.
`hypervisor.machine.opening` finds registered ones and installs them on a machine; the EVM runtime
charges for and runs them.

In the file, `address`, `wasm` (a path relative to and inside the folder of the TOML file) and `gas` are required,
`gas_per_word` and `signature` optional. A file can name modules only: they run in a sandbox, and no Python is imported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hypervisor.errors import InvalidInput
from hypervisor.installation import MAX_BYTES, parse_toml, path_inside, read_bounded
from hypervisor.types import octets, whole_number

MAX_GAS: Final = (1 << 63) - 1
MAX_MODULE_BYTES: Final = 1 << 20
"""Maximum size of a module in bytes."""
MAX_OUTPUT_BYTES: Final = 1 << 20
"""Maximum size of the output in bytes; a larger output fails the call."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_WORD: Final = 32


@dataclass(frozen=True, slots=True)
class Precompile:
    """A user-defined precompile. Raises InvalidInput for invalid fields.

    Either `function` maps calldata to output bytes, or `module` is a WASM module that does (docs/precompiles.md).
    An exception, a trap or any other result fails the call. It costs `gas` plus `gas_per_word` for each started word of
    32 bytes of calldata, in Ethereum gas, charged before it runs.

    >>> from hypervisor.precompiles import Precompile
    >>> def double(data: bytes) -> bytes:
    ...     return data * 2
    >>> row = Precompile("double", "0x0000000000000000000000000000000000000d0b", 60, double, gas_per_word=3)
    >>> row.price(b"12345"), row.at.hex()[-4:]
    (63, '0d0b')
    """

    name: str
    """Name for traces and errors: letters, digits and underscores."""
    address: str
    """`0x` and 40 hex digits."""
    gas: int
    function: Callable[[bytes], bytes] | None = None
    module: bytes = b""
    gas_per_word: int = 0
    signature: str = ""
    """Signature for traces: `name(types)(return types)`. A selector may precede the arguments."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or _NAME.fullmatch(self.name) is None:
            raise InvalidInput(
                f"{self.name!r:.80} is not a valid precompile name: expected up to 64 letters, digits and underscores"
            )
        label = f"precompile '{self.name}'"
        if not isinstance(self.address, str) or _ADDRESS.fullmatch(self.address) is None:
            raise InvalidInput(f"{label}: {self.address!r:.80} is not an address: expected 0x and 40 hex digits")
        whole_number(self.gas, f"the gas of {label}", 0, MAX_GAS)
        whole_number(self.gas_per_word, f"the gas per word of {label}", 0, MAX_GAS)
        octets(self.module, f"the module of {label}")
        if not isinstance(self.signature, str):
            raise InvalidInput(f"{label}: {self.signature!r:.80} is not a signature: expected name(types)(types)")
        if (self.function is None) == (not self.module):
            found = "both" if self.module else "neither"
            raise InvalidInput(f"{label} needs a function or a WASM module, but has {found}: pass exactly one of them")
        if self.function is not None and not callable(self.function):
            raise InvalidInput(f"{label}: {self.function!r:.80} is not a function of the calldata")
        if len(self.module) > MAX_MODULE_BYTES:
            raise InvalidInput(
                f"{label}: the module has {len(self.module):,} bytes, at most {MAX_MODULE_BYTES:,} are allowed"
            )

    @property
    def at(self) -> bytes:
        """The address as 20 bytes."""
        return bytes.fromhex(self.address[2:])

    def price(self, data: bytes) -> int:
        """Return the cost of a call with this calldata, in Ethereum gas."""
        return self.gas + self.gas_per_word * -(-len(data) // _WORD)


class PrecompileTable:
    """Precompiles accepted by the EVM runtime, by address and by name. Tables compare by identity."""

    __slots__ = ("by_address", "by_name")

    def __init__(self, rows: Mapping[bytes, Precompile]) -> None:
        self.by_address = dict(rows)
        self.by_name = {row.name: row for row in rows.values()}


TABLE: Final = "precompiles"
MAX_PRECOMPILES: Final = 256
"""Maximum number of precompiles in a file."""
_NEEDED: Final = ("address", "gas", "wasm")
_KEYS: Final = (*_NEEDED, "gas_per_word", "signature")
_PYTHON: Final = ("python", "function", "module", "entry_point")


def read_precompiles(file: Path) -> tuple[Precompile, ...]:
    """Read the precompiles of a TOML file. Raises InvalidInput."""
    try:
        content = parse_toml(read_bounded(file, MAX_BYTES, "the file of precompiles").decode())
        tables = content.get(TABLE)
        if not isinstance(tables, dict) or not tables:
            raise InvalidInput(f"the file has no table [{TABLE}.NAME]")
        return precompiles_of(tables, file.resolve().parent)
    except InvalidInput as error:
        raise InvalidInput(f"{file}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{file}: {error}") from None


def precompiles_of(tables: Mapping[str, Any], folder: Path) -> tuple[Precompile, ...]:
    """Create the precompiles of named tables, whose modules are files in `folder`. Raises InvalidInput."""
    if len(tables) > MAX_PRECOMPILES:
        raise InvalidInput(f"[{TABLE}] has {len(tables)} tables, at most {MAX_PRECOMPILES} are allowed: remove some")
    return tuple(_precompile(name, table, folder) for name, table in tables.items())


def _precompile(name: str, table: Any, folder: Path) -> Precompile:
    where = f"{TABLE}.{name:.80}"
    if not isinstance(table, dict):
        raise InvalidInput(f"{where} is {table!r:.60}, expected a table with {', '.join(_NEEDED)}")
    for key in table:
        if key in _PYTHON:
            raise InvalidInput(
                f"{where}.{key}: files cannot name Python code; install a package that registers the function, and use "
                "--precompile NAME"
            )
        if key not in _KEYS:
            raise InvalidInput(f"{where}.{key:.60} is not known: expected {', '.join(_KEYS)}")
    missing = [key for key in _NEEDED if key not in table]
    if missing:
        raise InvalidInput(f"{where} is missing {' and '.join(missing)}")
    file = table["wasm"]
    if not isinstance(file, str) or not file or "\0" in file:
        raise InvalidInput(f"{where}.wasm is {file!r:.60}, expected the path of a module")
    path = path_inside(folder, file, f"{where}.wasm")
    module = read_bounded(path, MAX_MODULE_BYTES, f"{where}.wasm")
    if not module:
        raise InvalidInput(f"{where}.wasm {path} is empty")
    fields = {key: table[key] for key in ("gas_per_word", "signature") if key in table}
    return Precompile(name, table["address"], table["gas"], module=module, **fields)
