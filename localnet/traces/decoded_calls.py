"""A decoded call tree: functions and arguments by contract ABIs, native methods and values by actor schemas.

A pure function of the tree of `localnet.traces.trace`. Values that no interface describes stay bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from bridge.abi.abi import AbiMismatch, ContractInterface
from bridge.actors.facade import interface
from bridge.actors.interfaces import Interface
from bridge.actors.schemas import ActorMethod, EventValue, actor_method, actor_schema, meaning, native_event, term_below
from bridge.ethereum.block import SYSTEM_ADDRESS
from bridge.ethereum.reverts import exit_error, revert_reason, reverted_with
from bridge.filecoin.call import HANDLE_FILECOIN_METHOD
from bridge.filecoin.cbor import ParamsError
from bridge.filecoin.parameters import INVOKE_EVM, DelegateCallParams, calldata_of, unwrap_return
from bridge.filecoin.receipts import entries_to_log
from hypervisor.errors import InvalidInput
from hypervisor.exit_codes import ExitCode
from hypervisor.messages.events import EventEntry
from hypervisor.text import printable
from localnet.contracts.named_interface import NamedInterface
from localnet.contracts.registered_precompiles import PrecompileCall
from localnet.ledger.call_tree import is_native
from store.cid import show
from store.codec import CodecError, decode_strict, kind_of, unlink
from store.schema import Schema, SchemaError
from store.schema.types import Enum, Struct, Term, Union

_TRANSFER_LOGS: Final = NamedInterface(
    "transfer log",
    ContractInterface(
        [
            {
                "type": "event",
                "name": "Transfer",
                "inputs": [
                    {"name": "from", "type": "address", "indexed": True},
                    {"name": "to", "type": "address", "indexed": True},
                    {"name": "amount", "type": "uint256", "indexed": False},
                ],
            }
        ]
    ),
)
"""The logs of transfers, whose emitter is the system address (EIP-7708)."""
_DELEGATE: Final = 6
_MAX_SHOWN: Final = 96
MAX_LENGTH: Final = 2_000
"""Maximum length of formatted arguments, a result or an event, in characters."""


@dataclass(frozen=True, slots=True)
class DecodedCall:
    """Decoded text of a call: callee, function, arguments, return value, and events."""

    callee: str
    function: str
    arguments: str
    result: str
    events: tuple[str, ...]


Schemas = Mapping[str, Interface]
"""The interfaces of users' native actors by the CIDs of their code, or of the schemas that their states link."""
NO_SCHEMAS: Final[Schemas] = MappingProxyType({})
_MAX_SCHEMAS: Final = 64


def schemas_of(calls: Sequence[Mapping[str, Any]]) -> Schemas:
    """Return the interfaces in call trees, except unreadable ones."""
    found: dict[str, Interface] = {}
    for call in calls:
        for code, text in call.get("schemas", {}).items():
            if code in found or len(found) >= _MAX_SCHEMAS:
                continue
            with suppress(InvalidInput):
                found[code] = Interface.parse(text)
    return found


def describe(call: dict[str, Any], interfaces: Sequence[NamedInterface], schemas: Schemas = NO_SCHEMAS) -> DecodedCall:
    """Describe a call of a tree. Texts are untrusted, so unprintable characters are escaped and long ones truncated."""
    decoded = _describe(call, interfaces, schemas)
    return DecodedCall(
        printable(decoded.callee),
        printable(decoded.function),
        printable(decoded.arguments, MAX_LENGTH),
        printable(decoded.result, MAX_LENGTH),
        tuple(printable(event, MAX_LENGTH) for event in decoded.events),
    )


def _describe(call: dict[str, Any], interfaces: Sequence[NamedInterface], schemas: Schemas) -> DecodedCall:
    data, answer = bytes.fromhex(call["params"][2:]), bytes.fromhex(call["return"][2:])
    if call.get("precompile"):
        return _precompile_call(call, data, answer)
    own = schemas.get(call.get("schema") or call.get("code") or "")
    schema = actor_schema(call["actor"]) if own is None else own.schema
    events = tuple(_event(schema, event, interfaces) for event in call["events"])
    calldata = _calldata(call, data)
    if calldata is not None:
        return _contract_call(call, calldata, answer, _candidates(call, interfaces), events)
    method = _method(call, own)
    arguments = _typed_text(schema, method.params, data)
    failed = call["exitCode"] != ExitCode.OK or call["error"]
    result = _failure(call, answer, interfaces) if failed else _typed_text(schema, method.returns, answer)
    return DecodedCall(call.get("name") or call["actor"] or "?", method.name, f"({arguments})", result, events)


def _precompile_call(call: dict[str, Any], data: bytes, answer: bytes) -> DecodedCall:
    """Describe a call of a user's precompile, by its signature if it has one."""
    name, failed = call["precompile"]["name"], call["exitCode"] != ExitCode.OK or call["error"]
    read = PrecompileCall(call["precompile"]["signature"], data, None if failed else answer)
    arguments = _bytes(data) if read.inputs is None else ", ".join(map(_format, read.inputs[1]))
    if failed:
        result = str(call["words"])
    else:
        result = _bytes(answer) if read.outputs is None else ", ".join(map(_format, read.outputs[1]))
    return DecodedCall("precompile", name, f"({arguments})", result, ())


def _calldata(call: dict[str, Any], data: bytes) -> bytes | None:
    """Return the calldata of a call to a contract or in a contract's form; None for every other call."""
    if call["actor"] == "evm":
        is_call = call["method"] in (INVOKE_EVM, _DELEGATE)
    else:
        is_call = call["method"] == INVOKE_EVM and interface(call["actor"]) is not None and bool(data)
    if not is_call:
        return None
    try:
        if call["method"] == _DELEGATE:
            return DelegateCallParams.decode(data).calldata
        return calldata_of(call["paramsCodec"], data) if data else b""
    except ParamsError:
        return None


def _candidates(call: dict[str, Any], interfaces: Sequence[NamedInterface]) -> Sequence[NamedInterface]:
    """Return the candidate interfaces for a call: for a built-in actor its own."""
    offered = interface(call["actor"])
    return interfaces if offered is None else [NamedInterface(call["actor"], offered)]


def _contract_call(
    call: dict[str, Any],
    calldata: bytes,
    answer: bytes,
    interfaces: Sequence[NamedInterface],
    events: tuple[str, ...],
) -> DecodedCall:
    returned = unwrap_return(answer)
    for named in interfaces:
        try:
            decoded = named.interface.decode_call(calldata)
            if decoded is None:
                continue
            arguments = ", ".join(f"{name}={_format(value)}" for name, value in decoded.arguments.items())
            if call["exitCode"] == ExitCode.OK and not call["error"]:
                result = _format(named.interface.decode_call_result(calldata, returned))
            else:
                result = _revert(call, (named, *interfaces), returned) if returned else _machine_message(call)
        except AbiMismatch:
            continue
        return DecodedCall(named.name, decoded.function, f"({arguments})", result, events)
    result = _failure(call, answer, interfaces) if call["exitCode"] or call["error"] else _bytes(returned)
    return DecodedCall("contract", _selector(calldata), f"({_bytes(calldata[4:])})", result, events)


def _revert(call: dict[str, Any], interfaces: Sequence[NamedInterface], data: bytes) -> str:
    """Decode revert data by the first interface with its error, including callees'; otherwise use the rules' text."""
    unknown = revert_reason(data)
    reasons = (known.interface.decode_revert(data) for known in interfaces)
    plain = exit_error(data) or (reverted_with(data) or "" if call.get("end") else unknown)
    return next((reason for reason in reasons if reason != unknown), plain)


def _machine_message(call: dict[str, Any]) -> str:
    """Return the machine's message for a failure if it adds information to the exit code."""
    return "" if call.get("plain") or call.get("end") else str(call["words"])


def _selector(calldata: bytes) -> str:
    if calldata[:4] == HANDLE_FILECOIN_METHOD:
        return "handle_filecoin_method"
    return f"0x{calldata[:4].hex()}" if len(calldata) >= 4 else "fallback"


def _failure(call: dict[str, Any], answer: bytes, interfaces: Sequence[NamedInterface]) -> str:
    """Return the failure text of a call: the reason of a revert, other data, or the actor's message."""
    if call["exitCode"] == ExitCode.EVM_CONTRACT_REVERTED and not is_native(call):
        data = unwrap_return(answer)
        return _revert(call, interfaces, data) if data else _machine_message(call)
    return _bytes(answer) or _machine_message(call)


def _method(call: dict[str, Any], own: Interface | None = None) -> ActorMethod:
    """Return a native method by its number, which is also its name if unknown."""
    number = call["method"]
    known = None if own is None else own.method_at(number)
    return known or actor_method(call["actor"], number) or ActorMethod(str(number))


def _typed_text(schema: Schema, type_: str | None, data: bytes) -> str:
    """Decode parameters or a return value by the actor's schema; without a type they stay bytes."""
    if type_ is None or not data:
        return _bytes(data)
    try:
        value = schema.read(type_, decode_strict(data))
    except (CodecError, SchemaError) as error:
        return f"{_bytes(data)}, which is not {type_}: {error}"
    decoded = _value(schema, type_, value)
    return decoded[1:-1] if isinstance(schema.type_of(type_), Struct) else decoded


def _value(schema: Schema, term: Term, value: Any) -> str:
    match value:
        case None:
            return "null"
        case bytes():
            found = meaning(schema, term, value)
            return (_bytes(found) or "0x") if isinstance(found, bytes) else str(found)
        case str():
            return f'"{value}"'
        case dict() if isinstance(schema.type_of(term), Union):
            ((member, inner),) = value.items()
            return _value(schema, member, inner)
        case dict():
            items = (f"{name}={_value(schema, term_below(schema, term, name), item)}" for name, item in value.items())
            return f"{{{', '.join(items)}}}"
        case list():
            return f"[{', '.join(_value(schema, term_below(schema, term, ''), item) for item in value)}]"
        case _:
            return show(unlink(value)) if kind_of(value) == "link" else str(value)


def _event(schema: Schema, event: dict[str, Any], interfaces: Sequence[NamedInterface]) -> str:
    entries = [
        EventEntry(entry["flags"], entry["key"], entry["codec"], bytes.fromhex(entry["value"][2:]))
        for entry in event["entries"]
    ]
    if event.get("address") == f"0x{SYSTEM_ADDRESS.hex()}":
        interfaces = (_TRANSFER_LOGS,)
    return event_text(schema, entries, interfaces)


def event_text(schema: Schema, entries: Sequence[EventEntry], interfaces: Sequence[NamedInterface]) -> str:
    """Describe an event by the schema of the actor that emitted it; untrusted, see `printable`."""
    log = entries_to_log(entries)
    if log is not None:
        for named in interfaces:
            decoded = named.interface.decode_log(log)
            if decoded is not None:
                values = ", ".join(f"{name}={_format(value)}" for name, value in decoded.arguments.items())
                return f"{decoded.event}({values})"
    return native_text(schema, entries) or ", ".join(f"{entry.key}={_bytes(entry.value)}" for entry in entries)


def native_text(schema: Schema, entries: Sequence[EventEntry]) -> str | None:
    """Describe a native event by the actor's schema: `claim-payout(stream-id=2, recipient=103, amount=5)`.

    Without a kind, only the values are shown. None for entries that are not CBOR. The text is untrusted (`printable`).
    """
    event = native_event(schema, entries)
    if event is None:
        return None
    values = ", ".join(f"{each.key}={_event_value(schema, each)}" for each in event.values)
    return values if event.kind is None else f"{event.kind}({values})"


def _event_value(schema: Schema, each: EventValue) -> str:
    """Return a value of an event; the name of an enum member stands without quotes."""
    if isinstance(schema.type_of(each.type), Enum):
        return str(each.value)
    return _value(schema, each.type, each.value)


def _format(value: Any) -> str:
    match value:
        case None:
            return ""
        case bytes():
            return _bytes(value)
        case str():
            return f'"{value}"' if not value.startswith(("0x", "f0", "f1", "f2", "f3", "f4")) else value
        case list() | tuple():
            return f"[{', '.join(_format(item) for item in value)}]"
        case _:
            return str(value)


def _bytes(data: bytes) -> str:
    """Format bytes as shortened hex."""
    text = f"0x{data.hex()}" if data else ""
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}... ({len(data)} bytes)"
