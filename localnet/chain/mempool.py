"""The message pool: pending messages by sender, in the order of their nonces.

- A message is replaced only by one with a higher premium (lotus chain/messagepool), under Ethereum's rules only by one
  with a higher fee cap, too (geth core/txpool/legacypool).
- A blob transaction is replaced only by one with at least twice its fees (geth core/txpool/blobpool).
- A message with a nonce gap waits for the messages before it.
- The pool is not persisted, as on every node.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from heapq import heappop, heappush
from itertools import takewhile
from typing import Final, Protocol

from bridge.ethereum.transactions import BLOB, GAS_PER_BLOB
from hypervisor.messages.address import Address
from localnet.errors import TransactionRefused
from localnet.ledger.candidates import Candidate
from localnet.rules.parts import SenderInfo

MAX_PENDING: Final = 10_000
_MAX_REPLACED: Final = 1_000
MAX_NONCE_GAP: Final = 1_000
MAX_PENDING_BLOBS: Final = 1_024
"""Maximum number of blobs of pending transactions: 128 MiB."""
_REPLACEMENT_PERCENT: Final = 110
_BLOB_REPLACEMENT_PERCENT: Final = 200

NonceOf = Callable[[Address], int]
Choose = Callable[[Sequence[Sequence[Candidate]], Callable[[Candidate], int], int], list[Candidate]]
"""Selection from the senders' queues by rank, within a gas limit: see `localnet.rules.parts.BuildingRules`."""
PoolClass = Callable[[Candidate, int], tuple[int, int]]
"""Function that returns a message's class and the limit of that class in the pool, given the default limit."""


class PendingMessages(Protocol):
    """Read access to pending messages, by hash or sender."""

    @property
    def replaced(self) -> Mapping[bytes, tuple[Candidate, bytes]]:
        """Replaced messages by hash, each with the hash of the one that replaced it."""

    def get(self, transaction_hash: bytes) -> Candidate | None:
        """Return the pending message with this hash."""

    def is_empty(self) -> bool:
        """Return True if no message is pending."""

    def pending_nonce(self, sender: Address, next_nonce: int) -> int:
        """Return the first nonce that is missing from the sender's pending messages."""

    def ready_of(self, sender: Address, next_nonce: int) -> list[Candidate]:
        """Return the sender's pending messages before the first missing nonce, in order."""


class Mempool:
    """Candidates by sender and nonce, and by hash."""

    def __init__(
        self, choose: Choose | None = None, pool_class: PoolClass | None = None, is_geth: bool = False
    ) -> None:
        """Create an empty pool.

        The rules may `choose` the messages of a block, and divide pending messages into classes with a limit each
        (`pool_class`). With `is_geth`, a replacement raises the fee cap as well as the premium.
        """
        self._choose, self._pool_class, self._is_geth = choose, pool_class, is_geth
        self._by_sender: dict[Address, dict[int, Candidate]] = {}
        self._by_hash: dict[bytes, Candidate] = {}
        self._class_of: dict[bytes, int] = {}
        """Message class at the head's state when the message arrived, by hash."""
        self._class_sizes = Counter[int]()
        self._blob_gas = 0
        self.replaced: dict[bytes, tuple[Candidate, bytes]] = {}
        """Replaced messages by hash without blobs, each with the hash of its replacement; the oldest are forgotten."""
        self.first_come = False
        """True if blocks take messages in order of arrival instead of by premium."""
        self.changes = 0
        """Number of changes of the set of pending messages."""

    def __len__(self) -> int:
        return len(self._by_hash)

    def is_empty(self) -> bool:
        """Return True if no message is pending. Safe to call from other threads."""
        return not self._by_hash

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self._by_hash.values())

    def get(self, transaction_hash: bytes) -> Candidate | None:
        """Return the pending message with this hash. Safe to call from other threads."""
        return self._by_hash.get(transaction_hash)

    def add(self, candidate: Candidate, next_nonce: int) -> None:
        """Add a candidate; `next_nonce` is its sender's next nonce on the chain. Raises TransactionRefused."""
        message = candidate.bare
        other = self._by_sender.get(message.from_, {}).get(message.nonce)
        if candidate.hash in self._by_hash:
            raise TransactionRefused("known", "already known")
        if other is not None:
            _check_replacement(candidate, other, self._is_geth)
        if message.nonce > next_nonce + MAX_NONCE_GAP:
            raise TransactionRefused("nonce", f"nonce too high: next nonce {next_nonce}, tx nonce {message.nonce}")
        own, limit = (0, MAX_PENDING) if self._pool_class is None else self._pool_class(candidate, MAX_PENDING)
        adds_entry = other is None or self._class_of[other.hash] != own
        if adds_entry and self._class_sizes[own] >= limit:
            raise TransactionRefused("full", f"txpool is full: {limit} transactions are pending")
        if candidate.kind == BLOB:
            self._check_blob_room(candidate, other)
        if other is not None:
            self._forget(other)
            self.replaced[other.hash] = replace(other, sidecar=None), candidate.hash
            if len(self.replaced) > _MAX_REPLACED:
                del self.replaced[next(iter(self.replaced))]
        self.changes += 1
        self._by_sender.setdefault(message.from_, {})[message.nonce] = candidate
        self._by_hash[candidate.hash] = candidate
        self._class_of[candidate.hash] = own
        self._class_sizes[own] += 1
        if candidate.kind == BLOB:
            self._blob_gas += candidate.blob_gas

    def _check_blob_room(self, candidate: Candidate, other: Candidate | None) -> None:
        """Raise TransactionRefused for too many blobs; the candidate takes the place of `other`."""
        blob_gas = self._blob_gas + candidate.blob_gas - (0 if other is None else other.blob_gas)
        if blob_gas > MAX_PENDING_BLOBS * GAS_PER_BLOB:
            raise TransactionRefused(
                "full",
                f"txpool is full: {blob_gas // GAS_PER_BLOB} blobs would be pending, at most {MAX_PENDING_BLOBS} may; "
                "mine a block first",
            )

    def _forget(self, candidate: Candidate) -> bool:
        """Remove a candidate from the lookup by hash, and return True if it was present."""
        if self._by_hash.pop(candidate.hash, None) is None:
            return False
        self._class_sizes[self._class_of.pop(candidate.hash)] -= 1
        if candidate.kind == BLOB:
            self._blob_gas -= candidate.blob_gas
        return True

    def drop(self, candidate: Candidate) -> None:
        """Remove a candidate."""
        if self._forget(candidate):
            self.changes += 1
            pending = self._by_sender[candidate.bare.from_]
            del pending[candidate.bare.nonce]
            if not pending:
                del self._by_sender[candidate.bare.from_]

    def clear(self) -> None:
        """Remove all candidates."""
        self.changes += 1
        self._by_sender.clear()
        self._by_hash.clear()
        self._class_of.clear()
        self._class_sizes.clear()
        self._blob_gas = 0

    def drop_executed(self, hashes: Iterable[bytes]) -> None:
        """Remove the candidates with these hashes, which a block has executed."""
        for executed in hashes:
            candidate = self._by_hash.get(executed)
            if candidate is not None:
                self.drop(candidate)

    def drop_passed(
        self, sender_of: Callable[[Address], SenderInfo | None], drops_unpayable: bool = False
    ) -> list[Candidate]:
        """Remove the candidates whose nonces the chain has passed.

        With `drops_unpayable`, also removes and returns those that their senders cannot pay for any more.
        """
        unpayable: list[Candidate] = []
        for address in list(self._by_sender):
            sender, pending = sender_of(address), self._by_sender[address]
            nonce, balance, sends = (0, 0, True) if sender is None else sender
            for candidate in list(pending.values()):
                if candidate.bare.nonce < nonce:
                    self.drop(candidate)
                elif drops_unpayable and (candidate.required_funds if sends else candidate.bare.value) > balance:
                    self.drop(candidate)
                    unpayable.append(candidate)
        return unpayable

    def pending_nonce(self, sender: Address, next_nonce: int) -> int:
        """Return the first nonce that is missing from the sender's pending messages."""
        pending = self._by_sender.get(sender, {})
        while next_nonce in pending:
            next_nonce += 1
        return next_nonce

    def ready_of(self, sender: Address, next_nonce: int) -> list[Candidate]:
        """Return the sender's pending messages before the first missing nonce, in order. For any thread."""
        pending, ready = self._by_sender.get(sender, {}), list[Candidate]()
        while (candidate := pending.get(next_nonce)) is not None:
            ready.append(candidate)
            next_nonce += 1
        return ready

    def select(
        self, nonce_of: NonceOf, base_fee: int, gas_limit: int, blob_base_fee: int = 0, blob_gas_limit: int = 0
    ) -> list[Candidate]:
        """Return the messages of the next block: by tip, or by arrival (`first_come`), with nonces in order.

        Their gas limits add up to at most `gas_limit`, and their blob gas to at most `blob_gas_limit`. A set of rules
        may select other messages, ranked by the same function.
        """
        arrivals = {hash_: index for index, hash_ in enumerate(self._by_hash)}

        def rank(one: Candidate) -> int:
            tip = min(one.bare.gas_premium, one.bare.gas_fee_cap - base_fee)
            return arrivals[one.hash] if self.first_come else -tip

        queues = [deque(self.ready_of(sender, nonce_of(sender))) for sender in self._by_sender]
        if self._choose is not None:
            affordable = [list(takewhile(lambda one: one.bare.gas_fee_cap >= base_fee, queue)) for queue in queues]
            return self._choose(affordable, rank, gas_limit)
        chosen: list[Candidate] = []
        heads: list[tuple[int, int, int]] = []
        """The rank of each queue's first candidate, the least first, its arrival, and the queue's place."""

        def push(index: int) -> None:
            head = queues[index][0] if queues[index] else None
            if head is None or (head.kind == BLOB and head.blob_fee_cap < blob_base_fee):
                return
            if head.bare.gas_fee_cap >= base_fee:
                heappush(heads, (rank(head), arrivals[head.hash], index))

        for index in range(len(queues)):
            push(index)
        while heads:
            *_, index = heappop(heads)
            candidate = queues[index].popleft()
            if candidate.bare.gas_limit > gas_limit or candidate.blob_gas > blob_gas_limit:
                continue
            gas_limit -= candidate.bare.gas_limit
            blob_gas_limit -= candidate.blob_gas
            chosen.append(candidate)
            push(index)
        return chosen


def _check_replacement(candidate: Candidate, other: Candidate, is_geth: bool) -> None:
    """Raise TransactionRefused for a candidate whose fees are too low to replace another one."""
    new, old = candidate.bare, other.bare
    if BLOB not in (candidate.kind, other.kind):
        least = old.gas_premium * _REPLACEMENT_PERCENT // 100
        if is_geth:
            cap = old.gas_fee_cap * _REPLACEMENT_PERCENT // 100
            _check_fee("fee cap", new.gas_fee_cap, max(cap, old.gas_fee_cap + 1))
            _check_fee("premium", new.gas_premium, max(least, old.gas_premium + 1))
        else:
            _check_fee("premium", new.gas_premium, least + 1)
        return
    remedy = f"; replace a blob transaction with fees of at least {_BLOB_REPLACEMENT_PERCENT} %"
    fees = {
        "fee cap": (new.gas_fee_cap, old.gas_fee_cap),
        "premium": (new.gas_premium, old.gas_premium),
        "blob fee cap": (candidate.blob_fee_cap, other.blob_fee_cap),
    }
    for name, (fee, before) in fees.items():
        _check_fee(name, fee, max(before * _BLOB_REPLACEMENT_PERCENT // 100, before + 1), remedy)


def _check_fee(name: str, fee: int, minimum: int, remedy: str = "") -> None:
    if fee < minimum:
        raise TransactionRefused(
            "underpriced",
            f"replacement transaction underpriced: the {name} must be at least {minimum}, not {fee}{remedy}",
        )


class MempoolView:
    """A view of the mempool for query threads, consistent with the state of the query.

    A block is published before its messages leave the mempool, so that each message is visible in one of the two.
    """

    def __init__(self, mempool: Mempool, check: Callable[[], None]) -> None:
        """Create the view; `check` raises if the head differs from the state's."""
        self._mempool, self._check = mempool, check

    @property
    def replaced(self) -> Mapping[bytes, tuple[Candidate, bytes]]:
        """Replaced messages by hash, each with the hash of the one that replaced it."""
        return self._mempool.replaced

    def get(self, transaction_hash: bytes) -> Candidate | None:
        """Return the pending message with this hash."""
        return self._mempool.get(transaction_hash)

    def is_empty(self) -> bool:
        """Return True if no message is pending. Raises the errors of the check."""
        is_empty = self._mempool.is_empty()
        self._check()
        return is_empty

    def pending_nonce(self, sender: Address, next_nonce: int) -> int:
        """Return the first nonce that is missing from the sender's pending messages. Raises the errors of the check."""
        nonce = self._mempool.pending_nonce(sender, next_nonce)
        self._check()
        return nonce

    def ready_of(self, sender: Address, next_nonce: int) -> list[Candidate]:
        """Return the sender's pending messages up to the first missing nonce. Raises the errors of the check."""
        ready = self._mempool.ready_of(sender, next_nonce)
        self._check()
        return ready
