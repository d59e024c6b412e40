"""Ethereum's accounts over the machine's actors: addresses, journal keys, contracts' states.

An account with code, storage or a delegation is an actor with the state of the EVM actor; any other is an EthAccount
(or another account type created by a native actor). Unlike in `bridge.ethereum.addresses`, a masked ID is an address
like any other.

Balances are those of the state tree. Nonces, code, slots and the access list are in the message's journal, so they are
rolled back with the call that wrote them; actors are written once, when the message ends (`write_back`). Everything
else that is read and cached of contracts, by CID, depends only on the state before the message (`ContractStates`).
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from bridge.ethereum.addresses import ETH_ADDRESS_LENGTH, MASKED_ID_PREFIX, EthAddress, masked_id, unmask_id
from bridge.ethereum.execution import HeldAccount
from bridge.ethereum.transactions import DELEGATION_PREFIX, delegation_of
from bridge.filecoin.evm_state import EvmState
from hypervisor.errors import Fatal
from hypervisor.machine.machine_state import MachineState
from hypervisor.messages.address import Address, Protocol
from hypervisor.state.state_tree import ActorState
from hypervisor.state.undo_map import Journal
from hypervisor.types import BURNT_FUNDS_ACTOR, EAM_NAMESPACE, INIT_ACTOR, MAX_BALANCE, ActorID, TokenAmount
from runtimes.evm.code import EMPTY_CODE_HASH
from runtimes.evm.contract import FIRST_NONCE
from runtimes.evm.host import NATIVE_CODE, NATIVE_CODE_HASH
from store.blockstore import BlockNotFound
from store.cid import EMPTY_ARRAY_CID, RAW, Cid, cid_of
from store.codec import CodecError
from store.keccak import keccak
from store.trees.kamt import EMPTY_KAMT, EMPTY_KAMT_BLOCK, StoredWords

EMPTY_CODE: Final = cid_of(b"", RAW)
NATIVE_CODE_CID: Final = cid_of(NATIVE_CODE, RAW)

NEW_CONTRACT: Final = EvmState(EMPTY_CODE, EMPTY_CODE_HASH, EMPTY_KAMT, None, FIRST_NONCE, None)
"""The state of an EVM actor whose head is still the empty array: one that this message creates."""

_CODE_FACTS: dict[Cid, tuple[int, EthAddress | None]] = {}
"""Cache by code CID: the code's length, and the address it delegates to, if any."""
_MAX_CODE_FACTS: Final = 4096

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
        self._manifest = machine.manifest
        self._states, self._trees = known.states, known.trees

    def of(self, state: ActorState) -> EvmState:
        """Return the state of a contract. Raises Fatal."""
        contract = self._states.get(state.head)
        if contract is None:
            try:
                contract = EvmState.decode(self._store.get(state.head))
            except (BlockNotFound, CodecError) as error:
                raise Fatal(f"a contract's state cannot be read: {error}") from error
            self._states[state.head] = contract
        return contract

    def words(self, state: ActorState) -> StoredWords | None:
        """Return an account's slots, for reading; None if all are zero."""
        root = self.of(state).storage if state.code == self.evm_code else EMPTY_KAMT
        return None if root == EMPTY_KAMT else self.storage(root)

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

    def code_size_and_delegate(self, cid: Cid) -> tuple[int, EthAddress | None]:
        """Return the length in bytes of the code of a CID, and the address it delegates to, if any."""
        shape = _CODE_FACTS.get(cid)
        if shape is None:
            code = self.code_block(cid)
            if len(_CODE_FACTS) >= _MAX_CODE_FACTS:
                _CODE_FACTS.clear()
            shape = _CODE_FACTS[cid] = len(code), delegation_of(code)
        return shape

    def form(self, contract: EvmState, state: ActorState) -> ActorState:
        """Return the actor of an account: with a contract's state only if it has code or slots."""
        if contract.bytecode == EMPTY_CODE and contract.storage == EMPTY_KAMT:
            return replace(state, code=self._manifest.code("ethaccount"), head=EMPTY_ARRAY_CID, nonce=contract.nonce)
        return self.contract_form(contract, state)

    def contract_form(self, contract: EvmState, state: ActorState) -> ActorState:
        """Return the account's actor with the contract's state, also if it has neither code nor storage yet."""
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


JournalEntry = tuple[Hashable, Any]

# Kinds of journal entries, the first part of their keys. Slots have the key (actor, slot) without a kind. A slot is its
# little-endian bytes: the hash of bytes is seeded, while integers that differ by 2**61 - 1 collide.
ACTOR, ADDRESS, WARM, TOUCHED = "actor", "address", "warm", "touched"
NONCE, CODE, CREATED, DESTROYED, TRANSIENT = "nonce", "code", "created", "destroyed", "transient"
CREATED_INSIDE: Final = "created inside"
"""Kind of the entries for contracts that an inner transaction has created."""
REFUND = "refund"
EARLIER: Final = "earlier"
"""Kind of the entries for slots that an earlier part of the message touched; the value is the original word."""
_IN_STATE: Final = (NONCE, CODE, ACTOR, TOUCHED, DESTROYED)
"""Kinds of entries that are redundant once the message's changes are written to the state."""


def slot_key(slot: int) -> bytes:
    """Return the bytes that identify a slot in keys."""
    return slot.to_bytes(32, "little")


def slot_number(slot: bytes) -> int:
    """Return the slot that these bytes of a key identify."""
    return int.from_bytes(slot, "little")


def slots_of(entries: Iterable[JournalEntry]) -> Iterator[tuple[ActorID, bytes]]:
    """Yield the slots that have an entry of their own."""
    for key, value in entries:
        match key:
            case (int() as actor, bytes() as slot) if value is not None:
                yield ActorID(actor), slot


def is_in_state(key: Hashable) -> bool:
    """Return True if an entry with this key is redundant once the message's changes are written to the state."""
    return isinstance(key, tuple) and (isinstance(key[0], int) or key[0] in _IN_STATE)


def is_touch(key: Hashable, excluded: Collection[EthAddress]) -> bool:
    """Return True if an entry with this key warms a slot, or an address that is not in `excluded`."""
    match key:
        case ("earlier" | "slots", *_) | ("warm", _, _):
            return True
        case ("warm", address):
            return address not in excluded
    return False


@lru_cache
def warming(addresses: tuple[EthAddress, ...]) -> tuple[tuple[tuple[str, EthAddress], bool], ...]:
    """Return the entries that make addresses warm."""
    return tuple(((WARM, address), True) for address in addresses)


_COMMITTING: Final = "commit part"
_COOLING: Final = "make cold"
_UNTOUCHED: Final = object()
_RIPEMD160: Final = EthAddress((3).to_bytes(ETH_ADDRESS_LENGTH, "big"))
"""The precompile that stays touched after a rollback, as in mainnet's block 2,675,119 (EIP-716)."""

TouchedSlot = tuple[ActorID, int, int]
"""An actor, its slot, and the slot's word before the message."""


class Accounts:
    """The accounts of one message."""

    def __init__(
        self,
        machine: MachineState,
        journal: Journal,
        filecoin_addresses: bool,
        known: ContractCache | None = None,
        clears_empty: bool = True,
        burns_balance: bool = True,
    ) -> None:
        """`filecoin_addresses` is True if a masked ID stands for an actor.

        `known` caches contracts across messages; contracts that are read and written here are added to it. If
        `clears_empty` is False (before EIP-161), empty accounts exist, and new contracts have nonce 0. If
        `burns_balance` is False (EIP-8246), the account of a removed contract remains if it has a balance.
        """
        self._tree = machine.state_tree
        self._store = machine.store
        self._machine = machine
        self._known = ContractCache() if known is None else known
        self._contracts = contracts = ContractStates(machine, self._known)
        self.code_block, self.code_size_and_delegate = contracts.code_block, contracts.code_size_and_delegate
        self.form = contracts.form
        self._journal = self.journal = journal
        self._masked = filecoin_addresses
        self._clears_empty, self._burns_balance = clears_empty, burns_balance
        self._touched_ripemd160 = False
        """True if the message has touched `_RIPEMD160`, even if that was rolled back."""
        self._pre_warmed = False
        """True if the message has warmed a slot of an address without an account (`warm_slot`)."""
        self._committed_part = False
        """True if a part of the message was already written to the state (`commit_part`)."""
        self._around: Accounts | None = None
        """Accounts of the message within which these accounts' transaction is executed."""
        self.evm_code = contracts.evm_code
        self.account_codes = machine.manifest.account_codes

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

    def add_balance_wrapping(self, actor: ActorID, amount: int) -> None:
        """Credit an actor modulo 2^256."""
        state = self._tree.existing(actor)
        self._tree.set_actor(actor, state.with_balance((state.balance + amount) & MAX_BALANCE))

    def pay(self, address: EthAddress, amount: int) -> None:
        """Credit an address without reading its balance; an account is created if there is none."""
        actor = self._tree.lookup_id(self.filecoin_address(address))
        if actor is None or not self._tree.credit(actor, amount):
            self.add_balance(self.create_account(address), amount)

    def burn(self, amount: int) -> None:
        """Credit the burnt-funds actor. Raises Fatal if it is missing."""
        if not self._tree.credit(BURNT_FUNDS_ACTOR, amount):
            raise Fatal(f"actor f0{BURNT_FUNDS_ACTOR} is missing")

    def buy_gas(self, actor: ActorID, cost: int, nonce: int) -> None:
        """Debit a sender, and set its nonce."""
        state = self._tree.existing(actor)
        paid = TokenAmount(state.balance - cost)
        if state.code == self.evm_code:
            self._journal.set((NONCE, actor), nonce)
            nonce = state.nonce
        self._tree.set_actor(actor, ActorState(state.code, state.head, nonce, paid, state.delegated_address))

    def nonce(self, actor: ActorID) -> int:
        """Return Ethereum's nonce: the contract's own, or the account's message count."""
        state = self._tree.existing(actor)
        if state.code != self.evm_code:
            return state.nonce
        nonce: int | None = self._journal.get((NONCE, actor))
        return self._contracts.of(state).nonce if nonce is None else nonce

    def set_nonce(self, actor: ActorID, nonce: int) -> None:
        state = self._tree.existing(actor)
        if state.code == self.evm_code:
            self._journal.set((NONCE, actor), nonce)
        else:
            self._tree.set_actor(actor, state.with_nonce(nonce))

    def code_cid(self, actor: ActorID | None) -> Cid:
        """Return the CID of an account's code, which may be empty."""
        return self._code(actor)[0]

    def code_hash(self, actor: ActorID | None) -> bytes:
        """Return the Keccak-256 of an account's code."""
        return self._code(actor)[1]

    def code(self, actor: ActorID | None) -> bytes:
        return self.code_block(self.code_cid(actor))

    def has_code(self, address: EthAddress) -> bool:
        return self.code_cid(self.find(address)) != EMPTY_CODE

    def set_code(self, actor: ActorID, code: bytes) -> None:
        cid = self._contracts.put_code(code)
        self._journal.set((CODE, actor), (cid, keccak(code) if code else EMPTY_CODE_HASH))

    def is_empty(self, actor: ActorID) -> bool:
        """Return True if the account is empty: no balance, no nonce, no code (EIP-161)."""
        state = self._tree.existing(actor)
        if state.balance or state.code != self.evm_code:
            return state.balance == 0 and state.nonce == 0 and state.code in self.account_codes
        nonce = self._journal.get((NONCE, actor))
        is_new = not (self._contracts.of(state).nonce if nonce is None else nonce)
        return is_new and self.code_cid(actor) == EMPTY_CODE

    def is_alive(self, address: EthAddress) -> bool:
        """Return True if there is a non-empty account at an address."""
        actor = self.find(address)
        return actor is not None and not self.is_empty(actor)

    def collides(self, actor: ActorID, with_slots: bool) -> bool:
        """Return True if a contract cannot be created here because of code, a nonce (EIP-684), or slots (EIP-7610).

        `with_slots` is False in forks that create it over slots, which are cleared.
        """
        state = self._tree.existing(actor)
        if state.code != self.evm_code:
            return state.nonce != 0 or state.code not in self.account_codes
        if self.nonce(actor) != 0 or self.code_cid(actor) != EMPTY_CODE:
            return True
        return with_slots and self._contracts.of(state).storage != EMPTY_KAMT

    # --- slots ------------------------------------------------------------------------------------------------

    def original(self, actor: ActorID, slot: int, *, as_written: bool = False) -> int:
        """Return a slot's word before the message, or as written by its earlier parts if `as_written`."""
        if self._committed_part and not as_written:
            known: int | None = self._journal.get((EARLIER, actor, slot_key(slot)))
            if known is not None:
                return known
        words = self._contracts.words(self._tree.existing(actor))
        return 0 if words is None else words.get(slot)

    def load(self, actor: ActorID, slot: int) -> tuple[int, bool]:
        """Warm a slot; return its word, and True if it was warm before."""
        word: int | None = self._journal.get((actor, slot_key(slot)))
        if word is not None:
            return word, True
        word = self.original(actor, slot, as_written=True)
        self.store(actor, slot, word)
        if self._committed_part and self._journal.get((EARLIER, actor, slot_key(slot))) is not None:
            return word, True
        return word, self._pre_warmed and self._journal.get((WARM, self.address_of(actor), slot_key(slot))) is not None

    def slots(self, actor: ActorID) -> list[int]:
        """Return the non-zero slots of a contract."""
        words = self._contracts.words(self._tree.existing(actor))
        known = {} if words is None else dict(words.items())
        for key, word in self._journal.items():
            if word is not None and isinstance(key, tuple) and len(key) == 2 and key[0] == actor:
                known[slot_number(key[1])] = word
        return sorted(slot for slot, word in known.items() if word)

    def slot_words(self) -> tuple[int, ...]:
        """Return the current words of all slots that the message has read or written."""
        words = []
        for key, value in self._journal.items():
            match key:
                case (int(), bytes()) if value is not None:
                    words.append(value)
                case ("earlier", int() as actor, bytes() as slot) if value is not None:
                    if self._journal.get((actor, slot)) is None and self._tree.get_actor(ActorID(actor)) is not None:
                        words.append(self.original(ActorID(actor), slot_number(slot), as_written=True))
        return tuple(words)

    def slot_state(self, actor: ActorID | None, address: EthAddress, slot: int) -> tuple[int, int, bool]:
        """Return a slot's original word, current word, and whether it is warm, without touching it."""
        if actor is None:
            return 0, 0, self._journal.get((WARM, address, slot_key(slot))) is not None
        original = self.original(actor, slot)
        word: int | None = self._journal.get((actor, slot_key(slot)))
        if word is not None:
            return original, word, True
        if self._committed_part and self._journal.get((EARLIER, actor, slot_key(slot))) is not None:
            return original, self.original(actor, slot, as_written=True), True
        is_warm = self._pre_warmed and self._journal.get((WARM, address, slot_key(slot))) is not None
        return original, original, is_warm

    def word(self, actor: ActorID, slot: int) -> int:
        """Return a slot's word without warming it."""
        word: int | None = self._journal.get((actor, slot_key(slot)))
        return self.original(actor, slot, as_written=True) if word is None else word

    def warm_slot(self, address: EthAddress, slot: int) -> None:
        """Warm a slot of the account at an address, which may be created later."""
        actor = self.find(address)
        if actor is not None:
            self.load(actor, slot)
        else:
            self._pre_warmed = True
            self._journal.set((WARM, address, slot_key(slot)), True)

    def store(self, actor: ActorID, slot: int, word: int) -> None:
        self._journal.set((actor, slot_key(slot)), word)

    def load_transient(self, actor: ActorID, slot: int) -> int:
        return int(self._journal.get((TRANSIENT, actor, slot_key(slot))) or 0)

    def store_transient(self, actor: ActorID, slot: int, word: int) -> None:
        self._journal.set((TRANSIENT, actor, slot_key(slot)), word)

    # --- effects of the message -------------------------------------------------------------------------------

    def warm(self, address: EthAddress) -> bool:
        """Warm an address; return True if it was warm before."""
        key = (WARM, address)
        if self._journal.get(key) is not None:
            return True
        self._journal.set(key, True)
        return False

    def warm_all(self, addresses: Iterable[EthAddress]) -> None:
        self._journal.set_all([((WARM, address), True) for address in addresses])

    def warm_known(self, addresses: tuple[EthAddress, ...]) -> None:
        """Warm addresses that many messages begin with; the journal entries are cached."""
        self._journal.set_all(warming(addresses))

    def is_warm(self, address: EthAddress) -> bool:
        return self._journal.get((WARM, address)) is not None

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

    def exists(self, address: EthAddress) -> bool:
        """Return True if there is an account at an address; from EIP-161 on, an empty one does not count."""
        return self.is_alive(address) if self._clears_empty else self.find(address) is not None

    def create(self, actor: ActorID) -> None:
        """Turn the actor into a contract created by this message, with its first nonce and its current balance."""
        self._tree.set_actor(
            actor, replace(self._tree.existing(actor), code=self.evm_code, head=EMPTY_ARRAY_CID, nonce=0)
        )
        self._journal.set((NONCE, actor), FIRST_NONCE if self._clears_empty else 0)
        self._journal.set((CODE, actor), (EMPTY_CODE, EMPTY_CODE_HASH))
        self._journal.set((CREATED, actor), True)

    def is_ethereum(self, actor: ActorID) -> bool:
        """Return True if the actor is a contract, or an account that could become one."""
        state = self._tree.existing(actor)
        if state.code == self.evm_code:
            return True
        return state.code in self.account_codes and state.delegated_address is not None

    def become_contract(self, actor: ActorID) -> None:
        """Turn an account into a contract without code that can hold code and slots; balance and nonce stay."""
        state = self._tree.existing(actor)
        if state.code != self.evm_code:
            self._tree.set_actor(actor, replace(state, code=self.evm_code, head=EMPTY_ARRAY_CID, nonce=0))
            self._journal.set((NONCE, actor), state.nonce)
            self._journal.set((CODE, actor), (EMPTY_CODE, EMPTY_CODE_HASH))

    def was_created(self, actor: ActorID) -> bool:
        """Return True if this message has created the contract, in an inner transaction or around one, too."""
        if any(self._journal.get((kind, actor)) is not None for kind in (CREATED, CREATED_INSIDE)):
            return True
        return self._around is not None and self._around.was_created(actor)

    def destroy(self, actor: ActorID) -> None:
        """Mark the account for removal at the end of the message."""
        self._journal.set((DESTROYED, actor), True)

    def was_destroyed(self, actor: ActorID) -> bool:
        """Return True if the account will be removed at the end of the message."""
        return self._journal.get((DESTROYED, actor)) is not None

    # --- delegations (EIP-7702) -------------------------------------------------------------------------------

    def delegate_of(self, actor: ActorID | None) -> EthAddress | None:
        return self.code_size_and_delegate(self.code_cid(actor))[1]

    def set_delegation(self, actor: ActorID, to: EthAddress | None) -> None:
        if to is None and self._tree.existing(actor).code != self.evm_code:
            return
        self.become_contract(actor)
        self.set_code(actor, b"" if to is None else DELEGATION_PREFIX + to)

    # --- a transaction in the middle of this message ----------------------------------------------------------

    def for_inner_transaction(self) -> "Accounts":
        """Return the accounts of an inner transaction of this message, with a separate journal.

        They begin with the state, to which `commit_part` writes the changes of this message so far.
        """
        inner = Accounts(self._machine, Journal(), self._masked, self._known, self._clears_empty, self._burns_balance)
        inner._around = self
        return inner

    def commit_part(self) -> None:
        """Write the changes since the last part to the state, for an inner transaction that begins with it.

        Slots, nonces and code are read from the state again. Slots stay warm and keep their original words.
        """
        self._committed_part = True
        written = [(key, self._journal.get(key)) for key in self._journal.take_changes(_COMMITTING)]
        for actor, slot in slots_of(written):
            if self._tree.get_actor(actor) is not None:
                self._note_earlier(actor, slot, self.original(actor, slot_number(slot)))
        self.write_back(written)
        self._journal.set_all([(key, None) for key, value in written if value is not None and is_in_state(key)])

    def continue_after(
        self, slots: Iterable[TouchedSlot], addresses: Mapping[EthAddress, bool], created: Iterable[ActorID]
    ) -> None:
        """Continue after an inner transaction: the slots that it touched are warm.

        `addresses` are the addresses it touched, with their warmth at its end. Warm ones become warm here, too, unless
        this message has touched them before.
        """
        for actor, slot, original in slots:
            self._note_earlier(actor, slot_key(slot), original)
        for address, is_warm in addresses.items():
            if is_warm and self._journal.get((WARM, address), _UNTOUCHED) is _UNTOUCHED:
                self.warm(address)
        self._journal.set_all([((CREATED_INSIDE, actor), True) for actor in created])

    def created(self) -> list[ActorID]:
        """Return the contracts that the message has created."""
        return [
            ActorID(key[1])
            for key, value in self._journal.items()
            if isinstance(key, tuple) and key[0] == CREATED and value is not None
        ]

    def _note_earlier(self, actor: ActorID, slot: bytes, original: int) -> None:
        """Record a slot as touched in an earlier part; its word is read from the state when needed."""
        if self._journal.get((EARLIER, actor, slot)) is None:
            self._journal.set((EARLIER, actor, slot), original)

    def touched_slots(self) -> list[TouchedSlot]:
        """Return the slots of actors that the message has touched since its last part, with their original words."""
        return [
            (actor, slot_number(slot), self.original(actor, slot_number(slot)))
            for actor, slot in slots_of(self._journal.items())
            if self._tree.get_actor(actor) is not None
        ]

    def touched_addresses(self) -> dict[EthAddress, bool]:
        """Return the addresses that the message has touched, and whether they are still warm."""
        return {
            EthAddress(key[1]): value is not None
            for key, value in self._journal.items()
            if isinstance(key, tuple) and len(key) == 2 and key[0] == WARM
        }

    def make_cold(self, but: Iterable[EthAddress]) -> None:
        """Make all slots cold, as if untouched, and all addresses except `but`."""
        self.commit_part()
        warm, get = set(but), self._journal.get
        touches = (key for key in self._journal.take_changes(_COOLING) if get(key) is not None and is_touch(key, warm))
        self._journal.set_all([(key, None) for key in touches])

    # --- the end of the message -------------------------------------------------------------------------------

    def write_back(self, entries: Iterable[JournalEntry] | None = None) -> None:
        """Write the accounts that `entries` change (None: the whole journal); remove those that the rules remove."""
        changed: dict[int, list[tuple[int, int]]] = {}
        removed: list[ActorID] = []
        touched: list[EthAddress] = []
        for key, value in self._journal.items() if entries is None else entries:
            if value is None:  # rolled back to its value before the first write
                continue
            if isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], int):  # a slot; `match` is slower
                changed.setdefault(ActorID(key[0]), []).append((int.from_bytes(key[1], "little"), value))
                continue
            match key:
                case ("nonce" | "code", int() as actor):
                    changed.setdefault(actor, [])
                case ("destroyed", int() as actor):
                    removed.append(ActorID(actor))
                case ("touched", bytes() as address):
                    touched.append(EthAddress(address))
        for actor in removed:
            self._remove(actor)
            changed.pop(actor, None)
        for number, slots in changed.items():
            actor = ActorID(number)
            is_new = (
                entries is not None and self._journal.get((CREATED, actor)) is not None
            )  # its code is written when the message ends
            self._write(actor, slots, self._contracts.contract_form if is_new else self.form)
        if self._touched_ripemd160:
            touched.append(_RIPEMD160)
        self._remove_empty(touched)

    def _remove(self, actor: ActorID) -> None:
        """Remove a destroyed contract. Under EIP-8246, an account with its balance remains."""
        state = self._tree.existing(actor)
        if self._burns_balance or not state.balance:
            self._tree.delete_actor(actor)
        else:
            account = replace(state, code=self._machine.manifest.code("ethaccount"), head=EMPTY_ARRAY_CID, nonce=0)
            self._tree.set_actor(actor, account)

    def _remove_empty(self, touched: Iterable[EthAddress]) -> None:
        for address in touched:
            actor = self.find(address)
            if actor is not None and self.is_empty(actor):
                self._tree.delete_actor(actor)

    def _write(
        self, actor: ActorID, slots: Sequence[tuple[int, int]], form: Callable[[EvmState, ActorState], ActorState]
    ) -> None:
        state = self._tree.existing(actor)
        if state.code != self.evm_code:
            return
        before = self._contracts.of(state)
        storage = self._contracts.write_slots(before.storage, slots) if slots else before.storage
        code, code_hash = self._journal.get((CODE, actor)) or (before.bytecode, before.bytecode_hash)
        nonce = self._journal.get((NONCE, actor))
        nonce = before.nonce if nonce is None else nonce
        after = EvmState(code, code_hash, storage, before.transient, nonce, before.tombstone)
        if after != before or state.head == EMPTY_ARRAY_CID:
            self._tree.set_actor(actor, form(after, state))

    def _code(self, actor: ActorID | None) -> tuple[Cid, bytes]:
        state = None if actor is None else self._tree.get_actor(actor)
        if state is None or state.code != self.evm_code:
            is_native = state is not None and state.code not in self.account_codes
            return (NATIVE_CODE_CID, NATIVE_CODE_HASH) if is_native else (EMPTY_CODE, EMPTY_CODE_HASH)
        code: tuple[Cid, bytes] | None = self._journal.get((CODE, actor))
        if code is None:
            contract = self._contracts.of(state)
            code = contract.bytecode, contract.bytecode_hash
        return code
