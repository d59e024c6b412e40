"""Accounts of an Ethereum node as actors, and as the origin of a machine's state.

The actor ID of an account is derived from its address, so it is the same on every machine. The state contains the
accounts that were written, under their actor IDs. Other accounts are read from the node on first access
(`hypervisor.state.state_tree.StateOrigin`).

An account with code becomes an actor with the state of the EVM actor, any other account an EthAccount. The storage
root of such a contract is a block with the remote state, the account, and two KAMTs: the slots written here, and the
slots cleared here. So a root identifies the contents of the storage, as a KAMT root does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from bridge.ethereum.addresses import EthAddress, from_delegated
from bridge.ethereum.block import BLOCK_HASHES
from bridge.filecoin.evm_state import EvmState
from hypervisor.bundles.manifest import Manifest
from hypervisor.errors import Fatal
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState
from hypervisor.types import EAM_NAMESPACE, ActorID, TokenAmount
from localnet.fork.remote_chain import RemoteAccount, RemoteState
from store.blockstore import Blockstore
from store.cid import RAW, Cid, cid_of
from store.codec import decode, encode, link, unlink
from store.keccak import keccak
from store.trees.kamt import EMPTY_KAMT, EMPTY_KAMT_BLOCK, Kamt

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
        """Write the slots whose words differ; return True if there are any. Raises NodeError.

        A block hash is written without its slot's old word, so that blocks can be added while the node is away.
        """
        is_hashes = self._address == BLOCK_HASHES
        writes = [(slot, value) for slot, value in slots if is_hashes or self.get(slot) != value]
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


_FIRST_ID: Final = 1 << 62
"""Lowest ID of a remote account, far above any ID that the init actor assigns."""
_ID_BYTES: Final = 8


class AccountBlocks:
    """The blocks of remote accounts, a `store.blocks.memory.Remote` for blocks that are not in the store."""

    def __init__(self) -> None:
        self._blocks: dict[Cid, bytes] = {EMPTY_KAMT: EMPTY_KAMT_BLOCK}
        self._release: Callable[[], None] | None = None

    def use(self, release: Callable[[], None] | None) -> None:
        """Replace the node that the accounts come from: release the current one, and use `release` for the next."""
        before, self._release = self._release, release
        if before is not None:
            before()

    def put(self, cid: Cid, data: bytes) -> None:
        """Store a block."""
        self._blocks[cid] = data

    def block(self, cid: Cid) -> bytes | None:
        """Return a block of an account that was read, or None."""
        return self._blocks.get(cid)

    def close(self) -> None:
        """Release the node, if there is one."""
        self.use(None)


class AccountNames:
    """The actor IDs of remote accounts. Several threads may use it."""

    def __init__(self) -> None:
        self._names: dict[ActorID, EthAddress] = {}

    def id_of(self, address: EthAddress) -> ActorID:
        """Return the ID of an address. Raises Fatal if another address has the same one."""
        actor = ActorID(_FIRST_ID | int.from_bytes(keccak(address)[:_ID_BYTES], "big") >> 2)
        if self._names.setdefault(actor, address) != address:
            raise Fatal(f"0x{address.hex()} and 0x{self._names[actor].hex()} have the same actor ID, f0{actor}")
        return actor

    def address_of(self, actor: ActorID) -> EthAddress | None:
        """Return the address from which an ID was derived, or None for the ID of another actor."""
        return self._names.get(actor)


class AccountOrigin:
    """The accounts of a network after one block."""

    def __init__(
        self,
        state: RemoteState,
        key: bytes,
        manifest: Manifest,
        names: AccountNames,
        blocks: AccountBlocks,
        state_at: StateAt,
    ) -> None:
        """`key` identifies the state for `state_at`, which returns that of any key in a storage's root."""
        self._state, self._key, self._manifest = state, key, manifest
        self._names, self._blocks, self._state_at = names, blocks, state_at
        self._actors: dict[ActorID, ActorState | None] = {}

    def lookup_id(self, address: Address) -> ActorID | None:
        """Return the ID of the account with an address; None for an address that no account can have."""
        eth_address = from_delegated(address)
        return None if eth_address is None else self._names.id_of(eth_address)

    def actor(self, actor: ActorID) -> ActorState | None:
        """Return the account with an ID as an actor. Raises NodeError."""
        if actor not in self._actors:
            eth_address = self._names.address_of(actor)
            account = None if eth_address is None else self._state.account(eth_address)
            if eth_address is None or account is None:
                self._actors[actor] = None
            else:
                self._actors[actor] = actor_of(account, eth_address, self._key, self._manifest, self._blocks.put)
        return self._actors[actor]

    def words(self, store: Blockstore, root: Cid) -> RemoteWords | None:
        """Return the storage of a remote contract under a root, or None for the root of a KAMT."""
        return remote_words(store, root, self._state_at)

    def removed(self, actor: ActorID) -> ActorState | None:
        """Return an empty account in place of a remote one that was deleted; None for any other actor.

        Under Ethereum's rules, an empty account equals a missing one (EIP-161) and hides the remote one.
        """
        eth_address = self._names.address_of(actor)
        if eth_address is None:
            return None
        return ActorState(
            self._manifest.code("ethaccount"), delegated_address=Address.delegated(EAM_NAMESPACE, eth_address)
        )
