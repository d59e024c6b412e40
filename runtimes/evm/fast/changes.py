"""The changes of a call tree, written to the message's accounts as if frame by frame.

Format: `guests/evm/src/journal.rs`; 64-bit numbers and words, little-endian.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from struct import Struct
from typing import Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import SYSTEM_ADDRESS
from bridge.filecoin.events import DATA_KEY, INDEXED_FLAGS, TOPIC_KEYS, entry_of_log
from hypervisor.messages.events import EventEntry, StampedEvent
from hypervisor.types import SYSTEM_ACTOR, ActorID
from runtimes.evm.fast.numbers import ChangeFlag
from runtimes.evm.tree_engine import TreeHost
from store.cid import RAW

_NUMBER: Final = Struct("<Q")
_SIGN: Final = 1 << 63
"""Sign bit of a number in two's complement: `(number ^ _SIGN) - _SIGN` is its value."""
_ADDRESS: Final = Struct("<20s12x")
_ACCOUNT: Final = Struct("<20s12xQQ32sQ")
_SLOT: Final = Struct("<20s12x32s32s")
_LOG: Final = Struct("<20s12xQQ")
_TOPIC: Final = 32
_SYSTEM: Final = SYSTEM_ADDRESS[::-1]
_stamped: Final = partial(tuple.__new__, StampedEvent)
"""Create an event from its two parts, as `entry_of_log` creates its entries."""
_SEEN: Final = ChangeFlag.WARM | ChangeFlag.TOUCHED


class Changes:
    """The changes of one tree."""

    def __init__(self, data: bytes, host: TreeHost) -> None:
        self._data = data
        self._at = 0
        self._host = host
        self._accounts = host.accounts
        self._actors: dict[bytes, ActorID] = {host.address[::-1]: host.actor}
        """Actors by address as the guest writes it: little-endian."""

    def write(self) -> None:
        self._accounts.add_refund((self._number() ^ _SIGN) - _SIGN)
        self._create_accounts()
        for _ in range(self._number()):
            self._write_account()
        self._write_slots(self._accounts.store_all)
        self._write_slots(self._accounts.store_all_transient)
        self._host.emit(self._events())

    def write_refund_and_logs(self) -> None:
        """Write only the refund and the logs, for a host that keeps no other changes."""
        self._accounts.add_refund((self._number() ^ _SIGN) - _SIGN)
        self._host.emit(self._events_only())

    def report_logs(self) -> None:
        """Report only the logs, of a frame that has failed. The caller rolls back the accounts that it has created."""
        self._number()
        for event in self._events_only():
            self._host.report_log(event)

    def _events_only(self) -> list[StampedEvent]:
        """Return the logs as events, without writing accounts and slots.

        A contract that the frame created may have emitted some of them, so the accounts are created first, with the
        actor IDs that frame-by-frame execution would assign.
        """
        self._create_accounts()
        for _ in range(self._number()):
            self._at += _ACCOUNT.size + _ACCOUNT.unpack_from(self._data, self._at)[-1]
        self._rows(_SLOT)
        self._rows(_SLOT)
        return self._events()

    def _create_accounts(self) -> None:
        for (raw,) in self._rows(_ADDRESS):
            self._actors[raw] = self._accounts.create_account(EthAddress(raw[::-1]))

    def _write_slots(self, store: Callable[[ActorID, Iterable[tuple[bytes, int]]], None]) -> None:
        by_account: dict[bytes, list[tuple[bytes, int]]] = {}
        for raw, slot, word in self._rows(_SLOT):
            words = by_account.get(raw)
            if words is None:
                words = by_account[raw] = []
            words.append((slot, int.from_bytes(word, "little")))
        for raw, words in by_account.items():
            # an access list may name a slot of a contract whose creation was rolled back: warm, without an actor
            actor = self._actors.get(raw) or self._accounts.find(EthAddress(raw[::-1]))
            if actor is not None:
                store(actor, words)

    def _write_account(self) -> None:
        accounts, start = self._accounts, self._at + _ACCOUNT.size
        raw, bits, nonce, balance, size = _ACCOUNT.unpack_from(self._data, self._at)
        self._at = start + size
        address = EthAddress(raw[::-1])
        if bits & ChangeFlag.WARM:
            accounts.warm(address)
        if bits & ChangeFlag.TOUCHED:
            accounts.touch(address)
        if not bits & ~_SEEN:
            return
        actor = self._actor(raw)
        if bits & ChangeFlag.CREATED:
            accounts.create(actor)
        if bits & ChangeFlag.COUNTED:
            accounts.set_nonce(actor, nonce)
        if bits & ChangeFlag.PAID:
            accounts.add_balance(actor, int.from_bytes(balance, "little") - accounts.balance(actor))
        if bits & ChangeFlag.CODE:
            accounts.set_code(actor, self._data[start : self._at])
        if bits & ChangeFlag.DESTROYED:
            accounts.destroy(actor)

    def _events(self) -> list[StampedEvent]:
        """Return the logs as events. Repeated topics at the same position, which are common, share one entry."""
        data, at, events = self._data, self._at + _NUMBER.size, []
        count_of_logs = self._number()
        known: list[dict[bytes, EventEntry]] = [{} for _ in TOPIC_KEYS] if count_of_logs else []
        for _ in range(count_of_logs):
            raw, count, size = _LOG.unpack_from(data, at)
            at += _LOG.size
            entries = []
            for index in range(count):
                topic = data[at : at + _TOPIC]
                at += _TOPIC
                entry = known[index].get(topic)
                if entry is None:
                    entry = known[index][topic] = entry_of_log((INDEXED_FLAGS, TOPIC_KEYS[index], RAW, topic))
                entries.append(entry)
            if size:
                entries.append(entry_of_log((INDEXED_FLAGS, DATA_KEY, RAW, data[at : at + size])))
                at += size
            # The inverse of `bridge.ethereum.block.emitter_address`.
            emitter = SYSTEM_ACTOR if raw == _SYSTEM else self._actors.get(raw) or self._actor(raw)
            events.append(_stamped((emitter, tuple(entries))))
        return events

    def _actor(self, raw: bytes) -> ActorID:
        actor = self._actors.get(raw)
        if actor is None:
            actor = self._actors[raw] = self._accounts.existing(EthAddress(raw[::-1]))
        return actor

    def _rows(self, row: Struct) -> Iterator[tuple[bytes, ...]]:
        """Iterate over the rows of a table, which begins with their number."""
        count = self._number()
        if not count:
            return iter(())
        start = self._at
        self._at = end = start + row.size * count
        return row.iter_unpack(self._data[start:end])

    def _number(self) -> int:
        number: int = _NUMBER.unpack_from(self._data, self._at)[0]
        self._at += _NUMBER.size
        return number
