"""`hypervisor trace` with compiled contracts: names, source lines of calls, the line of a failure."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fvm_hypervisor.cli.trace_client import request_places
from localnet import Artifact, Network, TransactionFailed
from localnet.fork.node_client import NodeError
from localnet.rpc.server import serving
from tests.command import run
from tests.conftest import data_file, kinds
from tests.fvm_hypervisor.test_trace_client import Answering, node
from tests.localnet.test_artifacts import PROJECT, SOURCES
from tests.localnet.test_console import GAS, line_of

__all__ = ["node"]

OUT = PROJECT / "out"
VAULT, CALLER = (Artifact.load(OUT / "Vault.sol" / f"{name}.json") for name in ("Vault", "Caller"))
PUT = CALLER.interface.encode_call("put", 6)
PLACE: dict[str, Any] = {"code": 0, "creation": False, "made": [], "ended": [1], "calls": []}
PLACES = {"codes": ["0x00"], "calls": [PLACE]}


def put_too_much(network: Network) -> tuple[bytes, bytes]:
    """Return the hashes of a deployment and of a transaction that fails in the deployed vault."""
    made = network.send(None, 0, CALLER.bytecode)
    with pytest.raises(TransactionFailed) as failed:
        network.send(made.contract_address, 0, PUT, gas_limit=GAS)
    return made.hash, failed.value.receipt.hash


def traced(transaction: bytes, *options: str) -> str:
    done = run("trace", f"0x{transaction.hex()}", *options)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(params=kinds())
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    official = request.param == "official"
    with Network(bundle=data_file("bundles/v18-devnet.car") if official else None) as found:
        yield found


@pytest.mark.slow
def test_trace_shows_source_lines_of_calls_and_failure(network: Network) -> None:
    made, failed = put_too_much(network)
    with serving(network) as url:
        output = traced(failed, "--rpc-url", url, "--artifacts", str(OUT))
        deployment = traced(made, "--rpc-url", url, "--artifacts", str(OUT))
        without = traced(failed, "--rpc-url", url, "--artifacts", str(PROJECT / "src"))
    put = next(line for line in output.splitlines() if "Vault put(amount=6)" in line)
    assert put.endswith(f"from {line_of('src/Vault.sol', 'vault.put(amount)')}")
    assert f"\nat {line_of('src/Lib.sol', 'revert TooMuch')}\n" in output
    assert "Caller put(amount=6)" in output
    assert "console.log: put 6" in output
    creation = line_of("src/Vault.sol", "new Vault(5)")
    assert any(line.endswith(f"from {creation}") for line in deployment.splitlines() if " f010 " in line)
    assert ".sol:" not in without


@pytest.mark.slow
def test_a_folder_is_traced_with_lines_too(tmp_path: Path) -> None:
    with Network(tmp_path / "chain") as network:
        _, failed = put_too_much(network)
    found = json.loads(traced(failed, "--state", str(tmp_path / "chain"), "--artifacts", str(OUT), "--json"))
    (top,) = found["calls"]
    assert top["line"] is None
    *_, vault = top["calls"]  # behind the question whether it has code
    assert vault["line"] == line_of("src/Vault.sol", "vault.put(amount)")
    assert vault["failedAt"] == line_of("src/Lib.sol", "revert TooMuch")
    assert set(SOURCES) == {"src/Lib.sol", "src/Vault.sol"}


def test_a_node_that_has_no_such_method_gives_no_lines(node: Answering) -> None:
    assert request_places(node(None), "0x00") is None
    assert request_places(node(PLACES), "0x00") == PLACES


@pytest.mark.parametrize(
    "wrong",
    [
        7,
        {"codes": ["60"], "calls": []},
        {"codes": ["0x6"], "calls": []},
        {**PLACES, "codes": []},
        {**PLACES, "calls": [{}]},
        {**PLACES, "calls": [{**PLACE, "ended": ["1"]}]},
        {**PLACES, "calls": [{**PLACE, "calls": [None]}]},
    ],
)
def test_places_of_another_shape_are_one_sentence(node: Answering, wrong: Any) -> None:
    with pytest.raises(NodeError, match=r"returned (an invalid call tree|invalid locations of calls)"):
        request_places(node(wrong), "0x00")
