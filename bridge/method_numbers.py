"""Method numbers by name, as actors export them to each other (FRC-0042).

A number is the first 4-byte chunk, 2^24 or more, of blake2b-512("1|" + name); "Constructor" is 1.
"""

import hashlib
import re

from hypervisor.types import MethodNumber

FIRST_EXPORTED_METHOD = MethodNumber(1 << 24)
_NAME = re.compile(r"[A-Z_][A-Za-z0-9_]*", re.ASCII)


class MethodNameError(ValueError):
    """A name that no exported method may have."""


def method_number(name: str) -> MethodNumber:
    """The number of the exported method `name`; MethodNameError if it is no such name."""
    if not _NAME.fullmatch(name):
        raise MethodNameError(f"'{name}' is not a method name: expected a capital or '_', then letters, digits and '_'")
    if name == "Constructor":
        return MethodNumber(1)
    digest = hashlib.blake2b(f"1|{name}".encode()).digest()
    for offset in range(0, len(digest), 4):
        number = int.from_bytes(digest[offset : offset + 4], "big")
        if number >= FIRST_EXPORTED_METHOD:
            return MethodNumber(number)
    raise MethodNameError(f"'{name}' hashes to no number of 2^24 or more")


INVOKE_EVM = MethodNumber(3844450837)
"""`method_number("InvokeEVM")`: how a contract is called."""
