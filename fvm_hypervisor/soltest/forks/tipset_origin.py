"""`TipsetOrigin`: the actors of the active fork under Filecoin's rules, read from its node on demand.

Each fork has the state of a tipset, with its own addresses, actor code and network version. The machine's tree contains
only changes; the initial state of the active fork, or the machine's own, is behind it. Actors created by tests have IDs
that no network uses (`reserve_actor_ids`), so that they can be carried between forks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress, from_delegated
from fvm_hypervisor.soltest.forks.fork_markers import CHANGE, FIRST_OWN_ID, MARK, ForkMarkers
from fvm_hypervisor.soltest.forks.records import ForkBase, ForkRecords, NetworkFork
from fvm_hypervisor.soltest.forks.remotes import Remotes
from hypervisor.context import Externs
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState, StateTree
from hypervisor.types import EAM_NAMESPACE, ActorID, ChainEpoch
from localnet.fork.forking import ForkPoint
from localnet.fork.remote_chain import RemoteBlock
from localnet.rules.facts import BLOCK_GAS_LIMIT
from store.blocks.overlay import RemoteStore
from store.blockstore import Blockstore
from store.cid import Cid
from store.trees.kamt import StoredWords


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
