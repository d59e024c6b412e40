"""Invariants of streams after every message, written independently of the actor: FIP-0118, 2.4.

`broken(streams, accrued, epoch)` returns the names of violated invariants. Values are decoded from the chain's
encoding: lists, with amounts and addresses as byte strings.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from hypervisor.integers import decode_bigint, decode_uleb128
from store.codec import CodecError, decode, encode

WHOLE: Final = 10**18
MAX_STREAMS, MAX_RECIPIENTS, MAX_PAYABLE, MAX_TOMBSTONE_ROWS, MAX_PENDING = 8, 64, 128, 256, 26
SET_WEIGHTS, STEP_WEIGHTS, REGISTER, REMOVE, SET_DISTRIBUTION = range(5)
FIRE: Final = 99
LAST_EPOCH: Final = (1 << 63) - 1

Rows = list[list[Any]]


class Block:
    """A block of streams and the accruals beside it."""

    def __init__(self, streams: list[Any], accrued: Rows) -> None:
        self.streams, self.tombstones, self.pending = streams
        self.accrued = accrued

    def explicit(self) -> Iterator[tuple[int, list[Any]]]:
        """Streams with a distribution."""
        return ((one[0], one[2]) for one in self.streams if one[2] is not None)


def number(address: bytes) -> int:
    """The ID in an f0 address."""
    if type(address) is not bytes or address[:1] != b"\0":
        raise ValueError(f"{address!r:.60} is not an f0 address")
    found, length = decode_uleb128(address[1:])
    if length != len(address) - 1:
        raise ValueError(f"{address.hex()} has more behind its ID")
    return found


def earned(accrued: int, share: int, total: int) -> int:
    """Return what a recipient has earned in a period."""
    return accrued * share // total


def liability(block: Block) -> int:
    """Return f02's liability in attoFIL: accruals less claims, and payable rows, including those of tombstones."""
    owed = sum(decode_bigint(amount) for _, amount in block.accrued)
    for _, (_, _, payable, claimed) in block.explicit():
        owed += sum(decode_bigint(amount) for _, amount in payable)
        owed -= sum(decode_bigint(amount) for _, amount in claimed)
    return owed + sum(decode_bigint(amount) for _, rows in block.tombstones for _, amount in rows)


def weight_at(record: Sequence[int], epoch: int) -> int:
    """Return a stream's weight at an epoch."""
    start, slope, since, floor, cap = record
    return min(max(start + slope * (epoch - since), floor), cap)


# --- structure --------------------------------------------------------------------------------------------------------


def _rising(items: Sequence[Any]) -> bool:
    return all(before < after for before, after in pairwise(items))


def _table(rows: Rows) -> bool:
    return _rising([number(wallet) for wallet, _ in rows]) and all(decode_bigint(amount) > 0 for _, amount in rows)


def _union(distribution: list[Any]) -> int:
    _, shares, payable, _ = distribution
    return len({wallet for wallet, _ in shares} | {wallet for wallet, _ in payable})


def _payload(op: int, payload: bytes) -> bool:
    """Return True if a payload has its operation's form, sorted and in canonical CBOR."""
    try:
        value = decode(payload)
        if encode(value) != payload:
            return False
        match op:
            case 0 | 1:
                (updates,) = value
                return bool(updates) and _rising([update[0] for update in updates])
            case 2:
                (weight, first) = value
                return len(weight) == 5 and (first is None or _shares(first[1]))
            case 3:
                return payload == b"\x80"
            case 4:
                return number(value[0]) >= 0 and len(value) == 1
            case _:
                return False
    except (CodecError, ValueError, TypeError, IndexError):
        return False


def _shares(shares: Rows) -> bool:
    wallets = [number(wallet) for wallet, _ in shares]
    return (
        len(shares) <= MAX_RECIPIENTS
        and _rising(wallets)
        and FIRE not in wallets
        and all(share > 0 for _, share in shares)
        and sum(share for _, share in shares) <= WHOLE
    )


def _keys(block: Block) -> list[tuple[int | None, int]]:
    return [(None, op) if op in (SET_WEIGHTS, STEP_WEIGHTS) else (id_, op) for id_, op, _, _ in block.pending]


def _reserved(block: Block) -> int:
    """Rows of tombstones that are there, and that pending removals may need."""
    unions = {id_: _union(distribution) for id_, distribution in block.explicit()}
    removals = [id_ for id_, op, _, _ in block.pending if op == REMOVE]
    return sum(len(rows) for _, rows in block.tombstones) + sum(
        max(MAX_RECIPIENTS, unions.get(id_, 0)) for id_ in removals
    )


def _registrations_are_new(block: Block) -> bool:
    taken = {one[0] for one in (*block.streams, *block.tombstones)}
    return not any(op == REGISTER and id_ in taken for id_, op, _, _ in block.pending)


def _has_keys(block: Block) -> bool:
    return all((id_ is None) == (op in (SET_WEIGHTS, STEP_WEIGHTS)) for id_, op, _, _ in block.pending)


STRUCTURE: Final[dict[str, Callable[[Block], bool]]] = {
    "stream ids rise": lambda b: _rising([one[0] for one in b.streams]),
    "no stream is 0": lambda b: all(one[0] for one in (*b.streams, *b.tombstones)),
    "at most 8 streams": lambda b: len(b.streams) <= MAX_STREAMS,
    "at most one implicit stream": lambda b: sum(one[2] is None for one in b.streams) <= 1,
    "a stream is live or a tombstone": lambda b: not {s[0] for s in b.streams} & {t[0] for t in b.tombstones},
    "registrations are of new ids": _registrations_are_new,
    "tombstones rise": lambda b: _rising([one[0] for one in b.tombstones]),
    "tombstones are not empty": lambda b: all(rows for _, rows in b.tombstones),
    "rows of tombstones": lambda b: all(_table(rows) for _, rows in b.tombstones),
    "shares": lambda b: all(_shares(distribution[1]) for _, distribution in b.explicit()),
    "payable rows": lambda b: all(_table(distribution[2]) for _, distribution in b.explicit()),
    "claimed rows": lambda b: all(_table(distribution[3]) for _, distribution in b.explicit()),
    "at most 128 payable and shares": lambda b: all(_union(one) <= MAX_PAYABLE for _, one in b.explicit()),
    "at most 64 claimed rows": lambda b: all(len(one[3]) <= MAX_RECIPIENTS for _, one in b.explicit()),
    "the queue rises": lambda b: all(one[3] <= two[3] for one, two in pairwise(b.pending)),
    "at most 26 writes": lambda b: len(b.pending) <= MAX_PENDING,
    "writes have their keys": _has_keys,
    "one write a key": lambda b: len(set(_keys(b))) == len(b.pending),
    "payloads are sorted": lambda b: all(_payload(op, payload) for _, op, payload, _ in b.pending),
    "at most 256 rows of tombstones": lambda b: _reserved(b) <= MAX_TOMBSTONE_ROWS,
}

# --- accounting -------------------------------------------------------------------------------------------------------


def _claims(block: Block) -> bool:
    amounts = {id_: decode_bigint(amount) for id_, amount in block.accrued}
    for id_, (_, shares, _, claimed) in block.explicit():
        of, total = dict(map(tuple, shares)), sum(share for _, share in shares)
        for wallet, amount in claimed:
            if wallet not in of or decode_bigint(amount) > earned(amounts.get(id_, 0), of[wallet], total):
                return False
    return True


def _unshared(block: Block) -> bool:
    amounts = {id_: decode_bigint(amount) for id_, amount in block.accrued}
    return not any(amounts.get(id_) and not one[1] for id_, one in block.explicit())


ACCOUNTING: Final[dict[str, Callable[[Block], bool]]] = {
    "a row for each explicit stream": lambda b: [id_ for id_, _ in b.accrued] == [id_ for id_, _ in b.explicit()],
    "no accrual is negative": lambda b: all(decode_bigint(amount) >= 0 for _, amount in b.accrued),
    "nothing accrues without shares": _unshared,
    "claims are of shares, within what is earned": _claims,
}

# --- schedule ---------------------------------------------------------------------------------------------------------


def _in_band(block: Block) -> bool:
    return all(floor <= start <= cap <= WHOLE for _, (start, _, _, floor, cap), _ in block.streams)


def _sum_is_whole(block: Block, epoch: int) -> bool:
    epochs = {epoch, LAST_EPOCH}
    for _, record, _ in block.streams:
        epochs.update(at for at in _corners(record) if epoch <= at <= LAST_EPOCH)
    return all(sum(weight_at(record, at) for _, record, _ in block.streams) <= WHOLE for at in epochs)


def _corners(record: Sequence[int]) -> Iterator[int]:
    """Yield epochs at which a weight starts or stops moving: the start, and those around the crossing of each bound."""
    start, slope, since, floor, cap = record
    yield since
    if slope:
        for bound in (floor, cap):
            steps = abs(bound - start) // abs(slope)
            crossing = since + (steps if (bound > start) == (slope > 0) else -steps)
            yield from range(crossing - 1, crossing + 2)


def broken(streams: list[Any], accrued: Rows, epoch: int) -> list[str]:
    """The names of what does not hold, in order."""
    block = Block(streams, accrued)
    groups = (STRUCTURE, ACCOUNTING)
    found = [name for group in groups for name, holds in group.items() if not holds(block)]
    if not _in_band(block):
        found.append("records are in their band")
    elif not _sum_is_whole(block, epoch):
        found.append("weights are a whole at most")
    return found
