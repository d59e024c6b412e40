"""forge's tests and scripts on a fork of a node: contracts run in forge, actors on the node (`FilecoinFork.sol`)."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import EXAMPLE, run, start
from tests.clients.nodes import node_process
from tests.clients.test_foundry import KEY

SCRIPT = "contracts/script/Actors.s.sol"
MASKED = "0xff00000000000000000000000000000000000064"  # f0100


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with node_process(tmp_path_factory.mktemp("node")) as found:
        yield found


def forge(clients: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command, *rest = arguments
    return start(clients, "forge", command, "--use", EXAMPLE / "solc.mjs", *rest, folder=clients)


def script(clients: Path, url: str, name: str, *more: str) -> subprocess.CompletedProcess[str]:
    return forge(clients, "script", f"{SCRIPT}:{name}", "--rpc-url", url, "--private-key", KEY, "--broadcast", *more)


def results(done: subprocess.CompletedProcess[str], contract: str, file: str = "Fork") -> dict[str, str]:
    """Return the status of each test from forge's JSON."""
    suites = json.loads(done.stdout[done.stdout.index("{") :])
    tests = suites[f"contracts/test/{file}.t.sol:{contract}"]["test_results"]
    return {name.partition("(")[0]: found["status"] for name, found in tests.items()}


def test_forges_tests_call_actors_on_the_node(clients: Path, url: str) -> None:
    before = run(clients, "cast", "block-number", "--rpc-url", url)
    found = results(forge(clients, "test", "--fork-url", url, "--match-contract", "ForkTest", "--json"), "ForkTest")
    assert len(found) == 11
    assert set(found.values()) == {"Success"}, found
    assert run(clients, "cast", "block-number", "--rpc-url", url) == before


def test_one_suite_runs_under_both_runners(clients: Path, url: str) -> None:
    both = {"test_datacap_has_its_name": "Success", "test_own_cheatcodes_are_where_the_machine_is": "Success"}
    select = ("--match-contract", "BothTest", "--json")
    assert results(forge(clients, "test", "--fork-url", url, *select), "BothTest", "Both") == both
    command = Path(sys.executable).with_name("hypervisor")
    done = start(clients, command, "test", "--use", clients / "node_modules" / "solc", *select, folder=clients)
    assert results(done, "BothTest", "Both") == both


def test_missing_fork_url_is_reported(clients: Path) -> None:
    done = forge(clients, "test", "--match-contract", "ForkTest")
    assert "0 tests passed, 1 failed" in done.stdout  # npm's forge exits with 0 all the same
    assert "FilecoinFork: vm.rpc: no active fork URL found" in done.stdout


def test_error_caught_by_contract_still_fails_test(clients: Path, url: str) -> None:
    found = results(forge(clients, "test", "--fork-url", url, "--match-contract", "Nested", "--json"), "NestedTest")
    assert found == {"test_an_actor_calls_a_contract_that_calls_an_actor": "Failure"}


def test_a_script_with_calls_of_actors_is_broadcast(clients: Path, url: str) -> None:
    before = int(run(clients, "cast", "balance", MASKED, "--rpc-url", url))
    done = script(clients, url, "UseActors", "--skip-simulation")
    assert done.returncode == 0, done.stdout + done.stderr
    record = clients / "contracts" / "broadcast" / "Actors.s.sol" / "31415926" / "run-latest.json"
    receipts = json.loads(record.read_text(encoding="utf-8"))["receipts"]
    assert [receipt["status"] for receipt in receipts] == ["0x1"] * 3
    kept = run(clients, "cast", "call", receipts[0]["contractAddress"], "kept()(string)", "--rpc-url", url)
    assert kept == '"DataCap"\n'
    assert int(run(clients, "cast", "balance", MASKED, "--rpc-url", url)) == before + 15 * 10**17


def test_forge_script_limitations_match_documentation(clients: Path, url: str) -> None:
    simulated = script(clients, url, "UseActors")
    assert "Simulated execution failed" in simulated.stdout + simulated.stderr
    alone = script(clients, url, "UseActorsAlone", "--skip-simulation")
    assert "ActorNotFound()" in alone.stdout + alone.stderr
