"""Accounts of an Ethereum node as the origin of a machine's state (`hypervisor.state.state_tree.StateOrigin`).

The actor ID of an account is derived from its address, so it is the same on every machine. The state contains the
accounts that were written, under their actor IDs. Other accounts are read from the node on first access.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bridge.ethereum.addresses import EthAddress, from_delegated
from hypervisor.bundles.manifest import Manifest
from hypervisor.errors import Fatal
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState
from hypervisor.types import EAM_NAMESPACE, ActorID
from localnet.fork.remote_accounts import RemoteWords, StateAt, actor_of, remote_words
from localnet.fork.remote_chain import RemoteState
from store.blockstore import Blockstore
from store.cid import Cid
from store.keccak import keccak
from store.trees.kamt import EMPTY_KAMT, EMPTY_KAMT_BLOCK

_FIRST_ID: Final = 1 << 62
"""Lowest ID of a remote account, far above any ID that the init actor assigns."""
_ID_BYTES: Final = 8


class AccountBlocks:
    """The blocks of remote accounts, a `store.blocks.overlay.Remote` for blocks that are not in the store."""

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
