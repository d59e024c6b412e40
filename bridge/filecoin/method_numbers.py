"""Method numbers of exported methods, derived from their names (FRC-0042).

The number is the first 4-byte chunk of blake2b-512("1|" + name) that is at least 2^24; "Constructor" is 1.
"""

import hashlib
import re

from hypervisor.types import MethodNumber

FIRST_EXPORTED_METHOD = MethodNumber(1 << 24)
_NAME = re.compile(r"[A-Z_][A-Za-z0-9_]*", re.ASCII)


class MethodNameError(ValueError):
    """Raised for a name that is not valid for an exported method."""


def method_number(name: str) -> MethodNumber:
    """Return the number of the exported method `name`. Raises MethodNameError."""
    if not _NAME.fullmatch(name):
        raise MethodNameError(
            f"'{name}' is not a valid method name: expected a capital or '_', then letters, digits and '_'"
        )
    if name == "Constructor":
        return MethodNumber(1)
    digest = hashlib.blake2b(f"1|{name}".encode()).digest()
    for offset in range(0, len(digest), 4):
        number = int.from_bytes(digest[offset : offset + 4], "big")
        if number >= FIRST_EXPORTED_METHOD:
            return MethodNumber(number)
    raise MethodNameError(f"'{name}' has no valid method number: no chunk of its hash is 2^24 or more")


INVOKE_EVM = MethodNumber(3844450837)
"""`method_number("InvokeEVM")`, the method for calling a contract."""
