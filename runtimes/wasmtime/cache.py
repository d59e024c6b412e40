"""Compiled modules on disk, so that a machine does not compile what another one compiled before.

Loading a compiled module means running native code, so the folder must be private to the user (0700) and every file
carries a digest keyed with a secret of the folder, checked before anything else happens to the bytes. Whatever is
doubtful is as if it were not there and is compiled again. Files never travel in a state folder or a CAR.

The folder is $FVM_CACHE_DIR, else the user's cache folder; FVM_CACHE_DIR=off keeps nothing on disk.
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

from hypervisor.user_files import user_folder

DIGEST = 32
MAX_BYTES = 1 << 30
"""Of all files: some forty bundles. The least recently used go first."""
_SHARE = 16
"""The folder is looked through when a process has written this part of what it may hold, and such a part is made free:
to look at each file for each that is stored would take longer than compiling it."""
_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)
_log = logging.getLogger(__name__)


class ModuleCache:
    """Bytes by key, on disk where there is a safe place for them; otherwise it forgets everything."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._secret = b""
        self._left: int | None = None
        """Bytes that may be written before the folder is looked through; None before the first time."""
        if folder is not None:
            try:
                self._secret = _prepare(folder)
            except (OSError, _Unsafe) as problem:
                _log.warning("compiled modules are not kept: %s", problem)
                self._folder = None

    def load(self, key: bytes) -> bytes | None:
        """The bytes under a key, None unless they are exactly what was stored there."""
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
        with suppress(OSError):  # another process has just dropped it
            os.utime(path)
        return payload

    def store(self, key: bytes, payload: bytes) -> None:
        """Keep bytes under a key; a full disk or the like only means that they are not kept."""
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
            _log.warning("a compiled module is not kept: %s", problem)

    def _digest(self, key: bytes, payload: bytes) -> bytes:
        state = hashlib.blake2b(key, digest_size=DIGEST, key=self._secret)
        state.update(payload)
        return state.digest()

    def _prune(self) -> int:
        """Drop the files used longest ago where there is too much; bytes that may be written before the next time."""
        assert self._folder is not None
        files = [_age_and_size(path) for path in self._folder.iterdir() if path.name != _SECRET]
        held, part = sum(size for _, size, _ in files), MAX_BYTES // _SHARE
        if held > MAX_BYTES:
            for _, size, path in sorted(files):
                if held <= MAX_BYTES - part:
                    break
                path.unlink(missing_ok=True)
                held -= size
        return min(part, MAX_BYTES - held)


def _age_and_size(path: Path) -> tuple[float, int, Path]:
    """When a file was last used, and its bytes; nothing of one that another process has just dropped."""
    try:
        info = path.stat()
    except FileNotFoundError:
        return 0, 0, path
    return info.st_mtime, info.st_size, path


_SECRET = "secret"  # noqa: S105  # a file name


class _Unsafe(Exception):
    """A folder or file that another user could have written."""


def default_folder() -> Path | None:
    """Where compiled modules are kept, None for nowhere."""
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
    """What the processor can do, as far as the system says so: compiled code is for one kind of processor."""
    features = ""
    with suppress(OSError), Path("/proc/cpuinfo").open() as file:
        features = next((line for line in file if line.startswith(("flags", "Features"))), "")
    # Where the system says nothing of them, the processor's name must do, and wasmtime checks for itself.
    words = [platform.machine(), sys.platform, features or platform.processor()]
    return "\n".join(words).encode()


def cache_key(*parts: bytes) -> bytes:
    """A key of several parts; each part's length is part of it."""
    state = hashlib.blake2b(digest_size=DIGEST)
    for part in parts:
        state.update(len(part).to_bytes(8, "big") + part)
    return state.digest()


def _prepare(folder: Path) -> bytes:
    """Make the folder where it is not there, check that it is private, and return its secret.

    Folders above it that are made for it are private, too: one of them may be another cache's.
    """
    for missing in [each for each in (*reversed(folder.parents), folder) if not each.exists()]:
        missing.mkdir(mode=0o700, exist_ok=True)
    _check_private(folder, os.lstat(folder), stat.S_ISDIR)
    path = folder / _SECRET
    if not path.exists():
        _write_private(path, secrets.token_bytes(DIGEST), replace=False)
    secret = _read_private(path)
    if len(secret) != DIGEST:
        raise _Unsafe(f"{path} is damaged: delete the folder {folder}")
    return secret


def _check_private(path: Path, info: os.stat_result, right_kind: Callable[[int], bool]) -> None:
    if not right_kind(info.st_mode):
        raise _Unsafe(f"{path} is not what it should be: delete it")
    if sys.platform != "win32" and (info.st_uid != os.geteuid() or info.st_mode & 0o077):
        raise _Unsafe(f"{path} is not private to you: chmod 700 it, or delete it")


def _read_private(path: Path) -> bytes:
    with open(os.open(path, _OPEN), "rb") as file:
        _check_private(path, os.fstat(file.fileno()), stat.S_ISREG)
        return file.read()


def _write_private(path: Path, data: bytes, replace: bool = True) -> None:
    """Write a whole file that only the user can read, or none; `replace=False` keeps one that is there already."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with open(handle, "wb") as file:
            file.write(data)
        if replace:
            os.replace(temporary, path)
        else:
            with suppress(FileExistsError):  # another process was first: its file counts
                os.link(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
