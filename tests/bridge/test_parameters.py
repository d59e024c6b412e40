"""Method numbers of names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.cbor import ParamsError
from bridge.filecoin.parameters import (
    INVOKE_EVM,
    ConstructorParams,
    Create2Params,
    CreateParams,
    CreateReturn,
    DelegateCallParams,
    MethodNameError,
    calldata_of,
    invoke_params,
    method_number,
    storage_key,
    storage_value,
)
from hypervisor.types import TokenAmount
from store.cid import CBOR, DAG_CBOR, RAW, Cid, cid_of


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
