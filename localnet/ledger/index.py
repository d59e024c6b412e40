"""The chain's index: heights, block hashes, transaction hashes, executions, all in the same store as the blocks.

Every height up to the head has an entry, including null rounds. Reverting to an earlier tipset only moves the head:
entries above it, and hashes of tipsets that are no longer on the chain, count as absent. So nothing has to be deleted,
and reverting costs the same at any depth.

    head              the head's height
    first             the height of the first tipset of a fork; otherwise 0
    retained          the first height with a retained state, if older states were collected
    network           `NetworkRecord`
    chain ids         the chain's IDs in order, if it has had more than one
    miners            the sectors of each initial miner, until all miners are created
    h HEIGHT          `Tipset` or `NullRound`
    b BLOCK-HASH      height
    t TX-HASH         height, place in the tipset
    x HEIGHT PLACE    `Execution`; places of implicit messages are above `_FIRST_IMPLICIT_POSITION`
    k VERSIONED-HASH  blob, commitment, proofs, of a transaction that was in a block

The decoded logs of recently requested tipsets are cached, limited by memory. The key of an entry is the tipset's block
and the receipts root, which commits to the events. So a height that is rebuilt after a reorganisation gets its own
entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from bridge.ethereum.blobs import BlobSidecar, versioned_hash
from hypervisor.threads import BoundedCache
from localnet.ledger.genesis import NetworkRecord
from localnet.ledger.records import (
    GENESIS_PARENT,
    Execution,
    FoundLog,
    NullRound,
    Tipset,
    TransactionReceipt,
    decode_height,
)
from store.blockstore import Store, StoreCorrupt
from store.cid import Cid
from store.codec import decode, encode

MAX_BYTES: Final = 32 << 20
"""Maximum size of the cached logs in bytes, including their transactions."""
_LOG_OBJECTS: Final = 2_000
"""Estimated size in bytes of the objects of a log and its receipt, without their data."""

_Name = tuple[Cid, Cid]


class LogCache:
    """A cache of logs by tipset; evicts the oldest first."""

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._cache = BoundedCache[_Name, tuple[FoundLog, ...]](limit, "logs")

    def get(self, tipset: Tipset) -> tuple[FoundLog, ...] | None:
        """Return the logs of a tipset, None if they are not cached."""
        return self._cache.get(_name(tipset))

    def put(self, tipset: Tipset, logs: tuple[FoundLog, ...]) -> None:
        """Add the logs of a tipset, evicting others if necessary."""
        self._cache.put(_name(tipset), logs, sum(_weight(found) for found in logs))


def _name(tipset: Tipset) -> _Name:
    return tipset.block, tipset.receipts


def _weight(found: FoundLog) -> int:
    receipt, _, emitted = found
    return _LOG_OBJECTS + len(receipt.candidate.bare.params) + len(emitted.log.data)


MAX_DECODED: Final = 16 << 20
"""Maximum size in bytes of cached height entries: 4,500 small blocks, more than a log query spans."""
MAX_EXECUTION_BYTES: Final = 4 << 20
"""Maximum size in bytes of cached executions: about 1,300 transfers."""
_OBJECTS: Final = 1_500
"""Estimated fixed size in bytes of a decoded tipset."""
_DECODED: Final = 4
"""Estimated memory per byte of an entry, including the entry itself, since Python objects exceed their data."""
_EXECUTED: Final = 6
"""The same for an execution whose transaction was sent to this process, in several encodings."""

_FIRST_IMPLICIT_POSITION: Final = 1 << 31
"""Place of the first implicit message of a tipset, above those of its block's messages."""

_Decoded = BoundedCache[int, tuple[bytes, Tipset | NullRound]]
_Executed = tuple[Execution, int, int]
"""An execution, and the numbers of events and of gas before it in its tipset."""
_Executions = BoundedCache[bytes, tuple[bytes, _Executed]]

_HEAD = b"head"
_FIRST = b"first"
_RETAINED = b"retained"
_NETWORK = b"network"
_CHAIN_IDS = b"chain ids"
_MINERS = b"miners"


class ChainIndex:
    """Read access to the index. `head` is the height of the head, -1 before the first tipset."""

    def __init__(self, store: Store, shared: ChainIndex | None = None) -> None:
        """Open the index. With `shared`, another index over the same store, use its cached entries and `retained`."""
        self._store = store
        self._owner: ChainIndex = self if shared is None else shared._owner
        self._retained = 0
        recorded = store.index(_HEAD)
        self.head = -1 if recorded is None else int.from_bytes(recorded, "big")
        self._decoded: _Decoded = _Decoded(MAX_DECODED, "decoded_entries") if shared is None else shared._decoded
        self._executions: _Executions = (
            _Executions(MAX_EXECUTION_BYTES, "executions") if shared is None else shared._executions
        )
        """Executions of new heads with their entries, since clients request the receipt of what they have just sent."""
        self._logs = LogCache()
        if shared is None:
            self.refresh_retained()
        self.first = int.from_bytes(store.index(_FIRST) or b"", "big")
        """The height of the first tipset."""
        recorded = store.index(_CHAIN_IDS)
        self.chain_ids: list[int] = [] if recorded is None else decode(recorded)
        """The chain IDs so far, oldest first; `Chain` adds the initial one, which is not recorded."""

    @property
    def retained(self) -> int:
        """The height from which the states of all tipsets are retained; the first one and snapshots may retain theirs.

        Cached in memory, because every query reads it. Call `refresh_retained` after each commit that may change it.
        """
        return self._owner._retained

    def refresh_retained(self) -> None:
        """Read `retained` from the store."""
        self._owner._retained = int.from_bytes(self._owner._store.index(_RETAINED) or b"", "big")

    def network(self) -> NetworkRecord | None:
        """Return the record of the network, None in a folder that has none yet."""
        data = self._store.index(_NETWORK)
        return None if data is None else NetworkRecord.decode(data)

    def chain_id_of(self, tipset: Tipset) -> int:
        """Return the chain ID of a tipset; the chain's first if none was recorded with it."""
        return tipset.settings.chain_id or self.chain_ids[0]

    def planned_miners(self) -> list[int]:
        """Return the sectors of the miners that the chain starts with, until all of them are created."""
        data = self._store.index(_MINERS)
        return [] if data is None else decode(data)

    def at(self, height: int) -> Tipset | NullRound | None:
        """Return the entry at a height; None outside of the chain."""
        if not self.first <= height <= self.head:
            return None
        data = self._store.index(_height_key(height))
        if data is None:
            raise StoreCorrupt(f"the chain's index has no entry for height {height}")
        cached = self._decoded.get(height)
        if cached is not None and cached[0] == data:  # compare contents: heights are rebuilt and edited
            return cached[1]
        decoded = decode_height(data)
        self._decoded.put(height, (data, decoded), _OBJECTS + _DECODED * len(data))
        return decoded

    def tipset(self, height: int) -> Tipset:
        """Return the tipset at a height that must have one."""
        found = self.at(height)
        if not isinstance(found, Tipset):
            raise StoreCorrupt(f"the chain's index has no tipset at height {height}")
        return found

    def tipset_before(self, height: int) -> Tipset | None:
        """Return the tipset at a height, or the last one before it for a null round."""
        found = self.at(height)
        return self.tipset(found.before) if isinstance(found, NullRound) else found

    def by_hash(self, block_hash: bytes) -> Tipset | None:
        """Return the tipset with this Ethereum block hash."""
        data = self._store.index(b"b" + block_hash)
        found = None if data is None else self.at(int.from_bytes(data, "big"))
        return found if isinstance(found, Tipset) and found.hash == block_hash else None

    def receipt(self, transaction_hash: bytes) -> TransactionReceipt | None:
        """Return the executed transaction with this hash. Safe to call from other threads.

        If the chain rebuilds the height concurrently, the transaction is briefly on no chain.
        """
        data = self._store.index(b"t" + transaction_hash)
        if data is None:
            return None
        height, position = int.from_bytes(data[:8], "big"), int.from_bytes(data[8:], "big")
        tipset = self.at(height)
        if not isinstance(tipset, Tipset) or tipset.transactions[position : position + 1] != (transaction_hash,):
            return None
        return self._unless_rebuilt(tipset, transaction_hash, self.receipt_at(tipset, position))

    def implicit_receipt(self, message_hash: bytes) -> TransactionReceipt | None:
        """Return the reward or cron with this hash, if it has a receipt. Like `receipt`, for other threads too."""
        data = self._store.index(b"t" + message_hash)
        position = -1 if data is None else int.from_bytes(data[8:], "big") - _FIRST_IMPLICIT_POSITION
        if data is None or position < 0:
            return None
        tipset = self.at(int.from_bytes(data[:8], "big"))
        if not isinstance(tipset, Tipset) or tipset.implicit[position : position + 1] != (message_hash,):
            return None
        return self._unless_rebuilt(tipset, message_hash, self._implicit_at(tipset, position))

    def _unless_rebuilt(
        self, tipset: Tipset, message_hash: bytes, found: TransactionReceipt
    ) -> TransactionReceipt | None:
        """Return a receipt, or None if the chain has rebuilt its height while it was read."""
        now = self.at(tipset.height)
        same = isinstance(now, Tipset) and now.key == tipset.key and found.execution.hash == message_hash
        return found if same else None

    def receipt_at(self, tipset: Tipset, position: int) -> TransactionReceipt:
        """Return the execution at an index of a tipset."""
        key, chain_id = _execution_key(tipset.height, position), self.chain_id_of(tipset)
        data = self._store.index(key)
        if data is None:
            raise StoreCorrupt(f"the chain's index has no execution {position} of height {tipset.height}")
        cached = self._executions.get(key)
        if cached is None or cached[0] != data:  # compare contents, as in `at`
            cached = data, Execution.decode(data, chain_id)
        execution, first_event, gas_before = cached[1]
        return TransactionReceipt(execution, tipset, position, first_event, chain_id, gas_before)

    def _implicit_at(self, tipset: Tipset, position: int) -> TransactionReceipt:
        return replace(self.receipt_at(tipset, _FIRST_IMPLICIT_POSITION + position), index=position)

    def implicit_receipts(self, tipset: Tipset, last: int | None = None) -> list[TransactionReceipt]:
        """Return the rewards and cron of a tipset in order, at most the `last` N of them.

        Empty if the tipset's network version gives them no receipts.
        """
        count = len(tipset.implicit)
        first = 0 if last is None else max(0, count - last)
        return [self._implicit_at(tipset, position) for position in range(first, count)]

    def receipts(self, tipset: Tipset) -> Iterator[TransactionReceipt]:
        """Yield the executions of a tipset, in order."""
        for index in range(len(tipset.transactions)):
            yield self.receipt_at(tipset, index)

    def blob(self, blob_hash: bytes) -> bytes | None:
        """Return the blob with this hash, None if no block of this network had one. For any thread."""
        data = self._store.index(_blob_key(blob_hash))
        return None if data is None else decode(data)[0]

    def forget_logs(self) -> None:
        """Clear the cache of logs."""
        self._logs = LogCache()

    def logs(self, tipset: Tipset) -> tuple[FoundLog, ...]:
        """Return the logs of a tipset, in order; recent ones are cached."""
        found = self._logs.get(tipset)
        if found is None:
            found = tuple(
                (receipt, index, emitted)
                for receipt in self.receipts(tipset)
                for index, emitted in receipt.execution.indexed_logs()
            )
            self._logs.put(tipset, found)
        return found


# --- changes, to be committed with the blocks that they speak of ------------------------------------------------------


def network_entries(record: NetworkRecord) -> dict[bytes, bytes | None]:
    """Return the index entry of the network's record."""
    return {_NETWORK: record.encode()}


def chain_ids_entries(chain_ids: Sequence[int]) -> dict[bytes, bytes | None]:
    """Return the index entry of a chain's IDs so far, oldest first."""
    return {_CHAIN_IDS: encode(list(chain_ids))}


def miners_entries(miners: Sequence[int]) -> dict[bytes, bytes | None]:
    """Return the index entry of miners yet to be created, empty if there are none (any more)."""
    return {_MINERS: encode(list(miners)) if miners else None}


def head_entries(height: int) -> dict[bytes, bytes | None]:
    """Return the index entry that moves the head."""
    return {_HEAD: height.to_bytes(8, "big")}


def first_entries(height: int) -> dict[bytes, bytes | None]:
    """Return the index entry of a chain that starts at another height than 0."""
    return {_FIRST: height.to_bytes(8, "big")}


def retained_entries(height: int) -> dict[bytes, bytes | None]:
    """Return the index entry of a chain whose states below a height may be collected."""
    return {_RETAINED: height.to_bytes(8, "big")}


def tipset_entries(
    tipset: Tipset,
    executions: Sequence[Execution],
    implicit: Sequence[Execution] = (),
    index: ChainIndex | None = None,
) -> dict[bytes, bytes | None]:
    """Return the index entries of a new head: itself, the null rounds before it, its executions, and their hashes.

    `implicit` are the executions of implicit messages that have receipts. If `index` is given, the tipset and the
    executions of its block are added to its caches. A cached entry is used only if it equals the stored one, so a
    failed commit does no harm.
    """
    encoded, place = tipset.encode(), tipset.height.to_bytes(8, "big")
    entries: dict[bytes, bytes | None] = {_HEAD: place, b"h" + place: encoded, b"b" + tipset.hash: place}
    if index is not None:
        index._decoded.put(tipset.height, (encoded, tipset), _OBJECTS + _DECODED * len(encoded))
    if tipset.parent != GENESIS_PARENT and tipset.height > tipset.parent + 1:
        null = NullRound(tipset.parent, tipset.height).encode()
        entries.update((_height_key(height), null) for height in range(tipset.parent + 1, tipset.height))
    events = gas = 0
    for position, execution in (*enumerate(executions), *enumerate(implicit, _FIRST_IMPLICIT_POSITION)):
        key, encoded = _execution_key(tipset.height, position), execution.encode(events, gas)
        entries[key] = encoded
        entries[b"t" + execution.hash] = place + position.to_bytes(4, "big")
        if index is not None and position < _FIRST_IMPLICIT_POSITION:
            index._executions.put(key, (encoded, (execution, events, gas)), _OBJECTS + _EXECUTED * len(encoded))
        events += len(execution.events)
        gas += execution.receipt.gas_used
    return entries


def blob_entries(sidecars: Iterable[BlobSidecar]) -> dict[bytes, bytes | None]:
    """Return the entries of the blobs of a new head."""
    return {
        _blob_key(versioned_hash(commitment)): encode([blob, commitment, list(sidecar.proofs_of(index))])
        for sidecar in sidecars
        for index, (blob, commitment) in enumerate(zip(sidecar.blobs, sidecar.commitments, strict=True))
    }


def changed_entries(tipset: Tipset) -> dict[bytes, bytes | None]:
    """Return the index entry of a tipset whose state was edited."""
    return {_height_key(tipset.height): tipset.encode()}


def _height_key(height: int) -> bytes:
    return b"h" + height.to_bytes(8, "big")


def _blob_key(blob_hash: bytes) -> bytes:
    return b"k" + blob_hash


def _execution_key(height: int, position: int) -> bytes:
    return b"x" + height.to_bytes(8, "big") + position.to_bytes(4, "big")
