"""Pages of a fork of an Ethereum network for blocks and transactions before the fork, compared with the forked node."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from localnet import Network
from localnet.explorer import epochs
from localnet.fork.forking import ForkSource
from localnet.fork.node_client import NodeClient
from localnet.rpc.node import Node
from tests.hypervisor_tools.soltest.forks.chains import COUNTER, DEV
from tests.hypervisor_tools.soltest.forks.conftest import served_chain
from tests.hypervisor_tools.soltest.forks.test_hostile_nodes import BLOCK, SOUND, node
from tests.localnet.conftest import Clock
from tests.localnet.explorer.conftest import Visitor


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served_chain() as url:
        yield url


@pytest.fixture
def remote(url: str) -> Iterator[NodeClient]:
    with NodeClient(url) as client:
        yield client


@pytest.fixture
def visit(url: str) -> Iterator[Visitor]:
    """Return a client of the fork after block 7, at block 8."""
    with Network.fork(url, rules="ethereum", clock=Clock()) as network:
        network.mine()
        found = Node(network)
        yield Visitor(found)
        found.close()


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 6, 7])
def test_a_block_before_the_fork_is_shown(visit: Visitor, remote: NodeClient, number: int) -> None:
    block = remote.request("eth_getBlockByNumber", hex(number), True)
    page = visit(f"/epoch/{number}")
    assert page.status == 200
    assert f"Gas {int(block['gasUsed'], 16):,}" in page.text
    assert f"Base fee {int(block['baseFeePerGas'], 16):,}" in page.text
    sent = [link for link in page.links if link.startswith("/tx/")]
    assert sent == [f"/tx/{each['hash']}" for each in block["transactions"]]
    steps = [link for link in page.links if link in (f"/epoch/{number - 1}", f"/epoch/{number + 1}")]
    assert steps[: 1 + (number > 0)] == ([f"/epoch/{number - 1}"] if number else []) + [f"/epoch/{number + 1}"]


@pytest.mark.slow
def test_the_blocks_of_a_fork_are_linked(visit: Visitor) -> None:
    assert "/epoch/7" in visit("/epoch/8").links
    assert visit("/epoch/9").status == 404


@pytest.mark.slow
def test_a_transaction_before_the_fork_is_shown(visit: Visitor, remote: NodeClient) -> None:
    for number in range(1, 8):
        for sent in remote.request("eth_getBlockByNumber", hex(number), True)["transactions"]:
            page, receipt = visit(f"/tx/{sent['hash']}"), remote.request("eth_getTransactionReceipt", sent["hash"])
            assert page.status == 200
            assert f"End {'ok' if receipt['status'] == '0x1' else 'reverted'} Block {number} From" in page.text
            assert f"Gas {int(receipt['gasUsed'], 16):,} at {int(receipt['effectiveGasPrice'], 16):,}" in page.text
            assert {f"/actor/{sent['from']}", f"/actor/{sent['to'] or receipt['contractAddress']}"} <= {*page.links}
            assert f"Events {len(receipt['logs'])}" in page.text
            assert all(topic in page.text for log in receipt["logs"] for topic in log["topics"])


def test_hashes_before_the_fork_are_found(visit: Visitor, remote: NodeClient) -> None:
    block = remote.request("eth_getBlockByNumber", "0x6", False)
    assert visit(f"/search?q={block['hash']}").headers["location"] == "/epoch/6"
    sent = block["transactions"][0]
    assert visit(f"/search?q={sent}").headers["location"] == f"/tx/{sent}"
    nothing = "0x" + "ab" * 32
    assert (visit(f"/search?q={nothing}").status, visit(f"/tx/{nothing}").status) == (404, 404)


def test_large_blocks_have_several_pages(visit: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epochs, "_TRANSACTIONS", 2)
    first, second = visit("/epoch/6"), visit("/epoch/6?from=2")
    counts = [len([link for link in page.links if link.startswith("/tx/")]) for page in (first, second)]
    assert (counts, "?from=2" in first.links) == ([2, 1], True)


_SENT = {"hash": "0x" + "11" * 32, "from": DEV, "to": COUNTER, "value": "0x0", "input": "0x", "nonce": "0x0"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"eth_getBlockReceipts": {"error": {"code": -32601, "message": "<b>no such method"}}}, "<b>no such method"),
        (
            {"eth_getBlockByNumber": {**BLOCK, "transactions": [_SENT], "gasUsed": "0x0"}},
            "expected a response of an Ethereum node",
        ),
        (
            {"eth_getBlockByNumber": {**BLOCK, "transactions": ["<b>"], "gasUsed": "0x0"}},
            "expected a response of an Ethereum node",
        ),
    ],
)
def test_a_failing_forked_node_is_an_error_page(answers: dict[str, Any], words: str) -> None:
    known = {**SOUND, "eth_getBlockByNumber": {**BLOCK, "transactions": [], "gasUsed": "0x0"}}
    with (
        node({**known, "eth_getBlockReceipts": [], **answers}) as url,
        Network(rules="ethereum", fork=ForkSource(url, 7, caches=False), account_count=1) as network,
    ):
        found = Node(network)
        page = Visitor(found)("/epoch/7")
        found.close()
    assert page.status == 502
    assert re.search(words, page.text), page.text
    assert b"<b>" not in page.body
