"""A setting of glibc's memory allocator for a process with a RocksDB database.

RocksDB allocates large write buffers in pieces of 1 MiB. glibc maps a large piece of memory, and unmaps it when it is
freed. By default, freeing a mapped piece raises the size from which glibc maps memory (`M_MMAP_THRESHOLD` in
mallopt(3)). Later pieces of that size come from heaps, which stay resident. A fixed threshold keeps them mapped.

In a run of 420,000 transactions (`make long-life`, seed 7), resident memory between hours 2 and 5 grew by 60 MB without
this setting and by 30 MB with it. Two arenas (`M_ARENA_MAX`) would save another 10 MB, but 6 of 250 processes that ran
out of memory then ended in SIGSEGV, and none of 250 with the default (fault "memory limit after a megabyte" of
`make crash-faults`).
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
_MAPPED: Final = 1 << 20
"""Size in bytes from which memory is mapped, unless a free piece of a heap fits."""
SETTINGS: Final = ("mmap_max", "mmap_threshold", "top_pad", "trim_threshold")
"""Settings of malloc, each of which stops glibc from raising the threshold.

They are set as `MALLOC_TOP_PAD_` or, in `GLIBC_TUNABLES`, as `glibc.malloc.top_pad`.
"""


def fix_mapping_threshold() -> None:
    """Map allocations of 1 MiB and more. Does nothing with another allocator, or if one of `SETTINGS` is set."""
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if any(f"MALLOC_{name.upper()}_" in os.environ or f"glibc.malloc.{name}" in tunables for name in SETTINGS):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no mallopt: musl, macOS; no handle of the process: Windows
        return
    mallopt(_M_MMAP_THRESHOLD, _MAPPED)
