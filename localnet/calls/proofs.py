"""Proofs of accounts and storage slots: the blocks that lead from a state root to them.

Filecoin's state is IPLD, not a Merkle-Patricia trie. A proof is the list of blocks on a path (`store.trees.paths`), the
root first. `store.trees.paths.verify(root, path, blocks)` checks it without a store. The absence of a value is proved
in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.filecoin.evm_state import EMPTY_CODE_HASH, EvmState
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.types import INIT_ACTOR, ActorID, TokenAmount
from localnet.state.controls import nonce_of, state_with_storage, storage_of
from store.cid import Cid, split_cid
from store.keccak import keccak
from store.trees.paths import Path, PathStep, prove

_ACTORS, _HEAD = PathStep("1"), PathStep("1")
"""The actors of a state root, and the head of an actor."""
_ADDRESS_MAP = PathStep("0")
_STORAGE = PathStep("2")


@dataclass(frozen=True, slots=True)
class Proof:
    """The blocks of a path in order of reading, and the value at its end."""

    path: Path
    blocks: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class SlotProof:
    """A storage slot, its 32 bytes, and their proof; without a contract the proof is empty."""

    slot: int
    value: bytes
    proof: Proof


@dataclass(frozen=True, slots=True)
class AccountProof:
    """State of an address. Balance in attoFIL; `storage` is 32 zero bytes if there is none."""

    root: Cid
    balance: TokenAmount
    nonce: int
    code_hash: bytes
    storage: bytes
    proof: Proof
    slots: tuple[SlotProof, ...]


def prove_account(machine: Hypervisor, address: Address, slots: Sequence[int]) -> AccountProof:
    """Prove the actor at an address and some of its storage slots, or that there is no such actor.

    The path of an actor contains its ID, and its tuple the f410 address. For an address without an ID, the path leads
    to the address in the init actor's table.
    """
    root, found = machine.root, machine.state_tree.lookup_id(address)
    actor = None if found is None else machine.state_tree.get_actor(found)
    if found is None:
        path = _actor(INIT_ACTOR) / _HEAD / _ADDRESS_MAP / PathStep(address.to_bytes(), "HAMT5")
    else:
        path = _actor(found)
    if actor is None:
        return AccountProof(
            root, TokenAmount(0), 0, bytes(32), bytes(32), _proof(machine, root, path), _no_slots(slots)
        )
    code_hash, storage, proved = EMPTY_CODE_HASH, bytes(32), _no_slots(slots)
    evm_state = state_with_storage(machine, actor)
    account = None if evm_state is None else evm_state.account
    if account is not None:
        code_hash = bytes(keccak(account.code))
    if evm_state is not None and evm_state.storage is not None:
        if account is None:
            code_hash = EvmState.decode(machine.store.get(actor.head)).bytecode_hash
        storage = split_cid(evm_state.storage).digest
        proved = tuple(_slot(machine, root, path, address, slot) for slot in slots)
    proof = _proof(machine, root, path)
    return AccountProof(root, actor.balance, nonce_of(machine, address), code_hash, storage, proof, proved)


def _slot(machine: Hypervisor, root: Cid, actor: Path, address: Address, slot: int) -> SlotProof:
    path = actor / _HEAD / _STORAGE / PathStep(slot.to_bytes(32, "big"), "KAMT5")
    return SlotProof(slot, storage_of(machine, address, slot), _proof(machine, root, path))


def _no_slots(slots: Sequence[int]) -> tuple[SlotProof, ...]:
    return tuple(SlotProof(slot, bytes(32), Proof(Path(), ())) for slot in slots)


def _actor(actor: ActorID) -> Path:
    return Path((_ACTORS, PathStep(Address.id(actor).to_bytes(), "HAMT5")))


def _proof(machine: Hypervisor, root: Cid, path: Path) -> Proof:
    return Proof(path, tuple(data for _, data in prove(machine.store, root, path)))
