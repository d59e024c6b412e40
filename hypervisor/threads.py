"""Threads: deep call nesting, limits of time and memory, the GIL, values computed once per process, and a cache.

Call nesting is independent of the size of Python's own stack. 1,024 nested calls cross Python, ctypes and WASM. From
Python 3.12 on, C frames are counted per thread against a fixed limit, and a WASM guest may use 4 MiB of native stack
per level. Therefore code runs on threads with a large stack, a new one every few levels, and the caller waits on a lock
(an interrupted `Thread.join` marks a running thread as finished on 3.11 and 3.12). The first level runs on another
thread too: on the main thread a signal handler may raise between any two instructions, even inside a callback from
WASM.

Threads are pooled: starting one takes about 100 microseconds, waking one 15. A thread that already has a large stack
may `adopt`: its executions begin on its own stack, without another thread.

Executions are time-limited on a thread that must not block for long, such as an event loop's. Time that requests spend
waiting for a module to be compiled does not count against their limits: it is compiled once, and the next request finds
it in a cache.

Requests may share memory: what the messages of a request reserve for the memory of actors counts until its end.

A runtime that executes machine code may hold the GIL, which makes an actor's syscalls faster when other threads are
busy. A server should release it, so that its other thread does not wait for an actor. Runtimes check
`GIL_POLICY.releases` whenever they enter an actor.
"""

import os
import threading
import time
import weakref
from _thread import start_new_thread
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import update_wrapper
from queue import SimpleQueue
from typing import Any, Final, Generic, Protocol, TypeVar

from hypervisor.errors import LongExecution, MemoryExhausted

T = TypeVar("T")


class once(Generic[T]):  # noqa: N801  # a decorator
    """A function without arguments that is called once; concurrent callers wait for its result.

    Unlike `functools.cache`, which may call it on several threads and return different results.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: list[T] = []
        self._lock = threading.RLock()
        update_wrapper(self, make)

    def __call__(self) -> T:
        made = self._made
        if not made:
            with self._lock:
                made = self._made
                if not made:
                    made = self._made = [self._make()]
        return made[0]

    def cache_clear(self) -> None:
        """Discard the result, like `functools.cache`."""
        self._made = []


class GilPolicy:
    """The policy of the process; `releases` is true if the GIL is released."""

    def __init__(self) -> None:
        self.releases = False
        self._requests = 0
        self._lock = threading.Lock()

    @contextmanager
    def releasing(self) -> Iterator[None]:
        """Release the GIL in actors within this context.

        Actors still running at its end must not outlive the process.
        """
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._requests += change
            self.releases = self._requests > 0


GIL_POLICY: Final = GilPolicy()


LEVELS_PER_STACK = 8
STACK_BYTES = 64 << 20
_WAIT = 0.5  # seconds; a signal just before the wait begins does not end the wait
_stack_size = threading.Lock()


def needs_fresh_stack(level: int) -> bool:
    """Return True for nesting levels that must continue on another thread: 0, 8, 16, ..."""
    return level % LEVELS_PER_STACK == 0


@contextmanager
def large_stacks() -> Iterator[None]:
    """Give a large stack to threads started in this context."""
    with _stack_size:
        before = threading.stack_size(STACK_BYTES)
        try:
            yield
        finally:
            threading.stack_size(before)


class ExecutionThread:
    """A thread with a large stack that runs executions sequentially. `interrupt` is for other threads."""

    __slots__ = ("_end", "_interrupted")

    def __init__(self) -> None:
        self._end: Callable[[], None] | None = None
        """Callback that ends the running execution."""
        self._interrupted = False

    @property
    def is_executing(self) -> bool:
        """True if an execution is running; only `interrupt` may end it."""
        return self._end is not None

    def adopt(self) -> None:
        """Let executions of the calling thread begin on its own stack."""
        _local.own = self

    def interrupt(self) -> None:
        """Prevent new executions, then end the running one, in this order to avoid a race."""
        self._interrupted = True
        end = self._end
        if end is not None:
            end()

    def run(self, work: Callable[[], T], interrupted: Callable[[], None]) -> T:
        """Execute on the calling thread, which owns this object. Raises KeyboardInterrupt if interrupted."""
        _local.own = None  # a nested execution needs a separate stack
        self._end = interrupted
        try:
            if self._interrupted:
                raise KeyboardInterrupt
            try:
                return work()
            finally:
                if self._interrupted:
                    raise KeyboardInterrupt
        finally:
            self._end, _local.own = None, self


class _ThreadLocal(threading.local):
    """Data of the calling thread."""

    own: ExecutionThread | None = None
    """The adopted `ExecutionThread`, while no execution runs on it."""
    request: int = 0
    """Number of the thread that waits for this thread's job, directly or indirectly; 0 outside of jobs."""


_local = _ThreadLocal()


def _forget_own_thread() -> None:
    """Let a forked process, whose main thread is the one that forked, execute on another thread."""
    _local.own = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_own_thread)


def request_thread() -> int:
    """Return the number of the thread whose work the calling thread continues on another stack, or its own."""
    return _local.request or threading.get_ident()


class Stacks:
    """A pool of threads with large stacks."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._process = os.getpid()
        weakref.finalize(self, _dismiss, self._workers)

    def run(self, work: Callable[[], T], interrupted: Callable[[], None]) -> T:
        """Run `work` on a separate stack, and return its result or raise its error.

        If the waiting thread is interrupted (Ctrl-C), calls `interrupted` so that the work ends soon, and raises the
        interrupt afterwards. A thread with its own `ExecutionThread` runs the work itself. Raises MemoryError if no
        thread can start.
        """
        own = _local.own
        if own is not None:
            return own.run(work, interrupted)
        job = _Job(work)
        interrupt = self._idle_worker().run(job, interrupted)
        try:
            if interrupt is not None:
                raise interrupt
            if job.error is not None:
                raise job.error
            result: T = job.result
            return result
        finally:
            del job, interrupt  # avoid a reference cycle that keeps all frames of the call alive

    def on_one_thread(self, work: Callable[[], T]) -> T:
        """Run `work` like `run`, with all its executions on that thread's stack.

        Avoids waking a thread per execution. An interrupt ends the running execution, which raises KeyboardInterrupt in
        `work`, as does each later one; it is raised again once `work` has ended.
        """
        if _local.own is not None:
            return work()
        own = ExecutionThread()

        def on_own_stack() -> T:
            own.adopt()
            try:
                return work()
            finally:
                _local.own = None

        return self.run(on_own_stack, own.interrupt)

    def dismiss(self) -> None:
        """End the pooled threads; the next run starts new ones."""
        workers, self._workers[:] = list(self._workers), []
        _dismiss(workers)

    def _idle_worker(self) -> "_Worker":
        if self._process != os.getpid():  # a forked process inherits the list but not the threads
            self._workers.clear()
            self._process = os.getpid()
        for worker in self._workers:
            if worker.is_idle():
                return worker
        worker = _Worker()
        self._workers.append(worker)
        return worker


class _Job:
    """A unit of work and its result. `taken` and `finished` are set once, by the worker."""

    __slots__ = ("done", "error", "finished", "request", "result", "taken", "work")

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.request = request_thread()
        self.result: Any = None
        self.error: BaseException | None = None
        self.taken = self.finished = False
        self.done = threading.Lock()
        self.done.acquire()


class _Worker:
    """A thread that waits for jobs and signals their completion."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._job: _Job | None = None
        try:
            with large_stacks():
                start_new_thread(_run_jobs, (self._jobs,))  # unlike `Thread.start`, this is safe to interrupt
        except RuntimeError as error:  # a limit of the process on memory or threads
            raise MemoryError(
                f"cannot start a thread with a stack of {STACK_BYTES >> 20} MiB for a nested call: {error}"
            ) from None

    def is_idle(self) -> bool:
        return self._job is None or self._job.finished

    def run(self, job: _Job, interrupted: Callable[[], None]) -> BaseException | None:
        """Run the job on this thread, and return an interrupt that occurred meanwhile.

        An interrupt may occur between any two instructions. Therefore a job that was not taken is queued again (the
        thread takes it once), and a finished job is not waited for.
        """
        interrupt: BaseException | None = None
        while not job.finished:
            try:
                if interrupt is not None:
                    interrupted()
                if not job.taken:
                    self._job = job
                    self._jobs.put(job)
                job.done.acquire(timeout=_WAIT)
            except BaseException as error:  # noqa: BLE001  # keep waiting for the work after an interrupt
                interrupt = error
        self._job = None
        return interrupt

    def dismiss(self) -> None:
        self._jobs.put(None)


def _run_jobs(jobs: "SimpleQueue[_Job | None]") -> None:
    while (job := jobs.get()) is not None:
        if job.taken:
            continue
        job.taken = True
        _local.request = job.request
        try:
            job.result = job.work()
        except BaseException as error:  # noqa: BLE001  # raised again in the waiting thread
            job.error = error
        job.finished = True
        job.done.release()
        del job


def _dismiss(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.dismiss()


class SharedMemory:
    """Memory of `size` bytes that actors in requests on several threads share, beside `each` bytes of every request."""

    def __init__(self, size: int, sharers: str, each: int = 0) -> None:
        """Create the memory; `sharers` names what shares it in errors."""
        self._size, self._sharers, self._each = size, sharers, each
        self._lock = threading.Lock()
        self._held: dict[int, int] = {}
        """Bytes of each request, by its thread: the maximum of its messages, less `each`."""
        self._free: dict[int, set[weakref.WeakMethod[Any]]] = {}
        """Methods that free memory at the end of each request, by its thread."""

    @property
    def held(self) -> int:
        """Bytes that all requests hold now, without `each`."""
        return sum(tuple(self._held.values()))

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count the memory of the calling thread's request, in this context, until its end. Not for nested requests."""
        thread = request_thread()
        try:
            self._held[thread], _shared[thread] = 0, self
            yield
        finally:
            self.release(thread)

    def release(self, thread: int) -> None:
        """Free the memory of a thread's request, which an interrupt may have kept from doing it."""
        _shared.pop(thread, None)
        for method in self._free.pop(thread, ()):
            free = method()
            if free is not None:
                free()
        self._held.pop(thread, None)

    def hold(self, thread: int, size: int, free: "weakref.WeakMethod[Any] | None") -> None:
        """Let a request hold at least `size` bytes, and call `free` at its end. Raises MemoryExhausted."""
        if free is not None:
            self._free.setdefault(thread, set()).add(free)
        with self._lock:
            own, shared = self._held[thread], size - self._each
            if shared <= own:
                return
            if shared > self._size - sum(tuple(self._held.values())) + own:
                raise MemoryExhausted(
                    f"execution exceeds the {self._size >> 20} MiB of memory that {self._sharers} share"
                )
            self._held[thread] = shared


_shared: dict[int, SharedMemory] = {}
"""Shared memory by the thread of a request."""


def hold_memory(size: int, free: "weakref.WeakMethod[Any] | None" = None) -> None:
    """Reserve `size` bytes for a message of the calling thread's request. Raises MemoryExhausted.

    `free` is called at the end of a request that shares its memory.
    """
    thread = request_thread()
    shared = _shared.get(thread)
    if shared is not None:
        shared.hold(thread, size, free)


SECONDS: Final = 0.002
"""Time limit of an execution: processor time of its thread, so that a busy machine does not change the outcome."""
_SHORT_MEMORY: Final = 16 << 20
"""Maximum bytes of memory of an execution's actors, which take 20 ms to fill."""
_PAUSE: Final = 100
"""Length of the pause after a long execution, as a multiple of its time."""


class ShortMachine(Protocol):
    """A machine whose executions can be limited."""

    short: "ShortExecutions | None"


class ShortExecutions:
    """The limit of one thread's executions.

    While `machine.short` is set, the machine runs transfers, transactions of few steps in a session, and the code of
    runtimes that check the limit (`runs_short`). Other executions raise LongExecution, and have to run
    on another thread. The first execution, which loads the engine, raises it too, as do executions in the pause after a
    long one. The pause limits unsuccessful attempts to one percent of the thread's time.
    """

    def __init__(self) -> None:
        self._end = self._resume = 0.0
        self._is_first = True
        self._memory = SharedMemory(_SHORT_MEMORY, "short executions")

    def run(self, machine: ShortMachine, execute: Callable[[], T]) -> T:
        """Return the result of executions on a machine. Raises their errors, and LongExecution."""
        if self._is_first:
            self._is_first = False
            raise LongExecution("the first execution loads the engine")
        if time.monotonic() < self._resume:
            raise LongExecution("a long execution has just ended")
        begun = time.thread_time()
        self._end = begun + SECONDS
        machine.short = self
        is_long = False
        try:
            with self._memory.request():
                return execute()
        except LongExecution:
            is_long = True
            raise
        except MemoryExhausted as error:
            is_long = True
            raise LongExecution(str(error)) from error
        finally:
            machine.short = None
            now = time.thread_time()
            if is_long or now > self._end:
                self._resume = time.monotonic() + _PAUSE * (now - begun)

    def check(self) -> None:
        """Raise LongExecution if the time limit is exceeded."""
        if time.thread_time() > self._end:
            raise LongExecution(f"the executions took longer than {SECONDS:g} s")

    def check_call(self, depth: int, runtime: object) -> None:
        """Raise LongExecution if a call is too deep for one stack, or its runtime does not check the limit."""
        if depth > LEVELS_PER_STACK or not getattr(runtime, "runs_short", False):
            raise LongExecution("an actor's code may run for long")
        self.check()


_spent: dict[int, float] = {}
_since: dict[int, float] = {}


@contextmanager
def compiling() -> Iterator[None]:
    """Measure the time in this context for the calling thread's request. A nested context has no effect."""
    thread = request_thread()
    if thread in _since:
        yield
        return
    _since[thread] = begun = time.monotonic()
    try:
        yield
    finally:
        _spent[thread] = _spent.get(thread, 0.0) + time.monotonic() - begun
        _since.pop(thread, None)


def compile_seconds(thread: int) -> float:
    """Return the seconds that the requests of a thread, named by its number, have spent in `compiling` so far."""
    since = _since.get(thread)
    return _spent.get(thread, 0.0) + (0.0 if since is None else time.monotonic() - since)


K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

CACHES: "Final[weakref.WeakSet[BoundedCache[Any, Any]]]" = weakref.WeakSet()
"""All caches of this process."""


class BoundedCache(Generic[K, V]):
    """An LRU cache of values with sizes. Its lock is held during lookups, not while a value is computed."""

    __slots__ = ("__weakref__", "_entries", "_free", "_limit", "_lock", "hits", "misses", "name")

    def __init__(self, limit: int, name: str) -> None:
        """Create a cache; `limit` is the maximum total size, in the unit of the sizes."""
        self._limit = self._free = limit
        self.name = name
        self.hits = self.misses = 0
        CACHES.add(self)
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return the value and mark it as most recently used; None if it is not cached."""
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                self.misses += 1
                return None
            self.hits += 1
            self._entries.move_to_end(key)
            return found[0]

    def setdefault(self, key: K, value: V, size: int) -> V:
        """Cache a value unless another thread did so first, and return the cached value.

        The value stays even if it exceeds the limit alone.
        """
        with self._lock:
            known = self._entries.get(key)
            if known is not None:
                return known[0]
            self._entries[key] = value, size
            self._free -= size
            while self._free < 0 and len(self._entries) > 1:
                self._free += self._entries.popitem(last=False)[1][1]
        return value

    def put(self, key: K, value: V, size: int) -> None:
        """Cache a value in place of an older one; a value above the limit is not cached."""
        with self._lock:
            older = self._entries.pop(key, None)
            if older is not None:
                self._free += older[1]
            if size > self._limit:
                return
            self._entries[key] = value, size
            self._free -= size
            while self._free < 0:
                self._free += self._entries.popitem(last=False)[1][1]
