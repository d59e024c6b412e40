"""Conversion of RPC results to the bytes that `rpc` returns: untyped values, as in JSON documents."""

from __future__ import annotations

from typing import Any

from fvm_hypervisor.soltest.cheatcodes.documents import infer_value
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.limits import check_size, check_values
from fvm_hypervisor.soltest.cheatcodes.values import encode


def rpc_bytes(response: Any) -> bytes:
    """Return bytes, hashes and addresses unchanged, other values ABI-encoded. Raises CheatcodeFailure."""
    if isinstance(response, float):
        raise CheatcodeFailure(f"failed to parse result: unsupported JSON number: {response}")
    kind, value = infer_value(response)
    if kind in ("bytes", "bytes32", "address") and response is not None:
        check_size(len(value))
        return bytes(value)
    check_values(value)
    return encode([kind], [value])
