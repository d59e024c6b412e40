"""Contract interfaces by ABI JSON: encoding of calls, and size-limited decoding of results, logs and reverts.

`eth-abi` encodes values; this adds names, selectors, reverts and logs. Source: the Solidity ABI specification.

Offsets may point anywhere, so values may share bytes. For example, ten lists that each contain the same ten lists,
eight levels deep, encode a hundred million numbers in 2 KB. Compilers do not produce such data. Only the size is
checked first; the decoder checks that values are well-formed. An address prints with its checksum.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bridge.ethereum.addresses import ETH_ADDRESS_LENGTH, checksummed, eth_address
from bridge.ethereum.reverts import error_text, revert_reason
from bridge.filecoin.receipts import Log
from hypervisor.text import printable
from store.keccak import keccak

if TYPE_CHECKING:
    from bridge.ethereum.addresses import EthAddress as _Bytes
else:
    _Bytes = bytes  # the runtime type, since a class cannot inherit from a NewType


class PrintedAddress(_Bytes):  # type: ignore[misc]  # the base is a NewType for the type checker
    """The 20 bytes of an Ethereum address, printed with a checksum (EIP-55).

    >>> PrintedAddress(bytes.fromhex("f39fd6e51aad88f6f4ce6ab8827279cfffb92266"))
    0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
    """

    __slots__ = ()

    def __str__(self) -> str:
        return checksummed(self) if len(self) == ETH_ADDRESS_LENGTH else f"0x{self.hex()}"

    __repr__ = __str__


MAX_UNFOLD_RATIO: Final = 4
"""Maximum ratio of the decoded size to the size of the data; small overlaps are harmless."""

_WORD: Final = 32


class _Shape(NamedTuple):
    """Layout of a type's encoding; `head` is its size in bytes in the enclosing head.

    `parts` are the types of a tuple, or the item type of a list; `length` is that of a fixed-size list, else None.
    """

    head: int
    dynamic: bool
    parts: tuple[_Shape, ...] = ()
    is_list: bool = False
    length: int | None = None


def check_unfolding(items: Sequence[Mapping[str, Any]], data: bytes) -> None:
    """Raise ValueError if ABI items exceed their data, or are much larger than it when decoded."""
    walk = _Walk(data, MAX_UNFOLD_RATIO * len(data))
    walk.parts([_shape(item["type"], item) for item in items], 0)


def _shape(kind: str, item: Mapping[str, Any]) -> _Shape:
    if kind.endswith("]"):
        inner, _, digits = kind[:-1].rpartition("[")
        return _list(_shape(inner, item), int(digits) if digits else None)
    if kind == "tuple":
        parts = tuple(_shape(part["type"], part) for part in item["components"])
        dynamic = any(part.dynamic for part in parts)
        return _Shape(_WORD if dynamic else sum(part.head for part in parts), dynamic, parts)
    return _Shape(_WORD, kind in ("bytes", "string"))


def _list(item: _Shape, length: int | None) -> _Shape:
    dynamic = length is None or item.dynamic
    return _Shape(_WORD if dynamic else item.head * (length or 0), dynamic, (item,), True, length)


class _Walk:
    """Counts the bytes that a decoder would read, up to the limit."""

    def __init__(self, data: bytes, limit: int) -> None:
        self._data = data
        self._remaining = limit

    def parts(self, shapes: Sequence[_Shape], start: int) -> None:
        """Count values with consecutive heads; offsets are relative to the first one."""
        at = start
        for shape in shapes:
            self._value(shape, at, start)
            at += shape.head

    def _value(self, shape: _Shape, at: int, base: int) -> None:
        if not shape.dynamic:
            self._take(at, shape.head)
            return
        start = base + self._number(at)
        if shape.is_list:
            self._list(shape, start)
        elif shape.parts:
            self.parts(shape.parts, start)
        else:
            self._take(start + _WORD, self._number(start))

    def _list(self, shape: _Shape, start: int) -> None:
        (item,) = shape.parts
        length, first = (shape.length, start) if shape.length is not None else (self._number(start), start + _WORD)
        if not item.dynamic:
            self._take(first, length * item.head)
            return
        if first + length * _WORD > len(self._data):
            raise ValueError("the list has more items than the data can hold")
        for index in range(length):
            self._value(item, first + index * _WORD, first)

    def _number(self, at: int) -> int:
        self._take(at, _WORD)
        return int.from_bytes(self._data[at : at + _WORD], "big")

    def _take(self, at: int, count: int) -> None:
        if at + count > len(self._data):
            raise ValueError(f"{count} bytes at offset {at} exceed the {len(self._data)} bytes of data")
        self._remaining -= count
        if self._remaining < 0:
            raise ValueError(f"overlapping values: the decoded size exceeds {MAX_UNFOLD_RATIO} times the data")


_SELECTOR = 4
_MAX_NAMED = 20
"""Maximum number of functions listed in an error."""


class AbiMismatch(ValueError):
    """Raised for a name, argument or result that does not match the interface."""


class DecodedLog(NamedTuple):
    """A log as an event name with arguments by name (by position if they have none)."""

    event: str
    arguments: Mapping[str, Any]


class DecodedCall(NamedTuple):
    """A call as a function name with arguments by name (by position if they have none)."""

    function: str
    arguments: Mapping[str, Any]


class ContractInterface:
    """A contract's functions, events and errors, from solc's ABI JSON.

    A function is given by its name or, if it is overloaded, by its signature: `safeMint(address,uint256)`.
    """

    def __init__(self, abi: Sequence[Mapping[str, Any]]) -> None:
        self.abi = tuple(abi)

    def encode_call(self, name: str, *arguments: Any) -> bytes:
        """Return the calldata of a call; overloads are selected by argument count. Raises AbiMismatch."""
        function = self.function(name, len(arguments))
        return selector_of(function) + _encode(function["inputs"], arguments, name)

    def encode_constructor(self, bytecode: bytes, *arguments: Any) -> bytes:
        """Return init code: the bytecode followed by the constructor's arguments. Raises AbiMismatch."""
        entries = [entry for entry in self.abi if entry["type"] == "constructor"]
        inputs = entries[0]["inputs"] if entries else []
        return bytecode + _encode(inputs, arguments, "constructor")

    def decode_result(self, name: str, data: bytes) -> Any:
        """Decode a return value: bare for one value, a tuple for several, None for none. Raises AbiMismatch."""
        values = self.read_result(self.function(name), data)
        return values[0] if len(values) == 1 else values or None

    def read_result(self, function: Mapping[str, Any], data: bytes) -> tuple[Any, ...]:
        """Decode return data by a function's ABI entry. Raises AbiMismatch."""
        return decode_values(function["outputs"], data, function["name"])

    def decode_call_result(self, calldata: bytes, data: bytes) -> Any:
        """Decode the return data of the function that calldata selects, like `decode_result`.

        Returns the data unchanged if only the function's name and parameters are known. Raises AbiMismatch.
        """
        function = self._functions.get(calldata[:_SELECTOR])
        if function is None:
            raise AbiMismatch(f"no function has the selector 0x{calldata[:_SELECTOR].hex()}")
        if "outputs" not in function:
            return data
        return self.decode_result(signature(function), data)

    def decode_log(self, log: Log) -> DecodedLog | None:
        """Decode a log, or return None if no event matches. Indexed dynamic arguments stay hashes."""
        found = self.read_log(log)
        if found is None:
            return None
        event, values = found
        return DecodedLog(str(event["name"]), dict(zip(_names(event), values, strict=True)))

    def read_log(self, log: Log) -> tuple[Mapping[str, Any], list[Any]] | None:
        """Return the ABI entry of a log's event and the arguments' values, or None if no event matches."""
        event = self._events.get((log.topics[0], len(log.topics) - 1)) if log.topics else None
        if event is None:
            return None
        plain = [entry for entry in event["inputs"] if not entry["indexed"]]
        topics = iter(log.topics[1:])
        try:
            data = iter(decode_values(plain, log.data, event["name"]))
            values = [_topic(entry, next(topics)) if entry["indexed"] else next(data) for entry in event["inputs"]]
        except AbiMismatch:
            return None
        return event, values

    def decode_revert(self, data: bytes) -> str:
        """Format revert data: the text of an `Error`, a custom error with arguments, else `revert_reason`."""
        text = error_text(data)
        found = None if text is not None else self.read_error(data)
        if found is None:
            return revert_reason(data) if text is None else text
        error, arguments = found
        return f"{error['name']}({format_values(error['inputs'], arguments)})"

    def read_error(self, data: bytes) -> tuple[Mapping[str, Any], tuple[Any, ...]] | None:
        """Return the ABI entry of a custom error and its arguments' values, or None if none matches."""
        error = self._errors.get(data[:_SELECTOR])
        try:
            return None if error is None else (error, decode_values(error["inputs"], data[_SELECTOR:], error["name"]))
        except AbiMismatch:
            return None

    def decode_call(self, calldata: bytes) -> DecodedCall | None:
        """Decode calldata, or return None if the contract has no such function. Raises AbiMismatch."""
        found = self.read_call(calldata)
        if found is None:
            return None
        function, values = found
        return DecodedCall(str(function["name"]), dict(zip(_names(function), values, strict=True)))

    def read_call(self, calldata: bytes) -> tuple[Mapping[str, Any], tuple[Any, ...]] | None:
        """Return the ABI entry of the function that calldata selects and the arguments' values, or None.

        Raises AbiMismatch.
        """
        function = self._functions.get(calldata[:_SELECTOR])
        return (
            None
            if function is None
            else (function, decode_values(function["inputs"], calldata[_SELECTOR:], function["name"]))
        )

    def function_name(self, calldata: bytes) -> str | None:
        entry = self._functions.get(calldata[:_SELECTOR])
        return None if entry is None else str(entry["name"])

    def function(self, name: str, arguments: int | None = None) -> Mapping[str, Any]:
        """Return a function's ABI entry by name or signature, and argument count if overloaded. Raises AbiMismatch."""
        functions = self._signatures
        named = {form: entry for form, entry in functions.items() if name in (entry["name"], form)}
        fitting = [entry for entry in named.values() if arguments is None or len(entry["inputs"]) == arguments]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise AbiMismatch(f"'{name}' is overloaded: use one of {', '.join(sorted(named))}")
        wanted = f"'{name}'" if arguments is None or not named else f"'{name}' takes {arguments} arguments"
        known = ", ".join(sorted(named or functions)[:_MAX_NAMED]) or "no function"
        raise AbiMismatch(f"no function {wanted}; the contract has {known}")

    def selectors(self, name: str) -> list[bytes]:
        """Return the selectors of the functions with a name or signature, ignoring case."""
        wanted = name.casefold()
        return [
            selector
            for selector, entry in self._functions.items()
            if wanted in (str(entry["name"]).casefold(), signature(entry).casefold())
        ]

    def topics(self, name: str) -> list[bytes]:
        """Return the first topics of the events with a name or signature, ignoring case."""
        wanted = name.casefold()
        return [
            topic
            for (topic, _), entry in self._events.items()
            if wanted in (str(entry["name"]).casefold(), signature(entry).casefold())
        ]

    @cached_property
    def _signatures(self) -> dict[str, Mapping[str, Any]]:
        return {signature(entry): entry for entry in self.abi if entry["type"] == "function"}

    @cached_property
    def _functions(self) -> dict[bytes, Mapping[str, Any]]:
        return {selector_of(entry): entry for entry in self._signatures.values()}

    @cached_property
    def _events(self) -> dict[tuple[bytes, int], Mapping[str, Any]]:
        """Events by signature hash and number of indexed arguments; some tokens differ in the latter only."""
        return {
            (bytes(keccak(signature(entry).encode())), sum(item["indexed"] for item in entry["inputs"])): entry
            for entry in self.abi
            if entry["type"] == "event" and not entry.get("anonymous")
        }

    @cached_property
    def _errors(self) -> dict[bytes, Mapping[str, Any]]:
        return {selector_of(entry): entry for entry in self.abi if entry["type"] == "error"}


def format_values(items: Sequence[Mapping[str, Any]], values: Sequence[Any]) -> str:
    """Format values by the types of ABI items like cast, without the exponent after large numbers."""
    return ", ".join(_value_text(_type(item), value, item) for item, value in zip(items, values, strict=True))


def _value_text(kind: str, value: Any, item: Mapping[str, Any]) -> str:
    match value:
        case list() | tuple() if kind.endswith("]"):
            return f"[{', '.join(_value_text(kind[: kind.rindex('[')], part, item) for part in value)}]"
        case tuple():
            return f"({format_values(item['components'], value)})"
        case bool():
            return str(value).lower()
        case str() if kind == "address":
            return checksummed(eth_address(bytes.fromhex(value[2:])))
        case bytes():
            return f"0x{value.hex()}"
        case str():
            return printable(json.dumps(value, ensure_ascii=False))
    return str(value)


def signature(entry: Mapping[str, Any]) -> str:
    """Return the canonical signature of an ABI entry, which selectors and topics are hashes of."""
    return f"{entry['name']}({','.join(_type(item) for item in entry['inputs'])})"


def _names(entry: Mapping[str, Any]) -> list[str]:
    """Return the arguments' names, or their positions if they have none."""
    return [item["name"] or str(index) for index, item in enumerate(entry["inputs"])]


def selector_of(entry: Mapping[str, Any]) -> bytes:
    """Return the selector of an ABI's function or error."""
    return bytes(keccak(signature(entry).encode())[:_SELECTOR])


def _type(item: Mapping[str, Any]) -> str:
    kind: str = item["type"]
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(_type(part) for part in item['components'])}){kind.removeprefix('tuple')}"


def _encode(items: Sequence[Mapping[str, Any]], values: Sequence[Any], what: str) -> bytes:
    from eth_abi.abi import encode
    from eth_abi.exceptions import EncodingError, ParseError

    try:
        return bytes(encode([_type(item) for item in items], list(values)))
    except (EncodingError, ParseError, TypeError, ValueError) as error:
        raise AbiMismatch(_mismatch_text(items, values, what) or f"{what}: {error}") from None


def _mismatch_text(items: Sequence[Mapping[str, Any]], values: Sequence[Any], what: str) -> str:
    """Describe the first value that does not have its type; empty if each value is valid by itself."""
    from eth_abi.abi import is_encodable
    from eth_abi.exceptions import ParseError

    if len(items) != len(values):
        kinds = ", ".join(_type(item) for item in items) or "none"
        return f"the {what} takes {len(items)} arguments ({kinds}), not {len(values)}"
    for item, value in zip(items, values, strict=True):
        try:
            if not is_encodable(_type(item), value):
                return f"{value!r:.80} is not a valid {_type(item)}"
        except (ParseError, ValueError):
            return ""  # unknown type
    return ""


def decode_values(
    items: Sequence[Mapping[str, Any]], data: bytes, what: str, *, strict: bool = True
) -> tuple[Any, ...]:
    """Decode data by the types of ABI items; `what` names the data in errors.

    Without `strict` the padding of short values is not checked. Raises AbiMismatch.
    """
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError, ParseError

    try:
        check_unfolding(items, data)
        return tuple(decode([_type(item) for item in items], data, strict=strict))
    except (DecodingError, ParseError, OverflowError, ValueError) as error:  # ValueError: invalid UTF-8
        raise AbiMismatch(f"{what}: {error}") from None


def _topic(entry: Mapping[str, Any], topic: bytes) -> Any:
    """Decode an indexed argument: its value, or the hash of a dynamic one."""
    kind = entry["type"]
    if kind in ("string", "bytes", "tuple") or kind.endswith("]"):
        return topic
    return decode_values([entry], topic, entry["name"])[0]


def join_parts(head: int, parts: Sequence[tuple[bool, bytes]]) -> bytes:
    """Join heads and tails: the head of a dynamic part is the offset of its tail."""
    heads: list[bytes] = []
    tails: list[bytes] = []
    for is_dynamic, part in parts:
        if is_dynamic:
            heads.append(head.to_bytes(_WORD, "big"))
            tails.append(part)
            head += len(part)
        else:
            heads.append(part)
    return b"".join(heads + tails)
