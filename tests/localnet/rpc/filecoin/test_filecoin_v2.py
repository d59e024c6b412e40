"""API version 2: selection of tipsets by key, height and tag, and the methods at /rpc/v2.

Semantics: lotus chain/types/tipset_selector.go and its documentation.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest

from localnet import Network
from localnet.rpc.method_table import MethodTable
from localnet.rpc.node import Node
from localnet.rpc.server.filecoin_v2 import V2MethodTable
from localnet.rpc.server.server import serving
from tests.localnet.conftest import Clock
from tests.localnet.rpc.conftest import Client, Failed

GET = "Filecoin.ChainGetTipSet"


@pytest.fixture
def v2() -> Iterator[Client]:
    """Return a client of version 2. The heights 3 and 4 are null rounds, and the head is at 40."""
    with Network(clock=Clock()) as network:
        network.mine(2)
        network.mine(null_rounds=2)
        network.mine(35)
        client = Client(Node(network))
        client.dispatcher = client.dispatcher.with_methods(V2MethodTable(MethodTable()))
        yield client


@pytest.mark.slow
@pytest.mark.parametrize(
    ("selector", "height"),
    [
        ({"tag": "latest"}, 40),
        ({"tag": "safe"}, 0),
        ({"tag": "finalized"}, 0),
        ({"height": {"at": 2, "previous": False, "anchor": {"tag": "latest"}}}, 2),
        ({"height": {"at": 3, "previous": True, "anchor": {"tag": "latest"}}}, 2),
        ({"height": {"at": 3, "previous": False, "anchor": {"tag": "latest"}}}, 5),
        ({"height": {"at": 4, "anchor": {"tag": "latest"}}}, 5),
        ({"height": {"at": 7, "previous": True, "anchor": {}}}, 7),
        ({"height": {"at": 0, "previous": True}}, 0),
    ],
)
def test_selected_height(v2: Client, selector: dict[str, Any], height: int) -> None:
    assert v2(GET, selector)["Height"] == height


@pytest.mark.slow
def test_a_key_selects_its_tipset_also_as_an_anchor(v2: Client) -> None:
    seventh = v2(GET, {"height": {"at": 7, "anchor": {"tag": "latest"}}})
    assert v2(GET, {"key": seventh["Cids"]}) == seventh
    assert v2(GET, {"height": {"at": 5, "anchor": {"key": seventh["Cids"]}}})["Height"] == 5
    with pytest.raises(Failed, match="height 8 is above the anchor's, 7"):
        v2(GET, {"height": {"at": 8, "anchor": {"key": seventh["Cids"]}}})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("selector", "reason"),
    [
        ({}, "exactly one tipset selection criteria must be specified, found: 0"),
        ({"tag": "latest", "height": {"at": 1}}, "found: 2"),
        ({"tag": "newest"}, "'newest' is not a tag: expected one of latest, safe, finalized"),
        ({"height": {"at": -1}}, "epoch cannot be less than zero"),
        ({"height": {"at": 1, "previous": 1}}, "previous is 1, expected true or false"),
        ({"height": {"at": 1, "anchor": {"tag": "safe", "key": []}}}, "at most one of key or tag must be specified"),
        ({"hight": {"at": 1}}, "unknown field 'hight' of a tipset selector: expected key, height, tag"),
        (["bafy"], "expected an object with key, height, tag"),
    ],
)
def test_invalid_selectors(v2: Client, selector: Any, reason: str) -> None:
    with pytest.raises(Failed, match=f"^-32602: invalid params: .*{reason}"):
        v2(GET, selector)


@pytest.mark.slow
def test_actors_are_those_after_the_selected_tipset(v2: Client) -> None:
    network = v2.node.network
    payee = "0x" + "77" * 20
    network.send(payee, 5)
    native = v2("Filecoin.EthAddressToFilecoinAddress", payee)
    assert v2("Filecoin.StateGetActor", native, {"tag": "latest"})["Balance"] == "5"
    actor = v2("Filecoin.StateGetID", native, {"tag": "latest"})
    assert actor == v2("Filecoin.StateGetID", actor, {"tag": "latest"})
    with pytest.raises(Failed, match="actor not found"):
        v2("Filecoin.StateGetActor", native, {"tag": "safe"})


@pytest.mark.slow
def test_finality_status_without_f3(v2: Client) -> None:
    status = v2("Filecoin.ChainGetTipSetFinalityStatus")
    assert status["f3FinalizedTipSet"] is None
    assert (status["head"]["Height"], status["finalizedTipSet"]["Height"]) == (40, 0)
    assert status["ecFinalizedTipSet"] == status["finalizedTipSet"]


def test_the_methods_are_those_of_version_2_and_ethereums() -> None:
    with Network(clock=Clock()) as network, serving(network) as first:
        url = f"{first}/rpc/v2"
        assert ask(url, GET, {"tag": "latest"})["result"]["Height"] == 0
        assert ask(url, "eth_blockNumber")["result"] == "0x0"
        assert ask(url, "Filecoin.EthBlockNumber")["result"] == "0x0"
        assert ask(url, "Filecoin.ChainHead")["error"]["code"] == -32601
        assert ask(first, "Filecoin.StateGetID", "f00", {"tag": "latest"})["error"]["code"] == -32601
        assert ask(first, "Filecoin.ChainHead")["result"]["Height"] == 0


def ask(url: str, method: str, *params: Any) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    with urlopen(Request(url, body, {"content-type": "application/json"})) as response:
        return json.load(response)


@pytest.mark.slow
def test_ethereum_methods_read_state_at_null_rounds(v2: Client) -> None:
    """The heights 3 and 4 have the state of tipset 2, as at the other paths."""
    owner = v2("eth_accounts")[0]
    for method, params in (
        ("eth_getBalance", [owner]),
        ("eth_call", [{"to": owner}]),
        ("eth_estimateGas", [{"to": owner}]),
    ):
        assert v2(method, *params, "0x4") == v2(method, *params, "0x2")
    assert v2("eth_feeHistory", "0x1", "0x3", [])["oldestBlock"] == "0x2"
