"""A process with a store keeps large allocations mapped."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from store.allocator import VARIABLES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library"),
]

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


def place_of_a_large_piece(opened: str, folder: Path, **variables: str) -> str:
    """Return where glibc puts 16 MiB in a process that opened a "store" or "nothing"."""
    inherited = {name: value for name, value in os.environ.items() if name not in (*VARIABLES, "LD_PRELOAD")}
    command = [sys.executable, "-c", PROGRAM, str(folder / "store"), opened]
    done = subprocess.run(command, env=inherited | variables, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def test_store_keeps_large_allocations_mapped(tmp_path: Path) -> None:
    assert place_of_a_large_piece("store", tmp_path) == "mapped"


def test_store_leaves_a_threshold_of_the_user_alone(tmp_path: Path) -> None:
    if place_of_a_large_piece("nothing", tmp_path) == "mapped":
        pytest.skip("glibc does not raise its threshold on this machine")

    assert place_of_a_large_piece("store", tmp_path, GLIBC_TUNABLES="glibc.malloc.tcache_count=7") == "in a heap"


@pytest.mark.parametrize("variable", VARIABLES[1:])
def test_variables_that_leave_the_threshold_alone_fix_it(variable: str, tmp_path: Path) -> None:
    assert place_of_a_large_piece("nothing", tmp_path, **{variable: "131072"}) == "mapped"
