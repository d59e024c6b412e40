"""The call tree of a transaction or an epoch, requested from a node and validated.

The node may be untrusted: a malformed response raises a one-sentence error, and names with control codes are
rejected. Text of contracts and actors is passed through, because the printer escapes it. The shape is that of
`localnet.traces.trace`; unknown fields are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from fvm_hypervisor.cli.rpc_client import rpc_request
from localnet.fork.node_client import NodeError, redacted_url

_MAX_NAME_LENGTH: Final = 200
Predicate = Callable[[Any], bool]


def request_trace(url: str, transaction: str) -> dict[str, Any]:
    """Return the response of `hypervisor_trace`. Raises NodeError, also if it is not a call tree."""
    return _check_response(url, rpc_request(url, "hypervisor_trace", transaction), _TRACE)


def request_call_trace(url: str, request: dict[str, Any]) -> dict[str, Any] | None:
    """Return the response of `hypervisor_traceCall`; None if the node refuses or lacks the method.

    Raises NodeError if it is not a call tree.
    """
    try:
        response = rpc_request(url, "hypervisor_traceCall", request)
    except NodeError as error:
        if error.answered:
            return None
        raise
    return _check_response(url, response, _CALL_TRACE)


def request_hash(url: str, message: str) -> str | None:
    """Return the transaction hash of a message CID; None if the node has no such message. Raises NodeError."""
    response = rpc_request(url, "Filecoin.EthGetTransactionHashByCid", {"/": message})
    if response is not None and not isinstance(response, str):
        raise NodeError(f"{redacted_url(url)} returned an invalid transaction hash")
    return response


def request_epoch_trace(url: str, epoch: int) -> dict[str, Any]:
    """Return the response of `hypervisor_traceEpoch`. Raises NodeError, also if it is not a call tree."""
    return _check_response(url, rpc_request(url, "hypervisor_traceEpoch", epoch), _EPOCH_TRACE)


def _check_response(url: str, response: Any, fields: Mapping[str, Predicate]) -> dict[str, Any]:
    """Check the form of a response and all its calls, and return it."""
    _check(url, "the response", response, fields)
    calls = list(response["calls"])
    for call in calls:  # iterative, since calls can be 1,024 deep
        _check(url, "a call", call, _CALL)
        calls.extend(call["calls"])
        _check(url, "a call", {**_NEWER_FIELDS, **call}, _NEWER_FIELD_TYPES)
        for event in call["events"]:
            _check(url, "an event", event, _EVENT)
            for entry in event["entries"]:
                _check(url, "an event's entry", entry, _ENTRY)
    found: dict[str, Any] = response
    return found


def request_places(url: str, transaction: str) -> dict[str, Any] | None:
    """Return the response of `hypervisor_tracePlaces`; None if the node refuses or lacks the method.

    Raises NodeError if the response has another shape.
    """
    try:
        response = rpc_request(url, "hypervisor_tracePlaces", transaction)
    except NodeError as error:
        if error.answered:
            return None
        raise
    if response is None:
        return None
    _check(url, "the response", response, _PLACES)
    calls = list(response["calls"])
    for call in calls:  # iterative, since calls can be 1,024 deep
        _check(url, "a call's location", call, _PLACE)
        if call["code"] is not None and call["code"] >= len(response["codes"]):
            raise NodeError(f"{redacted_url(url)} returned invalid locations of calls: code {call['code']} is missing")
        calls.extend(call["calls"])
    found: dict[str, Any] = response
    return found


def _check(url: str, what: str, value: Any, fields: Mapping[str, Predicate]) -> None:
    if not isinstance(value, dict):
        raise NodeError(f"{redacted_url(url)} returned an invalid call tree: {what} is {value!r:.60}")
    for name, is_valid in fields.items():
        if not is_valid(value.get(name)):
            raise NodeError(
                f"{redacted_url(url)} returned an invalid call tree: '{name}' of {what} is {value.get(name)!r:.60}"
            )


def _is_number(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value == value.encode("utf-8", "replace").decode()  # reject lone surrogates


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_NAME_LENGTH and value.isprintable()


def _is_name_or_none(value: Any) -> bool:
    return value is None or _is_name(value)


def _is_amount(value: Any) -> bool:
    return _is_name(value) and value.isascii() and value.isdigit()


def _is_hex(value: Any) -> bool:
    if not isinstance(value, str) or not value.startswith("0x"):
        return False
    try:
        bytes.fromhex(value[2:])
    except ValueError:
        return False
    return True


def _are_charges(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_number, value.values()))


def _are_hex(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_hex, value))


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_schemas(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_number, value))


def _is_number_or_none(value: Any) -> bool:
    return value is None or _is_number(value)


_PLACES: Final[Mapping[str, Predicate]] = {"codes": _are_hex, "calls": _is_list}
_PLACE: Final[Mapping[str, Predicate]] = {
    "code": _is_number_or_none,
    "creation": _is_bool,
    "made": _are_numbers,
    "ended": _are_numbers,
    "calls": _is_list,
}
_TRACE: Final[Mapping[str, Predicate]] = {
    "transactionHash": _is_name,
    "blockNumber": _is_number,
    "exitCode": _is_number,
    "exit": _is_name,
    "gasUsed": _is_number,
    "words": _is_text,
    "reproduced": _is_bool,
    "calls": _is_list,
}
_CALL_TRACE: Final[Mapping[str, Predicate]] = {name: _TRACE[name] for name in ("exitCode", "gasUsed", "words", "calls")}
_EPOCH_TRACE: Final[Mapping[str, Predicate]] = {"epoch": _is_number, "reproduced": _is_bool, "calls": _is_list}
_CALL: Final[Mapping[str, Predicate]] = {
    **dict.fromkeys(("runtime", "from", "to", "actor", "error"), _is_name),
    **dict.fromkeys(("method", "paramsCodec", "exitCode", "returnCodec", "gas"), _is_number),
    **dict.fromkeys(("params", "return"), _is_hex),
    **dict.fromkeys(("events", "calls"), _is_list),
    "address": _is_name_or_none,
    "value": _is_amount,
    "readOnly": _is_bool,
    **dict.fromkeys(("end", "words"), _is_text),
    "plain": _is_bool,
    "charges": _are_charges,
}
_NEWER_FIELDS: Final[Mapping[str, Any]] = {
    "code": None, "name": "", "logs": [], "schemas": {}, "schema": "", "schemaFault": "",
}  # fmt: skip
"""Call fields that older nodes do not send."""
_NEWER_FIELD_TYPES: Final[Mapping[str, Predicate]] = {
    "code": _is_name_or_none, "name": _is_name, "logs": _are_texts, "schemas": _are_schemas,
    "schema": _is_name, "schemaFault": _is_text,
}  # fmt: skip
_EVENT: Final[Mapping[str, Predicate]] = {"emitter": _is_name, "address": _is_name_or_none, "entries": _is_list}
_ENTRY: Final[Mapping[str, Predicate]] = {"flags": _is_number, "codec": _is_number, "key": _is_text, "value": _is_hex}
