"""`ForkOrigin`: the accounts of the fork that is active, as actors of the machine's state tree.

A remote account has an ID of its own at each place where a
fork begins. A contract's storage begins with what the node has: `RemoteWords` keeps what was written over it, zeros
too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bridge.addresses import EthAddress, unmask_id
from bridge.evm_state import EvmState
from fvm_hypervisor.soltest.forks.book import LeftState
from fvm_hypervisor.soltest.forks.marks import FIRST_OWN_ID, ForkMarks
from fvm_hypervisor.soltest.forks.remotes import Remotes
from hypervisor.address import Address
from hypervisor.machine import Hypervisor
from hypervisor.state_tree import ActorState
from hypervisor.types import EAM_NAMESPACE, ActorID, TokenAmount
from localnet.fork.remote_chain import RemoteState
from runtimes.evm.code import EMPTY_CODE_HASH
from runtimes.evm.ethereum.accounts import ethereum_address
from runtimes.evm.storage import EMPTY_KAMT
from store.blockstore import Blockstore
from store.cid import RAW, Cid, cid_of, codec_of
from store.codec import decode, encode, link, unlink
from store.kamt import Kamt
from store.keccak import keccak

_WORD: Final = 32


class ForkOrigin(ForkMarks):
    """See `hypervisor.state_tree.StateOrigin`; of one machine."""

    def __init__(self, machine: Hypervisor, remotes: Remotes) -> None:
        super().__init__(machine, remotes)
        self._ids: dict[tuple[int, EthAddress], ActorID] = {}
        self._names: dict[ActorID, tuple[int, EthAddress]] = {}
        self._of_address: dict[EthAddress, list[ActorID]] = {}

    # --- which state --------------------------------------------------------------------------------------------

    def state_at(self, place: int) -> RemoteState:
        """The network's state at a place. Raises NodeError."""
        begun = self.book.places[place]
        return self.remotes.chain(begun.url).state(begun.number)

    def block_hash(self, number: int) -> bytes | None:
        """The hash of a block of the active fork's network; None where no fork is active, or the block is later."""
        place = self.place
        if place is None:
            return None
        state = self.state_at(place)
        return state.block_hash(number) if number <= state.block.number else None

    # --- actors -------------------------------------------------------------------------------------------------

    def lookup_id(self, address: Address) -> ActorID | None:
        """The ID behind the address of an account that the network has, or that was carried here from another fork."""
        who = ethereum_address(address)
        place = None if who is None or unmask_id(who) is not None else self.place
        if who is None or place is None:
            return None
        tree = self.machine.state_tree
        for known in self._of_address.get(who, ()):
            if self._names[known][0] != place and tree.get_actor(known) is not None:
                return known
        actor = self._ids.get((place, who))
        if actor is None:
            if self.state_at(place).account(who) is None:
                return None
            actor = self._ids[place, who] = ActorID(FIRST_OWN_ID + len(self._ids))
            self._names[actor] = place, who
            self._of_address.setdefault(who, []).append(actor)
        return actor if tree.get_actor(actor) is not None else None

    def actor(self, actor: ActorID) -> ActorState | None:
        """The state of an account that the network has. Raises NodeError."""
        named = self._names.get(actor)
        if named is None or named[0] != self.place:
            return None
        place, who = named
        account = self.state_at(place).account(who)
        if account is None:
            return None
        manifest, address = self.machine.manifest, Address.delegated(EAM_NAMESPACE, who)
        if not account.code:
            return ActorState(
                manifest.code("ethaccount"),
                nonce=account.nonce,
                balance=TokenAmount(account.balance),
                delegated_address=address,
            )
        store, code = self.machine.store.base, cid_of(account.code, RAW)
        root, block = _root(place, who)
        contract = EvmState(code, bytes(keccak(account.code)) or EMPTY_CODE_HASH, root, None, account.nonce, None)
        data = contract.encode()
        for cid, content in ((code, account.code), (root, block), (cid_of(data), data)):
            if not store.has(cid):
                store.put(cid, content)
        return ActorState(
            manifest.code("evm"), cid_of(data), balance=TokenAmount(account.balance), delegated_address=address
        )

    def address_of(self, actor: ActorID) -> EthAddress | None:
        """The address of one of the network's accounts."""
        named = self._names.get(actor)
        return None if named is None else named[1]

    def holds(self, left: LeftState, address: EthAddress) -> bool:
        """Whether there is a contract at an address on a fork that was left, as far as was written there."""
        tree, evm = self.machine.state_tree, self.machine.manifest.code("evm")
        own = tree.lookup_id(Address.delegated(EAM_NAMESPACE, address))
        known = {*self.others_of(address), *(() if own is None else (own,))}
        found = (left.actors.get(actor) for actor in known)
        return any(state is not None and state.code == evm for state in found)

    def others_of(self, address: EthAddress) -> list[ActorID]:
        """The IDs that an address has had as the network's account."""
        return self._of_address.get(address, [])

    # --- slots --------------------------------------------------------------------------------------------------

    def words(self, root: Cid) -> RemoteWords | None:
        """A remote contract's storage under its root; None for the root of a contract that was created here."""
        return RemoteWords(self.machine.store, self, root) if codec_of(root) == RAW else None

    def at_place(self, root: Cid, place: int) -> Cid:
        """A storage's root with the network's state at another place behind what was written."""
        words = self.words(root)
        return root if words is None else words.moved(place)


class RemoteWords:
    """See `store.words.StoredWords`: what the network has in a contract's slots, and what was written over it."""

    def __init__(self, store: Blockstore, origin: ForkOrigin, root: Cid) -> None:
        self._store, self._origin = store, origin
        place, address, written, cleared = decode(store.get(root))
        self._place, self._address = place, EthAddress(address)
        written = unlink(written)
        self._written = Kamt(store, None if written == EMPTY_KAMT else written)
        self._cleared = {int.from_bytes(cleared[at : at + _WORD], "big") for at in range(0, len(cleared), _WORD)}

    @property
    def held(self) -> int:
        """Nodes in memory."""
        return self._written.held + len(self._cleared)

    def get(self, slot: int) -> int:
        """The word of a slot. Raises NodeError."""
        word = self._written.get(slot)
        if word or slot in self._cleared:
            return word
        return self._origin.state_at(self._place).word(self._address, slot)

    def set(self, slot: int, value: int) -> None:
        """Write a slot."""
        self._written.set(slot, value)
        if value:
            self._cleared.discard(slot)
        else:
            self._cleared.add(slot)

    def items(self) -> Iterator[tuple[int, int]]:
        """The slots that were written here and hold something: nodes do not list a contract's slots."""
        return self._written.items()

    def flush(self) -> Cid:
        """Put what changed into the store; the new root."""
        written = EMPTY_KAMT if self._written.is_empty else self._written.flush()
        root, block = _root(self._place, self._address, written, self._cleared)
        self._store.put(root, block)
        return root

    def moved(self, place: int) -> Cid:
        """The root of what was written over the network's state at another place."""
        self._place = place
        return self.flush()


def _root(
    place: int, address: EthAddress, written: Cid = EMPTY_KAMT, cleared: set[int] | frozenset[int] = frozenset()
) -> tuple[Cid, bytes]:
    slots = b"".join(slot.to_bytes(_WORD, "big") for slot in sorted(cleared))
    block = encode([place, bytes(address), link(written), slots])
    return cid_of(block, RAW), block
