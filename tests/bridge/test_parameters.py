"""Parameters of calls between contracts and native actors.

- Method numbers of names.
- Headers of call_actor and handle_filecoin_method, with eth-abi as the encoder of contracts.
- The lenient decoder of parameters: encodings that official actors accept and reject.
"""

import cbor2
import pytest
from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.cbor import CborReader, ParamsError, byte_string, read_byte_string, read_canonical_byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM, MethodNameError, method_number
from bridge.filecoin.parameters import (
    HANDLE_FILECOIN_METHOD,
    AbiError,
    ActorCall,
    BlockTooLarge,
    ConstructorParams,
    Create2Params,
    CreateParams,
    CreateReturn,
    DelegateCallParams,
    calldata_of,
    decode_call,
    decode_method_return,
    encode_call_return,
    encode_method_calldata,
    failed_send_exit,
    invoke_params,
    storage_key,
    storage_value,
)
from hypervisor.exit_codes import ErrorNumber
from hypervisor.types import TokenAmount
from store.cid import CBOR, DAG_CBOR, RAW, Cid, cid_of
from store.codec import encode, link


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("InvokeEVM", 3844450837),
        ("Receive", 3726118371),
        ("AuthenticateMessage", 2643134072),
        ("IsControllingAddress", 348244887),
        ("MarketNotifyDeal", 4186741094),
        ("SectorContentChanged", 2034386435),
        ("FRC46", 2233613279),
        ("Burn", 1434719642),
        ("GetSectorSize", 3858292296),
        ("MinerPower", 36284446),
        ("Constructor", 1),
    ],
)
def test_names_have_the_networks_numbers(name: str, number: int) -> None:
    assert method_number(name) == number


def test_invoke_evm_is_the_number_of_its_name() -> None:
    assert method_number("InvokeEVM") == INVOKE_EVM


@pytest.mark.parametrize("name", ["", "transfer", "1st", "With space", "Ünicode", "A-b", "Trailing\n"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(MethodNameError, match="is not a valid method name"):
        method_number(name)


@pytest.mark.slow
@given(st.from_regex(r"[A-Z_][A-Za-z0-9_]{0,30}", fullmatch=True))
def test_every_name_has_a_number_of_its_own_range(name: str) -> None:
    number = method_number(name)
    assert number == 1 if name == "Constructor" else 1 << 24 <= number < 1 << 32


INIT_CODE = bytes.fromhex("6100088061000b5f395ff360075f5260205ff3")


def test_constructor_params_are_the_golden_bytes() -> None:
    golden = bytes.fromhex("825400000000000000000000000000000000000000004860075f5260205ff3")
    params = ConstructorParams(EthAddress(bytes(20)), bytes.fromhex("60075f5260205ff3"))
    assert params.encode() == golden
    assert ConstructorParams.decode(golden) == params


def test_delegate_call_params_are_the_golden_bytes() -> None:
    golden = bytes.fromhex(
        "84d82a5827000155a0e4022006713950a05a5295a4b7cb7f9356a70f152c053d40a4d9b11de0f03e0e2dd1ac42696e"
        "540000000000000000000000000000000000000009420037"
    )
    params = DelegateCallParams.decode(golden)
    assert params.calldata == b"in"
    assert params.caller == bytes(19) + b"\x09"
    assert params.value == 55
    assert params.encode() == golden


def test_create_params_are_the_golden_bytes() -> None:
    golden = bytes.fromhex("82536100088061000b5f395ff360075f5260205ff300")
    assert CreateParams(INIT_CODE, 0).encode() == golden
    assert CreateParams.decode(golden) == CreateParams(INIT_CODE, 0)
    golden = bytes.fromhex("82536100088061000b5f395ff360075f5260205ff35820" + "00" * 32)
    assert Create2Params(INIT_CODE, bytes(32)).encode() == golden
    assert Create2Params.decode(golden) == Create2Params(INIT_CODE, bytes(32))


def test_the_address_managers_answer_is_read_from_golden_bytes() -> None:
    golden = bytes.fromhex(
        "831903e8550214a062719dfe62ca3974c864d7a261366b3003eb54289e418819eeb2c70d6134bc786a276a61cda6a0"
    )
    result = CreateReturn.decode(golden)
    assert result.actor == 1000
    assert result.robust_address == bytes.fromhex("0214a062719dfe62ca3974c864d7a261366b3003eb")
    assert result.eth_address.hex() == "289e418819eeb2c70d6134bc786a276a61cda6a0"
    assert result.encode() == golden


@pytest.mark.parametrize("broken", ["8153" + "00" * 19, "825300", "8254" + "00" * 20 + "6161", "8254" + "00" * 20])
def test_broken_constructor_params_are_refused(broken: str) -> None:
    with pytest.raises(ParamsError):
        ConstructorParams.decode(bytes.fromhex(broken))


def test_calldata_is_a_raw_block_or_one_byte_string() -> None:
    assert calldata_of(RAW, b"\x43abc") == b"\x43abc"
    assert calldata_of(CBOR, b"\x43abc") == b"abc"
    assert calldata_of(DAG_CBOR, b"\x43abc") == b"abc"
    with pytest.raises(ParamsError, match="codec"):
        calldata_of(0x70, b"\x43abc")
    with pytest.raises(ParamsError):
        calldata_of(CBOR, b"abc")


@given(st.binary(max_size=300))
def test_a_transactions_data_are_message_params(calldata: bytes) -> None:
    params = invoke_params(calldata)
    assert bool(params) == bool(calldata)
    assert calldata == (calldata_of(CBOR, params) if params else b"")


def test_storage_keys_may_be_shortened_and_values_are() -> None:
    assert storage_key(bytes.fromhex("8158200000000000000000000000000000000000000000000000000000000000000001")) == 1
    assert storage_key(bytes.fromhex("814101")) == 1
    assert storage_key(bytes.fromhex("8140")) == 0
    assert storage_value(0x1234).hex() == "421234"
    assert storage_value(0).hex() == "40"
    for broken in ("01", "9f4101ff", "824101", "82410101", "815821" + "00" * 33):
        with pytest.raises(ParamsError):
            storage_key(bytes.fromhex(broken))


def test_a_delegate_call_needs_a_real_link() -> None:
    good = DelegateCallParams(Cid(cid_of(b"", RAW)), b"", EthAddress(bytes(20)), TokenAmount(0)).encode()
    with pytest.raises(ParamsError):
        DelegateCallParams.decode(good.replace(b"\xd8\x2a", b"\xd8\x2b"))


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


@given(st.binary(max_size=70_000))
def test_a_byte_string_is_written_as_cbor2_writes_it(data: bytes) -> None:
    assert byte_string(data) == cbor2.dumps(data)
    assert read_byte_string(byte_string(data)) == read_canonical_byte_string(byte_string(data)) == data


@pytest.mark.parametrize(
    ("encoded", "content"),
    [
        ("5f4161426263ff", "616263"),
        ("5fff", ""),
        ("5f5f4161ff4162ff", "6162"),
        ("580161", "61"),
        ("5b000000000000000161", "61"),
        ("5f536100088061000b5f395ff360075f5260205ff3ff", "6100088061000b5f395ff360075f5260205ff3"),
    ],
    ids=["chunks", "no chunk", "nested chunks", "long head", "longest head", "init code of the golden case"],
)
def test_chunked_and_long_headed_byte_strings_are_taken(encoded: str, content: str) -> None:
    assert read_byte_string(bytes.fromhex(encoded)).hex() == content


@pytest.mark.parametrize(
    "encoded",
    ["", "6161", "5f6161ff", "5c", "5f41", "5f4161", "4261", "416100", "4161f6", "c24161", "f4", "820102", "9f4161ff",
     "5bffffffffffffffff"],
)  # fmt: skip
def test_everything_else_is_refused(encoded: str) -> None:
    with pytest.raises(ParamsError):
        read_byte_string(bytes.fromhex(encoded))


# From cbor-gen 0.3.1's ReadByteArray(bytes.NewReader(data), len(data)).
CANONICAL = {
    "40": "", "420102": "0102", "41014102": "01", "4000": "", "58" + "18" + "61" * 24: "61" * 24,
    "59" + "0100" + "61" * 256 + "ff": "61" * 256,
}  # fmt: skip
NOT_CANONICAL = (
    "", "580101", "58", "5817" + "61" * 23, "590001" + "61", "5900ff" + "61" * 255, "5a0000ffff" + "61" * 0xFFFF,
    "5b0000000000000001" + "61", "5f4101ff", "5c", "4261", "6161", "01", "8101", "c24161", "5bffffffffffffffff",
)  # fmt: skip


@pytest.mark.parametrize(("encoded", "content"), CANONICAL.items())
def test_displayed_byte_string_has_the_shortest_head_and_may_be_followed(encoded: str, content: str) -> None:
    assert read_canonical_byte_string(bytes.fromhex(encoded)).hex() == content


@pytest.mark.parametrize("encoded", NOT_CANONICAL, ids=lambda encoded: encoded[:20] or "empty")
def test_other_byte_strings_are_not_displayed(encoded: str) -> None:
    with pytest.raises(ParamsError):
        read_canonical_byte_string(bytes.fromhex(encoded))


def test_cbor_array_must_have_expected_and_definite_length() -> None:
    with pytest.raises(ParamsError, match="2 items, expected 3"):
        CborReader(bytes.fromhex("820102")).array(3)
    with pytest.raises(ParamsError, match="expected an array"):
        CborReader(bytes.fromhex("9f0102ff")).array(2)


def test_cbor_link_is_read_and_malformed_link_is_refused() -> None:
    cid = cid_of(b"block")
    assert CborReader(encode(link(cid))).link() == cid
    for broken in (
        b"\xd8\x2a\x58\x27\x01" + cid,
        b"\xd8\x2a\x58\x28\x00" + cid + b"\x00",
        b"\xd8\x2a\x40",
        b"\xd8\x2b\x40",
    ):
        with pytest.raises(ParamsError):
            CborReader(broken).link()


@given(st.integers(0, 2**64 - 1))
def test_unsigned_integers_of_any_head_are_taken(number: int) -> None:
    assert CborReader(cbor2.dumps(number)).unsigned() == number
    assert CborReader(b"\x1b" + number.to_bytes(8, "big")).unsigned() == number
