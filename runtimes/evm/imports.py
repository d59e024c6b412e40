"""Importing libraries that change the interpreter, without letting them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def recursion_limit_kept() -> Iterator[None]:
    """Put the recursion limit back afterwards: py_ecc, which py-evm imports, raises it to 100,000 for the process.

    With such a limit Python 3.11 runs into the end of the native stack instead of a RecursionError.
    """
    limit = sys.getrecursionlimit()
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
