"""Parity traces: a flat list of frames with their positions in the tree, also used by geth's flatCallTracer.

Filecoin nodes use this format (trace_block, trace_transaction); failure texts and the placeholder for created code are
theirs. Source: lotus node/impl/eth/trace.go; openethereum's trace module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bridge.traces.frames import SELFDESTRUCT, EthereumFrame
from bridge.traces.tracers import _data
from hypervisor.exit_codes import FIRST_USER_EXIT_CODE, ExitCode

_ERROR_TEXTS: Final[Mapping[int, str]] = {
    ExitCode.EVM_CONTRACT_REVERTED: "Reverted",
    ExitCode.EVM_CONTRACT_INVALID_INSTRUCTION: "invalid instruction",
    ExitCode.EVM_CONTRACT_UNDEFINED_INSTRUCTION: "undefined instruction",
    ExitCode.EVM_CONTRACT_STACK_UNDERFLOW: "stack underflow",
    ExitCode.EVM_CONTRACT_STACK_OVERFLOW: "stack overflow",
    ExitCode.EVM_CONTRACT_ILLEGAL_MEMORY_ACCESS: "illegal memory access",
    ExitCode.EVM_CONTRACT_BAD_JUMPDEST: "invalid jump destination",
    ExitCode.EVM_CONTRACT_SELFDESTRUCT_FAILED: "self destruct failed",
}


def flat_traces(top: EthereumFrame) -> list[dict[str, Any]]:
    """Return a frame and all its subframes in pre-order."""
    found: list[dict[str, Any]] = []
    todo: list[tuple[EthereumFrame, tuple[int, ...]]] = [(top, ())]
    while todo:
        frame, address = todo.pop()
        found.append(_parity_frame(frame, address))
        todo.extend((inner, (*address, index)) for index, inner in reversed(list(enumerate(frame.frames))))
    return found


def filecoin_failure(exit_code: int, *, native: bool = False) -> str:
    """Return the text of Filecoin nodes for a nonzero exit code; a native actor's codes have no names of contracts."""
    if exit_code == ExitCode.SYS_OUT_OF_GAS:
        return "out of gas"
    if exit_code < FIRST_USER_EXIT_CODE:
        return f"vm error: {exit_code_text(exit_code)}"
    text = None if native else _ERROR_TEXTS.get(exit_code)
    return text or f"actor error: {exit_code_text(exit_code)}"


def exit_code_text(exit_code: int) -> str:
    """Format an exit code like Filecoin nodes, such as ErrForbidden(18); unnamed codes as numbers.

    Source: go-state-types exitcode/names.go.
    """
    if exit_code == ExitCode.SYS_ASSERTION_FAILED:
        return f"SysFatal({exit_code})"
    named = exit_code in ExitCode.__members__.values() and exit_code <= ExitCode.USR_NOT_PAYABLE
    if not named:
        return str(exit_code)
    kind, *words = ExitCode(exit_code).name.split("_")
    return ("SysErr" if kind == "SYS" else "Err") + "".join(word.title() for word in words) + f"({exit_code})"


def _parity_frame(frame: EthereumFrame, address: tuple[int, ...]) -> dict[str, Any]:
    position: dict[str, Any] = {"subtraces": len(frame.frames), "traceAddress": list(address)}
    if frame.kind == SELFDESTRUCT:
        action = {"address": _data(frame.sender), "refundAddress": _data(frame.to or b""), "balance": hex(frame.value)}
        return {"type": "suicide", **position, "action": action, "result": None}
    shown: dict[str, Any] = {"type": "create" if frame.creates else "call"}
    if frame.exit_code:
        shown["error"] = filecoin_failure(frame.exit_code, native=frame.native)
    action = {
        "from": _data(frame.sender), "gas": hex(frame.gas), "value": hex(frame.value)
    }  # fmt: skip
    result: dict[str, Any] = {"gasUsed": hex(frame.gas_used)}
    if frame.creates:
        action["init"] = _data(frame.input)
        result |= {"address": None if frame.to is None else _data(frame.to), "code": _data(frame.output)}
    else:
        action |= {"callType": frame.kind.lower(), "to": _data(frame.to or b""), "input": _data(frame.input)}
        result["output"] = _data(frame.output)
    return shown | {**position, "action": action, "result": result}
