"""Writing what a session's guest has changed to the state tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.ethereum.addresses import EthAddress, unmask_id
from bridge.filecoin.evm_state import EvmState
from hypervisor.errors import Fatal
from hypervisor.state.state_tree import ActorState, StateTree
from hypervisor.types import BURNT_FUNDS_ACTOR, ActorID, TokenAmount
from runtimes.evm.contracts.host import NATIVE_CODE
from runtimes.evm.revm.accounts import NEW_CONTRACT, ContractStates, delegated_address
from runtimes.evm.revm.protocol import COUNT, DRAINED_ACCOUNT, SLOT_WORD, DrainedAccount, DrainFlag
from store.cid import EMPTY_ARRAY_CID

if TYPE_CHECKING:
    from hypervisor.machine.machine_state import MachineState


class Writes:
    """The accounts of one drain, which are written together."""

    def __init__(
        self, machine: MachineState, contracts: ContractStates, actors: dict[EthAddress, ActorID],
        aliases: dict[EthAddress, int], has_masked_ids: bool,
    ) -> None:  # fmt: skip
        """`actors` are those known by address. `aliases` have the balances of masked IDs of actors with an address."""
        self._machine, self._contracts, self._actors = machine, contracts, actors
        self._aliases, self._has_masked_ids = aliases, has_masked_ids
        self._written: dict[ActorID, ActorState] = {}
        self._received: dict[ActorID, int] = {}
        """Amounts that masked IDs of actors with an Ethereum address have received."""

    def write(self, tree: StateTree, data: bytes, burnt: int) -> None:
        """Write a list of `DrainedAccount`, and burn an amount."""
        at = COUNT.size
        for _ in range(COUNT.read(data).count):
            account = DRAINED_ACCOUNT.read(data, at)
            at += DRAINED_ACCOUNT.size
            slots_at = at + account.size
            slots = [
                (int.from_bytes(slot, "big"), int.from_bytes(word, "big"))
                for slot, word in SLOT_WORD.read_all(data, slots_at, account.slots)
            ]
            self._add(tree, account, data[at:slots_at], slots)
            at = slots_at + SLOT_WORD.size * account.slots
        tree.set_actors(self._written)
        for actor, amount in self._received.items():
            state = tree.get_actor(actor)
            if state is not None:  # a contract that destroyed itself takes what its masked ID has received along
                tree.set_actor(actor, state.with_balance(TokenAmount(state.balance + amount)))
        if burnt and not tree.credit(BURNT_FUNDS_ACTOR, burnt):
            raise Fatal(f"actor f0{BURNT_FUNDS_ACTOR} is missing")

    def _add(self, tree: StateTree, account: DrainedAccount, code: bytes, slots: list[tuple[int, int]]) -> None:
        """Add the state of a changed account."""
        address, flags, nonce = account.address, account.flags, account.nonce
        balance, has_new_code = TokenAmount(int.from_bytes(account.balance, "big")), flags & DrainFlag.CODE != 0
        has_code = has_new_code and code != NATIVE_CODE
        delegated, actor = delegated_address(address), None if has_code else self._actors.get(address)
        if actor is None:
            actor = tree.lookup_id(delegated)
        state = None if actor is None else tree.get_actor(actor)
        masked = unmask_id(address) if actor is None and self._has_masked_ids else None
        if masked is not None and not has_code and tree.get_actor(masked) is not None:  # the kernel has created it
            actor, state = masked, tree.get_actor(masked)
        contracts = self._contracts
        if actor is not None and state is not None:
            is_native = state.code not in self._machine.manifest.ethereum_codes
            if is_native or state.delegated_address != delegated:
                if address in self._aliases:
                    self._received[actor] = balance - self._aliases[address]
                    return
                nonce = state.nonce if state.code == contracts.evm_code else nonce
                self._written[actor] = ActorState(state.code, state.head, nonce, balance, state.delegated_address)
                return
        if not flags & DrainFlag.EXISTS:
            if actor is not None and state is not None:
                tree.delete_actor(actor)
            elif flags & DrainFlag.HAS_EXISTED and actor is None:
                tree.register_address(delegated)  # an address keeps the number that it once had
            return
        if actor is None:
            actor = tree.register_address(delegated)
        if has_code:  # a masked ID with code is an account of its own, no longer its actor
            self._actors[address] = actor
        if state is None or flags & DrainFlag.WIPED:
            state = ActorState(self._machine.manifest.code("ethaccount"), delegated_address=delegated)
        is_contract = state.code == contracts.evm_code
        if not (is_contract or slots or has_new_code):
            self._written[actor] = ActorState(state.code, state.head, nonce, balance, delegated)
            return
        before = contracts.of(state) if is_contract else NEW_CONTRACT
        cid = contracts.put_code(code) if has_new_code else before.bytecode
        storage = contracts.write_slots(before.storage, slots) if slots else before.storage
        after = EvmState(cid, account.code_hash, storage, before.transient, nonce, before.tombstone)
        paid = state.with_balance(balance)
        is_same = after == before and is_contract and state.head != EMPTY_ARRAY_CID
        self._written[actor] = paid if is_same else contracts.form(after, paid)
