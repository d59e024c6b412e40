"""The storage market: our actor compared with the official one, from deposits to settlement."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from bridge.filecoin.method_numbers import method_number
from hypervisor import Address, Hypervisor
from hypervisor.types import CRON_ACTOR, DATACAP_ACTOR, MARKET_ACTOR, SYSTEM_ACTOR, TokenAmount
from store.blockstore import get_object, put_object
from store.codec import decode, encode, link
from tests.hypervisor.builtin_actors.contracts import LOGGER, READ_ONLY, Forwarder, deploy
from tests.hypervisor.builtin_actors.people import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    ETHEL,
    FIL,
    STRANGER,
    WORKER,
    amount,
    packed,
    raw,
    signature,
)
from tests.hypervisor.builtin_actors.test_same_multisig import Wallet
from tests.hypervisor.builtin_actors.test_same_power import create_miner, miner_of
from tests.hypervisor.builtin_actors.test_same_registry import DAY, REGISTRY, ROOT, piece
from tests.hypervisor.builtin_actors.twins import Twins

MARKET = Address.id(MARKET_ACTOR)
ADD, WITHDRAW, PUBLISH, VERIFY, ACTIVATE, TERMINATE, CRON_TICK = 2, 3, 4, 5, 6, 7, 9
CONTENT_CHANGED = method_number("SectorContentChanged")
SETTLE = method_number("SettleDealPayments")
GETTERS = [
    "GetDealDataCommitment", "GetDealClient", "GetDealProvider", "GetDealLabel", "GetDealTerm", "GetDealTotalPrice",
    "GetDealClientCollateral", "GetDealProviderCollateral", "GetDealVerified", "GetDealActivation", "GetDealSector",
]  # fmt: skip
SEAL_2K = 5


@dataclass(frozen=True)
class Deal:
    """The eleven fields of a proposal."""

    provider: Address
    client: Address = BOB
    piece: Any = None
    size: int = 1024
    verified: bool = False
    label: str | bytes = "label"
    start: int = 1000
    end: int = 1000 + 200 * DAY
    price: int = 10
    provider_collateral: int = 700
    client_collateral: int = 300

    def fields(self) -> list[Any]:
        return [
            piece(1) if self.piece is None else self.piece, self.size, self.verified, raw(self.client),
            raw(self.provider), self.label, self.start, self.end, amount(self.price),
            amount(self.provider_collateral), amount(self.client_collateral),
        ]  # fmt: skip

    def signed(self, by: Address | None = None) -> list[Any]:
        return [self.fields(), b"\x01" + signature(by or self.client, encode(self.fields()))]


class Market:
    """A market with a miner of ALICE's, and deposits of BOB and the miner."""

    def __init__(self, twins: Twins) -> None:
        self.twins = twins
        self.miner = miner_of(create_miner(twins))
        self.provider = Address.id(self.miner)
        self.add(self.provider, 10**9, ALICE)
        self.add(BOB, 10**9, BOB)

    def deal(self, **fields: Any) -> Deal:
        return Deal(self.provider, **fields)

    def add(self, to: Address, value: int, sender: Address) -> Any:
        return self.twins.send(MARKET, ADD, encode(raw(to)), value, sender)

    def withdraw(self, of: Address, value: int, sender: Address) -> Any:
        return self.twins.send(MARKET, WITHDRAW, packed(raw(of), amount(value)), 0, sender)

    def publish(self, *deals: Deal, sender: Address = ALICE, method: int = PUBLISH) -> Any:
        return self.twins.send(MARKET, method, packed([deal.signed() for deal in deals]), 0, sender)

    def as_miner(self, method: int, params: bytes) -> Any:
        return self.twins.send_as(self.miner, MARKET, method, params)

    def activate(self, deals: list[int], sector: int = 1, expiry: int = 1300 * DAY, compute: bool = False) -> Any:
        return self.as_miner(ACTIVATE, packed([[sector, SEAL_2K, expiry, deals]], compute))

    def settle(self, *deals: int, sender: Address = DAVE) -> Any:
        return self.twins.send(MARKET, SETTLE, encode(bitfield(*deals)), 0, sender)

    def terminate(self, epoch: int, *sectors: int) -> Any:
        return self.as_miner(TERMINATE, packed(epoch, bitfield(*sectors)))

    def cron(self, epoch: int) -> None:
        """End an epoch; a long interval since the last tick is taken to be empty."""
        self.twins.advance(epoch=epoch)
        self.twins.change(lambda machine: _skip(machine, epoch - 100))
        assert self.twins.send_as(CRON_ACTOR, MARKET, CRON_TICK).exit_code == 0

    def call_getters(self, *deals: int) -> None:
        for deal in deals:
            for name in GETTERS:
                self.twins.send(MARKET, method_number(name), encode(deal), 0, DAVE)

    def balances(self, *who: Address) -> None:
        for address in who or (BOB, self.provider):
            self.twins.send(MARKET, method_number("GetBalance"), encode(raw(address)), 0, DAVE)


def _skip(machine: Hypervisor, epoch: int) -> None:
    market = machine.state_tree.get_actor(MARKET_ACTOR)
    assert market is not None
    state = get_object(machine.store, market.head)
    if state[7] < epoch:
        state[7] = epoch
        machine.state_tree.set_actor(MARKET_ACTOR, replace(market, head=put_object(machine.store, state)))


def bitfield(*numbers: int) -> bytes:
    """Return RLE+ with every run in the long form, which is always valid."""
    bits: list[int] = [0, 0]
    runs: list[int] = []
    position = 0
    for number in sorted(set(numbers)):
        if runs and number == position:
            runs[-1] += 1
        else:
            runs += [number - position, 1]
        position = number + 1
    if runs and runs[0] == 0:
        first, runs = 1, runs[1:]
    else:
        first = 0
    bits.append(first)
    for run in runs:
        bits += _run(run)
    data = bytearray((len(bits) + 7) // 8)
    for place, bit in enumerate(bits):
        data[place // 8] |= bit << place % 8
    return bytes(data) if runs else b""


def _run(length: int) -> list[int]:
    if length == 1:
        return [1]
    if length < 16:
        return [0, 1, *(length >> place & 1 for place in range(4))]
    bits = [0, 0]
    while True:
        low, length = length & 0x7F, length >> 7
        byte = low | (0x80 if length else 0)
        bits += [byte >> place & 1 for place in range(8)]
        if not length:
            return bits


@pytest.fixture
def market(twins: Twins) -> Market:
    return Market(twins)


def ids_of(result: Any) -> list[int]:
    assert result.exit_code == 0, result.message
    ids: list[int] = decode(result.return_data)[0]
    return ids


@pytest.mark.slow
@pytest.mark.parametrize("exported", [False, True])
def test_deposits_and_withdrawals_match(twins: Twins, exported: bool) -> None:
    add, withdraw = (method_number("AddBalance"), method_number("WithdrawBalance")) if exported else (ADD, WITHDRAW)
    provider = Address.id(miner_of(create_miner(twins)))
    for to, value, expected in [
        (BOB, 100, 0), (BOB, 0, 16), (STRANGER, 5, 16), (Address.id(99_999), 5, 16), (provider, 50, 0), (CAROL, 7, 0),
        (ETHEL, 1, 0), (Address.id(1), 1, 0),
    ]:  # fmt: skip
        assert twins.send(MARKET, add, encode(raw(to)), value, ALICE).exit_code == expected
        twins.send(MARKET, method_number("GetBalance"), encode(raw(to)), 0, DAVE)
    for of, value, sender, expected in [
        (BOB, 30, BOB, 0), (BOB, 30, ALICE, 18), (BOB, -1, BOB, 16), (BOB, 0, BOB, 0), (BOB, 1000, BOB, 0),
        (BOB, 1, BOB, 0), (provider, 10, ALICE, 0), (provider, 10, WORKER, 0), (provider, 10, BOB, 18),
        (provider, 1000, ALICE, 0), (STRANGER, 1, ALICE, 16), (Address.id(99_999), 1, ALICE, 16), (DAVE, 5, DAVE, 0),
    ]:  # fmt: skip
        result = twins.send(MARKET, withdraw, packed(raw(of), amount(value)), 0, sender)
        assert result.exit_code == expected, (of, value)


@pytest.mark.slow
@pytest.mark.parametrize("method", [PUBLISH, method_number("PublishStorageDeals")])
def test_deals_are_published_by_the_provider(market: Market, method: int) -> None:
    assert market.publish(sender=ALICE, method=method).exit_code == 16
    assert market.publish(market.deal(), sender=BOB, method=method).exit_code == 18
    assert ids_of(market.publish(market.deal(), method=method)) == [0]
    assert market.publish(market.deal(), method=method).exit_code == 16  # a double
    assert ids_of(market.publish(market.deal(label=b"bytes"), sender=WORKER, method=method)) == [1]
    market.call_getters(0, 1, 2, 2**64 - 1)
    market.balances()
    assert market.publish(replace(market.deal(), provider=BOB)).exit_code == 16
    assert market.publish(replace(market.deal(), provider=STRANGER)).exit_code == 17
    assert market.publish(replace(market.deal(), provider=Address.id(99_999))).exit_code == 17


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "valid"),
    [
        ({"size": 128}, True), ({"size": 127}, False), ({"size": 1000}, False), ({"size": 2**40}, True),
        ({"size": 2**63}, True), ({"label": "x" * 256}, True), ({"label": "x" * 257}, False), ({"label": ""}, True),
        ({"label": b"\xff" * 256}, True), ({"label": "ü" * 129}, False), ({"start": 99}, False), ({"start": 100}, True),
        ({"end": 1000 + 180 * DAY}, True), ({"end": 999 + 180 * DAY}, False), ({"end": 1000 + 1278 * DAY}, True),
        ({"end": 1001 + 1278 * DAY}, False), ({"end": 1000}, False), ({"end": -1}, False), ({"price": 0}, True),
        ({"price": -1}, False), ({"price": 2 * 10**27 + 1}, False), ({"provider_collateral": 0}, True),
        ({"provider_collateral": -1}, False), ({"provider_collateral": 10**9 + 1}, False),
        ({"client_collateral": 0}, True), ({"client_collateral": -1}, False), ({"client_collateral": 10**9}, False),
        ({"piece": piece(9)}, True), ({"piece": 5}, None), ({"client": CAROL}, False), ({"client": STRANGER}, False),
        ({"verified": True}, False), ({"provider_collateral": 0, "client_collateral": 0, "price": 0}, True),
    ],
)  # fmt: skip
def test_deal_proposal_fields_are_validated(
    market: Market, twins: Twins, fields: dict[str, Any], valid: bool | None
) -> None:
    twins.advance(epoch=100, circulating_supply=TokenAmount(10**27))
    result = market.publish(market.deal(**fields))
    assert result.exit_code == {True: 0, False: 16, None: 21}[valid]
    both = market.publish(market.deal(label="good"), market.deal(**fields))
    if valid is False:
        assert len(ids_of(both)) == 1


@pytest.mark.slow
def test_piece_cid_and_size_are_validated(market: Market, twins: Twins) -> None:
    code = twins.official.manifest.code("init")
    assert market.publish(market.deal(piece=link(code))).exit_code == 16


@pytest.mark.slow
def test_batch_publishes_only_valid_deals(market: Market) -> None:
    rich = market.deal(client_collateral=4 * 10**8)
    deals = [
        rich, replace(rich, label="2"), replace(rich, label="3"), replace(rich, label="4", client_collateral=1),
        market.deal(provider_collateral=9 * 10**8), market.deal(provider_collateral=2 * 10**8, label="5"), rich,
        replace(market.deal(), provider=Address.id(5)), market.deal(start=5),
    ]  # fmt: skip
    result = market.publish(*deals)
    assert ids_of(result) == [0, 1, 2, 3, 4]
    signed = [deal.signed() for deal in (market.deal(label="6"), market.deal(label="7"))]
    signed[0][1] = signed[1][1]
    assert len(ids_of(market.twins.send(MARKET, PUBLISH, packed(signed), 0, ALICE))) == 1
    unsigned = [[market.deal(label="8").fields(), b"\x01" + bytes(65)]]
    assert market.twins.send(MARKET, PUBLISH, packed(unsigned), 0, ALICE).exit_code == 16


@pytest.mark.slow
def test_clients_that_are_no_accounts(market: Market, twins: Twins) -> None:
    wallet, logger = Wallet(twins, [BOB], 1), deploy(twins, LOGGER)
    for client in (wallet.address, logger, ETHEL, Address.id(1), Address.id(99_999)):
        market.add(client, 10**7, DAVE)
        signed = [market.deal(client=client).fields(), b"\x01" + bytes(65)]
        assert market.twins.send(MARKET, PUBLISH, packed([signed]), 0, ALICE).exit_code == 16


@pytest.mark.slow
def test_activation_puts_deals_into_sectors(market: Market, twins: Twins) -> None:
    market.publish(*[market.deal(label=str(number), size=256 << number % 3) for number in range(10)])
    market.call_getters(0)
    assert twins.send(MARKET, ACTIVATE, packed([], False), 0, ALICE).exit_code == 18
    assert twins.send(MARKET, VERIFY, packed([]), 0, ALICE).exit_code == 18
    expiry = 1000 + 200 * DAY
    for sectors in (
        [], [[1, SEAL_2K, expiry, [0, 1]]], [[1, SEAL_2K, expiry - 1, [0]]], [[1, SEAL_2K, expiry, [0, 0]]],
        [[1, SEAL_2K, expiry, [2, 5, 8]]], [[1, 99, expiry, [0]]], [[1, SEAL_2K, expiry, [77]]],
        [[1, SEAL_2K, expiry, []], [2, SEAL_2K, expiry, [3]]], [[1, SEAL_2K, expiry, [2**64 - 1]]],
    ):  # fmt: skip
        market.as_miner(VERIFY, packed(sectors))
        for compute in (True, False):
            with_snapshot = twins.fork()
            Market.as_miner(_with(market, with_snapshot), ACTIVATE, packed(sectors, compute))
    twins.advance(epoch=900)
    market.as_miner(ACTIVATE, packed([
        [1, SEAL_2K, expiry, [1, 0]], [1, SEAL_2K, expiry, [3]], [2, SEAL_2K, expiry, [3]],
        [4, SEAL_2K, expiry, [4, 44]], [5, SEAL_2K, expiry, []], [6, SEAL_2K, expiry - 1, [5]],
        [7, SEAL_2K, expiry, [6]],
    ], True))  # fmt: skip
    other = miner_of(create_miner(twins))
    twins.send_as(other, MARKET, ACTIVATE, packed([[1, SEAL_2K, expiry, [7]]], False))
    twins.advance(epoch=1000)
    market.activate([7])
    twins.advance(epoch=1001)
    market.activate([8])
    market.activate([0])
    market.call_getters(*range(10))


def _with(market: Market, twins: Twins) -> Market:
    copy = object.__new__(Market)
    copy.__dict__.update(market.__dict__, twins=twins)
    return copy


@pytest.mark.slow
def test_content_changes_activate_deals_one_by_one(market: Market, twins: Twins) -> None:
    market.publish(*[market.deal(label=str(number), piece=piece(number)) for number in range(6)])
    expiry = 1000 + 200 * DAY

    def change(deal: int, number: int | None = None, size: int = 1024) -> list[Any]:
        return [piece(deal if number is None else number), size, encode(deal)]

    assert twins.send(MARKET, CONTENT_CHANGED, encode([]), 0, ALICE).exit_code == 18
    result = market.as_miner(CONTENT_CHANGED, encode([
        [1, expiry, [change(0), change(1, 5), change(1, size=512), change(0), change(77), [piece(1), 1024, b"\xff"]]],
        [2, expiry - 1, [change(1)]], [3, expiry, []], [1, expiry, [change(2), change(0)]],
    ]))  # fmt: skip
    assert decode(result.return_data) == [[True, False, False, False, False, False], [False], [], [True, False]]
    market.call_getters(0, 1, 2)
    twins.advance(epoch=1001)
    market.as_miner(CONTENT_CHANGED, encode([[1, expiry, [change(3)]]]))
    assert market.as_miner(CONTENT_CHANGED, encode([[1, expiry, [change(2**64 - 1, 1)]]])).exit_code == 20


@pytest.mark.slow
@pytest.mark.parametrize("paid_often", [False, True])
def test_payments_run_to_the_end(market: Market, twins: Twins, paid_often: bool) -> None:
    market.publish(
        market.deal(label="a"), market.deal(label="b", price=0), market.deal(label="c", end=1000 + 300 * DAY)
    )
    market.activate([0, 1], 1)
    market.activate([2], 2)
    for epoch in (5, 1000, 1001, 1500, 90_000, 200 * DAY, 1000 + 200 * DAY, 250 * DAY, 1000 + 300 * DAY, 400 * DAY):
        twins.advance(epoch=epoch)
        if paid_often or epoch > 300 * DAY:
            market.settle(0, 1, 2, 3)
            market.settle()
        market.balances()
        market.cron(epoch)
        market.call_getters(0, 1, 2)
    market.settle(0, 1, 2, 5)


@pytest.mark.oracle
def test_cron_looks_at_each_deal_in_its_epoch(market: Market, twins: Twins) -> None:
    """Deals not activated are removed, at the provider's cost; deals settled before stay in a cycle of 30 days."""
    market.publish(*[market.deal(label=str(n), start=n if n < 6 else 10, end=250 * DAY) for n in range(8)])
    market.activate([1, 2], 1)
    market.activate([3], 2)
    market.activate([4], 2)
    market.cron(0)
    market.settle(1, 2, 5, 0)
    for epoch in (1, 2, 3, 4, 5, 11, 30 * DAY, 30 * DAY + 1, 30 * DAY + 5, 30 * DAY + 9, 60 * DAY + 7):
        market.cron(epoch)
        market.call_getters(*range(8))
        market.balances()
    market.settle(4)
    for epoch in (240 * DAY + 2, 240 * DAY + 10, 270 * DAY, 270 * DAY + 50):
        market.cron(epoch)
        market.call_getters(*range(8))
        market.balances()


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [0, 999, 1000, 1500, 100 * DAY, 1000 + 200 * DAY - 1, 1000 + 200 * DAY])
def test_termination_cuts_deals_short(market: Market, twins: Twins, epoch: int) -> None:
    market.publish(*[market.deal(label=str(n), end=1000 + (200 + n % 2) * DAY) for n in range(5)])
    market.activate([0, 1], 1)
    market.activate([2], 2)
    market.activate([3], 3)
    assert twins.send(MARKET, TERMINATE, packed(5, bitfield(1)), 0, ALICE).exit_code == 18
    twins.advance(epoch=epoch)
    market.settle(0, 2, sender=BOB)
    for sectors in ((), (7,), (1, 2, 9), (1,), (3,)):
        market.terminate(epoch, *sectors)
        market.balances()
    market.call_getters(*range(5))
    market.cron(epoch)
    market.cron(250 * DAY)


@pytest.mark.slow
def test_verified_deals_spend_datacap(market: Market, twins: Twins) -> None:
    for method, who, size in ((2, CAROL, 10**6), (2, DAVE, 10**6)):
        twins.send_as(ROOT, REGISTRY, method, packed(raw(who), amount(size)))
    twins.send(REGISTRY, 4, packed(raw(BOB), amount(3500)), 0, CAROL)
    deals = [market.deal(label=str(n), verified=n != 2, piece=piece(n)) for n in range(6)]
    assert len(ids_of(market.publish(*deals))) == 4  # 3,500 bytes are enough for three of them
    assert market.publish(market.deal(verified=True, size=2048)).exit_code == 16
    twins.send(REGISTRY, 4, packed(raw(BOB), amount(10**5)), 0, CAROL)
    late = market.deal(label="late", verified=True, start=70 * DAY, end=300 * DAY, piece=piece(9))
    tiny = market.deal(label="tiny", verified=True, size=128)
    long = market.deal(label="long", verified=True, end=1000 + 1278 * DAY)
    assert len(ids_of(market.publish(late, long))) == 2
    assert market.publish(tiny).exit_code == 20  # the registry does not take it
    twins.send(DATACAP := Address.id(DATACAP_ACTOR), method_number("RevokeAllowance"), packed(raw(MARKET)), 0, BOB)
    assert market.publish(market.deal(label="x", verified=True)).exit_code == 20
    market.activate([0, 1, 2, 4], 7)
    twins.send(DATACAP, method_number("Balance"), encode(raw(BOB)), 0, DAVE)
    market.cron(100 * DAY)
    market.call_getters(*range(8))


@pytest.mark.slow
def test_contracts_use_the_exported_methods(market: Market, twins: Twins) -> None:
    contract = Forwarder(twins)
    twins.send(contract.address, 0, b"", FIL, ALICE)
    market.publish(market.deal(), market.deal(label="2"))
    market.activate([0])
    twins.advance(epoch=5000)
    for flags in (READ_ONLY, 0):
        for name, params, value in [
            ("AddBalance", encode(raw(contract.address)), 0 if flags else 77),
            ("WithdrawBalance", packed(raw(contract.address), amount(5)), 0),
            ("WithdrawBalance", packed(raw(BOB), amount(5)), 0),
            ("GetBalance", encode(raw(BOB)), 0),
            ("PublishStorageDeals", packed([market.deal(label="3").signed()]), 0),
            ("SettleDealPayments", encode(bitfield()), 0),
            ("SettleDealPayments", encode(bitfield(0)), 0),
            ("SettleDealPayments", encode(bitfield(1)), 0),
            ("SectorContentChanged", encode([]), 0),
            *[(name, encode(deal), 0) for name in GETTERS for deal in (0, 1, 2)],
        ]:
            contract.call(MARKET_ACTOR, method_number(name), params, flags, value)
            contract.call(MARKET_ACTOR, ADD, params, flags)


def test_cron_tick_is_for_cron_and_old_methods_are_unhandled(twins: Twins) -> None:
    assert twins.send(MARKET, CRON_TICK, b"", 0, ALICE).exit_code == 18
    assert twins.send_as(CRON_ACTOR, MARKET, CRON_TICK, b"\x80").exit_code == 16
    assert twins.send_as(SYSTEM_ACTOR, MARKET, 1).exit_code == 20
    for method in (8, 10, 1 << 24):
        assert twins.send(MARKET, method, b"", 0, ALICE).exit_code == 22


@pytest.mark.slow
@pytest.mark.parametrize("field", [b"", b"\x0c", b"\x54", b"\x3c", b"\x04", b"\xff" * 9, b"\x02", b"\x00", b"\x0c\x00"])
def test_bitfields_are_read_strictly(market: Market, field: bytes) -> None:
    market.twins.send(MARKET, SETTLE, encode(field), 0, DAVE)
