"""Interfaces of users' actors, by their schemas.

An actor may have a schema in three places, which are tried in this order:

1. stored next to the chain, when its code was installed;
2. linked from its state: a top-level link of the state's root block to a block with the codec RAW whose text begins
   with `# ipld.schema`;
3. in its code, in the custom section `ipld.schema`.

The second and third are on the chain, where a schema may be invalid. If there is no other one, callers report this
fault, and show the values of the actor undecoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from bridge.actors.interfaces import MAX_SCHEMA, Interface
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor.state.state_tree import ActorState
from hypervisor.threads import BoundedCache
from localnet.state.named_code import KnownSchema, schema_of_code
from store.blockstore import Blockstore, Store, StoreError, get_object
from store.cid import RAW, Cid, codec_of, show
from store.codec import CodecError, kind_of, unlink

SCHEMA_HEAD: Final = b"# ipld.schema"
"""First characters of a schema that a state links."""
MAX_LINKS: Final = 16
"""Maximum number of top-level links of a state that are read in search of a schema."""

_MAX_CACHED: Final = 1 << 22
_linked: Final[BoundedCache[Cid, KnownSchema]] = BoundedCache(_MAX_CACHED, "actor_interfaces")
"""Schemas by the CIDs of their blocks."""


@dataclass(frozen=True, slots=True)
class ActorSchema:
    """The schema of an actor.

    `key` is the CID of the code that contains it, or of the block that the state links; None without a schema. `fault`
    is the reason why a schema on the chain is invalid. `is_contract` is True if the state is one of the EVM actor.
    """

    text: str | None = None
    key: Cid | None = None
    fault: str = ""
    is_contract: bool = False

    def interface(self) -> Interface | None:
        """Return the interface; None without a schema."""
        return None if self.text is None else Interface.parse(self.text)


NO_SCHEMA: Final = ActorSchema()
ActorSchemas = Callable[[ActorState], ActorSchema]
"""Returns the schema of a user's actor."""


def no_schemas(_actor: ActorState) -> ActorSchema:
    """Return no schema for any actor."""
    return NO_SCHEMA


@dataclass(frozen=True, slots=True)
class StoredSchemas:
    """The schemas of users' actors. `store` has the metadata of a chain, `blocks` its states, also uncommitted ones."""

    store: Store
    blocks: Blockstore

    @classmethod
    def of_machine(cls, machine: Hypervisor) -> StoredSchemas:
        """Return the schemas of a machine's current state."""
        return cls(machine.base, machine.store)

    def __call__(self, actor: ActorState) -> ActorSchema:
        """Return the schema of a user's actor. An invalid one gives a fault, never an error."""
        known = schema_of_code(self.store, actor.code, self.blocks)
        if known.is_local:
            return ActorSchema(known.text, actor.code)
        fault = known.fault
        for cid in _schema_links(self.blocks, actor):
            linked = _linked_schema(self.blocks, cid)
            if linked.text is not None:
                return ActorSchema(linked.text, cid)
            fault = fault or linked.fault
        key = None if known.text is None else actor.code
        return ActorSchema(known.text, key, "" if key else fault, known.is_contract)


def _schema_links(blocks: Blockstore, actor: ActorState) -> Iterator[Cid]:
    """Yield the links of a state's root block to blocks that are not CBOR."""
    try:
        state = get_object(blocks, actor.head) if codec_of(actor.head) != RAW else None
    except (CodecError, HypervisorError, StoreError):  # such as a fork without a connection
        return
    items = state.values() if isinstance(state, dict) else state if isinstance(state, list) else ()
    links = [unlink(item) for item in items if kind_of(item) == "link"]
    yield from [cid for cid in links if codec_of(cid) == RAW][:MAX_LINKS]


def _linked_schema(blocks: Blockstore, cid: Cid) -> KnownSchema:
    """Return the schema in a block; one without text and fault if the block has none, or cannot be read."""
    known = _linked.get(cid)
    if known is not None:
        return known
    try:
        data = blocks.get(cid)
    except (HypervisorError, StoreError):
        return KnownSchema()
    known = _read_schema(data, f"the schema {show(cid)}, which the state links,") if _is_schema(data) else KnownSchema()
    return _linked.setdefault(cid, known, len(known.text or "") + len(known.fault) + len(cid))


def _is_schema(data: bytes) -> bool:
    return data.startswith(SCHEMA_HEAD)


def _read_schema(data: bytes, name: str) -> KnownSchema:
    try:
        if len(data) > MAX_SCHEMA:
            raise InvalidInput(f"{name} exceeds {MAX_SCHEMA:,} bytes")
        text = data.decode()
        Interface.parse(text, name)
    except UnicodeDecodeError as error:
        return KnownSchema(fault=f"{name} is not text: {error}")
    except InvalidInput as error:
        return KnownSchema(fault=str(error))
    return KnownSchema(text)
