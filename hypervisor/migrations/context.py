"""Context of a state migration.

A migration is a function `migrate(context)` in a separate module, such as `hypervisor.migrations.nv19_to_nv25`. It
rewrites states; its context has the tree, the actors' old code, and access to the fields of their states.
`hypervisor.migrations.migration` then replaces the code CIDs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypervisor.bundles.manifest import Manifest
from hypervisor.errors import InvalidInput
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
