"""Precompiles that a TOML file describes: WASM modules, by tables `[precompiles.NAME]`.

`address`, `wasm` (a file in the folder of the TOML file, from there on) and `gas` are needed, `gas_per_word` and
`signature` may be there. A file names modules alone: they run in a sandbox, and no Python is imported for it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hypervisor.errors import InvalidInput
from hypervisor.precompiles import LONGEST_MODULE, Precompile
from hypervisor.user_files import read_bounded

TABLE: Final = "precompiles"
MOST: Final = 256
"""Precompiles of one file."""
_LONGEST_FILE: Final = 1 << 20
_NEEDED: Final = ("address", "gas", "wasm")
_KEYS: Final = (*_NEEDED, "gas_per_word", "signature")
_PYTHON: Final = ("python", "function", "module", "entry_point")


def read_precompiles(file: Path) -> tuple[Precompile, ...]:
    """The precompiles of a TOML file. Raises InvalidInput."""
    try:
        content = tomllib.loads(read_bounded(file, _LONGEST_FILE, "the file of precompiles").decode())
        tables = content.get(TABLE)
        if not isinstance(tables, dict) or not tables:
            raise InvalidInput(f"there is no table [{TABLE}.NAME] in it")
        return precompiles_of(tables, file.resolve().parent)
    except InvalidInput as error:
        raise InvalidInput(f"{file}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{file}: {error}") from None


def precompiles_of(tables: Mapping[str, Any], folder: Path) -> tuple[Precompile, ...]:
    """The precompiles of tables by their names, whose modules are files in a folder. Raises InvalidInput."""
    if len(tables) > MOST:
        raise InvalidInput(f"[{TABLE}] has {len(tables)} tables, at most {MOST} are taken: leave some out")
    return tuple(_precompile(name, table, folder) for name, table in tables.items())


def _precompile(name: str, table: Any, folder: Path) -> Precompile:
    where = f"{TABLE}.{name:.80}"
    if not isinstance(table, dict):
        raise InvalidInput(f"{where} is {table!r:.60}, expected a table with {', '.join(_NEEDED)}")
    for key in table:
        if key in _PYTHON:
            raise InvalidInput(
                f"{where}.{key}: no file names Python to run; install a package that registers the function, and name "
                "that by --precompile NAME"
            )
        if key not in _KEYS:
            raise InvalidInput(f"{where}.{key:.60} is not known: expected {', '.join(_KEYS)}")
    missing = [key for key in _NEEDED if key not in table]
    if missing:
        raise InvalidInput(f"{where} has no {' and no '.join(missing)}")
    file = table["wasm"]
    if not isinstance(file, str) or not file or "\0" in file:
        raise InvalidInput(f"{where}.wasm is {file!r:.60}, expected the path of a module")
    try:
        place = (folder / file).resolve()
        is_inside = place.is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:
        raise InvalidInput(f"{where}.wasm {file!r:.60} cannot be followed: {error}") from None
    if not is_inside:
        raise InvalidInput(f"{where}.wasm {file!r:.200} leads to {place}, out of {folder}: put the module there")
    module = read_bounded(place, LONGEST_MODULE, f"{where}.wasm")
    if not module:
        raise InvalidInput(f"{where}.wasm {place} is empty")
    fields = {key: table[key] for key in ("gas_per_word", "signature") if key in table}
    return Precompile(name, table["address"], table["gas"], module=module, **fields)
