"""The global state: every actor by its ID, in a HAMT under a versioned root.

Reads and writes go through an undo log, so that a transaction is a mark and a rollback; `flush` writes what is left.
It also keeps the address book, which is state of the init actor that the machine itself may read and extend.
Source: ref-fvm fvm/src/state_tree.rs. Only version 5 (network version 18 on).
"""

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from typing import Protocol as TypingProtocol

from cbor2 import CBORTag

from hypervisor.address import Address, Protocol
from hypervisor.bigint import decode_bigint, encode_bigint
from hypervisor.errors import Fatal
from hypervisor.leb128 import encode_uleb128
from hypervisor.printed import cid_text, one_line, show_fil
from hypervisor.types import INIT_ACTOR, ActorID, TokenAmount
from hypervisor.undo_map import UndoMap
from store.blockstore import BlockNotFound, Blockstore, TreeNodeError, get_object, put_object
from store.cid import EMPTY_ARRAY_BLOCK, EMPTY_ARRAY_CID, Cid, show
from store.codec import LINK_TAG, CodecError, link, unlink
from store.hamt import Hamt
from store.kamt import EMPTY_KAMT, Kamt
from store.words import StoredWords

STATE_TREE_VERSION = 5
HAMT_BIT_WIDTH = 5

NODES_HELD = 1 << 13
"""Nodes that a flushed tree holds decoded; of a large state some 20 KB each. Beyond that it lets go of all."""

_MALFORMED = (BlockNotFound, TreeNodeError, CodecError, TypeError, ValueError)
"""What reading a state raises that is not as the machine writes it; a failing disk is another matter, and raised."""


@dataclass(frozen=True, slots=True)
class ActorState:
    """One actor: code CID, head (the CID of its state), nonce, balance in attoFIL, f4 address where it has one."""

    code: Cid
    head: Cid = EMPTY_ARRAY_CID
    nonce: int = 0
    balance: TokenAmount = TokenAmount(0)
    delegated_address: Address | None = None

    def __repr__(self) -> str:
        address = "" if self.delegated_address is None else str(self.delegated_address)
        code, head = f"code ...{cid_text(self.code)[-8:]}", f"state ...{cid_text(self.head)[-8:]}"
        balance = show_fil(self.balance) if self.balance else "0 FIL"
        return one_line("ActorState", balance, f"nonce {self.nonce}", address, code, head)

    def fields(self) -> list[Any]:
        """The tuple of five that the tree holds."""
        delegated = None if self.delegated_address is None else self.delegated_address.to_bytes()
        # what `store.codec.link` makes, without its call: every actor that a message changes passes here
        code, head = CBORTag(LINK_TAG, b"\x00" + self.code), CBORTag(LINK_TAG, b"\x00" + self.head)
        return [code, head, self.nonce, encode_bigint(self.balance), delegated]

    @classmethod
    def from_fields(cls, fields: Any) -> "ActorState":
        """Read the tuple of five; ValueError or TypeError if it is none."""
        code, head, nonce, balance, delegated = fields
        if type(nonce) is not int or not 0 <= nonce < 1 << 64:
            raise ValueError(f"the nonce is {nonce!r:.40}")
        amount = decode_bigint(balance)
        if amount < 0:
            raise ValueError(f"the balance is {amount}")
        address = None if delegated is None else Address.from_bytes(delegated)
        return cls(unlink(code), unlink(head), nonce, TokenAmount(amount), address)

    def with_balance(self, balance: int) -> "ActorState":
        """The same actor with another balance."""
        return ActorState(self.code, self.head, self.nonce, TokenAmount(balance), self.delegated_address)

    def with_nonce(self, nonce: int) -> "ActorState":
        """The same actor with another nonce."""
        return ActorState(self.code, self.head, nonce, self.balance, self.delegated_address)

    def with_head(self, head: Cid) -> "ActorState":
        """The same actor with another state."""
        return ActorState(self.code, head, self.nonce, self.balance, self.delegated_address)


_PROGRESS = 10_000
"""Actors between two words of progress."""
_OTHER_FIELDS = 4
"""An actor's fields after its code."""

_UNREAD = ActorState(Cid(b""))
"""Stands for an actor that the tree has not looked for yet."""


@dataclass(frozen=True, slots=True)
class InitState:
    """The init actor's state: the HAMT of addresses, the next free ID, the network's name; with the feature m2-native
    the list of installed code, too."""

    address_map: Cid
    next_id: int
    network_name: str
    installed: Cid | None = None

    def fields(self) -> list[Any]:
        """The tuple of three, or of four."""
        common = [link(self.address_map), self.next_id, self.network_name]
        return common if self.installed is None else [*common, link(self.installed)]

    @classmethod
    def from_fields(cls, fields: Any) -> "InitState":
        """Read the tuple of three or four, whatever the features; ValueError or TypeError if it is none."""
        address_map, next_id, name, *installed = fields
        if len(installed) > 1:
            raise ValueError(f"the tuple has {len(fields)} fields")
        if not _is_id(next_id) or not isinstance(name, str):
            raise ValueError(f"the next ID is {next_id!r:.40} and the network's name {name!r:.40}")
        return cls(unlink(address_map), next_id, name, unlink(installed[0]) if installed else None)


@dataclass(frozen=True, slots=True)
class TreeImage:
    """A tree within a transaction: the root that it was flushed to last, and the actors written since."""

    root: Cid
    actors: Mapping[ActorID, ActorState | None]


class StateOrigin(TypingProtocol):
    """Where actors come from that a tree does not hold, nor any block: of a state that is read when it is asked for.

    A fork of a network whose node hands out accounts, and no blocks, begins at such a state (`StateTree.read_from`).
    """

    def lookup_id(self, address: Address) -> ActorID | None:
        """Return the ID of the origin's actor with an address, whether the actor exists or not; None without an ID."""

    def actor(self, actor: ActorID) -> ActorState | None:
        """The state of one of the origin's actors."""

    def words(self, store: Blockstore, root: Cid) -> StoredWords | None:
        """Return the storage of one of the origin's contracts under a root, or None if the root is a KAMT's."""

    def removed(self, actor: ActorID) -> ActorState | None:
        """Return what a flushed tree holds for one of the origin's actors that was deleted; None for other actors."""


class ExchangingOrigin(StateOrigin, TypingProtocol):
    """An origin that exchanges the flushed tree's actors, too (`StateTree.read_all_from`)."""

    def current_root(self) -> Cid:
        """The root of its state with all that the tree has written. Nothing changes."""


class StateTree:
    """The actors under one state root."""

    def __init__(self, store: Blockstore, root: Cid) -> None:
        self.store = store
        self._root = root
        version, actors, self._info = self._load_root(root)
        if version != STATE_TREE_VERSION:
            raise Fatal(f"state tree version {version} is not supported, only {STATE_TREE_VERSION}")
        self._hamt = Hamt(store, unlink(actors), HAMT_BIT_WIDTH)
        self._actors: UndoMap[ActorID, ActorState | None] = UndoMap()
        """Actors that were written since the last flush."""
        self._read: dict[ActorID, ActorState | None] = {}
        """Actors as the flushed tree has them: what was read stays known when a transaction is taken back."""
        self._resolved: UndoMap[Address, ActorID | None] = UndoMap()
        self._found: tuple[Cid | None, dict[Address, ActorID]] = (None, {})
        """Addresses that were looked up in a state of the init actor, which no transaction takes back."""
        self._dirty: set[ActorID] = set()
        self._address_map: tuple[Cid, Hamt] | None = None
        self._transactions = 0
        self.origin: StateOrigin | None = None
        """Whose the actors are that were not written and are not in the tree."""
        self._exchanging: ExchangingOrigin | None = None
        """The origin, where it stands for the flushed tree, too."""

    def _become(self, other: "StateTree") -> None:
        """Take over all that another tree knows, which is to be used no more: for trees that do something besides."""
        self.store = other.store
        self._root, self._info, self._hamt = other._root, other._info, other._hamt
        self._actors, self._read, self._dirty = other._actors, other._read, other._dirty
        self._resolved, self._found, self._address_map = other._resolved, other._found, other._address_map
        self._transactions, self.origin = other._transactions, other.origin
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
    def empty(cls, store: Blockstore) -> "StateTree":
        """A tree without actors."""
        store.put(EMPTY_ARRAY_CID, EMPTY_ARRAY_BLOCK)
        actors = Hamt(store, None, HAMT_BIT_WIDTH).flush()
        return cls(store, put_object(store, [STATE_TREE_VERSION, link(actors), link(EMPTY_ARRAY_CID)]))

    def read_from(self, origin: StateOrigin | None) -> None:
        """Take actors that are neither written nor in the tree from an origin; None: there are none such."""
        self.origin = origin
        self._read.clear()

    def read_all_from(self, origin: ExchangingOrigin) -> None:
        """Take every actor that is not written from an origin, the flushed tree's, too: it may exchange them all.

        Of that tree the init actor alone stays, and what is written is not flushed any more (`flush` raises Fatal):
        there is no tree that is one state. `current_root` is the origin's.
        """
        init = self._hamt.get(_key(INIT_ACTOR))
        self._hamt = Hamt(self.store, None, HAMT_BIT_WIDTH)
        if init is not None:
            self._hamt.set(_key(INIT_ACTOR), init)
        self._exchanging = origin
        self.read_from(origin)

    @property
    def is_exchanged(self) -> bool:
        """Whether an origin stands for the flushed tree, too: then there is a `current_root`, and nothing to flush."""
        return self._exchanging is not None

    # --- actors -----------------------------------------------------------------------------------------------

    def get_actor(self, actor: ActorID) -> ActorState | None:
        """The actor's state, None where there is none."""
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
        if len(self._read) >= NODES_HELD:
            self._read.clear()
        self._read[actor] = state
        return state

    def existing(self, actor: ActorID) -> ActorState:
        """The state of an actor that must be there. Raises Fatal where it is not."""
        state = self._actors.get(actor, _UNREAD)
        if state is _UNREAD:
            state = self._read.get(actor, _UNREAD)
        if state is _UNREAD:
            state = self._read_actor(actor)
        if state is None:
            raise Fatal(f"actor f0{actor} is missing")
        return state

    def set_actor(self, actor: ActorID, state: ActorState) -> None:
        """Write an actor."""
        self._actors.set(actor, state)
        self._dirty.add(actor)

    def credit(self, actor: ActorID, amount: int) -> bool:
        """Add attoFIL to an actor's balance, whatever that is; whether there is such an actor.

        An addition gives the same in any order: where messages run beside each other, it is no conflict.
        """
        state = self.get_actor(actor)
        if state is None:
            return False
        self._actors.set(actor, state.with_balance(state.balance + amount))
        self._dirty.add(actor)
        return True

    def delete_actor(self, actor: ActorID) -> None:
        """Take an actor out of the tree. Its addresses stay in the address book."""
        self._actors.set(actor, None)
        self._dirty.add(actor)

    @property
    def flushed_root(self) -> Cid:
        """The root that the tree was flushed to last."""
        return self._root

    def written_since(self, flushed: Cid) -> Set[ActorID] | None:
        """At least the actors that were written since the tree was at a root; None: it was flushed meanwhile."""
        return self._dirty if self._root == flushed else None

    def actors(self) -> Iterator[tuple[ActorID, ActorState]]:
        """Every actor of the flushed tree, in the tree's own order."""
        try:
            for key, fields in self._hamt.items():
                identity = Address.from_bytes(key).actor_id()
                if identity is None:
                    raise ValueError(f"the key 0x{key.hex()} is not an ID address")
                yield identity, ActorState.from_fields(fields)
        except _MALFORMED as error:
            raise _unreadable("the actors of the state tree", error) from error

    def exchange_code(self, codes: Mapping[Cid, Cid], progress: Callable[[int], None] | None = None) -> None:
        """Give each actor whose code is a key of `codes` the code that it leads to; only outside transactions.

        The tree is rewritten node by node, so memory follows the new nodes, not the actors. `progress` is called now
        and then with the number of actors that were looked at. Raises Fatal for actors that cannot be read, with the
        tree as it was.
        """
        self.flush()
        new, seen = {before: link(after) for before, after in codes.items() if before != after}, 0

        def changed(_: bytes, fields: Any) -> Any | None:
            nonlocal seen
            seen += 1
            if progress is not None and seen % _PROGRESS == 0:
                progress(seen)
            code, *others = fields
            if len(others) != _OTHER_FIELDS:
                raise ValueError(f"{fields!r:.60} is not a tuple of five")
            other = new.get(unlink(code))
            return None if other is None else [other, *others]

        try:
            actors = self._hamt.rewritten(changed)
        except _MALFORMED as error:
            raise _unreadable("the actors of the state tree", error) from error
        self._root = put_object(self.store, [STATE_TREE_VERSION, link(actors), self._info])
        self._hamt = Hamt(self.store, actors, HAMT_BIT_WIDTH)
        self._actors.clear()
        self._read.clear()

    # --- addresses --------------------------------------------------------------------------------------------

    def lookup_id(self, address: Address) -> ActorID | None:
        """The ID behind an address, None if no actor has it. An ID address is its own answer, existing or not."""
        if address.protocol is Protocol.ID:
            return address.actor_id()
        if self.origin is not None:
            return self._lookup_with(self.origin, address)
        known = self._resolved.get(address)
        if known is not None:
            return known
        book = self._book()
        known = book.get(address)
        if known is not None:
            return known
        try:
            found = self._address_hamt(self.init_state()).get(address.to_bytes())
            if found is not None and not _is_id(found):
                raise ValueError(f"it leads to {found!r:.40}")
        except _MALFORMED as error:
            raise _unreadable(f"the address {address} in the init actor's state", error) from error
        if found is None:
            return None
        self._resolved.set(address, ActorID(found))
        book[address] = ActorID(found)
        return ActorID(found)

    def _lookup_with(self, origin: StateOrigin, address: Address) -> ActorID | None:
        """The ID behind an address: the tree's own where its actor is there, else the origin's, if it has one."""
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

    def _book(self) -> dict[Address, ActorID]:
        """What was found in the init actor's state as it is now."""
        init = self.get_actor(INIT_ACTOR)
        head, book = self._found
        if init is None or init.head != head or len(book) >= NODES_HELD:
            self._found = None if init is None else init.head, {}
        return self._found[1]

    def register_address(self, address: Address) -> ActorID:
        """Give the next free ID to an address, in the init actor's state (no gas: the machine does it itself)."""
        init = self.init_state()
        actor = ActorID(init.next_id)
        self.map_address(address, actor, replace(init, next_id=init.next_id + 1))
        return actor

    def map_address(self, address: Address, actor: ActorID, init: InitState | None = None) -> None:
        """Let a further address lead to an actor."""
        init = init or self.init_state()
        addresses = Hamt(self.store, init.address_map, HAMT_BIT_WIDTH)
        addresses.set(address.to_bytes(), actor)
        self.set_init_state(replace(init, address_map=addresses.flush()))
        self._resolved.set(address, actor)

    def init_state(self) -> InitState:
        """The init actor's state, decoded."""
        actor = self.get_actor(INIT_ACTOR)
        if actor is None:
            raise Fatal("the state tree has no init actor (f01)")
        try:
            return InitState.from_fields(get_object(self.store, actor.head))
        except _MALFORMED as error:
            raise _unreadable("the state of the init actor (f01)", error) from error

    def installed_codes(self, listed: Cid) -> list[Cid]:
        """The code that the init actor has installed, by the list that its state names."""
        try:
            return [unlink(code) for code in get_object(self.store, listed)]
        except _MALFORMED as error:
            raise _unreadable("the init actor's list of installed code", error) from error

    def set_init_state(self, state: InitState) -> None:
        """Rewrite the init actor's state."""
        actor = self.get_actor(INIT_ACTOR)
        if actor is None:
            raise Fatal("the state tree has no init actor (f01)")
        self.set_actor(INIT_ACTOR, actor.with_head(put_object(self.store, state.fields())))

    def _address_hamt(self, init: InitState) -> Hamt:
        if self._address_map is None or self._address_map[0] != init.address_map:
            self._address_map = (init.address_map, Hamt(self.store, init.address_map, HAMT_BIT_WIDTH))
        return self._address_map[1]

    # --- transactions -----------------------------------------------------------------------------------------

    def begin(self) -> tuple[int, int]:
        """Open a transaction; the mark goes to `rollback`, or is dropped by `commit`."""
        self._transactions += 1
        return self._actors.mark(), self._resolved.mark()

    def rollback(self, mark: tuple[int, int]) -> None:
        """Undo everything since the mark and close the transaction."""
        self._actors.rollback(mark[0])
        self._resolved.rollback(mark[1])
        self._close()

    def commit(self) -> None:
        """Close the transaction, keeping its writes in the one around it."""
        self._close()

    def _close(self) -> None:
        self._transactions -= 1
        if self._transactions == 0:
            self._actors.forget_log()
            self._resolved.forget_log()

    def image(self) -> TreeImage:
        """The tree as it is now, within a transaction too, to come back to with `go_back_to`."""
        return TreeImage(self._root, {actor: state for actor, state in self._actors.items() if state is not _UNREAD})

    def current_root(self) -> Cid:
        """The root of the state as it is now; within a transaction too. Nothing changes."""
        if self._exchanging is not None:
            return self._exchanging.current_root()
        copy = StateTree(self.store, self._root)
        copy.read_from(self.origin)
        for actor, state in self._actors.items():
            if state is not _UNREAD and state != copy.get_actor(actor):
                copy.delete_actor(actor) if state is None else copy.set_actor(actor, state)
        return copy.flush()

    def go_back_to(self, image: TreeImage) -> None:
        """Write the actors as an image has them: a change like any other, undone as those are. Addresses too."""
        if image.root == self._root:
            self._go_back_within(image)
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

    def _go_back_within(self, image: TreeImage) -> None:
        """The same where the tree has the image's root: what the image did not write is as the root, or the origin,
        has it.
        """
        for actor in sorted({actor for actor, _ in self._actors.items()} | set(image.actors)):
            state = image.actors.get(actor, _UNREAD)
            if state is _UNREAD or state != self.get_actor(actor):
                self._actors.set(actor, state)
                self._dirty.add(actor)
        self._resolve_again()

    def _resolve_again(self) -> None:
        addresses = self._address_hamt(self.init_state())
        for address, known in list(self._resolved.items()):
            found = addresses.get(address.to_bytes())
            if found != known:
                self._resolved.set(address, found)

    def flush(self) -> Cid:
        """Write the changed actors and a new root; only outside transactions, and of a tree that is one state."""
        if self._transactions:
            raise Fatal("the state tree cannot be flushed inside a transaction")
        if self._dirty and self._exchanging is not None:
            raise Fatal("the state tree cannot be flushed: its actors are another state's, whose `current_root` it has")
        if self._dirty:
            self._write()
            actors = CBORTag(LINK_TAG, b"\x00" + self._hamt.flush())
            self._root = put_object(self.store, [STATE_TREE_VERSION, actors, self._info])
        if self._hamt.held + (self._address_map[1].held if self._address_map else 0) > NODES_HELD:
            self._let_go()
        return self._root

    def _let_go(self) -> None:
        """Forget what was read: memory follows NODES_HELD, not the actors that were ever touched."""
        self._hamt = Hamt(self.store, self._hamt.flush(), HAMT_BIT_WIDTH)
        self._address_map = None
        self._read.clear()
        self._resolved.clear()

    def _write(self) -> None:
        """Write the changed actors into the tree."""
        for actor in sorted(self._dirty):
            state = self._actors.get(actor, _UNREAD)
            if state is _UNREAD:  # written in a transaction that was taken back
                continue
            if state is None and self.origin is not None:
                state = self.origin.removed(actor)
            self._read[actor] = state
            if state is None:
                self._hamt.delete(_key(actor))
            else:
                self._hamt.set(_key(actor), state.fields())
        self._dirty.clear()
        self._actors.clear()


def _is_id(number: Any) -> bool:
    return type(number) is int and 0 <= number < (1 << 64) - 1


def _unreadable(what: str, error: Exception) -> Fatal:
    """What the state lacks, or holds in another shape than the machine's own, is fatal."""
    return Fatal(f"{what} cannot be read: {error}")


@lru_cache(4096)
def _key(actor: ActorID) -> bytes:
    return b"\x00" + encode_uleb128(actor)
