"""Creation code of contracts that transactions and other contracts created."""

from collections.abc import Iterator
from typing import Any

import pytest

from bridge.ethereum.addresses import create_address, eth_address
from fvm_hypervisor.soltest.cheatcodes.state import CREATE2_DEPLOYER
from fvm_hypervisor.verification.creation_code import CreationCode, NoCreationCode
from localnet import Network
from localnet.fork.node_client import NodeClient, NodeError
from localnet.rpc.server import serving
from store.keccak import keccak
from tests.fvm_hypervisor.verification.contracts import deploy, init_code


@pytest.fixture(scope="module", params=["filecoin", "ethereum"])
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    with Network(rules=request.param) as found:
        yield found


@pytest.fixture(scope="module")
def node(network: Network) -> Iterator[NodeClient]:
    with serving(network) as url, NodeClient(url) as found:
        yield found


def test_creation_by_a_transaction(network: Network, node: NodeClient) -> None:
    code = init_code("Factory")
    receipt = network.send(None, 0, code)
    assert receipt.contract_address is not None
    search = CreationCode(node, f"0x{receipt.contract_address.hex()}")
    assert search.find() == (f"0x{receipt.hash.hex()}", code)
    assert search.of_transaction(f"0x{receipt.hash.hex()}") == code


def test_creation_by_a_contract(network: Network, node: NodeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    factory = eth_address(deploy(network, init_code("Factory")))
    receipt = network.send(factory, 0, keccak(b"create()")[:4])
    child = f"0x{create_address(factory, 1).hex()}"
    name, code = f"0x{receipt.hash.hex()}", init_code("Child")
    assert CreationCode(node, child).find() == (name, code)
    monkeypatch.setattr(CreationCode, "hash_from_node", lambda _: None)
    assert CreationCode(node, child).find() is None
    assert CreationCode(node, child).find([name]) == (name, code)
    other = f"0x{create_address(factory, 2).hex()}"
    with pytest.raises(NoCreationCode, match=f"{other} was created by a contract that transaction {name} calls"):
        CreationCode(node, other).find([name, name])


def test_transactions_that_create_nothing(network: Network, node: NodeClient) -> None:
    made = f"0x{deploy(network, init_code('Factory')).hex()}"
    receipt = network.send(None, 0, init_code("Factory"))
    with pytest.raises(NoCreationCode, match=f"created a contract other than {made}"):
        CreationCode(node, made).of_transaction(f"0x{receipt.hash.hex()}")
    with pytest.raises(NoCreationCode, match="the node has no transaction 0x1212"):
        CreationCode(node, made).of_transaction("0x" + "12" * 32)


class Answers:
    """A node with fixed responses."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers

    def request(self, method: str, *_: Any) -> Any:
        return self._answers[method]

    def read(self, parse: Any, method: str, *_: Any) -> Any:
        try:
            return parse(self._answers[method])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise NodeError(f"{method}: {error}", answered=True) from None


CREATED = "0x" + "c0" * 20


@pytest.mark.parametrize(
    "trace",
    [
        {},
        {"type": "CALL", "calls": [{"type": "CREATE", "to": CREATED, "input": "0x01", "error": "out of gas"}]},
        {"type": "CALL", "to": CREATED, "input": "0x01"},
        {"type": "CREATE", "to": None, "input": "0x01"},
        {"type": "CREATE", "to": CREATED, "input": 1},
        {"calls": [1]},
        [],
        None,
    ],
)
def test_traces_without_the_creation(trace: Any) -> None:
    sent = {"to": f"0x{CREATE2_DEPLOYER.hex()}", "input": "0x" + "11" * 40}
    results = Answers(eth_getTransactionByHash=sent, debug_traceTransaction=trace)
    with pytest.raises(NoCreationCode, match="the node has no trace of it"):
        CreationCode(results, CREATED).of_transaction("0x" + "12" * 32)  # type: ignore[arg-type]  # a stand-in


@pytest.mark.parametrize("kind", ["CREATE", "CREATE2"])
def test_deep_traces_are_searched(kind: str) -> None:
    trace: Any = {"type": kind, "to": CREATED, "input": "0x0123"}
    for _ in range(3000):
        trace = {"type": "CALL", "calls": [trace, {"type": "STATICCALL", "calls": []}]}
    results = Answers(eth_getTransactionByHash={"to": CREATED, "input": "0x"}, debug_traceTransaction=trace)
    assert CreationCode(results, CREATED).of_transaction("0x00") == b"\x01\x23"  # type: ignore[arg-type]  # a stand-in
