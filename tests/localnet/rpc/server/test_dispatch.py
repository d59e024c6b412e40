"""JSON-RPC 2.0: errors, batches, notifications, limits."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from _pytest.monkeypatch import MonkeyPatch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localnet import Network
from localnet.rpc.errors import from_exception
from localnet.rpc.method_table import method_table
from localnet.rpc.node import Node, NodeLimits
from localnet.rpc.server.dispatch import Dispatcher
from store.blockstore import StoreFull, StoreReadOnly
from tests.conftest import samples
from tests.localnet.rpc.conftest import Client, Failed, refusal

CHAIN_ID = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}


def error_of(response: Any) -> tuple[int, Any]:
    """Return code and ID of an error response."""
    assert set(response) == {"jsonrpc", "id", "error"}
    return response["error"]["code"], response["id"]


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b'{"jsonrpc": "2.0"', b"\xff\xfe", b'"\xed\xa0\x80"', b"[1,"])
def test_invalid_json_is_a_parse_error(rpc: Client, body: bytes) -> None:
    assert error_of(rpc.send(body)) == (-32700, None)


@pytest.mark.parametrize(
    "request_",
    [
        1, "text", None, True, {}, {"id": 1}, {"jsonrpc": "1.0", "id": 1, "method": "eth_chainId"},
        {"jsonrpc": "2.0", "id": 1}, {"jsonrpc": "2.0", "id": 1, "method": 5},
        {"jsonrpc": "2.0", "id": 1, "method": None},
    ],
)  # fmt: skip
def test_non_request_json_is_an_invalid_request(rpc: Client, request_: Any) -> None:
    code, request_id = error_of(rpc.send(json.dumps(request_).encode()))
    assert code == -32600
    assert request_id == (request_.get("id") if isinstance(request_, dict) else None)


@pytest.mark.parametrize("request_id", [{}, [], True])
def test_an_id_is_a_string_a_number_or_null(rpc: Client, request_id: Any) -> None:
    assert error_of(rpc.send(json.dumps({**CHAIN_ID, "id": request_id}).encode())) == (-32600, None)


@pytest.mark.parametrize("request_id", [0, -5, 1.5, "abc", "", None, 2**53, 2**64 + 1, -(2**63) - 1, 10**300 + 1])
def test_the_id_comes_back(rpc: Client, request_id: Any) -> None:
    request = {**CHAIN_ID, "id": request_id}
    expected = {"jsonrpc": "2.0", "id": request_id, "result": "0x1df5e76"}
    assert rpc.send(json.dumps(request).encode()) == expected
    assert rpc.send(json.dumps([5, {**request, "id": 2.5}, request]).encode())[2] == expected
    assert error_of(rpc.send(json.dumps({**request, "method": "eth_nothing"}).encode())) == (-32601, request_id)


def test_an_unknown_method_does_not_exist(rpc: Client) -> None:
    with refusal(-32601, "does not exist"):
        rpc("eth_nothing")


@pytest.mark.parametrize("params", [{"owner": "0x"}, "text", 5])
def test_parameters_are_a_list(rpc: Client, params: Any) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBalance", "params": params}
    assert error_of(rpc.send(json.dumps(body).encode())) == (-32602, 1)


def test_missing_and_superfluous_parameters_are_named(rpc: Client) -> None:
    with refusal(-32602, r"requires parameter 1 \(owner\)"):
        rpc("eth_getBalance")
    with pytest.raises(Failed, match="takes at most 0 parameters, not 1"):
        rpc("eth_chainId", 1)


def test_a_notification_has_no_answer(rpc: Client) -> None:
    assert rpc.send(b'{"jsonrpc":"2.0","method":"eth_chainId"}') is None
    assert rpc.send(b'{"jsonrpc":"2.0","method":"eth_nothing"}') is None
    assert rpc.send(b'{"jsonrpc":"2.0","method":"evm_mine"}') is None
    assert rpc("eth_blockNumber") != "0x0"


class TestBatches:
    """Batch requests."""

    def test_batch_responses_are_ordered_and_may_mix_errors(self, rpc: Client) -> None:
        batch = [CHAIN_ID, {**CHAIN_ID, "method": "eth_nothing", "id": 2}, 5, {**CHAIN_ID, "id": "three"}]
        responses = rpc.send(json.dumps(batch).encode())
        assert [result["id"] for result in responses] == [1, 2, None, "three"]
        assert [result.get("error", {}).get("code") for result in responses] == [None, -32601, -32600, None]

    def test_an_empty_batch_is_invalid(self, rpc: Client) -> None:
        assert error_of(rpc.send(b"[]")) == (-32600, None)

    def test_notifications_have_no_place_in_the_answer(self, rpc: Client) -> None:
        notification = {"jsonrpc": "2.0", "method": "eth_chainId"}
        assert rpc.send(json.dumps([notification, notification]).encode()) is None
        assert len(rpc.send(json.dumps([notification, CHAIN_ID]).encode())) == 1

    def test_batch_request_sees_effects_of_earlier_requests(self, rpc: Client) -> None:
        mine, number = {**CHAIN_ID, "method": "evm_mine"}, {**CHAIN_ID, "method": "eth_blockNumber"}
        responses = rpc.send(json.dumps([number, mine, number]).encode())
        assert int(responses[2]["result"], 16) == int(responses[0]["result"], 16) + 1

    def test_a_batch_over_the_limit_is_refused_as_a_whole(self, narrow_rpc: Client) -> None:
        assert len(narrow_rpc.send(json.dumps([CHAIN_ID] * 3).encode())) == 3
        response = narrow_rpc.send(json.dumps([CHAIN_ID] * 4).encode())
        assert error_of(response) == (-32600, None)
        assert "batch of 4 requests, at most 3: send smaller batches" in response["error"]["message"]

    def test_filecoins_rules_allow_batches_of_100(self, rpc: Client) -> None:
        """The default of Forest since 0.38 (ChainSafe/forest#7697)."""
        assert len(rpc.send(json.dumps([CHAIN_ID] * 100).encode())) == 100
        assert (
            "batch of 101 requests, at most 100" in rpc.send(json.dumps([CHAIN_ID] * 101).encode())["error"]["message"]
        )

    def test_an_answer_over_the_limit_is_replaced_by_an_error(self, narrow_rpc: Client) -> None:
        request = {**CHAIN_ID, "method": "eth_getBlockByNumber", "params": ["latest", False]}
        responses = narrow_rpc.send(json.dumps([request] * 3).encode())
        assert "result" in responses[0]
        assert error_of(responses[2]) == (-32000, 1)

    def test_concurrent_batches_share_response_size_limit(self, network: Network, monkeypatch: MonkeyPatch) -> None:
        monkeypatch.setattr(
            "localnet.rpc.server.dispatch._BATCH_SLICE", float("inf")
        )  # pauses would change the turns of the batches
        request = {**CHAIN_ID, "method": "eth_getBlockByNumber", "params": ["latest", False]}
        one = len(asyncio.run(Dispatcher(Node(network), _later).dispatch(json.dumps(request).encode())))
        dispatcher = Dispatcher(Node(network, NodeLimits(held=4 * one)), _later)
        body = json.dumps([request, request, {**CHAIN_ID, "method": "evm_mine"}]).encode()
        height = network.head.height

        async def both() -> tuple[bytes, bytes]:
            return await asyncio.gather(dispatcher.dispatch(body), dispatcher.dispatch(body))

        first, second = map(json.loads, asyncio.run(both()))
        refused = [result["error"] for result in [*first, *second] if "error" in result]
        assert [error["code"] for error in refused] == [-32000]
        assert f"exceed {4 * one} bytes: try again later" in refused[0]["message"]
        assert network.head.height == height + 1, "what is to be asked again was not done"
        assert all("result" in result for result in json.loads(asyncio.run(dispatcher.dispatch(body)))), "room again"


async def _later(work: Callable[[], Any]) -> Any:
    await asyncio.sleep(0)
    return work()


PARAMS = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10) | st.sampled_from(["latest", "0x", "0x1", "0x" + "11" * 20, "0x" + "11" * 32, "é"]),  # noqa: E501  # a list of cases
    lambda items: st.lists(items, max_size=2) | st.dictionaries(st.sampled_from(["from", "to", "data", "value", "topics", "address", "fromBlock", "blockHash", "gas"]), items, max_size=3),  # noqa: E501  # a list of cases
    max_leaves=4,
)  # fmt: skip
CHANGING = {"evm_mine", "anvil_mine", "hypervisor_mineAfterNullRounds", "evm_snapshot", "evm_revert"}


@pytest.mark.parametrize("name", sorted({row.name for row in method_table().values()} - CHANGING))
@given(params=st.lists(PARAMS, max_size=4))
@settings(max_examples=samples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_params_cause_no_internal_error(rpc: Client, name: str, params: list[Any]) -> None:
    response = rpc.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": name, "params": params}).encode())
    error = response.get("error", {"code": None, "message": ""})
    if method_table()[name].on_socket:
        assert (error["code"], "use a WebSocket" in error["message"]) == (-32601, True)
        return
    assert error["code"] in (None, -32602, -32000, -32001, -32003, -32004, -32005, 1, 3, 4, 11), error
    assert "internal error" not in error["message"]


def test_unexpected_exception_is_internal_error_without_details() -> None:
    error = from_exception(RuntimeError("a secret"))
    assert (error.code, error.message) == (-32603, "internal error: RuntimeError")


def test_a_method_that_breaks_is_answered_and_the_next_one_too(
    rpc: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("localnet.network.Network.mine", broken)
    with refusal(-32603, "internal error"):
        rpc("evm_mine")
    assert "evm_mine failed" in caplog.text
    assert rpc("eth_chainId") == "0x1df5e76"


FULL = "no space left for the store in chain; restart the node to reopen its folder"


def test_full_disk_is_reported_in_one_line_without_traceback(
    rpc: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise StoreFull("no space left for the store in chain")

    with monkeypatch.context() as broken:
        broken.setattr(rpc.node.network.machine.base, "commit", refuse)
        with pytest.raises(Failed, match=f"-32000: {FULL}$") as failed:
            rpc("evm_mine")
    assert failed.value.code == -32000
    (record,) = caplog.records
    assert (record.getMessage(), record.exc_info) == (f"evm_mine failed: {FULL}", None)
    rpc("evm_mine")


def test_restart_is_not_the_remedy_for_a_store_opened_for_reading(rpc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise StoreReadOnly("chain was opened for reading")

    monkeypatch.setattr(rpc.node.network.machine.base, "commit", refuse)
    with pytest.raises(Failed, match=r"-32000: chain was opened for reading$"):
        rpc("evm_mine")


def test_a_result_that_json_cannot_hold_is_an_internal_error(rpc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localnet.network.Network.increase_time", lambda *_: 1 << 70)
    with refusal(-32603, "internal error: the result is not valid JSON"):
        rpc("evm_increaseTime", 1)


def test_every_rpc_method_has_a_summary() -> None:
    for name, method in method_table().items():
        assert method.summary.endswith("."), name
