"""`hypervisor replay`, and execution distributed with Dask."""

import json
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from fvm_hypervisor.laboratory import pool
from fvm_hypervisor.laboratory.pool import run_all
from hypervisor.errors import InvalidInput
from localnet import Network
from localnet.chain.replay import heights
from tests.command import run
from tests.conftest import data_file
from tests.localnet.conftest import ARTIFACTS, Clock


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a chain of six blocks, the third of them changed by hand."""
    folder = tmp_path_factory.mktemp("chain")
    with Network(folder, clock=Clock()) as network:
        for _ in range(3):
            network.send(network.accounts[1], 5)
        network.set_balance(network.accounts[0], 10**21)
        for _ in range(3):
            network.send(network.accounts[1], 5)
    return folder


@pytest.mark.slow
def test_replay_command_reports_differing_tipsets(chain: Path) -> None:
    found = run("replay", chain, "--workers", 1)
    assert found.exit_code == 1
    line, summary = found.stdout.splitlines()
    assert line.startswith("3: state bafy")
    assert summary == "6 tipsets with 6 messages, 1 different"
    assert run("replay", chain, "--from", 4, "--workers", 1).exit_code == 0
    one = run("replay", chain, "--from", 4, "--to", 4, "--workers", 1).stdout
    assert one == "1 tipset with 1 message, 0 different\n"


@pytest.mark.slow
def test_processes_and_dask_answer_as_one_process_does(chain: Path) -> None:
    serial = run("replay", chain, "--workers", 1, "--json").stdout
    assert [json.loads(line)["height"] for line in serial.splitlines()] == heights(chain)
    assert run("replay", chain, "--workers", 2, "--json").stdout == serial
    with socket.socket() as other:  # as another scheduler's dashboard
        with suppress(OSError):  # there is one
            other.bind(("127.0.0.1", 8787))
            other.listen()
        assert run("replay", chain, "--dask", "local", "--workers", 2, "--json").stdout == serial


@pytest.mark.slow
def test_parallel_replay_matches_serial_and_reports_conflicts(tmp_path: Path) -> None:
    with Network(tmp_path, clock=Clock(), parallel=2) as network:
        counter = network.deploy(ARTIFACTS / "Counter.json")
        network.automine = False
        data = counter.interface.encode_call("increment")
        for account in network.accounts:
            gas, nonce = 50_000_000, network.nonce(account)
            message = Transaction(DYNAMIC_FEE, network.chain_id, nonce, counter.address, 0, data, gas, 10**12, 10**5)
            network.submit(account.sign(message).raw())
        assert len(network.mine().transactions) == 10
    serial, beside = run("replay", tmp_path, "--json"), run("replay", tmp_path, "--parallel", 2, "--json")
    assert serial.exit_code == beside.exit_code == 0
    first, second = ([json.loads(line) for line in found.stdout.splitlines()] for found in (serial, beside))
    told = [tipset.pop("parallel") for tipset in second][-1]
    assert first == second
    assert (told["workers"], told["taken"], told["executed_again"]) == (2, 0, 5)
    actor = told["conflicts"][0]["actor"]
    assert told["conflicts"][0] == {"message": 1, "actor": actor, "fields": ["state"], "slots": ["0x0"]}
    shown = run("replay", tmp_path, "--parallel", 2).stdout.splitlines()
    assert shown[-3:-1] == [
        "2: of 10 messages 0 taken from workers, 5 executed again",
        f"  {actor} slot 0x0  .x.x.x.x.x",
    ]
    refused = run("replay", tmp_path, "--parallel", 257)
    assert refused.exit_code == 2


@pytest.mark.slow
def test_scheduler_without_workers_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr(pool, "_INTERVAL", 0.1)
    monkeypatch.setattr(pool, "_PATIENCE", 0.2)
    dashboard = {"dashboard_address": "127.0.0.1:0"}
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=None, scheduler_kwargs=dashboard) as cluster,
        pytest.raises(InvalidInput, match=r"has had no worker for 0\.2 s: start workers, or omit --dask"),
    ):
        list(run_all(str, [1, 2], 1, "numbers", cluster.scheduler_address))


@pytest.mark.oracle
def test_vectors_on_dask_answer_as_in_one_process() -> None:
    vectors = sorted(data_file("vectors/fvm-nv18").rglob("*.json"))[:4]
    serial = run("conformance", *vectors, "--json", "--workers", 1)
    assert serial.exit_code == 0
    assert run("conformance", *vectors, "--json", "--dask", "local", "--workers", 2).stdout == serial.stdout


@pytest.mark.oracle
def test_a_scheduler_that_is_not_there_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"no Dask scheduler responds at tcp://127\.0\.0\.1:9"):
        list(run_all(str, [1, 2], 1, "numbers", "tcp://127.0.0.1:9"))
