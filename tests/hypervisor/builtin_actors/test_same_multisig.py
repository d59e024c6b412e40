"""Multisigs: our actor compared with the official one."""

import hashlib
from typing import Any

import pytest

from hypervisor import Address
from hypervisor.types import INIT_ACTOR
from store.codec import decode, encode, link
from tests.hypervisor.builtin_actors.people import ALICE, BOB, CAROL, DAVE, ETHEL, FIL, STRANGER, amount, packed, raw
from tests.hypervisor.builtin_actors.twins import Twins

PROPOSE, APPROVE, CANCEL, ADD, REMOVE, SWAP, THRESHOLD, LOCK = range(2, 10)
RECEIVE = 3726118371


class Wallet:
    """A multisig on both machines, and its methods."""

    def __init__(
        self, twins: Twins, signers: list[Address], threshold: int, value: int = 0, duration: int = 0, start: int = 0
    ) -> None:
        self.twins = twins
        constructor = packed([raw(signer) for signer in signers], threshold, duration, start)
        self.made = exec_actor(twins, "multisig", constructor, value)
        self.address = Address.from_bytes(decode(self.made.return_data)[1]) if self.made.exit_code == 0 else ALICE

    def call(self, sender: Address, method: int, params: bytes = b"", value: int = 0) -> Any:
        return self.twins.send(self.address, method, params, value, sender)

    def propose(self, sender: Address, to: Address, value: int = 0, method: int = 0, params: bytes = b"") -> Any:
        return self.call(sender, PROPOSE, packed(raw(to), amount(value), method, params))

    def approve(self, sender: Address, transaction: int, proposal_hash: bytes = b"") -> Any:
        return self.call(sender, APPROVE, packed(transaction, proposal_hash))

    def cancel(self, sender: Address, transaction: int, proposal_hash: bytes = b"") -> Any:
        return self.call(sender, CANCEL, packed(transaction, proposal_hash))

    def itself(self, sender: Address, method: int, params: bytes) -> Any:
        return self.propose(sender, self.address, 0, method, params)


def exec_actor(twins: Twins, name: str, constructor: bytes, value: int = 0, sender: Address = ALICE) -> Any:
    """Create an actor through Init."""
    params = packed(link(twins.official.manifest.code(name)), constructor)
    return twins.send(Address.id(INIT_ACTOR), 2, params, value, sender)


def code_of(result: Any) -> int:
    """Return the exit code of the call made by a proposal or approval, or -1 if there was none."""
    applied, code = decode(result.return_data)[-3:-1]
    return int(code) if applied else -1


@pytest.mark.parametrize(
    ("signers", "threshold", "value", "duration", "start", "exit_code"),
    [
        ([ALICE, BOB, CAROL], 2, 5 * FIL, 0, 0, 0),
        ([ALICE, BOB], 2, 5 * FIL, 100, 7, 0),
        ([ALICE, BOB], 2, 0, 100, -5, 0),
        ([STRANGER, ETHEL], 1, 0, 0, 0, 0),  # creates the stranger's account
        ([Address.id(100)], 1, 0, 0, 0, 0),
        ([], 0, 0, 0, 0, 16),
        ([ALICE, BOB], 0, 0, 0, 0, 16),
        ([ALICE, BOB], 3, 0, 0, 0, 16),
        ([ALICE, ALICE], 1, 0, 0, 0, 16),
        ([ALICE, Address.id(100)], 1, 0, 0, 0, 16),
        ([ALICE, BOB], 1, 0, -1, 0, 16),
        ([ALICE, Address.id(99_999)], 1, 0, 0, 0, 17),
        ([ALICE, Address.actor(b"nobody")], 1, 0, 0, 0, 23),
        ([Address.id(number) for number in range(257)], 1, 0, 0, 0, 16),
    ],
)
def test_constructors_match(
    twins: Twins, signers: list[Address], threshold: int, value: int, duration: int, start: int, exit_code: int
) -> None:
    assert Wallet(twins, signers, threshold, value, duration, start).made.exit_code == exit_code


@pytest.mark.parametrize("threshold", [1, 2, 3])
def test_a_transaction_is_made_when_the_threshold_is_met(twins: Twins, threshold: int) -> None:
    wallet = Wallet(twins, [ALICE, BOB, CAROL], threshold, 10 * FIL)
    assert wallet.propose(DAVE, DAVE, FIL).exit_code == 18
    assert code_of(wallet.propose(ALICE, DAVE, FIL)) == (0 if threshold == 1 else -1)
    for number, signer in enumerate([BOB, CAROL], start=2):
        result = wallet.approve(signer, 0)
        if number <= threshold:
            assert code_of(result) == (0 if number == threshold else -1)
        else:
            assert result.exit_code == 17
    assert wallet.approve(ALICE, 0).exit_code == 17


@pytest.mark.slow
def test_repeated_or_non_signer_approval_is_rejected(twins: Twins) -> None:
    wallet = Wallet(twins, [ALICE, BOB, CAROL], 3, FIL)
    wallet.propose(ALICE, DAVE, 1)
    assert wallet.approve(ALICE, 0).exit_code == 18
    assert wallet.approve(DAVE, 0).exit_code == 18
    assert wallet.approve(BOB, 1).exit_code == 17
    assert wallet.approve(BOB, -1).exit_code == 17
    assert wallet.propose(ALICE, DAVE, -1).exit_code == 16


@pytest.mark.slow
def test_hashes_name_the_proposal_that_is_meant(twins: Twins) -> None:
    wallet = Wallet(twins, [ALICE, BOB, CAROL], 3, FIL)
    wallet.propose(ALICE, DAVE, 1, 0, b"abc")
    proposal = packed(raw(Address.id(100)), raw(DAVE), amount(1), 0, b"abc")
    right = hashlib.blake2b(proposal, digest_size=32).digest()
    assert wallet.approve(BOB, 0, right[:-1]).exit_code == 16
    assert wallet.approve(BOB, 0, bytes(32)).exit_code == 16
    assert wallet.cancel(ALICE, 0, bytes(32)).exit_code == 20
    assert wallet.approve(BOB, 0, right).exit_code == 0
    assert wallet.cancel(BOB, 0, right).exit_code == 18
    assert wallet.cancel(DAVE, 0, right).exit_code == 18
    assert wallet.cancel(ALICE, 0, right).exit_code == 0
    assert wallet.cancel(ALICE, 0, right).exit_code == 17


@pytest.mark.slow
def test_a_failing_call_uses_the_transaction_up(twins: Twins) -> None:
    wallet = Wallet(twins, [ALICE], 1, FIL)
    assert code_of(wallet.propose(ALICE, Address.id(99_999), 0, 5)) == 23
    assert code_of(wallet.propose(ALICE, Address.actor(b"nobody"), 1)) == 23
    assert code_of(wallet.propose(ALICE, Address.id(INIT_ACTOR), 0, 2)) == 16
    assert code_of(wallet.propose(ALICE, Address.id(INIT_ACTOR), 0, 77)) == 22
    assert code_of(wallet.propose(ALICE, STRANGER, 3)) == 0
    assert wallet.propose(ALICE, BOB, 2 * FIL).exit_code == 19
    assert wallet.approve(ALICE, 1).exit_code == 17


def test_inner_call_return_is_forwarded(twins: Twins) -> None:
    wallet = Wallet(twins, [ALICE], 1)
    name = wallet.propose(ALICE, Address.id(7), 0, 48890204)
    assert decode(decode(name.return_data)[3]) == "DataCap"


@pytest.mark.slow
def test_signers_are_changed_by_the_wallet_itself(twins: Twins) -> None:
    wallet = Wallet(twins, [ALICE, BOB], 1)
    for method in (ADD, REMOVE, SWAP, THRESHOLD, LOCK):
        assert wallet.call(ALICE, method, packed(raw(CAROL), False)).exit_code in (18, 21)
    steps = [
        (ADD, [raw(CAROL), True], 0),
        (ADD, [raw(CAROL), False], 18),
        (ADD, [raw(Address.id(99_999)), False], 17),
        (ADD, [raw(Address.actor(b"x")), False], 23),
        (THRESHOLD, [0], 16),
        (THRESHOLD, [4], 16),
        (THRESHOLD, [1], 0),
        (REMOVE, [raw(CAROL), True], 16),
        (REMOVE, [raw(DAVE), False], 18),
        (SWAP, [raw(DAVE), raw(CAROL)], 18),
        (SWAP, [raw(BOB), raw(CAROL)], 16),
        (SWAP, [raw(BOB), raw(DAVE)], 0),
        (SWAP, [raw(DAVE), raw(Address.id(99_999))], 17),
        (REMOVE, [raw(CAROL), False], 0),
        (REMOVE, [raw(DAVE), False], 0),
        (REMOVE, [raw(ALICE), False], 18),
    ]
    for method, params, expected in steps:
        result = wallet.itself(ALICE, method, encode(params))
        while decode(result.return_data)[1] is False:  # the threshold is 2 here
            result = wallet.approve(BOB, decode(result.return_data)[0])
            break
        assert code_of(result) == expected, (method, params)


def test_more_than_256_signers_are_refused(twins: Twins) -> None:
    ids = [Address.id(number) for number in (100, 101, 102, 103, 104, *range(8), 10, 80, 90, 99)]
    wallet = Wallet(twins.fork(), ids, 1)
    assert code_of(wallet.itself(ALICE, REMOVE, packed(raw(Address.id(99)), False))) == 0


@pytest.mark.slow
def test_removed_signer_loses_approvals(twins: Twins) -> None:
    wallet = Wallet(twins, [ALICE, BOB, CAROL], 2, FIL)
    for number in range(7):
        wallet.propose(ALICE if number % 2 else BOB, DAVE, number)
    wallet.itself(CAROL, SWAP, packed(raw(BOB), raw(DAVE)))
    assert code_of(wallet.approve(ALICE, 7)) == 0
    assert wallet.approve(CAROL, 0).exit_code == 17  # Bob's, gone with him
    assert code_of(wallet.approve(CAROL, 1)) == 0
    wallet.itself(CAROL, REMOVE, packed(raw(ALICE), True))
    assert code_of(wallet.approve(DAVE, 8)) == 0
    assert wallet.approve(CAROL, 3).exit_code == 17


@pytest.mark.slow
def test_a_lower_threshold_lets_old_approvals_do(twins: Twins) -> None:
    wallet = Wallet(twins, [ALICE, BOB, CAROL], 2, FIL)
    wallet.propose(ALICE, DAVE, 1)
    wallet.itself(ALICE, THRESHOLD, packed(1))
    assert code_of(wallet.approve(BOB, 1)) == 0
    assert code_of(wallet.approve(ALICE, 0)) == 0  # who had approved already
    wallet.propose(ALICE, DAVE, 3 * FIL)


@pytest.mark.slow
@pytest.mark.parametrize(("start", "duration"), [(0, 10), (5, 3), (-4, 9), (100, 1), (2**62, 2**62)])
def test_a_locked_balance_unlocks_linearly(twins: Twins, start: int, duration: int) -> None:
    wallet = Wallet(twins, [ALICE], 1, 1000, duration, start)
    for epoch in (0, 1, 2, 5, 6, 7, 8, 10, 11, 100, 101):
        twins.advance(epoch=epoch)
        elapsed = min(max(epoch - start, 0), duration)
        locked = -(-1000 * (duration - elapsed) // duration)  # rounded up
        balance = twins.world().balance_of(wallet.address)
        assert wallet.propose(ALICE, BOB, balance - locked + 1).exit_code == 19
        for value in (0, balance - locked):
            assert wallet.propose(ALICE, BOB, value).exit_code == 0
        twins.send(wallet.address, 0, b"", 3, DAVE)


@pytest.mark.slow
def test_a_balance_is_locked_once(twins: Twins) -> None:
    wallet = Wallet(twins, [ALICE], 1, 1000)
    steps = [([0, 0, 5], 16), ([0, -1, 5], 16), ([0, 10, -5], 16), ([3, 10, 500], 0), ([0, 10, 1], 18)]
    for (start, duration, value), expected in steps:
        params = packed(start, duration, amount(value))
        assert code_of(wallet.itself(ALICE, LOCK, params)) == expected
    twins.advance(epoch=8)
    assert wallet.propose(ALICE, BOB, 751).exit_code == 19
    assert wallet.propose(ALICE, BOB, 750).exit_code == 0


@pytest.mark.slow
def test_a_wallet_can_own_a_wallet_and_call_itself_back(twins: Twins) -> None:
    inner = Wallet(twins, [ALICE, BOB], 2, FIL)
    outer = Wallet(twins, [inner.address, CAROL], 1, FIL)
    nested = packed(raw(DAVE), amount(1), 0, b"")
    inner.propose(ALICE, outer.address, 0, PROPOSE, nested)
    assert code_of(inner.approve(BOB, 0)) == 0
    again = packed(0, b"")
    inner.propose(ALICE, inner.address, 0, APPROVE, again)  # approves itself while it is gone
    assert code_of(inner.approve(BOB, 1)) == 18


def test_tokens_and_exported_numbers_are_taken(twins: Twins) -> None:
    wallet = Wallet(twins, [ALICE], 1)
    for method, params in [
        (RECEIVE, packed(1, b"")), (RECEIVE, b""), (RECEIVE, packed(1)), (RECEIVE, packed(-1, b"")),
        (1 << 24, b""), (1 << 24, b"\xff"), ((1 << 24) - 1, b""), (10, b""), (0, b""),
    ]:  # fmt: skip
        wallet.call(STRANGER if method == 0 else DAVE, method, params, 1)
