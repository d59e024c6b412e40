"""Values that are computed once per process, on the thread that needs them first."""

import threading
from collections.abc import Callable
from functools import update_wrapper
from typing import Generic, TypeVar

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
