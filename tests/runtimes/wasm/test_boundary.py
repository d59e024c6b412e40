"""The choice of the boundary, and the two of them against each other.

The fixture `machine` is over both, so the other files of this folder test each; here is what only a comparison shows.
"""

import pytest

from hypervisor.errors import InvalidInput, InvalidModule
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Receipt
from hypervisor.tracing import GasCharged, Recorder, TraceEvent
from runtimes.wasm.boundary import RawBoundary, selected_boundary
from runtimes.wasm.module.encode import instrument
from runtimes.wasm.module.parser import parse_module
from runtimes.wasm.plain import PlainBoundary
from runtimes.wasm.syscalls.abi import SYSCALL_REVISIONS
from runtimes.wasmtime.engine import guest_engine, own_engine
from store.cid import Cid
from tests.runtimes.wasm.guests import guest, imports, install_and_call, wasm

# One guest that crosses the boundary in every way: all widths of arguments, results, pointers at the very end of
# memory and behind it, growth between two syscalls, error numbers.
CROSSINGS = """
    (drop (call $context (i32.const 0)))
    (drop (call $context (i32.const 65492)))
    (drop (call $context (i32.const 65493)))
    (drop (call $context (i32.const -1)))
    (drop (call $charge (i32.const 65536) (i32.const 0) (i64.const 7)))
    (drop (call $charge (i32.const 65536) (i32.const 1) (i64.const 7)))
    (drop (memory.grow (i32.const 1)))
    (drop (call $charge (i32.const 65536) (i32.const 1) (i64.const 7)))
    (drop (call $block_create (i32.const 8) (i64.const 0x55) (i32.const 0) (i32.const 131072)))
    (drop (call $block_create (i32.const 8) (i64.const -1) (i32.const 0) (i32.const 1)))
    (drop (call $block_read (i32.const 16) (i32.const 1) (i32.const 5) (i32.const 131070) (i32.const 2)))
    (drop (call $block_read (i32.const 131070) (i32.const 1) (i32.const 5) (i32.const 0) (i32.const 2)))
    (drop (call $available (i32.const 24)))
    (drop (call $balance_of (i32.const 32) (i64.const -1)))
    (drop (call $get_code_cid_for_type (i32.const 32) (i32.const -1) (i32.const 64) (i32.const 100)))
    (drop (call $exit (i32.const 77) (i32.const 1) (i32.const 0) (i32.const 8)))
    unreachable"""
NAMES = (
    "network.context", "gas.charge", "ipld.block_create", "ipld.block_read", "gas.available", "actor.balance_of",
    "actor.get_code_cid_for_type", "vm.exit",
)  # fmt: skip


Told = tuple[tuple[Receipt, str, Cid], list[TraceEvent]]


def told(boundary: str, module: bytes, gas_limit: int) -> Told:
    """Receipt, words, state root and stream of one message."""
    recorder = Recorder()
    with Hypervisor.open(options={"boundary": boundary}) as machine:
        machine.tracer = recorder
        result = install_and_call(machine, module, gas_limit=gas_limit)
        return (result.receipt, result.message, machine.root), recorder.events


@pytest.mark.parametrize("gas_limit", [200_000_000, 2_600_000, 500_000, 130_000])
@pytest.mark.parametrize(
    "module",
    [
        guest(CROSSINGS, *NAMES),
        guest("(call $context (i32.const 0)) drop (i32.div_u (i32.const 1) (i32.const 0))", *NAMES),
        guest("(loop (drop (call $available (i32.const 0))) (br 0)) unreachable", *NAMES),
        guest("(drop (call $exit (i32.const 0) (i32.const 9) (i32.const 0) (i32.const 0))) unreachable", *NAMES),
        guest("(i32.const -1)", *NAMES),
        wasm('(module (memory (export "memory") 1) (data (i32.const 65536) "x") (func))'),
    ],
    ids=["crossings", "trap", "loop", "bad block", "bad return", "bad segment"],
)
def test_both_boundaries_tell_the_same_stream(module: bytes, gas_limit: int) -> None:
    assert told("raw", module, gas_limit) == told("plain", module, gas_limit)


def test_the_crossings_reach_their_end() -> None:
    (receipt, _, _), events = told("raw", guest(CROSSINGS, *NAMES), 200_000_000)
    assert receipt.exit_code == 77
    assert sum(isinstance(event, GasCharged) and event.name == "OnSyscall" for event in events) == 15


def test_the_boundary_is_chosen_by_option_then_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FVM_BOUNDARY", raising=False)
    assert selected_boundary({}) == "raw"
    monkeypatch.setenv("FVM_BOUNDARY", "plain")
    assert selected_boundary({}) == "plain"
    assert selected_boundary({"boundary": "raw"}) == "raw"
    with pytest.raises(InvalidInput, match="'fast' is not known: choose raw or plain"):
        selected_boundary({"boundary": "fast"})


@pytest.mark.parametrize("make", [RawBoundary, PlainBoundary])
@pytest.mark.parametrize(
    "text",
    [
        '(import "vm" "message_context" (func (param i32 i32) (result i32)))',
        '(import "vm" "message_context" (func (param i64) (result i32)))',
        '(import "vm" "message_context" (func (param i32)))',
        '(import "vm" "nothing" (func (param i32) (result i32)))',
    ],
)
def test_both_boundaries_refuse_unlinkable_imports(make: type[RawBoundary] | type[PlainBoundary], text: str) -> None:
    compiled = guest_engine().compile(wasm(f'(module {text} (memory (export "memory") 1))'))
    with pytest.raises(InvalidModule, match="cannot be linked"):
        make(guest_engine(), SYSCALL_REVISIONS["v4"]).link(compiled)


def test_the_plain_engine_has_the_settings_of_actors_engine() -> None:
    module = instrument(parse_module(guest("(i32.const 0)", *NAMES)))
    boundary = PlainBoundary(guest_engine(), SYSCALL_REVISIONS["v4"])
    boundary.link(guest_engine().compile(module))
    with pytest.raises(InvalidModule, match="WASM module"):
        boundary.link(own_engine().compile(module))


def test_a_module_of_another_revision_is_linked_by_its_own() -> None:
    # emit_event of machine version 3 takes one buffer, that of version 4 three
    old = wasm("""(module (import "event" "emit_event" (func (param i32 i32) (result i32)))
        (memory (export "memory") 1) (func))""")
    compiled = guest_engine().compile(instrument(parse_module(old)))
    for make in (RawBoundary, PlainBoundary):
        make(guest_engine(), SYSCALL_REVISIONS["v3"]).link(compiled)
        with pytest.raises(InvalidModule):
            make(guest_engine(), SYSCALL_REVISIONS["v4"]).link(compiled)


def test_imports_of_the_tests_are_those_of_the_abi() -> None:
    every = wasm(f'(module {imports("vm.exit", *NAMES[:-1])} (memory (export "memory") 1) (func))')
    RawBoundary(guest_engine(), SYSCALL_REVISIONS["v4"]).link(guest_engine().compile(instrument(parse_module(every))))
