"""Interceptors: the calls they see, and how they respond to or change them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hypervisor.exit_codes import ExitCode
from hypervisor.interception import Interceptor
from hypervisor.kernel import Kernel
from hypervisor.kernel.call import Call, CallResult
from hypervisor.machine.call_manager import CallManager
from hypervisor.messages.events import EventEntry, StampedEvent
from hypervisor.runtime import Outcome
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
