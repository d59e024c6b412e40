"""A process with a store keeps large allocations mapped."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from store.allocator import VARIABLES

PROGRAM = """
import ctypes, sys
from store.rocks import RocksStore

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
if sys.argv[2] == "store":
    RocksStore.open(sys.argv[1]).close()
libc.free(libc.malloc(31 << 20))  # raises glibc's dynamic threshold to 31 MiB
size_and_flags = ctypes.c_size_t.from_address(libc.malloc(16 << 20) - ctypes.sizeof(ctypes.c_size_t)).value
print("mapped" if size_and_flags & 2 else "in a heap")
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
@pytest.mark.parametrize(
    ("opened", "variables", "place"),
    [
        ("store", {}, "mapped"),
        ("nothing", {}, "in a heap"),
        ("store", {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=7"}, "in a heap"),
    ],
)
def test_store_keeps_large_allocations_mapped(
    opened: str, variables: dict[str, str], place: str, tmp_path: Path
) -> None:
    inherited = {name: value for name, value in os.environ.items() if name not in (*VARIABLES, "LD_PRELOAD")}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "store"), opened]
    done = subprocess.run(command, env=inherited | variables, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == f"{place}\n"
