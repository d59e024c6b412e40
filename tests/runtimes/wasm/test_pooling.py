"""Places for instances: what a guest leaves in one the next does not find, and who gets none runs all the same.

That a guest cannot tell is shown beside the plain boundary, whose engine has no slots.
"""

import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from hypervisor.kernel import Kernel
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Receipt
from runtimes.wasm import runtime
from runtimes.wasm.boundary import RawBoundary, ResolvedModule
from runtimes.wasm.module.encode import GAS_EXPORT, instrument
from runtimes.wasm.module.parser import parse_module
from runtimes.wasm.modules import GuestModules
from runtimes.wasm.syscalls.abi import SYSCALL_REVISIONS
from runtimes.wasmtime.cache import ModuleCache
from runtimes.wasmtime.engine import GUEST_SETTINGS, POOL_SIZE, CompiledModule, WasmtimeEngine, can_reserve
from runtimes.wasmtime.instance import Instance
from runtimes.wasmtime.raw import library
from tests.runtimes.wasm.guests import guest, install_and_call, wasm
from tests.runtimes.wasm.test_raw import on_a_thread

NO_KERNEL = cast(Kernel, None)
PAGE = 1 << 16

pytestmark = pytest.mark.skipif(not can_reserve(POOL_SIZE), reason="address space is limited: there is no pool")

# Memory in three pages, a global, a table: each is looked at (1 where it is not as declared) and then spoilt.
SPOILER = wasm("""(module
    (memory (export "memory") 2)
    (global $count (mut i64) (i64.const 7))
    (table 2 funcref) (elem (i32.const 0) $one $two)
    (type $number (func (result i32)))
    (data (i32.const 1000) "initial")
    (func $one (result i32) (i32.const 1))
    (func $two (result i32) (i32.const 2))
    (func (export "invoke") (param i32) (result i32) (local $found i32)
        (local.set $found (i32.ne (memory.size) (i32.const 2)))
        (local.set $found
            (i32.or (local.get $found) (i64.ne (i64.load (i32.const 999)) (i64.const 0x6c616974696e6900))))
        (local.set $found (i32.or (local.get $found) (i64.ne (i64.load (i32.const 131064)) (i64.const 0))))
        (local.set $found (i32.or (local.get $found) (i64.ne (global.get $count) (i64.const 7))))
        (local.set $found (i32.or (local.get $found)
            (i32.ne (call_indirect (type $number) (i32.const 1)) (i32.const 2))))
        (drop (memory.grow (i32.const 40)))
        (local.set $found (i32.or (local.get $found) (i64.ne (i64.load (i32.const 2700000)) (i64.const 0))))
        (memory.fill (i32.const 0) (i32.const 255) (i32.mul (memory.size) (i32.const 65536)))
        (global.set $count (i64.const -1))
        (if (i32.eqz (local.get 0)) (then unreachable))
        (local.get $found)))""")
CALLS_ITSELF = guest(
    """(i32.store (i32.const 0) (i32.load (i32.const 0)))
    (drop (call $message_context (i32.const 100)))
    (drop (call $send (i32.const 200) (i32.const 10) (i32.const 3) (i64.const 2) (i32.const 0) (i64.const 0)
        (i64.const 0) (i64.const -1) (i64.const 0)))
    (i32.const 0)""",
    "send.send",
    "vm.message_context",
    fields=r'(data (i32.const 10) "\00\e8\07")',  # f01000: the first actor of a test
)


def compiled(engine: WasmtimeEngine, module: bytes) -> CompiledModule:
    return engine.compile(instrument(parse_module(module)))


def used(linked: ResolvedModule, argument: int) -> int:
    """Return the result of a new instance; raises Trap."""
    invocation = linked.begin(NO_KERNEL, 1 << 29, 20_000)
    try:
        linked.instantiate(invocation)
        instance = invocation.instance
        assert instance.find_memory()
        assert instance.find_gas(GAS_EXPORT.encode())
        assert instance.find_function(b"invoke")
        instance.counter.value = 1 << 60
        return on_a_thread(lambda: instance.enter(argument))
    finally:
        linked.end(invocation)


def test_pooled_slot_is_cleared_between_guests() -> None:
    engine = WasmtimeEngine(library(), GUEST_SETTINGS, slots=1)
    boundary = RawBoundary(engine, SYSCALL_REVISIONS["v4"])
    spoiler = boundary.link(compiled(engine, SPOILER))
    reader = boundary.link(compiled(engine, guest("(i32.or (i32.load (i32.const 0)) (i32.load (i32.const 65532)))")))
    for ends_well in (1, 0, 1, 0, 1):
        if ends_well:
            assert used(spoiler, 1) == 0
        else:
            with pytest.raises(Exception, match="unreachable"):
                used(spoiler, 0)
        assert used(reader, 0) == 0


def test_instances_beyond_pool_capacity_run_unpooled() -> None:
    engine = WasmtimeEngine(library(), GUEST_SETTINGS, slots=2)
    linked = RawBoundary(engine, SYSCALL_REVISIONS["v4"]).link(compiled(engine, SPOILER))
    for _ in range(3):  # released slots are reused
        invocations = [linked.begin(NO_KERNEL, 1 << 29, 20_000) for _ in range(5)]
        for invocation in invocations:
            linked.instantiate(invocation)
        has_slots = [cast(Instance, invocation.instance).has_slot for invocation in invocations]
        assert has_slots == [True, True, False, False, False]
        assert all(invocation.instance.find_memory() for invocation in invocations)
        assert len({invocation.instance.memory()[0] for invocation in invocations}) == 5
        for invocation in invocations:
            linked.end(invocation)


def test_a_place_is_free_again_when_its_guest_could_not_be_made() -> None:
    engine = WasmtimeEngine(library(), GUEST_SETTINGS, slots=1)
    bad = wasm('(module (memory (export "memory") 1) (data (i32.const 65536) "x") (func))')
    linked = RawBoundary(engine, SYSCALL_REVISIONS["v4"]).link(compiled(engine, bad))
    for _ in range(3):
        invocation = linked.begin(NO_KERNEL, 1 << 29, 20_000)
        assert cast(Instance, invocation.instance).has_slot
        with pytest.raises(Exception, match="out of bounds"):
            linked.instantiate(invocation)
        linked.end(invocation)


def receipt(boundary: str, module: bytes) -> tuple[Receipt, str, bytes]:
    with Hypervisor.open(options={"boundary": boundary}) as machine:
        result = install_and_call(machine, module)
        return result.receipt, result.message, machine.root


@pytest.mark.slow
def test_calls_deeper_than_instance_pool_give_same_receipt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "guest_engine", lambda: WasmtimeEngine(library(), GUEST_SETTINGS, slots=3))
    few = receipt("raw", CALLS_ITSELF)
    assert few == receipt("plain", CALLS_ITSELF)
    assert few[0].gas_used > 200 * 100_000, "the calls nest to some hundreds"


@pytest.mark.slow
def test_a_module_that_is_larger_than_a_place_runs_without_one() -> None:
    globals_ = "(global (mut i64) (i64.const 3))" * 70_000  # 16 bytes each of an instance, a place has a MiB
    module = guest("(drop (global.get 69999)) (i32.const 0)", fields=globals_)
    engine = WasmtimeEngine(library(), GUEST_SETTINGS, slots=2)
    large = compiled(engine, module)
    assert large.engine is engine.spare
    assert compiled(engine, SPOILER).engine is engine
    assert engine.deserialize(large.serialize()).engine is engine.spare
    assert used(RawBoundary(engine, SYSCALL_REVISIONS["v4"]).link(large), 0) == 0
    assert receipt("raw", module) == receipt("plain", module)


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (200 << 30, 200 << 30))
from hypervisor.machine.machine import Hypervisor
from runtimes.wasmtime.engine import guest_engine
from runtimes.wasmtime.engine import POOL_SIZE, can_reserve
assert not can_reserve(POOL_SIZE)
with Hypervisor.open():  # the constructors of the built-in actors have run
    assert not guest_engine().is_pooled
"""


@pytest.mark.slow
def test_process_with_limited_address_space_runs_without_pool() -> None:
    subprocess.run([sys.executable, "-c", LIMITED], check=True, timeout=120)


WITHOUT_MEMORY = """
import resource
from pathlib import Path
from store.cid import write_uvarint as unsigned
from runtimes.wasmtime.engine import guest_engine
def section(number, content):
    return bytes([number]) + unsigned(len(content)) + content
data = bytes(40 << 20)
large = (b"\\0asm" + bytes([1, 0, 0, 0]) + section(5, bytes([1, 0]) + unsigned(len(data) >> 16))
    + section(11, bytes([1, 0, 0x41, 0, 0x0B]) + unsigned(len(data)) + data))
engine = guest_engine()
artifact = engine.compile(large).serialize()
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (20 << 20), resource.RLIM_INFINITY))
try:
    engine.deserialize(artifact)
except MemoryError as error:
    print(error)
"""


@pytest.mark.slow
def test_lack_of_memory_is_no_property_of_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MEMORY], check=True, timeout=120, capture_output=True, text=True
    )
    assert re.fullmatch(r"no memory for an actor's code \(.+\); raise the memory limit\n", done.stdout)


@pytest.mark.slow
def test_wasmtime_instance_shortage_is_fatal_not_actor_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receipt with exit 4 would be in the block, and other nodes would have another one."""
    engine = WasmtimeEngine(library(), GUEST_SETTINGS, slots=2)
    modules = GuestModules(engine, ModuleCache(None))
    monkeypatch.setattr(runtime, "_modules", lambda *_: modules)
    with Hypervisor.open() as machine:
        engine._free.append(None)  # one that wasmtime does not have
        result = install_and_call(machine, CALLS_ITSELF)
        assert result.exit_code == 10
        assert "an actor cannot be instantiated: " in str(result.fatal)


def test_threads_sharing_exhausted_pool_use_one_spare_engine() -> None:
    engine = WasmtimeEngine(library(), GUEST_SETTINGS, slots=2)
    linked = RawBoundary(engine, SYSCALL_REVISIONS["v4"]).link(compiled(engine, SPOILER))
    while engine.acquire_slot():
        pass
    everyone = threading.Barrier(8)

    def use(_: int) -> tuple[int, WasmtimeEngine]:
        everyone.wait(20)
        return used(linked, 1), engine.spare

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(use, range(8))) == {(0, engine.spare)}
