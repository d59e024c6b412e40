"""The explorer's pages of verified contracts: sources, names of functions and of variables."""

import html
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from bridge.ethereum.addresses import EthAddress
from fvm_hypervisor.verification.sources import source_of
from fvm_hypervisor.verification.store import VerifiedContracts
from localnet import Network
from store.keccak import keccak
from tests.fvm_hypervisor.verification.contracts import FILE, SOURCE, body, deploy, init_code, printing, recorded_answer
from tests.fvm_hypervisor.verification.node_api import Api, served


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
