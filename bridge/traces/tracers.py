"""Tracers of geth and Parity over a transaction's frames: callTracer, 4byteTracer, flat traces, accessed accounts.

An exit code of a native actor has no counterpart in geth and is reported by name. Sources: go-ethereum
eth/tracers/native (call.go, call_flat.go, 4byte.go) and its page on built-in tracers.

Filecoin nodes use the flat format (trace_block, trace_transaction); failure texts and the placeholder for created code
are theirs. Source: lotus node/impl/eth/trace.go; openethereum's trace module.

For geth's prestateTracer, a tracer keeps the accounts and contract slots that a transaction may access, instead of
instructions, so that memory use does not depend on the length of a transaction. State accesses of native actors are not
included. Source: go-ethereum eth/tracers/native/prestate.go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, from_delegated, to_ethereum, word_to_address
from bridge.ethereum.reverts import REVERTED, UINT64_OVERFLOW, LogTooLong, error_text, failure_text, panic_code
from bridge.evm_steps import CreationCollision, EvmFault, EvmStep, FundsMissing
from bridge.traces.frames import SELFDESTRUCT, Directory, EthereumFrame, FrameLog
from hypervisor.exit_codes import FIRST_USER_EXIT_CODE, ExitCode, exit_name
from hypervisor.messages.address import Address
from hypervisor.tracing import CallEnded, CallNode, CallTrees, Detail, RuntimeEvent, walk
from hypervisor.types import METHOD_CONSTRUCTOR, ActorID

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


def call_trace(
    frames: Sequence[EthereumFrame], code_at: CodeAt, *, only_top_call: bool, with_log: bool, first_log: int = 0
) -> dict[str, Any]:
    """Return frames as a tree; `only_top_call` omits subframes, `with_log` adds the logs of successful frames.

    The indices of logs begin at `first_log`, and count those of omitted subframes.
    """
    shown: dict[tuple[int, ...], dict[str, Any]] = {}
    failed: set[tuple[int, ...]] = set()
    index = first_log
    for frame, entry in in_order(frames):
        above, position = frame.position[:-1], frame.position
        is_shown = not (only_top_call and position)
        if entry is None:
            if frame.exit_code or above in failed:
                failed.add(position)
            if is_shown:
                shown[position] = _frame_json(frame, code_at)
            if position and is_shown:
                shown[above].setdefault("calls", []).append(shown[position])
        elif with_log and position not in failed:
            if is_shown:
                calls = 0 if only_top_call else entry.position
                shown[position].setdefault("logs", []).append(_log_json(entry, index, calls))
            index += 1
    return shown[()]


def in_order(frames: Sequence[EthereumFrame]) -> list[tuple[EthereumFrame, FrameLog | None]]:
    """Return the frames and their logs in the order of execution; None stands for the frame itself."""
    found: list[tuple[tuple[float, ...], EthereumFrame, FrameLog | None]] = []
    for frame in frames:
        found.append((frame.position, frame, None))
        found += (((*frame.position, entry.position - 0.5), frame, entry) for entry in frame.logs)
    found.sort(key=itemgetter(0))
    return [(frame, entry) for _, frame, entry in found]


def failure(frame: EthereumFrame) -> str:
    """Return geth's text for the failure of a frame."""
    if frame.native and frame.exit_code > ExitCode.SYS_OUT_OF_GAS:
        return f"actor error: {exit_name(frame.exit_code, native=True)}"
    text = failure_text(frame.exit_code, frame.message, creates=frame.creates)
    return text or f"actor error: {exit_name(frame.exit_code)}"


def revert_reason(data: bytes) -> str | None:
    """Return geth's text for one of Solidity's built-in errors, None for other revert data."""
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
        output = created_code(frame, code_at)
    if output:
        shown["output"] = _data(output)
    if frame.exit_code:
        shown["error"] = failure(frame)
        reason = revert_reason(frame.output) if shown["error"] == REVERTED else None
        if reason:
            shown["revertReason"] = reason
    return shown


def created_code(frame: EthereumFrame, code_at: CodeAt) -> bytes:
    """Return the code that a creation has deployed, of one that the trace does not contain the code afterwards."""
    if frame.to is None:
        return frame.output
    return code_at(frame.to) if frame.code is None else frame.code


def _log_json(entry: FrameLog, index: int, position: int) -> dict[str, Any]:
    return {
        "address": _data(entry.address),
        "topics": [_data(topic) for topic in entry.log.topics],
        "data": _data(entry.log.data),
        "index": hex(index),
        "position": hex(position),
    }


def _data(data: bytes) -> str:
    return "0x" + data.hex()


_SELECTOR = 4


def selectors(frames: Sequence[EthereumFrame]) -> dict[str, int]:
    """Return the number of function calls in frames by `0xSELECTOR-SIZE`; creations are none."""
    calls = [frame.input for frame in frames if not frame.creates and len(frame.input) >= _SELECTOR]
    return dict(Counter(f"0x{data[:_SELECTOR].hex()}-{len(data) - _SELECTOR}" for data in calls))


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


def flat_trace(frame: EthereumFrame) -> dict[str, Any]:
    """Return a frame in the flat format."""
    position: dict[str, Any] = {"subtraces": frame.subframes, "traceAddress": list(frame.position)}
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


_PARITY_ERRORS: Final = {
    "contract creation code storage out of gas": "Out of gas",
    "out of gas": "Out of gas",
    UINT64_OVERFLOW: "Out of gas",
    "invalid jump destination": "Bad jump destination",
    REVERTED: "Reverted",
    "return data out of bounds": "Out of bounds",
    "stack limit reached 1024 (1023)": "Out of stack",
}
_PARITY_PREFIXES: Final = {
    "out of gas:": "Out of gas", "invalid opcode": "Bad instruction", "stack underflow": "Stack underflow"
}  # fmt: skip


def geth_flat_trace(frame: EthereumFrame, code_at: CodeAt, *, parity_errors: bool) -> dict[str, Any]:
    """Return a frame in geth's variant of the flat format, with its own error texts unless `parity_errors`."""
    shown = flat_trace(frame)
    if frame.creates:
        shown["action"]["creationMethod"] = frame.kind.lower()
    if frame.kind == SELFDESTRUCT:
        del shown["result"]
    elif frame.exit_code:
        error = failure(frame)
        shown["error"] = _parity_error(error) if parity_errors else error
        if error != REVERTED:
            del shown["result"]
        else:
            shown["result"].pop("address", None)
    elif frame.creates and not frame.native:
        shown["result"]["code"] = _data(created_code(frame, code_at))
    return shown


def _parity_error(error: str) -> str:
    prefixed = (parity for start, parity in _PARITY_PREFIXES.items() if error.startswith(start))
    return _PARITY_ERRORS.get(error) or next(prefixed, error)


_SLOTS: Final = (0x54, 0x55)  # SLOAD, SSTORE
_CALLS: Final = (0xF1, 0xF2, 0xF4, 0xFA)
_SELFDESTRUCT: Final = 0xFF
_ADDRESSES: Final = {0x31: 1, 0x3B: 1, 0x3C: 1, 0x3F: 1, 0xFF: 1, **dict.fromkeys(_CALLS, 2)}
"""Position of an address argument from the top of the stack: BALANCE, EXTCODE..., SELFDESTRUCT, calls."""

MAX_STEPS: Final = 1_000_000


def limit_steps(steps: int) -> None:
    """Raise LogTooLong if a tracer has seen more than the maximum of instructions."""
    if steps > MAX_STEPS:
        raise LogTooLong(f"the transaction has more than {MAX_STEPS} instructions, the maximum for this tracer")


class TouchedAccounts(CallTrees):
    """A tracer that collects accessed accounts and slots. Raises LogTooLong after a million instructions."""

    detail = Detail.STEPS

    def __init__(self) -> None:
        super().__init__()
        self.named: dict[EthAddress, None] = {}
        """Addresses that instructions accessed, in order; creations access none."""
        self._targets: dict[EthAddress, None] = {}
        self._slots: dict[ActorID, set[int]] = {}
        self._steps = 0
        self._last: EvmStep | None = None
        """The last instruction, until it has not failed."""
        self._destroyed: set[ActorID] = set()

    def _begin(self, node: CallNode) -> None:
        self._record()
        super()._begin(node)

    def _end(self, event: CallEnded) -> None:
        self._record()
        super()._end(event)

    def step(self, event: RuntimeEvent, /) -> None:
        """Record the slots and addresses that an instruction accesses, unless it fails."""
        if isinstance(event, EvmFault):
            self._last = None
        elif isinstance(event, EvmStep):
            self._record()
            self._last = event
            self._steps += 1
            limit_steps(self._steps)

    def _record(self) -> None:
        event, self._last = self._last, None
        if event is None:
            return
        actor, operand = self._open[-1].actor, _ADDRESSES.get(event.opcode)
        if operand is not None and len(event.stack) >= operand:
            address = word_to_address(event.stack[-operand])
            self.named[address] = None
            if event.opcode in _CALLS:
                self._targets[address] = None
            elif event.opcode == _SELFDESTRUCT and actor is not None:
                self._destroyed.add(actor)
        elif event.opcode in _SLOTS and event.stack and actor is not None:
            self._slots.setdefault(actor, set()).add(event.stack[-1])

    def destroyed(self, *, created: bool) -> set[EthAddress]:
        """Return the contracts that ran SELFDESTRUCT; with `created` only those that the transaction created."""
        found = set[EthAddress]()
        for call in walk(self.roots):
            address = call.delegated or call.start.to
            if call.actor in self._destroyed and (not created or call.start.method == METHOD_CONSTRUCTOR):
                ethereum = from_delegated(address)
                if ethereum is not None:
                    found.add(ethereum)
        return found

    def targets(self) -> Iterable[EthAddress]:
        """Return the addresses that were called, with the code of themselves or of their EIP-7702 delegates."""
        called = (from_delegated(call.start.to) for call in walk(self.roots))
        return dict.fromkeys((*(address for address in called if address is not None), *self._targets))

    def accounts(self, directory: Directory) -> dict[EthAddress, set[int]]:
        """Return the accessed accounts with their accessed slots; the directory is that of the final state."""
        found: dict[EthAddress, set[int]] = {}
        calls = list(walk(self.roots))
        ran = {call.actor: call.delegated for call in calls if call.delegated is not None}
        for address in (address for call in calls for address in (Address.id(call.start.from_), call.start.to)):
            actor = directory.lookup(address)
            ethereum = from_delegated(address)
            if ethereum is None and actor is not None:  # the final state lacks the names of destroyed actors
                ethereum = to_ethereum(actor, directory.delegated_address(actor) or ran.get(actor))
            if ethereum is not None:
                found.setdefault(ethereum, set()).update(self._slots.get(actor, ()) if actor is not None else ())
        refused = (item for call in calls for item in call.items if isinstance(item, CreationCollision | FundsMissing))
        for named in (*self.named, *(item.address for item in refused)):
            found.setdefault(named, set())
        return found
