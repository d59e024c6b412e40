"""Headers of call_actor and handle_filecoin_method, with eth-abi as the encoder of contracts."""

import pytest
from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from bridge.filecoin.call import (
    HANDLE_FILECOIN_METHOD,
    AbiError,
    ActorCall,
    BlockTooLarge,
    decode_call,
    decode_method_return,
    encode_call_return,
    encode_method_calldata,
    failed_send_exit,
)
from hypervisor.exit_codes import ErrorNumber
from store.cid import CBOR, DAG_CBOR, RAW

BY_ID = ["uint64", "uint256", "uint64", "uint64", "bytes", "uint64"]
BY_ADDRESS = [*BY_ID[:5], "bytes"]

calls_by_id = st.builds(
    ActorCall,
    method=st.sampled_from([0, 1024, 3844450837, 2**64 - 1]),
    value=st.integers(0, 2**256 - 1),
    read_only=st.booleans(),
    codec=st.just(CBOR),
    params=st.binary(max_size=100),
    target=st.integers(0, 2**64 - 1),
)
calls_by_address = st.builds(
    ActorCall,
    method=st.just(0),
    value=st.integers(0, 2**128),
    read_only=st.booleans(),
    codec=st.just(CBOR),
    params=st.binary(max_size=100),
    target=st.binary(max_size=66),
)


def _abi(call: ActorCall, types: list[str]) -> bytes:
    fields = [call.method, call.value, int(call.read_only), call.codec, call.params, call.target]
    return abi_encode(types, fields)


@given(calls_by_id)
def test_call_by_id_is_decoded_from_solidity_encoding(call: ActorCall) -> None:
    assert decode_call(_abi(call, BY_ID), by_id=True) == call


@given(calls_by_address)
def test_call_by_address_is_decoded_from_solidity_encoding(call: ActorCall) -> None:
    assert decode_call(_abi(call, BY_ADDRESS), by_id=False) == call


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ((2**64, 0, 0, CBOR, b"", 1), "exceeds"),
        ((1, 0, 0, CBOR, b"", 1), "contracts may call"),
        ((1023, 0, 0, CBOR, b"", 1), "contracts may call"),
        ((0, 0, 2, CBOR, b"", 1), "flags"),
        ((0, 0, 2**64, CBOR, b"", 1), "exceeds"),
        ((0, 0, 0, DAG_CBOR, b"", 1), "codec"),
        ((0, 0, 0, RAW, b"", 1), "codec"),
        ((0, 0, 0, 0, b"x", 1), "codec"),
        ((0, 0, 0, CBOR, b"", 2**64), "exceeds"),
    ],
)
def test_a_field_out_of_range_is_refused(fields: tuple[int, int, int, int, bytes, int], reason: str) -> None:
    wide = ["uint256", "uint256", "uint256", "uint256", "bytes", "uint256"]
    with pytest.raises(AbiError, match=reason):
        decode_call(abi_encode(wide, fields), by_id=True)


def test_missing_call_data_is_read_as_zeros() -> None:
    assert decode_call(b"", by_id=True) == ActorCall(0, 0, False, 0, b"", 0)


def test_length_above_any_block_raises_block_too_large() -> None:
    head = abi_encode(["uint64", "uint256", "uint64", "uint64", "uint64", "uint64"], [0, 0, 0, CBOR, 192, 1])
    with pytest.raises(BlockTooLarge) as caught:
        decode_call(head + (2**31).to_bytes(32, "big"), by_id=True)
    assert caught.value.length == 2**31
    with pytest.raises(AbiError):
        decode_call(head + (2**32).to_bytes(32, "big"), by_id=True)


@given(st.integers(-13, 2**32 - 1), st.sampled_from([0, CBOR, DAG_CBOR, RAW]), st.binary(max_size=100))
def test_return_data_is_decodable_by_solidity(exit_code: int, codec: int, data: bytes) -> None:
    encoded = encode_call_return(exit_code, codec, data)
    assert abi_decode(["int256", "uint64", "bytes"], encoded) == (exit_code, codec, data)


def test_refused_send_has_negative_exit_code() -> None:
    assert encode_call_return(failed_send_exit(ErrorNumber.NOT_FOUND), 0, b"")[:32].hex() == "ff" * 31 + "fa"


def test_selector_matches_signature() -> None:
    assert keccak(text="handle_filecoin_method(uint64,uint64,bytes)")[:4] == HANDLE_FILECOIN_METHOD


@given(st.integers(1024, 2**64 - 1), st.sampled_from([0, CBOR, DAG_CBOR, RAW]), st.binary(max_size=100))
def test_calldata_matches_solidity_encoding(method: int, codec: int, params: bytes) -> None:
    calldata = encode_method_calldata(method, codec, params)
    assert calldata == HANDLE_FILECOIN_METHOD + abi_encode(["uint64", "uint64", "bytes"], [method, codec, params])


@given(st.integers(0, 2**32 - 1), st.binary(max_size=100))
def test_contract_return_is_decoded_as_encoded(exit_code: int, data: bytes) -> None:
    encoded = abi_encode(["uint32", "uint64", "bytes"], [exit_code, CBOR, data])
    assert decode_method_return(encoded) == (exit_code, data)


def test_empty_return_is_success_without_data() -> None:
    assert decode_method_return(b"") == (0, None)
    assert decode_method_return(abi_encode(["uint32", "uint64", "bytes"], [5, 0, b""])) == (5, None)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ((2**32, CBOR, b""), "exceeds"),
        ((0, 2**64, b""), "exceeds"),
        ((0, 0, b"x"), "codec 0"),
        ((0, DAG_CBOR, b""), "codec"),
        ((0, RAW, b""), "codec"),
    ],
)
def test_out_of_range_return_is_refused(fields: tuple[int, int, bytes], reason: str) -> None:
    with pytest.raises(AbiError, match=reason):
        decode_method_return(abi_encode(["uint256", "uint256", "bytes"], fields))
