"""`hypervisor explore`: a folder's pages, the page of a transaction, a node without pages."""

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from urllib.request import urlopen

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.node import vector_of
from hypervisor_tools.laboratory.vectors.conformance import parse_vector, run_variant, variants_of
from hypervisor_tools.laboratory.vectors.files import BundleFolder
from localnet import Network, TransactionFailed, explore
from localnet.console import Console
from localnet.explorer.application import explorer
from localnet.ledger.address_index import FILE
from localnet.rpc.server.server import serving
from store.rocks.database import RocksStore
from tests.command import Program, run
from tests.hypervisor_tools.cli.test_node import START, running
from tests.localnet.conftest import ARTIFACTS
from tests.localnet.rpc.server.test_http import ask, request

HASH = "0x" + "12" * 32


@pytest.mark.slow
def test_folders_chain_is_shown_until_a_signal_ends_it(tmp_path: Path) -> None:
    with Network(tmp_path / "chain") as network:
        sent = network.send(network.accounts[1].address, 10**18).hash.hex()
    program = Program(["explore", tmp_path / "chain", "--index"])
    try:
        line = program.stdout.readline()
        assert line.startswith("Explorer at http://127.0.0.1:")
        url = line.split()[2].rstrip("/")
        with urlopen(f"{url}/tx/0x{sent}") as result:
            page = result.read()
        assert b"Succeeded" in page
        assert f"/tx/0x{sent}/vector.json".encode() in page
        with urlopen(f"{url}/tx/0x{sent}/vector.json") as result:
            vector = result.read()
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=START)
    finally:
        program.kill()
    assert (program.returncode, errors) == (0, "")
    assert (tmp_path / "chain" / FILE).exists()
    (variant,) = variants_of(parse_vector(vector, tmp_path), tmp_path, BundleFolder(None))
    assert run_variant(variant).differences == ()


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.suffix in (".sst", ".log")
    }


@pytest.mark.slow
def test_explore_client_changes_do_not_affect_chain_folder(tmp_path: Path) -> None:
    """A network that has the folder open continues its chain meanwhile."""
    stranger, folder = "0x" + "34" * 20, tmp_path / "chain"
    with Network(folder) as network:
        network.send(network.accounts[1].address, 10**18)
        before = contents(folder)
        program = Program(["explore", folder])
        try:
            url = program.stdout.readline().split()[2].rstrip("/")
            ask(url, "anvil_setBalance", stranger, hex(5))
            ask(url, "anvil_mine", "0x3")
            seen = ask(url, "eth_getBalance", stranger, "latest"), ask(url, "eth_blockNumber")
            program.send_signal(signal.SIGINT)
            _, errors = program.communicate(timeout=START)
        finally:
            program.kill()
        assert (program.returncode, errors, seen) == (0, "", ("0x5", "0x4"))
        assert contents(folder) == before
        assert (network.send(network.accounts[1].address, 1).block_number, network.balance(stranger)) == (2, 0)
    with Network(folder) as network:
        assert (network.block_number, network.balance(stranger)) == (2, 0)


def test_chain_is_read_only_where_there_is_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="read_only needs a folder"):
        Network(read_only=True)
    RocksStore.open(tmp_path / "empty").close()
    with pytest.raises(InvalidInput, match="holds no chain: omit read_only"):
        Network(tmp_path / "empty", read_only=True)


@pytest.mark.slow
@pytest.mark.parametrize("sends", [True, False], ids=["an account", "a contract"])
def test_sender_without_a_key_has_one_answer_everywhere(sends: bool, tmp_path: Path) -> None:
    """Return a vector if any implementation gives the same result, else an error text, as `extract` does."""
    with Network(tmp_path / "chain") as network:
        sender = "0x" + "34" * 20 if sends else str(network.deploy(ARTIFACTS / "DataCapName.json"))
        network.set_balance(sender, 10**20)
        sent = f"0x{network.send('0x' + '12' * 20, 1, sender=sender).hash.hex()}"
        pages = explorer([], lambda wanted: vector_of(url, wanted))
        with serving(network, pages=pages) as url:
            status, _, page = request(url, "GET", f"/tx/{sent}/vector.json")
            by_node = extracted(sent, tmp_path, "--rpc-url", url)
    by_folder = extracted(sent, tmp_path, "--state", tmp_path / "chain")
    if sends:
        assert (status, by_node, by_folder) == (200, "", "")
    else:
        assert by_node.partition(": no vector is written")[1:] == by_folder.partition(": no vector is written")[1:]
        assert "messages from actors that cannot send" in by_folder
        assert (status, by_node.strip().removeprefix("error: ") in unescape(page.decode())) == (404, True)


def extracted(transaction: str, folder: Path, *source: object) -> str:
    out = folder / "vector.json"
    return run("extract", transaction, *source, "--out", out).stderr


@pytest.mark.slow
def test_transaction_without_vector_form_has_status_404() -> None:
    with Network(rules="ethereum") as network, explore(network) as url:
        sent = network.send(network.accounts[1].address, 1).hash.hex()
        assert request(url, "GET", f"/tx/0x{sent}/vector.json")[0] == 404


@pytest.mark.slow
def test_more_vectors_at_once_than_threads_trace_are_all_made() -> None:
    """Making a vector requests traces from this node, so a page must not hold a thread that the traces need."""
    with Network() as network:
        sent = f"0x{network.send(network.accounts[1].address, 1).hash.hex()}"

        def vector(wanted: str) -> str:
            return str(len(ask(url, "trace_transaction", wanted)))

        def page(_number: int) -> tuple[int, bytes]:
            status, _, body = request(url, "GET", f"/tx/{sent}/vector.json")
            return status, body

        with serving(network, pages=explorer([], vector)) as url, ThreadPoolExecutor(20) as clients:
            assert list(clients.map(page, range(20))) == [(200, b"1")] * 20


def test_folder_without_a_chain_is_refused(tmp_path: Path) -> None:
    done = run("explore", tmp_path / "nothing")
    assert (done.exit_code, "there is no folder" in done.output) == (2, True)


@pytest.mark.slow
def test_network_of_this_process_is_explored() -> None:
    with Network() as network, explore(network) as url:
        sent = network.chain.head.height
        with urlopen(f"{url}/epoch/{sent}") as result:
            assert result.status == 200


@pytest.mark.parametrize(
    ("what", "place"),
    [
        (HASH, f"/tx/{HASH}"),
        ("12", "/epoch/12/cron"),
        (
            "bafy2bzacea3wsdh6y3a36tb3skempjoxqpuyompjbmfeyf34fi3uy6uue42v4",
            "/message/bafy2bzacea3wsdh6y3a36tb3skempjoxqpuyompjbmfeyf34fi3uy6uue42v4",
        ),
    ],
)
def test_trace_opens_the_page_at_the_node(what: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    done = run("trace", what, "--open", "--rpc-url", "http://127.0.0.1:8600/")
    assert (done.exit_code, done.output.strip(), opened) == (0, f"http://127.0.0.1:8600{place}", [done.output.strip()])


def test_folder_has_no_page_to_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webbrowser.open", lambda _: pytest.fail("opened"))
    done = run("trace", HASH, "--open", "--state", "chain")
    assert (done.exit_code, "hypervisor explore chain" in done.output) == (2, True)


def test_log_links_page_of_failed_transactions_only(capsys: pytest.CaptureFixture[str]) -> None:
    with Network() as network:
        inbox = network.deploy(ARTIFACTS / "Inbox.json")
        Console(network, [], "http://127.0.0.1:8545", explored=True).listen()
        inbox.send("greet", "hello")
        assert "page:" not in capsys.readouterr().out
        with pytest.raises(TransactionFailed):
            network.send(inbox.address, 0, inbox.interface.encode_call("refuse", "no"), gas_limit=10**9)
        failed = network.head.transactions[0].hex()
        assert f"\n  page: http://127.0.0.1:8545/tx/0x{failed}\n" in capsys.readouterr().out


@pytest.mark.slow
def test_node_serves_pages_unless_it_is_not_to(tmp_path: Path) -> None:
    with running(tmp_path / "ready") as (url, process):
        assert request(url, "GET", "/")[0] == 200
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=START)
    assert f"Explorer at {url}/" in output
    with running(tmp_path / "ready", "--no-explorer") as (url, process):
        assert request(url, "GET", "/")[0] == 405
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=START)
    assert "Explorer" not in output


def test_explorer_needs_a_chain_or_a_comparison() -> None:
    found = run("explore")
    assert found.exit_code == 2
    assert "pass the folder of a chain, or --comparison FILE" in found.stderr


@pytest.mark.slow
def test_comparison_is_shown_without_a_chain(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    sides = {"a": {"words": "Osaka"}, "b": {"words": "Amsterdam"}}
    report.write_text(json.dumps({**sides, "messages": 5, "changes": [], "skipped": []}), encoding="utf-8")
    program = Program(["explore", "--comparison", report])
    try:
        url = program.stdout.readline().split()[2].rstrip("/")
        with urlopen(f"{url}/comparison") as result:
            assert b"No call differs" in result.read()
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=START)
    finally:
        program.kill()
    assert program.returncode == 0
