"""Places for instances, reserved when an engine is made: to make and drop an instance there takes a fifth of the time.

A place is address space for one memory and one table. Used again by the same module, it has its pages already, and of
the first ones only the content is put back. What does not fit, and every module when all are taken, goes without
(`engine.Engine.spare`); a guest cannot tell. Nothing is reserved where address space is limited: wasmtime would end the
process. Settings: wasmtime's `PoolingAllocationConfig`.
"""

import mmap
import sys
from ctypes import c_size_t
from types import MappingProxyType
from typing import Final

from runtimes.wasmtime.raw import Library

PLACES: Final = 256
"""More than nested calls take but for the deepest; a TiB of address space."""

MEMORY_BYTES: Final = 512 << 20
TABLE_ELEMENTS: Final = 20_000
"""What a memory and a table may grow to: as much as consensus allows."""

_SETTINGS: Final = MappingProxyType(
    {
        "max_memory_size": MEMORY_BYTES,
        "table_elements": TABLE_ELEMENTS,
        "max_core_instance_size": 1 << 20,
        # Small guests write to the first pages. Actors begin with a stack, whose far end few reach: to put back more of
        # it takes longer than to give it back.
        "linear_memory_keep_resident": 1 << 14,
        "table_keep_resident": 1 << 16,
        "max_unused_warm_slots": 32,
    }
)
_COUNTS: Final = ("total_core_instances", "total_memories", "total_tables")
_BYTES_OF_A_PLACE: Final = (4 << 30) + (128 << 20)
"""The range that a 32-bit address can reach, and what is kept free around it."""

_NO_RESERVE: Final = 0x4000
"""Linux's MAP_NORESERVE, which Python names from 3.13 on."""


def can_reserve(places: int) -> bool:
    """Whether the system gives so much address space (tried on Linux only)."""
    if sys.platform != "linux":
        return False
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE
    try:
        mmap.mmap(-1, places * _BYTES_OF_A_PLACE, flags=flags, prot=0).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True


def reserve(lib: Library, config: int, places: int) -> None:
    """Let the engine that is made of a wasm_config_t have places. Memory for a dozen is kept between uses."""
    pool: int = lib.bind("wasmtime_pooling_allocation_config_new", c_size_t)()
    for name, value in {**_SETTINGS, **dict.fromkeys(_COUNTS, places)}.items():
        lib.bind(f"wasmtime_pooling_allocation_config_{name}_set", None, c_size_t, c_size_t)(pool, value)
    lib.bind("wasmtime_pooling_allocation_strategy_set", None, c_size_t, c_size_t)(config, pool)
    lib.bind("wasmtime_pooling_allocation_config_delete", None, c_size_t)(pool)
