"""A readable trace with decoded calls.

Functions and arguments are decoded by contract ABIs, native methods and values by actor schemas. Values that no
interface describes stay bytes. The report has gas by part, the reason of a failure, and the flame view.

The functions are pure and use the plain trees of `localnet.traces.trace`, so commands can apply them to a node's
responses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from bridge.abi.abi import AbiMismatch, ContractInterface
from bridge.actors.interfaces import Interface, solidity_interface
from bridge.actors.schemas import ActorMethod, EventValue, actor_method, actor_schema, meaning, native_event, term_below
from bridge.ethereum.block import SYSTEM_ADDRESS
from bridge.ethereum.reverts import exit_error, panic_code, revert_reason, reverted_with
from bridge.filecoin.cbor import ParamsError
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import HANDLE_FILECOIN_METHOD, DelegateCallParams, calldata_of, unwrap_return
from bridge.filecoin.receipts import entries_to_log
from bridge.traces.flame import FlameBox, flame_html, flame_svg
from hypervisor.errors import InvalidInput
from hypervisor.exit_codes import ExitCode, exit_meaning
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.messages.events import EventEntry
from hypervisor.text import printable, show_fil
from localnet.contracts.named_interface import NamedInterface
from localnet.contracts.registered_precompiles import PrecompileCall
from localnet.ledger.call_tree import every_call, is_native
from localnet.traces.console_log import is_log
from store.cid import RAW, show
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
class CallText:
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


def describe(call: dict[str, Any], interfaces: Sequence[NamedInterface], schemas: Schemas = NO_SCHEMAS) -> CallText:
    """Describe a call of a tree. Texts are untrusted, so unprintable characters are escaped and long ones truncated."""
    decoded = _describe(call, interfaces, schemas)
    return CallText(
        printable(decoded.callee),
        printable(decoded.function),
        printable(decoded.arguments, MAX_LENGTH),
        printable(decoded.result, MAX_LENGTH),
        tuple(printable(event, MAX_LENGTH) for event in decoded.events),
    )


def _describe(call: dict[str, Any], interfaces: Sequence[NamedInterface], schemas: Schemas) -> CallText:
    data, answer = bytes.fromhex(call["params"][2:]), bytes.fromhex(call["return"][2:])
    if call.get("precompile"):
        return _precompile_call(call, data, answer)
    own = schemas.get(call.get("schema") or call.get("code") or "")
    schema = actor_schema(_kind(call)) if own is None else own.schema
    events = tuple(_event(schema, event, interfaces) for event in call["events"])
    calldata = _calldata(call, data)
    if calldata is not None:
        return _contract_call(call, calldata, answer, _candidates(call, interfaces), events)
    method = _method(call, own)
    is_init_code = call["abi"] and call["paramsCodec"] == RAW  # under Ethereum's rules
    arguments = _typed_text(schema, None if is_init_code else method.params, data)
    failed = call["exitCode"] != ExitCode.OK or call["error"]
    result = _failure(call, answer, interfaces) if failed else _typed_text(schema, method.returns, answer)
    return CallText(call.get("name") or call["actor"] or "?", method.name, f"({arguments})", result, events)


def _precompile_call(call: dict[str, Any], data: bytes, answer: bytes) -> CallText:
    """Describe a call of a user's precompile, by its signature if it has one."""
    name, failed = call["precompile"]["name"], call["exitCode"] != ExitCode.OK or call["error"]
    read = PrecompileCall(call["precompile"]["signature"], data, None if failed else answer)
    arguments = _bytes(data) if read.inputs is None else ", ".join(map(_format, read.inputs[1]))
    if failed:
        result = str(call["words"])
    else:
        result = _bytes(answer) if read.outputs is None else ", ".join(map(_format, read.outputs[1]))
    return CallText("precompile", name, f"({arguments})", result, ())


def _calldata(call: dict[str, Any], data: bytes) -> bytes | None:
    """Return the calldata of a call to a contract or in a contract's form; None for every other call."""
    if call["abi"]:
        is_call = call["method"] in (INVOKE_EVM, _DELEGATE)
    else:
        is_call = call["method"] == INVOKE_EVM and solidity_interface(call["actor"]) is not None and bool(data)
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
    offered = solidity_interface(call["actor"])
    return interfaces if offered is None else [NamedInterface(call["actor"], offered)]


def _contract_call(
    call: dict[str, Any],
    calldata: bytes,
    answer: bytes,
    interfaces: Sequence[NamedInterface],
    events: tuple[str, ...],
) -> CallText:
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
        return CallText(named.name, decoded.function, f"({arguments})", result, events)
    result = _failure(call, answer, interfaces) if call["exitCode"] or call["error"] else _bytes(returned)
    return CallText("contract", _selector(calldata), f"({_bytes(calldata[4:])})", result, events)


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
    return known or actor_method(_kind(call), number) or ActorMethod(str(number))


def _kind(call: dict[str, Any]) -> str:
    """Return the built-in actor with a callee's methods, which are those of the EVM actor for all contracts."""
    return "evm" if call["abi"] else str(call["actor"])


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


_PARTS: Final = {
    "instructions": "wasm_exec OnEvmGas",
    "code and memory": "wasm_memory_init wasm_table_init wasm_link OnEvmFrame OnEvmCode OnEvmMemory",
    "calls": "OnSyscall OnMethodInvocation OnReturnValue OnChainReturnValue OnValueTransfer OnEvmCall OnFacade",
    "actors": "OnActorLookup OnActorUpdate OnCreateActor OnInstallActor",
    "blocks": "OnActorGetRoot OnActorSetRoot OnBlockOpenBase OnBlockOpen OnBlockCreate OnBlockRead OnBlockLink"
    " OnScanIpldLinks OnEvmNode",
    "events": "OnActorEvent OnActorEventValidate OnActorEventAccept",
    "cryptography": "OnHashing OnVerifySignature OnRecoverSecpPublicKey OnVerifyBlsAggregateSignature OnEvmPrecompile"
    " OnComputeUnsealedSectorCid OnVerifyPost OnVerifyAggregateSeals OnVerifyReplicaUpdate OnVerifySeals"
    " OnVerifyConsensusFault",
    "history": "OnGetRandomness OnTipsetCid",
}
PART_OF: Final[Mapping[str, str]] = {name: part for part, names in _PARTS.items() for name in names.split()}
"""Mapping from charge name to part of the gas, under Filecoin's rules."""

_HALTS: Final = range(ExitCode.EVM_CONTRACT_INVALID_INSTRUCTION, ExitCode.EVM_CONTRACT_BAD_JUMPDEST + 1)


def explain_trace(found: Mapping[str, Any], interfaces: Sequence[NamedInterface] = ()) -> dict[str, Any]:
    """Return the trace with `decoded` in each call, `why` and the gas by part; the shapes are in docs/bridge.md."""
    why = _path(found)
    top = decode_calls(found["calls"], interfaces)
    return {
        **found,
        "why": None if why is None else _failure_reasons(top, why, found["words"]),
        "milligas": _sum_by_part(found, every_call(found["calls"])),
        "calls": top,
    }


def decode_calls(calls: Sequence[dict[str, Any]], interfaces: Sequence[NamedInterface] = ()) -> list[dict[str, Any]]:
    """Return calls and their calls with `decoded`: contracts by the interfaces, users' actors by their schemas."""
    schemas = schemas_of(calls)
    written: dict[int, dict[str, Any]] = {}
    for call in reversed(every_call(calls)):
        inner = [written[id(below)] for below in call["calls"]]
        written[id(call)] = {**call, "decoded": _decode(call, interfaces, schemas), "calls": inner}
    return [written[id(call)] for call in calls]


def _sum_by_part(found: Mapping[str, Any], every: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the gas of the whole transaction, largest part first; gas outside of calls paid for the message."""
    parts = Counter[str]()
    for call in every:
        parts.update(_parts_of(call))
    parts["message"] = max(0, found["gasUsed"] * MILLIGAS_PER_GAS - parts.total())
    return dict(parts.most_common())


def _parts_of(call: Mapping[str, Any]) -> dict[str, int]:
    parts: dict[str, int] = {}
    for name, milligas in call["charges"].items():
        part = PART_OF.get(name, "other")
        parts[part] = parts.get(part, 0) + milligas
    return parts


def _decode(call: dict[str, Any], interfaces: Sequence[NamedInterface], schemas: Schemas) -> dict[str, Any]:
    own = [named for named in interfaces if named.address is not None and named.address == call["address"]]
    decoded = describe(call, [*own, *interfaces], schemas)
    return {
        "callee": decoded.callee,
        "function": decoded.function,
        "arguments": decoded.arguments,
        "result": decoded.result,
        "events": list(decoded.events),
        "value": show_fil(int(call["value"])),
        "exit": _exit_of(call),
        "milligas": _parts_of(call),
    }


def _exit_of(call: dict[str, Any]) -> str:
    """Return the end of a call, such as `exit 33 EVM_CONTRACT_REVERTED, the contract reverted`."""
    if call["error"] == "FATAL":
        return "fatal error"
    if call["error"] not in ("", "OUT_OF_GAS"):
        return f"syscall error {call['error']}, no exit code"
    return call.get("end") or f"exit {exit_meaning(call['exitCode'], native=is_native(call))}"


def gas_summary(trace: Mapping[str, Any]) -> str:
    """Return the gas of an explained trace by part: `blocks 41%, instructions 30%, ...`."""
    parts = trace["milligas"]
    whole = max(1, sum(parts.values()))
    return ", ".join(f"{part} {100 * milligas / whole:.0f}%" for part, milligas in parts.items() if milligas)


# --- why it failed ----------------------------------------------------------------------------------------------------


def has_failed(call: Mapping[str, Any]) -> bool:
    """Return True if a call of a trace failed; `console.log` never does."""
    return bool(call["exitCode"] or call["error"]) and not is_log(call["to"])  # no actor exists there


def _path(found: Mapping[str, Any]) -> list[int] | None:
    """Return the indexes from the root to the innermost call that explains a failure."""
    if found["exitCode"] == ExitCode.OK:
        return None
    path: list[int] = []
    calls = found["calls"]
    step = len(calls) - 1 if calls and has_failed(calls[-1]) else None
    while step is not None:
        path.append(step)
        step, calls = _failing_child(calls[step]), calls[step]["calls"]
    return path


def _failing_child(call: Mapping[str, Any]) -> int | None:
    """Return the index of the child that made a call fail: a failed last child, or one whose revert was passed on.

    None if the contract itself ran out of gas, halted, or failed a check of the compiler.
    """
    calls, own = call["calls"], unwrap_return(bytes.fromhex(call["return"][2:]))
    for index in reversed(range(len(calls))):
        if own and has_failed(calls[index]) and unwrap_return(bytes.fromhex(calls[index]["return"][2:])) == own:
            return index
    # Native actors pass on these codes from a failed callee.
    halted = call["abi"] and call["exitCode"] in _HALTS
    if not calls or not has_failed(calls[-1]) or halted or panic_code(own) is not None:
        return None
    if call["exitCode"] == ExitCode.SYS_OUT_OF_GAS != calls[-1]["exitCode"]:
        return None
    return len(calls) - 1


def _failure_reasons(calls: Sequence[dict[str, Any]], path: Sequence[int], message: str) -> dict[str, Any]:
    failed = []
    for step in path:
        failed.append(calls[step])
        calls = failed[-1]["calls"]
    reasons = [call["decoded"]["result"] for call in failed]
    lines = []
    for number, (call, reason) in enumerate(zip(failed, reasons, strict=True)):
        repeats = number + 1 < len(failed) and (reason == reasons[number + 1] or _blames(reason, failed[number + 1]))
        lines.append(f"{name(call)}: {call['decoded']['exit']}{'' if repeats or not reason else f': {reason}'}")
    return {"path": list(path), "calls": lines or [printable(message)]}


def _blames(reason: str, callee: Mapping[str, Any]) -> bool:
    """Return True if a reason only repeats the callee's exit code, as its last word."""
    return reason.rpartition(" ")[2] == str(callee["exitCode"])


def name(call: Mapping[str, Any]) -> str:
    """Return a decoded call's short name: `f0102 Vault.pay`."""
    decoded = call["decoded"]
    return f"{call['to']} {decoded['callee']}.{decoded['function']}"


# --- the flame view ---------------------------------------------------------------------------------------------------


def flame(trace: Mapping[str, Any], *, html: bool, by_charge: bool = False) -> str:
    """Return the flame view of an explained trace: an SVG, or a page that includes the reason of a failure.

    With `by_charge`, each call's own charges are shown below it by name.
    """
    title = f"transaction {trace['transactionHash']}: exit {trace['exit']}"
    boxes = _boxes(trace, by_charge)
    if not html:
        return flame_svg(title, boxes, trace["gasUsed"])
    why = trace["why"]
    return flame_html(title, boxes, trace["gasUsed"], why["calls"] if why else ())


def save_flame(trace: Mapping[str, Any], file: Path) -> None:
    """Write the flame view of an explained trace; raises InvalidInput unless the name ends with .svg or .html."""
    if file.suffix not in (".svg", ".html"):
        raise InvalidInput(f"the flame view {file} must be a .svg or .html file")
    file.write_text(flame(trace, html=file.suffix == ".html"), encoding="utf-8")


def _boxes(trace: Mapping[str, Any], by_charge: bool = False) -> tuple[FlameBox, ...]:
    cause: Mapping[str, Any] | None = None
    calls = trace["calls"]
    for step in trace["why"]["path"] if trace["why"] else ():
        cause, calls = calls[step], calls[step]["calls"]
    every = list(trace["calls"])
    for call in every:
        every.extend(call["calls"])
    made: dict[int, FlameBox] = {}
    for call in reversed(every):
        inner = (*(made[id(below)] for below in call["calls"]), *(_charge_boxes(call) if by_charge else ()))
        made[id(call)] = FlameBox(
            name(call), tuple(_details(call)), call["gas"], call["runtime"], has_failed(call), call is cause, inner
        )
    return tuple(made[id(call)] for call in trace["calls"])


def _charge_boxes(call: Mapping[str, Any]) -> Iterator[FlameBox]:
    """Yield the flame boxes of a call's own charges, largest first."""
    for charge, milligas in sorted(call["charges"].items(), key=lambda item: -item[1]):
        gas = milligas // MILLIGAS_PER_GAS
        part = PART_OF.get(charge, "other")
        yield FlameBox(charge, (f"{charge}: {gas:,} gas of {name(call)} itself", f"part: {part}"), gas, "charge")


def _details(call: Mapping[str, Any]) -> Iterator[str]:
    decoded = call["decoded"]
    yield f"{call['runtime'] or '-'} {name(call)}{decoded['arguments']}"
    if decoded["result"]:
        yield f"-> {decoded['result']}"
    yield f"value {decoded['value']}, {decoded['exit']}, gas {call['gas']:,}"
    for part, milligas in decoded["milligas"].items():
        yield f"  {part}: {milligas // MILLIGAS_PER_GAS:,} gas of its own"
