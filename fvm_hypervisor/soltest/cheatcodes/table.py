"""Table of cheatcodes by selector.

A handler is a function of a `Context` and the decoded arguments; its decorators name the signatures that it implements.
Its result is encoded as the types in `returns`: none, one value, or a tuple of several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final, TypeVar

from fvm_hypervisor.soltest.cheatcodes.values import split
from store.keccak import keccak

MODULES: Final = (
    "accounts",
    "allocs",
    "arbitrary",
    "asserts",
    "chains",
    "curve_points",
    "delegations",
    "diff_text",
    "ed25519",
    "environment",
    "expectations",
    "files",
    "filecoin",
    "forks",
    "fuzzing",
    "instructions",
    "json_values",
    "metering",
    "mocks",
    "pranks",
    "process",
    "recording",
    "rpc",
    "scripts",
    "signing",
    "snapshots",
    "storage_hooks",
    "storage_slots",
    "strings",
    "testing",
    "toml_values",
    "transactions",
    "typed",
)
"""Modules of this package that define cheatcodes."""

Handler = TypeVar("Handler", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Cheatcode:
    """A cheatcode. `partial` names missing behaviour, `filecoin` is True for cheatcodes that forge lacks."""

    signature: str
    returns: tuple[str, ...]
    run: Callable[..., Any]
    partial: str = ""
    filecoin: bool = False

    @property
    def name(self) -> str:
        """Name without parameters."""
        return self.signature.split("(", 1)[0]

    @property
    def parameters(self) -> tuple[str, ...]:
        """Types of the parameters."""
        return split(self.signature.split("(", 1)[1][:-1])

    @property
    def selector(self) -> bytes:
        """First four bytes of a call."""
        return selector(self.signature)


def selector(signature: str) -> bytes:
    """Return the selector of a signature with canonical types."""
    return bytes(keccak(signature.encode())[:4])


_TABLE: Final[dict[bytes, Cheatcode]] = {}


def cheatcode(
    *signatures: str, returns: str = "", partial: str = "", filecoin: bool = False
) -> Callable[[Handler], Handler]:
    """Register the function for these signatures."""

    def register(handler: Handler) -> Handler:
        for signature in signatures:
            entry = Cheatcode(signature, split(returns), handler, partial, filecoin)
            if entry.selector in _TABLE:
                raise ValueError(f"two cheatcodes have the signature {signature}")
            _TABLE[entry.selector] = entry
        return handler

    return register


def overloads(name: str, *parameters: Sequence[str]) -> tuple[str, ...]:
    """Return the signatures of one name with these lists of types."""
    return tuple(f"{name}({','.join(types)})" for types in parameters)


@cache
def table() -> dict[bytes, Cheatcode]:
    """Return every cheatcode by selector."""
    for module in MODULES:
        import_module(f"fvm_hypervisor.soltest.cheatcodes.{module}")
    return _TABLE
