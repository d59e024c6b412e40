"""Solidity interfaces: calls encoded and answers decoded by a contract's ABI JSON.

`eth-abi` does the words; this adds names, selectors and the reading of reverts and logs. Rules: the Solidity ABI
specification.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from eth_hash.auto import keccak

from bridge.events import Log

_ERROR = keccak(b"Error(string)")[:4]
_PANIC = keccak(b"Panic(uint256)")[:4]
_SELECTOR = 4


class AbiMismatch(ValueError):
    """A name, argument or answer that does not fit the interface."""


@dataclass(frozen=True, slots=True)
class DecodedLog:
    """A log by its event's name, with the arguments by theirs."""

    event: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DecodedCall:
    """A call by its function's name, with the arguments by theirs (by their place where they have none)."""

    function: str
    arguments: Mapping[str, Any]


class ContractInterface:
    """A contract's functions, events and errors, from the ABI JSON that solc writes."""

    def __init__(self, abi: Sequence[Mapping[str, Any]]) -> None:
        self.abi = tuple(abi)

    def encode_call(self, name: str, *arguments: Any) -> bytes:
        """Calldata of a call by the function's name. Raises AbiMismatch."""
        function = self._function(name, len(arguments))
        return _selector(function) + _encode(function["inputs"], arguments, name)

    def encode_constructor(self, bytecode: bytes, *arguments: Any) -> bytes:
        """Init code: the bytecode with the constructor's arguments behind it. Raises AbiMismatch."""
        entries = [entry for entry in self.abi if entry["type"] == "constructor"]
        inputs = entries[0]["inputs"] if entries else []
        return bytecode + _encode(inputs, arguments, "constructor")

    def decode_result(self, name: str, data: bytes) -> Any:
        """What a function returned: one value bare, several as a tuple, none as None. Raises AbiMismatch."""
        function = self._function(name, None)
        values = _decode(function["outputs"], data, name)
        return values[0] if len(values) == 1 else values or None

    def decode_log(self, log: Log) -> DecodedLog | None:
        """A log by the interface's events, None if it is none of them. Indexed dynamic arguments stay hashes."""
        event = self._events.get(log.topics[0]) if log.topics else None
        if event is None:
            return None
        indexed = [entry for entry in event["inputs"] if entry["indexed"]]
        plain = [entry for entry in event["inputs"] if not entry["indexed"]]
        values = dict(zip((entry["name"] for entry in plain), _decode(plain, log.data, event["name"]), strict=True))
        for entry, topic in zip(indexed, log.topics[1:], strict=True):
            hashed = entry["type"] in ("string", "bytes") or entry["type"].endswith("]") or entry["type"] == "tuple"
            values[entry["name"]] = topic if hashed else _decode([entry], topic, event["name"])[0]
        return DecodedLog(event["name"], {entry["name"]: values[entry["name"]] for entry in event["inputs"]})

    def decode_revert(self, data: bytes) -> str:
        """Revert data in words: `Error(...)`'s text, a panic's code, a custom error with its arguments, or hex."""
        selector, body = data[:_SELECTOR], data[_SELECTOR:]
        if selector == _ERROR:
            return str(_decode([{"type": "string"}], body, "Error")[0])
        if selector == _PANIC:
            return f"panic 0x{_decode([{'type': 'uint256'}], body, 'Panic')[0]:02x}"
        error = self._errors.get(selector)
        if error is None:
            return f"0x{data.hex()}"
        arguments = ", ".join(repr(value) for value in _decode(error["inputs"], body, error["name"]))
        return f"{error['name']}({arguments})"

    def decode_call(self, calldata: bytes) -> DecodedCall | None:
        """A call by the function that calldata selects, None if the contract has none. Raises AbiMismatch."""
        function = self._functions.get(calldata[:_SELECTOR])
        if function is None:
            return None
        values = _decode(function["inputs"], calldata[_SELECTOR:], function["name"])
        names = (item["name"] or str(place) for place, item in enumerate(function["inputs"]))
        return DecodedCall(str(function["name"]), dict(zip(names, values, strict=True)))

    def function_name(self, calldata: bytes) -> str | None:
        """The name of the function that calldata selects, None if the contract has none of that selector."""
        entry = self._functions.get(calldata[:_SELECTOR])
        return None if entry is None else str(entry["name"])

    def _function(self, name: str, arguments: int | None) -> Mapping[str, Any]:
        named = [entry for entry in self.abi if entry["type"] == "function" and entry["name"] == name]
        fitting = [entry for entry in named if arguments is None or len(entry["inputs"]) == arguments]
        if len(fitting) != 1:
            known = ", ".join(sorted({entry["name"] for entry in self.abi if entry["type"] == "function"}))
            raise AbiMismatch(f"no single function '{name}' takes {arguments} arguments; the contract has: {known}")
        return fitting[0]

    @cached_property
    def _functions(self) -> dict[bytes, Mapping[str, Any]]:
        return {_selector(entry): entry for entry in self.abi if entry["type"] == "function"}

    @cached_property
    def _events(self) -> dict[bytes, Mapping[str, Any]]:
        return {keccak(_signature(entry)): entry for entry in self.abi if entry["type"] == "event"}

    @cached_property
    def _errors(self) -> dict[bytes, Mapping[str, Any]]:
        return {_selector(entry): entry for entry in self.abi if entry["type"] == "error"}


def _signature(entry: Mapping[str, Any]) -> bytes:
    return f"{entry['name']}({','.join(_type(item) for item in entry['inputs'])})".encode()


def _selector(entry: Mapping[str, Any]) -> bytes:
    return bytes(keccak(_signature(entry))[:_SELECTOR])


def _type(item: Mapping[str, Any]) -> str:
    kind: str = item["type"]
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(_type(part) for part in item['components'])}){kind.removeprefix('tuple')}"


def _encode(items: Sequence[Mapping[str, Any]], values: Sequence[Any], what: str) -> bytes:
    from eth_abi.abi import encode
    from eth_abi.exceptions import EncodingError

    try:
        return bytes(encode([_type(item) for item in items], list(values)))
    except (EncodingError, TypeError, ValueError) as error:
        raise AbiMismatch(f"{what}: {error}") from None


def _decode(items: Sequence[Mapping[str, Any]], data: bytes, what: str) -> tuple[Any, ...]:
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    try:
        return tuple(decode([_type(item) for item in items], data))
    except (DecodingError, OverflowError) as error:
        raise AbiMismatch(f"{what}: {error}") from None
