"""Depth of nested calls, their threads, interrupts, and memory of active calls."""

import signal
import threading
import time
from collections.abc import Callable

import pytest

from hypervisor.errors import OutOfGas, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel
from hypervisor.kernel.blocks import Block
from hypervisor.kernel.call import MAX_INSTANCE_MEMORY, MAX_TOTAL_MEMORY, Call, MemoryBudget
from hypervisor.machine.call_manager import MAX_CALL_DEPTH
from hypervisor.machine.registry import Outcome
from hypervisor.messages.address import Address
from hypervisor.types import METHOD_SEND, ActorID, BlockId, Gas, MethodNumber, TokenAmount
from store.cid import CBOR, RAW
from tests.hypervisor.world import SENDER, Notes, Script, World, refused, returning

METHOD = MethodNumber(2)


# --- depth ------------------------------------------------------------------------------------------------------------


def recursing(notes: Notes, then: Callable[[Kernel], None] | None = None) -> Script:
    """Return a script that calls itself until the machine rejects it."""

    def script(kernel: Kernel, _params: BlockId) -> None:
        try:
            kernel.send(Address.id(kernel.context.receiver), METHOD)
        except SyscallError as error:
            notes.add((kernel.calls.depth, error.number))
        if then:
            then(kernel)

    return script


def test_calls_nest_1024_deep_and_the_next_one_is_refused() -> None:
    world, notes = World(), Notes()
    result = world.send(world.actor(recursing(notes)))
    assert result.exit_code == 0
    assert notes.items == [(MAX_CALL_DEPTH, ErrorNumber.LIMIT_EXCEEDED)]
    assert len(world.runtime.invoked) == MAX_CALL_DEPTH == 1024


def test_refused_depth_is_free_and_bare_send_counts_as_call() -> None:
    world, notes = World(), Notes()

    def bottom(kernel: Kernel) -> None:
        if kernel.calls.depth == MAX_CALL_DEPTH:
            number = ErrorNumber.LIMIT_EXCEEDED
            notes.add(refused(number, kernel, lambda: kernel.send(SENDER, METHOD, gas_limit=1_000)))
            notes.add(refused(number, kernel, lambda: kernel.send(SENDER, METHOD_SEND)))

    assert world.send(world.actor(recursing(Notes(), bottom))).exit_code == 0
    assert notes.items == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize(("network", "stays"), [(18, True), (20, True), (21, False), (28, False)])
def test_refused_depth_leaks_call_gas_limit_before_nv21(network: int, stays: bool) -> None:
    """ref-fvm v3.14.1 call_manager/default.rs `send` returns before `pop_limit`; v4.8.4 `call_actor` pops always.

    The next return closes the leftover frame instead of its own, and the use outside of it is never added.
    """
    world, notes = World(network), Notes()

    def script(kernel: Kernel, _params: BlockId) -> None:
        bottom = kernel.calls.depth == MAX_CALL_DEPTH
        limit = 5_000 if bottom else None
        before = kernel.calls.gas.available
        try:
            kernel.send(Address.id(kernel.context.receiver), METHOD, gas_limit=limit)
        except SyscallError:
            notes.add((before, kernel.calls.gas.available))
            kernel.calls.gas.charge("OnTest", 1_000 * 1_000)

    result = world.send(world.actor(script), gas_limit=1_000_000_000)
    assert result.exit_code == 0
    ((before, after),) = notes.items
    assert after == (5_000 * 1_000 if stays else before)
    # The gas used outside of the frame is lost: inclusion and a thousand invocations.
    assert (result.gas_used == 1_000) is stays


@pytest.mark.slow
def test_depth_is_left_level_by_level_and_can_be_used_again() -> None:
    world, notes = World(), Notes()

    def again(kernel: Kernel) -> None:
        if kernel.calls.depth == 1000:
            notes.add(kernel.send(leaf, METHOD).exit_code)

    leaf = world.actor()
    deep = world.actor(recursing(Notes(), again))
    assert world.send(deep).exit_code == 0
    assert world.send(deep).exit_code == 0
    assert notes.items == [0, 0]


def test_failure_at_maximum_depth_reverts_every_level() -> None:
    world = World()
    leaf = world.actor()

    def script(kernel: Kernel, _params: BlockId) -> Outcome:
        kernel.send(leaf, METHOD_SEND, value=TokenAmount(1))
        try:
            return Outcome(kernel.send(Address.id(kernel.context.receiver), METHOD).exit_code)
        except SyscallError:
            return Outcome(33)

    at = world.actor(script, balance=5_000)
    assert world.send(at, gas_limit=Gas(10**12)).exit_code == 33
    assert (world.balance(at), world.balance(leaf)) == (5_000, 0)


def test_gas_that_runs_out_at_the_bottom_unwinds_every_level() -> None:
    world = World()
    at = world.actor(recursing(Notes(), lambda kernel: kernel.gas.charge("Test", 10**18)))
    result = world.send(at)
    assert (result.exit_code, result.gas_used) == (7, 10_000_000_000)


def test_calls_run_on_new_thread_every_eight_levels() -> None:
    world, idents = World(), []

    def script(kernel: Kernel, _params: BlockId) -> None:
        idents.append(threading.get_ident())
        if kernel.calls.depth < 20:
            kernel.send(Address.id(kernel.context.receiver), METHOD)

    world.send(world.actor(script))
    assert threading.get_ident() not in idents
    blocks = [idents[start : start + 8] for start in range(0, 20, 8)]
    assert [len(set(block)) for block in blocks] == [1, 1, 1]
    assert len(set(idents)) == 3


def test_interrupt_ends_message_and_leaves_state_unchanged() -> None:
    world, ended = World(), threading.Event()

    def script(kernel: Kernel, _params: BlockId) -> None:
        kernel.send(leaf, METHOD_SEND, value=TokenAmount(1))
        if kernel.calls.depth < 12:
            kernel.send(Address.id(kernel.context.receiver), METHOD)
            return
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        give_up = time.monotonic() + 20
        try:
            while time.monotonic() < give_up:  # like a guest in an endless loop that is charged continuously
                kernel.gas.charge("Test", 1)
        except OutOfGas:
            ended.set()
            raise

    leaf = world.actor()
    at = world.actor(script, balance=100)
    before = world.machine.root
    with pytest.raises(KeyboardInterrupt):
        world.send(at, gas_limit=Gas(1 << 60))
    assert ended.is_set()
    assert world.machine.root == before
    assert world.send(leaf, METHOD_SEND, value=TokenAmount(1)).exit_code == 0


# --- memory -----------------------------------------------------------------------------------------------------------


def test_memory_of_a_call_is_given_back_however_it_ends() -> None:
    world, notes = World(), Notes()

    def grow(kernel: Kernel, _params: BlockId) -> Outcome:
        assert kernel.memory.grow(0, 1 << 20)
        match kernel.context.method:
            case 3:
                return Outcome(16)
            case 4:
                raise SyscallError(ErrorNumber.NOT_FOUND, "x")
            case 5:
                kernel.gas.charge("Test", 10**15)
        return Outcome(0)

    child_at = world.actor(grow)

    def parent(kernel: Kernel, _params: BlockId) -> None:
        kernel.memory.grow(0, 100)
        for method in (2, 3, 5):
            kernel.send(child_at, MethodNumber(method), gas_limit=10_000_000)
            notes.add(kernel.memory.used)
        refused(ErrorNumber.NOT_FOUND, kernel, lambda: kernel.send(child_at, MethodNumber(4)))
        notes.add(kernel.memory.used)

    assert world.send(world.actor(parent)).exit_code == 0
    assert notes.items == [100] * 4


def test_an_instance_grows_to_512_mib_and_all_of_them_to_2_gib() -> None:
    assert (MAX_INSTANCE_MEMORY, MAX_TOTAL_MEMORY) == (512 << 20, 2 << 30)
    budget = MemoryBudget()
    assert not budget.grow(0, (512 << 20) + 1)
    for _ in range(4):
        assert budget.grow(0, 512 << 20)
    assert not budget.grow(0, 1)
    assert budget.used == 2 << 30
    assert not budget.grow(1 << 20, (1 << 20) + 1)
    assert budget.grow(5, 5)


# --- blocks passed by callers -----------------------------------------------------------------------------------------


def test_a_call_manager_takes_calls_from_outside_any_actor() -> None:
    world = World()
    to = world.actor(returning(b"answer", RAW))
    calls = world.calls()
    result = calls.send(Call(ActorID(100), to, METHOD, Block(CBOR, b"\x80")))
    assert (result.exit_code, result.block) == (0, Block(RAW, b"answer"))
    assert (calls.depth, calls.invocations) == (0, 1)
    with pytest.raises(OutOfGas):
        world.calls(limit=10).send(Call(ActorID(100), to, METHOD))
