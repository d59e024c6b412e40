"""A readable trace: decoded calls, gas by part, the reason of a failure, and the flame view.

The functions are pure and use the plain trees of `localnet.traces.trace`, so commands can apply them to a node's
responses. `localnet.traces.decoded_calls` decodes values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bridge.ethereum.reverts import panic_code
from bridge.filecoin.parameters import unwrap_return
from bridge.traces.flame import FlameBox, flame_html, flame_svg
from hypervisor.errors import InvalidInput
from hypervisor.exit_codes import ExitCode, exit_meaning
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.text import printable, show_fil
from localnet.contracts.named_interface import NamedInterface
from localnet.ledger.call_tree import every_call, is_native
from localnet.traces.console_log import is_log
from localnet.traces.decoded_calls import Schemas, describe, schemas_of

_PARTS: Final = {
    "instructions": "wasm_exec OnEvmGas",
    "code and memory": "wasm_memory_init wasm_table_init wasm_link OnEvmFrame OnEvmCode OnEvmMemory",
    "calls": "OnSyscall OnMethodInvocation OnReturnValue OnChainReturnValue OnValueTransfer OnFacade",
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
        return "exit FATAL, an internal error of the machine"
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
    halted = call["actor"] == "evm" and call["exitCode"] in _HALTS
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
