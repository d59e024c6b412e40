"""Invocations of a native actor.

- Invocations of a native actor: how they end, what they cost, and that they do not affect later ones.
- A trap stays an exit code after other code replaced the process's signal handlers. Each in a separate process.
- Profiled guests, and their end when the profile is cancelled.

Errors, memory and charges from network version 21 on are those of the reference in tests/golden/modules.jsonl.gz.
"""

import ctypes
import subprocess
import sys
import threading
import time

import pytest
from wasmtime import Config, Engine, Func, Global, Instance, Memory, Module, Store

from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.profile import profile_actors
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState
from hypervisor.threads import GIL_POLICY, ExecutionThread, large_stacks
from hypervisor.tracing import GasCharged, Recorder
from hypervisor.types import ActorID, ChainEpoch
from runtimes.wasm.module.encode import GAS_EXPORT, instrument
from runtimes.wasm.module.parser import parse_module
from runtimes.wasm.profiled_code import HEAD, HELPERS, NODE, PROFILE_EXPORT, ROOT, STEPS, ProfilingEncoder
from runtimes.wasmtime.engine import TrapSignals, guest_engine
from store.cid import RAW, cid_of
from tests.runtimes.wasm.guests import FIRST_ID, call, data, guest, imports, install_actor, install_and_call, wasm

THUNK = 56

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
    assert words in result.message
    assert f"f0{FIRST_ID}" in result.message


def test_code_that_is_missing_is_fatal(machine: Hypervisor) -> None:
    machine.state_tree.set_actor(ActorID(FIRST_ID), ActorState(cid_of(b"nobody has this", RAW)))
    result = call(machine, Address.id(FIRST_ID), gas_limit=10**9)
    assert result.exit_code == 10
    assert result.fatal is not None


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


START = '(memory (export "memory") 1) (func $s {start}) (start $s)'
ANSWER = '(func (export "invoke") (param i32) (result i32) {body})'


def started(start: str, body: str = "(i32.const 0)", fields: str = "") -> bytes:
    return wasm(f"(module {imports('vm.exit', 'debug.enabled')} {START.format(start=start)} {fields}"
                f" {ANSWER.format(body=body)})")  # fmt: skip


@pytest.mark.parametrize(
    ("start", "exit_code"), [("unreachable", 4), ("(call $s)", 4), ("(drop (i32.load (i32.const -1)))", 4)]
)
def test_a_start_function_that_traps_ends_the_invocation(machine: Hypervisor, start: str, exit_code: int) -> None:
    result = install_and_call(machine, started(start))
    assert result.exit_code == exit_code
    assert "cannot be instantiated" in result.message


def test_syscall_in_start_function_is_fatal_but_machine_survives(machine: Hypervisor) -> None:
    # the reference's process ends here: the guest's memory is not known yet
    result = install_and_call(machine, started("(drop (call $enabled (i32.const 0)))"), gas_limit=10**9)
    assert (result.exit_code, result.gas_used) == (10, 10**9)
    assert "makes a syscall" in result.message
    assert install_and_call(machine, started("")).exit_code == 0


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
    results: dict[int, list[int]] = {}
    with Hypervisor.open() as first:
        forks = {epoch: first.fork() for epoch in (101, 202, 303)}

        def work(epoch: int) -> None:
            machine = forks[epoch]
            machine.advance(epoch=ChainEpoch(epoch))
            results[epoch] = [install_and_call(machine, module).exit_code for _ in range(3)]

        threads = [threading.Thread(target=work, args=(epoch,)) for epoch in forks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == {epoch: [epoch] * 3 for epoch in (101, 202, 303)}


PROGRAM = """
import faulthandler, os, signal, sys
from hypervisor import Hypervisor
from hypervisor.machine.machine import CreationFailed
import wasmtime

guests = {
    "unreachable": "unreachable",
    "memory": "(i32.load (i32.const -8))",
    "division": "(i32.div_u (i32.const 1) (local.get 0))",
}
with Hypervisor.open() as machine:
    for taken in (lambda: None, lambda: %s):
        for name, body in guests.items():
            wat = f'(module (memory (export "memory") 1) (func (export "invoke") (param i32) (result i32) {body}))'
            code = machine.install(bytes(wasmtime.wat2wasm(wat)))
            taken()
            try:
                machine.create(code)
            except CreationFailed as failed:
                print(name, failed.result.exit_code)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="wasmtime hears of traps in other ways here")
@pytest.mark.parametrize(
    "taken",
    [
        "faulthandler.enable(sys.__stderr__)",
        "(faulthandler.enable(sys.__stderr__), faulthandler.disable())",
        "signal.signal(signal.SIGSEGV, signal.SIG_DFL)",
        "[signal.signal(number, signal.SIG_DFL) for number in (signal.SIGILL, signal.SIGFPE)]",
    ],
)
def test_traps_are_exits_whoever_has_the_signals(taken: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM % taken], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split("\n")[:-1]) == (0, ["unreachable 4", "memory 4", "division 4"] * 2), (
        done.stderr
    )


@pytest.mark.skipif(sys.platform != "linux", reason="wasmtime hears of traps in other ways here")
def test_each_thread_is_answered_in_a_place_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared buffer could hold another thread's result."""
    guest_engine()
    signals, places = TrapSignals(), dict[str, set[int]]()
    ask = signals._sigaction

    def noted(number: object, change: object, place: object) -> None:
        places.setdefault(threading.current_thread().name, set()).add(ctypes.addressof(place))  # type: ignore[arg-type]  # a ctypes array
        ask(number, change, place)

    monkeypatch.setattr(signals, "_sigaction", noted)
    both = threading.Barrier(2)

    def look() -> None:
        signals.restore()
        both.wait(10)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(places) == len(set().union(*places.values())) == 2


ENDLESS = guest(
    "(drop (call $message_context (i32.const 200))) (loop $on (br $on)) (i32.const 0)", "vm.message_context"
)
TRILLION = 10**12
"""Gas for minutes of its loop."""
_SOON = 60.0


def test_computing_guest_stops_soon_after_profile_is_cancelled() -> None:
    with Hypervisor.open() as machine, profile_actors(machine) as recorder, GIL_POLICY.releasing():
        own, interrupted = ExecutionThread(), threading.Event()
        address = install_actor(machine, ENDLESS)

        def profile() -> None:
            own.adopt()
            with pytest.raises(KeyboardInterrupt):
                call(machine, address, gas_limit=TRILLION)
            interrupted.set()

        with large_stacks():
            thread = threading.Thread(target=profile, daemon=True)
            thread.start()
        invocations, end = recorder.open, time.monotonic() + _SOON
        while not (invocations and invocations[-1].syscall_ns) and time.monotonic() < end:
            time.sleep(0.01)  # its only syscall is over: it loops
        own.interrupt()
        assert interrupted.wait(_SOON)
        thread.join()
        assert not invocations


PLENTY = 10**12


def counting(module: bytes) -> tuple[Store, Instance]:
    config = Config()
    config.consume_fuel = True
    config.wasm_multi_memory = True
    engine = Engine(config)
    store = Store(engine)
    store.set_fuel(PLENTY)
    return store, Instance(store, Module(engine, module), [])


def steps_of(fan_out: int) -> tuple[int, list[tuple[int, int]]]:
    """Return the instructions of a call to `fan_out` empty functions in turn, and (caller, calls) of each node."""
    functions = " ".join(f"(func $f{number})" for number in range(fan_out))
    calls = " ".join(f"(call $f{number})" for number in range(fan_out))
    text = f"""(module (memory (export "memory") 1) {functions}
        (func (export "invoke") (param i32) (result i32) {calls} (i32.const 0)))"""
    store, instance = counting(instrument(parse_module(wasm(text)), encoder=ProfilingEncoder))
    exports = instance.exports(store)
    memory, counter, invoke = exports[PROFILE_EXPORT], exports[GAS_EXPORT], exports["invoke"]
    assert isinstance(memory, Memory)
    assert isinstance(counter, Global)
    assert isinstance(invoke, Func)
    memory.write(store, HEAD.pack(ROOT, ROOT + NODE.size, PLENTY))
    counter.set_value(store, PLENTY)
    before = store.get_fuel()
    assert invoke(store, 0) == 0
    steps = before - store.get_fuel()
    end = HEAD.unpack(memory.read(store, 0, HEAD.size))[1]
    nodes = NODE.iter_unpack(memory.read(store, ROOT + NODE.size, end))
    return steps, [(caller, count) for _, caller, _, _, _, count in nodes]


@pytest.mark.slow
def test_profiled_call_cost_is_independent_of_sibling_count() -> None:
    few, _ = steps_of(300)
    many, nodes = steps_of(3_000)
    assert nodes == [(ROOT, 1), *[(ROOT + NODE.size, 1)] * 3_000]
    assert many < 11 * few


@pytest.mark.slow
def test_profile_functions_sharing_hash_bucket_cost_only_probes() -> None:
    text = HELPERS.replace("(global (mut i64)", '(global (export "gas") (mut i64)')
    for helper in ("enter", "leave"):
        text = text.replace(f"(func ${helper}", f'(func ${helper} (export "{helper}")')
    text = text.replace("(memory 1) (memory", '(memory 1) (memory (export "profile")')
    store, instance = counting(wasm(text))
    exports = instance.exports(store)
    memory, enter, leave = exports["profile"], exports["enter"], exports["leave"]
    assert isinstance(memory, Memory)
    assert isinstance(enter, Func)
    assert isinstance(leave, Func)
    memory.write(store, HEAD.pack(ROOT, ROOT + NODE.size, 0))
    back = pow(0x85EBCA6B, -1, 1 << 32)  # the hash backwards: one bucket for all
    costs, functions = [], [low * back % (1 << 32) ^ ROOT * 0x9E3779B1 % (1 << 32) for low in range(1_000)]
    for function in functions * 2:
        before = store.get_fuel()
        leave(store, enter(store, function))
        costs.append(before - store.get_fuel())
    end = HEAD.unpack(memory.read(store, 0, HEAD.size))[1]
    nodes = list(NODE.iter_unpack(memory.read(store, ROOT + NODE.size, end)))
    assert [(function, count) for function, _, _, _, _, count in nodes] == [
        (function, 2) for function in functions[:STEPS]
    ]
    assert max(costs[STEPS:]) < 3 * costs[STEPS // 2]
