"""Manual call trees in the form of `localnet.traces.trace`."""

from typing import Any


def plain_call(**changes: Any) -> dict[str, Any]:
    """Return a transfer of nothing in the native runtime."""
    return {
        "runtime": "wasm", "from": "f0100", "to": "f0101", "address": None, "actor": "account", "abi": False,
        "method": 0, "value": "0", "params": "0x", "paramsCodec": 0, "readOnly": False, "exitCode": 0, "error": "",
        "words": "", "return": "0x", "returnCodec": 0, "gas": 7, "charges": {}, "events": [], "calls": [],
    } | changes  # fmt: skip


def found(calls: list[dict[str, Any]], exit_code: int = 0, gas: int = 7) -> dict[str, Any]:
    """Return a transaction's trace."""
    return {
        "transactionHash": "0x" + "11" * 32, "blockNumber": 1, "exitCode": exit_code, "exit": str(exit_code),
        "gasUsed": gas, "words": "", "reproduced": True, "calls": calls,
    }  # fmt: skip
