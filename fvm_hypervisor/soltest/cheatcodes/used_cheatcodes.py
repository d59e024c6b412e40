"""Cheatcodes that a contract's code may call, found by their selectors. Imports no module that defines cheatcodes."""

from __future__ import annotations

from typing import Final

from fvm_hypervisor.soltest.cheatcodes.table import overloads, selector

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
