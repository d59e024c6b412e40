"""The API of a node: requests, responses, jobs and stored contracts. tests/clients uses it with forge."""

import html
import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

import pytest

from bridge.ethereum.addresses import EthAddress, checksummed
from hypervisor_tools.soltest.compile.compiler import Solc
from hypervisor_tools.verification import endpoint, jobs
from hypervisor_tools.verification.compilation import Submission, VerificationError
from hypervisor_tools.verification.jobs import Verifier
from hypervisor_tools.verification.store import VerifiedContracts, source_of
from localnet import Network
from store.keccak import keccak
from tests.hypervisor_tools.verification.contracts import (
    FILE,
    OUTPUTS,
    SOURCE,
    body,
    deploy,
    init_code,
    printing,
    recorded_answer,
    running,
)
from tests.hypervisor_tools.verification.node_api import CHAIN, Api, served
from tests.localnet.conftest import network_fixture

NOBODY = "0x" + "12" * 20


module_network = network_fixture(lambda: Network(), scope="module")


@pytest.fixture
def api(module_network: Network, tmp_path: Path) -> Iterator[Api]:
    with served(module_network, printing(tmp_path, recorded_answer())) as found:
        yield found


@pytest.fixture
def kept(module_network: Network) -> str:
    """The address of a new Kept(5), in the form with a checksum."""
    library = deploy(module_network, init_code("Doubling"))
    return checksummed(EthAddress(deploy(module_network, init_code("Kept", 5, {"Doubling": library}))))


@pytest.mark.slow
def test_contract_is_verified(api: Api, kept: str) -> None:
    assert api.contract(kept) == (
        404,
        {"match": None, "creationMatch": None, "runtimeMatch": None, "chainId": str(CHAIN), "address": kept},
    )
    job = api.verify(kept.lower())
    summary = job["contract"]
    assert {name: summary[name] for name in ("match", "creationMatch", "runtimeMatch")} == dict.fromkeys(
        ("match", "creationMatch", "runtimeMatch"), "exact_match"
    )
    assert (summary["chainId"], summary["address"]) == (str(CHAIN), kept)
    assert "error" not in job
    assert job["jobStartTime"] <= job["jobFinishTime"]
    assert int(job["compilationTime"]) > 0
    assert api.contract(kept) == (200, summary)
    assert api.ask("GET", f"/v2/contracts/{CHAIN}") == (200, {"results": [summary]})
    assert api.ask("GET", f"/v2/contract/all-chains/{kept}") == (200, {"results": [summary]})
    assert api.ask("GET", f"/v2/contract/all-chains/{NOBODY}") == (404, {"results": []})


@pytest.mark.slow
def test_fields_of_a_verified_contract(api: Api, kept: str) -> None:
    summary = api.verify(kept)["contract"]
    output = OUTPUTS["as deployed"]["Kept"]
    _, chosen = api.contract(kept, "?fields=abi,compilation.name,compilation.compilerVersion,match")
    assert chosen == {
        **summary,
        "abi": output["abi"],
        "compilation": {"name": "Kept", "compilerVersion": "0.8.30+commit.73712a01"},
    }
    _, everything = api.contract(kept, "?fields=all")
    assert everything["sources"] == {FILE: {"content": SOURCE}}
    assert everything["metadata"] == json.loads(output["metadata"])
    assert everything["compilation"]["fullyQualifiedName"] == f"{FILE}:Kept"
    assert everything["runtimeBytecode"]["recompiledBytecode"] == f"0x{output['evm']['deployedBytecode']['object']}"
    assert (
        everything["runtimeBytecode"]["immutableReferences"] == output["evm"]["deployedBytecode"]["immutableReferences"]
    )
    assert everything["creationBytecode"]["onchainBytecode"].endswith(f"{5:064x}")
    assert len(everything["deployment"]["transactionHash"]) == 66
    _, rest = api.contract(kept, "?omit=sources,stdJsonInput")
    assert set(everything) - set(rest) == {"sources", "stdJsonInput"}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?fields=abi&omit=abi", "Cannot specify both"),
        ("?fields=signatures", "Field selector signatures is not a valid field"),
        ("?omit=compilation.x", "Field selector compilation.x is not a valid field"),
        ("?fields=" + "a" * 300, "is not a valid field"),
        ("?" + "&".join("a=1" for _ in range(30)), "query string cannot be parsed"),
    ],
)
def test_invalid_field_selectors(api: Api, kept: str, query: str, words: str) -> None:
    api.verify(kept)
    status, result = api.contract(kept, query)
    assert (status, result["customCode"]) == (400, "invalid_parameter")
    assert words in result["message"]


@pytest.mark.slow
def test_verified_contracts_are_verified_again_only_for_a_better_match(
    api: Api, kept: str, tmp_path: Path, module_network: Network
) -> None:
    (tmp_path / "other").mkdir()
    api.solc.append(printing(tmp_path / "other", recorded_answer("other comment")))
    assert api.verify(kept)["contract"]["match"] == "match"
    job = api.verify(kept)
    assert job["error"]["customCode"] == "already_verified"
    assert job["contract"]["match"] is None
    api.solc.pop()
    assert api.verify(kept)["contract"]["match"] == "exact_match"
    status, result = api.submit(kept)
    assert (status, result["customCode"]) == (409, "already_verified")


@pytest.mark.slow
def test_creation_transaction_of_the_request_is_used(api: Api, kept: str) -> None:
    """A transaction that did not create the contract is ignored, as by Sourcify."""
    job = api.verify(kept, body(creationTransactionHash="0x" + "12" * 32))
    assert (job["contract"]["creationMatch"], job["contract"]["runtimeMatch"]) == (None, "exact_match")


@pytest.mark.slow
def test_reverted_contracts_are_not_verified_any_more(tmp_path: Path) -> None:
    """The address is used again by another contract."""
    with Network() as network, served(network, printing(tmp_path, recorded_answer())) as api:
        number = network.snapshot()
        address = f"0x{deploy(network, init_code('Child')).hex()}"
        assert api.verify(address, body("Child"))["contract"]["match"] == "exact_match"
        network.revert(number)
        assert api.contract(address)[0] == 404
        assert f"0x{deploy(network, init_code('Factory')).hex()}" == address
        assert api.contract(address)[0] == 404
        assert api.ask("GET", f"/v2/contracts/{CHAIN}") == (200, {"results": []})
        assert api.verify(address, body("Factory"))["contract"]["match"] == "exact_match"


@pytest.mark.slow
def test_verified_contracts_are_stored_in_the_folder_of_the_chain(tmp_path: Path) -> None:
    folder = tmp_path / "chain"
    with Network(folder) as network, served(network, printing(tmp_path, recorded_answer()), folder) as api:
        address = f"0x{deploy(network, init_code('Child')).hex()}"
        summary = api.verify(address, body("Child"))["contract"]
    with Network(folder) as network, served(network, printing(tmp_path, {}), folder) as api:
        assert api.contract(address) == (200, summary)
        for text in ("{", "[]", "{}"):
            (folder / "verified" / f"{address}.json").write_text(text, encoding="utf-8")
            assert api.contract(address)[0] == 404


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"contractIdentifier": f"{FILE}:Nothing"}, "contract_not_found_in_compiler_output", "no contract 'Nothing'"),
        ({"contractIdentifier": f"{FILE}:Factory"}, "bytecode_length_mismatch", "431 bytes, the code on the chain 345"),
        ({"compilerVersion": "0.8.30+commit.00000000"}, "invalid_compiler_version", "not 0.8.30+commit.00000000"),
    ],
)
def test_failed_jobs_name_the_reason(api: Api, kept: str, change: dict[str, Any], code: str, words: str) -> None:
    job = api.verify(kept, body(**change))
    assert job["error"]["customCode"] == code
    assert words in job["error"]["message"]
    assert len(job["error"]["errorId"]) == 36
    assert job["contract"]["match"] is None


def test_addresses_without_code(api: Api) -> None:
    job = api.verify(NOBODY)
    assert job["error"]["customCode"] == "contract_not_deployed"
    assert f"Chain #{CHAIN} does not have a contract deployed at 0x1212" in job["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "code", "words"),
    [
        ("POST", f"/v2/verify/1/{NOBODY}", {}, 400, "unsupported_chain", "this node's chain is 31415926"),
        ("POST", f"/v2/verify/x/{NOBODY}", {}, 400, "unsupported_chain", "Chain x not found"),
        ("GET", f"/v2/contract/1/{NOBODY}", None, 400, "unsupported_chain", "Chain 1 not found"),
        ("GET", "/v2/contracts/1", None, 400, "unsupported_chain", "Chain 1 not found"),
        ("POST", f"/v2/verify/{CHAIN}/0x12", {}, 400, "invalid_parameter", "Invalid address: 0x12"),
        ("POST", f"/v2/verify/{CHAIN}/0x5fbDB2315678afecb367f032d93F642f64180aa3", {}, 400, "invalid_parameter", "Inv"),
        ("POST", f"/v2/verify/{CHAIN}/{NOBODY}", b"{", 400, "invalid_json", "not valid JSON"),
        ("POST", f"/v2/verify/{CHAIN}/{NOBODY}", b"", 400, "invalid_json", "not valid JSON"),
        ("POST", f"/v2/verify/{CHAIN}/{NOBODY}", b"\xff", 400, "invalid_json", "not valid JSON"),
        ("POST", f"/v2/verify/{CHAIN}/{NOBODY}", b'{"a":' * 99_999, 400, "invalid_json", "not valid JSON"),
        ("POST", f"/v2/verify/{CHAIN}/{NOBODY}", [], 400, "invalid_parameter", "not a JSON object"),
        ("POST", f"/v2/verify/{CHAIN}/{NOBODY}", b"x" * ((5 << 20) + 1), 413, "invalid_parameter", "5242880 bytes"),
        ("POST", f"/v2/verify/metadata/{CHAIN}/{NOBODY}", {}, 404, "route_not_found", "use POST"),
        ("PUT", f"/v2/verify/{CHAIN}/{NOBODY}", {}, 404, "route_not_found", "is not supported"),
        ("GET", "/v2/" + "a" * 2000, None, 404, "route_not_found", "is not supported"),
        ("GET", "/v2/verify/1", None, 404, "job_not_found", "No verification job found for id 1"),
        ("GET", "/v2/verify/..%2F..%2Fetc", None, 404, "route_not_found", "is not supported"),
    ],
)  # fmt: skip
def test_invalid_requests(api: Api, method: str, path: str, data: Any, status: int, code: str, words: str) -> None:
    found, response = api.ask(method, path, data)
    assert (found, response["customCode"]) == (status, code)
    assert words in response["message"]
    assert len(response["message"]) < 400


def test_requests_of_other_origins_are_refused(api: Api) -> None:
    for headers in ({"Origin": "https://example.org"}, {"Host": "example.org"}):
        status, response = api.ask("POST", f"/v2/verify/{CHAIN}/{NOBODY}", body(), headers)
        assert status == 403
        assert "refused" in response["error"]


def test_other_paths_go_to_the_pages(api: Api) -> None:
    assert api.ask("GET", "/healthz")[0] == 200
    for method, path, status in (("GET", "/v2", 404), ("GET", "/", 405), ("PUT", "/rpc/v2", 405), ("POST", "/x", 404)):
        connection = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=30)
        with closing(connection):
            connection.request(method, path)
            assert connection.getresponse().status == status


@pytest.mark.slow
def test_jobs_are_bounded(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module_network: Network) -> None:
    """Two compilers run at a time; other jobs wait, up to a limit, and only one for each contract."""
    monkeypatch.setattr(jobs, "MAX_WAITING", 4)
    monkeypatch.setattr(jobs, "MAX_FINISHED", 2)
    monkeypatch.setattr(endpoint, "_WAIT", 0.2)
    for name in ("running", "go"):
        (tmp_path / name).mkdir()
    script = f"""import os, sys, time
sys.stdin.read()
open(f'{tmp_path}/running/{{os.getpid()}}', 'w')
while not os.path.exists('{tmp_path}/go/now'): time.sleep(0.01)
print({json.dumps(recorded_answer())!r})"""
    (tmp_path / "slow").mkdir()
    api.solc.append(running(tmp_path / "slow", script))
    addresses = [f"0x{deploy(module_network, init_code('Child')).hex()}" for _ in range(5)]
    names = [api.submit(address, body("Child"))[1]["verificationId"] for address in addresses[:4]]
    assert api.submit(addresses[0], body("Child"))[0] == 429
    status, result = api.submit(addresses[4], body("Child"))
    assert (status, result["customCode"]) == (503, "too_many_requests")
    assert api.ask("GET", f"/v2/verify/{names[3]}")[1]["isJobCompleted"] is False
    assert len(list((tmp_path / "running").iterdir())) == jobs.WORKERS == 2
    (tmp_path / "go" / "now").touch()
    assert [api.finished(name)["contract"]["match"] for name in names] == ["exact_match"] * 4
    names.append(api.submit(addresses[4], body("Child"))[1]["verificationId"])
    assert [api.ask("GET", f"/v2/verify/{name}")[0] for name in names] == [404, 404, 200, 200, 200]


def test_running_compilers_end_with_the_node(module_network: Network, tmp_path: Path) -> None:
    script = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    address = f"0x{deploy(module_network, init_code('Child')).hex()}"
    with served(module_network, running(tmp_path, script)) as api:
        api.submit(address, body("Child"))
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.01)
        begin = time.monotonic()
    assert time.monotonic() - begin < 20
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


@pytest.mark.slow
def test_oldest_contracts_are_dropped(api: Api, module_network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    from hypervisor_tools.verification import store

    monkeypatch.setattr(store, "MAX_CONTRACTS", 2)
    addresses = [f"0x{deploy(module_network, init_code('Child')).hex()}" for _ in range(3)]
    for address in addresses:
        assert api.verify(address, body("Child"))["contract"]["match"] == "exact_match"
    assert [api.contract(address)[0] for address in addresses] == [404, 200, 200]
    monkeypatch.setattr(store, "MAX_BYTES", 10)
    assert api.verify(addresses[0], body("Child"))["contract"]["match"] == "exact_match"
    assert [api.contract(address)[0] for address in addresses] == [200, 404, 404]


@pytest.mark.slow
def test_shutdown_does_not_wait_for_silent_node() -> None:
    """A request to a node that has stopped may take minutes: its connection waits in the backlog of the socket."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        verifier = Verifier(lambda: f"http://127.0.0.1:{silent.getsockname()[1]}", VerifiedContracts(), never)
        name = verifier.submit(CHAIN, NOBODY, Submission.of(body()))
        begin = time.monotonic()
        verifier.close()
        assert time.monotonic() - begin < 30
        job = verifier.job(name)
        assert job is not None
        assert job.finished is None
        with pytest.raises(VerificationError, match="try again later"):
            verifier.submit(CHAIN, "0x" + "34" * 20, Submission.of(body()))


def never(release: str) -> Solc:
    raise AssertionError("nothing is compiled before the code is read")


@pytest.fixture
def page_api(tmp_path: Path) -> Iterator[Api]:
    folder = tmp_path / "chain"
    with (
        Network(folder) as network,
        served(network, printing(tmp_path, recorded_answer()), folder, explored=True) as page_api,
    ):
        yield page_api


def page(page_api: Api, path: str, status: int = 200) -> str:
    try:
        with urlopen(f"{page_api.url}{path}") as result:
            found, text = result.status, result.read().decode()
    except HTTPError as error:
        with error:
            found, text = error.code, error.read().decode()
    assert found == status
    return html.unescape(text)


@pytest.mark.slow
def test_pages_show_verified_sources_and_decode_with_their_abi(page_api: Api) -> None:
    address = f"0x{deploy(page_api.network, init_code('Factory')).hex()}"
    called = page_api.network.send(bytes.fromhex(address[2:]), 0, keccak(b"create()")[:4])
    before = page(page_api, f"/actor/{address}")
    assert "/source" not in before
    assert "create" not in page(page_api, f"/tx/0x{called.hash.hex()}")
    assert "no sources of" in page(page_api, f"/actor/{address}/source", 404)
    other = "\x1b[31m" + "contract Other { string s = '</pre><script>'; }\n"
    sources = {FILE: {"content": SOURCE}, "../up & down.sol": {"content": other}}
    settings = {"optimizer": {"enabled": True, "runs": 200}}
    source_json = {"language": "Solidity", "sources": sources, "settings": settings}
    assert page_api.verify(address, body("Factory", stdJsonInput=source_json))["contract"]["match"] == "exact_match"
    shown = page(page_api, f"/actor/{address}")
    assert f'<a href="/actor/{address}/source">Factory</a>' in shown
    assert "create" in page(page_api, f"/tx/0x{called.hash.hex()}")
    assert "child (contract Child)" in page(page_api, f"/actor/{address}/state/contract_state")
    text = page(page_api, f"/actor/{address}/source")
    assert SOURCE.strip() in text
    assert "exact_match" in text
    assert "solc 0.8.30+commit.73712a01" in text
    assert json.dumps(settings, indent=2) in text
    with urlopen(f"{page_api.url}/actor/{address}/source?file={quote('../up & down.sol')}") as result:
        raw = result.read().decode()
    assert "&lt;/pre&gt;&lt;script&gt;" in raw
    assert "</pre><script>" not in raw
    assert "\x1b" not in raw
    assert "have no file" in page(page_api, f"/actor/{address}/source?file=/etc/passwd", 404)


@pytest.mark.slow
def test_sources_of_reverted_contracts_are_not_shown(page_api: Api) -> None:
    snapshot = page_api.network.snapshot()
    address = f"0x{deploy(page_api.network, init_code('Child')).hex()}"
    assert page_api.verify(address, body("Child"))["contract"]["match"] == "exact_match"
    assert "/source" in page(page_api, f"/actor/{address}")
    page_api.network.revert(snapshot)
    assert f"0x{deploy(page_api.network, init_code('Factory')).hex()}" == address
    assert "/source" not in page(page_api, f"/actor/{address}")
    page(page_api, f"/actor/{address}/source", 404)


@pytest.mark.parametrize(
    "entry",
    [
        {"summary": {}, "fields": {}},
        {"summary": {"runtimeMatch": None, "creationMatch": None, "verifiedAt": 1}, "fields": {"compilation": []}},
        {
            "summary": {"runtimeMatch": None, "creationMatch": None, "verifiedAt": 1},
            "codeHash": "",
            "fields": {
                "compilation": {"fullyQualifiedName": 1, "compilerVersion": 1, "compilerSettings": 1},
                "sources": ["x"],
                "storageLayout": 1,
            },
        },
    ],
)
def test_malformed_entries_have_no_sources(entry: object) -> None:
    stored, address = VerifiedContracts(), EthAddress(bytes(20))
    stored.put("0x" + "00" * 20, entry)  # type: ignore[arg-type]  # malformed
    assert source_of(stored, address) is None
