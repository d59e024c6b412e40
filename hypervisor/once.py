"""What a process makes once, on whichever of its threads it is needed first."""

import threading
from collections.abc import Callable
from functools import update_wrapper
from typing import Generic, TypeVar

T = TypeVar("T")


class once(Generic[T]):  # noqa: N801  # a decorator
    """The result of a function without arguments, which is called once: other threads wait meanwhile.

    `functools.cache` lets them call it, too, and then has one result where others have another.
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
        """Forget the result, as `functools.cache` does."""
        self._made = []
