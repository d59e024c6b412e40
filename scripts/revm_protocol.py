"""Write what Python and the guest with revm share, from the table `runtimes/evm/guests/revm/protocol.toml`.

    python -m scripts.revm_protocol

Python gets a class per set of numbers, and for each layout a named tuple with a `Layout`. Rust gets the same by the
macros of `wire.rs`, and compares revm's numbers when it is compiled.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from struct import calcsize
from textwrap import fill, indent
from typing import Any, Final

_PROJECT: Final = Path(__file__).resolve().parents[1]
_GUEST: Final = _PROJECT / "runtimes" / "evm" / "guests" / "revm"
TABLE: Final = _GUEST / "protocol.toml"
PYTHON: Final = _PROJECT / "runtimes" / "evm" / "revm" / "protocol.py"
RUST: Final = _GUEST / "src" / "protocol.rs"

_FORMATS: Final = {
    "u8": ("B", "int"), "u16": ("H", "int"), "u32": ("I", "int"), "u64": ("Q", "int"), "i64": ("q", "int"),
    "bool": ("I", "int"), "u128": ("16s", "bytes"), "address": ("20s", "EthAddress"), "word": ("32s", "bytes"),
    "hash": ("32s", "bytes"),
}  # fmt: skip
_RUST_TYPES: Final = {"address": "Address", "word": "U256", "hash": "B256"}
_PYTHON_HEAD: Final = '''"""Numbers and layouts of the messages to the guest with revm.

`make protocol` writes this module from `runtimes/evm/guests/revm/protocol.toml`, which describes the messages.
"""

# ruff: noqa: UP014
# fmt: off
from typing import Final, NamedTuple

from bridge.ethereum.addresses import EthAddress
from runtimes.evm.revm.layout import Layout
'''
_RUST_HEAD: Final = """//! Numbers and layouts of Python's messages.
//!
//! `make protocol` writes this file from `protocol.toml`, which describes the messages.

use crate::wire::{Field, Reader, flags, layouts, numbers, same_gas_id, same_instruction_result};
use revm::primitives::{Address, B256, U256};
"""

Table = Mapping[str, Any]


def files() -> Mapping[Path, str]:
    """Return the text of each file by its path."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return {PYTHON: "\n".join(_python(table)), RUST: "\n".join(_rust(table))}


def _fields(layout: str) -> list[tuple[str, str]]:
    return [(name, kind) for name, kind in (field.split() for field in layout.split(","))]


def _signatures(table: Table) -> list[str]:
    return [f'"{name}({types})"' for name, overloads in table["cheatcodes"].items() for types in overloads]


def _upper(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).upper()


def _values(rows: Table) -> dict[str, str]:
    return {name: text for name, text in rows.items() if name != "_"}


# --- Python -----------------------------------------------------------------------------------------------------------


def _python(table: Table) -> Iterator[str]:
    yield _PYTHON_HEAD
    for name, (_, value) in table["values"].items():
        yield f"{name}: Final = {value}"
    yield _wrapped("CHEATCODES: Final = (", _signatures(table), ")")
    for kind, number_of in (("numbers", int), ("flags", lambda position: 1 << position)):
        for name, rows in table[kind].items():
            yield f'\n\nclass {name}:\n    """{rows["_"]}"""\n'
            for position, (value, text) in enumerate(_values(rows).items()):
                yield _constant(value, number_of(position), text)
    for name, rows in table["revm"].items():
        yield f'\n\nclass {name}:\n    """Numbers of revm\'s type."""\n'
        yield from (_constant(_upper(value), number, "") for value, number in rows.items())
    sizes: dict[str, int] = {}
    yield ""
    for name, layout in table["layouts"].items():
        fields = _fields(layout)
        forms = [_FORMATS.get(kind) or (f"{sizes[kind]}s", "bytes") for _, kind in fields]
        sizes[name] = calcsize("<" + "".join(form for form, _ in forms))
        pairs = [f'("{field}", {form[1]})' for (field, _), form in zip(fields, forms, strict=True)]
        yield "\n" + _wrapped(f'{name} = NamedTuple("{name}", [', pairs, "])")
        yield f'{_upper(name)}: Final = Layout({name}, "<{"".join(form for form, _ in forms)}")'
    yield ""


def _constant(name: str, value: int, text: str) -> str:
    line = f"    {name}: Final = {value}"
    return f"{line}  # {text}" if text and len(line) + len(text) < 116 else line


def _wrapped(head: str, parts: list[str], tail: str, width: int = 120) -> str:
    line = head + ", ".join(parts) + tail
    if len(line) <= width:
        return line
    body = fill(", ".join(part.replace(" ", "\0") for part in parts), width - 5).replace("\0", " ")
    return f"{head.rstrip()}\n{indent(body, '    ')},\n{tail.strip()}"


# --- Rust -------------------------------------------------------------------------------------------------------------


def _rust(table: Table) -> Iterator[str]:
    yield _RUST_HEAD
    for name, (kind, value) in table["values"].items():
        yield f"pub const {name}: {kind} = {value};"
    signatures = _signatures(table)
    yield _wrapped(f"pub const CHEATCODES: [&str; {len(signatures)}] = [", signatures, "];")
    for kind in ("numbers", "flags"):
        yield ""
        for name, rows in table[kind].items():
            yield _wrapped(f"{kind}! {{ {name} {_upper(name).lower()}: ", [*_values(rows)], " }")
    yield "\nlayouts! {"
    for name, layout in table["layouts"].items():
        fields = [f"{field}: {_RUST_TYPES.get(kind, kind)}" for field, kind in _fields(layout)]
        yield indent(_wrapped(f"{name} {{ ", fields, " }", width=116), "    ")
    yield "}\n"
    for name in ("InstructionResult", "GasId"):
        numbers = [f"{value} = {number}" for value, number in table["revm"][name].items()]
        yield _wrapped(f"same_{_upper(name).lower()}! {{ ", numbers, " }")
    yield ""


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
