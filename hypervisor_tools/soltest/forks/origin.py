"""State origins of forks: accounts or actors of the active fork, read from its node on demand.

The active fork and the latest change of forks are stored in the state tree, under IDs that no actor has, so that they
revert together with it.

`ForkOrigin`, under Ethereum's rules, has accounts as actors of the machine's state tree. A remote account has a
separate ID for each base. A contract's storage begins with the node's (`localnet.fork.account_origin`).

`TipsetOrigin`, under Filecoin's rules, has the actors of a tipset's state, with its own addresses, actor code and
network version. The machine's tree contains only changes; the initial state of the active fork, or the machine's own,
is behind it. Actors created by tests have IDs that no network uses (`reserve_actor_ids`), so that they can be carried
between forks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress, from_delegated, unmask_id
from hypervisor.context import Externs
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState, StateTree
from hypervisor.types import EAM_NAMESPACE, ActorID, ChainEpoch, TokenAmount
from hypervisor_tools.soltest.forks.records import ForkBase, ForkRecords, NetworkFork, SavedForkState
from hypervisor_tools.soltest.forks.remotes import Remotes
from localnet.fork.account_origin import RemoteWords, actor_of, remote_words
from localnet.fork.forking import ForkPoint
from localnet.fork.remote_chain import RemoteBlock, RemoteState
from localnet.rules.facts import BLOCK_GAS_LIMIT
from runtimes.evm.revm import ethereum_address
from store.blocks.memory import RemoteStore
from store.blockstore import Blockstore
from store.cid import RAW, Cid, cid_of
from store.trees.kamt import EMPTY_KAMT, StoredWords

MARK: Final = ActorID((1 << 63) - 1)
"""ID whose actor stores the active fork: its number as nonce, its base as balance."""
CHANGE: Final = ActorID(MARK - 1)
"""ID whose actor stores the number of the latest change of forks, as nonce."""
FIRST_OWN_ID: Final = 1 << 40
"""First ID above those of any network, far beyond what an init actor can assign."""
_FIRST_PLACE: Final = 0
"""Place of the fork on which a machine was created."""
_MARKER_CODE: Final = cid_of(b"fork", RAW)


class ForkMarkers:
    """Fork records of the running test in the state tree of one machine."""

    def __init__(self, machine: Hypervisor, remotes: Remotes) -> None:
        self.machine = machine
        self.remotes = remotes
        self.records = ForkRecords()
        """Fork records of the running test."""

        self.first: int | None = None
        """Active fork if the tree stores none: that of a machine created on a fork, at the first base."""

    @property
    def externs(self) -> Externs | None:
        """Chain history from the node of the active fork; None under Ethereum's rules or without a fork."""
        return None

    @property
    def active(self) -> int | None:
        """Number of the active fork, or None."""
        mark = self._marker(MARK)
        return self.first if mark is None else mark.nonce

    @property
    def base(self) -> int | None:
        """Place of the active fork, or None."""
        mark = self._marker(MARK)
        if mark is not None:
            return mark.balance
        return None if self.first is None else _FIRST_PLACE

    def _marker(self, actor: ActorID) -> ActorState | None:
        """Return an actor that no engine holds."""
        tree = self.machine.state_tree
        with tree.without_held():
            return tree.get_actor(actor)

    @staticmethod
    def mark(number: int, base: int) -> tuple[ActorID, ActorState]:
        """Return the actor that stores the active fork."""
        return MARK, ActorState(_MARKER_CODE, nonce=number, balance=TokenAmount(base))

    @property
    def last_change(self) -> int:
        """Number of the latest change of forks that was not reverted; 0 if there is none."""
        change = self._marker(CHANGE)
        return 0 if change is None else change.nonce

    @staticmethod
    def change(number: int) -> tuple[ActorID, ActorState]:
        """Return the actor that stores the latest change of forks."""
        return CHANGE, ActorState(_MARKER_CODE, nonce=number)

    def holds(self, left: SavedForkState, address: EthAddress) -> bool:
        """Return True if an inactive fork has a written contract at an address."""
        traits, named = self.machine.traits, Address.delegated(EAM_NAMESPACE, address)
        return any(
            state is not None and traits(state.code).is_contract and state.delegated_address == named
            for state in left.actors.values()
        )


class ForkOrigin(ForkMarkers):
    """The state origin of one machine; see `hypervisor.state.state_tree.StateOrigin`."""

    def __init__(self, machine: Hypervisor, remotes: Remotes) -> None:
        super().__init__(machine, remotes)
        self._ids: dict[tuple[int, EthAddress], ActorID] = {}
        self._names: dict[ActorID, tuple[int, EthAddress]] = {}
        self._of_address: dict[EthAddress, list[ActorID]] = {}

    # --- states -------------------------------------------------------------------------------------------------

    def state_at(self, base: int) -> RemoteState:
        """Return the network's state at a base. Raises NodeError."""
        begun = self.records.bases[base]
        return self.remotes.state(begun.url, begun.number)

    def _key_at(self, base: int) -> bytes:
        begun = self.records.bases[base]
        return self.remotes.state_key(begun.url, begun.number)

    def block_hash(self, number: int) -> bytes | None:
        """Return the hash of a block on the active fork's network; None without a fork, or for a later block."""
        base = self.base
        if base is None:
            return None
        state = self.state_at(base)
        return state.block_hash(number) if number <= state.block.number else None

    # --- actors -------------------------------------------------------------------------------------------------

    def lookup_id(self, address: Address) -> ActorID | None:
        """Return the ID of a network account, or of an account carried from another fork, or None."""
        account_address = ethereum_address(address)
        base = None if account_address is None or unmask_id(account_address) is not None else self.base
        if account_address is None or base is None:
            return None
        tree = self.machine.state_tree
        for known in self._of_address.get(account_address, ()):
            if self._names[known][0] != base and tree.get_actor(known) is not None:
                return known
        actor = self._ids.get((base, account_address))
        if actor is None:
            if self.state_at(base).account(account_address) is None:
                return None
            actor = self._ids[base, account_address] = ActorID(FIRST_OWN_ID + len(self._ids))
            self._names[actor] = base, account_address
            self._of_address.setdefault(account_address, []).append(actor)
        return actor if tree.get_actor(actor) is not None else None

    def actor(self, actor: ActorID) -> ActorState | None:
        """Return the state of a network account, or None. Raises NodeError."""
        named = self._names.get(actor)
        if named is None or named[0] != self.base:
            return None
        base, account_address = named
        account = self.state_at(base).account(account_address)
        if account is None:
            return None
        store = self.machine.store.base

        def put(cid: Cid, data: bytes) -> None:
            if not store.has(cid):
                store.put(cid, data)

        return actor_of(account, account_address, self._key_at(base), self.machine.manifest, put)

    def removed(self, _actor: ActorID) -> ActorState | None:
        """Return None: changes made by a test are not flushed."""
        return None

    def address_of(self, actor: ActorID) -> EthAddress | None:
        """Return the address of a network account, or None."""
        named = self._names.get(actor)
        return None if named is None else named[1]

    def holds(self, left: SavedForkState, address: EthAddress) -> bool:
        """Return True if an inactive fork has a written contract at an address."""
        tree, traits = self.machine.state_tree, self.machine.traits
        own = tree.lookup_id(Address.delegated(EAM_NAMESPACE, address))
        known = {*self.actor_ids_of(address), *(() if own is None else (own,))}
        found = (left.actors.get(actor) for actor in known)
        return any(state is not None and traits(state.code).is_contract for state in found)

    def actor_ids_of(self, address: EthAddress) -> list[ActorID]:
        """Return the IDs that were assigned to an address as a network account."""
        return self._of_address.get(address, [])

    # --- slots --------------------------------------------------------------------------------------------------

    def words(self, store: Blockstore, root: Cid) -> RemoteWords | None:
        """Return the storage of a remote contract by root; None for a contract created here."""
        return remote_words(store, root, self.remotes.state_of)

    def at_base(self, root: Cid, base: int) -> Cid:
        """Return a storage root whose unwritten slots are read at another base."""
        words = None if root == EMPTY_KAMT else self.words(self.machine.store, root)
        return root if words is None else words.move(self._key_at(base))


class TipsetOrigin(ForkMarkers):
    """The state origin of one machine; see `hypervisor.state.state_tree.StateOrigin`."""

    def __init__(self, machine: Hypervisor, remotes: Remotes, is_forked: bool) -> None:
        """Attach to the machine's tree; with `is_forked`, the machine was created on a fork, which gets number 0."""
        super().__init__(machine, remotes)
        if is_forked:
            self.first = 0
        else:
            machine.base = machine.store.base = RemoteStore(machine.base, remotes.tipsets)
        self._own = StateTree(machine.store, machine.state_tree.flushed_root)
        self._trees: dict[Cid, StateTree] = {}
        machine.state_tree.read_all_from(self)

    def initial_state(self) -> ForkBase | None:
        """Return the initial state of the active fork, or None."""
        base = self.base
        return None if base is None else self.records.bases[base]

    def tree_at(self, base: int) -> StateTree:
        """Return the network's state tree at a base."""
        point = self.records.bases[base].point
        assert point is not None, "under Filecoin's rules bases are tipsets"
        if point.state not in self._trees:
            self._trees[point.state] = StateTree(self.machine.store, point.state)
        return self._trees[point.state]

    @property
    def externs(self) -> Externs | None:
        """Chain history from the node of the active fork, or None."""
        initial = self.initial_state()
        return None if initial is None or initial.point is None else self.remotes.tipsets.externs(initial.point)

    def block_hash(self, number: int) -> bytes | None:
        """Return the hash of a tipset's key on the active fork's network; None without a fork, or for a later epoch."""
        initial, externs = self.initial_state(), self.externs
        if initial is None or externs is None or number > initial.number:
            return None
        return bytes(externs.tipset_cid(ChainEpoch(number)))[-32:]

    # --- actors -------------------------------------------------------------------------------------------------

    def current_root(self) -> Cid:
        """Return the root of the active fork's state with all changes, without modifying the tree."""
        mark = self.machine.state_tree.get_actor(MARK)
        copy = StateTree(self.machine.store, (self._own if mark is None else self.tree_at(mark.balance)).flushed_root)
        for actor, state in self.machine.state_tree.image().actors.items():
            if actor not in (MARK, CHANGE) and state != copy.get_actor(actor):
                copy.delete_actor(actor) if state is None else copy.set_actor(actor, state)
        return copy.flush()

    def lookup_id(self, _address: Address) -> ActorID | None:
        """Return None: addresses are in the init actor's state, which each fork has."""
        return None

    def actor(self, actor: ActorID) -> ActorState | None:
        """Return the state of an actor in the initial state of the active fork."""
        if actor in (MARK, CHANGE):
            return None
        mark = self.machine.state_tree.get_actor(MARK)
        return (self._own if mark is None else self.tree_at(mark.balance)).get_actor(actor)

    def removed(self, _actor: ActorID) -> ActorState | None:
        """Return None: the origin contains all actors."""
        return None

    def words(self, _store: Blockstore, _root: Cid) -> StoredWords | None:
        """Return None: all slots are in blocks."""
        return None

    def address_of(self, actor: ActorID) -> EthAddress | None:
        """Return the address of a network actor, or None."""
        base = self.base
        state = None if base is None or actor >= FIRST_OWN_ID else self.tree_at(base).get_actor(actor)
        return None if state is None else from_delegated(state.delegated_address)


def fork_at(records: ForkRecords, point: ForkPoint) -> NetworkFork:
    """Return a fork after a tipset, at a new base."""
    block = RemoteBlock(
        number=point.height, hash=bytes(point.key)[-32:], timestamp=point.timestamp, base_fee=point.base_fee,
        coinbase=ZERO_ADDRESS, randomness=bytes(32), gas_limit=BLOCK_GAS_LIMIT,
    )  # fmt: skip
    return NetworkFork(point.url, records.base(point.url, point.height, point), point.chain_id, block)


def reserve_actor_ids(machine: Hypervisor, people: Iterable[EthAddress]) -> None:
    """Make new actors get IDs that no network uses, and move these existing accounts to such IDs."""
    tree = machine.state_tree
    init = tree.init_state()
    if init.next_id >= FIRST_OWN_ID:
        return
    tree.set_init_state(replace(init, next_id=FIRST_OWN_ID))
    for account in people:
        address = Address.delegated(EAM_NAMESPACE, account)
        actor = tree.lookup_id(address)
        state = None if actor is None else tree.get_actor(actor)
        if actor is not None and state is not None:
            tree.set_actor(tree.register_address(address), state)
            tree.delete_actor(actor)
