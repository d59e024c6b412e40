"""Direct changes of actors on a development network, without a message, and contracts' head blocks.

The functions change the current state of a machine. A network commits the change (`Network.set_balance` and its
siblings); a call with overrides reverts it. An f1, f3 or f410 address without an actor becomes an account.

A head block is that of a contract, or of an account with delegated code. Between messages transient storage is empty
and every tombstone belongs to an earlier message, so neither is preserved here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from bridge.ethereum.addresses import EthAddress, from_delegated, to_filecoin
from bridge.ethereum.block import unit_of
from bridge.ethereum.transactions import DelegatingAccount, delegating_account_at
from bridge.filecoin.evm_state import EvmState, evm_state_at
from bridge.filecoin.parameters import DelegateCallParams
from hypervisor.errors import AddressError, Fatal, InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address, Protocol
from hypervisor.state.state_tree import ActorState
from hypervisor.types import MAX_FILECOIN_BALANCE, ActorID, TokenAmount, octets, whole_number
from store.blockstore import BlockNotFound, TreeNodeError, put_object
from store.cid import RAW, Cid, cid_of, show
from store.codec import CodecError
from store.keccak import keccak
from store.trees.kamt import EMPTY_KAMT

_INVOKE_DELEGATE: Final = 6
_WORD: Final = 32


class ContractState(NamedTuple):
    """A contract's code (its CID), storage root and Ethereum nonce; a destroyed one has none of them."""

    bytecode: Cid | None
    storage: Cid | None
    nonce: int
    account: DelegatingAccount | None = None
    """State of an account that stores its own delegation, whose code has no block."""


_NOTHING: Final = ContractState(None, None, 0)


def contract_state(machine: Hypervisor, actor: ActorState) -> ContractState | None:
    """Return the state of a contract, None for any other actor. Raises InvalidInput for a state of another form."""
    if not machine.traits(actor.code).is_contract:
        return None
    try:
        state = evm_state_at(machine.store, actor.head)
    except CodecError as error:
        raise InvalidInput(f"the state {show(actor.head)} of an actor is not that of a contract: {error}") from None
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


def slots_of(machine: Hypervisor, actor: ActorState | None) -> dict[int, int]:
    """Return the slots of a contract that are not 0; of a fork's contract those that were written here."""
    state = None if actor is None else state_with_storage(machine, actor)
    return {} if state is None or state.storage is None else dict(machine.state_tree.words(state.storage).items())


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
    state = contract_state(machine, actor)
    return actor.nonce if state is None or state.bytecode is None else state.nonce


MAX_NONCE: Final = (1 << 64) - 1
"""The highest nonce, which no message has (EIP-2681)."""
_MAX_WORD: Final = (1 << 256) - 1
_SIGNED_128_BIT: Final = (
    "actors hold amounts as signed 128-bit numbers under Filecoin's rules, and as 256-bit numbers under Ethereum's "
    "(--rules ethereum)"
)
_ETHEREUM: Final = ("evm", "ethaccount", "placeholder")
"""Kinds of actors whose code can be set."""

Owner = EthAddress | Address
"""An actor by its Ethereum or Filecoin address; errors show the address in this form."""


def set_balance(
    machine: Hypervisor, owner: Owner, amount: TokenAmount, limit: TokenAmount = MAX_FILECOIN_BALANCE
) -> None:
    """Set the balance of the actor at an address, in attoFIL; `limit` is the rules' `RuleLimits.balance`.

    Raises AddressError for an f0 or f2 address without an actor, InvalidInput for an amount that actors cannot hold.
    """
    reason = _SIGNED_128_BIT if limit == MAX_FILECOIN_BALANCE else ""
    checked = whole_number(amount, "a balance", 0, limit, unit=unit_of(machine.context.rules), reason=reason)
    _change(machine, owner, lambda actor: actor.with_balance(checked))


def set_nonce(machine: Hypervisor, owner: Owner, nonce: int, limit: int = MAX_NONCE - 1) -> None:
    """Set the nonce of an account, or the Ethereum nonce of a contract, which determines created addresses.

    Raises AddressError as `set_balance` does, InvalidInput for an invalid nonce.
    """
    whole_number(nonce, "a nonce", 0, limit)

    def changed(actor: ActorState) -> ActorState:
        state = contract_state(machine, actor)
        if state is not None and state.bytecode is not None:  # a destroyed contract remains destroyed
            return replace(actor, head=put_contract_state(machine, state._replace(nonce=nonce)))
        if nonce and actor.code == machine.manifest.code(
            "placeholder"
        ):  # a placeholder cannot send with a nonce above 0
            actor = replace(actor, code=machine.manifest.code("ethaccount"))
        return replace(actor, nonce=nonce)

    _change(machine, owner, changed)


def set_code(machine: Hypervisor, owner: Owner, code: bytes) -> None:
    """Set the runtime code of an Ethereum address; balance, storage and nonce are unchanged. No constructor runs.

    An account becomes a contract by it. Raises AddressError as `set_balance` does, InvalidInput for native actors.
    """
    code = octets(code, "code")

    def changed(actor: ActorState) -> ActorState:
        kind = machine.manifest.name_of(actor.code)
        if kind not in _ETHEREUM or actor.delegated_address is None:
            raise InvalidInput(
                f"{address_text(owner)} is an actor of kind '{kind or 'user'}', which cannot be given EVM code"
            )
        state = contract_state(machine, actor)
        if state is None:
            evm_state = state_with_storage(machine, actor)
            state = ContractState(None, None if evm_state is None else evm_state.storage, actor.nonce)
        return replace(actor, code=machine.manifest.code("evm"), head=put_contract_state(machine, state, code=code))

    _change(machine, owner, changed)


def set_actor_code(machine: Hypervisor, owner: Address, code: Cid) -> None:
    """Replace an actor's code by a built-in actor's or installed code; state, balance and nonce are unchanged.

    Raises InvalidInput for unknown code, if there is no actor, and for the code of contracts: their state has a copy of
    it, and like the network's upgrade of an actor, a replacement creates no state.
    """
    actor = machine.state_tree.lookup_id(owner)
    state = None if actor is None else machine.state_tree.get_actor(actor)
    if actor is None or state is None:
        raise InvalidInput(f"there is no actor {owner}")
    if machine.manifest.name_of(code) is None and code not in machine.installed:
        raise InvalidInput(f"no module is installed under {show(code)}: install it first")
    if machine.traits(code).is_contract:
        raise InvalidInput(
            f"{show(code)} is the code of contracts, which is also part of their state: {owner} cannot be given it;"
            " create another actor with it"
        )
    machine.state_tree.set_actor(actor, replace(state, code=code))


def set_storage(
    machine: Hypervisor, owner: Owner, slots: Mapping[int, int], *, only: bool = False, bare: bool = False
) -> None:
    """Set storage slots of a contract (0 clears one); with `only`, all others are cleared.

    With `bare`, an address without code may also have slots (`Features.allows_bare_storage`). Raises InvalidInput for
    an actor that is not a contract, and for a word of more than 256 bits.
    """
    for slot, value in slots.items():
        whole_number(slot, "a storage slot", 0, _MAX_WORD)
        whole_number(value, "a word of storage", 0, _MAX_WORD)

    def changed(actor: ActorState) -> ActorState:
        state = state_with_storage(machine, actor)
        if state is None:
            kind = machine.manifest.name_of(actor.code)
            if not bare or kind not in _ETHEREUM:
                text = address_text(owner)
                raise InvalidInput(
                    f"{text} is not a contract and has no storage: give its code first, for example with anvil_setCode"
                )
            state = ContractState(None, None, actor.nonce)
            actor = replace(actor, code=machine.manifest.code("evm"), nonce=0)
        if only:
            state = state._replace(storage=None)
        return replace(actor, head=put_contract_state(machine, state, slots=slots))

    _change(machine, owner, changed)


def address_text(owner: Owner) -> str:
    """Return an address as text, in the form in which it was given."""
    return f"0x{owner.hex()}" if isinstance(owner, bytes) else str(owner)


def _change(machine: Hypervisor, owner: Owner, changed: Callable[[ActorState], ActorState]) -> None:
    """Replace the actor at an address atomically."""
    tree = machine.state_tree
    with tree.transaction():
        actor, state = _find_or_create(machine, owner)
        tree.set_actor(actor, changed(state))


def _find_or_create(machine: Hypervisor, owner: Owner) -> tuple[ActorID, ActorState]:
    tree, manifest = machine.state_tree, machine.manifest
    address = to_filecoin(owner) if isinstance(owner, bytes) else owner
    actor = tree.lookup_id(address)
    state = None if actor is None else tree.get_actor(actor)
    if actor is not None and state is not None:
        return actor, state
    if address.protocol in (Protocol.SECP256K1, Protocol.BLS):
        state = ActorState(manifest.code("account"), put_object(tree.store, [address.to_bytes()]))
    elif from_delegated(address) is not None:
        state = ActorState(manifest.code("placeholder"), delegated_address=address)
    else:
        raise AddressError(f"there is no actor {address_text(owner)}, and none can be created at this kind of address")
    return tree.register_address(address), state
