"""A process with a store returns the memory of freed write buffers, and has two arenas of the C library."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

START = """
import ctypes, sys
from store.rocks import RocksStore

libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
libc.free.argtypes = libc.fclose.argtypes = [ctypes.c_void_p]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
if sys.argv[2] == "store":
    RocksStore.open(sys.argv[1]).close()
"""
LARGE = """
Info = type("mallinfo2", (ctypes.Structure,), {"_fields_": [(f"field{place}", ctypes.c_size_t) for place in range(10)]})
libc.mallinfo2.restype = Info
libc.free(libc.malloc(8 << 20))  # raises glibc's dynamic threshold to 8 MiB
before = libc.mallinfo2().field4  # bytes in mapped regions
libc.malloc(2 << 20)
print("mapped" if libc.mallinfo2().field4 > before else "in a heap")
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
@pytest.mark.parametrize(
    ("program", "with_store", "without"),
    [(LARGE, "mapped", "in a heap"), (THREADS, "two arenas", "more arenas")],
    ids=["large allocations", "arenas"],
)
def test_store_sets_up_the_allocator(program: str, with_store: str, without: str, tmp_path: Path) -> None:
    for opened, expected in (("store", with_store), ("nothing", without)):
        command = [sys.executable, "-c", START + program, str(tmp_path / "store"), opened]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout == f"{expected}\n"
