"""Accounts of an Ethereum node as actors, and the storage of their contracts.

An account with code becomes an actor with the state of the EVM actor, any other account an EthAccount. The storage
root of such a contract is a block with the remote state, the account, and two KAMTs: the slots written here, and the
slots cleared here. So a root identifies the contents of the storage, as a KAMT root does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.evm_state import EvmState
from hypervisor.bundles.manifest import Manifest
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState
from hypervisor.types import EAM_NAMESPACE, TokenAmount
from localnet.fork.remote_chain import RemoteAccount, RemoteState
from store.blockstore import Blockstore
from store.cid import RAW, Cid, cid_of
from store.codec import decode, encode, link, unlink
from store.keccak import keccak
from store.trees.kamt import EMPTY_KAMT, Kamt

StateAt = Callable[[bytes], RemoteState]
"""Function that returns the remote state identified by a key, which the owner of the storage defines."""

_CLEARED: Final = 1
"""Value that marks a cleared slot in its KAMT, since zero is never stored."""
_FIELDS: Final = 4


def actor_of(
    account: RemoteAccount, address: EthAddress, base: bytes, manifest: Manifest, put: Callable[[Cid, bytes], None]
) -> ActorState:
    """Return the actor of an account, and store its blocks with `put`."""
    delegated, balance = Address.delegated(EAM_NAMESPACE, address), TokenAmount(account.balance)
    if not account.code:
        code = manifest.code("ethaccount")
        return ActorState(code, nonce=account.nonce, balance=balance, delegated_address=delegated)
    code, storage = cid_of(account.code, RAW), _root_block(base, address, EMPTY_KAMT, EMPTY_KAMT)
    state = EvmState(code, bytes(keccak(account.code)), cid_of(storage), None, account.nonce, None).encode()
    for cid, data in ((code, account.code), (cid_of(storage), storage), (cid_of(state), state)):
        put(cid, data)
    return ActorState(manifest.code("evm"), cid_of(state), balance=balance, delegated_address=delegated)


def remote_words(store: Blockstore, root: Cid, state_at: StateAt) -> RemoteWords | None:
    """Return the storage under a root, or None if the root is not that of a remote contract's storage."""
    fields = decode(store.get(root))
    return RemoteWords(store, fields, state_at) if isinstance(fields, list) and len(fields) == _FIELDS else None


class RemoteWords:
    """The slots of a remote contract, with local changes applied; see `store.trees.kamt.StoredWords`."""

    def __init__(self, store: Blockstore, fields: list[object], state_at: StateAt) -> None:
        """Open the storage whose root block has these fields."""
        base, address, written, cleared = fields
        assert isinstance(base, bytes)
        assert isinstance(address, bytes)
        self._store, self._state_at = store, state_at
        self._base, self._address = base, EthAddress(address)
        self._written, self._cleared = (_open(store, unlink(root)) for root in (written, cleared))

    @property
    def loaded_nodes(self) -> int:
        """Number of decoded nodes in memory."""
        return self._written.loaded_nodes + self._cleared.loaded_nodes

    def get(self, slot: int) -> int:
        """Return the word of a slot. Raises NodeError."""
        word = self._written.get(slot)
        if word or self._cleared.get(slot):
            return word
        return self._state_at(self._base).word(self._address, slot)

    def absent_bits(self, slot: int) -> int:
        """Return 0: nothing is known about slots that were not read."""
        return 0

    def set(self, slot: int, value: int) -> None:
        """Write a slot."""
        self._written.set(slot, value)
        self._cleared.set(slot, 0 if value else _CLEARED)

    def set_all(self, slots: Iterable[tuple[int, int]]) -> bool:
        """Write the slots whose words differ; return True if there are any. Raises NodeError."""
        writes = [(slot, value) for slot, value in slots if self.get(slot) != value]
        for slot, value in writes:
            self.set(slot, value)
        return bool(writes)

    def items(self) -> Iterator[tuple[int, int]]:
        """Yield the slots that were written here and are not zero: nodes do not list the slots of a contract."""
        return self._written.items()

    def differences(self, after: RemoteWords) -> Iterator[tuple[int, int, int]]:
        """Iterate over (slot, old word, new word) where two storages of the same remote contract differ.

        Raises NodeError.
        """
        trees = (self._written, after._written), (self._cleared, after._cleared)
        for slot in sorted({slot for old, new in trees for slot, _, _ in old.differences(new)}):
            pair = self.get(slot), after.get(slot)
            if pair[0] != pair[1]:
                yield slot, *pair

    def flush(self) -> Cid:
        """Store the changes, and return the new root."""
        written, cleared = (EMPTY_KAMT if tree.is_empty else tree.flush() for tree in (self._written, self._cleared))
        block = _root_block(self._base, self._address, written, cleared)
        root = cid_of(block)
        self._store.put(root, block)
        return root

    def move(self, base: bytes) -> Cid:
        """Return the root of the local changes applied to another remote state."""
        self._base = base
        return self.flush()


def _open(store: Blockstore, root: Cid) -> Kamt:
    return Kamt(store, None if root == EMPTY_KAMT else root)


def _root_block(base: bytes, address: EthAddress, written: Cid, cleared: Cid) -> bytes:
    return encode([base, bytes(address), link(written), link(cleared)])
