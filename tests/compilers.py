"""Available compilers for actors: `make templates` installs them into build/compilers."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

FOLDER: Final = Path(__file__).resolve().parent.parent / "build" / "compilers"
"""Folder of a Python environment with ziglang and an npm folder with assemblyscript."""

C_FLAGS: Final = (
    "-target", "wasm32-freestanding", "-mcpu=mvp+bulk_memory+sign_ext+mutable_globals", "-Os", "-nostdlib", "-Wall",
    "-Wextra", "-Werror", "-Wl,--no-entry", "-Wl,--export=invoke",
)  # fmt: skip


def zig() -> list[str] | None:
    """Return the zig command, or None if it is not installed."""
    own = FOLDER / "python" / "bin" / "python"
    if own.exists():
        return [str(own), "-m", "ziglang"]
    if find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang"]
    found = shutil.which("zig")
    return None if found is None else [found]


def assemblyscript() -> str | None:
    """Return the AssemblyScript compiler, or None if it is not installed."""
    return shutil.which("asc", path=f"{FOLDER / 'npm' / 'node_modules' / '.bin'}:{os.environ.get('PATH', '')}")


def needed_zig() -> list[str]:
    """Return the zig command, or skip the test."""
    found = zig()
    if found is None:
        pytest.skip("no zig, which compiles C to WASM: `make templates` gets it, or `pip install ziglang`")
    return found
