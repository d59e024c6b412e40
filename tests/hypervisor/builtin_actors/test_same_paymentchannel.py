"""Payment channels: our actor compared with the official one."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import pytest

from hypervisor import Address
from store.codec import decode, encode
from tests.hypervisor.builtin_actors.people import (
    ALICE,
    BOB,
    CAROL,
    ETHEL,
    FIL,
    STRANGER,
    amount,
    packed,
    raw,
    signature,
)
from tests.hypervisor.builtin_actors.test_same_multisig import exec_actor
from tests.hypervisor.builtin_actors.twins import Twins

UPDATE, SETTLE, COLLECT = 2, 3, 4


@dataclass(frozen=True)
class Voucher:
    """The eleven fields of a voucher; `show` determines the signer."""

    channel: Address
    from_epoch: int = 0
    to_epoch: int = 0
    secret_hash: bytes = b""
    extra: list[Any] | None = None
    lane: int = 0
    nonce: int = 1
    amount: int = 0
    min_settle_height: int = 0
    merges: tuple[tuple[int, int], ...] = ()

    def fields(self, signed: bytes | None) -> list[Any]:
        return [
            raw(self.channel), self.from_epoch, self.to_epoch, self.secret_hash, self.extra, self.lane, self.nonce,
            amount(self.amount), self.min_settle_height, [list(merge) for merge in self.merges], signed,
        ]  # fmt: skip

    def signed_by(self, signer: Address) -> list[Any]:
        return self.fields(b"\x01" + signature(signer, encode(self.fields(None))))


class Channel:
    """A channel from ALICE to BOB on both machines."""

    def __init__(self, twins: Twins, value: int = 10 * FIL, from_: Address = ALICE, to: Address = BOB) -> None:
        self.twins = twins
        self.made = exec_actor(twins, "paymentchannel", packed(raw(from_), raw(to)), value)
        self.address = Address.from_bytes(decode(self.made.return_data)[1]) if self.made.exit_code == 0 else ALICE

    def show(self, voucher: Voucher, signer: Address = ALICE, sender: Address = BOB, secret: bytes = b"") -> int:
        params = encode([voucher.signed_by(signer), secret])
        return int(self.twins.send(self.address, UPDATE, params, 0, sender).exit_code)

    def call(self, method: int, sender: Address, params: bytes = b"") -> int:
        return int(self.twins.send(self.address, method, params, 0, sender).exit_code)

    def voucher(self, **fields: Any) -> Voucher:
        return Voucher(self.address, **fields)


@pytest.fixture
def channel(twins: Twins) -> Channel:
    return Channel(twins)


@pytest.mark.parametrize(
    ("from_", "to", "exit_code"),
    [
        (ALICE, BOB, 0), (ALICE, ALICE, 0), (STRANGER, ETHEL, 0), (Address.id(100), Address.id(7), 0),
        (ALICE, Address.id(99_999), 17), (Address.id(99_999), ALICE, 17), (ALICE, Address.actor(b"x"), 23),
    ],
)  # fmt: skip
def test_constructors_match(twins: Twins, from_: Address, to: Address, exit_code: int) -> None:
    assert Channel(twins, 5, from_, to).made.exit_code == exit_code


def test_only_init_constructs(twins: Twins, channel: Channel) -> None:
    params = packed(raw(ALICE), raw(BOB))
    assert channel.call(1, ALICE, params) == 18
    assert twins.send_as(1, channel.address, 1, params).exit_code == 20


@pytest.mark.slow
def test_vouchers_replace_each_other(channel: Channel) -> None:
    assert channel.show(channel.voucher(amount=FIL)) == 0
    assert channel.show(channel.voucher(amount=2 * FIL)) == 16  # the same nonce
    assert channel.show(channel.voucher(amount=2 * FIL, nonce=2)) == 0
    assert channel.show(channel.voucher(amount=FIL, nonce=7)) == 0  # takes back
    assert channel.show(channel.voucher(amount=0, nonce=8, lane=3)) == 0
    assert channel.show(channel.voucher(amount=10 * FIL, nonce=9)) == 0
    assert channel.show(channel.voucher(amount=10 * FIL + 1, nonce=10)) == 16
    assert channel.show(channel.voucher(amount=1, lane=1)) == 16
    assert channel.show(channel.voucher(amount=-1, lane=2)) == 16


@pytest.mark.slow
def test_voucher_requires_valid_signer_and_sender(channel: Channel) -> None:
    voucher = channel.voucher(amount=FIL)
    assert channel.show(voucher, signer=BOB) == 16
    assert channel.show(voucher, signer=CAROL) == 16
    assert channel.show(voucher, sender=CAROL) == 18
    assert channel.show(voucher, signer=BOB, sender=ALICE) == 0
    assert channel.show(voucher, sender=ALICE) == 16


def test_a_party_that_cannot_sign(twins: Twins) -> None:
    channel = Channel(twins, FIL, ETHEL, BOB)
    assert channel.show(channel.voucher(amount=1)) == 24  # an Ethereum account answers nothing
    reward = Channel(twins, FIL, Address.id(2), BOB)
    assert reward.show(reward.voucher(amount=1)) == 22


def test_a_voucher_without_a_signature(channel: Channel) -> None:
    unsigned = channel.voucher(amount=1).fields(None)
    assert channel.call(UPDATE, BOB, encode([unsigned, b""])) == 16
    for wrong in (b"", b"\x00" * 66, b"\x02" + bytes(96), b"\x03" + bytes(65), b"\x01" + bytes(65)):
        fields = channel.voucher(amount=1).fields(wrong)
        channel.call(UPDATE, BOB, encode([fields, b""]))


def test_a_voucher_is_for_one_channel(twins: Twins, channel: Channel) -> None:
    other = Channel(twins)
    assert channel.show(Voucher(other.address, amount=1)) == 16
    assert channel.show(Voucher(Address.actor(b"nobody"), amount=1)) == 16
    account = twins.official.state_tree.lookup_id(channel.address)
    assert account is not None
    assert channel.show(Voucher(Address.id(account), amount=1)) == 0


@pytest.mark.slow
def test_time_locks_match(twins: Twins, channel: Channel) -> None:
    for epoch, expected in ((9, 16), (10, 0), (20, 0), (21, 16)):
        twins.advance(epoch=epoch)
        assert channel.show(channel.voucher(from_epoch=10, to_epoch=20, amount=1, nonce=epoch)) == expected
    assert channel.show(channel.voucher(to_epoch=-1, amount=1, nonce=50)) == 16


@pytest.mark.slow
def test_secrets_match(channel: Channel) -> None:
    secret = b"open sesame"
    locked = channel.voucher(amount=1, secret_hash=hashlib.blake2b(secret, digest_size=32).digest())
    assert channel.show(locked) == 16
    assert channel.show(locked, secret=b"x") == 16
    assert channel.show(locked, secret=secret) == 0
    assert channel.show(replace(locked, secret_hash=b"short", nonce=2), secret=secret) == 16
    assert channel.show(channel.voucher(nonce=3), secret=bytes(256)) == 0
    assert channel.show(channel.voucher(nonce=4), secret=bytes(257)) == 16


@pytest.mark.slow
def test_a_voucher_can_ask_for_a_call(twins: Twins, channel: Channel) -> None:
    name, everything = 48890204, packed(raw(ALICE), raw(BOB))
    assert channel.show(channel.voucher(extra=[raw(Address.id(7)), 4205072950, everything])) == 0
    assert channel.show(channel.voucher(nonce=2, extra=[raw(Address.id(7)), name, b""])) == 16  # an empty block is one
    assert channel.show(channel.voucher(nonce=2, extra=[raw(Address.id(7)), 5, b"\x80"])) == 22
    assert channel.show(channel.voucher(nonce=2, extra=[raw(Address.id(99_999)), 5, b"\x80"])) == 23
    assert channel.show(channel.voucher(nonce=2, extra=[raw(channel.address), SETTLE, b"\x80"])) == 16


@pytest.mark.slow
def test_lanes_merge(channel: Channel) -> None:
    for lane in range(1, 12):
        assert channel.show(channel.voucher(lane=lane * lane, nonce=2, amount=lane * 100)) == 0
    merged = channel.voucher(lane=1, nonce=3, amount=1500, merges=((4, 3), (9, 5)))
    assert channel.show(replace(merged, merges=((4, 2),))) == 16
    assert channel.show(replace(merged, merges=((5, 9),))) == 16
    assert channel.show(replace(merged, merges=((1, 9),))) == 16
    assert channel.show(replace(merged, merges=((2**63, 9),))) == 16
    assert channel.show(replace(merged, merges=((4, 3), (4, 3)))) == 16
    assert channel.show(replace(merged, merges=((4, 3), (4, 4)), amount=5000)) == 0
    assert channel.show(merged) == 16
    assert channel.show(replace(merged, nonce=4, merges=((16, 8), (25, 9)))) == 0
    assert channel.show(channel.voucher(lane=2**63, nonce=1)) == 16
    assert channel.show(channel.voucher(lane=2**63 - 1, nonce=1, amount=5)) == 0


@pytest.mark.slow
def test_settling_takes_half_a_day(twins: Twins, channel: Channel) -> None:
    twins.advance(epoch=1000)
    channel.show(channel.voucher(amount=3 * FIL))
    assert channel.call(COLLECT, ALICE) == 18
    assert channel.call(SETTLE, CAROL) == 18
    assert channel.call(SETTLE, ALICE, b"\x80") == 16
    assert channel.call(SETTLE, ALICE) == 0
    assert channel.call(SETTLE, BOB) == 20
    assert channel.show(channel.voucher(amount=FIL, nonce=2)) == 0
    twins.advance(epoch=2439)
    assert channel.call(COLLECT, BOB) == 18
    assert channel.show(channel.voucher(amount=4 * FIL, nonce=3)) == 0
    twins.advance(epoch=2440)
    assert channel.show(channel.voucher(amount=5 * FIL, nonce=4)) == 32
    assert channel.call(COLLECT, CAROL) == 18
    assert channel.call(COLLECT, BOB) == 0
    assert channel.call(COLLECT, BOB) == 5  # it is gone


@pytest.mark.slow
@pytest.mark.parametrize(("height", "opens_at"), [(0, 1440), (100, 1440), (9000, 9000)])
def test_vouchers_can_delay_the_settlement(twins: Twins, height: int, opens_at: int) -> None:
    for late in (False, True):
        side = twins.fork(shakes=2)
        channel = Channel(side)
        if late:
            channel.call(SETTLE, BOB)
        channel.show(channel.voucher(amount=FIL, min_settle_height=height))
        channel.show(channel.voucher(nonce=2, amount=FIL, min_settle_height=50))
        if not late:
            channel.call(SETTLE, BOB)
        side.advance(epoch=opens_at - 1)
        assert channel.call(COLLECT, ALICE) == 18
        side.advance(epoch=opens_at)
        assert channel.call(COLLECT, ALICE) == 0
