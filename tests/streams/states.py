"""States of the streams: random ones that keep every invariant, and what breaks each."""

from collections.abc import Callable
from random import Random
from typing import Any, Final

from hypervisor.integers import encode_bigint
from store.codec import encode
from tests.streams.invariants import WHOLE
from tests.streams.stage import ONE_WRITER, RECIPIENT, id_bytes

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
    """The miners' stream, and one of one recipient."""
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
    """Break it in one of several ways."""
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
