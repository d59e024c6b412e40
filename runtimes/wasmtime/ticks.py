"""Epoch ticks of an engine: at each tick, instances that follow its epochs get a callback on their threads."""

from __future__ import annotations

import threading
import time
from ctypes import c_size_t
from typing import Final

from runtimes.wasmtime.engine import WasmtimeEngine

SECONDS: Final = 0.05
"""Seconds between two ticks."""


class Ticks:
    """A thread that increments an engine's epoch while instances are running."""

    def __init__(self, engine: WasmtimeEngine) -> None:
        self._engine = engine
        self._tick = engine.lib.bind("wasmtime_engine_increment_epoch", None, c_size_t)
        self._at_work = 0
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Register a running instance until `end`."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():  # threads do not survive a fork
                self._thread = threading.Thread(target=self._run, name="ticks", daemon=True)
                self._thread.start()
            self._at_work += 1

    def end(self) -> None:
        """Unregister a running instance."""
        with self._lock:
            self._at_work -= 1

    def _run(self) -> None:
        while True:
            time.sleep(SECONDS)
            with self._lock:
                if not self._at_work:
                    self._thread = None
                    return
            self._tick(self._engine.pointer)
