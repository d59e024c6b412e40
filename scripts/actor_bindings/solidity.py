"""The Solidity interfaces of `bridge/solidity` and their ABI, generated from the functions of `hypervisor_labs.facade`.

A test compiles the interfaces and compares solc's ABI with the generated one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from bridge.actors.exported_methods import EXIT_CODES, INTERFACES, NONPAYABLE, SMALL_NUMBERS_ONLY
from bridge.actors.schemas import methods
from hypervisor_labs.facade import ERRORS, AbiType, FacadeFunction, SolidityTypes, facade
from scripts.actor_bindings.python import UNITS, schema_comments
from store.schema.types import Struct

FOLDER: Final = Path("bridge/solidity")
TYPES: Final = "FilecoinTypes.sol"
WIDTH: Final = 120
ERRORS_INTERFACE: Final = "FilecoinErrors"

_HEAD: Final = """\
// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from the schemas of the built-in actors: `make bindings`.
pragma solidity ^0.8.8;
"""
_ERROR_NOTES: Final = {
    "ActorError": "The actor exited with a code other than 0; `data` is its return data, usually empty.",
    "UnknownFunction": "The actor has no method with this selector.",
    "NotPayable": "The function does not accept value.",
    "BadCalldata": "The arguments are not in the canonical ABI encoding, or not valid for the method.",
    "BadAnswer": "The return value does not match its type or exceeds its range. The call is reverted.",
}
_LIBRARY: Final = """\
/// Conversion to Filecoin addresses.
library Filecoin {
    /// Returns the address to call for an actor ID: f07 is Filecoin.actor(7).
    function actor(uint64 id) internal pure returns (address) {
        return address((uint160(0xff) << 152) | uint160(id));
    }

    /// Returns the f0 address of an actor ID.
    function idAddress(uint64 id) internal pure returns (FilAddress memory) {
        bytes memory data = hex"00";
        while (id > 0x7f) {
            data = bytes.concat(data, bytes1(uint8(id) | 0x80));
            id >>= 7;
        }
        return FilAddress(bytes.concat(data, bytes1(uint8(id))));
    }

    /// Returns the Filecoin address of `who`: f0 for a masked ID, f410 for all others.
    function addressOf(address who) internal pure returns (FilAddress memory) {
        if (uint160(who) >> 64 == uint160(0xff) << 88) return idAddress(uint64(uint160(who)));
        return FilAddress(abi.encodePacked(hex"040a", who));
    }
}
"""


def files() -> dict[Path, str]:
    """Return the text of each file by path."""
    found = {FOLDER / TYPES: _types_file()}
    for actor in INTERFACES:
        functions = list(facade(actor).values())
        found[FOLDER / f"{INTERFACES[actor]}.sol"] = _interface(actor, functions)
        found[FOLDER / f"{INTERFACES[actor]}.json"] = json.dumps(abi(actor), indent=1) + "\n"
    return found


def _types_file() -> str:
    notes = schema_comments("common")
    shared: dict[str, AbiType] = {}
    for actor in INTERFACES:
        shared |= {name: part for name, part in _structs(facade(actor).values()).items() if part.shared}
    descriptions = {
        "FilAddress": "A Filecoin address: a byte for its protocol, then its payload.",
        "Cid": "A CID in binary.",
    }
    structs = "\n".join(
        f"/// {descriptions.get(name) or notes.get(name, 'A part of return values.')}\n{_struct(part)}"
        for name, part in sorted(shared.items())
    )
    errors = "\n\n".join(
        f"    /// {_ERROR_NOTES[name]}\n    error {name}({', '.join(f'{coder.name} {part}' for coder, part in parts)});"
        for name, parts in ERRORS.items()
    )
    about = "/// Errors with which a call of an actor reverts, besides those of contracts that the actor calls.\n"
    return f"{_HEAD}\n{structs}\n{about}interface {ERRORS_INTERFACE} {{\n{errors}\n}}\n\n{_LIBRARY}"


def _interface(actor: str, functions: list[FacadeFunction]) -> str:
    structs = _structs(functions)
    imported = [name for name, part in structs.items() if part.shared]
    own = [part for part in structs.values() if not part.shared]
    about = [schema_comments(actor)[actor]]
    if actor in SMALL_NUMBERS_ONLY:
        about.append("Calls by contracts are rejected (exit code 18): only accounts may call these functions.")
    if actor in EXIT_CODES:
        codes = (f"{code} {name.lower().replace('_', ' ')}" for name, code in EXIT_CODES[actor].items())
        about += ["Exit codes specific to this actor:", *codes]
    lines = [_HEAD, f'import {{{", ".join([ERRORS_INTERFACE, *sorted(imported)])}}} from "./{TYPES}";\n']
    lines += [f"/// {line}" for line in about]
    lines.append(f"interface {INTERFACES[actor]} is {ERRORS_INTERFACE} {{")
    body = ["".join(f"    {line}\n" for line in _struct(part).splitlines()) for part in own]
    body += [_function(actor, function) for function in functions]
    return "\n".join(lines) + "\n" + "\n".join(body) + "}\n"


def _struct(part: AbiType) -> str:
    fields = "".join(f"    {_source(kind)} {name};\n" for name, kind in part.parts)
    return f"struct {part.source} {{\n{fields}}}\n"


def _function(actor: str, function: FacadeFunction) -> str:
    inputs = [_parameter(part, name, "calldata") for name, part in function.inputs]
    outputs = ", ".join(_parameter(part, name, "memory") for name, part in function.outputs)
    mutability = "" if function.mutability == NONPAYABLE else f" {function.mutability}"
    returns = f" returns ({outputs})" if outputs else ""
    ending = f") external{mutability}{returns};"
    line = f"    function {function.name}({', '.join(inputs)}{ending}"
    if len(line) > WIDTH:
        listed = "".join(f"        {part}{',' if part != inputs[-1] else ''}\n" for part in inputs)
        line = f"    function {function.name}(\n{listed}    {ending}"
    return f"    /// {_note(actor, function)}\n{line}\n"


def _note(actor: str, function: FacadeFunction) -> str:
    types, terms = SolidityTypes(actor), methods(actor)[function.method]
    notes = []
    for name, parts in ((terms.params, function.inputs), (terms.returns, function.outputs)):
        if name is None:
            continue
        kind = types.schema.type_of(name)
        inner = [field.type for field in kind.fields.values()] if isinstance(kind, Struct) else [name]
        for (label, _), term in zip(parts, inner, strict=True):
            unit = UNITS.get(types.schema.name_of(term)) if isinstance(term, str) else None
            if unit:
                notes.append(f"`{label}`: {unit}." if label else f"Returns {unit}.")
    return " ".join([f"Method {function.method}.", *dict.fromkeys(notes)])


def _parameter(part: AbiType, name: str, location: str) -> str:
    kind = _source(part)
    in_memory = part.brackets or part.parts or part.source in ("bytes", "string")
    return f"{kind} {location} {name}".rstrip() if in_memory else f"{kind} {name}".rstrip()


def _source(part: AbiType) -> str:
    return part.source + "[]" * part.brackets


def _structs(functions: Iterable[FacadeFunction]) -> dict[str, AbiType]:
    """Return the structs of functions by name, each one after the structs that it contains."""
    found: dict[str, AbiType] = {}
    for function in functions:
        for _, part in (*function.inputs, *function.outputs):
            for inner in _within(part):
                found.setdefault(inner.source, inner)
    return found


def _within(part: AbiType) -> Iterator[AbiType]:
    for _, inner in part.parts:
        yield from _within(inner)
    if part.parts:
        yield part


def abi(actor: str) -> list[dict[str, Any]]:
    """Return the ABI of an actor's interface, with the order and keys that solc uses."""
    errors = [
        {"inputs": [_scalar(coder.name, name) for coder, name in parts], "name": error, "type": "error"}
        for error, parts in sorted(ERRORS.items())
    ]
    functions = [
        {
            "inputs": [_entry(actor, name, part) for name, part in function.inputs],
            "name": function.name,
            "outputs": [_entry(actor, name, part) for name, part in function.outputs],
            "stateMutability": function.mutability,
            "type": "function",
        }
        for function in sorted(facade(actor).values(), key=lambda function: function.name)
    ]
    return [*errors, *functions]


def _entry(actor: str, name: str, part: AbiType) -> dict[str, Any]:
    brackets = "[]" * part.brackets
    if not part.parts:
        return _scalar(part.source + brackets, name)
    inside = part.source if part.shared else f"{INTERFACES[actor]}.{part.source}"
    return {
        "components": [_entry(actor, label, inner) for label, inner in part.parts],
        "internalType": f"struct {inside}{brackets}",
        "name": name,
        "type": f"tuple{brackets}",
    }


def _scalar(kind: str, name: str) -> dict[str, Any]:
    return {"internalType": kind, "name": name, "type": kind}


PATH: Final = Path("docs/labs/facade.md")
BEGIN: Final = "<!-- functions of the interfaces: make bindings -->\n"
END: Final = "<!-- end of the functions -->\n"


def update_table(text: str) -> str:
    """Return the page `text` with its generated table updated."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + _table() + END + rest.split(END)[1]


def _table() -> str:
    rows = [_row(function) for actor in INTERFACES for function in facade(actor).values()]
    return "| function | method | selector | returns |\n|---|---|---|---|\n" + "".join(rows)


def _row(function: FacadeFunction) -> str:
    mutability = "" if function.mutability == NONPAYABLE else f" {function.mutability}"
    call = f"{INTERFACES[function.actor]}.{function.name}({_format_list(function.inputs)}){mutability}"
    answers = f"`{_format_list(function.outputs)}`" if function.outputs else ""
    return f"| `{call}` | {function.method} | `{function.selector.hex()}` | {answers} |\n"


def _format_list(parts: tuple[tuple[str, AbiType], ...]) -> str:
    return ", ".join(f"{part.source}{'[]' * part.brackets} {name}".rstrip() for name, part in parts)
