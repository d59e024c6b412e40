"""The Python types of Solidity types, as arguments and as results.

- Integers of all sizes and enums are int.
- bytesN and function types are bytes.
- Lists are tuples; an argument may be any sequence.
- Addresses may be given in all forms that `localnet.addresses` accepts.
"""

from __future__ import annotations

from collections.abc import Mapping

from fvm_hypervisor.bindings.contracts.declared import DeclaredRecord, Item
from localnet.contracts.typed_values import is_hashed, item_of, struct_key


def return_type(item: Item, structs: Mapping[str, DeclaredRecord]) -> str:
    """Return the annotation of a function argument."""
    kind = item["type"]
    if kind.endswith("]"):
        return f"Sequence[{return_type(item_of(item), structs)}]"
    return "Target" if kind == "address" else argument_type(item, structs)


def argument_type(item: Item, structs: Mapping[str, DeclaredRecord]) -> str:
    """Return the annotation of a return value or of a dataclass field."""
    kind: str = item["type"]
    if is_hashed(item):
        return "bytes"
    if kind.endswith("]"):
        return f"tuple[{argument_type(item_of(item), structs)}, ...]"
    if kind == "tuple":
        return structs[struct_key(item)].name
    if kind.startswith(("int", "uint")):
        return "int"
    if kind.startswith(("fixed", "ufixed")):
        return "Decimal"
    return {"address": "EthAddress", "bool": "bool", "string": "str"}.get(kind, "bytes")
