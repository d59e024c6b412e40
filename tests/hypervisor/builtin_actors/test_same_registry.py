"""The verified registry with the DataCap token: our actors compared with the official ones."""

import hashlib
from typing import Any

import pytest

from bridge.filecoin.method_numbers import method_number
from hypervisor import Address
from hypervisor.types import DATACAP_ACTOR, VERIFIED_REGISTRY_ACTOR
from store.cid import Cid
from store.codec import decode, encode, link
from tests.hypervisor.builtin_actors.contracts import READ_ONLY, Forwarder, exit_of
from tests.hypervisor.builtin_actors.people import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    ETHEL,
    STRANGER,
    WORKER,
    amount,
    packed,
    raw,
    signature,
)
from tests.hypervisor.builtin_actors.test_same_multisig import Wallet
from tests.hypervisor.builtin_actors.test_same_power import create_miner, miner_of
from tests.hypervisor.builtin_actors.twins import Twins

ROOT = 80
REGISTRY, DATACAP = Address.id(VERIFIED_REGISTRY_ACTOR), Address.id(DATACAP_ACTOR)
ADD_VERIFIER, REMOVE_VERIFIER, ADD_CLIENT, REMOVE_DATACAP = 2, 3, 4, 7
REMOVE_ALLOCATIONS, CLAIM, GET, EXTEND, REMOVE_CLAIMS = 8, 9, 10, 11, 12
NAMES = {
    ADD_CLIENT: "AddVerifiedClient",
    REMOVE_ALLOCATIONS: "RemoveExpiredAllocations",
    GET: "GetClaims",
    EXTEND: "ExtendClaimTerms",
    REMOVE_CLAIMS: "RemoveExpiredClaims",
}
BYTE = 10**18
DAY = 2880
TERM_MIN, TERM_MAX = 180 * DAY, 5 * 1_051_897
KIB = 1024


def piece(number: int) -> Any:
    """Return a link to a piece: fil-commitment-unsealed, sha2-256-trunc254-padded."""
    digest = bytearray(hashlib.sha256(bytes([number])).digest())
    digest[-1] &= 0x3F
    return link(Cid(bytes.fromhex("0181e203922020") + bytes(digest)))


def id_of(twins: Twins, address: Address) -> int:
    return int(twins.world().id_of(address))


class Registry:
    """A registry with the verifiers ALICE and CAROL, the client BOB, and a miner."""

    def __init__(self, twins: Twins) -> None:
        self.twins = twins
        self.miner = miner_of(create_miner(twins))
        self.bob = id_of(twins, BOB)
        for verifier in (ALICE, CAROL):
            assert self.root(ADD_VERIFIER, raw(verifier), amount(10**9)).exit_code == 0
        assert self.call(ALICE, ADD_CLIENT, raw(BOB), amount(10**6)).exit_code == 0

    def root(self, method: int, *params: Any) -> Any:
        return self.twins.send_as(ROOT, REGISTRY, method, packed(*params))

    def call(self, sender: Address, method: int, *params: Any) -> Any:
        return self.twins.send(REGISTRY, method, packed(*params), 0, sender)

    def request(self, number: int = 1, size: int = KIB, **fields: int) -> list[Any]:
        wanted = {"provider": self.miner, "min": TERM_MIN, "max": TERM_MAX, "expiration": 50 * DAY, **fields}
        return [wanted["provider"], piece(number), size, wanted["min"], wanted["max"], wanted["expiration"]]

    def transfer(
        self, size: int, allocations: list[Any], extensions: list[Any] | None = None, sender: Address = BOB
    ) -> Any:
        data = packed(allocations, extensions or [])
        params = packed(raw(REGISTRY), amount(size * BYTE), data)
        return self.twins.send(DATACAP, method_number("Transfer"), params, 0, sender)

    def allocate(self, count: int, expiration: int = 50 * DAY) -> None:
        requests = [self.request(number, expiration=expiration) for number in range(count)]
        assert self.transfer(count * KIB, requests).exit_code == 0

    def stored(self, allocation: int, number: int, size: int = KIB, client: int | None = None) -> list[Any]:
        return [self.bob if client is None else client, allocation, piece(number), size]

    def claim(self, *sectors: list[Any], strict: bool = False) -> Any:
        params = packed(list(sectors), strict)
        return self.twins.send_as(self.miner, REGISTRY, CLAIM, params)


@pytest.fixture
def registry(twins: Twins) -> Registry:
    return Registry(twins)


@pytest.mark.parametrize(
    ("address", "allowance", "exit_code"),
    [
        (ALICE, 256, 0), (ALICE, 255, 16), (ALICE, -5, 16), (ALICE, 2**200, 0), (STRANGER, 300, 0),
        (Address.id(99_999), 300, 17), (Address.actor(b"x"), 300, 23),
    ],
)  # fmt: skip
def test_verifiers_are_made_by_the_root(twins: Twins, address: Address, allowance: int, exit_code: int) -> None:
    params = packed(raw(address), amount(allowance))
    assert twins.send_as(ROOT, REGISTRY, ADD_VERIFIER, params).exit_code == exit_code
    assert twins.send(REGISTRY, ADD_VERIFIER, params, 0, ALICE).exit_code == (exit_code if exit_code else 18)


@pytest.mark.slow
def test_verifiers_are_dismissed_by_the_root(registry: Registry, twins: Twins) -> None:
    assert registry.root(ADD_VERIFIER, raw(Address.id(ROOT)), amount(300)).exit_code == 16
    for address, expected in [(CAROL, 0), (CAROL, 16), (DAVE, 16), (STRANGER, 16), (Address.actor(b"x"), 23)]:
        assert twins.send(REGISTRY, REMOVE_VERIFIER, encode(raw(address)), 0, ALICE).exit_code in (18, expected)
        assert twins.send_as(ROOT, REGISTRY, REMOVE_VERIFIER, encode(raw(address))).exit_code == expected
    assert registry.root(ADD_VERIFIER, raw(BOB), amount(10**6)).exit_code == 16  # a client


@pytest.mark.slow
@pytest.mark.parametrize("method", [ADD_CLIENT, method_number(NAMES[ADD_CLIENT])])
def test_clients_are_made_by_verifiers(registry: Registry, method: int) -> None:
    for sender, client, allowance, expected in [
        (ALICE, DAVE, 256, 0), (ALICE, DAVE, 256, 0), (ALICE, DAVE, 255, 16), (ALICE, STRANGER, 300, 0),
        (ALICE, Address.id(ROOT), 300, 16), (ALICE, CAROL, 300, 16), (ALICE, ALICE, 300, 16), (DAVE, DAVE, 300, 17),
        (CAROL, DAVE, 10**9, 0), (CAROL, DAVE, 256, 16), (ALICE, Address.id(99_999), 300, 17),
        (ALICE, Address.actor(b"x"), 300, 23), (ALICE, Address.id(1), 300, 22), (ALICE, ETHEL, 10**9, 16),
        (ALICE, WORKER, 10**8, 0),
    ]:  # fmt: skip
        assert registry.call(sender, method, raw(client), amount(allowance)).exit_code == expected, (client, allowance)


@pytest.mark.slow
def test_two_verifiers_and_the_root_take_datacap_away(registry: Registry, twins: Twins) -> None:
    def words(verifier: Address, client: int, size: int, number: int, signer: Address | None = None) -> list[Any]:
        message = b"fil_removedatacap:" + packed(raw(Address.id(client)), amount(size), [number])
        return [raw(verifier), b"\x01" + signature(signer or verifier, message)]

    def remove(size: int, first: list[Any], second: list[Any], client: Address = BOB) -> int:
        return int(registry.root(REMOVE_DATACAP, raw(client), amount(size), first, second).exit_code)

    bob = registry.bob
    a0, c0 = words(ALICE, bob, 1000, 0), words(CAROL, bob, 1000, 0)
    assert registry.call(ALICE, REMOVE_DATACAP, raw(BOB), amount(1000), a0, c0).exit_code == 18
    assert remove(1000, a0, a0) == 16
    assert remove(1000, a0, words(DAVE, bob, 1000, 0)) == 17
    assert remove(999, a0, c0) == 16
    assert remove(1000, a0, words(CAROL, bob, 1000, 0, DAVE)) == 16
    assert remove(1000, a0, c0, REGISTRY) == 16
    assert remove(1000, a0, c0) == 0
    assert remove(1000, a0, c0) == 16  # the numbers are used up
    assert remove(10**7, words(ALICE, bob, 10**7, 1), words(CAROL, bob, 10**7, 1)) == 0  # all that is left
    assert remove(5, words(ALICE, bob, 5, 2), words(CAROL, bob, 5, 2)) == 0
    assert remove(-5, words(ALICE, bob, -5, 3), words(CAROL, bob, -5, 3)) == 16
    wallet = Wallet(twins, [ALICE], 1)
    registry.root(ADD_VERIFIER, raw(wallet.address), amount(500))
    assert remove(5, words(CAROL, bob, 5, 3), [raw(wallet.address), a0[1]]) == 24  # it answers nothing
    assert remove(5, words(CAROL, bob, 5, 3), a0, STRANGER) == 16


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "size", "tokens", "exit_code"),
    [
        ({}, KIB, KIB, 0), ({}, 256, 256, 0), ({}, 255, 255, 16), ({}, KIB, KIB + 1, 16), ({}, KIB, KIB - 1, 16),
        ({"min": TERM_MIN - 1}, KIB, KIB, 16), ({"max": TERM_MAX + 1}, KIB, KIB, 16), ({"max": TERM_MIN}, KIB, KIB, 0),
        ({"max": TERM_MIN - 1}, KIB, KIB, 16), ({"min": TERM_MAX}, KIB, KIB, 0), ({"expiration": 99}, KIB, KIB, 16),
        ({"expiration": 100}, KIB, KIB, 0), ({"expiration": 100 + 60 * DAY}, KIB, KIB, 0),
        ({"expiration": 101 + 60 * DAY}, KIB, KIB, 16), ({"provider": 100}, KIB, KIB, 16),
        ({"provider": 99_999}, KIB, KIB, 16), ({}, 777, 777, 0),
    ],
)  # fmt: skip
def test_requests_have_limits(
    registry: Registry, twins: Twins, fields: dict[str, int], size: int, tokens: int, exit_code: int
) -> None:
    twins.advance(epoch=100)
    assert registry.transfer(tokens, [registry.request(1, size, **fields)]).exit_code == exit_code


@pytest.mark.slow
def test_tokens_without_good_requests_are_refused(registry: Registry, twins: Twins) -> None:
    assert registry.transfer(0, []).exit_code == 0
    assert registry.transfer(1, []).exit_code == 16
    assert registry.transfer(3 * KIB, [registry.request(number) for number in range(3)]).exit_code == 0
    assert registry.transfer(3 * KIB, [registry.request(1), registry.request(2, min=0)]).exit_code == 16
    receive = packed(2233613279, packed(1, 6, 1, b"", packed([], []), b""))
    assert registry.call(ALICE, 3726118371, 2233613279, b"").exit_code == 18
    for params, expected in [
        (receive, 0), (packed(1, b""), 16), (packed(2233613279, b""), 21), (packed(2233613279, b"\x80"), 21),
        (packed(2233613279, packed(1, 7, 1, b"", packed([], []), b"")), 16),
        (packed(2233613279, packed(1, 6, 1, b"", b"", b"")), 21),
    ]:  # fmt: skip
        assert twins.send_as(DATACAP_ACTOR, REGISTRY, 3726118371, params).exit_code == expected


@pytest.mark.slow
def test_miners_claim_stored_allocations(registry: Registry, twins: Twins) -> None:
    twins.advance(epoch=1000)
    registry.allocate(8)
    good = 1000 + TERM_MIN
    assert twins.send(REGISTRY, CLAIM, packed([], False), 0, ALICE).exit_code == 18
    assert registry.claim().exit_code == 16
    for sectors, strict, expected in [
        ([[1, good, [registry.stored(1, 0)]]], False, 0),
        ([[1, good, [registry.stored(1, 0)]]], False, 0),  # gone: 17 in the list
        ([[1, good, [registry.stored(1, 0)]]], True, 16),
        ([[2, good, []], [3, good - 1, [registry.stored(2, 1)]]], False, 0),
        ([[3, 1001 + TERM_MAX, [registry.stored(2, 1)]], [4, 1000 + TERM_MAX, [registry.stored(2, 1)]]], False, 0),
        ([[5, good, [registry.stored(3, 2), registry.stored(4, 9)]]], False, 0),
        ([[5, good, [registry.stored(3, 2), registry.stored(4, 3, 2048)]]], False, 0),
        ([[5, good, [registry.stored(3, 2), registry.stored(4, 3, client=100)]]], False, 0),
        ([[5, good, [registry.stored(3, 2), registry.stored(3, 2)]]], False, 16),
        ([[5, good, [registry.stored(3, 2), registry.stored(4, 3)]], [6, good, [registry.stored(5, 4)]]], True, 0),
        ([[7, good, [registry.stored(6, 5)]], [8, good, [registry.stored(6, 5)]]], True, 16),
        ([[7, good, [registry.stored(6, 5)]], [8, good, [registry.stored(6, 5)]]], False, 0),
    ]:  # fmt: skip
        assert registry.claim(*sectors, strict=strict).exit_code == expected, sectors
    other = miner_of(create_miner(twins))
    params = packed([[1, good, [registry.stored(7, 6)]]], False)
    assert decode(twins.send_as(other, REGISTRY, CLAIM, params).return_data)[0][0] == 0
    twins.advance(epoch=50 * DAY)
    assert decode(registry.claim([9, 50 * DAY + TERM_MIN, [registry.stored(7, 6)]]).return_data)[0][0] == 1
    twins.advance(epoch=50 * DAY + 1)
    assert decode(registry.claim([9, 51 * DAY + TERM_MIN, [registry.stored(8, 7)]]).return_data)[0][0] == 0


def claimed(registry: Registry, count: int) -> None:
    """Claim allocations 1 to `count` in sectors 0, 1, ... at the present epoch."""
    registry.allocate(count)
    expiry = registry.twins.own.context.epoch + TERM_MIN
    sectors = ([number, expiry, [registry.stored(number + 1, number)]] for number in range(count))
    assert registry.claim(*sectors).exit_code == 0


@pytest.mark.slow
@pytest.mark.parametrize("exported", [False, True])
def test_claims_are_shown_extended_and_cleared_away(registry: Registry, twins: Twins, exported: bool) -> None:
    def number(method: int) -> int:
        return method_number(NAMES[method]) if exported else method

    requests = [registry.request(n, max=TERM_MIN + 10 * n) for n in range(6)]
    assert registry.transfer(6 * KIB, requests).exit_code == 0
    miner = registry.miner
    for n in range(6):
        registry.claim([n, TERM_MIN, [registry.stored(n + 1, n)]])
    for wanted in ([], [1], [1, 2, 77], [77], [3, 3]):
        registry.call(DAVE, number(GET), miner, wanted)
        registry.call(DAVE, number(GET), 5, wanted)
    for sender, terms in [
        (BOB, []), (BOB, [[miner, 1, TERM_MIN + 100]]), (DAVE, [[miner, 2, TERM_MAX]]),
        (BOB, [[miner, 2, TERM_MAX + 1], [miner, 3, TERM_MIN], [miner, 4, TERM_MAX], [miner, 99, TERM_MAX], [5, 1, 9]]),
        (BOB, [[miner, 5, TERM_MIN + 40], [miner, 5, TERM_MIN + 41], [miner, 5, TERM_MIN + 40]]),
    ]:  # fmt: skip
        assert registry.call(sender, number(EXTEND), terms).exit_code == 0
    for epoch in (TERM_MIN + 9, TERM_MIN + 20, TERM_MIN + 45, TERM_MAX):
        twins.advance(epoch=epoch)
        for wanted in ([1, 99], [1, 2, 3], [], [6]):
            registry.call(DAVE, number(REMOVE_CLAIMS), miner, wanted)
        registry.call(BOB, number(EXTEND), [[miner, 4, TERM_MAX]])
    registry.call(DAVE, number(REMOVE_CLAIMS), 77, [])


@pytest.mark.slow
@pytest.mark.parametrize("exported", [False, True])
def test_expired_unclaimed_allocations_are_refunded(registry: Registry, twins: Twins, exported: bool) -> None:
    method = method_number(NAMES[REMOVE_ALLOCATIONS]) if exported else REMOVE_ALLOCATIONS
    requests = [registry.request(number, 256 << number, expiration=100 * number) for number in range(7)]
    assert registry.transfer(256 * 127, requests).exit_code == 0
    for epoch, wanted, expected in [
        (0, [2, 3], 0), (99, [], 0), (100, [2], 0), (299, [], 0), (350, [3, 4, 5], 0), (350, [4], 0),
        (500, [5, 5], 24), (500, [5, 6, 99], 0), (700, [], 0), (700, [], 0),
    ]:  # fmt: skip
        twins.advance(epoch=epoch)
        assert registry.call(DAVE, method, registry.bob, wanted).exit_code == expected, (epoch, wanted)
    assert registry.call(DAVE, method, 99_999, []).exit_code == 23  # nobody to give nothing to
    assert registry.call(DAVE, method, 1, []).exit_code == 22


@pytest.mark.slow
def test_claims_named_twice_break_off(registry: Registry, twins: Twins) -> None:
    claimed(registry, 2)
    twins.advance(epoch=TERM_MAX + 1)
    assert registry.call(DAVE, REMOVE_CLAIMS, registry.miner, [1, 1]).exit_code == 24


@pytest.mark.slow
def test_datacap_buys_longer_terms(registry: Registry, twins: Twins) -> None:
    requests = [registry.request(number, max=TERM_MIN + 5) for number in range(3)]
    registry.transfer(3 * KIB, requests)
    for number in range(3):
        registry.claim([number, TERM_MIN, [registry.stored(number + 1, number)]])
    registry.call(ALICE, ADD_CLIENT, raw(DAVE), amount(10**5))
    miner = registry.miner
    for sender, allocations, extensions, size, expected in [
        (BOB, [], [[miner, 1, TERM_MIN + 6]], KIB, 0),
        (DAVE, [], [[miner, 1, TERM_MIN + 7]], KIB, 0),  # anybody's datacap will do
        (BOB, [], [[miner, 1, TERM_MIN + 7]], KIB, 16),
        (BOB, [], [[miner, 1, TERM_MAX + 1]], KIB, 16),
        (BOB, [], [[miner, 1, TERM_MAX]], KIB - 1, 16),
        (BOB, [], [[miner, 9, TERM_MAX]], KIB, 17),
        (BOB, [registry.request(8)], [[miner, 2, TERM_MAX]], 2 * KIB, 0),
        (BOB, [], [[miner, 3, TERM_MIN + 8], [miner, 3, TERM_MIN + 9]], 2 * KIB, 0),
    ]:
        assert registry.transfer(size, allocations, extensions, sender).exit_code == expected, extensions
    twins.advance(epoch=TERM_MIN + 9)
    assert registry.transfer(KIB, [], [[miner, 3, TERM_MIN + 10]]).exit_code == 0
    twins.advance(epoch=TERM_MIN + 11)
    assert registry.transfer(KIB, [], [[miner, 3, TERM_MAX + 50]]).exit_code == 18
    assert registry.transfer(KIB, [], [[miner, 2, TERM_MAX + 50]]).exit_code == 0


@pytest.mark.slow
def test_contracts_ask_and_change(registry: Registry, twins: Twins) -> None:
    """Read-only calls fail at the first change: an event (24) or the state (25)."""
    contract = Forwarder(twins)
    claimed(registry, 3)
    registry.root(ADD_VERIFIER, raw(contract.address), amount(10**5))
    twins.advance(epoch=TERM_MAX)
    for flags in (READ_ONLY, 0):
        for method, params in [
            (GET, packed(registry.miner, [1, 2, 9])),
            (ADD_CLIENT, packed(raw(DAVE), amount(500))),
            (ADD_CLIENT, packed(raw(STRANGER), amount(500))),
            (EXTEND, packed([[registry.miner, 1, TERM_MAX]])),
            (EXTEND, packed([])),
            (REMOVE_CLAIMS, packed(registry.miner, [1])),
            (REMOVE_CLAIMS, packed(5, [])),
            (REMOVE_ALLOCATIONS, packed(registry.bob, [])),
        ]:
            contract.call(VERIFIED_REGISTRY_ACTOR, method_number(NAMES[method]), params, flags)
            contract.call(VERIFIED_REGISTRY_ACTOR, method, params, flags)
    nothing = contract.call(VERIFIED_REGISTRY_ACTOR, method_number(NAMES[REMOVE_CLAIMS]), packed(5, []), READ_ONLY)
    assert exit_of(nothing) == 25


@pytest.mark.parametrize("method", [5, 6, 13, 1 << 24])
def test_removed_method_numbers_are_unhandled(twins: Twins, method: int) -> None:
    assert twins.send(REGISTRY, method, b"", 0, ALICE).exit_code == 22
