"""Table of cheatcodes by selector, and the cheatcodes that a project uses.

A handler is a function of a `Context` and the decoded arguments; its decorators name the signatures that it implements.
Its result is encoded as the types in `returns`: none, one value, or a tuple of several. Calling a cheatcode of forge
that is not supported fails with its name; a test compares their list with forge's.

The cheatcodes that a contract's code may call are found by their selectors, without importing the modules that define
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from typing import Any, Final, TypeVar

from hypervisor_tools.soltest.cheatcodes.values import split
from store.keccak import keccak

MODULES: Final = (
    "accounts",
    "environment",
    "expectations",
    "filecoin",
    "files",
    "fork.forks",
    "fork.rpc",
    "fuzzing",
    "hooks.storage_hooks",
    "instructions",
    "metering",
    "pranks",
    "process",
    "recording",
    "signing",
    "testing",
    "text.json_values",
    "text.strings",
)
"""Modules of this package that define cheatcodes."""

Handler = TypeVar("Handler", bound=Callable[..., Any] | None)


@dataclass(frozen=True)
class Cheatcode:
    """A cheatcode. `partial` names missing behaviour, `filecoin` is True for cheatcodes that forge lacks.

    The guest executes those without `run`.
    """

    signature: str
    returns: tuple[str, ...]
    run: Any
    partial: str = ""
    filecoin: bool = False

    @cached_property
    def name(self) -> str:
        """Name without parameters."""
        return self.signature.split("(", 1)[0]

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Types of the parameters."""
        return split(self.signature.split("(", 1)[1][:-1])

    @property
    def selector(self) -> bytes:
        """First four bytes of a call."""
        return selector(self.signature)


@cache
def selector(signature: str) -> bytes:
    """Return the selector of a signature with canonical types."""
    return bytes(keccak(signature.encode())[:4])


_TABLE: Final[dict[bytes, Cheatcode]] = {}


def cheatcode(
    *signatures: str, returns: str = "", partial: str = "", filecoin: bool = False
) -> Callable[[Handler], Handler]:
    """Register the function for these signatures; None if the guest executes them."""

    def register(handler: Handler) -> Handler:
        for signature in signatures:
            _add(Cheatcode(signature, split(returns), handler, partial, filecoin))
        return handler

    return register


def _add(entry: Cheatcode) -> None:
    if entry.selector in _TABLE:
        raise ValueError(f"two cheatcodes have the signature {entry.signature}")
    _TABLE[entry.selector] = entry


def overloads(name: str, *parameters: Sequence[str]) -> tuple[str, ...]:
    """Return the signatures of one name with these lists of types."""
    return tuple(f"{name}({','.join(types)})" for types in parameters)


@cache
def table() -> dict[bytes, Cheatcode]:
    """Return every cheatcode by selector."""
    for module in MODULES:
        import_module(f"hypervisor_tools.soltest.cheatcodes.{module}")
    return _TABLE


_TEMPO: Final = "it is specific to the network Tempo: remove it"
MISSING: Final[Mapping[str, str]] = {
    "assumeImplicitApproval(address)": _TEMPO,
    "expectKeychainAdminVerified(address,bytes32,bytes)": _TEMPO,
    "expectKeychainVerified(address,bytes32,bytes)": _TEMPO,
    "expectLogoURIUpdated(address,address,string)": _TEMPO,
    "expectTip20LogoURIUpdated(address,address,string)": _TEMPO,
    "isImplicitlyApproved(address)": _TEMPO,
    "setLogoURI(address,string)": _TEMPO,
    "setTip20LogoURI(address,string)": _TEMPO,
    "signKeychain(uint256,address,bytes32)": _TEMPO,
    "signKeychainAdmin(uint256,address,bytes32)": _TEMPO,
}
"""Reason and remedy by signature."""


@cache
def _missing() -> dict[bytes, str]:
    return {selector(signature): signature for signature in MISSING}


def name_of(data: bytes) -> str | None:
    """Return the name of the cheatcode with a selector, or None."""
    entry = table().get(data)
    signature = _missing().get(data) if entry is None else entry.signature
    return None if signature is None else signature.split("(", 1)[0]


_FORKS: Final = tuple(
    selector(signature).hex()
    for signature in (
        *overloads("createFork", ("string",), ("string", "uint256"), ("string", "bytes32")),
        *overloads("createSelectFork", ("string",), ("string", "uint256"), ("string", "bytes32")),
        *overloads("rollFork", ("uint256",), ("uint256", "uint256"), ("bytes32",), ("uint256", "bytes32")),
    )
)
_CODE: Final = tuple(
    selector(signature).hex()
    for signature in (
        *overloads("getCode", ("string",)),
        *overloads("getDeployedCode", ("string",)),
        *overloads("deployCode", ("string",), ("string", "bytes"), ("string", "uint256"), ("string", "bytes32")),
        *overloads("deployCode", ("string", "bytes", "uint256"), ("string", "bytes", "bytes32")),
        *overloads("deployCode", ("string", "uint256", "bytes32"), ("string", "bytes", "uint256", "bytes32")),
    )
)
_LAST_CALL_GAS: Final = tuple(
    selector(signature).hex()
    for signature in (
        *("lastCallGas()", "snapshotGasLastCall(string)", "snapshotGasLastCall(string,string)"),
        *("lastFrameGas()", "snapshotGasLastFrame(string)", "snapshotGasLastFrame(string,string)"),
    )
)
_MAPPINGS: Final = tuple(
    selector(signature).hex()
    for signature in (
        *("getStateDiff()", "getStateDiffJson()", "getMappingLength(address,bytes32)"),
        *("getMappingSlotAt(address,bytes32,uint256)", "getMappingKeyAndParentOf(address,bytes32)"),
    )
)


def uses_fork_cheatcodes(code: str) -> bool:
    """Return True if code, in hex, contains a cheatcode that may change to another network's state."""
    return any(found in code for found in _FORKS)


def uses_code_cheatcodes(code: str) -> bool:
    """Return True if code, in hex, contains a cheatcode that returns a contract's code, which may need libraries."""
    return any(found in code for found in _CODE)


def uses_mappings(code: str) -> bool:
    """Return True if code, in hex, contains a cheatcode that shows the slots of mappings."""
    return any(found in code for found in _MAPPINGS)


def uses_last_call_gas(code: str) -> bool:
    """Return True if code, in hex, contains a cheatcode that needs the gas of the last call."""
    return any(found in code for found in _LAST_CALL_GAS)
