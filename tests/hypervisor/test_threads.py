"""Threads that share values, and the bounded cache.

- `once` computes a value a single time, even with concurrent callers.
- A thread-safe LRU cache.
"""

import ctypes
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
from _pytest.monkeypatch import MonkeyPatch

from hypervisor import threads
from hypervisor.errors import LongExecution, MemoryExhausted, OutOfGas
from hypervisor.threads import (
    LEVELS_PER_STACK,
    STACK_BYTES,
    BoundedCache,
    SharedMemory,
    ShortExecutions,
    Stacks,
    hold_memory,
    needs_fresh_stack,
    once,
    request_thread,
)
from tests.patience import alarm_clock


def test_threads_that_ask_at_once_have_the_same() -> None:
    everyone, made = threading.Barrier(4), list[object]()

    @once
    def thing() -> object:
        """Return a new object."""
        threading.Event().wait(0.05)
        made.append(object())
        return made[-1]

    def ask(_: int) -> object:
        everyone.wait(10)
        return thing()

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask, range(4))) == made * 4
    assert len(made) == 1
    assert thing.__doc__ == "Return a new object."
    thing.cache_clear()
    assert thing() is made[1]


def test_failed_once_function_is_retried() -> None:
    failures = [OSError("no file")]

    @once
    def thing() -> int:
        if failures:
            raise failures.pop()
        return 7

    with pytest.raises(OSError, match="no file"):
        thing()
    assert thing() == 7


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux about its threads")


def never() -> None:
    raise AssertionError("nobody was interrupted")


def native_threads() -> set[str]:
    """Return the number of threads of this process according to the operating system."""
    return set(os.listdir("/proc/self/task"))


def test_every_eighth_call_level_runs_on_fresh_stack() -> None:
    assert [level for level in range(25) if needs_fresh_stack(level)] == [0, 8, 16, 24]
    assert (LEVELS_PER_STACK, STACK_BYTES) == (8, 64 << 20)


def test_work_runs_on_another_thread_and_returns_its_result() -> None:
    assert Stacks().run(threading.get_ident, never) != threading.get_ident()
    assert Stacks().run(lambda: None, never) is None


@pytest.mark.parametrize("error", [OutOfGas("x"), ValueError("x"), KeyboardInterrupt("x"), SystemExit(3)], ids=repr)
def test_work_exception_is_raised_to_caller(error: BaseException) -> None:
    stacks = Stacks()

    def work() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        stacks.run(work, never)
    assert caught.value is error
    assert stacks.run(lambda: 7, never) == 7


def test_one_thread_serves_one_work_after_the_other() -> None:
    stacks = Stacks()
    assert len({stacks.run(threading.get_ident, never) for _ in range(20)}) == 1


def test_work_inside_work_is_on_a_further_thread() -> None:
    stacks = Stacks()

    def nested(depth: int) -> list[int]:
        here = [threading.get_ident()]
        return here + (stacks.run(lambda: nested(depth - 1), never) if depth else [])

    assert len(set(nested(10))) == 11


def test_request_thread_is_the_thread_that_waits() -> None:
    stacks = Stacks()
    for work in (request_thread, lambda: stacks.run(request_thread, never)):
        assert stacks.run(work, never) == request_thread() == threading.get_ident()


@linux_only
def test_the_stack_is_as_large_as_promised() -> None:
    libc = ctypes.CDLL(None)
    libc.pthread_self.restype = ctypes.c_void_p

    def stack_size() -> int:
        attributes, size = ctypes.create_string_buffer(256), ctypes.c_size_t()
        assert libc.pthread_getattr_np(ctypes.c_void_p(libc.pthread_self()), attributes) == 0
        assert libc.pthread_attr_getstacksize(attributes, ctypes.byref(size)) == 0
        libc.pthread_attr_destroy(attributes)
        return size.value

    assert Stacks().run(stack_size, never) >= STACK_BYTES


def test_the_stack_size_of_other_threads_is_left_alone() -> None:
    before = threading.stack_size()
    Stacks().run(lambda: None, never)
    assert threading.stack_size() == before


@linux_only
def test_thread_start_failure_is_memory_error_with_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise RuntimeError("can't start new thread")  # how Python reports EAGAIN

    monkeypatch.setattr(threads, "start_new_thread", refused)
    with pytest.raises(MemoryError, match="64 MiB for a nested call"):
        Stacks().run(lambda: None, never)


@pytest.mark.slow
def test_dropped_stacks_send_their_threads_home() -> None:
    def nested(stacks: Stacks, depth: int) -> list[int]:
        here = [threading.get_native_id()]
        return here + (stacks.run(lambda: nested(stacks, depth - 1), never) if depth else [])

    used = set(map(str, nested(Stacks(), 6)[1:]))
    assert len(used) == 6
    gc.collect()
    for _ in range(500):
        if not used & native_threads():
            return
        time.sleep(0.01)
    pytest.fail(f"threads are left: {used & native_threads()}")


@pytest.mark.slow
def test_stack_thread_retains_no_result_or_error() -> None:
    class Kept:
        alive = 0

        def __init__(self) -> None:
            Kept.alive += 1

        def __del__(self) -> None:
            Kept.alive -= 1

    stacks = Stacks()
    gc.disable()
    try:
        stacks.run(Kept, never)

        def fail() -> None:
            kept = Kept()
            raise ValueError(f"with {kept!r} in a frame of its traceback")

        with pytest.raises(ValueError):
            stacks.run(fail, never)
        for _ in range(100):  # the other thread drops the frame shortly after returning the result
            if Kept.alive <= 1:
                break
            time.sleep(0.01)
    finally:
        gc.enable()
    gc.collect()
    assert Kept.alive == 0


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # Python 3.12 and newer
def test_a_forked_process_starts_threads_of_its_own() -> None:
    stacks = Stacks()
    stacks.run(lambda: None, never)
    child = os.fork()
    if child == 0:
        try:
            os._exit(stacks.run(lambda: 7, never))
        finally:
            os._exit(1)  # the child must never continue to run the tests
    for _ in range(500):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 7
            return
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail("the forked process hangs")


class Alarm(BaseException):
    """Raised by the alarm signal on the main thread: like KeyboardInterrupt, which would stop pytest."""


@pytest.fixture
def alarm() -> Iterator[None]:
    """Let SIGALRM raise on the main thread, only while it executes `hypervisor.threads`."""

    def ring(_signal: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code.co_filename == threads.__file__:
            raise Alarm

    with alarm_clock(ring):
        yield


@pytest.mark.usefixtures("alarm")
def test_interrupt_is_passed_to_work_and_raised_when_it_ends() -> None:
    stacks, told, ended = Stacks(), threading.Event(), threading.Event()

    def work() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert told.wait(10)
        time.sleep(0.05)
        ended.set()

    with pytest.raises(Alarm):
        stacks.run(work, told.set)
    assert ended.is_set()
    assert stacks.run(lambda: 7, never) == 7


@pytest.mark.usefixtures("alarm")
def test_interrupt_takes_precedence_over_work_exception() -> None:
    told = threading.Event()

    def work() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        told.wait(10)
        raise OutOfGas("the work was told to stop")

    with pytest.raises(Alarm):
        Stacks().run(work, told.set)


@pytest.mark.slow
@pytest.mark.usefixtures("alarm")
def test_an_interrupt_at_any_moment_leaves_no_work_running() -> None:
    stacks, running, interrupts = Stacks(), threading.Event(), 0

    def work() -> int:
        running.set()
        end = time.perf_counter() + 0.00005
        while time.perf_counter() < end:
            pass
        running.clear()
        return 7

    for turn in range(20_000):
        signal.setitimer(signal.ITIMER_REAL, 0.00001 + turn % 150 * 0.000001)
        try:
            assert stacks.run(work, lambda: None) == 7
        except Alarm:
            interrupts += 1
            assert not running.is_set()
            if interrupts == 500:
                break
    assert interrupts == 500
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert stacks.run(work, never) == 7


class InterruptedQueue:
    """A worker's queue with an interrupt at the first job, just before or after it is queued."""

    def __init__(self, queue: Any, before: bool) -> None:
        self.queue, self.before, self.interrupted = queue, before, False

    def put(self, job: object) -> None:
        first, self.interrupted = not self.interrupted, True
        if first and self.before:
            raise Alarm
        self.queue.put(job)
        if first:
            raise Alarm


@pytest.mark.parametrize("before", [True, False])
def test_interrupt_during_handover_runs_work_once_and_waits(before: bool) -> None:
    stacks, times = Stacks(), 0

    def work() -> None:
        nonlocal times
        time.sleep(0.02)
        times += 1

    stacks.run(lambda: None, never)
    [worker] = stacks._workers
    worker._jobs = InterruptedQueue(worker._jobs, before)  # type: ignore[assignment]  # a stand-in
    with pytest.raises(Alarm):
        stacks.run(work, lambda: None)
    assert times == 1
    assert stacks.run(lambda: 7, never) == 7
    assert stacks._workers == [worker]


def test_one_thread_mode_runs_single_work_on_same_thread() -> None:
    stacks = Stacks()

    def home() -> tuple[int, int, int, int]:
        nested = stacks.run(lambda: stacks.run(threading.get_ident, never), never)
        return threading.get_ident(), stacks.run(threading.get_ident, never), nested, threading.get_ident()

    here, first, nested, again = stacks.on_one_thread(home)
    assert here == first == again != threading.get_ident()
    assert nested != here
    assert stacks.run(threading.get_ident, never) != threading.get_ident()


@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize("level", [1, 2], ids=["on that stack", "on a further one"])
def test_interrupt_ends_one_thread_work_and_starts_no_more(level: int) -> None:
    stacks, told, seen = Stacks(), threading.Event(), []

    def long(left: int) -> None:
        if left:
            return stacks.run(lambda: long(left - 1), told.set)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert told.wait(10)
        raise OutOfGas("the work was told to stop")

    def home() -> None:
        for work in (lambda: long(level - 1), lambda: seen.append("begun")):
            try:
                stacks.run(work, told.set)
            except KeyboardInterrupt:
                seen.append("ended")

    with pytest.raises(Alarm):
        stacks.on_one_thread(home)
    assert seen == ["ended", "ended"]
    assert stacks.on_one_thread(lambda: stacks.run(lambda: 7, never)) == 7


@pytest.mark.slow
@pytest.mark.usefixtures("alarm")
def test_interrupt_between_one_thread_runs_is_raised_at_next() -> None:
    stacks, seen = Stacks(), []

    def home() -> None:
        stacks.run(lambda: None, never)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        time.sleep(0.2)
        seen.append("went on")
        stacks.run(lambda: seen.append("begun"), never)

    with pytest.raises(Alarm):
        stacks.on_one_thread(home)
    assert seen == ["went on"]


@pytest.mark.usefixtures("alarm")
def test_nested_on_one_thread_shares_thread_and_interrupt() -> None:
    stacks, told, idents = Stacks(), threading.Event(), []

    def long() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert told.wait(10)

    def inner() -> None:
        idents.append(threading.get_ident())
        stacks.run(lambda: idents.append(threading.get_ident()), never)
        stacks.run(long, told.set)

    def outer() -> None:
        idents.append(threading.get_ident())
        stacks.on_one_thread(lambda: None)
        stacks.run(lambda: idents.append(threading.get_ident()), never)
        stacks.on_one_thread(inner)

    with pytest.raises(Alarm):
        stacks.on_one_thread(outer)
    assert told.is_set()
    assert len(idents) == 4
    assert len(set(idents)) == 1


MILLISECOND = 0.001


class Clock:
    """The processor time of a thread that never waits, which is also the time of day."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(threads, "time", clock)
    return clock


def begun(machine: SimpleNamespace) -> ShortExecutions:
    """Return a limit after its first execution, which is refused."""
    limit = ShortExecutions()
    with pytest.raises(LongExecution):
        limit.run(machine, lambda: None)
    return limit


def machine() -> SimpleNamespace:
    return SimpleNamespace(short=None)


def test_machine_is_limited_during_an_execution_only(clock: Clock) -> None:
    limited = machine()
    limit = begun(limited)
    assert limit.run(limited, lambda: limited.short) is limit
    assert limited.short is None

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        limit.run(limited, fail)
    assert limited.short is None


def test_execution_that_takes_too_much_memory_is_long(clock: Clock) -> None:
    limited = machine()
    limit = begun(limited)
    limit.run(limited, lambda: hold_memory(16 << 20))
    with pytest.raises(LongExecution):
        limit.run(limited, lambda: hold_memory((16 << 20) + 1))


def test_requests_hold_the_maximum_of_their_messages_until_they_end() -> None:
    shared = SharedMemory(100, "tests")
    with shared.request():
        for size in (60, 20, 70):
            hold_memory(size)
        with ThreadPoolExecutor(1) as other:
            with pytest.raises(MemoryExhausted):
                other.submit(_hold, shared, 31).result()
            other.submit(_hold, shared, 30).result()
    with shared.request():
        hold_memory(100)


def test_each_request_has_memory_of_its_own() -> None:
    shared = SharedMemory(100, "tests", each=10)
    with shared.request(), ThreadPoolExecutor(1) as other:
        hold_memory(110)
        other.submit(_hold, shared, 10).result()
        with pytest.raises(MemoryExhausted, match="exceeds the 0 MiB of memory that tests share"):
            other.submit(_hold, shared, 11).result()


def _hold(shared: SharedMemory, size: int) -> None:
    with shared.request():
        hold_memory(size)


def test_pause_is_a_hundred_times_as_long_as_the_stopped_execution(clock: Clock) -> None:
    limit, limited = begun(machine()), machine()

    def stopped() -> None:
        clock.now += MILLISECOND
        raise LongExecution("too long")

    with pytest.raises(LongExecution, match="too long"):
        limit.run(limited, stopped)
    clock.now += 99 * MILLISECOND
    with pytest.raises(LongExecution, match="just ended"):
        limit.run(limited, lambda: None)
    clock.now += 2 * MILLISECOND
    assert limit.run(limited, lambda: 7) == 7


@pytest.mark.parametrize(("milliseconds", "pauses"), [(1.9, False), (2.1, True)])
def test_execution_that_ends_after_the_time_limit_causes_a_pause(
    clock: Clock, milliseconds: float, pauses: bool
) -> None:
    limit, limited = begun(machine()), machine()

    def work() -> int:
        clock.now += milliseconds * MILLISECOND
        return 7

    assert limit.run(limited, work) == 7
    if pauses:
        with pytest.raises(LongExecution):
            limit.run(limited, work)
    else:
        assert limit.run(limited, work) == 7


def test_check_between_executions_stops_them_at_the_time_limit(clock: Clock) -> None:
    limit, limited = begun(machine()), machine()
    done = []

    def several() -> None:
        for number in range(10):
            limit.check()
            clock.now += 0.9 * MILLISECOND
            done.append(number)

    with pytest.raises(LongExecution, match=r"longer than 0\.002 s"):
        limit.run(limited, several)
    assert done == [0, 1, 2]


def test_concurrently_made_value_is_the_first_and_counted_once() -> None:
    """Both miss; the second one offers its value after the first has cached its own."""
    cache: BoundedCache[str, object] = BoundedCache(250, "test")
    first, second, other = object(), object(), object()
    assert cache.get("shared") is None
    assert cache.get("shared") is None
    assert cache.setdefault("shared", first, 100) is first
    assert cache.setdefault("shared", second, 100) is first
    assert cache.setdefault("other", other, 100) is other
    assert cache.get("shared") is first
    assert len(cache) == 2


def test_newest_entry_stays_and_least_recently_used_is_evicted() -> None:
    cache: BoundedCache[str, str] = BoundedCache(100, "test")
    for name in ("a", "b"):
        cache.setdefault(name, name, 50)
    assert cache.get("a") == "a"
    cache.setdefault("c", "c", 50)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == ("a", None, "c")
    cache.setdefault("large", "large", 1_000)
    assert (cache.get("a"), cache.get("c"), cache.get("large")) == (None, None, "large")


def test_put_replaces_a_value_and_drops_one_above_the_limit() -> None:
    cache: BoundedCache[str, int] = BoundedCache(100, "test")
    cache.put("a", 1, 60)
    cache.put("a", 2, 40)  # in the place of the first, not beside it
    cache.put("b", 3, 60)
    assert (cache.get("a"), cache.get("b")) == (2, 3)
    cache.put("c", 4, 50)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (None, None, 4)
    cache.put("d", 5, 101)
    assert (cache.get("c"), cache.get("d")) == (4, None)
