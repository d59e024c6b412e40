"""Restores wasmtime's signal handlers after another library has replaced them.

On Linux a guest's trap is a signal, which wasmtime's handlers turn into an error. Python's `faulthandler` installs its
own handlers when it is enabled and restores older ones when it is disabled: pytest does both, notebooks the first. The
next trap would then end the process. On other systems wasmtime does not use signals, and nothing is done here.
wasmtime's handlers and their chaining: its crates/wasmtime/src/runtime/vm/sys/unix/signals.rs.
"""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from typing import Final

_SIGNALS: Final = ("SIGILL", "SIGSEGV", "SIGBUS", "SIGFPE")
_WATCHED: Final = 2
"""Number of handlers that are checked: a library replaces all or none, except for a program's own SIGSEGV."""

_ROOM: Final = 256
"""Buffer size in bytes that fits a `struct sigaction`, whose first field is the handler's address."""


class _SigactionBuffer(threading.local):
    """A thread's buffer for the current handler of a signal."""

    def __init__(self) -> None:
        self.room = ctypes.create_string_buffer(_ROOM)
        self.handler = ctypes.c_void_p.from_buffer(self.room)


class TrapSignals:
    """The handlers at construction, right after wasmtime's first engine."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, ctypes.Array[ctypes.c_char]]] = []
        self._watched: list[tuple[ctypes.c_int, int | None]] = []
        if sys.platform != "linux":
            return
        self._sigaction = ctypes.PyDLL(
            None
        ).sigaction  # no argument types: converting numbers takes longer than the call
        self._buffer = _SigactionBuffer()
        for number in (int(getattr(signal, name)) for name in _SIGNALS):
            saved = ctypes.create_string_buffer(_ROOM)
            self._sigaction(number, None, saved)
            self._kept.append((number, saved))
        self._watched = [
            (ctypes.c_int(number), ctypes.c_void_p.from_buffer(saved).value) for number, saved in self._kept[:_WATCHED]
        ]

    def keep(self) -> None:
        """Restore the handlers if they have changed."""
        for number, handler in self._watched:
            answer = self._buffer
            self._sigaction(number, None, answer.room)
            if answer.handler.value != handler:
                for each, saved in self._kept:
                    self._sigaction(each, saved, None)
                return
