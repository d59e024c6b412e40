"""Detection of modules compiled by mypyc (`compiled.toml`), and a check that they match their sources.

Python imports a compiled module next to a source file without any check, so this module is imported before any other
module of the packages. It rejects stale modules, incomplete sets, and a wheel built for another interpreter.
`hatch_build.py` writes the record: for each suffix of compiled modules the list of sources, and in a checkout the size,
modification time and SHA-256 of each.
"""

from __future__ import annotations

import os
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
RECORD = "store/compiled.json"
SHARED = "fvm__mypyc"
"""Name of the library that holds the code of all compiled modules."""

_REMEDY = "run `make compiled` to compile them, or `make interpreted` to go back to the sources"
_INSTALL = "install fvm-hypervisor again, with the wheel of this Python or from source"


class UnfitCompiledModule(ImportError):
    """Raised when a compiled module must not be imported; the message names it and the remedy."""


def compiled_modules(home: Path = HOME) -> tuple[str, ...]:
    """Return the source paths, relative to `home`, of all compiled modules; empty if none are compiled."""
    return tuple(_record(home).get(EXTENSION_SUFFIXES[0], ()))


def form() -> str:
    """Return `compiled` or `interpreted`."""
    return "compiled" if compiled_modules() else "interpreted"


def check_compiled(home: Path = HOME, suffix: str = EXTENSION_SUFFIXES[0]) -> None:
    """Raise UnfitCompiledModule unless the compiled modules below `home` are complete and match their sources."""
    shared = home / (SHARED + suffix)
    record = _record(home)
    if suffix not in record:
        if shared.exists():
            raise UnfitCompiledModule(f"{shared} exists but has no record, as after an interrupted build: {_REMEDY}")
        if any(None in sources.values() for sources in record.values()):
            raise UnfitCompiledModule(
                f"the modules below {home} are compiled for {', '.join(record)}, this Python needs {suffix}: {_INSTALL}"
            )
        return
    sources = record[suffix]
    remedy = _INSTALL if None in sources.values() else _REMEDY
    if not shared.exists():
        raise UnfitCompiledModule(f"{shared} is missing, which contains the code of the compiled modules: {remedy}")
    for path, state in sources.items():
        library = home / (path.removesuffix(".py") + suffix)
        if not library.exists():
            raise UnfitCompiledModule(f"{library} is missing, which other compiled modules need: {remedy}")
        if state is not None and _has_changed(home / path, *state):
            raise UnfitCompiledModule(f"{library} is older than its source {path}: {_REMEDY}")


def _has_changed(source: Path, size: int, time: int, digest: str) -> bool:
    try:
        status = os.stat(source)
    except FileNotFoundError:
        return True
    if (status.st_size, status.st_mtime_ns) == (size, time):
        return False
    from hashlib import sha256

    return sha256(source.read_bytes()).hexdigest() != digest


def _record(home: Path) -> dict[str, dict[str, tuple[int, int, str] | None]]:
    try:
        text = (home / RECORD).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    import json

    record: dict[str, dict[str, tuple[int, int, str] | None]] = json.loads(text)
    return record
