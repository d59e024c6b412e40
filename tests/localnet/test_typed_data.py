"""EIP-712: digests and signatures, compared with eth-account's."""

import copy
from typing import Any

import pytest
from eth_account.messages import encode_typed_data

from hypervisor.errors import InvalidInput
from localnet.typed_data import typed_data_digest
from store.keccak import keccak

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


def test_types_that_are_written_again_in_each_other_have_a_limit() -> None:
    types = {f"T{number}": [{"name": "a" * 4_000, "type": f"T{number + 1}"}] for number in range(1_000)} | {"T1000": []}
    first = [{"name": f"m{number}", "type": f"T{number}"} for number in range(1_000)]
    message: dict[str, Any] = {f"m{number}": {} for number in range(1_000)}
    with pytest.raises(InvalidInput, match="the encoded types exceed 16777216 bytes"):
        typed_data_digest({"types": {"All": first, **types}, "primaryType": "All", "message": message})
