"""What a node answers as the bytes that `rpc` gives: values without types, as those of a JSON document."""

from __future__ import annotations

from typing import Any

from fvm_hypervisor.soltest.cheatcodes.documents import guessed
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.limits import check_size, check_values
from fvm_hypervisor.soltest.cheatcodes.values import encode


def rpc_bytes(answer: Any) -> bytes:
    """Bytes, a hash or an address as they are, any other value as the ABI has it. Raises CheatcodeFailure."""
    if isinstance(answer, float):
        raise CheatcodeFailure(f"failed to parse result: unsupported JSON number: {answer}")
    kind, value = guessed(answer)
    if kind in ("bytes", "bytes32", "address") and answer is not None:
        check_size(len(value))
        return bytes(value)
    check_values(value)
    return encode([kind], [value])
