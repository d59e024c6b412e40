"""Recording of a block's accesses for its access list (EIP-7928).

`RecordingAccounts` are the accounts of one message. They record every account and slot that the message touches,
including in reverted calls.
The values are those before and after the message. `AccessRecorder` collects the messages of a block. Forks without
access lists use `Accounts`, so that they pay nothing for this.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import BlockAccessList
from hypervisor.machine.machine_state import MachineState
from hypervisor.state.undo_map import Journal
from hypervisor.types import ActorID
from runtimes.evm.ethereum.accounts import EMPTY_CODE, Accounts, ContractCache, JournalEntry
from runtimes.evm.ethereum.host import EthereumHost
from store.cid import Cid
from store.trees.kamt import EMPTY_KAMT

_Basics = tuple[int, int, Cid]
"""An account's balance, nonce, and code."""

_MISSING: _Basics = (0, 0, EMPTY_CODE)


_ACCOUNT: Final = Struct("<20sI32sQI")
_COUNT: Final = Struct("<I")
_SLOT: Final = Struct("<32s32sI")
_BALANCE, _NONCE, _CODE = 1, 2, 4


@dataclass(slots=True)
class AccessRecorder:
    """The accesses of a block so far. `index` is that of the message that is executed."""

    accesses: BlockAccessList = field(default_factory=BlockAccessList)
    index: int = 0

    def add(self, data: bytes) -> None:
        """Add the accesses of a message as a session's guest lists them (guests/session/src/amsterdam.rs)."""
        at = 0
        while at < len(data):
            address, flags, balance, nonce, size = _ACCOUNT.unpack_from(data, at)
            at += _ACCOUNT.size
            access, index = self.accesses.account(EthAddress(address)), self.index
            if flags & _BALANCE:
                access.balances[index] = int.from_bytes(balance, "big")
            if flags & _NONCE:
                access.nonces[index] = nonce
            if flags & _CODE:
                access.codes[index] = data[at : at + size]
            slots_at = at + size + _COUNT.size
            at = slots_at + _SLOT.size * _COUNT.unpack_from(data, at + size)[0]
            for slot, word, is_changed in _SLOT.iter_unpack(data[slots_at:at]):
                access.add_slot(int.from_bytes(slot, "big"), int.from_bytes(word, "big") if is_changed else None, index)


class RecordingAccounts(Accounts):
    """Accounts that add what a message touches to a recorder when the message ends."""

    records_accesses = True

    def __init__(
        self,
        machine: MachineState,
        recorder: AccessRecorder,
        filecoin_addresses: bool,
        known: ContractCache,
        clears_empty: bool,
        burns_balance: bool,
    ) -> None:
        super().__init__(machine, Journal(), filecoin_addresses, known, clears_empty, burns_balance)
        self._recorder = recorder
        self._before: dict[EthAddress, _Basics] = {}
        """The touched accounts, as they were before the message."""
        self._slots: dict[EthAddress, set[int]] = {}
        self._is_paused = False

    def find(self, address: EthAddress) -> ActorID | None:
        actor = super().find(address)
        if not self._is_paused and address not in self._before:
            self._before[address] = self._basics(actor)
        return actor

    def touch(self, address: EthAddress) -> None:
        self.find(address)
        super().touch(address)

    def pay(self, address: EthAddress, amount: int) -> None:
        self.find(address)
        super().pay(address, amount)

    def warm_slot(self, address: EthAddress, slot: int) -> None:
        """Warm a slot of a transaction's access list, which is no access."""
        self._is_paused = True
        try:
            super().warm_slot(address, slot)
        finally:
            self._is_paused = False

    def record_slot(self, address: EthAddress, slot: int) -> None:
        self._slots.setdefault(address, set()).add(slot)

    def write_back(self, entries: Iterable[JournalEntry] | None = None) -> None:
        """Write every changed account; add the accesses to the recorder unless only some `entries` are written."""
        if entries is not None:
            super().write_back(entries)
            return
        self._is_paused = True
        originals = {
            address: {slot: self._original(address, slot) for slot in slots} for address, slots in self._slots.items()
        }
        super().write_back()
        for address, before in self._before.items():
            self._add_account(address, before)
        for address, words in originals.items():
            self._add_slots(address, words)

    def _original(self, address: EthAddress, slot: int) -> int:
        actor = super().find(address)
        return 0 if actor is None else self.original(actor, slot)

    def _add_account(self, address: EthAddress, before: _Basics) -> None:
        access, index = self._recorder.accesses.account(address), self._recorder.index
        balance, nonce, code = self._basics(super().find(address))
        if balance != before[0]:
            access.balances[index] = balance
        if nonce != before[1]:
            access.nonces[index] = nonce
        if code != before[2]:
            access.codes[index] = self.code_block(code)

    def _add_slots(self, address: EthAddress, originals: dict[int, int]) -> None:
        access, index = self._recorder.accesses.account(address), self._recorder.index
        for slot, original in originals.items():
            word = self._written_word(super().find(address), slot)
            access.add_slot(slot, None if word == original else word, index)

    def _basics(self, actor: ActorID | None) -> _Basics:
        """Return what the state, without the message's journal, contains of an account."""
        state = None if actor is None else self._tree.get_actor(actor)
        if state is None:
            return _MISSING
        if state.code != self.evm_code:
            return state.balance, state.nonce, EMPTY_CODE
        contract = self._contracts.of(state)
        return state.balance, contract.nonce, contract.bytecode

    def _written_word(self, actor: ActorID | None, slot: int) -> int:
        state = None if actor is None else self._tree.get_actor(actor)
        if state is None or state.code != self.evm_code:
            return 0
        root = self._contracts.of(state).storage
        return 0 if root == EMPTY_KAMT else self._contracts.storage(root).get(slot)


class RecordingHost(EthereumHost):
    """The host of a frame that records slots. Each call runs in a new frame of the host, which sees all accesses."""

    def get_storage(self, key: int) -> int:
        """Return the word in a slot; the access is recorded once it is paid for."""
        word = super().get_storage(key)
        self._record(key)
        return word

    def set_storage(self, key: int, value: int) -> None:
        """Write a slot. EIP-7928 records it as read even if the write runs out of gas."""
        if self.gas.left > self.prices.slot_sentry:  # the sentry (2,300) exceeds the price of a cold access (2,100)
            self._record(key)
        super().set_storage(key, value)

    def _record(self, key: int) -> None:
        assert isinstance(self.accounts, RecordingAccounts)
        self.accounts.record_slot(self.address, key)
