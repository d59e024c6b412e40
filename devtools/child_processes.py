"""Starts processes of this program's own interpreter, which load no module from the folder that they work in.

`multiprocessing` starts its processes as `python -c`, which looks for modules in that folder first: where it is an
untrusted project, its `signal.py` would run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SAFE_PATH: Final = "PYTHONSAFEPATH"


@contextmanager
def no_modules_of_the_folder() -> Iterator[None]:
    """Interpreters that are started meanwhile look for no module in the working folder."""
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before
