"""Views of a stopped execution as plain data: calls, instruction, memory, syscalls, state by schema, gas.

For editors, the variables of a frame are a tree whose branches are computed when opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

from bridge.evm_steps import EvmStep
from bridge.filecoin.cbor import ParamsError
from bridge.filecoin.parameters import ConstructorParams, DelegateCallParams, calldata_of
from hypervisor.errors import HypervisorError, InvalidInput, SyscallError
from hypervisor.exit_codes import ErrorNumber, exit_meaning
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.machine.registry import NATIVE, runtime_of_code
from hypervisor.state.state_tree import ActorState, StateTree
from hypervisor.text import printable, show_fil
from hypervisor.types import METHOD_CONSTRUCTOR
from hypervisor_tools.debugger.breakpoints import argument_names
from hypervisor_tools.debugger.execution import MarkKind, OpenCall, StopSite
from hypervisor_tools.debugger.session import Session
from localnet.state.actor_interfaces import StoredSchemas
from localnet.state.controls import state_with_storage
from localnet.state.inspection import StateInspector, parse_address
from store.blockstore import StoreError
from store.schema import SchemaError
from store.trees.kamt import Kamt

WORD: Final = 32
MAX_BYTES: Final = 1 << 16
"""Maximum number of bytes of memory shown at once."""
MAX_SLOTS: Final = 256
_DELEGATE: Final = 6


@dataclass(frozen=True, slots=True)
class FrameView:
    """An open call. `number` is 0 for the innermost call; `path` and `line` are its source position."""

    number: int
    runtime: str
    callee: str
    method: str
    where: str
    path: str = ""
    line: int = 0

    @property
    def title(self) -> str:
        """One-line description of the call."""
        return f"{self.runtime or '-':<4} {self.callee} {self.method}"


def frames(session: Session) -> list[FrameView]:
    """Return the open calls, innermost first."""
    site, calls = session.site, session.listener.calls
    return [_frame(session, site, call, number) for number, call in enumerate(reversed(calls))]


def frame(session: Session, number: int) -> FrameView:
    """Return the view of an open call; number 0 is the innermost. Raises InvalidInput."""
    return _frame(session, session.site, call_of(session, number), number)


def call_of(session: Session, number: int) -> OpenCall:
    """Return an open call; number 0 is the innermost. Raises InvalidInput."""
    session.check_open()
    calls = session.listener.calls
    if not 0 <= number < len(calls):
        raise InvalidInput(f"there is no frame {number}: expected 0 to {len(calls) - 1}")
    return calls[-1 - number]


def _frame(session: Session, site: StopSite, call: OpenCall, number: int) -> FrameView:
    decoded = session.names.describe_call(call)
    actor = session.names.actor(call)
    callee = str(call.node.start.to) if actor is None else session.names.address(actor)
    line = session.sources.of(call).line(call.counter) if site.mark is None or number else None
    return FrameView(
        number,
        call.node.runtime,
        f"{callee} {decoded.callee}",
        decoded.function + decoded.arguments,
        _where(session, site, call, number),
        *(line or ("", 0)),
    )


def source_file(session: Session, number: int) -> Path | None:
    """Return the source file of a frame's line, if it exists in the contract's project."""
    call = call_of(session, number)
    lines = session.sources.of(call)
    line = lines.line(call.counter)
    if line is None or lines.contract is None:
        return None
    root = lines.contract.folder.resolve().parent
    file = (root / line[0]).resolve()
    return file if file.is_relative_to(root) and file.is_file() else None


def _where(session: Session, site: StopSite, call: OpenCall, number: int) -> str:
    if number == 0 and site.mark is MarkKind.CALL:
        return "begins"
    end = call.node.end
    if end is not None:
        return f"ends: {end.error or f'exit {exit_meaning(end.exit_code, native=call.evm is None)}'}"
    if call.syscall is not None:
        return syscall_text(session, call)
    if call.counter < 0:
        return "runs"
    found = session.sources.of(call).line(call.counter)
    line = f"{found[0]}:{found[1]} " if found else ""
    code = b"" if call.evm is None else call.evm.code
    if runtime_of_code(code) != NATIVE:  # no opcodes of the EVM; a caller's instruction would be executed again
        return f"{line}pc {call.counter} {printable(call.read_step().name) if call.read_step else ''}".rstrip()
    return f"{line}pc {call.counter} {opcode_name(code[call.counter] if call.counter < len(code) else 0)}"


def opcode_name(number: int) -> str:
    """Return the name of an opcode."""
    from runtimes.evm.forks import LATEST_FORK

    known = LATEST_FORK.opcodes.get(number)
    return f"opcode 0x{number:02x}" if known is None else known.name


def syscall_text(session: Session, call: OpenCall) -> str:  # `session` is unused: all views have the same signature
    """Describe the syscall that a native actor makes, with its parameters."""
    if call.syscall is None:
        return "no syscall"
    names = argument_names(call.syscall.name)
    arguments = call.syscall.arguments
    shown = ", ".join(f"{name}={value}" for name, value in zip(names, arguments, strict=False))
    text = _pointed_data(call)
    return f"syscall {call.syscall.name}({shown}){f' {text}' if text else ''}"


def _pointed_data(call: OpenCall) -> str:
    """Return the text or bytes in memory that the offset and length parameters of a syscall delimit."""
    syscall = call.syscall
    if syscall is None or syscall.memory is None:
        return ""
    names = argument_names(syscall.name)
    shown: list[str] = []
    for at in range(min(len(names), len(syscall.arguments)) - 1):
        if names[at].endswith("offset") and names[at + 1].endswith("length"):
            try:
                data = syscall.memory.read(syscall.arguments[at], min(syscall.arguments[at + 1], WORD * 8))
            except SyscallError:
                continue
            text = data.decode("utf-8", "replace")
            shown.append(f'"{printable(text)}"' if data and text.isprintable() else f"0x{data.hex()}")
    return " ".join(shown)


def last_result(call: OpenCall) -> str:
    """Return the result of the last completed syscall."""
    if call.returned is None or call.result is None:
        return ""
    result = call.result
    if result.error:
        try:
            name = ErrorNumber(result.error).name
        except ValueError:
            name = str(result.error)
        return f"{call.returned.name} -> error {name}: {printable(result.message)}"
    return f"{call.returned.name} -> {'0x' + result.result.hex() if result.result else 'ok'}"


def memory(session: Session, number: int, offset: int, length: int) -> bytes:
    """Return bytes of a frame's memory, fewer than `length` at its end. Native actors need to be at a syscall."""
    call = call_of(session, number)
    length = max(0, min(length, MAX_BYTES))
    if call.syscall is not None and call.syscall.memory is not None:
        size = call.syscall.memory.follow()
        return call.syscall.memory.read(offset, min(length, size - offset)) if offset < size else b""
    step = session.instruction(call)
    if step is None:
        raise InvalidInput("memory is not available here: stop at an instruction of a contract, or at a syscall")
    return step.memory[offset : offset + length]


def step_of(session: Session, number: int) -> EvmStep:
    """Return the current instruction of a contract's frame. Raises InvalidInput for any other frame."""
    call = call_of(session, number)
    step = session.instruction(call) if call.node.end is None else None
    if step is None:
        raise InvalidInput(f"frame {number} is not at a contract's instruction")
    return step


def calldata(session: Session, number: int) -> bytes:
    """Return the calldata of a contract call. Raises InvalidInput for other calls."""
    call = call_of(session, number)
    start = call.node.start
    try:
        if not session.names.speaks_abi(call):
            raise InvalidInput(f"frame {number} is not a contract call: use `params` to show its parameters")
        if start.method == METHOD_CONSTRUCTOR:
            return ConstructorParams.decode(start.params).init_code
        if start.method == _DELEGATE:
            return DelegateCallParams.decode(start.params).calldata
        return calldata_of(start.params_codec, start.params) if start.params else b""
    except ParamsError as error:
        raise InvalidInput(f"the parameters do not have a contract's encoding: {error}") from None


@dataclass(frozen=True, slots=True)
class StorageView:
    """Storage words by slot. `following` is the first omitted slot, or None."""

    slots: Mapping[int, int]
    following: int | None = None

    @property
    def rest(self) -> str:
        """Return a hint about omitted slots."""
        return "" if self.following is None else f"more from slot 0x{self.following:x}: `storage 0x{self.following:x}`"


def storage(session: Session, number: int, first: int = 0) -> StorageView:
    """Return a contract's storage from slot `first` on.

    The result has up to `MAX_SLOTS` initial words, and all words written since.
    """
    call = call_of(session, number)
    if call.evm is None or call.node.actor is None:
        raise InvalidInput(f"frame {number} is not a contract call")
    machine, actor = session.subject.machine, call.node.actor
    state = StateTree(machine.store, session.subject.root).get_actor(actor)
    found = None if state is None else state_with_storage(machine, state)
    slots: dict[int, int] = {}
    if found is not None and found.storage is not None:
        slots = dict(islice(Kamt(machine.store, found.storage).items(first), MAX_SLOTS + 1))
    following = slots.popitem()[0] if len(slots) > MAX_SLOTS else None
    slots |= {key: word for key, word in session.written_words(call).items() if key >= first}
    return StorageView({key: word for key, word in slots.items() if word}, following)


def state(session: Session, address_text: str, path: str, limit: int = 100) -> Any:
    """Return the current value at `path` in an actor's state, decoded by its schema and ready for JSON."""
    machine = session.subject.machine
    session.check_open()
    address = parse_address(address_text)
    actor = machine.state_tree.lookup_id(address)
    found: ActorState | None = None if actor is None else machine.state_tree.get_actor(actor)
    if found is None:
        raise InvalidInput(f"there is no actor {address_text} here")
    inspector = StateInspector(machine.store, session.subject.root, StoredSchemas.of_machine(machine), machine.manifest)
    try:
        return inspector.read_state_path(address_text, found, [step for step in path.split("/") if step], limit)
    except (StoreError, SchemaError, ValueError) as error:
        raise InvalidInput(f"the state of {address_text} cannot be shown: {error}") from None


def parameters(session: Session, number: int) -> str:
    """Describe a call's method, parameters and value."""
    call = call_of(session, number)
    start = call.node.start
    decoded = session.names.describe_call(call)
    lines = [
        f"from     f0{start.from_}",
        f"to       {start.to} {decoded.callee}",
        f"method   {start.method} {decoded.function}",
        f"params   {decoded.arguments}",
        f"raw      0x{start.params.hex()}",
        f"value    {show_fil(start.value)}",
        f"gas      {start.gas_available // MILLIGAS_PER_GAS:,}{', read-only' if start.read_only else ''}",
    ]
    if call.node.end is not None:
        lines.append(f"result   {decoded.result or '0x' + call.node.end.return_data.hex()}")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class GasView:
    """Gas of a message and a call, in gas units: used so far, limit, and the call's charges by name, largest first."""

    used: float
    limit: float
    charges: Mapping[str, float]


def gas(session: Session, number: int) -> GasView:
    """Return the gas of the message and of a single call."""
    call, listener = call_of(session, number), session.listener
    charges = sorted(call.node.charges.items(), key=lambda item: -item[1])
    return GasView(
        listener.used_at(session.site) / MILLIGAS_PER_GAS,
        listener.limit / MILLIGAS_PER_GAS,
        {name: amount / MILLIGAS_PER_GAS for name, amount in charges},
    )


def safe_error_text(text: object) -> str:
    """Return an error or untrusted text on one line, with unprintable characters escaped."""
    return printable(str(text))


Branch = Callable[[], list["Variable"]]
_WORD: Final = 32
_MAX_BYTES: Final = 1 << 15
"""Maximum number of bytes shown in a branch."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable: its name, its value on one line, and its children."""

    name: str
    value: str
    below: Branch | None = None
    memory: str = ""
    """Memory reference of the value's bytes, as FRAME:OFFSET."""


def scopes(session: Session, number: int) -> list[Variable]:
    """Return the scopes of a frame."""
    call = call_of(session, number)
    found = [
        Variable("Call", "", lambda: _lines(parameters(session, number))),
        Variable("Gas", "", lambda: _gas(session, number)),
    ]
    if call.evm is not None:
        found += [
            Variable("Stack", "", lambda: _stack(session, number)),
            Variable("Memory", "", lambda: _word_rows("memory", step_of(session, number).memory, number)),
            Variable("Storage", "", lambda: _storage(session, number)),
            Variable("Calldata", "", lambda: _word_rows("calldata", calldata(session, number))),
        ]
    elif call.node.runtime:
        found.append(Variable("Syscall", "", lambda: _syscall(session, number)))
        found.append(Variable("Functions", "", lambda: _functions(session, number)))
        found.append(Variable("State", "", lambda: _state(session, number)))
    return found


def _lines(text: str) -> list[Variable]:
    return [Variable(name, value.strip()) for name, _, value in (line.partition(" ") for line in text.splitlines())]


def _gas(session: Session, number: int) -> list[Variable]:
    found = gas(session, number)
    rows = [Variable("message", f"{found.used:,.3f} of {found.limit:,.3f}")]
    return rows + [Variable(name, f"{amount:,.3f}") for name, amount in found.charges.items()]


def _stack(session: Session, number: int) -> list[Variable]:
    step = step_of(session, number)
    rows = [Variable("pc", f"{step.pc} {step.name}"), Variable("EVM gas", f"{step.gas:,}")]
    return rows + [Variable(str(index), hex(word)) for index, word in enumerate(reversed(step.stack))]


def _word_rows(command: str, data: bytes, frame: int | None = None) -> list[Variable]:
    """Return 32-byte words of `data`; with `frame`, as addressable memory of that frame."""
    rows = [
        Variable(hex(at), f"0x{data[at : at + _WORD].hex()}", memory="" if frame is None else f"{frame}:{at}")
        for at in range(0, min(len(data), _MAX_BYTES), _WORD)
    ]
    rest = len(data) - _MAX_BYTES
    return rows + [Variable("...", f"{rest:,} bytes more: `{command} {_MAX_BYTES} {rest}`")] * (rest > 0)


def _storage(session: Session, number: int) -> list[Variable]:
    found = storage(session, number)
    rows = [Variable(hex(key), hex(word)) for key, word in sorted(found.slots.items())]
    return rows + [Variable("...", found.rest)] * bool(found.rest)


def _syscall(session: Session, number: int) -> list[Variable]:
    call = call_of(session, number)
    return [Variable("now", syscall_text(session, call)), Variable("before", last_result(call))]


def _functions(session: Session, number: int) -> list[Variable]:
    names = session.functions(call_of(session, number))
    return [Variable(str(index), safe_error_text(name)) for index, name in enumerate(names)]


def _state(session: Session, number: int) -> list[Variable]:
    actor = session.names.actor(call_of(session, number))
    if actor is None:
        return []
    return tree(state(session, session.names.address(actor), ""))


def tree(value: Any) -> list[Variable]:
    """Return the parts of plain data."""
    if isinstance(value, Mapping):
        pairs = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list):
        pairs = [(str(index), item) for index, item in enumerate(value)]
    else:
        return [Variable("value", str(value))]
    return [
        Variable(name, f"{len(item)} parts", partial(tree, item))
        if isinstance(item, Mapping | list) and item
        else Variable(name, str(item))
        for name, item in pairs
    ]


def open_branch(branch: Branch) -> list[Variable]:
    """Return the variables of a branch, or one variable with the error text."""
    try:
        return branch()
    except (HypervisorError, StoreError) as error:
        return [Variable("-", safe_error_text(error))]
