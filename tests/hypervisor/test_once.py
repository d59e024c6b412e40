"""`once` computes a value a single time, even with concurrent callers."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hypervisor.once import once


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
