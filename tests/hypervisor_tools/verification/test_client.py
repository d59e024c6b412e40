"""`hypervisor verify-contract` against a node; tests/clients runs it with a compiler."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.verification.client import NotVerified, VerificationService, request_of
from localnet import Network
from store.keccak import keccak
from tests.command import run
from tests.hypervisor_tools.soltest.scripts.conftest import HERE
from tests.hypervisor_tools.soltest.scripts.conftest import project as project  # a fixture
from tests.hypervisor_tools.verification.contracts import OUTPUTS, deploy, running
from tests.hypervisor_tools.verification.node_api import Api, served
from tests.web_server import Handler, serving

COUNTER = "src/Counter.sol"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    compiled = json.loads((HERE / "compiled.json").read_text(encoding="utf-8"))["out/Counter.sol/Counter.json"]
    output = {
        "abi": compiled["abi"],
        "metadata": compiled["rawMetadata"],
        "evm": {"bytecode": compiled["bytecode"], "deployedBytecode": compiled["deployedBytecode"]},
    }
    result = json.dumps({"contracts": {COUNTER: {"Counter": output}}})
    script = f"import sys; open({str(tmp_path / 'asked')!r}, 'w').write(sys.stdin.read()); print({result!r})"
    with Network() as network, served(network, running(tmp_path, script)) as found:
        yield found


@pytest.fixture
def counter(api: Api, project: Path) -> str:
    content = json.loads((project / "out" / "Counter.sol" / "Counter.json").read_text(encoding="utf-8"))
    code = bytes.fromhex(content["bytecode"]["object"][2:]) + (42).to_bytes(32, "big")
    return f"0x{deploy(api.network, code).hex()}"


def verify(api: Api, project: Path, address: str, *options: str, status: int = 0) -> str:
    common = ("--root", str(project), "--rpc-url", api.url)
    done = run("verify-contract", address, f"{COUNTER}:Counter", *common, *options)
    assert done.exit_code == status, done.output
    return done.stdout if status == 0 else " ".join(done.stderr.split())


@pytest.mark.slow
def test_sources_of_a_project_are_verified(api: Api, project: Path, counter: str, tmp_path: Path) -> None:
    assert verify(api, project, counter).split() == [
        "contract", "exact_match", "creation", "exact_match", "runtime", "exact_match",
    ]  # fmt: skip
    asked = json.loads((tmp_path / "asked").read_text(encoding="utf-8"))
    content = json.loads((project / "out" / "Counter.sol" / "Counter.json").read_text(encoding="utf-8"))
    assert asked["sources"] == {COUNTER: {"content": (project / COUNTER).read_text(encoding="utf-8")}}
    settings = {name: value for name, value in asked["settings"].items() if name != "outputSelection"}
    expected = {name: value for name, value in content["metadata"]["settings"].items() if name != "compilationTarget"}
    assert settings == {name: value for name, value in expected.items() if name != "libraries"}
    again = json.loads(verify(api, project, counter, "--json"))
    assert (again["match"], again["address"].lower()) == ("exact_match", counter)
    assert "exact_match" in verify(api, project, counter, "--verifier-url", f"{api.url}/", "--verifier", "sourcify")


@pytest.mark.slow
def test_contracts_that_differ_are_not_verified(api: Api, project: Path) -> None:
    other = f"0x{deploy(api.network, bytes.fromhex('60016000f3')).hex()}"
    assert f"error: {other} is not verified: no_match" in verify(api, project, other, status=1)
    nobody = "0x" + "12" * 20
    assert f"error: {nobody} is not verified: contract_not_deployed" in verify(api, project, nobody, status=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--verifier-url", "http://127.0.0.1:1"], "no verification service answers at http://127.0.0.1:1"),
        (["--verifier-url", "file:///etc/passwd"], "is not the URL of a verification service"),
        (["--creation-transaction", "0x12"], "is not the hash of a transaction"),
        (["--verifier", "etherscan"], "not one of 'sourcify'"),
        (["--chain", "1"], "the node determines the chain"),
        (["--watch"], "the command always waits"),
        (["--timeout", "0"], "has not ended after 0 seconds"),
    ],
)
def test_services_that_cannot_be_asked(api: Api, project: Path, counter: str, options: list[str], words: str) -> None:
    assert words in verify(api, project, counter, *options, status=2)


def metadata(**changes: Any) -> dict[str, Any]:
    return {**json.loads(OUTPUTS["as deployed"]["Kept"]["metadata"]), **changes}


def test_metadata_become_the_input_of_the_compiler() -> None:
    """The fields are those of the Solidity documentation on metadata; library addresses are by file and name there."""
    found = metadata(sources={"a.sol": {"keccak256": f"0x{keccak(b'text').hex()}"}})
    found["settings"]["libraries"] = {"a:b.sol:Lib": "0x" + "12" * 20}
    request = request_of(found, {"a.sol": "text", "b.sol": "other"}, "0x00")
    assert request["stdJsonInput"]["sources"] == {"a.sol": {"content": "text"}}
    assert request["stdJsonInput"]["settings"]["libraries"] == {"a:b.sol": {"Lib": "0x" + "12" * 20}}
    assert request["stdJsonInput"]["settings"]["optimizer"] == {"enabled": True, "runs": 200}
    assert "compilationTarget" not in request["stdJsonInput"]["settings"]
    assert request["compilerVersion"] == "0.8.30+commit.73712a01"
    assert request["contractIdentifier"] == "src/Kept.sol:Kept"
    assert request["creationTransactionHash"] == "0x00"


@pytest.mark.parametrize("texts", [{}, {"src/Kept.sol": "contract Kept {}"}])
def test_changed_sources_are_not_sent(texts: Mapping[str, str]) -> None:
    with pytest.raises(InvalidInput, match=r"src/Kept\.sol is not the source that was compiled"):
        request_of(metadata(), texts)


@pytest.mark.parametrize("changes", [{"settings": 1}, {"settings": {}}, {"sources": []}, {"compiler": {}}])
def test_malformed_metadata_are_reported(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="metadata in the contract's artifact are malformed"):
        request_of(metadata(**changes), {})


@pytest.fixture
def answers() -> Iterator[tuple[str, list[tuple[int, bytes]]]]:
    """The URL of a server, and the responses that it sends one after another."""
    queue: list[tuple[int, bytes]] = []

    class Answering(Handler):
        def do_GET(self) -> None:
            status, body = queue.pop(0)
            self.answer(body, status, {"location": f"{url}/elsewhere"} if status // 100 == 3 else {})

        def do_POST(self) -> None:
            self.posted()
            self.do_GET()

    with serving(Answering) as url:
        yield url, queue


ACCEPTED = (202, b'{"verificationId": "a-1"}')


@pytest.mark.parametrize(
    ("sent", "kind", "words"),
    [
        ([(202, b"{}")], InvalidInput, "refused the request with status 202"),
        ([(202, b'{"verificationId": "../x"}')], InvalidInput, "refused the request with status 202"),
        ([(403, b'{"error": "refused: host"}')], InvalidInput, "refused: host"),
        ([(200, b"<html>")], InvalidInput, "no verification service answers"),
        ([(200, b"[]")], InvalidInput, "returned other JSON"),
        ([(200, b'"' + b"x" * (2 << 20) + b'"')], InvalidInput, "no verification service answers"),
        ([ACCEPTED, (200, b'{"isJobCompleted": true}')], NotVerified, "no reason is given"),
        ([ACCEPTED, (200, b'{"isJobCompleted": true, "error": {"customCode": "\\u001b"}}')], NotVerified, r"\\x1b: N"),
        ([ACCEPTED, (200, b'{"isJobCompleted": 1}')] * 9, InvalidInput, "has not ended after 1 seconds"),
    ],
)  # fmt: skip
def test_hostile_services_are_reported(
    answers: tuple[str, list[tuple[int, bytes]]], sent: list[tuple[int, bytes]], kind: type[Exception], words: str
) -> None:
    url, queue = answers
    queue += sent
    with pytest.raises(kind, match=words):
        VerificationService(url).verify(1, "0x00", {}, 1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("earlier", [[], [ACCEPTED]])
def test_redirect_of_service_is_not_followed(
    answers: tuple[str, list[tuple[int, bytes]]], earlier: list[tuple[int, bytes]], status: int
) -> None:
    url, queue = answers
    contract = b'{"verificationId": "a-1", "isJobCompleted": true, "contract": {"match": "match"}}'
    queue += [*earlier, (status, contract), (200, contract), (200, contract)]
    words = rf"^{re.escape(url)} redirects to {re.escape(url)}/\*\*\* \(HTTP {status}\): .* pass the final URL"
    with pytest.raises(InvalidInput, match=words):
        VerificationService(url).verify(1, "0x00", {}, 1)
    assert len(queue) == 2


def test_contracts_verified_earlier_are_found(answers: tuple[str, list[tuple[int, bytes]]]) -> None:
    url, queue = answers
    error = b'{"isJobCompleted": true, "error": {"customCode": "already_verified"}, "contract": {"match": null}}'
    for sent in ([(409, b"{}")], [ACCEPTED, (200, error)]):
        queue += [*sent, (200, b'{"match": "match"}')]
        assert VerificationService(url).verify(1, "0x00", {}, 1) == {"match": "match"}
