"""Which form runs: the sources as they are, or modules that mypyc has compiled from them (`compiled.toml`).

Python takes a compiled module that lies beside its source without asking, so this is imported before any other module
of the packages and refuses what does not fit: modules whose source has changed since, a set of which a part is missing,
and a wheel of another interpreter. The record is written by `hatch_build.py`: by the suffix that the interpreter gives
compiled modules, their sources, and in a checkout the size, time and SHA-256 of each.
"""

from __future__ import annotations

import os
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
RECORD = "store/compiled.json"
SHARED = "fvm__mypyc"
"""The library that holds the code of all compiled modules."""

_REMEDY = "run `make compiled` to compile them, or `make interpreted` to go back to the sources"
_INSTALL = "install fvm-hypervisor again, with the wheel of this Python or from source"


class UnfitCompiledModule(ImportError):
    """A compiled module may not be imported; the text names it and the remedy."""


def compiled_modules(home: Path = HOME, suffix: str = EXTENSION_SUFFIXES[0]) -> tuple[str, ...]:
    """The sources, as paths from `home`, of the modules that run compiled; none where the sources run."""
    return tuple(_record(home).get(suffix, ()))


def form() -> str:
    """`compiled` or `interpreted`, in a word for people."""
    return "compiled" if compiled_modules() else "interpreted"


def check_compiled(home: Path = HOME, suffix: str = EXTENSION_SUFFIXES[0]) -> None:
    """Raise UnfitCompiledModule unless the compiled modules below `home` are whole, and those of their sources."""
    shared = home / (SHARED + suffix)
    record = _record(home)
    if suffix not in record:
        if shared.exists():
            raise UnfitCompiledModule(f"{shared} and its modules have no record, as after half a build: {_REMEDY}")
        if any(None in sources.values() for sources in record.values()):
            raise UnfitCompiledModule(
                f"the modules below {home} are compiled for {', '.join(record)}, this Python takes {suffix}: {_INSTALL}"
            )
        return
    sources = record[suffix]
    remedy = _INSTALL if None in sources.values() else _REMEDY
    if not shared.exists():
        raise UnfitCompiledModule(f"{shared} is missing, and with it the code of the compiled modules: {remedy}")
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
