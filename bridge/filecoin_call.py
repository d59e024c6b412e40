"""Calls across the border that carry a method number: the call_actor precompiles and handle_filecoin_method.

Solidity to native: a contract delegate-calls a precompile with an ABI-encoded head of six words, and gets (exit,
codec, bytes) back. Native to Solidity: any method number of 1024 or more reaches the contract as a call of
`handle_filecoin_method(uint64 method, uint64 codec, bytes params)`, which answers (uint32 exit, uint64 codec,
bytes data). Rules: FIP-0054, FIP-0076 in the shape that the official EVM actor gives them: offsets are 32-bit, reads
after the end yield zeros, numbers wider than their field are refused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hypervisor.blocks import MAX_BLOCK_SIZE
from hypervisor.exit_codes import ErrorNumber
from store.cid import CBOR

HANDLE_FILECOIN_METHOD: Final = bytes.fromhex("868e10c4")
"""Selector of handle_filecoin_method(uint64,uint64,bytes)."""

NO_CODEC: Final = 0
READ_ONLY_FLAG: Final = 1
FIRST_CALLABLE_METHOD: Final = 1024
"""Methods 1 to 1023 are an actor's private ones: contracts may call 0 (a transfer) and from here up."""

_WORD = 32
_U32, _U64 = (1 << 32) - 1, (1 << 64) - 1


class AbiError(ValueError):
    """ABI-encoded input in which a number does not fit its field."""


class BlockTooLarge(ValueError):
    """Content of more bytes than a block may have; `length` is what was asked for, zeros after the input included."""

    def __init__(self, length: int) -> None:
        super().__init__(f"{length} bytes, at most {MAX_BLOCK_SIZE}")
        self.length = length


Hold = Callable[[int], None]
"""Gets the length of each content before it is read: pays for it, or raises. What no block may have is read no further
than to the first byte too many."""


def within_block(length: int) -> None:
    """Refuse content that no block could hold."""
    if length > MAX_BLOCK_SIZE:
        raise BlockTooLarge(length)


@dataclass(frozen=True, slots=True)
class ActorCall:
    """What a contract asks of call_actor: `target` is address bytes or an actor's number, by the precompile used."""

    method: int
    value: int
    read_only: bool
    codec: int
    params: bytes
    target: bytes | int


def decode_call(data: bytes, by_id: bool, hold: Hold = within_block) -> ActorCall:
    """Read the input of call_actor_id (`by_id`) or call_actor. AbiError where the precompile must fail."""
    method, value = _number(data, 0, _U64), _number(data, 1, None)
    flags, codec = _number(data, 2, _U64), _number(data, 3, _U64)
    params_offset = _number(data, 4, _U32)
    last = _number(data, 5, _U64 if by_id else _U32)
    if flags & ~READ_ONLY_FLAG:
        raise AbiError(f"send flags 0x{flags:x}: only bit 0 (read-only) exists")
    params = _dynamic(data, params_offset, hold)
    target = last if by_id else _dynamic(data, last, hold)
    if method != 0 and method < FIRST_CALLABLE_METHOD:
        raise AbiError(f"method {method}: contracts may call 0 and from {FIRST_CALLABLE_METHOD} up")
    if codec != CBOR and (codec != NO_CODEC or params):
        raise AbiError(
            f"{len(params)} bytes of parameters with codec 0x{codec:x}: expected codec 0x{CBOR:x} (CBOR), or codec 0 "
            "and no bytes"
        )
    return ActorCall(method, value, bool(flags & READ_ONLY_FLAG), codec, params, target)


def encode_call_return(exit_code: int, codec: int, data: bytes) -> bytes:
    """The precompile's output: (int256 exit, uint64 codec, bytes data); a negative exit is a refused send."""
    return _words(exit_code % (1 << 256), codec, 3 * _WORD) + _bytes_tail(data)


def refused_exit(error: ErrorNumber) -> int:
    """The exit word of a send that the machine refused before any actor ran."""
    return -int(error)


def encode_method_calldata(method: int, codec: int, params: bytes) -> bytes:
    """Calldata that hands a native call to a contract's handle_filecoin_method."""
    return HANDLE_FILECOIN_METHOD + _words(method, codec, 3 * _WORD) + _bytes_tail(params)


def decode_method_return(data: bytes, hold: Hold = within_block) -> tuple[int, bytes | None]:
    """(exit code, CBOR return data or None) from what handle_filecoin_method answered.

    An empty answer is exit 0 without data. AbiError where a number does not fit, where codec 0 comes with data, or
    where the codec is neither 0 nor CBOR.
    """
    if not data:
        return 0, None
    exit_code, codec = _number(data, 0, _U32), _number(data, 1, _U64)
    content = _dynamic(data, _number(data, 2, _U32), hold)
    if codec == NO_CODEC:
        if content:
            raise AbiError(f"codec 0 with {len(content)} bytes of data")
        return exit_code, None
    if codec != CBOR:
        raise AbiError(f"codec 0x{codec:x}: a contract answers with CBOR or nothing")
    return exit_code, content


def _slice(data: bytes, start: int, length: int) -> bytes:
    """Bytes of `data`, extended with zeros as far as asked."""
    return data[start : start + length].ljust(length, b"\0")


def _number(data: bytes, index: int, maximum: int | None) -> int:
    return _number_at(data, index * _WORD, maximum)


def _number_at(data: bytes, start: int, maximum: int | None) -> int:
    number = int.from_bytes(_slice(data, start, _WORD), "big")
    if maximum is not None and number > maximum:
        raise AbiError(f"number 0x{number:x} at byte {start} is above 0x{maximum:x}")
    return number


def _dynamic(data: bytes, offset: int, hold: Hold) -> bytes:
    length = _number_at(data, offset, _U32)
    hold(length)
    return _slice(data, offset + _WORD, min(length, MAX_BLOCK_SIZE + 1))


def _words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(_WORD, "big") for number in numbers)


def _bytes_tail(data: bytes) -> bytes:
    return _words(len(data)) + data.ljust(-(-len(data) // _WORD) * _WORD, b"\0")
