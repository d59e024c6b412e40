"""Interceptors: the calls they see, and how they respond to or change them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from hypervisor.exit_codes import ExitCode
from hypervisor.kernel import Kernel
from hypervisor.kernel.call import Backtrace, BacktraceFrame, Call, CallResult, Interceptor
from hypervisor.machine.call_manager import CallManager
from hypervisor.machine.registry import Outcome
from hypervisor.messages.address import Address
from hypervisor.messages.events import EventEntry, StampedEvent
from hypervisor.tracing import CallEnded, CallStarted, Recorder
from hypervisor.types import ActorID, BlockId, MethodNumber, TokenAmount
from store.cid import RAW
from tests.hypervisor.world import Notes, World, exiting, number_of, sends

METHOD = MethodNumber(2)


@dataclass
class Watcher:
    """Records the calls it sees; `change` responds to or changes the calls of an actor."""

    change: Callable[[CallManager, Call, Callable[[Call], CallResult]], CallResult] | None = None
    seen: list[tuple[ActorID, int]] = field(default_factory=list)
    is_armed: bool = True
    watched: frozenset[bytes] = frozenset()
    events: list[StampedEvent] = field(default_factory=list)

    def send(self, calls: CallManager, call: Call, proceed: Callable[[Call], CallResult]) -> CallResult:
        self.seen.append((call.from_, calls.depth))
        if self.change is not None and calls.depth == 1:
            return self.change(calls, call, proceed)
        return proceed(call)

    def on_event(self, calls: CallManager, event: StampedEvent) -> None:
        self.events.append(event)


def test_interceptor_sees_every_call_with_caller_depth() -> None:
    world, watcher = World(), Watcher()
    inner = world.actor(lambda kernel, params: None)
    middle = world.actor(sends(inner, METHOD))
    outer = world.actor(sends(middle, METHOD))
    world.machine.interceptor = watcher
    world.send(outer, METHOD)
    assert [depth for _, depth in watcher.seen] == [0, 1, 2]


def test_a_call_may_be_answered_without_being_made() -> None:
    world, notes = World(), Notes()
    callee = world.actor(exiting(40))
    caller = world.actor(lambda kernel, params: notes.add(kernel.send(callee, METHOD, value=TokenAmount(0)).exit_code))
    world.machine.interceptor = Watcher(lambda calls, call, proceed: CallResult(ExitCode.OK))
    world.send(caller, METHOD)
    assert notes.items == [0]


def test_a_call_may_be_made_in_another_name() -> None:
    world, notes = World(), Notes()

    def callee(kernel: Kernel, _: BlockId) -> None:
        notes.add(kernel.context.caller)

    at = world.actor(callee)
    caller = world.actor(sends(at, METHOD))
    world.machine.interceptor = Watcher(lambda calls, call, proceed: proceed(replace(call, from_=ActorID(1))))
    world.send(caller, METHOD)
    assert notes.items == [1]


def test_intercepted_call_is_traced_on_request() -> None:
    recorder = Recorder()
    world = World(tracer=recorder)
    callee = world.actor(lambda kernel, params: None)
    caller = world.actor(sends(callee, METHOD))
    world.machine.interceptor = Watcher(lambda calls, call, proceed: calls.trace_intercepted(call, CallResult(33)))
    world.send(caller, METHOD)
    started = [event for event in recorder.events if isinstance(event, CallStarted)]
    ended = [event.exit_code for event in recorder.events if isinstance(event, CallEnded)]
    assert (len(started), ended) == (2, [33, 33])  # the caller passes the exit code on


def test_events_are_reported_on_emit_even_if_call_fails() -> None:
    world, watcher = World(), Watcher()

    def emits(kernel: Kernel, _: BlockId) -> Outcome:
        kernel.events.emit([EventEntry(0, "key", RAW, b"")])
        return Outcome(16)

    at = world.actor(emits)
    world.machine.interceptor = watcher
    world.send(at, METHOD)
    assert [event.emitter for event in watcher.events] == [number_of(at)]


def test_the_watcher_is_an_interceptor() -> None:
    interceptor: Interceptor[CallManager] = Watcher()
    assert interceptor.is_armed


ACTOR, CONTRACT, CALLER = (Address.id(ActorID(number)) for number in (5, 101, 102))
REFUSED = BacktraceFrame(ACTOR, ExitCode.USR_ILLEGAL_ARGUMENT, "no such deal", b"")
REVERTED = ExitCode.EVM_CONTRACT_REVERTED
DATA = b"\x44\x7d\xd6\x0c\x21"


def after(*frames: BacktraceFrame, cause: str = "") -> str:
    """Return the remaining reason."""
    found = Backtrace()
    if cause:
        found.set_cause(cause)
    for frame in frames:
        found.push_frame(frame)
    return found.reason


@pytest.mark.parametrize("returned", [b"", b"\x40"])
def test_a_revert_without_data_is_explained_by_the_call_before(returned: bytes) -> None:
    plain = BacktraceFrame(CONTRACT, REVERTED, "contract reverted", returned, is_plain=True)
    assert after(REFUSED, plain) == "f05: no such deal"
    assert after(plain, cause="f07: refused") == "f07: refused"
    assert after(plain) == ""


def test_revert_with_own_data_has_caught_the_earlier_cause() -> None:
    own = BacktraceFrame(CONTRACT, REVERTED, "contract reverted", DATA, is_plain=True)
    assert after(REFUSED, own) == after(own, cause="f07: refused") == ""


def test_forwarded_revert_data_is_attributed_to_original_callee() -> None:
    facade = BacktraceFrame(ACTOR, REVERTED, "no such deal", DATA)
    passed_on = BacktraceFrame(CONTRACT, REVERTED, "contract reverted", DATA, is_plain=True)
    assert after(facade, passed_on, passed_on._replace(source=CALLER)) == "f05: no such deal"


def test_own_fault_or_out_of_gas_is_not_blamed_on_callee() -> None:
    assert (
        after(REFUSED, BacktraceFrame(CONTRACT, ExitCode.EVM_CONTRACT_BAD_JUMPDEST, "BAD_JUMPDEST", b"", is_plain=True))
        == ""
    )
    ran_out = BacktraceFrame(CONTRACT, ExitCode.SYS_OUT_OF_GAS, "out of gas", b"")
    assert after(REFUSED, ran_out) == ""
    assert after(ran_out, cause="max code size exceeded") == "max code size exceeded"


def test_clear_empties_backtrace_after_successful_call() -> None:
    found = Backtrace()
    found.push_frame(REFUSED)
    found.clear()
    assert found.is_empty
    assert found.reason == ""
