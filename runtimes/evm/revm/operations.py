"""Reads and writes of accounts by the observer of a call while the call is stopped (`protocol.Operation`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress
from bridge.ethereum.transactions import DELEGATION_PREFIX
from runtimes.evm.revm.guest import GuestFailure, data_message
from runtimes.evm.revm.observation import Access, CannotObserve
from runtimes.evm.revm.protocol import (
    ACCOUNT_STATE,
    AMOUNTS,
    COOL,
    ENDED_GAS,
    GAS,
    OPCODE_BITS,
    OPERATION_HEAD,
    RECORDED_ACCESS,
    SLOT_WORD,
    Operation,
)
from runtimes.evm.revm.requests import NeedsKernel, Requests

T = TypeVar("T")


class Operations:
    """Accounts in the guest, which become warm. Writes are executed with the next message to the guest."""

    wants_kernel = False
    """True if the call has met a native actor, without the kernel."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._operations: list[bytes] = []

    def _operate(self, operation: int, address: EthAddress, values: bytes = b"") -> bytes:
        """Read an account, after what has been written. Raises CannotObserve."""
        self._write(operation, address, values)
        try:
            return self._requests.operate(self._take_operations())
        except (NeedsKernel, GuestFailure) as stop:
            raise self._stop_observing(stop) from stop

    def _drive(self, work: Callable[[], T]) -> T:
        """Return the result of `work`, which drives the guest. Raises CannotObserve if it fails."""
        try:
            return work()
        except (NeedsKernel, GuestFailure) as stop:
            raise self._stop_observing(stop) from stop

    def _stop_observing(self, stop: NeedsKernel | GuestFailure) -> CannotObserve:
        """Return the error of a call that cannot go on."""
        if isinstance(stop, GuestFailure):
            return self._failed(stop)
        self.wants_kernel = True
        return CannotObserve()

    def _failed(self, failure: GuestFailure) -> CannotObserve:
        """Close the session, whose guest lacks memory or has a defect; return the call's error. Raises Fatal."""
        raise NotImplementedError

    def _take_operations(self) -> bytes:
        """Return what has been written since the last message."""
        message = b"".join(self._operations)
        self._operations.clear()
        return message

    def _write(self, operation: int, address: EthAddress, values: bytes = b"") -> None:
        """Execute an operation with the next message."""
        self._operations.append(OPERATION_HEAD.pack_values(operation, address) + values)

    def balance(self, address: EthAddress) -> int:
        balance, _ = AMOUNTS.unpack_from(self._operate(Operation.ACCOUNT, address))
        return int.from_bytes(balance, "big")

    def nonce(self, address: EthAddress) -> int:
        return AMOUNTS.read(self._operate(Operation.ACCOUNT, address)).nonce

    def code(self, address: EthAddress) -> bytes:
        return self._operate(Operation.CODE, address)

    def set_balance(self, address: EthAddress, amount: int) -> None:
        self._write(Operation.SET_BALANCE, address, amount.to_bytes(32, "big"))

    def set_nonce(self, address: EthAddress, nonce: int) -> None:
        self._write(Operation.SET_NONCE, address, GAS.pack(nonce))

    def set_code(self, address: EthAddress, code: bytes) -> None:
        self._write(Operation.SET_CODE, address, data_message(code))

    def delegate(self, address: EthAddress, to: EthAddress | None) -> None:
        """Delegate an account to the code of another address, or remove its delegation."""
        self.set_code(address, b"" if to is None else DELEGATION_PREFIX + to)

    def load(self, address: EthAddress, slot: int) -> int:
        return int.from_bytes(self._operate(Operation.LOAD, address, slot.to_bytes(32, "big")), "big")

    def store(self, address: EthAddress, slot: int, word: int) -> None:
        self._write(Operation.STORE, address, SLOT_WORD.pack(slot.to_bytes(32, "big"), word.to_bytes(32, "big")))

    def cool(self, address: EthAddress, slot: int | None) -> None:
        """Make an account's slots cold, or one of them, with the present words as original ones."""
        has_slot, only = slot is not None, (slot or 0).to_bytes(32, "big")
        self._operate(Operation.COOL, address, COOL.pack(has_slot=has_slot, slot=only))

    def make_cold(self) -> None:
        """Make all accounts and slots cold."""
        self._write(Operation.MAKE_COLD, ZERO_ADDRESS)

    def warmth(self) -> bytes:
        """Return what the call has beside the state (`split_warmth`).

        Transient words, and warm accounts and slots, with the original words of slots, and whether the call has created
        or destroyed the accounts.
        """
        return self._operate(Operation.WARMTH, ZERO_ADDRESS)

    def accesses(self) -> Iterator[Access]:
        """Yield what instructions have accessed since the last time."""
        data, number = self._operate(Operation.ACCESSES, ZERO_ADDRESS), int.from_bytes
        for kind, account, *words in RECORDED_ACCESS.read_all(data, 0, len(data) // RECORDED_ACCESS.size):
            first, second, third, fourth = (number(word, "big") for word in words)
            place, of_kind = divmod(kind, 1 << OPCODE_BITS)
            yield Access(of_kind, EthAddress(account), first, second, third, fourth, place)

    def look_up(self, address: EthAddress) -> tuple[bool, int, int]:
        """Return whether an account exists, its balance and its nonce, without making it warm."""
        exists, balance, nonce = ACCOUNT_STATE.read(self._operate(Operation.LOOK_UP, address))
        return bool(exists), int.from_bytes(balance, "big"), nonce

    def slot_state(self, address: EthAddress, slot: int) -> tuple[int, bool]:
        """Return a slot's word, and whether it is warm."""
        is_warm = any(self._operate(Operation.IS_WARM, address, slot.to_bytes(32, "big")))
        word = self.load(address, slot)
        if not is_warm:
            self.cool(address, slot)
        return word, is_warm

    def gas_used(self) -> int:
        """Return the gas that the frame which made the requested call has used."""
        return GAS.read(self._operate(Operation.GAS, ZERO_ADDRESS)).gas

    def ended_gas(self) -> tuple[int, int, int]:
        """Return gas limit, gas used and refund of the call that was entered last, and has ended."""
        return ENDED_GAS.read(self._operate(Operation.ENDED_GAS, ZERO_ADDRESS))
