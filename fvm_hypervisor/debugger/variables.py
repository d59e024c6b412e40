"""Variables of a frame, as a tree whose branches are computed when opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from fvm_hypervisor.debugger.session import Session
from fvm_hypervisor.debugger.views import (
    call_of,
    calldata,
    gas,
    last_result,
    parameters,
    safe_error_text,
    state,
    step_of,
    storage,
    syscall_text,
)
from hypervisor.errors import HypervisorError
from store.blockstore import StoreError

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
