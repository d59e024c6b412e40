"""Ethereum's accounts over the machine's actors: addresses, journal keys, contracts' states.

An account with code, storage or a delegation is an actor with the state of the EVM actor; any other is an EthAccount
(or another account type created by a native actor). Unlike in `bridge.ethereum.addresses`, a masked ID is an address
like any other.

Balances are those of the state tree. Touched addresses are in the message's journal, so they are rolled back with the
call that touched them; empty accounts are removed when the message ends (`remove_empty`). What is read and cached of
contracts, by CID, depends only on the state before the message (`ContractStates`).
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from operator import attrgetter
from typing import Final

from bridge.ethereum.addresses import ETH_ADDRESS_LENGTH, MASKED_ID_PREFIX, EthAddress, masked_id, unmask_id
from bridge.ethereum.execution import HeldAccount
from bridge.filecoin.evm_state import EvmState
from hypervisor.errors import Fatal
from hypervisor.machine.machine_state import MachineState
from hypervisor.messages.address import Address, Protocol
from hypervisor.state.state_tree import ActorState
from hypervisor.state.undo_map import Journal
from hypervisor.types import EAM_NAMESPACE, INIT_ACTOR, MAX_BALANCE, ActorID
from runtimes.evm.contracts.code import EMPTY_CODE_HASH
from runtimes.evm.contracts.contract import FIRST_NONCE
from runtimes.evm.contracts.host import NATIVE_CODE, NATIVE_CODE_HASH
from store.blockstore import BlockNotFound
from store.cid import EMPTY_ARRAY_CID, RAW, Cid, cid_of
from store.codec import CodecError
from store.trees.kamt import EMPTY_KAMT, EMPTY_KAMT_BLOCK, StoredWords

EMPTY_CODE: Final = cid_of(b"", RAW)
NATIVE_CODE_CID: Final = cid_of(NATIVE_CODE, RAW)

NEW_CONTRACT: Final = EvmState(EMPTY_CODE, EMPTY_CODE_HASH, EMPTY_KAMT, None, FIRST_NONCE, None)
"""The state of an EVM actor whose head is still the empty array: one that this message creates."""

_MAX_STATES: Final = 4096
_MAX_STORAGES: Final = 32
_MAX_NODES: Final = 8192
"""Maximum numbers of cached states, storages, and nodes of all storages together."""
_LOADED_NODES: Final = attrgetter("loaded_nodes")


class ContractCache:
    """A cache of states and storages that a machine's messages have read or written, by CID.

    A storage is filed under the root that was written last. If its blocks are rolled back, no state refers to it.
    """

    def __init__(self) -> None:
        self.states: dict[Cid, EvmState] = {}
        self.trees: dict[Cid, StoredWords] = {}
        self.forget()

    def trim(self) -> None:
        """Drop old storages, and everything above a limit. Called between messages."""
        while len(self.trees) > _MAX_STORAGES:
            del self.trees[next(iter(self.trees))]
        if len(self.states) > _MAX_STATES or sum(map(_LOADED_NODES, self.trees.values())) > _MAX_NODES:
            self.forget()

    def forget(self) -> None:
        """Clear the cache."""
        self.trees.clear()
        self.states.clear()
        self.states[EMPTY_ARRAY_CID] = NEW_CONTRACT


class ContractStates:
    """Reads and writes contracts, using the cache of earlier messages."""

    def __init__(self, machine: MachineState, known: ContractCache) -> None:
        self._store = machine.store
        self._tree = machine.state_tree
        self.evm_code = machine.manifest.code("evm")
        self._machine, self._manifest = machine, machine.manifest
        self._states, self._trees = known.states, known.trees

    def of(self, state: ActorState) -> EvmState:
        """Return the state of a contract. Raises Fatal."""
        try:
            return self._decoded(state.head)
        except CodecError as error:
            raise Fatal(f"a contract's state cannot be read: {error}") from error

    def _decoded(self, head: Cid) -> EvmState:
        """Return the state at a head. Raises CodecError, and Fatal if there is no block."""
        contract = self._states.get(head)
        if contract is None:
            try:
                contract = self._states[head] = EvmState.decode(self._store.get(head))
            except BlockNotFound as error:
                raise Fatal(f"a contract's state cannot be read: {error}") from error
        return contract

    def words(self, state: ActorState) -> StoredWords | None:
        """Return an account's slots, for reading; None if all are zero."""
        root = self.of(state).storage if state.code == self.evm_code else EMPTY_KAMT
        return None if root == EMPTY_KAMT else self.storage(root)

    def native_code(self, state: ActorState) -> tuple[Cid, bytes]:
        """Return CID and hash of the code that contracts see of a native actor, or of another runtime's contract.

        An actor whose state is not that of a contract is a native one.
        """
        if self._machine.traits(state.code).is_contract:
            with suppress(CodecError):
                contract = self._decoded(state.head)
                return contract.bytecode, contract.bytecode_hash
        return NATIVE_CODE_CID, NATIVE_CODE_HASH

    def storage(self, root: Cid) -> StoredWords:
        """Return the slots under a root, for reading."""
        words = self._trees.get(root)
        if words is None:
            words = self._trees[root] = self._tree.words(root)
        return words

    def write_slots(self, root: Cid, slots: Sequence[tuple[int, int]]) -> Cid:
        """Write words to a storage and return its new root."""
        tree = self.storage(root)
        del self._trees[root]  # its content may change, and then it gets another root
        changed = tree.flush() if tree.set_all(slots) else root
        self._trees[changed] = tree
        return changed

    def put_code(self, code: bytes) -> Cid:
        """Store a code, and return its CID."""
        cid = cid_of(code, RAW)
        self._store.put(cid, code)
        return cid

    def code_block(self, cid: Cid) -> bytes:
        if cid == EMPTY_CODE:
            return b""
        if cid == NATIVE_CODE_CID:
            return NATIVE_CODE
        try:
            return self._store.get(cid)
        except BlockNotFound as error:
            raise Fatal(f"a contract's code is missing: {error}") from error

    def form(self, contract: EvmState, state: ActorState) -> ActorState:
        """Return the actor of an account: with a contract's state only if it has code or slots."""
        if contract.bytecode == EMPTY_CODE and contract.storage == EMPTY_KAMT:
            return replace(state, code=self._manifest.code("ethaccount"), head=EMPTY_ARRAY_CID, nonce=contract.nonce)
        data = contract.encode()
        head = cid_of(data)
        self._store.put(head, data)
        self._states[head] = contract
        if contract.bytecode == EMPTY_CODE:
            self._store.put(EMPTY_CODE, b"")
        if contract.storage == EMPTY_KAMT:
            self._store.put(EMPTY_KAMT, EMPTY_KAMT_BLOCK)
        return ActorState(self.evm_code, head, 0, state.balance, state.delegated_address)


_F410_PAYLOAD: Final = 1 + ETH_ADDRESS_LENGTH


def ethereum_address(address: Address) -> EthAddress | None:
    """Return the Ethereum address of an f410 address, or None for any other address."""
    payload = address.payload
    if address.protocol is Protocol.DELEGATED and len(payload) == _F410_PAYLOAD and payload[0] == EAM_NAMESPACE:
        return EthAddress(payload[1:])
    return None


@lru_cache(4096)
def delegated_address(address: EthAddress) -> Address:
    """Return the f410 address of an Ethereum address."""
    return Address.delegated(EAM_NAMESPACE, address)


def address_of_state(actor: ActorID, state: ActorState) -> EthAddress:
    """Return an actor's Ethereum address: its own one, or its masked ID."""
    own = None if state.delegated_address is None else ethereum_address(state.delegated_address)
    return masked_id(actor) if own is None else own


ACTOR, ADDRESS, TOUCHED, REFUND = "actor", "address", "touched", "refund"
"""Kinds of journal entries, the first part of their keys."""
_RIPEMD160: Final = EthAddress((3).to_bytes(ETH_ADDRESS_LENGTH, "big"))
"""The precompile that stays touched after a rollback, as in mainnet's block 2,675,119 (EIP-716)."""


class Accounts:
    """The accounts of one message."""

    def __init__(
        self,
        machine: MachineState,
        journal: Journal,
        filecoin_addresses: bool,
        known: ContractCache | None = None,
        clears_empty: bool = True,
    ) -> None:
        """`filecoin_addresses` is True if a masked ID stands for an actor.

        `known` caches contracts across messages; contracts that are read and written here are added to it. If
        `clears_empty` is False (before EIP-161), empty accounts exist.
        """
        self._tree = machine.state_tree
        self._machine = machine
        self._contracts = contracts = ContractStates(machine, ContractCache() if known is None else known)
        self.code_block, self.form = contracts.code_block, contracts.form
        self._journal = self.journal = journal
        self._masked = filecoin_addresses
        self._clears_empty = clears_empty
        self._touched_ripemd160 = False
        """True if the message has touched `_RIPEMD160`, even if that was rolled back."""
        self.evm_code = contracts.evm_code
        self.account_codes = machine.manifest.account_codes
        self.ethereum_codes = machine.manifest.ethereum_codes

    # --- addresses --------------------------------------------------------------------------------------------

    def filecoin_address(self, address: EthAddress) -> Address:
        """Return the Filecoin address of an Ethereum address; a masked ID is the actor's, unless an account exists."""
        delegated = delegated_address(address)
        actor = unmask_id(address) if self._masked and address.startswith(MASKED_ID_PREFIX) else None
        if actor is None or self._tree.lookup_id(delegated) is not None:
            return delegated
        return Address.id(actor)

    def find(self, address: EthAddress) -> ActorID | None:
        key = (ACTOR, address)
        known = self._journal.get(key)
        # a missing actor stays missing until the init actor's state, which holds the addresses, changes
        if known is None or (known[0] is None and known[1] != self._tree.existing(INIT_ACTOR).head):
            found = self._tree.lookup_id(self.filecoin_address(address))
            known = found, None if found is not None else self._tree.existing(INIT_ACTOR).head
            self._journal.set(key, known)
        actor: ActorID | None = known[0]
        return None if actor is None or self._tree.get_actor(actor) is None else actor

    def existing(self, address: EthAddress) -> ActorID:
        """Return the actor at an address; raises Fatal if there is none."""
        actor = self.find(address)
        if actor is None:
            raise Fatal(f"there is no actor at 0x{address.hex()}")
        return actor

    def address_of(self, actor: ActorID) -> EthAddress:
        address: EthAddress | None = self._journal.get((ADDRESS, actor))
        if address is None:
            address = address_of_state(actor, self._tree.existing(actor))
            self._journal.set((ADDRESS, actor), address)
        return address

    def set_address(self, actor: ActorID, address: EthAddress) -> None:
        """Assign another address to an actor in this message."""
        self._journal.set((ADDRESS, actor), address)

    def create_account(self, address: EthAddress) -> ActorID:
        """Create an account with balance 0 for an address without one, or whose account was removed."""
        delegated = delegated_address(address)
        actor = self._tree.lookup_id(delegated)
        if actor is None:
            actor = self._tree.register_address(delegated)
            self._journal.set((ACTOR, address), (actor, self._tree.existing(INIT_ACTOR).head))
        self._tree.set_actor(actor, ActorState(self._machine.manifest.code("ethaccount"), delegated_address=delegated))
        return actor

    # --- account contents -------------------------------------------------------------------------------------

    def account(self, address: EthAddress) -> HeldAccount:
        """Return an account's contents; zeros if there is none."""
        actor = self.find(address)
        nonce = 0 if actor is None else self.nonce(actor)
        return HeldAccount(self.balance(actor), nonce, self.code(actor))

    def balance(self, actor: ActorID | None) -> int:
        """Return the balance in attoFIL, which stands for wei; 0 without an actor."""
        state = None if actor is None else self._tree.get_actor(actor)
        return 0 if state is None else state.balance

    def add_balance(self, actor: ActorID, amount: int) -> None:
        """Credit an actor, at most to `MAX_BALANCE`, or debit it if `amount` is negative."""
        state = self._tree.existing(actor)
        self._tree.set_actor(actor, state.with_balance(min(state.balance + amount, MAX_BALANCE)))

    def nonce(self, actor: ActorID) -> int:
        """Return Ethereum's nonce: the contract's own, or the account's message count."""
        state = self._tree.existing(actor)
        return self._contracts.of(state).nonce if state.code == self.evm_code else state.nonce

    def set_nonce(self, actor: ActorID, nonce: int) -> None:
        state = self._tree.existing(actor)
        if state.code == self.evm_code:
            changed = self.form(replace(self._contracts.of(state), nonce=nonce), state)
        else:
            changed = state.with_nonce(nonce)
        self._tree.set_actor(actor, changed)

    def code_cid(self, actor: ActorID | None) -> Cid:
        """Return the CID of an account's code, which may be empty."""
        return self._code(actor)[0]

    def code_hash(self, actor: ActorID | None) -> bytes:
        """Return the Keccak-256 of an account's code."""
        return self._code(actor)[1]

    def code(self, actor: ActorID | None) -> bytes:
        return self.code_block(self.code_cid(actor))

    def is_empty(self, actor: ActorID) -> bool:
        """Return True if the account is empty: no balance, no nonce, no code (EIP-161)."""
        state = self._tree.existing(actor)
        if state.balance or state.code != self.evm_code:
            return state.balance == 0 and state.nonce == 0 and state.code in self.account_codes
        return not self._contracts.of(state).nonce and self.code_cid(actor) == EMPTY_CODE

    # --- slots ------------------------------------------------------------------------------------------------

    def word(self, actor: ActorID, slot: int) -> int:
        """Return a slot's word in the tree."""
        words = self._contracts.words(self._tree.existing(actor))
        return 0 if words is None else words.get(slot)

    # --- effects of the message -------------------------------------------------------------------------------

    def touch(self, address: EthAddress) -> None:
        """Mark an account for removal at the end if it is empty (EIP-161); in earlier forks, create it if missing."""
        if self._clears_empty:
            self._journal.set((TOUCHED, address), True)
            self._touched_ripemd160 |= address == _RIPEMD160
        elif self.find(address) is None:
            self.create_account(address)

    @property
    def refund(self) -> int:
        return int(self._journal.get(REFUND) or 0)

    def add_refund(self, gas: int) -> None:
        """Increase the refund counter, or decrease it if `gas` is negative."""
        if gas:
            self._journal.set(REFUND, self.refund + gas)

    def is_ethereum(self, actor: ActorID) -> bool:
        """Return True if the actor is a contract, or an account that could become one."""
        state = self._tree.existing(actor)
        if state.code == self.evm_code:
            return True
        return state.code in self.account_codes and state.delegated_address is not None

    # --- the end of the message -------------------------------------------------------------------------------

    def remove_empty(self) -> None:
        """Remove touched accounts that are empty."""
        touched = [_RIPEMD160] if self._touched_ripemd160 else []
        for key, value in self._journal.items():
            match key:
                case ("touched", bytes() as address) if value is not None:
                    touched.append(EthAddress(address))
        for address in touched:
            actor = self.find(address)
            if actor is not None and self.is_empty(actor):
                self._tree.delete_actor(actor)

    def _code(self, actor: ActorID | None) -> tuple[Cid, bytes]:
        state = None if actor is None else self._tree.get_actor(actor)
        if state is None or state.code != self.evm_code:
            if state is None or state.code in self.account_codes:
                return EMPTY_CODE, EMPTY_CODE_HASH
            return self._contracts.native_code(state)
        contract = self._contracts.of(state)
        return contract.bytecode, contract.bytecode_hash
