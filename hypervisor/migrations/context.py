"""Context of a state migration, and the migrations of draft network versions.

A migration is a function `migrate(context)` in a separate module, such as `hypervisor.migrations.nv19_to_nv25`. It
rewrites states; its context has the tree, the actors' old code, and access to the fields of their states.
`hypervisor.migrations.migration` then replaces the code CIDs.

The migration of a draft is Python code of a user, found by its digest. An overlay records the SHA-256, never the code.
A process runs the code only after `allow_migration`, which its caller calls with the user's consent.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from inspect import iscoroutinefunction
from traceback import extract_tb
from types import ModuleType
from typing import Any, Final

from hypervisor.bundles.manifest import Manifest
from hypervisor.errors import Fatal, InvalidInput
from hypervisor.state.state_tree import StateTree
from hypervisor.types import ActorID
from hypervisor.versions.stream_settings import StreamSettings
from store.blockstore import BlockNotFound, TreeNodeError, get_object, put_object
from store.cid import Cid
from store.codec import CodecError

_MALFORMED = (BlockNotFound, TreeNodeError, CodecError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class MigrationContext:
    """Input of a migration to network version `version` at `epoch`, the last epoch with the old state.

    `manifest` has the code CIDs of the tree's actors. `streams` overrides the network's reward streams (version 29).
    """

    version: int
    tree: StateTree
    manifest: Manifest
    epoch: int
    streams: StreamSettings | None = None
    progress: Callable[[int], None] | None = None

    @property
    def network_name(self) -> str:
        """Name of the network, from the init actor's state."""
        return self.tree.init_state().network_name

    def rewrite(self, name: str, change: Callable[[ActorID, Cid], Cid]) -> None:
        """Replace the head of each built-in actor `name` by `change(actor, head)`.

        Raises InvalidInput with the actor and the field for a state with a different layout.
        """

        def checked(actor: ActorID, head: Cid) -> Cid:
            try:
                return change(actor, head)
            except _MALFORMED as error:
                raise InvalidInput(
                    f"the migration to nv{self.version} cannot read the state of f0{actor} ({name}): {error}; "
                    "the state is unchanged"
                ) from None

        self.tree.rewrite_states(self.manifest.code(name), checked, self.progress)

    def fields(self, cid: Cid, part: str, expected: int) -> list[Any]:
        """Return the fields of the tuple in block `cid`. Raises ValueError, which names `part`, for another shape."""
        return tuple_of(get_object(self.tree.store, cid), part, expected)

    def put(self, value: Any) -> Cid:
        """Write an object, and return its CID."""
        return put_object(self.tree.store, value)


def tuple_of(value: Any, part: str, expected: int) -> list[Any]:
    """Return `value` if it is a tuple of `expected` fields. Raises ValueError, which names `part`, otherwise."""
    if type(value) is not list or len(value) != expected:
        found = f"{len(value)} fields" if type(value) is list else "no tuple"
        raise ValueError(f"{part} has {found}, expected {expected}")
    return value


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
