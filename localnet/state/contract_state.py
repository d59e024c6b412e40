"""Head block of a contract, or of an account with delegated code, and direct changes to it.

Between messages transient storage is empty and every tombstone belongs to an earlier message, so neither is preserved
here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from bridge.ethereum.transactions import DelegatingAccount, delegating_account_at
from bridge.filecoin.evm_state import EvmState, evm_state_at
from bridge.filecoin.parameters import DelegateCallParams
from hypervisor.errors import Fatal
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState
from store.blockstore import BlockNotFound, TreeNodeError
from store.cid import RAW, Cid, cid_of
from store.keccak import keccak
from store.trees.kamt import EMPTY_KAMT

_INVOKE_DELEGATE: Final = 6
_WORD: Final = 32


@dataclass(frozen=True, slots=True)
class ContractState:
    """A contract's code (its CID), storage root and Ethereum nonce; a destroyed one has none of them."""

    bytecode: Cid | None
    storage: Cid | None
    nonce: int
    account: DelegatingAccount | None = None
    """State of an account that stores its own delegation, whose code has no block."""


_NOTHING: Final = ContractState(None, None, 0)


def contract_state(machine: Hypervisor, actor: ActorState) -> ContractState | None:
    """Return the state of a contract, None for any other actor."""
    if actor.code != machine.manifest.code("evm"):
        return None
    state = evm_state_at(machine.store, actor.head)
    if state is None or state.tombstone is not None:
        return _NOTHING
    return ContractState(state.bytecode, state.storage, state.nonce)


def state_with_storage(machine: Hypervisor, actor: ActorState) -> ContractState | None:
    """Return the contract state, also of an Ethereum account with delegated code (lab `accounts`).

    Such an account's code is the designator of its delegate; its nonce is its own (`nonce_of_actor`).
    """
    if actor.code != machine.manifest.code("ethaccount"):
        return contract_state(machine, actor)
    account = delegating_account_at(machine.store, actor.head)
    if account is not None:
        return ContractState(None, account.stored_slots, actor.nonce, account)
    state = evm_state_at(machine.store, actor.head)
    return None if state is None else ContractState(state.bytecode, state.storage, state.nonce)


def code_of(machine: Hypervisor, address: Address) -> bytes:
    """Return a contract's runtime code, the designator of a delegated account, or nothing for other actors."""
    actor = machine.actor(address)
    state = None if actor is None else state_with_storage(machine, actor)
    return b"" if state is None else code_of_contract(machine, state)


def code_of_contract(machine: Hypervisor, state: ContractState) -> bytes:
    """Return the runtime code of a contract's state, or an account's designator."""
    if state.account is not None:
        return state.account.code
    return b"" if state.bytecode is None else machine.store.get(state.bytecode)


def code_that_runs(machine: Hypervisor, address: Address, method: int, params: bytes) -> bytes:
    """Return the code that a call of a contract executes: its own, or its delegate's.

    Raises ParamsError for parameters that no contract takes, BlockNotFound for code that is not there.
    """
    if method == _INVOKE_DELEGATE:
        return machine.store.get(DelegateCallParams.decode(params).code)
    return code_of(machine, address)


def storage_of(machine: Hypervisor, address: Address, slot: int) -> bytes:
    """Return the 32 bytes of a slot of a contract or a delegated account; zeros for others. Raises Fatal."""
    actor = machine.actor(address)
    state = None if actor is None else state_with_storage(machine, actor)
    if state is None or state.storage is None:
        return bytes(_WORD)
    try:
        return machine.state_tree.words(state.storage).get(slot).to_bytes(_WORD, "big")
    except (BlockNotFound, TreeNodeError) as error:
        raise Fatal(f"slot {slot:#x} of {address} cannot be read: {error}") from error


def put_contract_state(
    machine: Hypervisor, state: ContractState, *, code: bytes | None = None, slots: Mapping[int, int] | None = None
) -> Cid:
    """Return a head with new code or words in some slots (0 clears one); None leaves the code unchanged."""
    store = machine.store
    storage = machine.state_tree.words(EMPTY_KAMT if state.storage is None else state.storage)
    for slot, value in (slots or {}).items():
        storage.set(slot, value)
    if code is None:
        if state.account is not None:
            return _put(machine, replace(state.account, storage=storage.flush()).encode())
        code = code_of_contract(machine, state)
    bytecode = cid_of(code, RAW)
    store.put(bytecode, code)
    changed = EvmState(bytecode, bytes(keccak(code)), storage.flush(), None, state.nonce, None)
    return _put(machine, changed.encode("TRANSIENT" in machine.context.network.evm))


def _put(machine: Hypervisor, block: bytes) -> Cid:
    head = cid_of(block)
    machine.store.put(head, block)
    return head


def nonce_of(machine: Hypervisor, address: Address) -> int:
    """Return the next nonce of the actor at an address, 0 if there is no actor (`nonce_of_actor`)."""
    actor = machine.actor(address)
    return 0 if actor is None else nonce_of_actor(machine, actor)


def nonce_of_actor(machine: Hypervisor, actor: ActorState) -> int:
    """Return the nonce of an actor's next message or creation: a contract's Ethereum nonce, else its message count.

    A contract's own count is 0 on the network, so a destroyed contract, which has no other nonce, has that one.
    """
    state = contract_state(machine, actor) if machine.manifest.name_of(actor.code) == "evm" else None
    return actor.nonce if state is None or state.bytecode is None else state.nonce
