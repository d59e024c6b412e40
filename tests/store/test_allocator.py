"""A process with a store keeps large allocations mapped, and has at most two arenas of the C library."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from store.allocator import _VARIABLES

START = """
import ctypes, sys
from store.rocks import RocksStore

libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = libc.fclose.argtypes = [ctypes.c_void_p]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
if sys.argv[2] == "store":
    RocksStore.open(sys.argv[1]).close()
"""
LARGE = """
libc.free(libc.malloc(31 << 20))  # raises glibc's dynamic threshold to 31 MiB
size_and_flags = ctypes.c_size_t.from_address(libc.malloc(16 << 20) - ctypes.sizeof(ctypes.c_size_t)).value
print("mapped" if size_and_flags & 2 else "in a heap")
"""
THREADS = """
import threading

together = threading.Barrier(6)

def allocate():
    together.wait()
    libc.malloc(1000)
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
report = libc.fopen((sys.argv[1] + ".xml").encode(), b"w")
libc.malloc_info(0, report)
libc.fclose(report)
arenas = open(sys.argv[1] + ".xml").read().count("<heap nr=")
print("two arenas" if arenas <= 2 else "more arenas")
"""


def run(program: str, folder: Path, opened: str, **variables: str) -> str:
    """Return the output of a program in a process whose allocator has only these settings."""
    inherited = {name: value for name, value in os.environ.items() if name not in (*_VARIABLES, "LD_PRELOAD")}
    command = [sys.executable, "-c", START + program, str(folder / "store"), opened]
    return subprocess.run(command, env=inherited | variables, stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
@pytest.mark.parametrize(
    ("program", "with_store", "without"),
    [(LARGE, "mapped", "in a heap"), (THREADS, "two arenas", "more arenas")],
    ids=["large allocations", "arenas"],
)
def test_store_sets_up_the_allocator(program: str, with_store: str, without: str, tmp_path: Path) -> None:
    assert run(program, tmp_path, "store") == f"{with_store}\n"
    assert run(program, tmp_path, "nothing") == f"{without}\n"
    assert run(program, tmp_path, "store", GLIBC_TUNABLES="glibc.malloc.tcache_count=7") == f"{without}\n"
