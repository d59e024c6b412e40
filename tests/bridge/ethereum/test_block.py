"""Block-level access lists (EIP-7928): the encoding, the JSON form, and the first difference of two lists."""

from collections.abc import Callable

import pytest

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import AccountAccess, BlockAccessList, first_difference
from bridge.ethereum.rlp import RlpError

ONE, TWO = (EthAddress(bytes([number]) * 20) for number in (0x11, 0x22))


def a_list() -> BlockAccessList:
    return BlockAccessList({
        TWO: AccountAccess(writes={5: {2: 0, 1: 300}, 1: {1: 7}}, reads={9, 0}),
        ONE: AccountAccess(balances={1: 200}, nonces={1: 1}, codes={3: b"\x60\x00"}),
    })  # fmt: skip


def test_the_encoding_is_that_of_a_hand_computation() -> None:
    one = "94" + "11" * 20 + "c0" + "c0" + "c4c30181c8" + "c3c20101" + "c5c403826000"
    two = "94" + "22" * 20 + "d1" + "c5" + "01" + "c3c20107" + "ca" + "05" + "c8" + "c40182012c" + "c20280"
    two += "c28009" + "c0c0c0"
    first, second = (f"{0xC0 + len(part) // 2:02x}{part}" for part in (one, two))
    assert a_list().rlp().hex() == f"f8{(len(first) + len(second)) // 2:02x}{first}{second}"


def test_an_empty_list_has_the_hash_of_the_proposal() -> None:
    assert BlockAccessList().hash().hex() == "1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"


def test_an_encoding_is_read_again() -> None:
    assert BlockAccessList.decode(a_list().rlp()) == a_list()


@pytest.mark.parametrize("data", ["80", "c1c0", "d9d8" + "93" + "11" * 19 + "c0c0c0c0c0", "c180"])
def test_another_encoding_is_refused(data: str) -> None:
    with pytest.raises(RlpError):
        BlockAccessList.decode(bytes.fromhex(data))


def test_items_are_addresses_and_slots() -> None:
    assert a_list().items == 2 + 2 + 2


def test_the_json_form_is_that_of_the_execution_apis() -> None:
    word = "0x" + "00" * 31
    assert a_list().json() == [
        {
            "address": "0x" + "11" * 20, "storageChanges": [], "storageReads": [],
            "balanceChanges": [{"index": "0x1", "value": "0xc8"}], "nonceChanges": [{"index": "0x1", "value": "0x1"}],
            "codeChanges": [{"index": "0x3", "code": "0x6000"}],
        },
        {
            "address": "0x" + "22" * 20,
            "storageChanges": [
                {"key": f"{word}01", "changes": [{"index": "0x1", "value": f"{word}07"}]},
                {
                    "key": f"{word}05",
                    "changes": [
                        {"index": "0x1", "value": f"0x{300:064x}"}, {"index": "0x2", "value": f"{word}00"},
                    ],
                },
            ],
            "storageReads": [f"{word}00", f"{word}09"],
            "balanceChanges": [], "nonceChanges": [], "codeChanges": [],
        },
    ]  # fmt: skip


DIFFERENCES: dict[str, tuple[Callable[[BlockAccessList], object], str]] = {
    "an account is missing": (lambda found: found.accounts.pop(ONE), f"account 0x{ONE.hex()} is missing"),
    "an account too many": (lambda found: found.account(EthAddress(bytes(20))), "account 0x" + "00" * 20 + " is not e"),
    "a read is missing": (lambda found: found.account(TWO).reads.remove(9), "slot 0x9: the read is missing"),
    "a read too many": (lambda found: found.account(TWO).reads.add(3), "slot 0x3: the read is not expected"),
    "another word": (
        lambda found: found.account(TWO).writes[5].update({2: 4}), "slot 0x5 at index 2: 4, expected 0",
    ),
    "another index": (
        lambda found: found.account(ONE).balances.update({2: 9}), "balance at index 2: 9, expected no change",
    ),
    "a nonce is missing": (lambda found: found.account(ONE).nonces.clear(), "nonce at index 1: no change, expected 1"),
    "another code": (
        lambda found: found.account(ONE).codes.update({3: b""}), "code at index 3: 0x, expected 0x6000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENCES)
def test_the_first_difference_is_named(name: str) -> None:
    change, words = DIFFERENCES[name]
    found = a_list()
    change(found)
    assert words in first_difference(found, a_list())


def test_equal_lists_have_no_difference() -> None:
    assert first_difference(a_list(), a_list()) == ""
