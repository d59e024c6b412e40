"""Finding logs: by address and topics, over a range of heights or in one tipset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bridge.addresses import EthAddress
from bridge.receipts import EmittedLog, bloom_bits
from localnet.index import ChainIndex
from localnet.records import Tipset, TransactionReceipt


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which logs are wanted: any of the addresses (empty: all); for each place, any of the topics (empty: any)."""

    addresses: tuple[EthAddress, ...] = ()
    topics: tuple[tuple[bytes, ...], ...] = ()

    def matches(self, emitted: EmittedLog) -> bool:
        """Whether a log is wanted. One with fewer topics than the filter has places is not."""
        topics = emitted.log.topics
        return (
            (not self.addresses or emitted.address in self.addresses)
            and len(topics) >= len(self.topics)
            and all(not wanted or topic in wanted for wanted, topic in zip(self.topics, topics, strict=False))
        )

    def may_match(self, bloom: bytes) -> bool:
        """Whether a tipset with this bloom can hold a wanted log."""
        bits = int.from_bytes(bloom, "big")
        groups: tuple[tuple[bytes, ...], ...] = (self.addresses, *self.topics)
        return all(not group or any(bits & (mask := bloom_bits(item)) == mask for item in group) for group in groups)


FoundLog = tuple[TransactionReceipt, int, EmittedLog]
"""A log with its receipt and its place there."""


def logs_between(index: ChainIndex, first: int, last: int, wanted: LogFilter) -> Iterator[FoundLog]:
    """The wanted logs of the tipsets from height `first` to `last`, both included, in the chain's order."""
    for height in range(max(0, first), min(last, index.head) + 1):
        found = index.at(height)
        if isinstance(found, Tipset):
            yield from logs_in(index, found, wanted)


def logs_in(index: ChainIndex, tipset: Tipset, wanted: LogFilter) -> Iterator[FoundLog]:
    """The wanted logs of a tipset."""
    if not any(tipset.bloom) or not wanted.may_match(tipset.bloom):
        return
    for receipt in index.receipts(tipset):
        for place, emitted in enumerate(receipt.logs):
            if wanted.matches(emitted):
                yield receipt, place, emitted
