"""Verdicts of `verification.matching` on contracts of a network."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bridge.ethereum.addresses import create_address, eth_address
from hypervisor_tools.soltest.cheatcodes.state import CREATE2_DEPLOYER
from hypervisor_tools.verification.compilation import VerificationError
from hypervisor_tools.verification.creation_code import CreationCode, NoCreationCode
from hypervisor_tools.verification.jobs import MatchLevel, Verdict, verdict
from localnet import Network
from localnet.addresses import filecoin_address
from localnet.fork.node_client import NodeClient, NodeError
from localnet.rpc.server.server import serving
from localnet.state.controls import code_of
from store.keccak import keccak
from tests.hypervisor_tools.verification.contracts import artifact, deploy, init_code

EXACT, MATCH = MatchLevel.EXACT, MatchLevel.MATCH


@dataclass(frozen=True)
class Deployed:
    runtime: bytes
    init_code: bytes


@pytest.fixture(scope="module")
def deployed() -> Iterator[dict[str, Deployed]]:
    """A library, a contract that links to it and has an immutable, and a contract that creates another."""
    with Network() as network:
        codes = {"Doubling": init_code("Doubling")}
        addresses = {"Doubling": deploy(network, codes["Doubling"])}
        codes["Kept"] = init_code("Kept", 12345, {"Doubling": addresses["Doubling"]})
        codes["Factory"] = init_code("Factory")
        addresses |= {name: deploy(network, codes[name]) for name in ("Kept", "Factory")}
        called = network.call(addresses["Kept"], keccak(b"twice()")[:4])
        assert int.from_bytes(called, "big") == 24690
        yield {
            name: Deployed(code_of(network.machine, filecoin_address(address)), codes[name])
            for name, address in addresses.items()
        }


CONTRACTS = ["Doubling", "Kept", "Factory"]


@pytest.mark.parametrize("name", CONTRACTS)
def test_deployed_sources_match_exactly(deployed: dict[str, Deployed], name: str) -> None:
    found = deployed[name]
    assert verdict(artifact(name), found.runtime, found.init_code) == Verdict(EXACT, EXACT)


@pytest.mark.parametrize("name", CONTRACTS)
def test_another_comment_is_a_match(deployed: dict[str, Deployed], name: str) -> None:
    """Factory contains the metadata hash of the contract it creates too."""
    found = deployed[name]
    assert verdict(artifact(name, "other comment"), found.runtime, found.init_code) == Verdict(MATCH, MATCH)


@pytest.mark.parametrize("name", ["Doubling", "Factory"])
def test_other_code_of_the_same_length_does_not_match(deployed: dict[str, Deployed], name: str) -> None:
    found = deployed[name]
    with pytest.raises(VerificationError, match="the sources, the compiler version") as raised:
        verdict(artifact(name, "other code"), found.runtime, found.init_code)
    assert raised.value.code == "no_match"


@pytest.mark.parametrize("variant", ["other code", "no hash", "no metadata"])
def test_code_of_another_length_is_reported(deployed: dict[str, Deployed], variant: str) -> None:
    found = deployed["Kept"]
    with pytest.raises(VerificationError, match="345") as raised:
        verdict(artifact("Kept", variant), found.runtime, found.init_code)
    assert raised.value.code == "bytecode_length_mismatch"


@pytest.mark.parametrize("variant", ["no hash", "no metadata"])
def test_equal_code_without_a_metadata_hash_is_a_match(variant: str) -> None:
    compiled = artifact("Child", variant)
    with Network() as network:
        code = bytes.fromhex(compiled.creation.object)
        runtime = code_of(network.machine, filecoin_address(deploy(network, code)))
    assert verdict(compiled, runtime, code) == Verdict(MATCH, MATCH)


def test_creation_code_needs_exactly_the_arguments_of_the_constructor(deployed: dict[str, Deployed]) -> None:
    found = deployed["Kept"]
    for code in (found.init_code + b"\0", found.init_code[:-1], found.init_code[:-32], b"\x01" + found.init_code[1:]):
        assert verdict(artifact("Kept"), found.runtime, code) == Verdict(None, EXACT)
    assert verdict(artifact("Kept"), found.runtime, None) == Verdict(None, EXACT)


@pytest.mark.parametrize("name", ["Kept", "Factory"])
def test_only_immutables_libraries_and_metadata_may_differ(deployed: dict[str, Deployed], name: str) -> None:
    """Each other changed byte of the runtime code makes a mismatch; Factory contains the metadata hash of Child."""
    compiled, runtime = artifact(name), deployed[name].runtime
    places = [*compiled.runtime.immutables.values(), *compiled.runtime.links.get("src/Kept.sol", {}).values()]
    filled = {place["start"] + offset for several in places for place in several for offset in range(place["length"])}
    assert (name == "Kept") == bool(filled)
    metadata = set(range(len(runtime) - 53, len(runtime) - 2))
    if name == "Factory":
        child = runtime.index(bytes.fromhex("a264697066735822 1220")) + 10
        metadata |= set(range(child, child + 32))
    for place in range(len(runtime)):
        changed = runtime[:place] + bytes([runtime[place] ^ 1]) + runtime[place + 1 :]
        try:
            level = verdict(compiled, changed, None).runtime
        except VerificationError:
            level = None
        assert level == (EXACT if place in filled else MATCH if place in metadata else None), place


def test_better_verdict_improves_one_part_and_worsens_none() -> None:
    assert Verdict(None, EXACT).improves(Verdict(None, MATCH))
    assert Verdict(MATCH, EXACT).improves(Verdict(None, EXACT))
    assert not Verdict(None, EXACT).improves(Verdict(MATCH, MATCH))
    assert not Verdict(MATCH, MATCH).improves(Verdict(MATCH, MATCH))
    assert Verdict(MATCH, EXACT).best is Verdict(EXACT, None).best is EXACT


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
