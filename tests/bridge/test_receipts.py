"""Ethereum's view of results: receipts, logs, contract state and revert data.

- Ethereum data of receipts: blooms compared with eth-bloom, reverts with the Solidity ABI.
- Conversion between events and logs.
- The state tuple, compared byte for byte.
- Formatting of revert data without the contract's interface.
"""

from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode
from eth_bloom.bloom import BloomFilter
from hypothesis import given
from hypothesis import strategies as st

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.reverts import error_text, exit_error, revert_reason, reverted_with
from bridge.filecoin.evm_state import EvmState, Lifespan, TransientData
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, CreateReturn
from bridge.filecoin.receipts import (
    EmittedLog,
    Log,
    bloom,
    bloom_bits,
    created_contract,
    display_calldata,
    effective_gas_price,
    entries_to_log,
    failure_text,
    log_to_entries,
    return_bytes,
)
from hypervisor.messages.address import Address
from hypervisor.messages.events import EventEntry
from hypervisor.messages.message import Message, Receipt
from hypervisor.types import EAM_ACTOR, ActorID, Gas, MethodNumber, TokenAmount
from runtimes.evm.contracts.code import EMPTY_CODE_HASH
from store.cid import CBOR, RAW, Cid, cid_of, parse_cid, show
from store.codec import CodecError, encode
from store.trees.kamt import EMPTY_KAMT
from tests.runtimes.evm.assembler import error_data

SENDER = Address.delegated(10, bytes(20))
CONTRACT = EthAddress(b"\x07" * 20)

logs = st.builds(
    lambda address, topics, data: EmittedLog(EthAddress(address), Log(tuple(topics), data)),
    st.binary(min_size=20, max_size=20),
    st.lists(st.binary(min_size=32, max_size=32), max_size=4),
    st.binary(max_size=8),
)


@pytest.mark.slow
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


words = st.binary(min_size=32, max_size=32)
event_logs = st.builds(Log, st.lists(words, max_size=4).map(tuple), st.binary(max_size=100))


def test_log_is_converted_like_in_official_actor() -> None:
    entries = log_to_entries(Log((b"\x01" * 32, b"\x02" * 32), b"data"))
    assert entries == [
        EventEntry(3, "t1", RAW, b"\x01" * 32),
        EventEntry(3, "t2", RAW, b"\x02" * 32),
        EventEntry(3, "d", RAW, b"data"),
    ]


def test_empty_log_becomes_event_without_entries() -> None:
    assert log_to_entries(Log((), b"")) == []


@given(event_logs)
def test_log_round_trips_through_event(log: Log) -> None:
    assert entries_to_log(log_to_entries(log)) == log


@given(st.permutations(["t1", "t2", "d"]))
def test_entry_order_does_not_matter(keys: list[str]) -> None:
    values = {"t1": b"\x01" * 32, "t2": b"\x02" * 32, "d": b"data"}
    log = entries_to_log([EventEntry(3, key, RAW, values[key]) for key in keys])
    assert log == Log((values["t1"], values["t2"]), b"data")


def test_unknown_keys_are_ignored() -> None:
    assert entries_to_log([EventEntry(3, "note", RAW, b"x"), EventEntry(3, "d", RAW, b"y")]) == Log((), b"y")


@pytest.mark.parametrize(
    "entries",
    [
        [EventEntry(3, "$type", CBOR, b"\x61a")],
        [EventEntry(3, "t1", RAW, bytes(31))],
        [EventEntry(3, "t2", RAW, bytes(32))],
        [EventEntry(3, "t1", RAW, bytes(32)), EventEntry(3, "t1", RAW, bytes(32))],
        [EventEntry(3, "d", RAW, b""), EventEntry(3, "d", RAW, b"")],
    ],
    ids=["codec", "short topic", "gap", "topic twice", "data twice"],
)
def test_event_of_another_shape_is_not_a_log(entries: list[EventEntry]) -> None:
    assert entries_to_log(entries) is None


@pytest.mark.parametrize("log", [Log((bytes(32),) * 5, b""), Log((b"short",), b"")])
def test_log_with_invalid_topics_is_refused(log: Log) -> None:
    with pytest.raises(ValueError, match="at most 4 topics"):
        log_to_entries(log)


FRESH = bytes.fromhex(
    "86d82a5827000155a0e402200e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a85820c5d2460186f7233c927e7db2"
    "dcc703c0e500b653ca82273b7bfad8045d85a470d82a5827000171a0e4022018fe6acc61a3a36b0c373c4a3a8ea64b812bf2ca9b528050909c78"
    "d408558a0cf601f6"
)
lifespans = st.builds(Lifespan, st.integers(0, 2**64 - 1).map(ActorID), st.integers(0, 2**64 - 1))
cids = st.binary(max_size=8).map(cid_of)
states = st.builds(
    EvmState,
    st.binary(max_size=8).map(lambda data: cid_of(data, RAW)),
    st.binary(min_size=32, max_size=32),
    cids,
    st.none() | st.builds(TransientData, cids, lifespans),
    st.integers(0, 2**64 - 1),
    st.none() | lifespans,
)


def test_a_fresh_contract_is_the_golden_block() -> None:
    state = EvmState(cid_of(b"", RAW), EMPTY_CODE_HASH, EMPTY_KAMT, None, 1, None)
    assert state.encode() == FRESH
    assert EvmState.decode(FRESH) == state
    assert show(cid_of(FRESH)) == "bafy2bzaceaqgk572h47obafyy4zyfnkxberkdgmwo2kdswte6ppsrtepjs334"


def test_the_empty_roots_are_the_networks() -> None:
    assert parse_cid("bafy2bzaceamp42wmmgr2g2ymg46euououzfyck7szknvfacqscohrvaikwfay") == EMPTY_KAMT
    assert show(cid_of(b"", RAW)) == "bafk2bzaceahfouoae3suhmxivmxlayez3kq5dzo7i53y654h7kvultprf7r2q"


@given(states)
def test_a_state_survives_a_round_trip(state: EvmState) -> None:
    assert EvmState.decode(state.encode()) == state


@given(states)
def test_the_older_form_has_no_transient_data(state: EvmState) -> None:
    old = EvmState.decode(state.encode(transient_field=False))
    assert old.transient is None
    assert (old.bytecode, old.storage, old.nonce, old.tombstone) == (
        state.bytecode, state.storage, state.nonce, state.tombstone,
    )  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [None, [], [1] * 6, [1, b"", 2, 3, 4, 5], "text"],
)
def test_other_blocks_are_refused(value: object) -> None:
    with pytest.raises(CodecError):
        EvmState.decode(encode(value))


@given(st.binary(max_size=100))
def test_decoding_is_total(data: bytes) -> None:
    try:
        state = EvmState.decode(FRESH[:1] + data)
    except CodecError:
        return
    assert isinstance(Cid(state.bytecode), bytes)


# The Solidity documentation's example: revert("Not enough Ether provided.").
DOCUMENTED = bytes.fromhex(
    "08c379a0"
    "0000000000000000000000000000000000000000000000000000000000000020"
    "000000000000000000000000000000000000000000000000000000000000001a"
    "4e6f7420656e6f7567682045746865722070726f76696465642e000000000000"
)


def test_solidity_documentation_example_is_formatted() -> None:
    assert error_text(DOCUMENTED) == "Not enough Ether provided."
    assert revert_reason(DOCUMENTED) == "Error(Not enough Ether provided.)"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "none"),
        (error_data("Error(string)", "not enough"), "Error(not enough)"),
        (error_data("Error(string)", ""), "Error()"),
        (error_data("Panic(uint256)", 0x01), "Assert()"),
        (error_data("Panic(uint256)", 0x11), "ArithmeticOverflow()"),
        (error_data("Panic(uint256)", 0x12), "DivideByZero()"),
        (error_data("Panic(uint256)", 0x99), "Panic(0x99)"),
        (bytes.fromhex("deadbeef"), "0xdeadbeef"),
        # Truncated, or with a length beyond the end: formatted in hex.
        (error_data("Error(string)", "abc")[:40], "0x" + error_data("Error(string)", "abc")[:40].hex()),
        (bytes.fromhex("08c379a0") + b"\xff" * 64, "0x08c379a0" + "ff" * 64),
    ],
)
def test_revert_data_is_formatted(data: bytes, words: str) -> None:
    assert revert_reason(data) == words


@given(st.text(max_size=100))
def test_the_text_of_an_error_is_read_whole(text: str) -> None:
    assert error_text(error_data("Error(string)", text)) == text


def test_bytes_that_are_no_text_are_replaced() -> None:
    data = DOCUMENTED.replace(b"Ether", b"\xff\xfe\xfd\xfc\xfb")
    assert error_text(data) == "Not enough \ufffd\ufffd\ufffd\ufffd\ufffd provided."


@given(st.binary(max_size=200))
def test_garbage_behind_the_selector_is_shown_as_it_is(body: bytes) -> None:
    data = DOCUMENTED[:4] + body
    text = error_text(data)
    assert revert_reason(data) == (f"0x{data.hex()}" if text is None else f"Error({text})")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", None),
        (error_data("Error(string)", "not enough"), "not enough"),
        (error_data("Error(string)", ""), ""),
        (bytes.fromhex("de"), "custom error bytes 0xde"),
        (bytes.fromhex("deadbeef"), "custom error 0xdeadbeef"),
        (bytes.fromhex("deadbeeffe"), "custom error 0xdeadbeef: fe"),
        (bytes.fromhex("4e487b71ffffffff"), "custom error 0x4e487b71: ffffffff"),
        *(
            (error_data("Panic(uint256)", code), words)
            for code, words in {
                0x00: "panic: generic/unspecified error (0x00)",
                0x01: "panic: assertion failed (0x01)",
                0x11: "panic: arithmetic underflow or overflow (0x11)",
                0x12: "panic: division or modulo by zero (0x12)",
                0x21: "panic: failed to convert value into enum type (0x21)",
                0x22: "panic: storage byte array incorrectly encoded (0x22)",
                0x31: "panic: called `.pop()` on an empty array (0x31)",
                0x32: "panic: array out-of-bounds access (0x32)",
                0x41: "panic: memory allocation error (0x41)",
                0x51: "panic: called an invalid internal function (0x51)",
                0x99: "panic: unknown code (0x99)",
            }.items()
        ),
    ],
)
def test_revert_data_in_anvils_words(data: bytes, words: str | None) -> None:
    """Compare with anvil 1.7.1's response to eth_call of a contract that reverts with its calldata."""
    assert reverted_with(data) == words


_FORBIDDEN = f"{18:064x}"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (f"c9ed4577{_FORBIDDEN}", "Exit(18 USR_FORBIDDEN)"),
        (f"c9ed4577{77:064x}", "Exit(77)"),
        (f"c9ed4577{33:064x}", "Exit(33)"),
        (f"c9ed4577{(1 << 256) - 6:064x}", "Exit(-6 NOT_FOUND)"),
        (f"c9ed4577{(1 << 256) - 99:064x}", "Exit(-99)"),
        (f"d4bb6671{_FORBIDDEN}", "ActorError(18 USR_FORBIDDEN)"),
        (f"486029fd{_FORBIDDEN}{64:064x}{13:064x}{b'USR_FORBIDDEN'.hex():0<64}", "NonZeroExitCode(18 USR_FORBIDDEN)"),
        (f"c9ed4577{1 << 32:064x}", None),
        (f"c9ed4577{_FORBIDDEN}00", None),
        ("c9ed4577", None),
        ("08c379a0", None),
        ("", None),
    ],
)
def test_exit_codes_of_actors_are_named(data: str, words: str | None) -> None:
    """Selectors by `cast sig`, exit codes by the FVM's specification."""
    assert exit_error(bytes.fromhex(data)) == words
