"""Parameters of actors implemented in Python (outbox, rent): charged and limited before they are decoded.

Parameters are a list of unsigned integers and byte strings in canonical CBOR, or calldata. Nested values and chunked
strings are rejected: decoding them would take about a hundred times as long per byte as the network's prices pay for.
"""

from __future__ import annotations

from typing import Final

from bridge.cbor import ParamsError
from bridge.params import calldata_of
from hypervisor.blocks import Block
from hypervisor.errors import ActorExit
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import to_milligas
from hypervisor.kernel import Kernel
from hypervisor.types import BlockId
from store.cid import RAW
from store.codec import CodecError, array_head, encode

GAS_PER_BYTE: Final = 10
"""For reading a byte of parameters, once or twice."""
AROUND: Final = 512
"""Maximum overhead in bytes: CBOR heads, selector, ABI words and padding, an address and numbers."""
_UNSIGNED, _BYTES = 0, 2
_CHUNKS: Final = b"\x5f"


def paid_params(kernel: Kernel, charge: str, gas: int, params: BlockId) -> Block | None:
    """Charge `gas` and `GAS_PER_BYTE` for an invocation and return its parameters. Raises OutOfGas."""
    block = kernel.ipld.find(params)
    size = 0 if block is None else len(block.data)
    kernel.gas.charge(charge, to_milligas(gas + GAS_PER_BYTE * size))
    return block


def refuse_longer(params: Block | None, limit: int, what: str) -> None:
    """Raise ActorExit (16) for parameters of more than `limit` bytes."""
    size = 0 if params is None else len(params.data)
    if size > limit:
        text = f"{what} with parameters of {size} bytes: at most {limit}"
        raise ActorExit(ExitCode.USR_ILLEGAL_ARGUMENT, message=text)


def plain_calldata(params: Block | None) -> bytes:
    """Return the calldata in an InvokeEVM parameter block. Raises ParamsError."""
    if params is None:
        return b""
    if params.codec != RAW and params.data[:1] == _CHUNKS:
        raise ParamsError("chunked byte strings are not supported: pass a definite-length byte string")
    return calldata_of(params.codec, params.data)


def plain_fields(params: Block | None, count: int) -> list[int | bytes]:
    """Decode a canonical list of `count` unsigned integers and byte strings. Raises CodecError."""
    data = b"" if params is None else params.data
    head = array_head(count)
    if not data.startswith(head):
        raise CodecError(f"expected a list of {count}")
    fields: list[int | bytes] = []
    at = len(head)
    for index in range(1, count + 1):
        first = data[at] if at < len(data) else 0xFF
        kind, number = first >> 5, first & 0x1F
        if kind not in (_UNSIGNED, _BYTES) or number > 27:
            found = f"begins with 0x{first:02x}" if at < len(data) else "is not there"
            raise CodecError(f"field {index} {found}: expected an unsigned integer or a byte string")
        at += 1
        if number >= 24:
            width = 1 << number - 24
            number = int.from_bytes(data[at : at + width], "big")
            at += width
        if kind == _UNSIGNED:
            fields.append(number)
        else:
            fields.append(data[at : at + number])
            at += number
    if at != len(data) or encode(fields) != data:
        raise CodecError("the fields are not in the one form that they have, or bytes are missing or left over")
    return fields
