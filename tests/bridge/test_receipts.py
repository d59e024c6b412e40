"""Ethereum data of receipts: blooms compared with eth-bloom, reverts with the Solidity ABI."""

from typing import Any

from eth_abi.abi import encode as abi_encode
from eth_bloom.bloom import BloomFilter
from hypothesis import given
from hypothesis import strategies as st

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.events import Log
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, INVOKE_EVM, CreateReturn
from bridge.filecoin.receipts import (
    EmittedLog,
    bloom,
    bloom_bits,
    created_contract,
    display_calldata,
    effective_gas_price,
    failure_text,
    return_bytes,
)
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Receipt
from hypervisor.types import EAM_ACTOR, ActorID, Gas, MethodNumber, TokenAmount
from tests.bridge.errors import error_data

SENDER = Address.delegated(10, bytes(20))
CONTRACT = EthAddress(b"\x07" * 20)

logs = st.builds(
    lambda address, topics, data: EmittedLog(EthAddress(address), Log(tuple(topics), data)),
    st.binary(min_size=20, max_size=20),
    st.lists(st.binary(min_size=32, max_size=32), max_size=4),
    st.binary(max_size=8),
)


@given(st.lists(logs, max_size=5))
def test_the_bloom_is_that_of_eth_bloom(emitted: list[EmittedLog]) -> None:
    expected: Any = BloomFilter()
    for entry in emitted:
        expected.add(bytes(entry.address))
        expected.extend(entry.log.topics)
    assert int.from_bytes(bloom(emitted), "big") == int(expected)


@given(logs)
def test_bloom_contains_bits_of_address_and_topics(entry: EmittedLog) -> None:
    bits = int.from_bytes(bloom([entry]), "big")
    for item in (entry.address, *entry.log.topics):
        assert bits & bloom_bits(item) == bloom_bits(item)


def test_failure_text_matches_network_nodes() -> None:
    text = failure_text(33, error_data("Error(string)", "no"), "contract reverted")
    expected = "(exit=[EVM_CONTRACT_REVERTED(33)], revert reason=[Error(no)], vm error=[contract reverted])"
    assert text == f"message execution failed {expected}"
    assert failure_text(77, b"\x01", "") == (
        "message execution failed (exit=[77], revert reason=[none], vm error=[none])"
    )


def test_the_price_is_all_that_was_paid_by_the_gas_used() -> None:
    assert effective_gas_price(TokenAmount(1_000_999), 1_000) == 1_000
    assert effective_gas_price(TokenAmount(0), 0) == 0


def creation(params: bytes = b"\x41\xfe") -> Message:
    return Message(Address.id(EAM_ACTOR), SENDER, method=MethodNumber(CREATE_EXTERNAL_METHOD), params=params)


def test_created_contract_address_is_from_manager_return() -> None:
    result = CreateReturn(ActorID(100), None, CONTRACT).encode()
    assert created_contract(creation(), Receipt(0, result, Gas(1))) == CONTRACT
    assert created_contract(creation(), Receipt(33, result, Gas(1))) is None
    assert created_contract(creation(), Receipt(0, b"\x00", Gas(1))) is None
    assert created_contract(Message(Address.id(10), SENDER), Receipt(0, result, Gas(1))) is None


def test_a_caller_sees_the_content_of_the_byte_string() -> None:
    call = Message(Address.id(100), SENDER, method=INVOKE_EVM)
    assert return_bytes(call, Receipt(0, b"\x42\x01\x02", Gas(1))) == b"\x01\x02"
    assert return_bytes(call, Receipt(33, b"\x41\x05", Gas(1))) == b"\x05"
    assert return_bytes(creation(), Receipt(0, CreateReturn(ActorID(100), None, CONTRACT).encode(), Gas(1))) == b""
    assert return_bytes(creation(), Receipt(33, b"\x41\x05", Gas(1))) == b"\x05"


def test_native_message_input_is_handle_filecoin_method_call() -> None:
    # Lotus: selector 868e10c4, then ABI (method, codec 0x51 with parameters, else 0; parameters).
    other = Message(Address.id(5), SENDER, method=MethodNumber(2), params=b"\x81\x01")
    expected = "868e10c4" + abi_encode(["uint64", "uint64", "bytes"], [2, 0x51, b"\x81\x01"]).hex()
    assert display_calldata(other).hex() == expected
    bare = Message(Address.id(5), SENDER)
    assert display_calldata(bare).hex() == "868e10c4" + abi_encode(["uint64", "uint64", "bytes"], [0, 0, b""]).hex()
    assert display_calldata(Message(Address.id(100), SENDER, method=INVOKE_EVM, params=b"\x42\x01\x02")) == b"\x01\x02"
    assert display_calldata(creation()) == b"\xfe"
    for shown_natively in (
        Message(Address.id(100), SENDER, method=INVOKE_EVM, params=b"\x58\x01\x01"),  # a head that is not the shortest
        Message(Address.id(100), SENDER, method=MethodNumber(CREATE_EXTERNAL_METHOD), params=b"\x41\xfe"),
        creation(b"\x5f\x41\xfe\xff"),
    ):
        assert display_calldata(shown_natively).startswith(bytes.fromhex("868e10c4"))
