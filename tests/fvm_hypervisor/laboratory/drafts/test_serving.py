"""The explorer and the RPC of a network with a draft version: its name, its vectors, an upgrade on request."""

import json
from pathlib import Path

import pytest

from fvm_hypervisor.cli.node_vectors import vector_of
from fvm_hypervisor.explorer.application import explorer
from fvm_hypervisor.laboratory.drafts import read_draft
from localnet import Network
from localnet.rpc.server import serving
from tests.command import run
from tests.fvm_hypervisor.laboratory.drafts.test_opening import EPOCH, opened, sent, written
from tests.localnet.conftest import Clock
from tests.localnet.rpc.test_http import ask, request


@pytest.mark.slow
def test_explorer_shows_the_draft_and_its_vectors(tmp_path: Path) -> None:
    draft = written(tmp_path)
    with opened(draft) as network:
        pages = explorer([], lambda wanted: vector_of(url, wanted, network.overlay))
        with serving(network, pages=pages) as url:
            planned = request(url, "GET", "/")[2].decode()
            assert f"nv30 nv30-draft after epoch {EPOCH}" in planned
            network.mine(EPOCH + 1 - network.block_number)
            assert "nv30 nv30-draft" in request(url, "GET", "/")[2].decode()
            transaction = network.send_native(network.accounts[1].native, value=1).hash.hex()
            status, _, page = request(url, "GET", f"/tx/0x{transaction}/vector.json")
            out = tmp_path / "vector.json"
            extract = "extract", f"0x{transaction}", "--rpc-url", url, "--out", out
            refused, done = run(*extract), run(*extract, "--network", draft)
    assert (status, json.loads(page)["preconditions"]["variants"][0]["nv"]) == (200, 30)
    assert (refused.exit_code, "nv30 is not known" in refused.output) == (2, True), refused.output
    assert done.exit_code == 0, done.output
    assert run("conformance", out, "--network", draft, "--workers", 1).exit_code == 0


def test_null_round_links_its_cron_once_this_has_a_receipt(tmp_path: Path) -> None:
    with opened(written(tmp_path, '[rules]\nreceipts = "all"\n'), deferred=True) as network:
        network.mine(EPOCH + 1)
        tipset = network.mine(null_rounds=1)
        path, link = f"/epoch/{tipset.height - 1}", f"/tx/0x{tipset.implicit[0].hex()}"
        with serving(network, pages=explorer([])) as url:
            assert link not in request(url, "GET", path)[2].decode()
            network.mine()
            assert link in request(url, "GET", path)[2].decode()
            assert request(url, "GET", link)[0] == 200


def test_client_upgrades_the_node_to_its_draft(tmp_path: Path) -> None:
    draft = read_draft(written(tmp_path, head=""))
    with Network(network=29, overlay=draft.overlay, clock=Clock()) as network:
        before = sent(network)
        with serving(network) as url:
            ask(url, "hypervisor_upgrade", "nv30")
        assert (network.version, sent(network)) == (30, before + 7)
