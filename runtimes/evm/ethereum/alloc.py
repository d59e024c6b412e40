"""Conversion between Ethereum's accounts and a machine's state, and Ethereum's state root.

`install_alloc` writes accounts as actors; `read_alloc` reads back every actor with an f410 address. Other actors (the
machine's own, accounts with Filecoin keys) are not part of Ethereum's state.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.patricia import EMPTY_ROOT, secure_root
from bridge.filecoin.evm_state import EvmState
from hypervisor.journal import Journal
from hypervisor.machine.machine_state import MachineState
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import HAMT_BIT_WIDTH, ActorState
from hypervisor.types import EAM_NAMESPACE, FIRST_DYNAMIC_ACTOR, ActorID, TokenAmount
from runtimes.evm.code import EMPTY_CODE_HASH
from runtimes.evm.ethereum.accounts import Accounts
from runtimes.evm.ethereum.addresses import ethereum_address
from runtimes.evm.ethereum.contract_states import EMPTY_CODE, NEW_CONTRACT
from store.cid import RAW, cid_of
from store.keccak import keccak
from store.trees.hamt import Hamt
from store.trees.kamt import EMPTY_KAMT, Kamt

_WORD: Final = 32


@dataclass(frozen=True, slots=True)
class AllocAccount:
    """An Ethereum account. Balance in wei; zero slots are omitted."""

    balance: int = 0
    nonce: int = 0
    code: bytes = b""
    storage: Mapping[int, int] = field(default_factory=dict)

    def rlp(self) -> bytes:
        """Return the account's encoding in the state trie."""
        slots = {key.to_bytes(_WORD, "big"): rlp.encode(rlp.number(word)) for key, word in self.storage.items()}
        storage = secure_root(slots) if slots else EMPTY_ROOT
        code_hash = bytes(keccak(self.code)) if self.code else EMPTY_CODE_HASH
        return rlp.encode([rlp.number(self.nonce), rlp.number(self.balance), storage, code_hash])


def state_root(accounts: Mapping[EthAddress, AllocAccount]) -> bytes:
    """Return Ethereum's state root of these accounts, empty ones included."""
    return secure_root({bytes(address): account.rlp() for address, account in accounts.items()})


def install_alloc(machine: MachineState, accounts: Mapping[EthAddress, AllocAccount]) -> None:
    """Write accounts to a machine's state, which must not contain any of the addresses yet."""
    tree, store = machine.state_tree, machine.store
    form = Accounts(machine, Journal(), filecoin_addresses=False)
    init = tree.init_state()
    addresses, actor = Hamt(store, init.address_map, HAMT_BIT_WIDTH), max(init.next_id, FIRST_DYNAMIC_ACTOR)
    for address, account in accounts.items():
        delegated = Address.delegated(EAM_NAMESPACE, address)
        addresses.set(delegated.to_bytes(), actor)
        state = ActorState(form.evm_code, balance=TokenAmount(account.balance), delegated_address=delegated)
        tree.set_actor(ActorID(actor), form.form(_contract(machine, account), state))
        actor += 1
    tree.set_init_state(replace(init, address_map=addresses.flush(), next_id=actor))


def read_alloc(machine: MachineState) -> Iterator[tuple[EthAddress, AllocAccount]]:
    """Yield every account of the machine's flushed state, in the order of the state tree."""
    evm_code = machine.manifest.code("evm")
    for address, state in ethereum_actors(machine):
        yield address, account_of(machine, state, state.code == evm_code)


def ethereum_actors(machine: MachineState) -> Iterator[tuple[EthAddress, ActorState]]:
    """Flush the machine's state, and yield every actor with an f410 address."""
    machine.state_tree.flush()
    for _, state in machine.state_tree.actors():
        address = None if state.delegated_address is None else ethereum_address(state.delegated_address)
        if address is not None:
            yield address, state


def _contract(machine: MachineState, account: AllocAccount) -> EvmState:
    """Return the account's state as a contract and put its blocks into the store."""
    code, code_hash, storage = EMPTY_CODE, EMPTY_CODE_HASH, EMPTY_KAMT
    if account.code:
        code, code_hash = cid_of(account.code, RAW), bytes(keccak(account.code))
        machine.store.put(code, account.code)
    if account.storage:
        tree = Kamt(machine.store)
        for key, word in account.storage.items():
            tree.set(key, word)
        storage = tree.flush()
    return replace(NEW_CONTRACT, bytecode=code, bytecode_hash=code_hash, storage=storage, nonce=account.nonce)


def account_of(machine: MachineState, state: ActorState, is_contract: bool) -> AllocAccount:
    """Read the account of an actor."""
    if not is_contract:
        return AllocAccount(state.balance, state.nonce)
    contract = EvmState.decode(machine.store.get(state.head))
    storage = {} if contract.storage == EMPTY_KAMT else dict(Kamt(machine.store, contract.storage).items())
    return AllocAccount(state.balance, contract.nonce, machine.store.get(contract.bytecode), storage)


_MAX_ACCOUNTS: Final = 65_536


class StateRoots:
    """Computes state roots; encoded accounts are cached by the state of their actors."""

    def __init__(self) -> None:
        self._encoded: dict[ActorState, bytes] = {}

    def root(self, machine: MachineState) -> bytes:
        evm_code, encoded = machine.manifest.code("evm"), self._encoded
        entries = {}
        for address, state in ethereum_actors(machine):
            data = encoded.get(state)
            if data is None:
                if len(encoded) >= _MAX_ACCOUNTS:
                    encoded.clear()
                data = encoded[state] = account_of(machine, state, state.code == evm_code).rlp()
            entries[bytes(address)] = data
        return secure_root(entries)
