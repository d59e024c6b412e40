"""JSON values: accepted forms, and those refused with -32602."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localnet.errors import TransactionRefused
from localnet.rpc import values
from localnet.rpc.blocks_and_null_rounds import BlockRef, block, number_or_tag
from localnet.rpc.errors import INVALID_PARAMS, RpcError
from localnet.rpc.requests import log_request, transaction
from localnet.rules.parts import rules_named

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=80) | st.from_regex(r"0x[0-9a-fA-F]{0,70}", fullmatch=True),  # noqa: E501  # a list of cases
    lambda items: st.lists(items, max_size=3) | st.dictionaries(st.text(max_size=12), items, max_size=3),
    max_leaves=6,
)  # fmt: skip
READERS = [
    values.quantity, values.number, values.word, values.data, values.address, values.hash32, values.boolean,
    values.text, values.list_of(values.quantity, 5), block, number_or_tag, transaction, log_request,
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("read", READERS)
@given(value=ANYTHING)
def test_value_reader_returns_value_or_invalid_params(read: values.Reader, value: Any) -> None:
    refused = _refusal(read, value)
    assert refused is None or (refused.code == INVALID_PARAMS and len(refused.message) < 250)


def _refusal(read: values.Reader, value: Any) -> RpcError | None:
    try:
        read(value)
    except RpcError as error:
        return error
    return None


@given(st.integers(0, (1 << 256) - 1))
def test_a_number_comes_back_from_its_quantity(value: int) -> None:
    assert values.quantity(values.as_quantity(value)) == value


@given(st.binary(max_size=100))
def test_bytes_come_back_from_their_data(value: bytes) -> None:
    assert values.data(values.as_data(value)) == value


@pytest.mark.parametrize("value", ["0x", "0x01", "0x00", "1", 1, None, "0xg", "0x 1", " 0x1", "0x1 ", "0x-1", "0x" + "1" * 65, True])  # fmt: skip  # noqa: E501  # a list of cases
def test_invalid_quantity_is_rejected(value: Any) -> None:
    with pytest.raises(RpcError, match="invalid params"):
        values.quantity(value)


@pytest.mark.parametrize("value", ["0x1", "0x123", "12", None, 5, "0xzz", "0x 12", "0x1234\n", "0x１２"])
def test_invalid_hex_data_is_rejected(value: Any) -> None:
    with pytest.raises(RpcError, match="is not hex data"):
        values.data(value)


@pytest.mark.parametrize("value", ["0x" + "11" * 19, "0x" + "11" * 21, "11" * 20, "0x" + "1g" * 20, None, "foo"])
def test_invalid_address_is_rejected(value: Any) -> None:
    with pytest.raises(RpcError, match="is not a valid address"):
        values.address(value)


def test_the_control_methods_take_plain_numbers_too() -> None:
    assert [values.number(value) for value in ("0x10", 16, "16")] == [16, 16, 16]
    for value in (-1, True, 1.5, "-1", "1e3"):
        with pytest.raises(RpcError):
            values.number(value)


def test_a_slot_may_have_leading_zeros() -> None:
    assert values.word("0x0") == 0
    assert values.word("0x" + "00" * 31 + "0a") == 10
    with pytest.raises(RpcError, match="storage slot"):
        values.word("0x" + "00" * 33)


@pytest.mark.parametrize(
    ("value", "ref"),
    [
        ("latest", BlockRef("latest")),
        ("0x10", BlockRef(number=16)),
        ("0x" + "ab" * 32, BlockRef(hash=b"\xab" * 32)),
        ({"blockNumber": "0x1"}, BlockRef(number=1)),
        ({"blockHash": "0x" + "ab" * 32, "requireCanonical": True}, BlockRef(hash=b"\xab" * 32)),
    ],
)
def test_block_parameter_accepts_all_forms(value: Any, ref: BlockRef) -> None:
    assert block(value) == ref


@pytest.mark.parametrize("value", ["newest", "10", 10, {}, {"blockNumber": "0x1", "blockHash": "0x" + "ab" * 32}, []])
def test_invalid_block_parameter_is_rejected(value: Any) -> None:
    with pytest.raises(RpcError, match="invalid params"):
        block(value)


AUTHORIZATION = {"address": "0x" + "11" * 20, **dict.fromkeys(("chainId", "nonce", "yParity", "r", "s"), "0x0")}
LISTED = [{"address": "0x" + "11" * 20, "storageKeys": []}]


class TestTransactionObjects:
    """Parameters of eth_call and eth_sendTransaction."""

    def test_every_transaction_field_is_read(self) -> None:
        request = transaction({
            "from": "0x" + "11" * 20, "to": "0x" + "22" * 20, "value": "0x5", "gas": "0x6", "nonce": "0x7",
            "input": "0x0102", "maxFeePerGas": "0x8", "maxPriorityFeePerGas": "0x9", "chainId": "0xa", "type": "0x2",
            "accessList": [],
        })  # fmt: skip
        assert (request.sender, request.to, request.value, request.gas) == (b"\x11" * 20, b"\x22" * 20, 5, 6)
        assert (request.nonce, request.data, request.max_fee, request.max_priority_fee) == (7, b"\x01\x02", 8, 9)
        assert (request.chain_id, request.type) == (10, 2)

    def test_calldata_has_two_names(self) -> None:
        assert transaction({"data": "0x01"}).data == b"\x01"
        assert transaction({"data": "0x01", "input": "0x01"}).data == b"\x01"
        with pytest.raises(RpcError, match="`data` and `input` are both set and differ"):
            transaction({"data": "0x01", "input": "0x02"})

    def test_gas_price_fields_determine_transaction_type(self) -> None:
        assert transaction({"gasPrice": "0x1"}).type == 0
        assert transaction({"maxFeePerGas": "0x1"}).type == 2
        assert transaction({}).type is None, "it depends on the fork"
        assert transaction({"gasPrice": "0x1", "type": "0x1"}).type == 1

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ({"value": "5"}, "value: '5' is not a quantity"),
            ({"to": "0x1"}, "to: '0x1' is not a valid address"),
            ({"gasPrice": "0x1", "maxFeePerGas": "0x1"}, "both gasPrice and"),
            ({"type": "0x2", "authorizationList": [AUTHORIZATION]}, "type 2 has no authorizationList"),
            ({"type": "0x0", "maxFeePerGas": "0x1"}, "a transaction of type 0 has a gasPrice"),
            ({"type": "0x1", "maxPriorityFeePerGas": "0x1"}, "a transaction of type 1 has a gasPrice"),
            ({"type": "0x0", "accessList": LISTED}, "type 0 has no accessList"),
            ({"accessList": [{}]}, "an entry without an address"),
            ({"authorizationList": [{}]}, "authorizationList"),
            ("0x", "is not a valid transaction"),
        ],
    )
    def test_invalid_transaction_fields_are_named(self, value: Any, words: str) -> None:
        with pytest.raises(RpcError, match=words):
            transaction(value)

    def test_an_access_list_is_for_rules_that_have_it(self) -> None:
        request = transaction({"accessList": LISTED, "gasPrice": "0x1"})
        assert request.type == 1
        request.check(rules_named("ethereum"))
        with pytest.raises(RpcError, match="accessList is not supported under these rules"):
            request.check(rules_named("filecoin"))

    @pytest.mark.parametrize(
        ("rules", "hardfork", "accepted", "last"),
        [
            ("filecoin", "", "0, 1 or 2", 2),
            ("ethereum", "Cancun", "0, 1, 2 or 3", 3),
            ("ethereum", "Osaka", "0, 1, 2, 3 or 4", 4),
        ],
    )
    def test_a_type_that_is_not_accepted_names_those_that_are(
        self, rules: str, hardfork: str, accepted: str, last: int
    ) -> None:
        known = rules_named(rules, hardfork)
        transaction({"type": hex(last)}).check(known)
        for kind in range(last + 1, 6):
            with pytest.raises(TransactionRefused, match=f"type {kind}.*; expected type {accepted}$"):
                transaction({"type": hex(kind)}).check(known)

    def test_an_authorization_list_makes_type_4_though_it_is_empty(self) -> None:
        assert transaction({"authorizationList": []}).type == 4
        assert transaction({"authorizationList": None}).type is None
        assert transaction({"type": "0x2", "authorizationList": []}).type == 2


class TestLogFilters:
    """Parameters of eth_getLogs."""

    def test_addresses_and_topics_are_one_or_many(self) -> None:
        one, two = "0x" + "11" * 20, "0x" + "22" * 20
        topic = "0x" + "33" * 32
        assert log_request({"address": one}).wanted.addresses == (b"\x11" * 20,)
        assert len(log_request({"address": [one, two]}).wanted.addresses) == 2
        found = log_request({"topics": [None, topic, [topic, topic]]}).wanted.topics
        assert found == ((), (b"\x33" * 32,), (b"\x33" * 32,) * 2)

    def test_empty_range_end_means_latest(self) -> None:
        assert log_request({"fromBlock": "", "toBlock": "0x5"}).first is None

    @pytest.mark.parametrize(
        "value",
        [
            {"topics": [None] * 5},
            {"topics": "0x" + "33" * 32},
            {"address": "0x11"},
            {"blockHash": "0x" + "11" * 32, "fromBlock": "0x1"},
        ],
    )
    def test_invalid_log_filter_is_rejected(self, value: Any) -> None:
        with pytest.raises(RpcError, match="invalid params"):
            log_request(value)


class TestAnswers:
    """Results as JSON."""

    @given(value=ANYTHING)
    def test_a_deep_answer_is_written_as_a_shallow_one_is(self, value: Any) -> None:
        try:
            shallow = values.as_json(value)
        except TypeError:  # a number of more than 64 bits
            with pytest.raises(TypeError):
                values.as_json(_wrapped(value, 300))
        else:
            assert values.as_json(_wrapped(value, 300)) == b"[" * 300 + shallow + b"]" * 300

    def test_results_of_any_depth_are_encoded(self) -> None:
        assert values.as_json(_wrapped({}, 20_000)) == b"[" * 20_000 + b"{}" + b"]" * 20_000

    @pytest.mark.parametrize("value", [b"bytes", {1: 2}, {"name": object()}])
    def test_non_json_value_is_rejected_at_any_depth(self, value: Any) -> None:
        for depth in (0, 300):
            with pytest.raises(TypeError):
                values.as_json(_wrapped(value, depth))


def _wrapped(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null is not a valid address"),
        (True, "true is not a valid address"),
        ([None, {"a": 2**70}], '[null, {"a": 1180591620717411303424}] is not a valid address'),
        ("0x", "'0x' is not a valid address"),
        (f"0x{39 * '5'}Z", f"'0x{39 * '5'}Z' is not a valid address: expected 0x and 40 hex digits"),
        ("f" + 39 * "3", "is not a valid address: expected 0x and 40 hex digits"),
        ("f0100", "'f0100' is not an Ethereum address: convert it with Filecoin.FilecoinAddressToEthAddress"),
    ],
)
def test_a_refused_value_is_shown_as_json_has_it(value: Any, words: str) -> None:
    with pytest.raises(RpcError) as refused:
        values.address(value)
    assert words in refused.value.message


@pytest.mark.slow
@pytest.mark.parametrize("depth", [980, 1_024, 100_000])
def test_a_refused_value_is_written_no_further_than_it_is_shown(depth: int) -> None:
    with pytest.raises(RpcError, match=re.escape(f"{'[' * 90}... is not a valid address")):
        values.address(_wrapped({}, depth))
