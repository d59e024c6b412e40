"""Searches of a chain: logs by address and topics, and messages by address.

Logs are searched over a range of heights or in one tipset, messages from a height downwards or upwards. With an address
index, only the tipsets that the index names and those above its newest one are read. Without an index, up to N
consecutive tipsets are read. In both cases the caller checks the contents of each tipset.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.receipts import EMPTY_BLOOM, EmittedLog, bloom_bits
from localnet.ledger.address_index import nonce_key
from localnet.ledger.index import ChainIndex
from localnet.ledger.records import FoundLog, NullRound, Tipset, TransactionReceipt

if TYPE_CHECKING:
    from localnet.ledger.address_index import AddressIndex


@dataclass(frozen=True, slots=True)
class LogFilter:
    """A log filter: any of the addresses (empty: all), and per position any of the topics (empty: any)."""

    addresses: tuple[EthAddress, ...] = ()
    topics: tuple[tuple[bytes, ...], ...] = ()
    _masks: tuple[tuple[int, ...], ...] = field(init=False, repr=False, compare=False)
    """The bloom's bits of each item of each group that is not empty, hashed once for all tipsets."""

    def __post_init__(self) -> None:
        groups: tuple[tuple[bytes, ...], ...] = (self.addresses, *self.topics)
        object.__setattr__(self, "_masks", tuple(tuple(map(bloom_bits, group)) for group in groups if group))

    def matches(self, emitted: EmittedLog) -> bool:
        """Return True if the log matches. A log with fewer topics than filter positions does not."""
        topics = emitted.log.topics
        return (
            (not self.addresses or emitted.address in self.addresses)
            and len(topics) >= len(self.topics)
            and all(not wanted or topic in wanted for wanted, topic in zip(self.topics, topics, strict=False))
        )

    def may_match(self, bloom: bytes) -> bool:
        """Return True if a tipset with this bloom may contain a matching log."""
        bits = int.from_bytes(bloom, "big")
        return all(any(bits & mask == mask for mask in group) for group in self._masks)


def logs_between(index: ChainIndex, first: int, last: int, wanted: LogFilter) -> Iterator[FoundLog]:
    """Yield the matching logs of the tipsets from height `first` to `last`, both included, in the chain's order."""
    for tipset in tipsets_between(index, first, last):
        yield from logs_in(index, tipset, wanted)


def tipsets_between(index: ChainIndex, first: int, last: int) -> Iterator[Tipset]:
    """Yield the tipsets from height `first` to `last`, both included."""
    for height in range(max(0, first), min(last, index.head) + 1):
        found = index.at(height)
        if isinstance(found, Tipset):
            yield found


def logs_in(index: ChainIndex, tipset: Tipset, wanted: LogFilter) -> Iterator[FoundLog]:
    """Yield the matching logs of a tipset."""
    if tipset.bloom == EMPTY_BLOOM or not wanted.may_match(tipset.bloom):
        return
    for found in index.logs(tipset):
        if wanted.matches(found[2]):
            yield found


MAX_TIPSETS: Final = 1_000
"""Default number of consecutive tipsets that a search reads."""


class TipsetSearch:
    """Finds the tipsets of a chain that may contain any of some keys (`localnet.ledger.address_index`).

    `reached` is the last searched height; `ended` is True if the search is complete in that direction.
    """

    def __init__(
        self, index: ChainIndex, addresses: AddressIndex | None, keys: tuple[int, ...], limit: int = MAX_TIPSETS
    ) -> None:
        self._index, self._addresses, self._keys, self._limit = index, addresses, keys, limit
        self._top = None if addresses is None else addresses.top_on(index)
        self.reached = -1
        self.ended = False

    def back(self, height: int) -> Iterator[Tipset]:
        """Yield the tipsets from a height downwards."""
        self.reached, left = height, self._limit
        found = self._index.tipset_before(min(height, self._index.head))
        while found is not None and (self._top is None or found.height > self._top):
            if not left:
                return
            self.reached, left = found.height, left - 1
            yield found
            found = self._index.tipset(found.parent) if found.parent >= self._index.first else None
        if found is not None and self._addresses is not None:
            yield from self._at(self._addresses.back(self._keys, found.height))
        self.reached, self.ended = self._index.first, True

    def forward(self, height: int) -> Iterator[Tipset]:
        """Yield the tipsets from a height upwards."""
        height, left = max(height, self._index.first), self._limit
        self.reached = height
        if self._top is not None and self._addresses is not None and height <= self._top:
            yield from self._at(each for each in self._addresses.forward(self._keys, height) if each <= self._top)
            height = self._top + 1
        while (found := self._index.at(height)) is not None:
            if isinstance(found, NullRound):
                height = found.after
                continue
            if not left:
                return
            self.reached, left, height = height, left - 1, height + 1
            yield found
        self.reached, self.ended = self._index.head, True

    def _at(self, heights: Iterator[int]) -> Iterator[Tipset]:
        for height in heights:
            found = self._index.at(height)
            if isinstance(found, Tipset):
                self.reached = height
                yield found


def tipsets_back(index: ChainIndex, height: int, limit: int = MAX_TIPSETS) -> Iterator[Tipset]:
    """Yield at most N tipsets from a height on, newest first."""
    return TipsetSearch(index, None, (), limit).back(height)


def receipts_back(index: ChainIndex, tipset: Tipset) -> Iterator[TransactionReceipt]:
    """Yield the executed messages of a tipset, newest first."""
    for position in reversed(range(len(tipset.transactions))):
        yield index.receipt_at(tipset, position)


def message_with_nonce(
    index: ChainIndex, addresses: AddressIndex | None, sender: EthAddress, nonce: int, height: int
) -> TransactionReceipt | None:
    """Return the executed message of a sender with a nonce, up to a height; None if there is none."""
    search = TipsetSearch(index, addresses, (nonce_key(sender, nonce),), limit=index.head + 1)
    for tipset in search.back(height):
        for receipt in receipts_back(index, tipset):
            if receipt.candidate.sender == sender and receipt.candidate.bare.nonce == nonce:
                return receipt
    return None
