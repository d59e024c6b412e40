"""JSON values: accepted forms, and those refused with -32602."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localnet.errors import TransactionRefused
from localnet.rpc import values
from localnet.rpc.blocks_and_null_rounds import block, number_or_tag
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


def test_the_control_methods_take_plain_numbers_too() -> None:
    assert [values.number(value) for value in ("0x10", 16, "16")] == [16, 16, 16]
    for value in (-1, True, 1.5, "-1", "1e3"):
        with pytest.raises(RpcError):
            values.number(value)


AUTHORIZATION = {"address": "0x" + "11" * 20, **dict.fromkeys(("chainId", "nonce", "yParity", "r", "s"), "0x0")}
LISTED = [{"address": "0x" + "11" * 20, "storageKeys": []}]


class TestTransactionObjects:
    """Parameters of eth_call and eth_sendTransaction."""

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
