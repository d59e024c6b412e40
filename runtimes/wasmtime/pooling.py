"""Pooled allocation of instances: creating and dropping an instance takes a fifth of the time.

A slot is address space for one memory and one table. When the same module reuses it, its pages are mapped already and
only the contents of the first ones are restored. Modules that do not fit, and all modules when the pool is full, are
allocated on demand (`engine.Engine.spare`); guests cannot tell. Where address space is limited nothing is reserved,
because wasmtime would abort the process. Settings: wasmtime's `PoolingAllocationConfig`.
"""

import mmap
import sys
from ctypes import c_size_t
from types import MappingProxyType
from typing import Final

from runtimes.wasmtime.raw import Library

POOL_SIZE: Final = 256
"""Number of slots: enough for all but the deepest nested calls; they take a TiB of address space."""

MEMORY_BYTES: Final = 512 << 20
TABLE_ELEMENTS: Final = 20_000
"""Maximum sizes of a memory and a table: those of consensus."""

_SETTINGS: Final = MappingProxyType(
    {
        "max_memory_size": MEMORY_BYTES,
        "table_elements": TABLE_ELEMENTS,
        "max_core_instance_size": 1 << 20,
        # Small guests write to the first pages. Actors begin with a stack whose far end is rarely used: restoring more
        # than this takes longer than releasing it.
        "linear_memory_keep_resident": 1 << 14,
        "table_keep_resident": 1 << 16,
        "max_unused_warm_slots": 32,
    }
)
_COUNTS: Final = ("total_core_instances", "total_memories", "total_tables")
_SLOT_BYTES: Final = (4 << 30) + (128 << 20)
"""Address space of a slot: the range of a 32-bit address plus the guard region."""

_NO_RESERVE: Final = 0x4000
"""Linux's MAP_NORESERVE, which the mmap module has from Python 3.13 on."""


def can_reserve(slots: int) -> bool:
    """Return True if the system grants address space for the slots (tested on Linux only)."""
    if sys.platform != "linux":
        return False
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE
    try:
        mmap.mmap(-1, slots * _SLOT_BYTES, flags=flags, prot=0).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True


def reserve(lib: Library, config: int, slots: int) -> None:
    """Enable pooled allocation in a wasm_config_t. The memory of a dozen slots stays warm between uses."""
    pool: int = lib.bind("wasmtime_pooling_allocation_config_new", c_size_t)()
    for name, value in {**_SETTINGS, **dict.fromkeys(_COUNTS, slots)}.items():
        lib.bind(f"wasmtime_pooling_allocation_config_{name}_set", None, c_size_t, c_size_t)(pool, value)
    lib.bind("wasmtime_pooling_allocation_strategy_set", None, c_size_t, c_size_t)(config, pool)
    lib.bind("wasmtime_pooling_allocation_config_delete", None, c_size_t)(pool)
