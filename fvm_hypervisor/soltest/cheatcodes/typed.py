"""EIP-712 cheatcodes: hashes of types, structs and typed data.

A type is a definition, `Mail(Person to,string text)Person(string name)`, whose parts may be in any order and contain
spaces, or the name of one in the file that `forge bind-json` writes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.files import read_text
from fvm_hypervisor.soltest.cheatcodes.limits import check_type
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode
from fvm_hypervisor.soltest.cheatcodes.text import documents
from fvm_hypervisor.soltest.cheatcodes.values import decode
from hypervisor.errors import InvalidInput
from localnet.typed_data import DOMAIN, hash_struct, type_text, typed_data_digest
from store.keccak import keccak

_BINDINGS: Final = "utils/JsonBindings.sol"
_SCHEMA: Final = re.compile(r'string\s+constant\s+schema_(\w+)\s*=\s*"([^"]*)"')
_COMPONENT: Final = re.compile(r"\s*(\w+)\s*\(([^()]*)\)")
_MEMBER: Final = re.compile(r"\s*(\w+(?:\[\d*\])*)\s+(\w+)\s*")
_ATOM: Final = re.compile(r"address|bool|u?int\d*|bytes\d*|string")
_DOMAIN_MEMBERS: Final = {
    "name": "string", "version": "string", "chainId": "uint256", "verifyingContract": "address", "salt": "bytes32",
}  # fmt: skip
_MAX_DEPTH: Final = 64

Types = dict[str, list[dict[str, str]]]


@cheatcode("eip712HashType(string)", returns="bytes32")
def _hash_type(context: Context, type_: str) -> bytes:
    return bytes(keccak(_canonical(_definition(context, type_)).encode()))


@cheatcode("eip712HashType(string,string)", returns="bytes32")
def _hash_bound_type(context: Context, path: str, name: str) -> bytes:
    return bytes(keccak(_canonical(_bound(context, path, name)).encode()))


@cheatcode("eip712HashStruct(string,bytes)", returns="bytes32")
def _hash_struct(context: Context, type_: str, data: bytes) -> bytes:
    return _hash(_definition(context, type_), data)


@cheatcode("eip712HashStruct(string,string,bytes)", returns="bytes32")
def _hash_bound_struct(context: Context, path: str, name: str, data: bytes) -> bytes:
    return _hash(_bound(context, path, name), data)


@cheatcode("eip712HashTypedData(string)", returns="bytes32")
def _hash_typed_data(_context: Context, text: str) -> bytes:
    document = documents.read_json(text)
    if not isinstance(document, dict):
        raise CheatcodeFailure("the typed data is not a JSON object")
    types, domain = document.get("types"), document.get("domain")
    if isinstance(types, dict) and isinstance(domain, dict):
        members = [{"name": name, "type": kind} for name, kind in _DOMAIN_MEMBERS.items() if name in domain]
        document["types"] = {**types, DOMAIN: members}  # forge ignores the declared type
        if document.get("primaryType") not in document["types"]:
            raise CheatcodeFailure(f"missing type in type resolution: {document.get('primaryType')}")
    try:
        return typed_data_digest(document)
    except InvalidInput as error:
        raise CheatcodeFailure(str(error)) from None


# --- definitions ----------------------------------------------------------------------------------------------------


def _definition(context: Context, type_: str) -> str:
    return type_ if "(" in type_ else _bound(context, _BINDINGS, type_)


def _bound(context: Context, path: str, name: str) -> str:
    """Return the definition of a name in a file of bindings."""
    for found, definition in _SCHEMA.findall(read_text(context, path)):
        if found == name:
            return str(definition)
    raise CheatcodeFailure(f"'{name}' not found in '{path}'")


def _types(definition: str) -> Types:
    """Return the structs of a definition."""
    types: Types = {}
    at = 0
    while definition[at:].strip():
        component = _COMPONENT.match(definition, at)
        if component is None:
            raise CheatcodeFailure(f"parser error: {definition[at : at + 40]!r} is not a type with its members")
        name, inside = component.groups()
        members = [_MEMBER.fullmatch(part) for part in inside.split(",")] if inside.strip() else []
        if any(member is None for member in members):
            raise CheatcodeFailure(f"parser error: the members of {name} are not a list of types and names")
        types[name] = [{"type": member[1], "name": member[2]} for member in members if member is not None]
        at = component.end()
    return types


def _primary(types: Types) -> str:
    """Return the only type that no other uses. Raises CheatcodeFailure for none or several, or a missing type."""
    used = {_bare(member["type"]) for members in types.values() for member in members}
    for name in sorted(used):
        if name not in types and not _ATOM.fullmatch(name):
            raise CheatcodeFailure(f"missing type in type resolution: {name}")
    free = sorted(types.keys() - used)
    if len(free) != 1:
        raise CheatcodeFailure(
            f"missing type in type resolution: primary component{': ' if free else ''}{', '.join(free)}"
        )
    return free[0]


def _bare(kind: str) -> str:
    return kind.partition("[")[0]


def _canonical(definition: str) -> str:
    """Return the primary type, followed by the types that it uses, by name."""
    types = _types(definition)
    return type_text(types, _primary(types))


# --- structs ---------------------------------------------------------------------------------------------------------


def _hash(definition: str, data: bytes) -> bytes:
    types = _types(definition)
    primary = _primary(types)
    kind = _abi_type(types, primary)
    try:
        (value,) = decode([kind], data)
    except CheatcodeFailure:
        raise CheatcodeFailure(
            f"Failed to ABI decode using resolved_sol_type directly for '{primary}': "
            "ABI decoding failed: buffer overrun while deserializing."
        ) from None
    try:
        return hash_struct(types, primary, _members(types, primary, value))
    except InvalidInput as error:
        raise CheatcodeFailure(str(error)) from None


def _abi_type(types: Types, kind: str, depth: int = 0) -> str:
    """Return the ABI type of a definition's type."""
    if depth > _MAX_DEPTH:
        raise CheatcodeFailure("the input is nested too deeply")
    name, bracket, sizes = kind.partition("[")
    if name in types:
        name = check_type(f"({','.join(_abi_type(types, member['type'], depth + 1) for member in types[name])})")
    elif name in ("uint", "int"):
        name += "256"
    return name + bracket + sizes


def _members(types: Types, kind: str, value: Any) -> Any:
    """Return a decoded value with structs as mappings by member name."""
    if kind.endswith("]"):
        return [_members(types, kind[: kind.rindex("[")], item) for item in value]
    if kind not in types:
        return value
    pairs = zip(types[kind], value, strict=True)
    found: Mapping[str, Any] = {member["name"]: _members(types, member["type"], item) for member, item in pairs}
    return found
