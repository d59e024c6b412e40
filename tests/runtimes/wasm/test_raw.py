"""The boundaries between guest and kernel.

- The rules of the raw boundary, one test each (the list is at the top of `runtimes.wasmtime.raw`).
- The choice of the boundary, and the two of them against each other.

The fixture `machine` is over both, so the other files of this folder test each; here is what only a comparison shows.
"""

import ctypes
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import pytest
import wasmtime

from hypervisor.errors import InvalidInput, InvalidModule
from hypervisor.kernel import Kernel
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Receipt
from hypervisor.threads import GIL_POLICY
from hypervisor.tracing import GasCharged, Recorder, TraceEvent
from runtimes.wasm.boundary import RawBoundary, selected_boundary
from runtimes.wasm.module.encode import GAS_EXPORT, instrument
from runtimes.wasm.module.parser import parse_module
from runtimes.wasm.plain import PlainBoundary, PlainInstance, PlainMemory
from runtimes.wasm.runtime import WasmRuntime
from runtimes.wasm.syscalls.abi import SYSCALL_REVISIONS
from runtimes.wasm.syscalls.invocation import GuestMemory
from runtimes.wasmtime import raw
from runtimes.wasmtime.engine import LinkedModule, Linker, WasmtimeEngine, guest_engine, own_engine
from runtimes.wasmtime.instance import GLOBAL, MEMORY, VALUE, ApiCounter, ContextOffsets, Instance
from runtimes.wasmtime.raw import HostFunction, Trap, WasmtimeUnusable, check_version, library
from store.cid import RAW, Cid, cid_of
from tests.runtimes.wasm.guests import call as call_actor
from tests.runtimes.wasm.guests import guest, imports, install_actor, install_and_call, probe, wasm

T = TypeVar("T")
I32 = b"\x7f"


@pytest.fixture
def boundary() -> str:
    return "raw"


def on_a_thread(work: Callable[[], T]) -> T:
    """Run on a thread of its own, as guests must."""
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001  # an error may not leave a callback
            errors.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def linked(text: str, host: Callable[[int, int, int, int], int] | None = None) -> LinkedModule:
    """A module with, perhaps, a host function `env.host` of (i32) -> i32."""
    engine = guest_engine()
    linker = Linker(engine)
    if host is not None:
        linker.define("env", "host", I32, I32, HostFunction(host))
    return linker.link(engine.compile(instrument(parse_module(wasm(text)))))


def enter(module: LinkedModule, argument: int = 0) -> int:
    return on_a_thread(lambda: enter_here(module, argument))


def enter_here(module: LinkedModule, argument: int = 0) -> int:
    instance = Instance(library(), guest_engine().pointer, 1 << 29, 20_000)
    try:
        instance.instantiate(module.pointer)
        assert instance.find_memory()
        assert instance.find_gas(GAS_EXPORT.encode())
        assert instance.find_function(b"invoke")
        instance.counter.value = 10**15
        return instance.enter(argument)
    finally:
        instance.close()


ECHO = """(module (import "env" "host" (func $host (param i32) (result i32))) (memory (export "memory") 1)
    (func (export "invoke") (param i32) (result i32) (call $host (local.get 0))))"""


def test_rule_1_hot_calls_and_callbacks_keep_the_gil() -> None:
    holds_the_gil = ctypes.PyDLL(None)._FuncPtr._flags_
    crossings: list[Any] = [library().call, library().global_get, library().caller_context, HostFunction]
    assert {crossing._flags_ for crossing in crossings} == {holds_the_gil}


LONG = """(module (memory (export "memory") 1) (func (export "invoke") (param i32) (result i32) (local $left i32)
    (local.set $left (i32.const 100000000))
    (loop (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.const 7)))"""


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True])
def test_rule_1_computing_guest_releases_gil_if_shared(shared: bool) -> None:
    module, ticks, done = linked(LONG), [time.perf_counter()], threading.Event()

    def tick() -> None:
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.0005)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        with GIL_POLICY.releasing() if shared else nullcontext():
            start, result, end = on_a_thread(lambda: (time.perf_counter(), enter_here(module), time.perf_counter()))
    finally:
        done.set()
        thread.join()
    assert result == 7
    times = [start, *(at for at in ticks if start < at < end), end]
    silence = max(after - before for before, after in pairwise(times))
    assert (silence < (end - start) / 2) == shared, (
        f"no other thread ran for {silence:.3f} of {end - start:.3f} seconds"
    )
    assert not GIL_POLICY.releases, "it ends with the block"


@pytest.mark.slow
def test_rule_1_guests_sharing_gil_make_syscalls_on_busy_threads() -> None:
    done, calls, before = threading.Event(), list[int](), sys.getswitchinterval()
    busy = [threading.Thread(target=lambda: [None for _ in iter(done.is_set, True)]) for _ in range(2)]

    def host(_: int, __: int, arguments: int, ___: int) -> int:
        calls.append(ctypes.c_uint32.from_address(arguments).value)
        return 0

    module = linked(ECHO, host)
    sys.setswitchinterval(0.0002)
    for thread in busy:
        thread.start()
    try:
        with GIL_POLICY.releasing(), GIL_POLICY.releasing():
            results = [enter(module, number) for number in range(50)]
    finally:
        done.set()
        sys.setswitchinterval(before)
        for thread in busy:
            thread.join()
    assert results == calls == list(range(50))


@pytest.mark.slow
def test_rule_1_compiling_lets_other_threads_run() -> None:
    bodies = "".join(f"(func (result i32) {'(i32.const 1) ' * 300} {'i32.add ' * 299})" for _ in range(400))
    module = wasm(f'(module (memory (export "memory") 1) {bodies})')
    ticks, done = [0], threading.Event()

    def tick() -> None:
        while not done.is_set():
            ticks[0] += 1
            time.sleep(0.0005)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        guest_engine().compile(module)
    finally:
        done.set()
        thread.join()
    assert ticks[0] > 5


@pytest.mark.parametrize("error", [ValueError("wrong"), KeyboardInterrupt(), SystemExit(3), MemoryError()])
def test_rule_2_syscall_exception_propagates_through_guest(
    machine: Hypervisor, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fails(_: Kernel) -> bool:
        raise error

    module = probe("(call $enabled (i32.const 8))", "debug.enabled")
    with monkeypatch.context() as patch:
        patch.setattr(Kernel, "debug_enabled", property(fails))
        with pytest.raises(type(error)):
            install_and_call(machine, module)
    assert install_and_call(machine, module).exit_code == 1000


def test_rule_3_a_guest_is_not_entered_on_the_main_thread() -> None:
    instance = Instance(library(), guest_engine().pointer, 1 << 20, 1)
    try:
        assert threading.current_thread() is threading.main_thread()
        with pytest.raises(RuntimeError, match="main thread"):
            instance.enter(0)
    finally:
        instance.close()


@pytest.mark.slow
def test_rule_3_ctrl_c_during_guest_raises_keyboard_interrupt(machine: Hypervisor) -> None:
    endless = guest("(loop (drop (call $enabled (i32.const 8))) (br 0)) (i32.const 0)", "debug.enabled")
    before = machine.root
    timer = threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT])
    address = install_actor(machine, endless)
    mark, interrupted = machine.root, False

    def call() -> None:
        """Run the interruptible part; an interrupt elsewhere in the process would end the whole test run."""
        nonlocal interrupted
        try:
            timer.start()
            call_actor(machine, address, gas_limit=10**13)
        except KeyboardInterrupt:
            interrupted = True
            raise
        finally:
            timer.join()

    with pytest.raises(KeyboardInterrupt):
        call()
    assert interrupted
    assert machine.root == mark != before
    assert install_and_call(machine, guest("(i32.const 0)")).exit_code == 0


@pytest.mark.slow
def test_rule_4_callbacks_live_as_long_as_linked_module() -> None:
    def host(_environment: int, _caller: int, arguments: int, _count: int) -> int:
        number = ctypes.c_int32.from_address(arguments)
        number.value = number.value * 2
        return 0

    module = linked(ECHO, host)
    del host
    gc.collect()
    assert enter(module, 21) == 42


def test_rule_5_a_grown_memory_is_seen_in_the_same_invocation(machine: Hypervisor) -> None:
    # the address, (00 64: f0100), lies in a page that is there only after the growth
    module = probe(
        "(call $resolve_address (i32.const 16) (i32.const 70000) (i32.const 2))",
        "actor.resolve_address",
        show=(16, 8),
        before="(drop (memory.grow (i32.const 1))) (i32.store16 (i32.const 70000) (i32.const 0x6400))",
    )
    result = install_and_call(machine, module)
    assert (result.exit_code, result.return_data) == (1000, (100).to_bytes(8, "little"))


def test_rule_5_memory_base_is_stable_when_grown_to_limit() -> None:
    places = []

    def host(_environment: int, _caller: int, _slots: int, _count: int) -> int:
        places.append(instance.memory())
        return 0

    growing = """(module (import "env" "host" (func $host (param i32) (result i32))) (memory (export "memory") 0)
        (func (export "invoke") (param i32) (result i32)
            (drop (call $host (i32.const 0))) (drop (memory.grow (i32.const 1))) (drop (call $host (i32.const 0)))
            (drop (memory.grow (i32.const 8191))) (call $host (i32.const 0))))"""
    module = linked(growing, host)
    instance = Instance(library(), guest_engine().pointer, 1 << 29, 20_000)
    instance.instantiate(module.pointer)
    assert instance.find_memory()
    assert instance.find_gas(GAS_EXPORT.encode())
    assert instance.find_function(b"invoke")
    instance.counter.value = 10**12
    on_a_thread(lambda: instance.enter(0))
    instance.close()
    (first, empty), (second, page), (third, all_) = places
    assert (empty, page, all_) == (0, 1 << 16, 512 << 20)
    assert first == second == third


def test_rule_6_memory_is_never_touched_outside_its_bounds() -> None:
    content = ctypes.create_string_buffer(b"\x11" * 100, 100)
    memory = GuestMemory(lambda: (ctypes.addressof(content), 64))
    for offset, length in [(0, 65), (64, 1), (65, 0), (1 << 32, 0), ((1 << 32) - 1, (1 << 32) - 1), (63, 2)]:
        with pytest.raises(Exception, match="out of bounds"):
            memory.read(offset, length)
        with pytest.raises(Exception, match="out of bounds"):
            memory.check(offset, length)
        if length < 100:
            with pytest.raises(Exception, match="out of bounds"):
                memory.write(offset, b"x" * length)
    assert memory.read(64, 0) == b""
    memory.write(60, b"good")
    assert content.raw == b"\x11" * 60 + b"good" + b"\x11" * 36


def test_rule_6_empty_memory_is_readable_only_at_offset_zero(machine: Hypervisor) -> None:
    empty = wasm(f"""(module {imports("debug.log", "vm.exit")} (memory (export "memory") 0)
        (func (export "invoke") (param i32) (result i32)
            (drop (call $exit (i32.const 77) (i32.const 0) (i32.const 0) (i32.const 0))) unreachable))""")
    assert install_and_call(machine, empty).exit_code == 77
    memory = GuestMemory(lambda: (0, 0))
    memory.write(0, b"")
    assert memory.read(0, 0) == b""


def test_rule_7_mismatched_import_signature_is_refused_at_link() -> None:
    other = ECHO.replace("(func $host (param i32) (result i32))", "(func $host (param i64) (result i32))")
    other = other.replace("(call $host (local.get 0))", "(call $host (i64.const 0))")
    with pytest.raises(InvalidModule, match="cannot be linked"):
        linked(other, lambda *_: 0)
    with pytest.raises(InvalidModule, match="cannot be linked"):
        linked(ECHO)


def test_rule_8_traps_and_errors_are_distinguished_and_freed() -> None:
    lib = library()
    freed: list[str] = []

    class Counting(raw.Library):
        def __init__(self) -> None:
            self.__dict__.update(lib.__dict__)
            self.error_delete = partial(self._delete, "error", lib.error_delete)
            self.trap_delete = partial(self._delete, "trap", lib.trap_delete)

        @staticmethod
        def _delete(kind: str, delete: Callable[[int], None], pointer: int) -> None:
            freed.append(kind)
            delete(pointer)

    counting = Counting()
    trap = counting.take_failure(0, lib.trap_new(raw.TRAP_UNREACHABLE))
    assert trap is not None
    assert (trap.code, str(trap), freed) == (9, "unreachable instruction executed", ["trap"])
    make = lib.bind("wasmtime_error_new", ctypes.c_size_t, ctypes.c_char_p)
    error = counting.take_failure(make(b"words"), 0)
    assert error is not None
    assert (error.code, str(error), freed) == (None, "words", ["trap", "error"])
    assert counting.take_failure(0, 0) is None
    ended = counting.take_failure(0, lib.trap_new(raw.TRAP_INTERRUPT))
    assert ended is not None
    assert (ended.code, str(ended), freed) == (None, "a host function ended the guest", ["trap", "error", "trap"])


def test_rule_8_a_trap_of_a_host_function_comes_back_as_a_trap() -> None:
    lib = library()
    module = linked(ECHO, lambda *_: lib.trap_new(raw.TRAP_UNREACHABLE))
    with pytest.raises(Trap) as caught:
        enter(module)
    assert caught.value.code == raw.TRAP_UNREACHABLE


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("(unreachable)", 9),
        ("(i32.div_u (i32.const 1) (local.get 0))", 7),
        ("(i32.div_s (i32.const 0x80000000) (i32.const -1))", 6),
        ("(i32.trunc_f64_s (f64.const 1e300))", 6),
        ("(i32.trunc_f64_s (f64.const nan))", 8),
        ("(i32.load (i32.const 65533))", 1),
        ("(call_indirect (result i32) (i32.const 7))", 3),
        ("(call_indirect (result i32) (i32.const 0))", 4),
        ("(call_indirect (result i32) (i32.const 1))", 5),
    ],
)
def test_the_names_of_traps_are_those_of_their_codes(body: str, code: int) -> None:
    module = linked(f"""(module (memory (export "memory") 1) (table 2 funcref) (elem (i32.const 1) $f) (func $f)
        (func (export "invoke") (param i32) (result i32) {body}))""")
    with pytest.raises(Trap) as caught:
        enter(module)
    assert (caught.value.code, str(caught.value)) == (code, raw.TRAP_NAMES[code])


def test_rule_9_another_version_of_wasmtime_is_refused() -> None:
    with pytest.raises(WasmtimeUnusable, match=r"wasmtime 49\.0\.0 is installed, this runtime needs 50\.0\.1"):
        check_version("49.0.0")
    check_version(raw.WASMTIME_VERSION)


BORROWED = """(module (import "env" "host" (func $host (param i32) (result i32))) (memory (export "memory") 1)
    (export "invoke" (func $host)))"""


@pytest.mark.parametrize(("text", "used"), [(ECHO, True), (BORROWED, False)], ids=["its own", "the host's"])
def test_rule_10_gas_counter_matches_wasmtime_api(text: str, used: bool) -> None:
    seen: list[int] = []

    def host(*_: int) -> int:
        seen.append(instance.counter.value)
        return 0

    module, offsets, before = linked(text, host), ContextOffsets(), 10**15
    for _ in range(2):  # the second one is not searched
        instance = Instance(library(), guest_engine().pointer, 1 << 29, 20_000, offsets=offsets)
        instance.instantiate(module.pointer)
        assert instance.find_function(b"invoke")
        assert instance.find_gas(GAS_EXPORT.encode())
        assert instance.export(GAS_EXPORT.encode(), 1, GLOBAL)
        told = ApiCounter(library(), instance.context, instance._at + 8 + 8 * GLOBAL, instance._words)
        instance._words[VALUE] = 1  # the kind of an i64
        instance.counter.value = before
        assert told.value == before
        on_a_thread(partial(instance.enter, 0))
        assert seen.pop() == told.value == instance.counter.value
        assert (told.value < before) == used
        told.value = -7
        assert instance.counter.value == -7
        instance.close()
    assert (offsets.gas > 0) == used


GROWING = """(module (import "env" "host" (func $host (param i32) (result i32))) (memory (export "memory") 2 9)
    (global (mut i64) (i64.const 1)) (table 3 funcref)
    (func (export "invoke") (param i32) (result i32) (drop (memory.grow (local.get 0))) (call $host (i32.const 0))))"""


@pytest.mark.parametrize(("text", "grown", "used"), [(GROWING, 7, True), (BORROWED, 1, False)], ids=["own", "host's"])
def test_rule_10_memory_matches_wasmtime_api(text: str, grown: int, used: bool) -> None:
    seen: list[tuple[int, int]] = []

    def host(*_: int) -> int:
        seen.extend((instance.memory(), instance._api_memory()))
        return 0

    module, offsets = linked(text, host), ContextOffsets()
    for _ in range(2):  # the second one is not searched
        instance = Instance(library(), guest_engine().pointer, 1 << 29, 20_000, offsets=offsets)
        instance.instantiate(module.pointer)
        assert instance.find_function(b"invoke")
        assert instance.find_gas(GAS_EXPORT.encode())
        assert instance.find_memory()
        assert instance.export(b"memory", 3, MEMORY)
        before = instance.memory()
        instance.counter.value = 10**15
        on_a_thread(partial(instance.enter, 5))
        assert seen.pop() == seen.pop() == instance.memory() == (before[0], grown << 16)
        instance.close()
    assert (offsets.memory > 0) == used


def test_negative_numbers_cross_the_boundary_unharmed() -> None:
    seen: list[int] = []

    def host(_environment: int, _caller: int, arguments: int, _count: int) -> int:
        seen.append(ctypes.c_int32.from_address(arguments).value)
        return 0

    module = linked(ECHO, host)
    assert enter(module, 0xFFFF_FFFF) == 0xFFFF_FFFF
    assert seen == [-1]


def test_own_engine_accepts_modules_guest_engine_rejects() -> None:
    simd = wasm('(module (func (export "f") (result v128) (v128.const i64x2 1 2)))')
    wide = wasm(
        '(module (func (export "f") (result i64 i64)'
        " (i64.add128 (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4))))"
    )
    for module in (simd, wide):
        own_engine().validate(module)
        with pytest.raises(InvalidModule):
            guest_engine().validate(module)


def test_compiled_code_of_one_engine_is_refused_by_the_other() -> None:
    artifact = own_engine().compile(wasm("(module (func))")).serialize()
    with pytest.raises(InvalidModule):
        guest_engine().deserialize(artifact)


def test_the_fingerprint_follows_every_setting() -> None:
    settings = dict(guest_engine().settings)
    changed = type(guest_engine().settings)(settings | {"cranelift_nan_canonicalization": False})
    other = WasmtimeEngine(library(), changed)
    assert len({guest_engine().fingerprint, own_engine().fingerprint, other.fingerprint}) == 3


def test_nan_has_one_bit_pattern_whatever_made_it() -> None:
    module = linked("""(module (memory (export "memory") 1) (func (export "invoke") (param i32) (result i32)
        (i32.reinterpret_f32 (f32.add (f32.reinterpret_i32 (i32.const 0x7fa00001)) (f32.const 1)))))""")
    assert enter(module) == 0x7FC00000


def test_live_invocations_are_forgotten(machine: Hypervisor) -> None:
    install_and_call(
        machine, guest("(drop (call $enabled (i32.const 0))) unreachable", "debug.enabled"), gas_limit=10**9
    )
    _, runtime = machine.registry.runtime_for(cid_of(b"", RAW))
    assert isinstance(runtime, WasmRuntime)
    for boundary in runtime._modules._boundaries.values():
        assert isinstance(boundary, RawBoundary)
        assert boundary.innermost == {}
        assert boundary.unattached_call_errors == {}


def test_an_error_in_another_guest_is_not_taken_for_ones_own(machine: Hypervisor) -> None:
    """Machines on several threads share a boundary."""
    trapping = guest("unreachable")
    assert install_and_call(machine, trapping).exit_code == 4
    _, runtime = machine.registry.runtime_for(cid_of(b"", RAW))
    assert isinstance(runtime, WasmRuntime)
    boundary = runtime._modules._boundaries[machine.context.network.rules.abi]
    assert isinstance(boundary, RawBoundary)
    boundary.unattached_call_errors[1] = LookupError("of a start function on another thread")
    try:
        assert install_and_call(machine, trapping).exit_code == 4
        assert boundary.unattached_call_errors.keys() == {1}
    finally:
        del boundary.unattached_call_errors[1]  # all machines of this process share it


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


@pytest.mark.slow
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


def test_plain_memory_is_bounded_by_the_wrappers_without_any_check() -> None:
    engine = wasmtime.Engine()
    instance = PlainInstance(wasmtime.Store(engine))
    instance.instantiate(wasmtime.Module(engine, '(module (memory (export "memory") 1))'), [])
    assert instance.find_memory()
    memory = PlainMemory(instance)
    assert memory.follow() == 65_536
    memory.data[65_532:65_536] = b"good"
    with pytest.raises(IndexError):
        memory.data[65_533:65_537] = b"good"
    assert memory.data[65_532:65_540].tobytes() == b"good"
    memory.data[65_536:65_536] = b""


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
