"""Random states of the reward actor of nv29, and their invariants.

- A machine of network version 29 whose reward actor is put into any state by hand, and messages to it.
- Invariants of streams after every message, written independently of the actor: FIP-0118, 2.4.
- States of the streams: random ones that keep every invariant, and what breaks each.

`broken(streams, accrued, epoch)` returns the names of violated invariants. Values are decoded from the chain's
encoding: lists, with amounts and addresses as byte strings.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from random import Random
from typing import Any, Final

from bridge.bindings import reward, storagepower
from hypervisor import Address, Genesis, Hypervisor, Message
from hypervisor.bundles.bundle import Bundle
from hypervisor.machine.executor import ApplyResult
from hypervisor.types import (
    BURNT_FUNDS_ACTOR,
    POWER_ACTOR,
    REWARD_ACTOR,
    SYSTEM_ACTOR,
    ActorID,
    ChainEpoch,
    MethodNumber,
    TokenAmount,
    decode_bigint,
    decode_uleb128,
    encode_bigint,
)
from store.blockstore import put_object
from store.codec import CodecError, decode, encode, link, unlink

FIRST: Final = 100
PEOPLE: Final = 200
"""Accounts, from f0100 on: the authority, two writers, recipients."""
AUTHORITY, ONE_WRITER, OTHER_WRITER, RECIPIENT = FIRST, FIRST + 1, FIRST + 2, FIRST + 3
OWNER: Final = FIRST + PEOPLE - 1
MINER: Final = FIRST + PEOPLE
NO_ACTOR: Final = 5_000
_REWARD: Final = Address.id(REWARD_ACTOR)
_BUNDLES: Final = {28: None, 29: "v19"}
_FUNDS: Final = TokenAmount(10**18)


def id_bytes(actor: int) -> bytes:
    return Address.id(ActorID(actor)).to_bytes()


@dataclass(frozen=True, slots=True)
class RewardState:
    """The parts of f02's state that the tests check: amounts in attoFIL, the block of streams decoded."""

    minted: int
    burnt: int
    explicit: int
    accrued: list[Any]
    streams: list[Any]

    @property
    def accrued_cbor(self) -> bytes:
        return encode(self.accrued)

    @property
    def streams_cbor(self) -> bytes:
        return encode(self.streams)


class Stage:
    """A fork of the one machine, at an epoch; `epoch` moves it."""

    def __init__(self, machine: Hypervisor) -> None:
        self.machine = machine

    # --- state ------------------------------------------------------------------------------------------------

    def put(
        self, streams: list[Any], accrued: list[Any], epoch_reward: int, *, timelock: int = 0, balance: int = 10**27
    ) -> None:
        """Give f02 a state with these streams, of a network that has minted nothing yet."""
        none, estimate = encode_bigint(0), [encode_bigint(1 << 128), encode_bigint(0)]
        root = put_object(self.machine.store, streams)
        head = put_object(
            self.machine.store,
            [
                none, none, 0, encode_bigint(1), encode_bigint(epoch_reward), estimate, encode_bigint(1), 0,
                none, none, none, timelock, id_bytes(AUTHORITY), accrued, link(root),
            ],
        )  # fmt: skip
        self._set(head=head, balance=TokenAmount(balance))

    def credit(self, amount: int) -> None:
        """Give f02 what the block's messages tipped."""
        self._set(balance=TokenAmount(self.balance(REWARD_ACTOR) + amount))

    def _set(self, **changes: Any) -> None:
        state = self.machine.state_tree.get_actor(REWARD_ACTOR)
        assert state is not None
        self.machine.state_tree.set_actor(REWARD_ACTOR, replace(state, **changes))

    def _fields(self) -> list[Any]:
        fields: list[Any] = decode(self.head())
        return fields

    def head(self) -> bytes:
        """The bytes of f02's state."""
        state = self.machine.state_tree.get_actor(REWARD_ACTOR)
        assert state is not None
        return self.machine.store.get(state.head)

    def state(self) -> RewardState:
        fields = self._fields()
        streams = decode(self.machine.store.get(unlink(fields[14])))
        minted, burnt, explicit = map(decode_bigint, fields[8:11])
        return RewardState(minted, burnt, explicit, fields[13], streams)

    def balance(self, actor: int) -> int:
        return self.machine.balance(Address.id(ActorID(actor)))

    def burnt(self) -> int:
        return self.balance(BURNT_FUNDS_ACTOR)

    @property
    def epoch(self) -> int:
        return self.machine.context.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self.machine.advance(epoch=ChainEpoch(epoch))

    # --- messages ---------------------------------------------------------------------------------------------

    def send(self, sender: int, method: int, params: bytes) -> ApplyResult:
        """A message to f02 that pays no gas."""
        message = Message(_REWARD, Address.id(ActorID(sender)), method=MethodNumber(method), params=params)
        applied = self.machine.apply_implicit(message)
        if applied.fatal is not None:
            raise applied.fatal
        return applied

    def award(self, gas: int = 0) -> ApplyResult:
        """The reward of a block, whose tips f02 has got."""
        call = reward.award_block_reward(Address.id(ActorID(MINER)), 0, gas, 1)
        return self.send(SYSTEM_ACTOR, call.method, call.params)


@contextmanager
def stage(epoch: int = 100, network: int = 29) -> Iterator[Stage]:
    """A fresh one; of version 28 it has no streams."""
    with _machine(network).fork() as machine:
        found = Stage(machine)
        found.epoch = epoch
        yield found


@lru_cache(maxsize=2)
def _machine(network: int) -> Hypervisor:
    people = [Address.from_bytes(b"\x03" + bytes([place + 1]) * 48) for place in range(PEOPLE)]
    genesis = Genesis(accounts=dict.fromkeys(people, _FUNDS))
    machine = Hypervisor.open(genesis=genesis, bundle=Bundle.embedded(_BUNDLES[network]), network=network)
    owner = people[OWNER - FIRST]
    creation = storagepower.create_miner(owner, owner, 10, b"", [])
    power = Address.id(POWER_ACTOR)
    made = machine.apply_implicit(Message(power, owner, value=_FUNDS, method=creation.method, params=creation.params))
    assert (made.exit_code, machine.actor(Address.id(ActorID(MINER))) is None) == (0, False), made.message
    machine.flush()
    return machine


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


EPOCH: Final = 100


def flat(weight: int) -> list[int]:
    return [weight, 0, 0, weight, weight]


def amounts(rng: Random, wallets: list[int], most: int = 10**9) -> list[list[Any]]:
    return [[id_bytes(wallet), encode_bigint(rng.randrange(1, most))] for wallet in wallets]


def wallets(rng: Random, most: int) -> list[int]:
    return sorted(rng.sample(range(RECIPIENT, RECIPIENT + 150), rng.randrange(2, most)))


def shares(rng: Random, recipients: list[int]) -> list[list[Any]]:
    part = WHOLE // (len(recipients) + rng.randrange(2))
    return [[id_bytes(wallet), part] for wallet in recipients]


def state(seed: int) -> tuple[list[Any], list[Any]]:
    """Streams and accruals that keep every invariant: miners', two explicit ones, a tombstone, a write of each kind."""
    rng = Random(seed)
    streams: list[Any] = [[1, flat(WHOLE // 2), None]]
    accrued = []
    for id_ in (2, 5):
        recipients, amount = wallets(rng, 40), rng.randrange(10**6, 10**12)
        claimed = [
            [wallet, encode_bigint(amount // 100)] for wallet, _ in shares(rng, recipients)[: rng.randrange(1, 9)]
        ]
        distribution = [id_bytes(101), shares(rng, recipients), amounts(rng, wallets(rng, 60)), claimed]
        streams.append([id_, flat(WHOLE // 8), distribution])
        accrued.append([id_, encode_bigint(amount)])
    tombstones = [[3, amounts(rng, wallets(rng, 50))], [4, amounts(rng, wallets(rng, 50))]]
    pending = [
        [None, 0, encode([[[1, flat(WHOLE // 3)], [2, flat(7)]]]), EPOCH + 5],
        [None, 1, encode([[[2, flat(9)]]]), EPOCH + 5],
        [7, 2, encode([flat(0), [id_bytes(102), [[id_bytes(RECIPIENT), WHOLE]]]]), EPOCH + 6],
        [2, 3, b"\x80", EPOCH + 9],
        [5, 4, encode([id_bytes(102)]), EPOCH + 9],
    ]
    return [streams, tombstones, pending], accrued


def two_streams() -> tuple[list[Any], list[Any]]:
    distribution = [id_bytes(ONE_WRITER), [[id_bytes(RECIPIENT), WHOLE]], [], []]
    return [[[1, flat(WHOLE * 95 // 100), None], [2, flat(WHOLE // 20), distribution]], [], []], [[2, b""]]


def full_tables() -> tuple[list[Any], list[Any]]:
    """Eight streams, of which seven have 64 recipients, who have claimed, and owe 64 others; 256 rows of tombstones."""
    streams: list[Any] = [[1, flat(WHOLE // 2), None]]
    recipients = range(RECIPIENT, RECIPIENT + 64)
    for id_ in range(2, 9):
        map_ = [[id_bytes(wallet), WHOLE // 64] for wallet in recipients]
        payable = [[id_bytes(wallet + 64), encode_bigint(10**18 + wallet)] for wallet in recipients]
        claimed = [[id_bytes(wallet), encode_bigint(10**15)] for wallet in recipients]
        streams.append([id_, flat(WHOLE // 20), [id_bytes(ONE_WRITER), map_, payable, claimed]])
    tombstones = [
        [id_, [[id_bytes(wallet), encode_bigint(10**18)] for wallet in range(RECIPIENT, RECIPIENT + 128)]]
        for id_ in (20, 21)
    ]
    return [streams, tombstones, []], [[id_, encode_bigint(10**18)] for id_ in range(2, 9)]


Break = Callable[[list[Any], list[Any], Random], object]


def _many_shares(streams: list[Any], _accrued: list[Any], rng: Random) -> None:
    distribution = streams[0][1][2]
    distribution[1][:] = shares(rng, list(range(RECIPIENT, RECIPIENT + 65)))
    distribution[2].clear(), distribution[3].clear()


def _many_payable(streams: list[Any], _accrued: list[Any], rng: Random) -> None:
    recipients = [wallet for wallet, _ in streams[0][1][2][1]]
    others = [w for w in range(RECIPIENT, RECIPIENT + 180) if id_bytes(w) not in recipients]
    streams[0][1][2][2][:] = amounts(rng, others[: 129 - len(recipients)])


def _many_claimed(streams: list[Any], accrued: list[Any], rng: Random) -> None:
    streams[0][1][2][3][:] = amounts(rng, list(range(RECIPIENT, RECIPIENT + 65)), 2)
    accrued[0][1] = encode_bigint(10**15)


def _many_writes(streams: list[Any], _accrued: list[Any], _rng: Random) -> None:
    streams[2][:] = [[id_, 4, encode([id_bytes(102)]), EPOCH + 9] for id_ in range(20, 47)]


def _many_tombstone_rows(streams: list[Any], _accrued: list[Any], rng: Random) -> None:
    streams[1][:] = [[id_, amounts(rng, list(range(RECIPIENT, RECIPIENT + 65)))] for id_ in (8, 9, 10)]


def _many_streams(streams: list[Any], accrued: list[Any], _rng: Random) -> None:
    for id_ in range(10, 16):
        streams[0].append([id_, flat(0), [id_bytes(101), [], [], []]])
        accrued.append([id_, b""])


def _swapped(streams: list[Any], accrued: list[Any], _rng: Random) -> None:
    streams[0].insert(1, streams[0].pop())
    accrued.reverse()


def _one(rng: Random, *ways: Callable[[], object]) -> None:
    rng.choice(ways)()


_PAYLOADS: Final = (b"", b"\x80", b"\xff", encode([[[2, flat(7)], [1, flat(7)]]]))

BREAKS: Final[dict[str, Break]] = {
    "stream ids rise": _swapped,
    "no stream is 0": lambda s, _a, _r: s[0][0].__setitem__(0, 0),
    "at most 8 streams": _many_streams,
    "at most one implicit stream": lambda s, a, _: (s[0][2].__setitem__(2, None), a.pop()),
    "a stream is live or a tombstone": lambda s, _a, _r: s[1][1].__setitem__(0, 5),
    "registrations are of new ids": lambda s, _a, r: s[2][2].__setitem__(0, r.choice([2, 5, 3])),
    "tombstones rise": lambda s, _a, _r: s[1].reverse(),
    "tombstones are not empty": lambda s, _a, _r: s[1][0][1].clear(),
    "rows of tombstones": lambda s, _a, r: _one(r, s[1][0][1].reverse, lambda: s[1][0][1][0].__setitem__(1, b"")),
    "shares": lambda s, _a, r: _one(r,
        s[0][1][2][1].reverse,
        lambda: s[0][1][2][1].append(s[0][1][2][1][-1]),
        lambda: s[0][1][2][1].append([id_bytes(3000), 0]),
        lambda: s[0][1][2][1].append([id_bytes(3000), WHOLE]),
        lambda: s[0][1][2][1].insert(0, [id_bytes(99), 1]),
        lambda: _many_shares(s, _a, r),
    ),
    "payable rows": lambda s, _a, r: _one(r,
        s[0][1][2][2].reverse, lambda: s[0][1][2][2][0].__setitem__(1, b"\x01\x05"),
    ),
    "claimed rows": lambda s, _a, _r: s[0][2][2][3][0].__setitem__(1, b""),
    "at most 128 payable and shares": _many_payable,
    "at most 64 claimed rows": _many_claimed,
    "the queue rises": lambda s, _a, _r: s[2][0].__setitem__(3, EPOCH + 7),
    "at most 26 writes": _many_writes,
    "writes have their keys": lambda s, _a, r: _one(r,
        lambda: s[2][r.choice([0, 1])].__setitem__(0, 9), lambda: s[2][4].__setitem__(0, None),
    ),
    "one write a key": lambda s, _a, r: s[2].append([*s[2][r.choice([0, 1, 3, 4])][:3], EPOCH + 9]),
    "payloads are sorted": lambda s, _a, r: s[2][r.choice([0, 2, 4])].__setitem__(2, r.choice(_PAYLOADS)),
    "at most 256 rows of tombstones": _many_tombstone_rows,
    "a row for each explicit stream": lambda _s, a, r: _one(r, a.pop, a.reverse, lambda: a.append([9, b""])),
    "no accrual is negative": lambda s, a, _r: (s[0][1][2][3].clear(), a[0].__setitem__(1, b"\x01\x05")),
    "nothing accrues without shares": lambda s, _a, _r: (s[0][1][2][1].clear(), s[0][1][2][3].clear()),
    "claims are of shares, within what is earned": lambda s, a, r: _one(r,
        lambda: a[0].__setitem__(1, b"\x00\x01"),
        lambda: s[0][1][2][3].append([id_bytes(4000), encode_bigint(1)]),
    ),
}  # fmt: skip
