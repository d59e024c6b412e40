"""`ForkOrigin`: the accounts of the active fork as actors of the machine's state tree.

A remote account has a separate ID for each base. A contract's storage begins with the node's
(`localnet.fork.account_origin`).
"""

from __future__ import annotations

from bridge.ethereum.addresses import EthAddress, unmask_id
from fvm_hypervisor.soltest.forks.fork_markers import FIRST_OWN_ID, ForkMarkers
from fvm_hypervisor.soltest.forks.records import SavedForkState
from fvm_hypervisor.soltest.forks.remotes import Remotes
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState
from hypervisor.types import EAM_NAMESPACE, ActorID
from localnet.fork.account_origin import RemoteWords, actor_of, remote_words
from localnet.fork.remote_chain import RemoteState
from runtimes.evm.ethereum import ethereum_address
from store.blockstore import Blockstore
from store.cid import Cid
from store.trees.kamt import EMPTY_KAMT


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
        tree, evm = self.machine.state_tree, self.machine.manifest.code("evm")
        own = tree.lookup_id(Address.delegated(EAM_NAMESPACE, address))
        known = {*self.actor_ids_of(address), *(() if own is None else (own,))}
        found = (left.actors.get(actor) for actor in known)
        return any(state is not None and state.code == evm for state in found)

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
