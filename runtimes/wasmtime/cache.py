"""Disk caches of compiled modules, and of the native code of this package's own modules.

Loading a compiled module means running native code, so the folder must be private to the user (0700), and every file
carries a digest keyed with a secret of the folder, which is checked first. A file that fails a check is ignored and its
module compiled again. Files are never part of a state folder or a CAR. Native code of this package is cached by module,
wasmtime version and processor.

The folder is $FVM_CACHE_DIR, or else in the user's cache folder; FVM_CACHE_DIR=off disables the cache.
"""

import hashlib
import hmac
import logging
import os
import platform
import secrets
import stat
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from hypervisor.errors import InvalidModule
from hypervisor.installation import user_folder
from hypervisor.threads import compiling
from runtimes.wasmtime.engine import CompiledModule, WasmtimeEngine
from runtimes.wasmtime.raw import WASMTIME_VERSION

DIGEST = 32
MAX_BYTES = 1 << 30
"""Maximum total size of the files in bytes: about forty bundles. The least recently used are deleted first."""
_SCAN_DIVISOR = 16
"""A process scans the folder after writing `MAX_BYTES // _SCAN_DIVISOR` bytes; a scan of a full folder frees as much.

Scanning after every write would take longer than compiling.
"""
_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)
_log = logging.getLogger(__name__)


class ModuleCache:
    """A map from keys to bytes, on disk if there is a safe folder; otherwise it is always empty."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._secret = b""
        self._left: int | None = None
        """Bytes that may be written before the next scan of the folder; None before the first."""
        if folder is not None:
            try:
                self._secret = _prepare(folder)
            except (OSError, _Unsafe) as problem:
                _log.warning("compiled modules are not cached: %s", problem)
                self._folder = None

    def load(self, key: bytes) -> bytes | None:
        """Return the bytes stored under a key; None if they are missing or were changed."""
        if self._folder is None:
            return None
        path = self._folder / key.hex()
        try:
            data = _read_private(path)
        except (OSError, _Unsafe):
            return None
        digest, payload = data[:DIGEST], data[DIGEST:]
        if not hmac.compare_digest(digest, self._digest(key, payload)):
            return None
        with suppress(OSError):  # another process deleted it
            os.utime(path)
        return payload

    def store(self, key: bytes, payload: bytes) -> None:
        """Store bytes under a key; a failure such as a full disk is only logged."""
        if self._folder is None:
            return
        try:
            data = self._digest(key, payload) + payload
            _write_private(self._folder / key.hex(), data)
            if self._left is not None:
                self._left -= len(data)
            if self._left is None or self._left < 0:
                self._left = self._prune()
        except OSError as problem:
            _log.warning("a compiled module is not cached: %s", problem)

    def _digest(self, key: bytes, payload: bytes) -> bytes:
        state = hashlib.blake2b(key, digest_size=DIGEST, key=self._secret)
        state.update(payload)
        return state.digest()

    def _prune(self) -> int:
        """Delete the least recently used files above the limit; return the bytes to write before the next scan."""
        assert self._folder is not None
        files = [_age_and_size(path) for path in self._folder.iterdir() if path.name != _SECRET]
        total, part = sum(size for _, size, _ in files), MAX_BYTES // _SCAN_DIVISOR
        if total > MAX_BYTES:
            for _, size, path in sorted(files):
                if total <= MAX_BYTES - part:
                    break
                path.unlink(missing_ok=True)
                total -= size
        return min(part, MAX_BYTES - total)


def _age_and_size(path: Path) -> tuple[float, int, Path]:
    """Return when a file was last used, its size and path; 0, 0 if another process deleted it."""
    try:
        info = path.stat()
    except FileNotFoundError:
        return 0, 0, path
    return info.st_mtime, info.st_size, path


_SECRET = "secret"  # noqa: S105  # a file name


class _Unsafe(Exception):
    """Raised for a folder or file that another user could have written."""


def default_folder() -> Path | None:
    """Return the folder for compiled modules, or None to disable the cache."""
    chosen = os.environ.get("FVM_CACHE_DIR")
    if chosen == "off":
        return None
    if chosen:
        return Path(chosen)
    try:
        return user_folder("cache") / "modules"
    except RuntimeError:  # no home folder
        return None


@cache
def cpu_features() -> bytes:
    """Return the processor's features as reported by the system: compiled code is specific to them."""
    features = ""
    with suppress(OSError), Path("/proc/cpuinfo").open() as file:
        features = next((line for line in file if line.startswith(("flags", "Features"))), "")
    # If the system reports no features, the processor's name is used; wasmtime checks again when it loads the code.
    words = [platform.machine(), sys.platform, features or platform.processor()]
    return "\n".join(words).encode()


def cache_key(*parts: bytes) -> bytes:
    """Return a key of several parts; the length of each part is included in the hash."""
    state = hashlib.blake2b(digest_size=DIGEST)
    for part in parts:
        state.update(len(part).to_bytes(8, "big") + part)
    return state.digest()


def _prepare(folder: Path) -> bytes:
    """Create the folder if needed, check that it is private, and return its secret.

    Parent folders created here are also private, since another cache may share one of them.
    """
    for missing in [each for each in (*reversed(folder.parents), folder) if not each.exists()]:
        missing.mkdir(mode=0o700, exist_ok=True)
    _check_private(folder, os.lstat(folder), stat.S_ISDIR)
    path = folder / _SECRET
    if not path.exists():
        _write_private(path, secrets.token_bytes(DIGEST), replace=False)
    secret = _read_private(path)
    if len(secret) != DIGEST:
        raise _Unsafe(f"{path} is corrupt: delete the folder {folder}")
    return secret


def _check_private(path: Path, info: os.stat_result, right_kind: Callable[[int], bool]) -> None:
    if not right_kind(info.st_mode):
        raise _Unsafe(f"{path} has the wrong file type: delete it")
    if sys.platform != "win32" and (info.st_uid != os.geteuid() or info.st_mode & 0o077):
        raise _Unsafe(f"{path} is not private to you: chmod 700 it, or delete it")


def _read_private(path: Path) -> bytes:
    with open(os.open(path, _OPEN), "rb") as file:
        _check_private(path, os.fstat(file.fileno()), stat.S_ISREG)
        return file.read()


def _write_private(path: Path, data: bytes, replace: bool = True) -> None:
    """Write a whole file readable only by the user, or nothing; `replace=False` keeps an existing file."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with open(handle, "wb") as file:
            file.write(data)
        if replace:
            os.replace(temporary, path)
        else:
            with suppress(FileExistsError):  # another process was first: its file is used
                os.link(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def load_or_compile(engine: WasmtimeEngine, wasm: bytes, modules: ModuleCache, what: str) -> CompiledModule:
    """Return the compiled module, from the cache if possible; `what` names it in the log. Raises InvalidModule."""
    digest = hashlib.blake2b(wasm, digest_size=32).digest()
    key = cache_key(digest, engine.fingerprint, WASMTIME_VERSION.encode(), cpu_features())
    stored = modules.load(key)
    if stored is not None:
        try:
            return engine.deserialize(stored)
        except InvalidModule as problem:
            _log.warning("the compiled %s on disk cannot be used: %s", what, problem)
    with compiling():
        artifact = engine.compile(wasm).serialize()
    modules.store(key, artifact)
    return engine.deserialize(artifact)  # a module fresh from the compiler holds nearly twice the memory
