"""geth's callTracer and 4byteTracer: a tree of frames as JSON, and counts of calls by selector.

An exit code of a native actor has no counterpart in geth and is reported by name. Precompiles are not calls of the
machine and have no frame. Source: go-ethereum eth/tracers/native (call.go, 4byte.go) and its page on built-in tracers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.reverts import error_text, panic_code
from bridge.traces.failure_texts import REVERTED, TEXTS
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
"""Texts of go-ethereum accounts/abi."""

CodeAt = Callable[[EthAddress], bytes]
"""Returns the code of a contract after the transaction."""


def call_trace(frame: EthereumFrame, code_at: CodeAt, *, only_top_call: bool, with_log: bool) -> dict[str, Any]:
    """Return a frame with its subframes; `only_top_call` omits those, `with_log` adds the logs of successful frames."""
    # a stack instead of recursion, since calls are up to 1,024 deep
    top = _frame_json(frame, code_at)
    index = 0
    open_ = [(frame, top, bool(frame.exit_code), iter(frame.frames), 0)]
    while open_:
        frame, shown, failed, inner, position = open_.pop()
        if with_log and not failed:
            index = _write_logs(frame, shown, position, index)
        below = None if only_top_call else next(inner, None)
        if below is not None:
            child = _frame_json(below, code_at)
            shown.setdefault("calls", []).append(child)
            open_.append((frame, shown, failed, inner, position + 1))
            open_.append((below, child, failed or bool(below.exit_code), iter(below.frames), 0))
    return top


def failure(frame: EthereumFrame) -> str:
    """Return geth's text for the failure of a frame."""
    if frame.native and frame.exit_code > ExitCode.SYS_OUT_OF_GAS:
        return f"actor error: {exit_name(frame.exit_code, native=True)}"
    return TEXTS.get(frame.exit_code, f"actor error: {exit_name(frame.exit_code)}")


def _reason(data: bytes) -> str | None:
    """Return geth's text for one of Solidity's built-in errors."""
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


def _write_logs(frame: EthereumFrame, shown: dict[str, Any], position: int, index: int) -> int:
    """Write the logs of a frame after `position` subframes, and return the index of the next log."""
    for entry in frame.logs:
        if entry.position == position:
            shown.setdefault("logs", []).append(
                {
                    "address": _data(entry.address),
                    "topics": [_data(topic) for topic in entry.log.topics],
                    "data": _data(entry.log.data),
                    "index": hex(index),
                    "position": hex(position),
                }
            )
            index += 1
    return index


def _data(data: bytes) -> str:
    return "0x" + data.hex()


_SELECTOR = 4


def selectors(frame: EthereumFrame) -> dict[str, int]:
    """Return the number of function calls in a frame and its subframes by `0xSELECTOR-SIZE`; creations are none."""
    found: Counter[str] = Counter()
    frames = [frame]
    for one in frames:  # iterative, since calls are up to 1,024 deep
        frames.extend(one.frames)
        if not one.creates and len(one.input) >= _SELECTOR:
            found[f"0x{one.input[:_SELECTOR].hex()}-{len(one.input) - _SELECTOR}"] += 1
    return dict(found)
