"""Invocations of a native actor: how they end, what they cost, and that they do not affect later ones.

Exit codes are ref-fvm's (fvm/src/call_manager, shared/src/error); gas is counted by hand from its price list.
"""

from __future__ import annotations

import threading
from math import ceil

import pytest

from hypervisor.address import Address
from hypervisor.machine import Hypervisor
from hypervisor.state_tree import ActorState
from hypervisor.tracing import GasCharged, Recorder
from hypervisor.types import ActorID, ChainEpoch
from store.cid import RAW, cid_of
from tests.runtimes.wasm.guests import FIRST_ID, call, data, guest, imports, install_actor, install_and_call, wasm

INVOKE, PAGE, THUNK = 75_000, 26_214.4, 56
EMPTY = INVOKE + PAGE + THUNK

OWN_ADDRESS = data(300, Address.id(FIRST_ID).to_bytes())
SEND_TO_SELF = (
    "(call $send (i32.const 0) (i32.const 300) (i32.const 3) (i64.const 2) (i32.const 0) (i64.const 0) (i64.const 0)"
    " (i64.const -1) (i64.const 0))"
)
EXIT = "(drop (call $exit {code} (i32.const 0) (i32.const 0) (i32.const 0))) unreachable"


@pytest.mark.parametrize(
    ("body", "exit_code", "words"),
    [
        ("(i32.const 0)", 0, ""),
        ("unreachable", 4, "unreachable"),
        ("(i32.div_u (i32.const 1) (i32.const 0))", 4, "division by zero"),
        ("(i32.div_s (i32.const 0x80000000) (i32.const -1))", 4, "overflow"),
        ("(i32.trunc_f64_u (f64.const nan))", 4, "not-a-number"),
        ("(i32.load (i32.const 65536))", 4, "memory access out of bounds"),
        ("(i64.store (i32.const 65529) (i64.const 1)) (i32.const 0)", 4, "memory access out of bounds"),
        ("(i32.load offset=0xffffffff (i32.const -1))", 4, "memory access out of bounds"),
        ("(memory.fill (i32.const 65535) (i32.const 0) (i32.const 2)) (i32.const 0)", 4, "memory access"),
        ("(call_indirect (result i32) (i32.const 9))", 4, "table access out of bounds"),
        ("(call_indirect (result i32) (i32.const 1))", 4, "null"),
        ("(call_indirect (result i64) (i32.const 0)) drop (i32.const 0)", 4, "another signature"),
        ("(i32.const 1)", 11, "block does not exist"),
        ("(i32.const -1)", 11, "block does not exist"),
    ],
)
def test_invocation_ends_with_exit_code_and_message(machine: Hypervisor, body: str, exit_code: int, words: str) -> None:
    table = "(table 2 funcref) (elem (i32.const 0) $f) (func $f (result i32) (i32.const 0))"
    result = install_and_call(machine, guest(body, fields=table))
    assert result.exit_code == exit_code
    assert words in result.message
    assert result.fatal is None


def test_the_parameters_are_block_1_and_may_be_returned(machine: Hypervisor) -> None:
    result = install_and_call(machine, guest("(local.get 0)"), params=b"\x81\x01")
    assert (result.exit_code, result.return_data) == (0, b"\x81\x01")
    assert install_and_call(machine, guest("(local.get 0)")).return_data == b""


@pytest.mark.parametrize(
    ("module", "exit_code"),
    [
        ('(module (memory (export "memory") 1) (func))', 5),
        ('(module (memory (export "memory") 1) (func) (global (export "invoke") i32 (i32.const 0)))', 5),
        (
            '(module (memory (export "memory") 1) (data (i32.const 65536) "x")'
            ' (func (export "invoke") (param i32) (result i32) (i32.const 0)))',
            4,
        ),
        (
            '(module (memory (export "memory") 1) (table 1 funcref) (elem (i32.const 1) 0)'
            ' (func (export "invoke") (param i32) (result i32) (i32.const 0)))',
            4,
        ),
    ],
)
def test_module_without_valid_entry_point_fails(machine: Hypervisor, module: str, exit_code: int) -> None:
    result = install_and_call(machine, wasm(module))
    assert result.exit_code == exit_code
    assert result.gas_used == ceil(INVOKE + PAGE)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (b"\0asm\x01\0\0\0", "no code"),
        (b"no module", "not a WASM module"),
        (guest("(i32.const 0)").replace(b"invoke", b"\xff\xff\xff\xff\xff\xff"), "UTF-8"),
    ],
)
def test_code_that_is_refused_is_fatal_once_it_is_on_chain(machine: Hypervisor, module: bytes, words: str) -> None:
    result = install_and_call(machine, module, gas_limit=10**9)
    assert (result.exit_code, result.gas_used) == (10, 10**9)
    assert result.fatal is not None
    assert words in str(result.fatal)
    assert f"f0{FIRST_ID}" in str(result.fatal)


def test_code_that_is_missing_is_fatal(machine: Hypervisor) -> None:
    machine.state_tree.set_actor(ActorID(FIRST_ID), ActorState(cid_of(b"nobody has this", RAW)))
    result = call(machine, Address.id(FIRST_ID), gas_limit=10**9)
    assert result.exit_code == 10
    assert result.fatal is not None


# --- gas --------------------------------------------------------------------------------------------------------


def test_empty_invocation_charges_call_page_and_entry(machine: Hypervisor) -> None:
    assert install_and_call(machine, guest("(i32.const 0)")).gas_used == ceil(EMPTY + 4)


def test_the_initial_memory_is_paid_for_by_the_page(machine: Hypervisor) -> None:
    assert install_and_call(machine, guest("(i32.const 0)", pages="17")).gas_used == ceil(
        INVOKE + 445_644.8 + THUNK + 4
    )


def test_a_table_is_paid_for_only_if_it_is_exported_as_table(machine: Hypervisor) -> None:
    for name, price in [("table", 3.2 * 100), ("__indirect_function_table", 0)]:
        module = guest("(i32.const 0)", fields=f'(table (export "{name}") 100 funcref)')
        assert install_and_call(machine, module).gas_used == ceil(EMPTY + 4 + price)


def test_a_limit_that_is_just_enough_is_enough(machine: Hypervisor) -> None:
    module = guest("(i32.const 0)")
    needed = install_and_call(machine, module).gas_used
    assert install_and_call(machine, module, gas_limit=needed).exit_code == 0
    short = install_and_call(machine, module, gas_limit=needed - 1)
    assert (short.exit_code, short.gas_used) == (7, needed - 1)


@pytest.mark.parametrize("limit", [1, 75_000, 101_214, 101_270, 200_000, 5_000_000])
def test_an_endless_loop_runs_out_of_gas_and_takes_all_of_it(machine: Hypervisor, limit: int) -> None:
    result = install_and_call(machine, guest("(loop (br 0)) unreachable"), gas_limit=limit)
    assert (result.exit_code, result.gas_used) == (7, limit)


def test_running_out_of_gas_wins_over_a_trap(machine: Hypervisor) -> None:
    body = "(drop (memory.grow (i32.const 5))) (i32.div_u (i32.const 1) (i32.const 0))"
    assert install_and_call(machine, guest(body)).exit_code == 4
    assert install_and_call(machine, guest(body), gas_limit=150_000).exit_code == 7


def test_a_limit_of_all_the_gas_there_can_be_is_no_trouble(machine: Hypervisor) -> None:
    result = install_and_call(machine, guest("(i32.const 0)"), gas_limit=(1 << 63) - 1)
    assert (result.exit_code, result.gas_used) == (0, ceil(EMPTY + 4))


def test_execution_is_charged_under_names() -> None:
    recorder = Recorder()
    with Hypervisor.open() as machine:
        machine.tracer = recorder
        install_and_call(machine, guest("(drop (call $enabled (i32.const 0))) (i32.const 0)", "debug.enabled"))
    charges = [event for event in recorder.events if isinstance(event, GasCharged)]
    assert [(charge.name, charge.milligas) for charge in charges[-4:]] == [
        ("wasm_memory_init", 26_214_400),
        ("wasm_exec", (THUNK + 12) * 1000),
        ("OnSyscall", 14_000_000),
        ("wasm_exec", 0),
    ]


# --- the start function ------------------------------------------------------------------------------------------

START = '(memory (export "memory") 1) (func $s {start}) (start $s)'
ANSWER = '(func (export "invoke") (param i32) (result i32) {body})'


def started(start: str, body: str = "(i32.const 0)", fields: str = "") -> bytes:
    return wasm(f"(module {imports('vm.exit', 'debug.enabled')} {START.format(start=start)} {fields}"
                f" {ANSWER.format(body=body)})")  # fmt: skip


def test_the_start_function_runs_before_invoke_and_is_paid_for(machine: Hypervisor) -> None:
    # golden vectors modules/loading/start-*: thunk 52 and one instruction each
    empty = install_and_call(machine, started(""))
    assert (empty.exit_code, empty.gas_used) == (0, ceil(EMPTY + 4 + 52))
    writes = started(
        "(i32.store8 (i32.const 0) (i32.const 9))", "(i32.load8_u (i32.const 0))", '(data (i32.const 0) "x")'
    )
    assert install_and_call(machine, writes).exit_code == 11  # block 9 does not exist: what start wrote was read


@pytest.mark.parametrize(
    ("start", "exit_code"), [("unreachable", 4), ("(call $s)", 4), ("(drop (i32.load (i32.const -1)))", 4)]
)
def test_a_start_function_that_traps_ends_the_invocation(machine: Hypervisor, start: str, exit_code: int) -> None:
    result = install_and_call(machine, started(start))
    assert result.exit_code == exit_code
    assert "cannot be instantiated" in result.message


def test_a_start_function_runs_out_of_gas(machine: Hypervisor) -> None:
    result = install_and_call(machine, started("(loop (br 0))"), gas_limit=500_000)
    assert (result.exit_code, result.gas_used) == (7, 500_000)


def test_syscall_in_start_function_is_fatal_but_machine_survives(machine: Hypervisor) -> None:
    # the reference's process ends here: the guest's memory is not known yet
    result = install_and_call(machine, started("(drop (call $enabled (i32.const 0)))"), gas_limit=10**9)
    assert (result.exit_code, result.gas_used) == (10, 10**9)
    assert "makes a syscall" in str(result.fatal)
    assert install_and_call(machine, started("")).exit_code == 0


# --- memory -----------------------------------------------------------------------------------------------------


def exits_with(expression: str) -> str:
    return EXIT.format(code=f"(i32.add (i32.const 100) {expression})")


@pytest.mark.parametrize(("pages", "answer"), [(0, 1), (1, 1), (8191, 1), (8192, -1), (65535, -1), (-1, -1)])
def test_memory_grows_to_512_mib_and_no_further(machine: Hypervisor, pages: int, answer: int) -> None:
    grow = f"(memory.grow (local.tee 1 (i32.const {pages})))"  # not directly a constant: charged when it runs
    result = install_and_call(machine, guest(exits_with(grow), "vm.exit", locals_="(local i32)"), gas_limit=10**15)
    assert result.exit_code == 100 + answer


def test_growth_is_paid_for_even_if_it_is_refused(machine: Hypervisor) -> None:
    body = "(drop (memory.grow (i32.const 8192))) (i32.const 0)"
    assert install_and_call(machine, guest(body)).gas_used == ceil(EMPTY + 12 + 8192 * PAGE)


def test_a_declared_maximum_holds(machine: Hypervisor) -> None:
    assert (
        install_and_call(machine, guest(exits_with("(memory.grow (i32.const 2))"), "vm.exit", pages="1 2")).exit_code
        == 99
    )


def test_the_calls_of_a_message_hold_2_gib_together(machine: Hypervisor) -> None:
    # Every level takes 512 MiB and calls itself; the fifth cannot be instantiated (exit 4), and each of the four
    # above adds 100 to the exit code that it sees.
    body = f"""(drop (memory.grow (i32.const 8191))) (drop {SEND_TO_SELF})
        {EXIT.format(code="(i32.add (i32.const 100) (i32.load (i32.const 0)))")}"""
    result = install_and_call(machine, guest(body, "vm.exit", "send.send", fields=OWN_ADDRESS))
    assert result.exit_code == 404
    # and the memory is given back: it works again, in the same machine
    assert call(machine, Address.id(FIRST_ID)).exit_code == 404


def test_callee_may_reuse_memory_freed_by_earlier_callee(machine: Hypervisor) -> None:
    install_actor(machine, guest("(drop (memory.grow (i32.const 8191))) (i32.const 0)"), FIRST_ID + 1)
    recipient = data(300, Address.id(FIRST_ID + 1).to_bytes())
    one_after_another = f"{'(drop ' + SEND_TO_SELF + ')'}" * 6 + "(i32.load (i32.const 0))"
    assert install_and_call(machine, guest(one_after_another, "send.send", fields=recipient)).exit_code == 0


# --- depth ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_calls_nest_to_depth_1024_then_limit_exceeded(machine: Hypervisor) -> None:
    # The innermost call sees LIMIT_EXCEEDED (3) and exits with 100; each one above adds 1.
    body = f"""(local.set 1 {SEND_TO_SELF})
        (if (local.get 1) (then {EXIT.format(code="(i32.add (i32.const 97) (local.get 1))")}))
        {EXIT.format(code="(i32.add (i32.const 1) (i32.load (i32.const 0)))")}"""
    result = install_and_call(machine, guest(body, "vm.exit", "send.send", fields=OWN_ADDRESS, locals_="(local i32)"))
    assert result.exit_code == 100 + 1023
    assert install_and_call(machine, guest("(i32.const 0)")).exit_code == 0


def greedy(depth: int, innermost: str) -> bytes:
    """An actor whose frames take 24 KB of native stack each and hardly any of the counted one: 3,000 numbers that a
    call may change, so that none of them can be loaded again."""
    numbers = range(1, 3001)
    load = " ".join(f"(local.set {place} (i64.load offset={8 * place} (i32.const 0)))" for place in numbers)
    add = " ".join(f"(i64.add (local.get {place}))" for place in numbers)
    deep = f"""(func $deep (param i32) (local {"i64 " * len(numbers)}) {load}
        (if (local.get 0) (then (call $deep (i32.sub (local.get 0) (i32.const 1)))) (else {innermost}))
        (i64.store (i32.const 0) (i64.const 0) {add}))"""
    body = f"(call $deep (i32.const {depth})) (i32.const 0)"
    return guest(body, "send.send", fields=OWN_ADDRESS + deep)


def test_native_stack_overflow_ends_in_trap(machine: Hypervisor) -> None:
    result = install_and_call(machine, greedy(400, ""))
    assert (result.exit_code, result.message) == (4, "call stack exhausted in deep (20 times)")


def test_nested_calls_may_each_take_nearly_all_the_native_stack(machine: Hypervisor) -> None:
    # about 3.6 MB a level, twenty levels and more, until the gas is out
    result = install_and_call(machine, greedy(150, f"(drop {SEND_TO_SELF})"), gas_limit=160_000_000)
    assert result.exit_code == 7


# --- nothing is left ----------------------------------------------------------------------------------------------


def test_every_invocation_begins_with_fresh_memory_and_globals(machine: Hypervisor) -> None:
    body = f"""(i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
        (global.set $g (i32.add (global.get $g) (i32.const 10)))
        {EXIT.format(code="(i32.add (i32.load (i32.const 0)) (global.get $g))")}"""
    module = guest(body, "vm.exit", fields='(global $g (mut i32) (i32.const 30)) (data (i32.const 0) "\\05")')
    assert [install_and_call(machine, module).exit_code for _ in range(3)] == [46, 46, 46]


@pytest.mark.slow
def test_machines_on_several_threads_do_not_meet() -> None:
    # the exit code is the machine's own epoch, asked for again and again
    body = f"""(loop (drop (call $context (i32.const 0)))
        (br_if 0 (i32.lt_u (local.tee 1 (i32.add (local.get 1) (i32.const 1))) (i32.const 2000))))
        {EXIT.format(code="(i32.load (i32.const 0))")}"""
    module = guest(body, "vm.exit", "network.context", locals_="(local i32)")
    answers: dict[int, list[int]] = {}
    with Hypervisor.open() as first:
        forks = {epoch: first.fork() for epoch in (101, 202, 303)}

        def work(epoch: int) -> None:
            machine = forks[epoch]
            machine.advance(epoch=ChainEpoch(epoch))
            answers[epoch] = [install_and_call(machine, module).exit_code for _ in range(3)]

        threads = [threading.Thread(target=work, args=(epoch,)) for epoch in forks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {epoch: [epoch] * 3 for epoch in (101, 202, 303)}
