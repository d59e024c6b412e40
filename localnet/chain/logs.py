"""Finding logs: by address and topics, over a range of heights or in one tipset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.receipts import EMPTY_BLOOM, EmittedLog, bloom_bits
from localnet.ledger.index import ChainIndex
from localnet.ledger.records import FoundLog, Tipset


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
