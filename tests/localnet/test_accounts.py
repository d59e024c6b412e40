"""Accounts of development nodes, compared with their published keys and eth-account's derivation."""

import pytest
from eth_account import Account as Oracle

from hypervisor.errors import InvalidInput
from hypervisor.messages.signatures import verify_secp256k1
from localnet.accounts import HARDENED, TEST_MNEMONIC, Account, accounts, parse_derivation_path

# What anvil and Hardhat print when they start.
PUBLISHED = [
    ("f39fd6e51aad88f6f4ce6ab8827279cfffb92266", "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    ("70997970c51812dc3a010c7d01b50e0d17dc79c8", "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    ("3c44cdddb6a900fa2b585dd299e03d12fa4293bc", "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
    ("90f79bf6eb2c4f870365e785982e1f101e93b906", "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"),
    ("15d34aaf54267db7d7c367839aaf71a00a2c6a65", "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a"),
    ("9965507d1a55bcc2695c58ba16fb37d819b0a4dc", "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba"),
    ("976ea74026e726554db657fa54763abd0c3a0aa9", "92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e"),
    ("14dc79964da2c08b23698b3d3cc7ca32193d9955", "4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356"),
    ("23618e81e3f5cdf7f54c3d65f7fbc0abf5b21e8f", "dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97"),
    ("a0ee7a142d267c1f36714e4a8f75612f20a79720", "2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6"),
]


def test_ten_accounts_are_the_usual_test_accounts() -> None:
    assert [(a.address.hex(), a.private_key.hex()) for a in accounts()] == PUBLISHED


OTHERS = [
    TEST_MNEMONIC,
    "abandon " * 11 + "about",
    "legal winner thank year wave sausage worth useful legal winner thank yellow",
]


@pytest.mark.parametrize("words", OTHERS)
def test_another_mnemonic_has_the_keys_that_eth_account_derives(words: str) -> None:
    Oracle.enable_unaudited_hdwallet_features()
    for index, account in enumerate(accounts(words, 3)):
        oracle = Oracle.from_mnemonic(words.strip(), account_path=f"m/44'/60'/0'/0/{index}")
        assert account.private_key == bytes(oracle.key)
        assert "0x" + account.address.hex() == oracle.address.lower()


@pytest.mark.parametrize("words", ["", "test", "test " * 13])
def test_a_mnemonic_of_another_length_is_refused(words: str) -> None:
    with pytest.raises(InvalidInput, match="12, 15, 18, 21 or 24 words"):
        accounts(words)


@pytest.mark.parametrize(
    ("path", "numbers"), [("m", ()), ("m/44'/60h/0", (44 + HARDENED, 60 + HARDENED, 0)), ("m/7/", (7,))]
)
def test_a_path_of_keys_is_numbers(path: str, numbers: tuple[int, ...]) -> None:
    assert parse_derivation_path(path) == numbers


@pytest.mark.parametrize(
    "path", ["", "44", "m//0", "m/-1", "m/0''", "m/x", "m/2147483648", f"m/{'9' * 5000}", "m/\u0663"]
)
def test_invalid_derivation_path_is_rejected(path: str) -> None:
    with pytest.raises(InvalidInput, match="is not a key path"):
        parse_derivation_path(path)


def test_native_message_is_signed_with_native_address_key() -> None:
    from hypervisor.messages.message import Message

    account = accounts(count=1)[0]
    message = Message(account.native, account.native)
    signature = account.sign_native(message).signature
    assert verify_secp256k1(signature.data, account.native, message.cid())


def test_printing_an_account_does_not_show_its_key() -> None:
    account = Account.from_key(bytes.fromhex(PUBLISHED[0][1]))
    assert repr(account) == f"Account(0x{PUBLISHED[0][0]})"
