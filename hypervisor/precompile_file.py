"""Precompiles described by a TOML file: WASM modules in tables `[precompiles.NAME]`.

`address`, `wasm` (a path relative to and inside the folder of the TOML file) and `gas` are required, `gas_per_word` and
`signature` optional. A file can name modules only: they run in a sandbox, and no Python is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hypervisor.errors import InvalidInput
from hypervisor.installation import path_inside, read_bounded
from hypervisor.precompiles import MAX_MODULE_BYTES, Precompile
from hypervisor.toml_text import MAX_BYTES, parse_toml

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
