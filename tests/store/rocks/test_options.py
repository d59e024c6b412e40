"""A process with a store keeps large allocations mapped."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library"),
]

PROGRAM = """
import ctypes, sys
from store.rocks.database import RocksStore

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
opened, folder, size = sys.argv[1:]
if opened == "store":
    RocksStore.open(folder).close()
libc.free(libc.malloc(31 << 20))  # raises glibc's dynamic threshold to 31 MiB
size_and_flags = ctypes.c_size_t.from_address(libc.malloc(int(size)) - ctypes.sizeof(ctypes.c_size_t)).value
print("mapped" if size_and_flags & 2 else "in a heap")
"""


def place_of(size: int, opened: str, folder: Path, **variables: str) -> str:
    """Return where glibc puts `size` bytes in a process that opened a "store" or "nothing"."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MALLOC_") and name not in ("GLIBC_TUNABLES", "LD_PRELOAD")
    }
    command = [sys.executable, "-c", PROGRAM, opened, str(folder / "store"), str(size)]
    done = subprocess.run(command, env=inherited | variables, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module", autouse=True)
def dynamic_threshold(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip the tests if glibc does not raise its threshold, so that they could not fail."""
    if place_of(16 << 20, "nothing", tmp_path_factory.mktemp("nothing")) == "mapped":
        pytest.skip("this machine's malloc does not raise its threshold")


def test_store_keeps_large_allocations_mapped(tmp_path: Path) -> None:
    assert place_of(16 << 20, "store", tmp_path) == "mapped"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MALLOC_MMAP_MAX_", "131072"),
        ("MALLOC_MMAP_THRESHOLD_", "131072"),
        ("MALLOC_TOP_PAD_", "131072"),
        ("MALLOC_TRIM_THRESHOLD_", "131072"),
        ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=131072"),
    ],
)
def test_store_leaves_the_threshold_of_the_user_alone(variable: str, value: str, tmp_path: Path) -> None:
    """The threshold stays at 128 KiB instead of the store's 1 MiB."""
    assert place_of(512 << 10, "store", tmp_path, **{variable: value}) == "mapped"


def test_store_fixes_the_threshold_beside_other_settings_of_malloc(tmp_path: Path) -> None:
    assert place_of(512 << 10, "store", tmp_path, GLIBC_TUNABLES="glibc.malloc.tcache_count=7") == "in a heap"
    assert place_of(16 << 20, "store", tmp_path, GLIBC_TUNABLES="glibc.malloc.tcache_count=7") == "mapped"
