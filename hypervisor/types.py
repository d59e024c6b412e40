"""Scalar types of the machine, validation of numbers and bytes passed by callers, and integers in chain encoding.

The types have no runtime cost and distinguish units: attoFIL, gas, milligas, epochs. Composite values such as addresses
are in separate modules.

A value of the wrong type in a clock or an actor's state would break all later blocks.

An encoded big integer is empty for zero, else a sign byte (0 plus, 1 minus) and the magnitude, at most 128 bytes. The
decoder accepts leading zero bytes and a signed zero, like the network's. Source: ref-fvm shared/src/bigint. Unsigned
LEB128 numbers, in addresses and map keys, are minimally encoded, at most ten bytes.
"""

from __future__ import annotations

from typing import Any, Final, NewType

from hypervisor.errors import InvalidInput, MessageError

ATTO_PER_FIL = 10**18

ActorID = NewType("ActorID", int)
"""The ID of an actor in the state tree (f0...)."""

TokenAmount = NewType("TokenAmount", int)
TokenAmount.__doc__ = """An amount in attoFIL (10^-18 FIL): a plain `int` that type checkers distinguish.

`Hypervisor.balance` and `Network.balance` return amounts that print in FIL (`hypervisor.text.PrintedAmount`) but
are integers too.

>>> from hypervisor import TokenAmount, fil
>>> TokenAmount(1_500_000_000_000_000_000) == 3 * fil(1) // 2
True
"""

MAX_FILECOIN_BALANCE = TokenAmount((1 << 127) - 1)
"""Maximum balance in attoFIL under Filecoin's rules: its actors use signed 128-bit amounts."""

MAX_BALANCE = TokenAmount((1 << 256) - 1)
"""Maximum balance of an actor, reached under Ethereum's rules only, in which balances are 256-bit numbers."""


def fil(amount: int) -> TokenAmount:
    """Convert whole FIL to attoFIL. Raises TypeError for anything but an int.

    For 1.5 FIL, write `3 * fil(1) // 2`.

    >>> from hypervisor import fil
    >>> fil(3)
    3000000000000000000
    """
    if not isinstance(amount, int):
        raise TypeError(f"{amount!r:.40} is not a whole number of FIL: write 3 * fil(1) // 2 for 1.5 FIL")
    return TokenAmount(amount * ATTO_PER_FIL)


Gas = NewType("Gas", int)
"""Filecoin gas, the unit of messages and receipts."""

Milligas = NewType("Milligas", int)
"""1/1000 gas, the unit of charges."""

MILLIGAS_PER_GAS = 1000

ChainEpoch = NewType("ChainEpoch", int)
"""The height of a tipset."""

MethodNumber = NewType("MethodNumber", int)
"""The number of an actor's method; 0 is a bare transfer, 1 the constructor."""

BlockId = NewType("BlockId", int)
"""The handle of a block within one invocation; 0 means no block."""

NO_BLOCK = BlockId(0)
METHOD_SEND = MethodNumber(0)
METHOD_CONSTRUCTOR = MethodNumber(1)
METHOD_UPGRADE = MethodNumber(932_083)
"""Method number seen by the `upgrade` function of an actor (ref-fvm call_manager/mod.rs)."""

SYSTEM_ACTOR = ActorID(0)
INIT_ACTOR = ActorID(1)
REWARD_ACTOR = ActorID(2)
CRON_ACTOR = ActorID(3)
POWER_ACTOR = ActorID(4)
MARKET_ACTOR = ActorID(5)
VERIFIED_REGISTRY_ACTOR = ActorID(6)
DATACAP_ACTOR = ActorID(7)
EAM_ACTOR = ActorID(10)
BURNT_FUNDS_ACTOR = ActorID(99)
FIRST_DYNAMIC_ACTOR = ActorID(100)

EAM_NAMESPACE = 10
"""The f4 namespace of the Ethereum address manager, the only one whose addresses a send may create."""


_SHOWN: Final = 60
_POWERS: Final = {1 << bits: f"2^{bits}" for bits in (32, 53, 62, 63, 64, 127, 256)}


_COINS: Final = {"attoFIL": ", 1 FIL is 10**18 attoFIL", "wei": ", 1 ether is 10**18 wei"}


def whole_number(
    value: Any, what: str, minimum: int | None = 0, maximum: int | None = None, *, unit: str = "", reason: str = ""
) -> int:
    """Return `value` if it is an integer from `minimum` to `maximum` (None: no bound), else raise InvalidInput.

    Rejects text, fractions and booleans. `what` names the argument, with its article; `reason` explains the bounds.
    """
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and (minimum is None or minimum <= value)
        and (maximum is None or value <= maximum)
    ):
        return int(value)  # a plain int, since a `PrintedAmount` would be encoded as text
    hint = _COINS.get(unit, "")
    if isinstance(value, int):
        hint = f"; {reason}" if reason else ""
    raise InvalidInput(
        f"{_format(value)}{f' {unit}' if unit else ''} cannot be {what}: expected a whole number"
        f"{_bounds(minimum, maximum)}{hint}"
    )


def octets(value: Any, what: str) -> bytes:
    """Return `value` as bytes. Raises InvalidInput for text and other types; `what` has its article."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    hint = ", bytes.fromhex reads hex digits" if isinstance(value, str) else ""
    raise InvalidInput(f"{_format(value)} cannot be {what}: expected bytes{hint}")


def check_type(value: Any, kinds: type | tuple[type, ...], parameter: str, expected: str) -> None:
    """Raise TypeError if a caller's argument has none of the types `kinds`, instead of a later error deep inside."""
    if not isinstance(value, kinds):
        raise TypeError(f"{parameter} has the type {type(value).__name__}: expected {expected}")


def _bounds(minimum: int | None, maximum: int | None) -> str:
    if maximum is None:
        return "" if minimum is None else f", {minimum} or more"
    bound = f"{_POWERS[maximum + 1]} - 1" if maximum + 1 in _POWERS else str(maximum)
    return f", {bound} or less" if minimum is None else f", {minimum} to {bound}"


def _format(value: Any) -> str:
    # Python refuses to print integers of thousands of digits.
    if isinstance(value, int) and value.bit_length() > 1 << 10:
        return f"a number of {value.bit_length()} bits"
    bound = repr(value)
    return bound if len(bound) <= _SHOWN else f"{bound[:_SHOWN]}..."


MAX_BYTES = 128


def encode_bigint(number: int) -> bytes:
    """Encode a number. Raises MessageError above 128 bytes."""
    if number == 0:
        return b""
    magnitude = abs(number)
    data = (b"\x01" if number < 0 else b"\x00") + magnitude.to_bytes((magnitude.bit_length() + 7) // 8, "big")
    if len(data) > MAX_BYTES:
        raise MessageError(f"a number of {len(data)} bytes is too big: at most {MAX_BYTES}")
    return data


def decode_bigint(data: object) -> int:
    """Decode a number. Raises MessageError if the data is not a valid encoding."""
    if not isinstance(data, bytes) or len(data) > MAX_BYTES:
        raise MessageError(f"{data!r:.60} is not a big integer: expected at most {MAX_BYTES} bytes")
    if not data:
        return 0
    if data[0] > 1:
        raise MessageError(f"0x{data.hex()} is not a big integer: the sign byte is neither 0 nor 1")
    magnitude = int.from_bytes(data[1:], "big")
    return -magnitude if data[0] else magnitude


_MASK = (1 << 64) - 1
MAX_ULEB128_BYTES = 10
"""Maximum length of an encoded number in bytes. Bits of the tenth byte beyond the 64th are dropped."""


def encode_uleb128(number: int) -> bytes:
    """Return the shortest encoding of a non-negative number."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def decode_uleb128(data: bytes, offset: int = 0) -> tuple[int, int]:
    """Decode a number, and return it and the offset after it.

    Raises ValueError if it is truncated, longer than ten bytes, or not minimally encoded. Bits beyond the 64th are
    dropped, as in the network's decoder (crate unsigned-varint).
    """
    number = shift = 0
    for position in range(offset, min(offset + MAX_ULEB128_BYTES, len(data))):
        byte = data[position]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and position > offset:
                raise ValueError("number is not minimally encoded")
            return number & _MASK, position + 1
        shift += 7
    raise ValueError("number is truncated or longer than ten bytes")
