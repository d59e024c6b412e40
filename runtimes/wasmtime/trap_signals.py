"""wasmtime's signal handlers, put back where another library has taken them away.

On Linux a guest's trap is a signal, which wasmtime's handlers turn into an error. Python's `faulthandler` puts its own
handlers in their place when it is enabled, and older ones when it is disabled: pytest does both, a notebook the first.
The next trap would end the process. Elsewhere wasmtime hears of traps in other ways, and nothing is done here. What
wasmtime sets, and whom it calls for other faults: its crates/wasmtime/src/runtime/vm/sys/unix/signals.rs.
"""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from typing import Final

_SIGNALS: Final = ("SIGILL", "SIGSEGV", "SIGBUS", "SIGFPE")
_WATCHED: Final = 2
"""The number of handlers that are looked at: a library takes all or none, but for a program's own SIGSEGV."""

_ROOM: Final = 256
"""Bytes that a `struct sigaction` fits into; the handler's address comes first."""


class _Answer(threading.local):
    """Where a thread is answered what the handler of a signal is now."""

    def __init__(self) -> None:
        self.room = ctypes.create_string_buffer(_ROOM)
        self.handler = ctypes.c_void_p.from_buffer(self.room)


class TrapSignals:
    """The handlers as they are when this is made, right behind wasmtime's first engine."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, ctypes.Array[ctypes.c_char]]] = []
        self._watched: list[tuple[ctypes.c_int, int | None]] = []
        if sys.platform != "linux":
            return
        self._sigaction = ctypes.PyDLL(
            None
        ).sigaction  # no argument types: to convert numbers takes longer than it does
        self._answer = _Answer()
        for number in (int(getattr(signal, name)) for name in _SIGNALS):
            kept = ctypes.create_string_buffer(_ROOM)
            self._sigaction(number, None, kept)
            self._kept.append((number, kept))
        self._watched = [
            (ctypes.c_int(number), ctypes.c_void_p.from_buffer(kept).value) for number, kept in self._kept[:_WATCHED]
        ]

    def keep(self) -> None:
        """Put them back, unless they are where they were."""
        for number, handler in self._watched:
            answer = self._answer
            self._sigaction(number, None, answer.room)
            if answer.handler.value != handler:
                for each, kept in self._kept:
                    self._sigaction(each, kept, None)
                return
