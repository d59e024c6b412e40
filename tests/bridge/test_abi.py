"""Solidity interfaces: calls, return values, logs and reverts, compared with the ABI standard, eth-abi and web3."""

import json
import re
import time
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from eth_abi.abi import encode as abi_encode
from eth_abi.tools import get_abi_strategy  # type: ignore[attr-defined]  # documented, not marked as exported
from hypothesis import given
from hypothesis import strategies as st
from web3 import Web3

from bridge.abi.abi import AbiMismatch, ContractInterface, DecodedCall, DecodedLog, check_unfolding
from bridge.filecoin.receipts import Log
from store.keccak import keccak
from tests.patience import slowness
from tests.runtimes.evm.assembler import error_data

TRANSFER = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
ALICE, BOB = "0x" + "a1" * 20, "0x" + "b0" * 20
NO_TEXT = abi_encode(["bytes"], [b"\xff\xfe"])  # encoded like a string, but not UTF-8


def item(kind: str, name: str = "", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


def function(name: str, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"type": "function", "name": name, "inputs": inputs, "outputs": outputs or [], "stateMutability": "view"}


def of_types(name: str, *kinds: str) -> dict[str, Any]:
    return function(name, [item(kind, f"x{place}") for place, kind in enumerate(kinds)])


def event(name: str, *inputs: dict[str, Any], anonymous: bool = False) -> dict[str, Any]:
    return {"type": "event", "name": name, "inputs": list(inputs), "anonymous": anonymous}


def word(address: str) -> bytes:
    return bytes.fromhex(address[2:]).rjust(32, b"\0")


POINT = item("tuple", "at", components=[item("uint8", "x"), item("string", "label")])
EVENTS = [
    event("Transfer", item("address", "from", indexed=True), item("address", "to", indexed=True),
          item("uint256", "value", indexed=False)),
    event("Noted", item("string", "what", indexed=True), item("uint8[]", "", indexed=True),
          {**POINT, "indexed": True}, item("string", "text", indexed=False)),
    event("Secret", item("uint256", "value", indexed=True), anonymous=True),
]  # fmt: skip
ERRORS = [
    {"type": "error", "name": "InsufficientBalance",
     "inputs": [item("uint256", "available"), item("uint256", "required")]},
    {"type": "error", "name": "Refused", "inputs": [item("string", "why")]},
]  # fmt: skip
FUNCTIONS = [
    of_types("baz", "uint32", "bool"),
    of_types("bar", "bytes3[2]"),
    of_types("sam", "bytes", "bool", "uint256[]"),
    of_types("f", "uint256", "uint32[]", "bytes10", "bytes"),
    of_types("g", "uint256[][]", "string[]"),
    function("put", [POINT, item("tuple[]", "", components=POINT["components"])]),
    function("number", [], [item("uint256")]),
    function("pair", [], [item("uint256"), item("string")]),
    function("text", [item("string", "said")], [item("string")]),
    function("nothing", []),
    of_types("twice", "uint8"),
    of_types("twice", "uint8", "uint8"),
    of_types("odd", "uint257"),
    of_types("broken", "uint256["),
]
ALL = ContractInterface([*FUNCTIONS, *EVENTS, *ERRORS, {"type": "receive", "stateMutability": "payable"}])


class TestCalls:
    @pytest.mark.parametrize(
        ("name", "arguments", "expected"),
        [
            # The examples of the ABI specification.
            ("baz", [69, True], "cdcd77c0" + f"{69:064x}{1:064x}"),
            ("bar", [[b"abc", b"def"]], "fce353f6" + "616263".ljust(64, "0") + "646566".ljust(64, "0")),
            (
                "sam",
                [b"dave", True, [1, 2, 3]],
                "a5643bf2" + f"{0x60:064x}{1:064x}{0xa0:064x}{4:064x}" + "64617665".ljust(64, "0")
                + f"{3:064x}{1:064x}{2:064x}{3:064x}",
            ),
            (
                "f",
                [0x123, [0x456, 0x789], b"1234567890", b"Hello, world!"],
                "8be65246" + f"{0x123:064x}{0x80:064x}" + "31323334353637383930".ljust(64, "0") + f"{0xe0:064x}"
                f"{2:064x}{0x456:064x}{0x789:064x}{0xd:064x}" + "48656c6c6f2c20776f726c6421".ljust(64, "0"),
            ),
            (
                "g",
                [[[1, 2], [3]], ["one", "two", "three"]],
                "2289b18c" + f"{0x40:064x}{0x140:064x}{2:064x}{0x40:064x}{0xa0:064x}{2:064x}{1:064x}{2:064x}{1:064x}"
                f"{3:064x}{3:064x}{0x60:064x}{0xa0:064x}{0xe0:064x}{3:064x}" + "6f6e65".ljust(64, "0") + f"{3:064x}"
                + "74776f".ljust(64, "0") + f"{5:064x}" + "7468726565".ljust(64, "0"),
            ),
        ],
    )  # fmt: skip
    def test_specification_examples_are_encoded(self, name: str, arguments: list[Any], expected: str) -> None:
        assert ALL.encode_call(name, *arguments).hex() == expected

    @pytest.mark.parametrize(
        ("name", "kinds", "selector"),
        [
            ("transfer", ["address", "uint256"], "a9059cbb"),
            ("transferFrom", ["address", "address", "uint256"], "23b872dd"),
            ("approve", ["address", "uint256"], "095ea7b3"),
            ("balanceOf", ["address"], "70a08231"),
            ("totalSupply", [], "18160ddd"),
            ("handle_filecoin_method", ["uint64", "uint64", "bytes"], "868e10c4"),
        ],
    )
    def test_known_selectors_are_computed(self, name: str, kinds: list[str], selector: str) -> None:
        interface = ContractInterface([of_types(name, *kinds)])
        assert interface.function_name(bytes.fromhex(selector)) == name
        assert interface.function_name(bytes(4)) is None

    def test_tuples_are_encoded_as_web3_does(self) -> None:
        arguments = [(7, "seven"), [(1, "one"), (2, "")]]
        web3 = Web3().eth.contract(abi=json.loads(json.dumps([FUNCTIONS[5]])))
        encoded = ALL.encode_call("put", *arguments)
        assert "0x" + encoded.hex() == web3.encode_abi("put", arguments)
        assert ALL.decode_call(encoded) == DecodedCall("put", {"at": (7, "seven"), "1": ((1, "one"), (2, ""))})

    @pytest.mark.parametrize(
        ("name", "arguments", "words"),
        [
            ("baz", ["abc", True], "'abc' is not a valid uint32"),
            ("baz", [1 << 32, True], "4294967296 is not a valid uint32"),
            ("bar", [[b"abc", b"defg"]], "[b'abc', b'defg'] is not a valid bytes3[2]"),
        ],
    )
    def test_a_value_of_another_type_is_named_with_the_type(self, name: str, arguments: list[Any], words: str) -> None:
        with pytest.raises(AbiMismatch, match=f"^{re.escape(words)}$"):
            ALL.encode_call(name, *arguments)

    def test_values_of_errors_are_written_as_cast_does(self) -> None:
        """Compare with `cast decode-error` 1.7.1: checksummed addresses, quoted strings, bytes in hex."""
        kinds = ["uint256", "address", "string", "bytes2", "bool", "address[]"]
        error = {"type": "error", "name": "Bad", "inputs": [item(kind) for kind in kinds]}
        alice = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
        data = ContractInterface([{**error, "type": "function", "outputs": []}]).encode_call(
            "Bad", 7, alice, 'a "text"', b"\x12\x34", True, [alice]
        )
        shown = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
        words = ContractInterface([error]).decode_revert(data)
        assert words == rf'Bad(7, {shown}, "a \"text\"", 0x1234, true, [{shown}])'

    def test_init_code_ends_with_the_constructors_arguments(self) -> None:
        made = ContractInterface([{"type": "constructor", "inputs": [item("uint8"), item("string")]}])
        assert made.encode_constructor(b"\xfe", 3, "x") == b"\xfe" + abi_encode(["uint8", "string"], [3, "x"])
        assert ALL.encode_constructor(b"\xfe") == b"\xfe"
        with pytest.raises(AbiMismatch, match="constructor"):
            ALL.encode_constructor(b"\xfe", 1)

    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("baz", [1 << 32, True]), ("baz", ["many", True]), ("baz", [1]), ("baz", [1, True, 2]), ("none", []),
            ("text", ["\ud800"]), ("text", [5]), ("bar", [[b"abc"]]), ("put", [{"x": 1}, []]), ("odd", [1]),
            ("broken", [[1]]), ("twice", []),
        ],
    )  # fmt: skip
    def test_arguments_that_do_not_fit_are_refused_by_name(self, name: str, arguments: list[Any]) -> None:
        with pytest.raises(AbiMismatch, match=f"{name}|is not a valid"):
            ALL.encode_call(name, *arguments)

    def test_overloads_are_resolved_by_argument_count(self) -> None:
        assert ALL.encode_call("twice", 1)[:4] == keccak(b"twice(uint8)")[:4]
        assert ALL.encode_call("twice", 1, 2)[:4] == keccak(b"twice(uint8,uint8)")[:4]

    def test_same_arity_overloads_are_resolved_by_signature(self) -> None:
        one = function("get", [item("uint8", "at")], [item("uint256")])
        other = function("get", [item("tuple[2]", "at", components=POINT["components"])], [item("string")])
        interface = ContractInterface([one, other])
        first = interface.encode_call("get(uint8)", 1)
        second = interface.encode_call("get((uint8,string)[2])", [(1, "x"), (2, "y")])
        assert (first[:4], second[:4]) == (keccak(b"get(uint8)")[:4], keccak(b"get((uint8,string)[2])")[:4])
        result = abi_encode(["string"], ["text"])
        assert interface.decode_call_result(first, bytes(31) + b"\x07") == 7
        assert interface.decode_call_result(second, result) == interface.decode_result("get((uint8,string)[2])", result)
        assert interface.decode_call_result(second, result) == "text"
        both = r"'get' is overloaded: use one of get\(\(uint8,string\)\[2\]\), get\(uint8\)"
        for refused in (lambda: interface.encode_call("get", 1), lambda: interface.decode_result("get", result)):
            with pytest.raises(AbiMismatch, match=both):
                refused()
        with pytest.raises(AbiMismatch, match=r"no function 'get' takes 2 arguments; the contract has get\(\(uint8"):
            interface.encode_call("get", 1, 2)
        with pytest.raises(AbiMismatch, match=r"no function 'put'; the contract has get\(\(uint8"):
            interface.decode_result("put", result)
        with pytest.raises(AbiMismatch, match="no function has the selector 0xdeadbeef"):
            interface.decode_call_result(b"\xde\xad\xbe\xef", result)

    def test_mismatching_calldata_is_refused(self) -> None:
        assert ALL.decode_call(b"") is None
        assert ALL.decode_call(b"\xde\xad\xbe\xef") is None
        call = ALL.encode_call("text", "x")
        with pytest.raises(AbiMismatch, match="text"):
            ALL.decode_call(call[:-40])
        with pytest.raises(AbiMismatch, match="text"):
            ALL.decode_call(call[:4] + NO_TEXT)


def test_result_is_one_value_several_or_none() -> None:
    assert ALL.decode_result("number", (5).to_bytes(32, "big")) == 5
    assert ALL.decode_result("pair", abi_encode(["uint256", "string"], [5, "five"])) == (5, "five")
    assert ALL.decode_result("nothing", b"") is None


@pytest.mark.parametrize(("name", "data"), [("number", b""), ("number", bytes(31)), ("text", NO_TEXT), ("text", b"x")])
def test_mismatching_result_is_refused(name: str, data: bytes) -> None:
    with pytest.raises(AbiMismatch, match=name):
        ALL.decode_result(name, data)


class TestLogs:
    def test_a_transfer_is_read_as_web3_reads_it(self) -> None:
        log = Log((TRANSFER, word(ALICE), word(BOB)), (9).to_bytes(32, "big"))
        decoded = ALL.decode_log(log)
        assert decoded == DecodedLog("Transfer", {"from": ALICE, "to": BOB, "value": 9})
        web3: Any = Web3().eth.contract(abi=json.loads(json.dumps(EVENTS)))
        seen = web3.events.Transfer().process_log({
            "topics": list(log.topics), "data": log.data, "address": "0x" + "00" * 20, "logIndex": 0,
            "transactionIndex": 0, "transactionHash": bytes(32), "blockHash": bytes(32), "blockNumber": 0,
        })  # fmt: skip
        assert {name: str(value).lower() for name, value in seen["args"].items()} == {
            name: str(value) for name, value in decoded.arguments.items()
        }

    def test_indexed_arguments_without_a_fixed_size_stay_hashes(self) -> None:
        topics = [keccak(text) for text in (b"Noted(string,uint8[],(uint8,string),string)", b"a", b"b", b"c")]
        decoded = ALL.decode_log(Log(tuple(topics), abi_encode(["string"], ["hello"])))
        assert decoded == DecodedLog("Noted", {"what": topics[1], "1": topics[2], "at": topics[3], "text": "hello"})

    @pytest.mark.parametrize(
        "log",
        [
            Log((), b""),
            Log((bytes(32),), b""),
            Log((TRANSFER,), bytes(32)),
            Log((TRANSFER, word(ALICE)), bytes(32)),
            Log((TRANSFER, word(ALICE), word(BOB), bytes(32)), b""),
            Log((TRANSFER, word(ALICE), word(BOB)), b""),
            Log((TRANSFER, word(ALICE), b"\xff" * 32), bytes(32)),
            Log((keccak(b"Noted(string,uint8[],(uint8,string),string)"), *[bytes(32)] * 3), NO_TEXT),
            Log((keccak(b"Secret(uint256)"), bytes(32)), b""),
        ],
        ids=["no topic", "unknown", "none indexed", "one topic short", "one topic more", "no data", "no address",
             "no UTF-8", "anonymous"],
    )  # fmt: skip
    def test_log_without_matching_event_is_not_decoded(self, log: Log) -> None:
        assert ALL.decode_log(log) is None

    def test_erc20_and_erc721_transfer_events_are_distinguished(self) -> None:
        both = ContractInterface([EVENTS[0], event("Transfer", *({**part, "indexed": True, "name": part["name"] + "_"}
                                                                 for part in EVENTS[0]["inputs"]))])  # fmt: skip
        coin = both.decode_log(Log((TRANSFER, word(ALICE), word(BOB)), (1).to_bytes(32, "big")))
        piece = both.decode_log(Log((TRANSFER, word(ALICE), word(BOB), (2).to_bytes(32, "big")), b""))
        assert coin is not None
        assert piece is not None
        assert (coin.arguments["value"], piece.arguments["value_"]) == (1, 2)


class TestReverts:
    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (error_data("Error(string)", "no"), "no"),
            (error_data("Panic(uint256)", 0x11), "ArithmeticOverflow()"),
            (error_data("InsufficientBalance(uint256,uint256)", 3, 5), "InsufficientBalance(3, 5)"),
            (error_data("Refused(string)", "it's late"), 'Refused("it\'s late")'),
            (b"\xde\xad\xbe\xef", "0xdeadbeef"),
            (b"", "none"),
        ],
    )
    def test_revert_data_is_decoded_to_text(self, data: bytes, words: str) -> None:
        assert ALL.decode_revert(data) == words

    def test_the_selector_of_a_known_error(self) -> None:
        assert error_data("InsufficientBalance(uint256,uint256)", 0, 0)[:4].hex() == "cf479181"

    @pytest.mark.parametrize(
        "data",
        [
            bytes.fromhex("08c379a0"), bytes.fromhex("08c379a0") + b"\xff" * 64, bytes.fromhex("4e487b71") + b"\x01",
            bytes.fromhex("cf479181") + bytes(63), keccak(b"Refused(string)")[:4] + NO_TEXT,
        ],
    )  # fmt: skip
    def test_revert_data_not_matching_selector_is_shown_as_hex(self, data: bytes) -> None:
        assert ALL.decode_revert(data) == f"0x{data.hex()}"


KINDS = ["uint8", "uint256", "int64", "bool", "address", "bytes4", "bytes", "string", "uint16[]", "string[2]",
         "bytes[][]"]  # fmt: skip


@pytest.mark.slow
@given(st.lists(st.sampled_from(KINDS), max_size=5).flatmap(
    lambda kinds: st.tuples(st.just(kinds), st.tuples(*(get_abi_strategy(kind) for kind in kinds)))
))  # fmt: skip
def test_abi_calls_survive_round_trip(call: tuple[list[str], tuple[Any, ...]]) -> None:
    kinds, arguments = call
    interface = ContractInterface([of_types("f", *kinds)])
    encoded = interface.encode_call("f", *arguments)
    assert encoded[4:] == abi_encode(kinds, arguments)
    decoded = interface.decode_call(encoded)
    assert decoded is not None
    assert interface.encode_call("f", *decoded.arguments.values()) == encoded


SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "uint256": st.integers(0, 2**256 - 1),
    "bool": st.booleans(),
    "bytes3": st.binary(min_size=3, max_size=3),
    "bytes": st.binary(max_size=70),
    "string": st.text(max_size=20),
}


@st.composite
def typed(draw: st.DrawFn, depth: int = 3) -> tuple[dict[str, Any], str, Any]:
    """Generate an ABI item, its type as in a signature, and a value."""
    shape = draw(st.sampled_from(["scalar", "list", "fixed", "tuple"])) if depth else "scalar"
    if shape == "scalar":
        kind = draw(st.sampled_from(sorted(SCALARS)))
        return {"type": kind}, kind, draw(SCALARS[kind])
    if shape == "tuple":
        parts = draw(st.lists(typed(depth - 1), min_size=1, max_size=3))
        item = {"type": "tuple", "components": [part for part, _, _ in parts]}
        return item, f"({','.join(kind for _, kind, _ in parts)})", tuple(value for _, _, value in parts)
    item, kind, value = draw(typed(depth - 1))
    count = draw(st.integers(1 if shape == "fixed" else 0, 3))
    brackets = f"[{count}]" if shape == "fixed" else "[]"
    return {**item, "type": f"{item['type']}{brackets}"}, kind + brackets, [value] * count


@pytest.mark.slow
@given(st.lists(typed(), max_size=3))
def test_valid_abi_encoding_is_accepted_and_truncation_refused(values: list[Any]) -> None:
    items, kinds = [item for item, _, _ in values], [kind for _, kind, _ in values]
    data = encode(kinds, [value for _, _, value in values])
    check_unfolding(items, data)
    for cut in range(0, len(data), 32):
        with pytest.raises(ValueError, match=r"bytes at offset|more items"):
            check_unfolding(items, data[:cut])


def words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in numbers)


def shared_bytes(copies: int, size: int) -> bytes:
    """Encode a bytes[] whose items all share the same bytes."""
    return words(32, copies, *[32 * copies] * copies, size) + bytes(size)


def shared_lists(levels: int) -> bytes:
    """Encode a uint256[]...[] with ten items on each level that all share the same data."""
    data = words(10) + bytes(320)
    for _ in range(levels - 1):
        data = words(10, *[320] * 10) + data
    return words(32) + data


BOMBS = {
    "128 MB in 128 KB": ("bytes[]", shared_bytes(2_000, 64_000)),
    "a hundred million numbers in 3 KB": ("uint256" + "[]" * 8, shared_lists(8)),
    "a list that is an item of itself": ("uint256[][]", words(32, 1, 0)),
    "more items than there are words": ("uint256[]", words(32, 1 << 255)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_unbounded_expansion_is_rejected_immediately(name: str) -> None:
    kind, data = BOMBS[name]
    interface = ContractInterface([{"type": "function", "name": "f", "inputs": [{"name": "a", "type": kind}]}])
    selector = interface.encode_call("f", [])[:4]
    before = time.process_time()
    with pytest.raises(AbiMismatch, match="f: "):
        interface.decode_call(selector + data)
    assert time.process_time() - before < 1 * slowness()


def test_shared_data_within_bounds_is_decoded() -> None:
    data = shared_bytes(2, 32)
    assert decode(["bytes[]"], data) == ((bytes(32), bytes(32)),)
    check_unfolding([{"type": "bytes[]"}], data)
