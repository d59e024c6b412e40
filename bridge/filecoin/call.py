"""Calls by method number between contracts and native actors: call_actor precompiles and handle_filecoin_method.

From Solidity: a contract delegate-calls a precompile with an ABI-encoded head of six words, and gets (exit, codec,
bytes) back. To Solidity: a call of method 1024 or higher reaches the contract as a call of
`handle_filecoin_method(uint64 method, uint64 codec, bytes params)`, which returns (uint32 exit, uint64 codec, bytes
data). Source: FIP-0054 and FIP-0076, as implemented by the official EVM actor: offsets are 32-bit, reads past the end
yield zeros, and numbers wider than their field are rejected.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel.blocks import MAX_BLOCK_SIZE
from store.cid import CBOR

HANDLE_FILECOIN_METHOD: Final = bytes.fromhex("868e10c4")
"""Selector of handle_filecoin_method(uint64,uint64,bytes)."""

NO_CODEC: Final = 0
READ_ONLY_FLAG: Final = 1
FIRST_CALLABLE_METHOD: Final = 1024
"""Methods 1 to 1023 are internal to actors: contracts may call 0 (a transfer) and from here up."""

_WORD = 32
_U32, _U64 = (1 << 32) - 1, (1 << 64) - 1


class AbiError(ValueError):
    """Raised for ABI-encoded input with a number that exceeds its field."""


class BlockTooLarge(ValueError):
    """Raised for content larger than a block; `length` is the requested length, including padding."""

    def __init__(self, length: int) -> None:
        super().__init__(f"{length} bytes exceed the maximum block size of {MAX_BLOCK_SIZE}")
        self.length = length


LengthCheck = Callable[[int], None]
"""Callback with the length of each content before it is read, which charges for it or raises.

Content larger than a block is read only up to the first excess byte.
"""


def within_block(length: int) -> None:
    """Raise BlockTooLarge for content larger than a block."""
    if length > MAX_BLOCK_SIZE:
        raise BlockTooLarge(length)


@dataclass(frozen=True, slots=True)
class ActorCall:
    """The input of call_actor: `target` is address bytes or an actor ID, depending on the precompile."""

    method: int
    value: int
    read_only: bool
    codec: int
    params: bytes
    target: bytes | int


def decode_call(data: bytes, by_id: bool, check_length: LengthCheck = within_block) -> ActorCall:
    """Decode the input of call_actor_id (`by_id`) or call_actor. Raises AbiError if the precompile must fail."""
    method, value = _number(data, 0, _U64), _number(data, 1, None)
    flags, codec = _number(data, 2, _U64), _number(data, 3, _U64)
    params_offset = _number(data, 4, _U32)
    last = _number(data, 5, _U64 if by_id else _U32)
    if flags & ~READ_ONLY_FLAG:
        raise AbiError(f"unknown send flags 0x{flags:x}: only bit 0 (read-only) is defined")
    params = _dynamic(data, params_offset, check_length)
    target = last if by_id else _dynamic(data, last, check_length)
    if method != 0 and method < FIRST_CALLABLE_METHOD:
        raise AbiError(
            f"method {method} cannot be called: contracts may call method 0 and methods from {FIRST_CALLABLE_METHOD}"
        )
    if codec != CBOR and (codec != NO_CODEC or params):
        raise AbiError(
            f"{len(params)} bytes of parameters with codec 0x{codec:x}: expected codec 0x{CBOR:x} (CBOR), or codec 0 "
            "and no bytes"
        )
    return ActorCall(method, value, bool(flags & READ_ONLY_FLAG), codec, params, target)


def encode_call_return(exit_code: int, codec: int, data: bytes) -> bytes:
    """Encode a precompile's output: (int256 exit, uint64 codec, bytes data); a negative exit is a failed send."""
    return _encode_words(exit_code % (1 << 256), codec, 3 * _WORD) + _bytes_tail(data)


def failed_send_exit(error: ErrorNumber) -> int:
    """Return the exit word of a send that failed before any actor ran."""
    return -int(error)


def encode_method_calldata(method: int, codec: int, params: bytes) -> bytes:
    """Encode the calldata of handle_filecoin_method for a native call."""
    return HANDLE_FILECOIN_METHOD + _encode_words(method, codec, 3 * _WORD) + _bytes_tail(params)


def decode_method_return(data: bytes, check_length: LengthCheck = within_block) -> tuple[int, bytes | None]:
    """Decode the return data of handle_filecoin_method: exit code, and CBOR return data or None.

    Empty return data is exit code 0 without data. Raises AbiError if a number exceeds its field, if codec 0 comes with
    data, or if the codec is neither 0 nor CBOR.
    """
    if not data:
        return 0, None
    exit_code, codec = _number(data, 0, _U32), _number(data, 1, _U64)
    content = _dynamic(data, _number(data, 2, _U32), check_length)
    if codec == NO_CODEC:
        if content:
            raise AbiError(f"codec 0 with {len(content)} bytes of data")
        return exit_code, None
    if codec != CBOR:
        raise AbiError(f"codec 0x{codec:x} is not allowed: a contract returns CBOR or nothing")
    return exit_code, content


def _slice(data: bytes, start: int, length: int) -> bytes:
    return data[start : start + length].ljust(length, b"\0")


def _number(data: bytes, index: int, maximum: int | None) -> int:
    return _number_at(data, index * _WORD, maximum)


def _number_at(data: bytes, start: int, maximum: int | None) -> int:
    number = int.from_bytes(_slice(data, start, _WORD), "big")
    if maximum is not None and number > maximum:
        raise AbiError(f"number 0x{number:x} at byte {start} exceeds 0x{maximum:x}")
    return number


def _dynamic(data: bytes, offset: int, check_length: LengthCheck) -> bytes:
    length = _number_at(data, offset, _U32)
    check_length(length)
    return _slice(data, offset + _WORD, min(length, MAX_BLOCK_SIZE + 1))


def _encode_words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(_WORD, "big") for number in numbers)


def _bytes_tail(data: bytes) -> bytes:
    return _encode_words(len(data)) + data.ljust(-(-len(data) // _WORD) * _WORD, b"\0")
