"""Migrations of draft network versions: Python code of users, found by its digest.

An overlay records the SHA-256 of a draft's migration, never its code. A process runs the code only after
`allow_migration`, which its caller calls with the user's consent.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from hashlib import sha256
from inspect import iscoroutinefunction
from traceback import extract_tb
from types import ModuleType
from typing import Final

from hypervisor.errors import Fatal, InvalidInput
from hypervisor.migration_context import MigrationContext

Migration = Callable[[MigrationContext], None]

FUNCTION: Final = "migrate"
"""Name of a migration's function in its file."""
_ALLOWED: Final[dict[str, tuple[str, Migration]]] = {}
"""File name and function of the migrations that this process may run, by digest."""


def migration_digest(source: bytes) -> str:
    """Return the digest that identifies a migration, in hex."""
    return sha256(source).hexdigest()


def allow_migration(source: bytes, file: str) -> None:
    """Execute the Python file of a migration, and let this process run its function `migrate`. Raises InvalidInput."""
    digest = migration_digest(source)
    if digest in _ALLOWED:
        return
    module = ModuleType(f"draft_migration_{digest[:8]}")
    module.__file__ = file
    sys.modules[module.__name__] = module  # dataclasses look up their module
    try:
        exec(compile(source, file, "exec"), module.__dict__)  # noqa: S102  # the user has consented to this code
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise InvalidInput(f"the migration {file} cannot be loaded: {type(error).__name__}: {error}") from error
    function = module.__dict__.get(FUNCTION)
    if not callable(function) or iscoroutinefunction(function):
        raise InvalidInput(f"the migration {file} has no function {FUNCTION}(context)")
    _ALLOWED[digest] = file, function


def is_allowed(digest: str) -> bool:
    """Return True if this process may run the migration with this digest."""
    return digest in _ALLOWED


def run_draft_migration(digest: str, context: MigrationContext) -> None:
    """Run a migration. Raises InvalidInput if it fails, or if this process may not run it."""
    file, function = _find_allowed_migration(digest, context.version)
    try:
        function(context)
    except (InvalidInput, Fatal):
        raise
    except (Exception, SystemExit) as error:
        raise InvalidInput(
            f"the migration {file} to nv{context.version} failed{_line(file, error)}: {type(error).__name__}: {error}; "
            "the state is unchanged"
        ) from error


def _line(file: str, error: BaseException) -> str:
    """Return the line of the file at which an error was raised, as ` in line 3`; empty if it is unknown."""
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == file]
    return f" in line {lines[-1]}" if lines else ""


def _find_allowed_migration(digest: str, version: int) -> tuple[str, Migration]:
    try:
        return _ALLOWED[digest]
    except KeyError:
        raise InvalidInput(
            f"the upgrade to nv{version} runs a migration in Python (SHA-256 {digest}), which needs your consent: pass "
            "the draft's file with --network, and trust its migration with `hypervisor trust FILE.py` or --trust"
        ) from None
