"""geth's callTracer: a tree of frames as JSON.

Shapes and words: go-ethereum eth/tracers/native (call.go) and its page on built-in tracers. What a native actor exits
with has no counterpart there and has its name. Precompiles are no calls of the machine and have no frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from bridge.addresses import EthAddress
from bridge.reverts import error_text, panic_code
from bridge.traces.failure_words import REVERTED, WORDS
from bridge.traces.frames import EthereumFrame
from hypervisor.exit_codes import ExitCode, exit_name

_PANICS: Final = {
    0x00: "generic panic",
    0x01: "assert(false)",
    0x11: "arithmetic underflow or overflow",
    0x12: "division or modulo by zero",
    0x21: "enum overflow",
    0x22: "invalid encoded storage byte array accessed",
    0x31: "out-of-bounds array access; popping on an empty array",
    0x32: "out-of-bounds access of an array or bytesN",
    0x41: "out of memory",
    0x51: "uninitialized function",
}
"""go-ethereum accounts/abi."""

CodeAt = Callable[[EthAddress], bytes]
"""The code that a contract has after the transaction."""


def call_trace(frame: EthereumFrame, code_at: CodeAt, *, only_top_call: bool, with_log: bool) -> dict[str, Any]:
    """A frame with those under it; `only_top_call` leaves those out, `with_log` adds the logs of what succeeded."""
    # a list of what is open instead of recursion: calls are as deep as 1,024
    top = _frame_json(frame, code_at)
    index = 0
    open_ = [(frame, top, bool(frame.exit_code), iter(frame.frames), 0)]
    while open_:
        frame, shown, failed, inner, place = open_.pop()
        if with_log and not failed:
            index = _write_logs(frame, shown, place, index)
        below = None if only_top_call else next(inner, None)
        if below is not None:
            child = _frame_json(below, code_at)
            shown.setdefault("calls", []).append(child)
            open_.append((frame, shown, failed, inner, place + 1))
            open_.append((below, child, failed or bool(below.exit_code), iter(below.frames), 0))
    return top


def failure(frame: EthereumFrame) -> str:
    """geth's words for what ended a frame."""
    if frame.native and frame.exit_code > ExitCode.SYS_OUT_OF_GAS:
        return f"actor error: {exit_name(frame.exit_code)}"
    return WORDS.get(frame.exit_code, f"actor error: {exit_name(frame.exit_code)}")


def _reason(data: bytes) -> str | None:
    """Solidity's own errors in geth's words."""
    code = panic_code(data)
    return error_text(data) if code is None else _PANICS.get(code, f"unknown panic code: {code:#x}")


def _frame_json(frame: EthereumFrame, code_at: CodeAt) -> dict[str, Any]:
    shown: dict[str, Any] = {"type": frame.kind, "from": _data(frame.sender)}
    if frame.to is not None:
        shown["to"] = _data(frame.to)
    if frame.kind != "STATICCALL":
        shown["value"] = hex(frame.value)
    shown |= {"gas": hex(frame.gas), "gasUsed": hex(frame.gas_used), "input": _data(frame.input)}
    output = frame.output
    if frame.creates and not frame.native and frame.to is not None:
        output = code_at(frame.to)
    if output:
        shown["output"] = _data(output)
    if frame.exit_code:
        shown["error"] = failure(frame)
        reason = _reason(frame.output) if shown["error"] == REVERTED else None
        if reason:
            shown["revertReason"] = reason
    return shown


def _write_logs(frame: EthereumFrame, shown: dict[str, Any], place: int, index: int) -> int:
    """The logs of a frame that came after N frames under it; the index of the next log."""
    for entry in frame.logs:
        if entry.place == place:
            shown.setdefault("logs", []).append(
                {
                    "address": _data(entry.address),
                    "topics": [_data(topic) for topic in entry.log.topics],
                    "data": _data(entry.log.data),
                    "index": hex(index),
                    "position": hex(place),
                }
            )
            index += 1
    return index


def _data(data: bytes) -> str:
    return "0x" + data.hex()
