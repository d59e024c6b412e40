"""Import of libraries that change interpreter settings, with these restored."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def preserved_recursion_limit() -> Iterator[None]:
    """Restore the recursion limit on exit: py_ecc, which py-evm imports, raises it to 100,000 for the process.

    With such a limit, Python 3.11 overflows the native stack instead of raising RecursionError.
    """
    limit = sys.getrecursionlimit()
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
