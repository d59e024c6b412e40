"""The explorer from the command line: a folder in a browser, the page of a transaction, a node without pages."""

from __future__ import annotations

import signal
from pathlib import Path
from urllib.request import urlopen

import pytest
from typer.testing import CliRunner

from devtools.cli.main import app
from localnet import Network, TransactionFailed, explore
from localnet.console import Console
from tests.devtools.test_node import START, running
from tests.localnet.conftest import ARTIFACTS
from tests.localnet.rpc.test_http import request
from tests.prepared import Program

HASH = "0x" + "12" * 32


def test_a_folders_chain_is_shown_until_a_signal_ends_it(tmp_path: Path) -> None:
    with Network(tmp_path / "chain") as network:
        sent = network.send(network.accounts[1].address, 10**18).hash.hex()
    program = Program(["explore", tmp_path / "chain"])
    try:
        line = program.stdout.readline()
        assert line.startswith("Explorer at http://127.0.0.1:")
        url = line.split()[2].rstrip("/")
        with urlopen(f"{url}/tx/0x{sent}") as answer:
            assert b"Succeeded" in answer.read()
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=START)
    finally:
        program.kill()
    assert (program.returncode, errors) == (0, "")


def test_a_folder_without_a_chain_is_refused_in_a_sentence(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["explore", str(tmp_path / "nothing")])
    assert (done.exit_code, "there is no folder" in done.output) == (2, True)


def test_a_network_of_this_process_is_explored() -> None:
    with Network() as network, explore(network) as url:
        sent = network.chain.head.height
        with urlopen(f"{url}/epoch/{sent}") as answer:
            assert answer.status == 200


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
    done = CliRunner().invoke(app, ["trace", what, "--open", "--rpc-url", "http://127.0.0.1:8600/"])
    assert (done.exit_code, done.output.strip(), opened) == (0, f"http://127.0.0.1:8600{place}", [done.output.strip()])


def test_a_folder_has_no_page_to_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webbrowser.open", lambda _: pytest.fail("opened"))
    done = CliRunner().invoke(app, ["trace", HASH, "--open", "--state", "chain"])
    assert (done.exit_code, "hypervisor explore chain" in done.output) == (2, True)


def test_the_log_names_the_page_of_what_failed_and_of_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with Network() as network:
        inbox = network.deploy(ARTIFACTS / "Inbox.json")
        Console(network, [], "http://127.0.0.1:8545", explored=True).listen()
        inbox.send("greet", "hello")
        assert "page:" not in capsys.readouterr().out
        with pytest.raises(TransactionFailed):
            network.send(inbox.address, 0, inbox.interface.encode_call("refuse", "no"), gas_limit=10**9)
        failed = network.head.transactions[0].hex()
        assert f"\n  page: http://127.0.0.1:8545/tx/0x{failed}\n" in capsys.readouterr().out


def test_a_node_serves_pages_unless_it_is_not_to(tmp_path: Path) -> None:
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
