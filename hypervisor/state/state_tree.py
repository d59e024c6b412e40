"""The state tree: every actor by its ID, in a HAMT under a versioned root; and archived actors.

Reads and writes use an undo log, so that a transaction is a mark and a rollback; `flush` writes the changes. The tree
also accesses the address map, which is part of the init actor's state and which the machine may read and extend itself.
Only version 5 is supported (from network version 18 on). Source: ref-fvm fvm/src/state_tree.rs.

The lab `rent` archives actors, whose state a message with its blocks restores. An archived actor has the code CID
defined here. Its head is a block with the epoch of archival, its original code and the root of its state. The root is
stored as bytes, not as a link, so that garbage collection drops the state's blocks. If the blocks are retained, it is a
link. Implemented by `hypervisor_labs.rent`; see docs/labs/rent.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any, Final
from typing import Protocol as TypingProtocol

from cbor2 import CBORTag

from hypervisor.errors import Fatal, InvalidInput
from hypervisor.messages.address import Address, Protocol, id_of_payload
from hypervisor.state.undo_map import UndoMap
from hypervisor.text import cid_text, one_line, show_fil
from hypervisor.types import INIT_ACTOR, MAX_BALANCE, ActorID, TokenAmount, decode_bigint, encode_bigint, encode_uleb128
from store.blockstore import BlockNotFound, Blockstore, TreeNodeError, get_object, put_object
from store.cid import EMPTY_ARRAY_BLOCK, EMPTY_ARRAY_CID, RAW, Cid, cid_of, show
from store.codec import LINK_TAG, CodecError, encode, link, unlink
from store.trees.hamt import Hamt
from store.trees.kamt import EMPTY_KAMT, Kamt, StoredWords

ARCHIVED_BLOCK: Final = (
    b"An archived actor, version 1. The runtime `archived` answers in its place; its head says more."
)
ARCHIVED_CODE: Final = cid_of(ARCHIVED_BLOCK, RAW)
ARCHIVED: Final = "archived"
"""Name of the runtime, which is also displayed as the type of archived actors."""


@dataclass(frozen=True, slots=True)
class ArchivedActor:
    """The head of an archived actor.

    `since` is the epoch of archival; `name` the name of a built-in actor, else empty; `code` and `root` its original
    code and state root; `size` the size of the state in bytes as counted by rent. `retained` is True if the state was
    too large for a proof, so its blocks are retained.
    """

    since: int
    name: str
    code: Cid
    root: Cid
    size: int
    retained: bool

    def encode(self) -> bytes:
        """Encode as DAG-CBOR. The code is a link; the root is a link only if the blocks are retained."""
        root = link(self.root) if self.retained else self.root
        return encode([self.since, self.name, link(self.code), root, self.size])

    def __str__(self) -> str:
        blocks = "its blocks are kept" if self.retained else "its blocks may be gone"
        return f"archived since epoch {self.since}, root {show(self.root)} ({self.size} bytes; {blocks})"


def archived_actor(store: Blockstore, state: ActorState) -> ArchivedActor | None:
    """Return the head of an archived actor, or None for any other actor."""
    if state.code != ARCHIVED_CODE:
        return None
    since, name, code, root, size = get_object(store, state.head)
    retained = not isinstance(root, bytes)
    return ArchivedActor(since, name, unlink(code), unlink(root) if retained else root, size, retained)


STATE_TREE_VERSION = 5
HAMT_BIT_WIDTH = 5

MAX_CACHED_NODES = 1 << 13
"""Maximum number of cached nodes in a flushed tree, of about 20 KB each in a large state; then all are dropped."""

_MALFORMED = (BlockNotFound, TreeNodeError, CodecError, TypeError, ValueError)
"""Errors caused by a malformed state, as opposed to I/O errors, which propagate."""


@dataclass(slots=True, unsafe_hash=True)
class ActorState:
    """An actor: code CID, head (the CID of its state), nonce, balance in attoFIL, and f4 address if it has one."""

    code: Final[Cid]
    head: Final[Cid] = EMPTY_ARRAY_CID
    nonce: Final[int] = 0
    balance: Final[TokenAmount] = TokenAmount(0)
    delegated_address: Final[Address | None] = None

    def __repr__(self) -> str:
        address = "" if self.delegated_address is None else str(self.delegated_address)
        code, head = f"code ...{cid_text(self.code)[-8:]}", f"state ...{cid_text(self.head)[-8:]}"
        balance = show_fil(self.balance) if self.balance else "0 FIL"
        return one_line("ActorState", balance, f"nonce {self.nonce}", address, code, head)

    def fields(self) -> list[Any]:
        """Return the tuple of five fields stored in the tree."""
        # `Address.to_bytes`, `store.codec.link` and `encode_bigint` inlined, since this runs for every changed actor
        address, amount = self.delegated_address, int(self.balance)
        delegated = None if address is None else bytes((address.protocol,)) + address.payload
        if 0 < amount < 1 << 256:
            balance = b"\0" + amount.to_bytes((amount.bit_length() + 7) // 8, "big")
        else:
            balance = encode_bigint(amount) if amount else b""
        code, head = CBORTag(LINK_TAG, b"\x00" + self.code), CBORTag(LINK_TAG, b"\x00" + self.head)
        return [code, head, self.nonce, balance, delegated]

    @classmethod
    def from_fields(cls, fields: Any) -> ActorState:
        """Create an actor from a tuple of five fields. Raises ValueError or TypeError if it is malformed."""
        code, head, nonce, balance, delegated = fields
        if type(nonce) is not int or not 0 <= nonce < 1 << 64:
            raise ValueError(f"invalid nonce {nonce!r:.40}")
        amount = decode_bigint(balance)
        if amount < 0:
            raise ValueError(f"negative balance {amount}")
        address = None if delegated is None else Address.from_bytes(delegated)
        return cls(unlink(code), unlink(head), nonce, TokenAmount(amount), address)

    def with_balance(self, balance: int) -> ActorState:
        return ActorState(self.code, self.head, self.nonce, TokenAmount(balance), self.delegated_address)

    def with_nonce(self, nonce: int) -> ActorState:
        return ActorState(self.code, self.head, nonce, self.balance, self.delegated_address)

    def with_head(self, head: Cid) -> ActorState:
        return ActorState(self.code, head, self.nonce, self.balance, self.delegated_address)


_PROGRESS = 10_000  # number of actors between two progress reports

_UNREAD = ActorState(Cid(b""))
"""Marker for an actor that was not looked up yet."""


@dataclass(frozen=True, slots=True)
class InitState:
    """The init actor's state: the address map (a HAMT), the next free ID, and the network's name.

    `installed` is the list of installed code if the feature m2-native is enabled.
    """

    address_map: Cid
    next_id: int
    network_name: str
    installed: Cid | None = None

    def fields(self) -> list[Any]:
        common = [link(self.address_map), self.next_id, self.network_name]
        return common if self.installed is None else [*common, link(self.installed)]

    @classmethod
    def from_fields(cls, fields: Any) -> InitState:
        """Create a state from a tuple of three or four fields. Raises ValueError or TypeError."""
        address_map, next_id, name, *installed = fields
        if len(installed) > 1:
            raise ValueError(f"the tuple has {len(fields)} fields")
        if not _is_id(next_id) or not isinstance(name, str):
            raise ValueError(f"invalid next ID {next_id!r:.40} or network name {name!r:.40}")
        return cls(unlink(address_map), next_id, name, unlink(installed[0]) if installed else None)


@dataclass(frozen=True, slots=True)
class TreeImage:
    """A tree within a transaction: its last flushed root, and the actors written since."""

    root: Cid
    actors: Mapping[ActorID, ActorState | None]


class StateOrigin(TypingProtocol):
    """A source of actors that are neither in the tree nor in the store, read on demand.

    Used to fork a network whose node provides accounts but no blocks (`StateTree.read_from`).
    """

    def lookup_id(self, address: Address) -> ActorID | None:
        """Return the ID of the origin's actor with an address, whether the actor exists or not; None without an ID."""

    def actor(self, actor: ActorID) -> ActorState | None:
        """Return the state of one of the origin's actors, or None."""

    def words(self, store: Blockstore, root: Cid) -> StoredWords | None:
        """Return the storage of one of the origin's contracts under a root, or None if the root is a KAMT's."""

    def removed(self, actor: ActorID) -> ActorState | None:
        """Return what a flushed tree holds for one of the origin's actors that was deleted; None for other actors."""


class ExchangingOrigin(StateOrigin, TypingProtocol):
    """An origin that also replaces the flushed tree (`StateTree.read_all_from`)."""

    def current_root(self) -> Cid:
        """Return the root of its state with everything written to the tree; changes nothing."""


TreeMark = tuple[int, int, int]
"""Mark of a transaction: of the actors, the addresses, and the engine that holds the state."""


class StateEngine(TypingProtocol):
    """An engine that holds the tree's state, and changes of it, to write them together (`StateTree.held`)."""

    def settle(self) -> None:
        """Write the changes to the tree, which no longer holds them."""

    def mark(self) -> int:
        """Return a mark of the state that it holds; -1 if that is not the tree's."""

    def undo(self, mark: int) -> None:
        """Go back to the state at a mark, which the tree has again."""


class StateTree:
    """The actors under a state root."""

    def __init__(self, store: Blockstore, root: Cid) -> None:
        self.store = store
        self._root = root
        version, actors, self._info = self._load_root(root)
        if version != STATE_TREE_VERSION:
            raise Fatal(f"state tree version {version} is not supported, only {STATE_TREE_VERSION}")
        self._hamt = Hamt(store, unlink(actors), HAMT_BIT_WIDTH)
        self._actors: UndoMap[ActorID, ActorState | None] = UndoMap()
        """Actors written since the last flush."""
        self._read: dict[ActorID, ActorState | None] = {}
        """Cache of actors in the flushed tree, which survives rollbacks."""
        self._resolved: UndoMap[Address, ActorID | None] = UndoMap()
        self._found: tuple[Cid | None, dict[Address, ActorID]] = (None, {})
        """Cache of resolved addresses for one state of the init actor, which survives rollbacks."""
        self._dirty: set[ActorID] = set()
        self._address_map: tuple[Cid, Hamt] | None = None
        self.transactions = 0
        """Number of open transactions."""
        self.writes = 0
        """Number of writes and rollbacks so far: the actors are the same as long as it is."""
        self.engine: StateEngine | None = None
        """The engine that holds this state."""
        self.held: StateEngine | None = None
        """The engine while it has changes that belong to the tree, which are written before it is read."""
        self.origin: StateOrigin | None = None
        """Source of actors that are neither written nor in the tree."""
        self._exchanging: ExchangingOrigin | None = None
        """The origin, if it also replaces the flushed tree."""

    def _become(self, other: StateTree) -> None:
        """Take over the contents of another tree, which must not be used afterwards; for subclasses."""
        other.settle()
        self.store = other.store
        self._root, self._info, self._hamt = other._root, other._info, other._hamt
        self._actors, self._read, self._dirty = other._actors, other._read, other._dirty
        self._resolved, self._found, self._address_map = other._resolved, other._found, other._address_map
        self.transactions, self.origin, self.writes = other.transactions, other.origin, other.writes
        self.engine = self.held = None
        self._exchanging = other._exchanging

    def _load_root(self, root: Cid) -> tuple[int, Any, Any]:
        fields = get_object(self.store, root)
        try:
            version, actors, info = fields
            unlink(actors)
        except _MALFORMED:
            raise Fatal(f"the state root {show(root)} is not a tuple of three: {fields!r:.60}") from None
        return version, actors, info

    @classmethod
    def empty(cls, store: Blockstore) -> StateTree:
        """Return a tree without actors."""
        store.put(EMPTY_ARRAY_CID, EMPTY_ARRAY_BLOCK)
        actors = Hamt(store, None, HAMT_BIT_WIDTH).flush()
        return cls(store, put_object(store, [STATE_TREE_VERSION, link(actors), link(EMPTY_ARRAY_CID)]))

    def read_from(self, origin: StateOrigin | None) -> None:
        """Read actors that are neither written nor in the tree from an origin; None disables it."""
        self.settle()
        self.writes += 1
        self.origin = origin
        self._read.clear()

    def read_all_from(self, origin: ExchangingOrigin) -> None:
        """Read all actors that are not written from an origin, which replaces the flushed tree.

        Of the flushed tree only the init actor remains, and the tree cannot be flushed any more (`flush` raises Fatal),
        since it is not a single state. `current_root` is computed by the origin.
        """
        init = self._hamt.get(_key(INIT_ACTOR))
        self._hamt = Hamt(self.store, None, HAMT_BIT_WIDTH)
        if init is not None:
            self._hamt.set(_key(INIT_ACTOR), init)
        self._exchanging = origin
        self.read_from(origin)

    @property
    def is_exchanged(self) -> bool:
        """True if an origin replaces the flushed tree: it has a `current_root` but cannot be flushed."""
        return self._exchanging is not None

    def settle(self) -> None:
        """Write the changes that an engine holds."""
        if self.held is not None:
            self.held.settle()

    @contextmanager
    def without_held(self) -> Iterator[None]:
        """Read the tree as it is written: only for what no engine holds."""
        held, self.held = self.held, None
        try:
            yield
        finally:
            self.held = held

    # --- actors -----------------------------------------------------------------------------------------------

    def get_actor(self, actor: ActorID) -> ActorState | None:
        """Return the actor's state, or None."""
        if self.held is not None:
            self.held.settle()
        known = self._actors.get(actor, _UNREAD)
        if known is _UNREAD:
            known = self._read.get(actor, _UNREAD)
        return self._read_actor(actor) if known is _UNREAD else known

    def _read_actor(self, actor: ActorID) -> ActorState | None:
        try:
            fields = self._hamt.get(_key(actor))
            state = None if fields is None else ActorState.from_fields(fields)
        except _MALFORMED as error:
            raise _unreadable(f"actor f0{actor} in the state tree", error) from error
        if state is None and self.origin is not None:
            return self.origin.actor(actor)
        if len(self._read) >= MAX_CACHED_NODES:
            self._read.clear()
        self._read[actor] = state
        return state

    def existing(self, actor: ActorID) -> ActorState:
        """Return the state of an actor. Raises Fatal if it does not exist."""
        state = self.get_actor(actor)
        if state is None:
            raise Fatal(f"actor f0{actor} is missing")
        return state

    def set_actor(self, actor: ActorID, state: ActorState) -> None:
        if self.held is not None:
            self.held.settle()
        self.writes += 1
        self._actors.set(actor, state)
        self._dirty.add(actor)

    def set_actors(self, states: Mapping[ActorID, ActorState]) -> None:
        """Write the states of several actors, each like `set_actor`."""
        if self.held is not None:
            self.held.settle()
        self.writes += len(states)
        self._actors.set_all(states.items())
        self._dirty |= states.keys()

    def credit(self, actor: ActorID, amount: int) -> bool:
        """Add attoFIL to an actor's balance, at most to `MAX_BALANCE`; return False if the actor does not exist.

        Additions commute, so they do not conflict when messages are executed in parallel.
        """
        if self.held is not None:
            self.held.settle()
        state = self._actors.get(actor, _UNREAD)
        if state is _UNREAD:
            state = self.get_actor(actor)
        if state is None:
            return False
        balance = TokenAmount(min(state.balance + amount, MAX_BALANCE))
        self.writes += 1
        self._actors.set(actor, ActorState(state.code, state.head, state.nonce, balance, state.delegated_address))
        self._dirty.add(actor)
        return True

    def delete_actor(self, actor: ActorID) -> None:
        """Delete an actor. Its addresses stay in the address map."""
        if self.held is not None:
            self.held.settle()
        self.writes += 1
        self._actors.set(actor, None)
        self._dirty.add(actor)

    @property
    def flushed_root(self) -> Cid:
        return self._root

    def changed_since(self, flushed: Cid) -> Set[ActorID] | None:
        """Return a superset of the actors written since the root `flushed`; None if flushed in between."""
        self.settle()
        return self._dirty if self._root == flushed else None

    def actors(self) -> Iterator[tuple[ActorID, ActorState]]:
        """Iterate over all actors of the flushed tree, in tree order."""
        try:
            for key, fields in self._hamt.items():
                identity = Address.from_bytes(key).actor_id()
                if identity is None:
                    raise ValueError(f"the key 0x{key.hex()} is not an ID address")
                yield identity, ActorState.from_fields(fields)
        except _MALFORMED as error:
            raise _unreadable("the actors of the state tree", error) from error

    def exchange_code(self, codes: Mapping[Cid, Cid], progress: Callable[[int], None] | None = None) -> None:
        """Replace code CIDs of all actors according to `codes`; only outside transactions.

        `progress` is called at intervals with the number of actors processed. Raises Fatal like `rewrite`.
        """
        new = {before: link(after) for before, after in codes.items() if before != after}

        def with_code(_: bytes, fields: list[Any]) -> list[Any] | None:
            other = new.get(unlink(fields[0]))
            return None if other is None else [other, *fields[1:]]

        self._rewrite(with_code, progress)

    def rewrite_states(
        self, code: Cid, change: Callable[[ActorID, Cid], Cid], progress: Callable[[int], None] | None = None
    ) -> None:
        """Replace the heads of all actors with `code` by `change(actor, head)`; only outside transactions.

        `progress` and errors are those of `exchange_code`; errors of `change` propagate, with the tree unchanged.
        """

        def with_head(key: bytes, fields: list[Any]) -> list[Any] | None:
            if unlink(fields[0]) != code:
                return None
            actor = Address.from_bytes(key).actor_id()
            if actor is None:
                raise ValueError(f"{key.hex()[:60]} is not the key of an actor")
            return [fields[0], link(change(actor, unlink(fields[1]))), *fields[2:]]

        self._rewrite(with_head, progress)

    def _rewrite(
        self, change: Callable[[bytes, list[Any]], list[Any] | None], progress: Callable[[int], None] | None
    ) -> None:
        """Replace the fields of all actors node by node, so that memory does not depend on the number of actors."""
        self.flush()
        seen = 0

        def changed(key: bytes, fields: Any) -> Any | None:
            nonlocal seen
            seen += 1
            if progress is not None and seen % _PROGRESS == 0:
                progress(seen)
            if type(fields) is not list or len(fields) != 5:
                raise ValueError(f"{fields!r:.60} is not a tuple of five")
            return change(key, fields)

        try:
            actors = self._hamt.rewrite(changed)
        except _MALFORMED as error:
            if isinstance(error, InvalidInput):
                raise
            raise _unreadable("the actors of the state tree", error) from error
        self._root = put_object(self.store, [STATE_TREE_VERSION, link(actors), self._info])
        self._hamt = Hamt(self.store, actors, HAMT_BIT_WIDTH)
        self.writes += 1
        self._actors.clear()
        self._read.clear()

    # --- addresses --------------------------------------------------------------------------------------------

    def lookup_id(self, address: Address) -> ActorID | None:
        """Return the actor ID of an address, or None. An ID address returns its ID, whether it exists or not."""
        if self.held is not None:
            self.held.settle()
        if address.protocol is Protocol.ID:
            return id_of_payload(address.payload)
        if self.origin is not None:
            return self._lookup_with(self.origin, address)
        known = self._resolved.get(address)
        if known is not None:
            return known
        ids = self._id_cache()
        known = ids.get(address)
        if known is not None:
            self._resolved.set(address, known)  # faster for the rest of the transaction
            return known
        try:
            found = self._address_hamt(self.init_state()).get(address.to_bytes())
            if found is not None and not _is_id(found):
                raise ValueError(f"{found!r:.40} is not an actor ID")
        except _MALFORMED as error:
            raise _unreadable(f"the address {address} in the init actor's state", error) from error
        if found is None:
            return None
        self._resolved.set(address, ActorID(found))
        ids[address] = ActorID(found)
        return ActorID(found)

    def _lookup_with(self, origin: StateOrigin, address: Address) -> ActorID | None:
        """Look up an address in the tree if its actor exists there, else in the origin."""
        self.origin = None
        try:
            found = self.lookup_id(address)
        finally:
            self.origin = origin
        if found is not None and self.get_actor(found) is not None:
            return found
        known = origin.lookup_id(address)
        return found if known is None or self.get_actor(known) is None else known

    def words(self, root: Cid) -> StoredWords:
        """Return the storage of a contract under a root."""
        words = None if self.origin is None or root == EMPTY_KAMT else self.origin.words(self.store, root)
        return Kamt(self.store, None if root == EMPTY_KAMT else root) if words is None else words

    def _id_cache(self) -> dict[Address, ActorID]:
        """Return the cache of addresses for the current state of the init actor."""
        init = self.get_actor(INIT_ACTOR)
        head, ids = self._found
        if init is None or init.head != head or len(ids) >= MAX_CACHED_NODES:
            self._found = None if init is None else init.head, {}
        return self._found[1]

    def register_address(self, address: Address) -> ActorID:
        """Assign the next free ID to an address in the init actor's state, without gas."""
        init = self.init_state()
        actor = ActorID(init.next_id)
        self.map_address(address, actor, replace(init, next_id=init.next_id + 1))
        return actor

    def map_address(self, address: Address, actor: ActorID, init: InitState | None = None) -> None:
        init = init or self.init_state()
        known, addresses = self._id_cache(), self._address_hamt(init)
        self._address_map = None  # the content changes, so it gets another root
        addresses.set(address.to_bytes(), actor)
        root = addresses.flush()
        self.set_init_state(replace(init, address_map=root))
        self._resolved.set(address, actor)
        known[address] = actor
        self._address_map, self._found = (root, addresses), (self.existing(INIT_ACTOR).head, known)

    def addresses(self, limit: int) -> list[Address] | None:
        """Return all addresses but IDs; None if there are more than `limit`, or not all can be read.

        An origin has others.
        """
        if self.origin is not None:
            return None
        try:
            keys = [key for key, _ in islice(self._address_hamt(self.init_state()).items(), limit + 1)]
            return [Address.from_bytes(key) for key in keys] if len(keys) <= limit else None
        except _MALFORMED:
            return None

    def init_state(self) -> InitState:
        actor = self.get_actor(INIT_ACTOR)
        if actor is None:
            raise Fatal("the state tree has no init actor (f01)")
        try:
            return InitState.from_fields(get_object(self.store, actor.head))
        except _MALFORMED as error:
            raise _unreadable("the state of the init actor (f01)", error) from error

    def installed_codes(self, listed: Cid) -> list[Cid]:
        """Return the installed code CIDs in the list of the init actor's state."""
        try:
            return [unlink(code) for code in get_object(self.store, listed)]
        except _MALFORMED as error:
            raise _unreadable("the init actor's list of installed code", error) from error

    def set_init_state(self, state: InitState) -> None:
        """Write the init actor's state."""
        actor = self.get_actor(INIT_ACTOR)
        if actor is None:
            raise Fatal("the state tree has no init actor (f01)")
        self.set_actor(INIT_ACTOR, actor.with_head(put_object(self.store, state.fields())))

    def _address_hamt(self, init: InitState) -> Hamt:
        if self._address_map is None or self._address_map[0] != init.address_map:
            self._address_map = (init.address_map, Hamt(self.store, init.address_map, HAMT_BIT_WIDTH))
        return self._address_map[1]

    # --- transactions -----------------------------------------------------------------------------------------

    def begin(self) -> TreeMark:
        """Begin a transaction, and return the mark for `rollback`."""
        if self.held is not None:
            self.held.settle()
        self.transactions += 1
        engine = -1 if self.engine is None else self.engine.mark()
        return self._actors.mark(), self._resolved.mark(), engine

    def rollback(self, mark: TreeMark) -> None:
        """Undo everything since the mark and close the transaction."""
        self.held = None
        if self._actors.mark() > mark[0]:
            self.writes += 1
        self._actors.rollback(mark[0])
        self._resolved.rollback(mark[1])
        try:
            if self.engine is not None:
                self.engine.undo(mark[2])
        finally:
            self.commit()

    def commit(self) -> None:
        """Close the transaction; its writes become part of the enclosing one."""
        self.transactions -= 1
        if self.transactions == 0:
            self._actors.forget_log()
            self._resolved.forget_log()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is written inside, or roll it back if an exception is raised."""
        mark = self.begin()
        try:
            yield
        except BaseException:
            self.rollback(mark)
            raise
        self.commit()

    def mark(self) -> int:
        """Return a mark for `states_before`, within a transaction."""
        return self._actors.mark()

    def states_before(self, mark: int) -> dict[ActorID, ActorState | None]:
        """Return the actors that were written since a mark, as they were then."""
        found: dict[ActorID, ActorState | None] = {}
        for actor, state in self._actors.before(mark, _UNREAD):
            if actor not in found:
                found[actor] = self._read_actor(actor) if state is _UNREAD else state
        return found

    def image(self) -> TreeImage:
        """Return an image of the tree, also within a transaction, to restore with `restore_image`."""
        self.settle()
        return TreeImage(self._root, {actor: state for actor, state in self._actors.items() if state is not _UNREAD})

    def current_root(self) -> Cid:
        """Return the root of the current state, also within a transaction; changes nothing."""
        self.settle()
        if self._exchanging is not None:
            return self._exchanging.current_root()
        copy = StateTree(self.store, self._root)
        copy.read_from(self.origin)
        for actor, state in self._actors.items():
            if state is not _UNREAD and state != copy.get_actor(actor):
                copy.delete_actor(actor) if state is None else copy.set_actor(actor, state)
        return copy.flush()

    def restore_image(self, image: TreeImage) -> None:
        """Restore the actors and addresses of an image. Undone like any other write."""
        self.settle()
        if image.root == self._root:
            self._restore_same_root(image)
            return
        before = StateTree(self.store, image.root)
        before.read_from(self.origin)
        actors = {actor for actor, _ in self._actors.items()} | set(image.actors)
        actors |= {actor for actor, _ in before.actors()} | {actor for actor, _ in self.actors()}
        for actor in sorted(actors):
            state = image.actors[actor] if actor in image.actors else before.get_actor(actor)
            if state != self.get_actor(actor):
                self._actors.set(actor, state)
                self._dirty.add(actor)
        self._resolve_again()

    def _restore_same_root(self, image: TreeImage) -> None:
        """Restore an image with the same root: actors not written in the image are read from the root or the origin."""
        for actor in sorted({actor for actor, _ in self._actors.items()} | set(image.actors)):
            state = image.actors.get(actor, _UNREAD)
            if state is _UNREAD or state != self.get_actor(actor):
                self._actors.set(actor, state)
                self._dirty.add(actor)
        self._resolve_again()

    def _resolve_again(self) -> None:
        self.writes += 1
        addresses = self._address_hamt(self.init_state())
        for address, known in list(self._resolved.items()):
            found = addresses.get(address.to_bytes())
            if found != known:
                self._resolved.set(address, found)

    def flush(self) -> Cid:
        """Write the changed actors and return the new root; only outside transactions, and without `read_all_from`."""
        if self.held is not None:
            self.held.settle()
        if self.transactions:
            raise Fatal("the state tree cannot be flushed inside a transaction")
        if self._dirty and self._exchanging is not None:
            raise Fatal("the state tree cannot be flushed: an origin replaces its actors; use `current_root`")
        if self._dirty:
            self._write()
            actors = CBORTag(LINK_TAG, b"\x00" + self._hamt.flush())
            self._root = put_object(self.store, [STATE_TREE_VERSION, actors, self._info])
        if self._hamt.loaded_nodes + (self._address_map[1].loaded_nodes if self._address_map else 0) > MAX_CACHED_NODES:
            self._drop_caches()
        return self._root

    def _drop_caches(self) -> None:
        """Drop the caches, so that memory use is bounded by MAX_CACHED_NODES."""
        self._hamt = Hamt(self.store, self._hamt.flush(), HAMT_BIT_WIDTH)
        self._address_map = None
        self._read.clear()
        self._resolved.clear()

    def _write(self) -> None:
        """Write the changed actors to the HAMT."""
        written: list[tuple[bytes, Any]] = []
        for actor in sorted(self._dirty):
            state = self._actors.get(actor, _UNREAD)
            if state is _UNREAD:  # written in a transaction that was rolled back
                continue
            if state is None and self.origin is not None:
                state = self.origin.removed(actor)
            self._read[actor] = state
            if state is None:
                self._hamt.delete(_key(actor))
            else:
                written.append((_key(actor), state.fields()))
        self._hamt.set_all(written)
        self._dirty.clear()
        self._actors.clear()


def _is_id(number: Any) -> bool:
    return type(number) is int and 0 <= number < (1 << 64) - 1


def _unreadable(what: str, error: Exception) -> Fatal:
    """Return a Fatal error for missing or malformed parts of the state."""
    return Fatal(f"{what} cannot be read: {error}")


@lru_cache(4096)
def _key(actor: ActorID) -> bytes:
    return b"\x00" + encode_uleb128(actor)
