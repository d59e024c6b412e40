"""Calls as deep as the network allows, whatever Python's own stack bears.

1,024 nested calls cross Python, ctypes and WASM. From Python 3.12 the frames of C code are counted for each thread and
no setting raises that limit; and a WASM guest may use 4 MiB of native stack a level. So the call manager goes on, every
few levels, on a fresh thread with a large stack, and waits for it on a lock (an interrupted `Thread.join` marks a
running thread as finished on 3.11 and 3.12).
"""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LEVELS_PER_STACK = 8
STACK_BYTES = 64 << 20
_stack_size = threading.Lock()


def needs_fresh_stack(depth: int) -> bool:
    """True at the depths where a call must continue on another thread: 1, 9, 17, ..."""
    return depth % LEVELS_PER_STACK == 1


def on_fresh_stack(work: Callable[[], T], interrupted: Callable[[], None]) -> T:
    """Run `work` on a new thread and return or raise what it does.

    Where the waiting thread is interrupted (Ctrl-C), `interrupted` is called so that the work ends soon, and the
    interrupt is raised once it has.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    done = threading.Lock()
    done.acquire()

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001  # carried over to the waiting thread
            errors.append(error)
        finally:
            done.release()

    _start(body)
    interrupt = _wait(done, interrupted)
    if interrupt is not None:
        raise interrupt
    if errors:
        raise errors[0]
    return results[0]


def _start(body: Callable[[], None]) -> None:
    with _stack_size:
        before = threading.stack_size(STACK_BYTES)
        try:
            threading.Thread(target=body, name="hypervisor-call", daemon=True).start()
        finally:
            threading.stack_size(before)


def _wait(done: threading.Lock, interrupted: Callable[[], None]) -> BaseException | None:
    interrupt: BaseException | None = None
    while True:
        try:
            done.acquire()
            return interrupt
        except BaseException as error:  # noqa: BLE001  # an interrupt may not leave the work running unattended
            interrupt = error
            interrupted()
