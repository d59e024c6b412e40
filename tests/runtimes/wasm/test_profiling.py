"""Profiled guests, and their end when the profile is cancelled."""

import threading
import time

import pytest
from wasmtime import Config, Engine, Func, Global, Instance, Memory, Module, Store

from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.profile import profile_actors
from hypervisor.threads import GIL_POLICY, ExecutionThread, large_stacks
from runtimes.wasm.module.encode import GAS_EXPORT, instrument
from runtimes.wasm.module.parser import parse_module
from runtimes.wasm.profiling import HEAD, HELPERS, NODE, PROFILE_EXPORT, ROOT, STEPS, ProfilingEncoder
from tests.runtimes.wasm.guests import call, guest, install_actor, wasm

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
    """An instance in a store that counts instructions as fuel."""
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
