"""ABI values by eth_abi: all types, and detailed errors.

`values` has faster code for common types and imports this module only for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from eth_abi.abi import encode as encode_abi
from eth_abi.codec import ABIDecoder
from eth_abi.decoding import ContextFramesBytesIO, StringDecoder
from eth_abi.exceptions import DecodingError, EncodingError
from eth_abi.grammar import ABIType, BasicType, TupleType, parse
from eth_abi.registry import BaseEquals, registry

from bridge.ethereum.addresses import EthAddress
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure, check_size


class _BoundedStream(ContextFramesBytesIO):
    """A stream of encoded values with a limit on the bytes read, since many offsets may share one text."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        rest = len(self.getbuffer()) - self.tell()
        self.taken += max(0, rest if size is None or size < 0 else min(size, rest))
        check_size(self.taken, "the content of the arguments")
        return super().read(size)


class _BoundedDecoder(ABIDecoder):
    stream_class = _BoundedStream


class _StringDecoder(StringDecoder):
    """A decoder of strings that are not UTF-8 either. A registered instance would be shared, with its strictness."""

    @classmethod
    def from_type_str(cls, _type: Any, _registry: Any) -> StringDecoder:
        return cls("replace")


_LENIENT: Any = registry.copy()  # type: ignore[no-untyped-call]
_LENIENT.unregister_decoder("string")
_STRING: Any = BaseEquals("string", with_sub=False)  # type: ignore[no-untyped-call]
_LENIENT.register_decoder(_STRING, _StringDecoder, "string")


def decode_any(types: Sequence[str], data: bytes) -> list[Any]:
    """Return the decoded values. Raises CheatcodeFailure."""
    try:
        values = _BoundedDecoder(_LENIENT).decode(types, data, strict=False)
    except (DecodingError, OverflowError) as error:
        raise CheatcodeFailure(f"the calldata does not match the cheatcode's parameters: {error}") from None
    return [_to_bytes(_parse(kind), value) for kind, value in zip(types, values, strict=True)]


def encode_any(types: Sequence[str], values: Sequence[Any]) -> bytes:
    """Return the encoded values. Raises CheatcodeFailure for a value of the wrong type."""
    try:
        return encode_abi(types, values)
    except (EncodingError, OverflowError, TypeError, ValueError) as error:
        raise CheatcodeFailure(str(error)) from None


@lru_cache(maxsize=1024)
def _parse(kind: str) -> ABIType:
    parsed: ABIType = parse(kind)
    return parsed


def _to_bytes(kind: ABIType, value: Any) -> Any:
    if kind.is_array:
        return [_to_bytes(kind.item_type, item) for item in value]
    if isinstance(kind, TupleType):
        return tuple(_to_bytes(part, item) for part, item in zip(kind.components, value, strict=True))
    if isinstance(kind, BasicType) and kind.base == "address":
        return EthAddress(bytes.fromhex(value[2:]))
    return value
