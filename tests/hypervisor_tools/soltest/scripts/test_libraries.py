"""A script's libraries: deployed first, at the addresses and with the nonces of forge 1.7.1 (`linked.json`)."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.compile.artifact import Artifacts, Bytecode, ContractArtifact
from hypervisor_tools.soltest.scripts.linking import libraries_option, linking_of
from localnet import Network
from localnet.rpc.server.server import serving
from tests.command import run
from tests.hypervisor_tools.soltest.scripts.conftest import HERE, compiled_project

KEY: Final = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
FORGES: Final[dict[str, Any]] = json.loads((HERE / "linked.json").read_text(encoding="utf-8"))
RUN: Final[dict[str, Any]] = FORGES["run"]
APART: Final = "src/Linked.sol:Apart:0x"


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    return compiled_project(tmp_path, "linked", FORGES["compiled"])


def sent(root: Path, url: str, *options: str, status: int = 0) -> dict[str, Any]:
    """Return the record of a run that is broadcast."""
    place = ["script", str(root / "script" / "Linked.s.sol"), "--root", str(root), "--rpc-url", url]
    done = run(*place, "--private-key", KEY, "--broadcast", *options)
    assert done.exit_code == status, done.output
    (file,) = root.glob("broadcast/Linked.s.sol/*/run-latest.json")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def compared(rows: list[dict[str, Any]]) -> list[Any]:
    """Return transactions without fields that differ by network; forge omits the value of a library's."""
    own = ("hash", "transaction")
    fields = ("from", "to", "input", "nonce")
    return [
        [{name: word for name, word in row.items() if name not in own}, [row["transaction"][name] for name in fields]]
        for row in rows
    ]


@pytest.mark.slow
@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_libraries_are_deployed_first_as_by_forge(linked: Path, rules: str) -> None:
    with Network(rules=rules) as network, serving(network) as url:
        found = sent(linked, url)
        assert compared(found["transactions"]) == compared(RUN["transactions"])
        assert (found["libraries"], found["returns"]) == (RUN["libraries"], RUN["returns"])
        (again,) = sent(linked, url)["transactions"]  # they are deployed now
        assert (again["contractName"], again["transaction"]["nonce"]) == ("Linked", "0x4")


@pytest.mark.slow
def test_a_library_that_is_named_is_not_deployed(linked: Path) -> None:
    with Network(rules="ethereum") as network, serving(network) as url:
        (there, *_) = sent(linked, url)["transactions"]
        copy = network.deploy({"abi": [], "bytecode": "0x" + there["transaction"]["input"][66:]}).address
        found = sent(linked, url, "--libraries", f"{APART}{copy.hex()}")
        assert [row["contractName"] for row in found["transactions"]] == ["Linked"]
        assert copy.hex() in found["transactions"][0]["transaction"]["input"]
        assert any(line.lower() == f"{APART}{copy.hex()}".lower() for line in found["libraries"])


@pytest.mark.parametrize("text", ["", "A.sol", "A.sol:A", "A.sol:A:0x12", ":A:0x" + "12" * 20, "A.sol::0x" + "12" * 20])
def test_invalid_library_option_is_named(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a library: expected FILE:NAME"):
        libraries_option([text])


def test_libraries_that_need_each_other_are_refused(tmp_path: Path) -> None:
    class Known(Artifacts):
        def get(self, file: str, name: str) -> ContractArtifact:
            other = {"A": "B", "B": "A", "Own": "A"}[name]
            code = Bytecode("00" * 20, "", {"L.sol": {other: [{"start": 0, "length": 20}]}})
            return ContractArtifact(name, file, [], code, code, {})

    known = Known(tmp_path, (), {})
    with pytest.raises(InvalidInput, match="the libraries A, B depend on each other"):
        linking_of(known, known.get("L.sol", "Own"), {})
    there = libraries_option(["./L.sol:A:0x" + "12" * 20])
    assert linking_of(known, known.get("L.sol", "Own"), there).codes == []
