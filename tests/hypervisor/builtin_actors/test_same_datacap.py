"""The DataCap token: our actor compared with the official one."""

from typing import Any

import pytest

from bridge.filecoin.method_numbers import method_number
from hypervisor import Address
from hypervisor.types import DATACAP_ACTOR, VERIFIED_REGISTRY_ACTOR
from store.codec import encode
from tests.hypervisor.builtin_actors.contracts import LOGGER, READ_ONLY, Forwarder, deploy, exit_of
from tests.hypervisor.builtin_actors.people import ALICE, BOB, CAROL, DAVE, ETHEL, STRANGER, amount, packed, raw
from tests.hypervisor.builtin_actors.test_same_multisig import Wallet
from tests.hypervisor.builtin_actors.twins import Twins
from tests.hypervisor.builtin_actors.world import answer

GOVERNOR = VERIFIED_REGISTRY_ACTOR
REGISTRY = Address.id(GOVERNOR)
DATACAP = Address.id(DATACAP_ACTOR)
BYTE = 10**18
NOBODY = Address.actor(b"nobody")


class Token:
    def __init__(self, twins: Twins) -> None:
        self.twins = twins

    def call(self, sender: Address, name: str, *params: Any) -> Any:
        data = packed(*params) if params else b""
        return self.twins.send(DATACAP, method_number(name), data, 0, sender)

    def ask(self, name: str, params: Any) -> Any:
        return answer(self.twins.send(DATACAP, method_number(name), encode(params), 0, DAVE))

    def mint(self, to: Address, tokens: int, *operators: Address) -> Any:
        params = packed(raw(to), amount(tokens), [raw(operator) for operator in operators])
        return self.twins.send_as(GOVERNOR, DATACAP, method_number("Mint"), params)

    def destroy(self, owner: Address, tokens: int) -> Any:
        params = packed(raw(owner), amount(tokens))
        return self.twins.send_as(GOVERNOR, DATACAP, method_number("Destroy"), params)


@pytest.fixture
def token(twins: Twins) -> Token:
    return Token(twins)


@pytest.mark.parametrize("name", ["Name", "Symbol", "Granularity", "TotalSupply"])
def test_constants_match(token: Token, name: str) -> None:
    answer(token.call(DAVE, name))
    assert token.call(DAVE, name, 1).exit_code == 16


def test_only_the_governor_mints_and_destroys(token: Token) -> None:
    assert token.call(ALICE, "Mint", raw(BOB), amount(BYTE), []).exit_code == 18
    assert token.call(ALICE, "Destroy", raw(ALICE), amount(BYTE)).exit_code == 18


@pytest.mark.parametrize(
    ("to", "tokens", "operators", "exit_code"),
    [
        (ALICE, BYTE, [], 0),
        (ALICE, 0, [], 0),
        (ALICE, 5 * BYTE, [BOB, CAROL, ETHEL], 0),
        (ALICE, 10**40, [Address.id(5)], 0),
        (ALICE, BYTE + 1, [], 16),
        (ALICE, -BYTE, [], 16),
        (STRANGER, BYTE, [], 17),
        (NOBODY, BYTE, [], 17),
        (Address.id(99_999), BYTE, [], 23),
        (Address.id(1), BYTE, [], 22),  # Init takes no tokens
        (ALICE, BYTE, [STRANGER], 24),  # the official actor panics
        (ALICE, 1, [STRANGER], 17),
        (ALICE, 1, [BOB], 16),
    ],
)
def test_minting_matches(token: Token, to: Address, tokens: int, operators: list[Address], exit_code: int) -> None:
    assert token.mint(to, tokens, *operators).exit_code == exit_code


@pytest.mark.slow
def test_destroying_matches(token: Token) -> None:
    token.mint(ALICE, 5 * BYTE)
    for owner, tokens, expected in [
        (ALICE, 2 * BYTE, 0), (ALICE, 4 * BYTE, 19), (ALICE, 1, 16), (ALICE, -BYTE, 16), (BOB, BYTE, 19), (BOB, 0, 0),
        (STRANGER, BYTE, 17), (ALICE, 3 * BYTE, 0), (ALICE, 0, 0),
    ]:  # fmt: skip
        assert token.destroy(owner, tokens).exit_code == expected


@pytest.mark.slow
def test_balances_and_allowances_match_for_any_address(token: Token) -> None:
    token.mint(ALICE, 7 * BYTE, BOB)
    for owner in (ALICE, BOB, STRANGER, NOBODY, Address.id(100), Address.id(99_999)):
        token.ask("Balance", raw(owner))
        for operator in (BOB, STRANGER, Address.id(101)):
            token.ask("Allowance", [raw(owner), raw(operator)])
            token.ask("Allowance", [raw(operator), raw(owner)])


@pytest.mark.slow
def test_allowances_change(token: Token) -> None:
    for name, operator, change, expected in [
        ("DecreaseAllowance", BOB, 5, 0), ("IncreaseAllowance", BOB, 0, 0), ("IncreaseAllowance", BOB, 10, 0),
        ("IncreaseAllowance", CAROL, 3 * BYTE, 0), ("IncreaseAllowance", ALICE, 3, 0), ("DecreaseAllowance", BOB, 4, 0),
        ("IncreaseAllowance", BOB, -1, 16), ("DecreaseAllowance", BOB, -1, 16), ("DecreaseAllowance", DAVE, 1, 0),
        ("IncreaseAllowance", STRANGER, 1, 17), ("DecreaseAllowance", STRANGER, 1, 17),
        ("DecreaseAllowance", BOB, 9, 0), ("IncreaseAllowance", NOBODY, 1, 17),
        ("IncreaseAllowance", Address.id(99_999), 1, 0),
    ]:  # fmt: skip
        assert token.call(ALICE, name, raw(operator), amount(change)).exit_code == expected, (name, change)
    for operator in (BOB, CAROL, CAROL, ALICE, DAVE, STRANGER, NOBODY):
        assert token.call(ALICE, "RevokeAllowance", raw(operator)).exit_code == 0
    assert token.call(BOB, "RevokeAllowance", raw(ALICE)).exit_code == 0


@pytest.mark.slow
def test_tokens_move_to_and_from_the_governor_only(token: Token) -> None:
    """The registry refuses tokens that come without requests: 16 or 20, from its hook."""
    token.mint(ALICE, 5 * BYTE)
    for sender, to, tokens, expected in [
        (ALICE, BOB, BYTE, 18), (ALICE, ALICE, BYTE, 18), (ALICE, STRANGER, BYTE, 16), (ALICE, NOBODY, BYTE, 16),
        (ALICE, REGISTRY, 1, 16), (ALICE, REGISTRY, -BYTE, 16), (ALICE, REGISTRY, 6 * BYTE, 19), (BOB, REGISTRY, 1, 16),
        (BOB, REGISTRY, BYTE, 19),
    ]:  # fmt: skip
        assert token.call(sender, "Transfer", raw(to), amount(tokens), b"").exit_code == expected, (to, tokens)
    for data in (b"", b"\x82\x80\x80", b"\xff"):
        assert token.call(ALICE, "Transfer", raw(REGISTRY), amount(BYTE), data).exit_code != 0


@pytest.mark.slow
def test_the_governor_pays_out(token: Token, twins: Twins) -> None:
    token.mint(ALICE, BYTE)
    wallet = Wallet(twins, [ALICE], 1)
    token.mint(wallet.address, 3 * BYTE)

    def hold(machine: Any) -> None:
        """Give the registry DataCap of its own, which it gets only by its hook; the hook is not part of this test."""
        state = machine.state_tree.get_actor(GOVERNOR)
        account = machine.state_tree.get_actor(twins.official.state_tree.lookup_id(ALICE))
        machine.state_tree.set_actor(GOVERNOR, account)
        params = packed(raw(REGISTRY), amount(9 * BYTE), [])
        from tests.hypervisor.builtin_actors.world import World

        assert World(machine).send_as(GOVERNOR, DATACAP, method_number("Mint"), params).exit_code == 0
        machine.state_tree.set_actor(GOVERNOR, state)

    twins.change(hold)
    for to, tokens, expected in [
        (ALICE, BYTE, 0), (wallet.address, BYTE, 0), (ALICE, 100 * BYTE, 19), (REGISTRY, 99 * BYTE, 19),
        (Address.id(1), BYTE, 22), (STRANGER, BYTE, 16), (ETHEL, 2 * BYTE, 0), (ALICE, 0, 0), (Address.id(88), 0, 23),
    ]:  # fmt: skip
        params = packed(raw(to), amount(tokens), b"\x01\x02")
        assert twins.send_as(GOVERNOR, DATACAP, method_number("Transfer"), params).exit_code == expected, to


@pytest.mark.slow
def test_operators_move_to_the_governor_only(token: Token) -> None:
    token.mint(ALICE, 5 * BYTE, BOB)
    token.call(ALICE, "IncreaseAllowance", raw(CAROL), amount(2 * BYTE))
    for operator, from_, to, tokens, expected in [
        (BOB, ALICE, CAROL, BYTE, 18), (BOB, ALICE, STRANGER, BYTE, 16), (BOB, ALICE, REGISTRY, 1, 16),
        (DAVE, ALICE, REGISTRY, BYTE, 19), (DAVE, ALICE, REGISTRY, 0, 19), (ALICE, ALICE, REGISTRY, BYTE, 16),
        (ALICE, Address.id(100), REGISTRY, BYTE, 16), (BOB, STRANGER, REGISTRY, BYTE, 19),
        (CAROL, ALICE, REGISTRY, 3 * BYTE, 19), (BOB, ALICE, REGISTRY, 6 * BYTE, 19),
        (BOB, NOBODY, REGISTRY, -BYTE, 16),
    ]:  # fmt: skip
        params = (raw(from_), raw(to), amount(tokens), b"")
        assert token.call(operator, "TransferFrom", *params).exit_code == expected, (operator, to, tokens)


@pytest.mark.slow
def test_burning_matches(token: Token) -> None:
    token.mint(ALICE, 5 * BYTE, BOB)
    for tokens, expected in [(BYTE, 0), (1, 16), (-BYTE, 16), (0, 0), (5 * BYTE, 19)]:
        assert token.call(ALICE, "Burn", amount(tokens)).exit_code == expected
    token.call(ALICE, "IncreaseAllowance", raw(CAROL), amount(BYTE + 5))
    for operator, owner, tokens, expected in [
        (BOB, ALICE, BYTE, 0), (BOB, ALICE, 1, 16), (CAROL, ALICE, BYTE, 0), (CAROL, ALICE, BYTE, 19),
        (CAROL, ALICE, 0, 0), (DAVE, ALICE, 0, 19), (ALICE, ALICE, BYTE, 16), (ALICE, Address.id(100), BYTE, 16),
        (BOB, STRANGER, BYTE, 19), (BOB, ALICE, 3 * BYTE, 19), (BOB, ALICE, 2 * BYTE, 0), (BOB, ALICE, 0, 0),
    ]:  # fmt: skip
        assert token.call(operator, "BurnFrom", raw(owner), amount(tokens)).exit_code == expected, (operator, tokens)


@pytest.mark.slow
def test_many_owners_and_operators(token: Token) -> None:
    for number in range(100, 105):
        for operator in range(60):
            params = packed(raw(Address.id(operator)), amount(operator * 7 % 5 + 1))
            token.twins.shakes = 0
            token.twins.send_as(number, DATACAP, method_number("IncreaseAllowance"), params)
        for operator in range(0, 60, 2):
            params = packed(raw(Address.id(operator)))
            token.twins.send_as(number, DATACAP, method_number("RevokeAllowance"), params)


@pytest.mark.parametrize("method", [*range(2, 22), 1 << 24])
def test_old_method_numbers_are_unhandled(twins: Twins, method: int) -> None:
    assert twins.send(DATACAP, method, b"", 0, ALICE).exit_code == 22


def test_contracts_are_notified_of_received_tokens(token: Token, twins: Twins) -> None:
    logger = deploy(twins, LOGGER)
    result = token.mint(logger, 3 * BYTE, CAROL)
    assert result.exit_code == 0
    assert len(result.events) == 1
    token.destroy(logger, BYTE)


@pytest.mark.slow
def test_contracts_that_hold_tokens(token: Token, twins: Twins) -> None:
    """A contract can be an owner and an operator like any other actor."""
    contract = Forwarder(twins)
    assert token.mint(contract.address, BYTE).exit_code == 0
    token.mint(ALICE, 5 * BYTE, contract.address)
    for flags in (READ_ONLY, 0):
        calls: list[tuple[str, list[Any]]] = [
            ("Transfer", [raw(REGISTRY), amount(0), b"\x82\x80\x80"]),
            ("Transfer", [raw(ALICE), amount(0), b""]),
            ("Transfer", [raw(STRANGER), amount(0), b""]),
            ("TransferFrom", [raw(ALICE), raw(REGISTRY), amount(BYTE), b"\x82\x80\x80"]),
            ("IncreaseAllowance", [raw(BOB), amount(5)]),
            ("IncreaseAllowance", [raw(STRANGER), amount(5)]),
            ("IncreaseAllowance", [raw(BOB), amount(-5)]),
            ("DecreaseAllowance", [raw(BOB), amount(5)]),
            ("RevokeAllowance", [raw(STRANGER)]),
            ("Burn", [amount(0)]),
            ("Burn", [amount(BYTE)]),
            ("BurnFrom", [raw(ALICE), amount(BYTE)]),
            ("Mint", [raw(ALICE), amount(BYTE), []]),
            ("Allowance", [raw(ALICE), raw(contract.address)]),
        ]
        for name, params in calls:
            contract.call(DATACAP_ACTOR, method_number(name), packed(*params), flags)


def test_datacap_transfer_in_read_only_call_aborts(twins: Twins) -> None:
    contract = Forwarder(twins)
    params = packed(raw(REGISTRY), amount(0), b"\x82\x80\x80")
    assert exit_of(contract.call(DATACAP_ACTOR, method_number("Transfer"), params, READ_ONLY)) == 24
    burn = contract.call(DATACAP_ACTOR, method_number("Burn"), packed(amount(0)), READ_ONLY)
    assert exit_of(burn) == 25
