"""Conversion of Solidity names to Python: functions and arguments to snake case, classes unchanged.

A name that is a Python keyword or a member of the wrapper gets a trailing underscore.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable
from typing import Final

from hypervisor.errors import InvalidInput
from localnet.contracts.typed_contract import TypedContract

TYPE_NAMES: Final = frozenset(("int", "str", "bytes", "bool", "tuple", "list", "dict", "type", "object", "property"))
"""Names of types in annotations, which a member of the same name would hide."""
MEMBERS: Final = TYPE_NAMES.union(
    (name for name in dir(TypedContract) if not name.startswith("__")), ("address", "chain", "deploy")
)
"""Names that every wrapper class already has."""
MODULE_NAMES: Final = frozenset(
    (
        "Any", "ClassVar", "ContractError", "ContractEvent", "ContractInterface", "Decimal", "EthAddress", "Final",
        "NamedTuple", "None", "Paying", "Reading", "Self", "Sending", "Sent", "Sequence", "Target", "TypedContract",
        "Chain", "ErrorTypes", "EventTypes", "False", "Overloads", "Results", "Structs", "True",
    )
)  # fmt: skip
"""Names that are imported by a generated module or reserved in Python."""

_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")


def checked(name: str) -> str:
    """Return `name` if it is a valid Solidity identifier.

    Raises InvalidInput otherwise, since the name is written into source code.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"'{name[:60]!a}' is not a Solidity identifier")
    return name


def snake(name: str) -> str:
    """Convert a name to snake case: `balanceOf` is `balance_of`, `tokenURI` is `token_uri`, `_to` is `to`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.replace("$", "_")).lower()
    return re.sub(r"_+", "_", words).strip("_")


def member(name: str, number: int, taken: Iterable[str] = TYPE_NAMES) -> str:
    """Return the Python name of a function, argument or field; unnamed ones are named after `number`."""
    found = snake(name)
    if not found or found[0].isdigit():
        found = f"argument_{number}" if not found else f"_{found}"
    return f"{found}_" if keyword.iskeyword(found) or found in taken else found


def members(names: Iterable[str], taken: Iterable[str] = TYPE_NAMES) -> list[str]:
    """Return distinct Python names for arguments or fields."""
    found: list[str] = []
    for number, name in enumerate(names):
        found.append(unique(member(name, number, taken), found))
    return found


def class_name(name: str) -> str:
    """Return a class name, which starts with a capital letter."""
    bare = name.replace("$", "_").strip("_") or "Nameless"
    bare = f"{bare[0].upper()}{bare[1:]}"
    return f"Of{bare}" if bare[0].isdigit() else bare


def unique(name: str, taken: Iterable[str]) -> str:
    """Return `name`, with a number appended if it is already in `taken`."""
    found, number, known = name, 2, set(taken)
    while found in known:
        found, number = f"{name}_{number}", number + 1
    return found
