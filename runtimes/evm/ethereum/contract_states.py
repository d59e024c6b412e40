"""Contracts' states, storages and code by CID, as in the store; independent of any one message."""

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.delegations import delegation_of, is_delegation
from bridge.filecoin.evm_state import EvmState
from hypervisor.errors import Fatal
from hypervisor.machine.machine_state import MachineState
from hypervisor.state.state_tree import ActorState
from runtimes.evm.code import EMPTY_CODE_HASH
from runtimes.evm.contract import FIRST_NONCE
from runtimes.evm.ethereum.forks import Fork
from runtimes.evm.inspection import NATIVE_CODE
from store.blockstore import BlockNotFound
from store.cid import EMPTY_ARRAY_CID, RAW, Cid, cid_of
from store.codec import CodecError
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


def may_send(code: bytes, fork: Fork) -> bool:
    """Return True if an account with this code may send transactions. Source: EIP-3607, EIP-7702."""
    return not code or (fork.delegations and is_delegation(code))


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
