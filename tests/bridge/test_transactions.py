"""Ethereum transactions.

- Conversion of Ethereum transactions to messages, with eth-account's signatures and test cases of Filecoin nodes.
- Raw transactions, compared with the official fixtures' `txbytes` and with eth-account.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account
from eth_account import Account as EthAccount
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress, masked_id
from bridge.ethereum.transactions import (
    ACCESS_LIST,
    DYNAMIC_FEE,
    LEGACY,
    SET_CODE,
    SignedTransaction,
    Transaction,
    TransactionError,
    parse_transaction,
)
from bridge.filecoin.messages import envelope_message, from_signed_message, message_of, signed_message
from bridge.filecoin.method_numbers import INVOKE_EVM
from hypervisor.errors import AddressError
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Signature, SignatureType, SignedMessage
from hypervisor.types import EAM_ACTOR, Gas, MethodNumber, TokenAmount
from hypervisor_tools.laboratory.vectors.statetest import find_files, read_transaction
from tests.conftest import data_file, samples

CHAIN_ID = 31415926
KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
SENDER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
RECEIVER = bytes.fromhex("70997970c51812dc3a010c7d01b50e0d17dc79c8")

u64 = st.integers(0, (1 << 64) - 1)
u128 = st.integers(0, (1 << 128) - 1)


def fields(kind: int, chain_id: int | None, to: bytes | None, **others: Any) -> dict[str, Any]:
    """Return a transaction in eth-account's form."""
    found = {"nonce": 0, "value": 0, "data": b"", "gas": 3_000_000, **others}
    if to is not None:
        found["to"] = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    if chain_id is not None:
        found["chainId"] = chain_id
    if kind == DYNAMIC_FEE:
        return {"type": 2, "maxFeePerGas": 200_000, "maxPriorityFeePerGas": 100_000, **found}
    if kind == ACCESS_LIST:
        return {"type": 1, "gasPrice": 100_000, "accessList": [], **found}
    return {"gasPrice": 100_000, **found}


KINDS = [(LEGACY, None), (LEGACY, CHAIN_ID), (ACCESS_LIST, CHAIN_ID), (DYNAMIC_FEE, CHAIN_ID)]


@pytest.mark.parametrize(("kind", "chain_id"), KINDS)
@given(nonce=u64, value=u128, data=st.binary(max_size=100), to=st.none() | st.just(RECEIVER))
@settings(max_examples=samples(20), deadline=None)
def test_eth_account_transaction_is_parsed_and_resigned(
    kind: int, chain_id: int | None, nonce: int, value: int, data: bytes, to: bytes | None
) -> None:
    signed = Account.sign_transaction(fields(kind, chain_id, to, nonce=nonce, value=value, data=data), KEY)
    read = parse_transaction(bytes(signed.raw_transaction))
    assert read.raw() == bytes(signed.raw_transaction)
    assert read.hash() == bytes(signed.hash)
    assert (read.r, read.s, read.v) == (signed.r, signed.s, signed.v)
    assert "0x" + read.sender().hex() == SENDER.lower()
    assert read.transaction.sign(KEY) == read
    found = read.transaction
    assert (found.type, found.chain_id, found.nonce, found.to, found.value) == (kind, chain_id, nonce, to, value)
    assert (found.data, found.gas_limit) == (data, 3_000_000)


@pytest.mark.parametrize(("kind", "chain_id"), KINDS)
@given(nonce=u64, value=u128, data=st.binary(max_size=60), to=st.none() | st.just(RECEIVER))
@settings(max_examples=samples(20), deadline=None)
def test_a_transaction_comes_back_from_its_message(
    kind: int, chain_id: int | None, nonce: int, value: int, data: bytes, to: bytes | None
) -> None:
    receiver = None if to is None else EthAddress(to)
    signed = Transaction(kind, chain_id, nonce, receiver, value, data, 5, 7, 7).sign(KEY)
    assert from_signed_message(signed_message(signed), CHAIN_ID) == signed


# Transactions from lotus' tests (chain/types/ethtypes): raw, and the signature expected there.
HOMESTEAD = (
    "f85f030182520794b94f5374fce5edbc8e2a8697c15331677e6ebf0b0a801ba098ff921201554726367d2be8c804a7ff89ccf285ebc57dff8a"
    "e4c44b9c19ac4aa07778cde41a8a37f6a087622b38bc201bd3e7df06dce067569d4def1b53dba98c"
)
EIP_155 = (
    "f86680843b9aca00835dc1ba94c2dca9a18d4a4057921d1bcb22da05e68e46b1d06480820297a0f91ee69c4603c4f21131467ee9e06ad4a96d"
    "0a29fa8064db61f3adaea0eb6e92a07181e306bb8f773d94cc3b75e9835de00c004e072e6630c0c46971d38706bb01"
)
EIP_1559 = (
    "02f8598401df5e76028301d69083086a5e835532dd808080c080a0457e33227ac7ceee2ef121755e26b872b6fb04221993f9939349bb7b0a3e"
    "1595a02d8ef379e1d2a9e30fa61c92623cc9ed72d80cf6a48cfea341cb916bcc0a81bc"
)


def test_a_homestead_transaction_of_lotus() -> None:
    read = parse_transaction(bytes.fromhex(HOMESTEAD))
    message = signed_message(read)
    assert (read.transaction.chain_id, read.v) == (None, 27)
    assert (message.message.nonce, message.message.gas_limit, message.message.gas_fee_cap) == (3, 0x5207, 1)
    assert message.message.gas_premium == 1
    assert message.message.to == Address.delegated(10, bytes.fromhex("b94f5374fce5edbc8e2a8697c15331677e6ebf0b"))
    assert message.signature.data == bytes.fromhex(
        "0198ff921201554726367d2be8c804a7ff89ccf285ebc57dff8ae4c44b9c19ac4a"
        "7778cde41a8a37f6a087622b38bc201bd3e7df06dce067569d4def1b53dba98c1b"
    )


def test_an_eip_155_transaction_of_lotus() -> None:
    read = parse_transaction(bytes.fromhex(EIP_155))
    message = signed_message(read)
    assert read.transaction.chain_id == 314
    assert read.sender().hex() == "a2bbb73ac59b256415e91a820b224dbaf2c268fa"
    assert message.message.from_ == Address.delegated(10, read.sender())
    assert (message.message.value, message.message.gas_limit, message.message.params) == (100, 6144442, b"")
    assert message.message.method == INVOKE_EVM
    assert message.signature.data[:1] + message.signature.data[65:] == bytes.fromhex("020297")
    assert from_signed_message(message, 314) == read


def test_a_transaction_of_lotus_that_creates_a_contract() -> None:
    read = parse_transaction(bytes.fromhex(EIP_1559))
    assert hex(read.r) == "0x457e33227ac7ceee2ef121755e26b872b6fb04221993f9939349bb7b0a3e1595"
    assert hex(read.s) == "0x2d8ef379e1d2a9e30fa61c92623cc9ed72d80cf6a48cfea341cb916bcc0a81bc"
    message = signed_message(read).message
    assert (message.to, message.method) == (Address.id(EAM_ACTOR), 4)
    assert (message.nonce, message.gas_premium, message.gas_fee_cap) == (2, 0x1D690, 0x86A5E)


@pytest.mark.parametrize(
    ("chain_id", "length"), [(1, 66), (0x0100, 67), (0x010000, 68), (0x01000000, 69), (0x010000000000, 71)]
)
def test_eip_155_signature_length_depends_on_chain_id(chain_id: int, length: int) -> None:
    transaction = Transaction(LEGACY, chain_id, 0, EthAddress(RECEIVER), 0, b"", 1, 1, 1)
    assert len(signed_message(transaction.sign(KEY)).signature.data) == length


def test_receiver_sets_address_and_data_sets_params() -> None:
    base = Transaction(DYNAMIC_FEE, CHAIN_ID, 0, masked_id(1234), 5, b"", 6, 7, 8)
    sender = EthAddress(RECEIVER)
    assert message_of(base, sender).to == Address.id(1234)
    assert message_of(base, sender).params == b""
    assert message_of(replace(base, data=b"\x01\x02"), sender).params == bytes.fromhex("420102")
    created = message_of(replace(base, to=None, data=b"\xfe"), sender)
    assert (created.to, created.method, created.params) == (Address.id(EAM_ACTOR), 4, bytes.fromhex("41fe"))


def test_a_masked_id_sends_no_transaction() -> None:
    with pytest.raises(AddressError, match="0xff00000000000000000000000000000000000005 is the masked ID of an actor"):
        message_of(Transaction(DYNAMIC_FEE, CHAIN_ID, 0, None, 0, b"", 1, 1, 1), masked_id(5))


@pytest.mark.parametrize(
    ("field", "number", "words"),
    [
        ("nonce", -1, "nonce -1 is not an unsigned number of 64 bits"),
        ("nonce", 1 << 64, "nonce 18446744073709551616 is no"),
        ("gas_limit", -1, "gas limit -1 is no"),
        ("gas_limit", 1 << 64, "gas limit 18446744073709551616 is no"),
        ("chain_id", -1, "chain id -1 is no"),
        ("value", -1, "value -1 is not an unsigned number of 256 bits"),
        ("value", 1 << 256, "of 256 bits"),
        ("max_fee", -1, "max fee -1 is no"),
        ("max_priority_fee", -1, "max priority fee -1 is no"),
    ],
)
def test_out_of_range_transaction_numbers_are_rejected_by_field(field: str, number: int, words: str) -> None:
    sound = Transaction(DYNAMIC_FEE, CHAIN_ID, 0, None, 0, b"", 1, 1, 1)
    wrong = replace(sound, **{field: number})  # type: ignore[arg-type]  # a field by name
    for use in (lambda: wrong.sign(KEY), lambda: message_of(wrong, EthAddress(RECEIVER))):
        with pytest.raises(TransactionError, match=words):
            use()
    negative = message(value=TokenAmount(-1))
    with pytest.raises(TransactionError, match="value -1"):
        from_signed_message(SignedMessage(negative, Signature(SignatureType.DELEGATED, bytes(65))), CHAIN_ID)


def test_a_signature_that_no_key_made_is_refused() -> None:
    signed = Transaction(DYNAMIC_FEE, CHAIN_ID, 0, EthAddress(RECEIVER), 0, b"", 1, 1, 1).sign(KEY)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    # A signature with the other s is valid for the curve, but rejected since Homestead (EIP-2).
    mirrored = replace(signed, s=order - signed.s, y_parity=1 - signed.y_parity)
    for broken in (replace(signed, r=0), replace(signed, s=0), replace(signed, r=order), mirrored):
        with pytest.raises(TransactionError, match="signature is invalid"):
            broken.sender()
    assert replace(signed, y_parity=1 - signed.y_parity).sender() != signed.sender()


def raw_1559(**changes: Any) -> bytes:
    """Encode a type 2 transaction from raw fields."""
    found: dict[str, Any] = {
        "chain": rlp.number(CHAIN_ID), "nonce": b"", "priority": b"", "cap": b"", "gas": b"\x01", "to": RECEIVER,
        "value": b"", "data": b"", "access": [], "v": b"", "r": b"\x01", "s": b"\x01",
    }  # fmt: skip
    return b"\x02" + rlp.encode(list((found | changes).values()))


def listed(kind: int) -> bytes:
    """Return a raw transaction with an access list (type 4: and an authorization), signed by eth-account."""
    slots = [{"address": SENDER, "storageKeys": ["0x" + "07" * 32, "0x" + "00" * 32]}]
    given = fields(kind if kind != SET_CODE else DYNAMIC_FEE, CHAIN_ID, RECEIVER, accessList=slots)
    if kind == SET_CODE:
        word = Account.from_key(KEY).sign_authorization({"chainId": CHAIN_ID, "address": RECEIVER, "nonce": 3})
        given |= {"type": SET_CODE, "authorizationList": [word]}
    return bytes(Account.sign_transaction(given, KEY).raw_transaction)


@pytest.mark.parametrize("kind", [ACCESS_LIST, DYNAMIC_FEE, SET_CODE])
def test_a_transaction_that_no_message_can_hold_is_carried_whole(kind: int) -> None:
    raw = listed(kind)
    signed = parse_transaction(raw)
    slots = (int.from_bytes(b"\x07" * 32, "big"), 0)
    assert signed.transaction.access_list == ((EthAddress(bytes.fromhex(SENDER[2:])), slots),)
    assert [(word.address, word.nonce) for word in signed.transaction.authorizations] == (
        [(RECEIVER, 3)] if kind == SET_CODE else []
    )
    assert signed.raw() == raw
    assert signed.sender().hex() == SENDER[2:].lower()
    message = envelope_message(signed)
    assert message.signature.data == b"\x04" + raw
    assert from_signed_message(message, CHAIN_ID) == signed
    with pytest.raises(TransactionError, match=r"access list|type 4"):
        signed_message(signed)


@pytest.mark.parametrize("size", [0, 22, 23, 24, 25])
def test_transaction_without_signature_is_carried_at_every_length(size: int) -> None:
    """A signature of 65 bytes is that of a type 2 transaction, also if it begins with the prefix of a whole one."""
    listed = ((EthAddress(RECEIVER), ()),)
    transaction = Transaction(ACCESS_LIST, CHAIN_ID, 0, None, 0, bytes(size), 1, 0, 0, listed)
    carried = SignedTransaction(transaction, 0, 0, 0)
    message = envelope_message(carried, EthAddress(bytes.fromhex(SENDER[2:])))
    assert len(message.signature.data) != 65
    assert from_signed_message(message, CHAIN_ID) == carried


def test_message_must_match_its_carried_transaction() -> None:
    message = envelope_message(parse_transaction(listed(DYNAMIC_FEE)))
    other = replace(message, message=replace(message.message, value=TokenAmount(1)))
    with pytest.raises(TransactionError, match="does not match the message"):
        from_signed_message(other, CHAIN_ID)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is empty"),
        (b"\x00", "a type 0 transaction is a plain RLP list"),
        (b"\x03\xc0", "malformed"),
        (b"\x04\xc0", "malformed"),
        (b"\x7f", "transaction type not supported: type 127; expected type 0, 1, 2, 3 or 4"),
        (b"\x02", "malformed: the item is truncated"),
        (b"\x02\xc0", "expected a list of 12 items, found 0"),
        (b"\x01\xc0", "expected a list of 11 items, found 0"),
        (b"\xc0", "expected a list of 9 items, found 0"),
        (raw_1559() + b"\x00", "1 trailing bytes"),
        (raw_1559(to=b"\x01"), "20 bytes"),
        (raw_1559(nonce=b"\x01" + bytes(8)), "9 bytes, at most 8"),
        (raw_1559(value=b"\x00"), "leading zeros"),
        (raw_1559(value=b"\x01" + bytes(32)), "33 bytes, at most 32"),
        (raw_1559(v=b"\x02"), "parity must be 0 or 1, not 2"),
        (raw_1559(access=[[RECEIVER, [b"\x01"]]]), "a slot of the access list does not have 32 bytes"),
        (raw_1559(access=b""), "expected a list, found a byte string"),
        (raw_1559(data=[]), "expected a byte string, found a list"),
        (
            rlp.encode([b"", b"", b"", b"", b"", b"", b"\x1d", b"\x01", b"\x01"]),
            "v must be 27, 28, or at least 35, not 29",
        ),
    ],
)
def test_malformed_transactions_are_refused_with_the_reason(raw: bytes, words: str) -> None:
    with pytest.raises(TransactionError, match=words):
        parse_transaction(raw)


def message(**changes: Any) -> Message:
    transaction = Transaction(DYNAMIC_FEE, CHAIN_ID, 0, EthAddress(RECEIVER), 0, b"\x01", 1, 2, 2)
    found = message_of(transaction, EthAddress(RECEIVER))
    return replace(found, **changes)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"method": MethodNumber(0)}, "method 0 .* cannot be called by a transaction"),
        ({"method": MethodNumber(4)}, "cannot be called by a transaction"),
        ({"to": Address.actor(b"robust")}, "has no Ethereum address"),
        ({"from_": Address.id(5)}, "sender f05 has no Ethereum address"),
        ({"params": b"\x80"}, "not calldata"),
        # Nodes reject messages that a round trip changes: empty calldata becomes empty parameters.
        ({"params": b"\x40"}, "the message does not match the transaction in its signature"),
        ({"version": 1}, "the message does not match the transaction in its signature"),
    ],
)
def test_a_message_that_no_transaction_becomes_is_refused(changed: dict[str, Any], words: str) -> None:
    signed = SignedMessage(message(**changed), Signature(SignatureType.DELEGATED, bytes(65)))
    with pytest.raises(TransactionError, match=words):
        from_signed_message(signed, CHAIN_ID)


@pytest.mark.parametrize("data", ["", "00", "00" * 64, "00" * 66, "05" + "00" * 65, "01" + "00" * 66])
def test_a_delegated_signature_of_another_form_is_refused(data: str) -> None:
    with pytest.raises(TransactionError, match="delegated signature of"):
        from_signed_message(SignedMessage(message(), Signature(SignatureType.DELEGATED, bytes.fromhex(data))), CHAIN_ID)


@pytest.mark.parametrize("data", ["00" * 64 + "02", "01" + "00" * 64 + "1d", "02" + "00" * 64 + "03bebf11"])
def test_a_v_of_another_chain_or_of_none_is_refused(data: str) -> None:
    with pytest.raises(TransactionError, match=r"signature's v of"):
        from_signed_message(SignedMessage(message(), Signature(SignatureType.DELEGATED, bytes.fromhex(data))), CHAIN_ID)


def test_a_native_signature_carries_no_transaction() -> None:
    signed = SignedMessage(message(), Signature(SignatureType.SECP256K1, bytes(65)))
    with pytest.raises(TransactionError, match="with a SECP256K1 signature does not carry a transaction"):
        from_signed_message(signed, CHAIN_ID)


def test_amounts_are_as_wide_as_the_message_allows() -> None:
    widest = Transaction(DYNAMIC_FEE, CHAIN_ID, 0, EthAddress(RECEIVER), (1 << 256) - 1, b"", 1, (1 << 256) - 1, 0)
    found = message_of(widest, EthAddress(RECEIVER))
    assert (found.value, found.gas_fee_cap) == (TokenAmount((1 << 256) - 1), TokenAmount((1 << 256) - 1))
    assert found.gas_limit == Gas(1)


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
