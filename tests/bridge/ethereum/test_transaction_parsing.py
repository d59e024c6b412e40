"""Raw transactions, compared with the official fixtures' `txbytes` and with eth-account."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account as EthAccount

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import SignedTransaction, Transaction, TransactionError, parse_transaction
from fvm_hypervisor.laboratory.vectors.statetest import find_files, read_transaction
from tests.conftest import data_file

SIGNING_KEY = bytes.fromhex("45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8")
TO = EthAddress(b"\x11" * 20)  # only digits, hence the same with a checksum
FOLDERS = {
    0: "GeneralStateTests/stExample",
    1: "GeneralStateTests/stEIP2930",
    2: "GeneralStateTests/stEIP1559",
    3: "state_tests/cancun/eip4844_blobs",
    4: "state_tests/prague/eip7702_set_code_tx",
}


def with_bytes(folder: str) -> Iterator[tuple[bytes, Transaction]]:
    """Yield the raw bytes of the fixtures' valid transactions, with the transactions that the fixtures describe."""
    for path in find_files([data_file("vectors/" + folder)])[:30]:
        for test in json.loads(path.read_text(encoding="utf-8")).values():
            for fork in ("Cancun", "Prague"):
                for outcome in test["post"].get(fork, ()):
                    if "txbytes" in outcome and not outcome.get("expectException"):
                        indexes = outcome["indexes"]
                        place = indexes["data"], indexes["gas"], indexes["value"]
                        yield bytes.fromhex(outcome["txbytes"][2:]), read_transaction(test["transaction"], place)


@pytest.mark.parametrize("kind", FOLDERS)
def test_fixture_bytes_match_adjacent_transactions(kind: int) -> None:
    seen = 0
    for raw, expected in with_bytes(FOLDERS[kind]):
        found = parse_transaction(raw)
        assert replace(found.transaction, chain_id=None) == expected
        assert replace(found, wire_form=b"").raw() == raw
        seen += found.transaction.type == kind
    assert seen


def transactions() -> dict[str, tuple[Transaction, dict[str, Any]]]:
    """Return a transaction of each kind that eth-account signs, with eth-account's fields."""
    common: dict[str, Any] = {"nonce": 3, "to": "0x" + TO.hex(), "value": 5, "data": b"\x01\0", "gas": 60_000}
    base = Transaction(0, None, 3, TO, 5, b"\x01\0", 60_000, 7, 7)
    slots = [{"address": "0x" + TO.hex(), "storageKeys": ["0x" + "00" * 31 + "09"]}]
    fees = {"maxFeePerGas": 9, "maxPriorityFeePerGas": 2, "chainId": 314}
    listed = ((TO, (9,)),)
    return {
        "without a chain": (base, {**common, "gasPrice": 7}),
        "of a chain": (replace(base, chain_id=314), {**common, "gasPrice": 7, "chainId": 314}),
        "with an access list": (
            replace(base, type=1, chain_id=314, access_list=listed),
            {**common, "gasPrice": 7, "chainId": 314, "type": 1, "accessList": slots},
        ),
        "with two fees": (
            replace(base, type=2, chain_id=314, max_fee=9, max_priority_fee=2, access_list=listed),
            {**common, **fees, "type": 2, "accessList": slots},
        ),
        "that creates": (replace(base, chain_id=314, to=None), {**common, "to": b"", "gasPrice": 7, "chainId": 314}),
    }


@pytest.mark.parametrize("name", transactions())
def test_signing_is_eth_accounts_to_the_byte(name: str) -> None:
    transaction, fields = transactions()[name]
    theirs = EthAccount.sign_transaction(fields, SIGNING_KEY)
    ours = transaction.sign(SIGNING_KEY)
    assert ours.raw() == bytes(theirs.raw_transaction)
    assert ours.hash() == bytes(theirs.hash)
    assert ours.sender() == bytes.fromhex(EthAccount.from_key(SIGNING_KEY).address[2:])
    assert parse_transaction(ours.raw()) == ours


def signed() -> SignedTransaction:
    return transactions()["with two fees"][0].sign(SIGNING_KEY)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is empty"),
        (b"\x05\xc0", "type 5"),
        (b"\x00\xc0", "type 0"),
        (b"\x02\xc0", "12"),
        (b"\x02\x80", "list"),
        (b"\xc0", "9"),
    ],
)
def test_invalid_transaction_is_rejected_with_message(raw: bytes, words: str) -> None:
    with pytest.raises(TransactionError, match=words):
        parse_transaction(raw)


def test_truncated_or_extended_transaction_is_rejected() -> None:
    raw = signed().raw()
    for end in range(len(raw)):
        with pytest.raises(TransactionError):
            parse_transaction(raw[:end])
    with pytest.raises(TransactionError):
        parse_transaction(raw + b"\0")
