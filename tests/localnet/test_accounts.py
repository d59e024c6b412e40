"""Accounts of development nodes, compared with their published keys and eth-account's derivation."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from eth_account import Account as Oracle
from eth_account.messages import encode_typed_data

from hypervisor.errors import AddressError, InvalidInput
from hypervisor.messages.address import Address
from hypervisor.messages.signatures import verify_secp256k1
from localnet import Network
from localnet.accounts import HARDENED, TEST_MNEMONIC, Account, accounts, parse_derivation_path
from localnet.addresses import canonical_address, filecoin_address
from localnet.typed_data import typed_data_digest
from store.keccak import keccak

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


@pytest.mark.parametrize("read", [filecoin_address, canonical_address])
@pytest.mark.parametrize("text", ["nonsense", "", "39Fd6e51aad88F6F4ce6aB8827279cffFb92266"])
def test_a_refusal_names_both_forms(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(AddressError, match=r"expected 0x and 40 hex digits, or f0\.\.\. to f4"):
        read(text)


@pytest.mark.parametrize("target", [5, None, ["0x00"], Network])
def test_object_without_address_is_rejected(target: Any) -> None:
    with pytest.raises(
        AddressError, match="is not an address: expected a string, 20 bytes, or an object with an address"
    ):
        filecoin_address(target)


def test_object_with_address_is_accepted_as_address() -> None:
    with Network() as network:
        assert filecoin_address(network.accounts[0]) == network.accounts[0].delegated
        assert filecoin_address(network.actors.at("f04")) == Address.id(4)


MAIL: dict[str, Any] = {  # the example of EIP-712
    "types": {
        "EIP712Domain": [
            {"name": "name", "type": "string"}, {"name": "version", "type": "string"},
            {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"},
        ],
        "Person": [{"name": "name", "type": "string"}, {"name": "wallet", "type": "address"}],
        "Mail": [
            {"name": "from", "type": "Person"}, {"name": "to", "type": "Person"},
            {"name": "contents", "type": "string"},
        ],
    },
    "primaryType": "Mail",
    "domain": {
        "name": "Ether Mail", "version": "1", "chainId": 1,
        "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC",
    },
    "message": {
        "from": {"name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
        "to": {"name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},
        "contents": "Hello, Bob!",
    },
}  # fmt: skip

KINDS: dict[str, Any] = {
    "types": {
        "EIP712Domain": [{"name": "name", "type": "string"}],
        "Inner": [{"name": "bytes", "type": "bytes"}, {"name": "word", "type": "bytes32"}],
        "All": [
            {"name": "a", "type": "int8"}, {"name": "b", "type": "uint256[]"}, {"name": "c", "type": "Inner[2]"},
            {"name": "d", "type": "bool"}, {"name": "e", "type": "address[][2]"}, {"name": "f", "type": "string[]"},
        ],
    },
    "primaryType": "All",
    "domain": {"name": "kinds"},
    "message": {
        "a": -5, "b": [1, 2**255], "d": True, "e": [["0x" + "11" * 20], []], "f": ["x", "é"],
        "c": [{"bytes": "0x1234", "word": "0x" + "22" * 32}, {"bytes": "0x", "word": "0x" + "33" * 32}],
    },
}  # fmt: skip


@pytest.mark.parametrize("data", [MAIL, KINDS])
def test_the_digest_is_that_of_eth_account(data: dict[str, Any]) -> None:
    signable = encode_typed_data(full_message=copy.deepcopy(data))
    assert typed_data_digest(data) == keccak(b"\x19" + signable.version + signable.header + signable.body)


def test_the_digest_of_the_proposals_example() -> None:
    assert typed_data_digest(MAIL).hex() == "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"


def test_numbers_may_be_text() -> None:
    data = copy.deepcopy(MAIL)
    for chain_id in ("1", "0x1"):
        data["domain"]["chainId"] = chain_id
        assert typed_data_digest(data) == typed_data_digest(MAIL)


@pytest.mark.parametrize(
    "change",
    [
        {"types": {}}, {"primaryType": "Nothing"}, {"message": {}}, {"message": None}, {"types": {"Mail": 5}},
        {"domain": {"name": 5, "version": "1", "chainId": 1, "verifyingContract": ""}}, {"primaryType": 5},
        {"types": {"Mail": [{"name": "from", "type": "Mail"}], "EIP712Domain": []}, "message": {"from": {"from": 5}}},
        {"types": {"Mail": [{"name": "x", "type": "uint7x"}]}, "message": {"x": 1}},
        {"types": {"Mail": [{"name": "x", "type": "uint8"}]}, "message": {"x": 256}},
    ],
)  # fmt: skip
def test_invalid_typed_data_is_rejected(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        typed_data_digest({**MAIL, **change})


@pytest.mark.slow
def test_typed_data_without_end_are_refused() -> None:
    message: dict[str, Any] = {}
    for _ in range(5_000):
        message = {"from": message}
    types = {"Mail": [{"name": "from", "type": "Mail"}], "EIP712Domain": []}
    with pytest.raises(InvalidInput, match="levels"):
        typed_data_digest({"types": types, "primaryType": "Mail", "domain": {}, "message": message})


def test_duplicate_member_names_are_refused_before_recursion() -> None:
    message: dict[str, Any] = {}
    for _ in range(60):
        message = {"x": message}
    types = {"T": [{"name": "x", "type": "T"}, {"name": "x", "type": "T"}]}
    with pytest.raises(InvalidInput, match="two members of T have the same name"):
        typed_data_digest({"types": types, "primaryType": "T", "message": message})


@pytest.mark.slow
def test_a_type_is_written_once_for_all_its_values() -> None:
    used = {f"U{number}": [{"name": "a" * 4_000, "type": "bool"}] for number in range(1_000)}
    types = {"All": [{"name": "list", "type": "T[]"}], "T": [{"name": name, "type": name} for name in used], **used}
    assert len(typed_data_digest({"types": types, "primaryType": "All", "message": {"list": [{}] * 1_000}})) == 32


@pytest.mark.slow
def test_types_that_are_written_again_in_each_other_have_a_limit() -> None:
    types = {f"T{number}": [{"name": "a" * 4_000, "type": f"T{number + 1}"}] for number in range(1_000)} | {"T1000": []}
    first = [{"name": f"m{number}", "type": f"T{number}"} for number in range(1_000)]
    message: dict[str, Any] = {f"m{number}": {} for number in range(1_000)}
    with pytest.raises(InvalidInput, match="the encoded types exceed 16777216 bytes"):
        typed_data_digest({"types": {"All": first, **types}, "primaryType": "All", "message": message})
