"""Accounts: the key address, signatures, and the response to unknown exported methods."""

import pytest
from py_ecc.bls.ciphersuites import G2Basic

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.method_numbers import method_number
from hypervisor import Address
from hypervisor.messages.signatures import sign_secp256k1
from hypervisor.state.state_tree import ActorState
from hypervisor.types import ActorID
from store.codec import encode
from tests.hypervisor.builtin_actors.world import ETH_ACCOUNT, KEY_ACCOUNT, SECRET_KEY, World, answer

PUBKEY_ADDRESS = 2
AUTHENTICATE = method_number("AuthenticateMessage")
MESSAGE = b"I was here"
BLS_KEY = 12_345
BLS_ACCOUNT = Address.bls(G2Basic.SkToPk(BLS_KEY))


def secp256k1_signature(message: bytes) -> bytes:
    return sign_secp256k1(SECRET_KEY, message)


@pytest.mark.parametrize("account", [KEY_ACCOUNT, BLS_ACCOUNT], ids=["f1", "f3"])
def test_account_returns_its_key_address(world: World, account: Address) -> None:
    world.send(account, 0, value=1)
    assert answer(world.send(account, PUBKEY_ADDRESS)) == account.to_bytes()
    assert world.send(account, PUBKEY_ADDRESS, b"\xf6").exit_code == 16


def test_account_authenticates_its_signature(world: World) -> None:
    signature = secp256k1_signature(MESSAGE)
    assert answer(world.send(KEY_ACCOUNT, AUTHENTICATE, encode([signature, MESSAGE]))) is True


@pytest.mark.slow
def test_bls_account_authenticates_its_signature(world: World) -> None:
    world.send(BLS_ACCOUNT, 0, value=1)
    signature = G2Basic.Sign(BLS_KEY, MESSAGE)
    assert answer(world.send(BLS_ACCOUNT, AUTHENTICATE, encode([signature, MESSAGE]))) is True
    assert world.send(BLS_ACCOUNT, AUTHENTICATE, encode([signature, b"something else"])).exit_code == 16


@pytest.mark.parametrize(
    ("params", "exit_code"),
    [
        (encode([secp256k1_signature(b"something else"), MESSAGE]), 16),
        (encode([b"\x01" + secp256k1_signature(MESSAGE), MESSAGE]), 16),  # no type byte belongs in front
        (encode([b"", MESSAGE]), 16),
        (encode([list(secp256k1_signature(MESSAGE)), MESSAGE]), 21),  # a byte string, not a list of numbers
        (b"", 16),
    ],
    ids=["other message", "with type byte", "empty", "list of numbers", "no parameters"],
)
def test_a_signature_that_is_not_right_aborts(world: World, params: bytes, exit_code: int) -> None:
    assert world.send(KEY_ACCOUNT, AUTHENTICATE, params).exit_code == exit_code


def test_an_account_without_a_key_cannot_vouch(world: World) -> None:
    assert world.send(Address.id(99), AUTHENTICATE, encode([b"", MESSAGE])).exit_code == 20


@pytest.mark.parametrize("account", [KEY_ACCOUNT, ETH_ACCOUNT], ids=["account", "ethaccount"])
def test_accounts_take_exported_methods_that_they_do_not_have(world: World, account: Address) -> None:
    result = world.send(account, 1 << 24, b"\xff\xff", value=3)
    assert (result.exit_code, result.return_data) == (0, b"")
    assert world.send(account, (1 << 24) - 1).exit_code == 22


def test_a_contract_may_not_use_the_internal_number(world: World) -> None:
    contract = world.id_of(to_filecoin(world.deploy("Counter")))
    assert world.send_as(contract, KEY_ACCOUNT, PUBKEY_ADDRESS).exit_code == 18


def test_a_placeholder_accepts_everything_silently(world: World) -> None:
    address = to_filecoin(EthAddress(bytes([0x77]) * 20))
    world.send(address, 0, value=1)
    for method in (1, 2, 1 << 24):
        result = world.send(address, method, b"\xff")
        assert (result.exit_code, result.return_data) == (0, b"")


def test_an_ethereum_account_has_no_state(world: World) -> None:
    assert world.state_of(world.id_of(ETH_ACCOUNT)) == []


def test_account_with_invalid_state_exits_with_16(world: World) -> None:
    broken = ActorID(700)
    world.machine.state_tree.set_actor(broken, ActorState(world.machine.manifest.code("account")))
    assert world.send(Address.id(broken), PUBKEY_ADDRESS).exit_code == 16
