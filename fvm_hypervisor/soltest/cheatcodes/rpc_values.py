"""Conversion of RPC results to the bytes that `rpc` returns: untyped values, as in JSON documents."""

from __future__ import annotations

from typing import Any

from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.limits import check_size
from fvm_hypervisor.soltest.cheatcodes.text.documents import encode_inferred, infer_text


def rpc_bytes(response: Any) -> bytes:
    """Return bytes, hashes and addresses unchanged, other values ABI-encoded. Raises CheatcodeFailure."""
    if isinstance(response, float):
        raise CheatcodeFailure(f"failed to parse result: unsupported JSON number: {response}")
    if isinstance(response, str):
        kind, value = infer_text(response)
        if kind in ("bytes", "bytes32", "address"):
            check_size(len(value))
            return bytes(value)
    return encode_inferred(response)
