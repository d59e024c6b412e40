"""`deploy`, `call`, `send`, `balance`, `wallet` and `doctor` in this process, on a node in a thread."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any
from urllib.request import urlopen

import pytest
from typer.testing import Result

from hypervisor_tools.cli.rpc_client import RESPONSE_TIMEOUT
from localnet import Network
from localnet.explorer.application import explorer
from localnet.fork.node_client import NodeClient, NodeError
from localnet.rpc.server.server import serving
from store.keccak import keccak
from tests.command import run as run_command
from tests.localnet.contracts.test_artifacts import PROJECT
from tests.web_server import Handler, reserved_port
from tests.web_server import serving as web_serving

ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
BOB_KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
NATIVE = "f1d2xrzcslx7xlbbylc5c3d5lvandqw4iwl6epxba"
BOB = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Network() as network, serving(network, pages=explorer([])) as url:
        yield url


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(PROJECT, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def run(url: str, *arguments: str, given: str = "") -> Result:
    return run_command(*arguments, env={"ETH_RPC_URL": url}, input=given)


def printed(url: str, *arguments: str) -> str:
    done = run(url, *arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout.rstrip("\n")


def as_json(url: str, *arguments: str) -> Any:
    return json.loads(printed(url, *arguments, "--json"))


@pytest.fixture
def vault(url: str, project: Path) -> str:
    deployed = as_json(url, "deploy", "Vault", "5")
    assert (deployed["contract"], deployed["status"]) == ("Vault", "ok")
    assert deployed["native"].startswith("f410f")
    address: str = deployed["address"]
    return address


@pytest.mark.slow
def test_contract_is_deployed_called_and_sent_to(url: str, vault: str) -> None:
    assert printed(url, "call", vault, "most()(uint256)") == "5"
    sent = as_json(url, "send", vault, "put(uint256)", "3", "--value", "1.5fil")
    assert (sent["status"], sent["block"] > 0, sent["gas_used"] > 1_000_000) == ("ok", True, True)
    assert as_json(url, "call", vault, "held", ALICE, "--abi", "Vault") == {"answer": "3"}
    assert printed(url, "balance", vault) == "1.5 FIL"


@pytest.mark.slow
def test_addresses_may_have_any_form(url: str, vault: str, project: Path) -> None:
    forms = as_json(url, "wallet", "address", vault)
    assert printed(url, "call", forms["filecoin"], "most()(uint256)") == "5"
    assert printed(url, "call", "t" + forms["filecoin"][1:], "most()(uint256)") == "5"
    native = as_json(url, "wallet", "list", "--count", "1")["accounts"][0]["f1"]
    before = int(as_json(url, "balance", native)["attofil"])
    assert "status       ok" in printed(url, "send", native, "--value", "20nanofil")
    assert int(as_json(url, "balance", "f0100")["attofil"]) == before + 20 * 10**9  # f0100 is its ID
    assert int(as_json(url, "balance", "0xff" + "0" * 36 + "64")["attofil"]) == before + 20 * 10**9


@pytest.mark.slow
def test_private_key_signs_locally(url: str, vault: str) -> None:
    sent = as_json(url, "send", vault, "put(uint256)", "2", "--private-key", BOB_KEY)
    assert sent["status"] == "ok"
    assert printed(url, "call", vault, "held(address)(uint256)", BOB) == "2"


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--gas-limit", "100000000"]])
def test_failed_send_prints_reason_and_exits_with_1(url: str, vault: str, options: list[str]) -> None:
    done = run(url, "send", vault, "put", "9", "--abi", "Vault", *options)
    assert done.exit_code == 1
    assert "TooMuch(9, 5)" in done.stderr
    if options:
        assert re.search(r"`hypervisor trace 0x[0-9a-f]{64}` shows all its calls", done.stderr)
        found = json.loads(run(url, "send", vault, "put", "9", "--abi", "Vault", "--json", *options).stdout)
        assert (found["status"], len(found["why"])) == ("failed", 1)
    assert "TooMuch(9, 5)" in run(url, "call", vault, "put", "9", "--abi", "Vault").stderr


@pytest.mark.parametrize("function", [["put", "9", "--abi", "Caller"], ["put(uint256)", "9"]])
@pytest.mark.parametrize("options", [[], ["--gas-limit=500000000"], ["--gas-limit=500000000", "--trace"], ["--trace"]])
def test_custom_error_of_an_inner_contract_keeps_its_name(
    url: str, project: Path, function: list[str], options: list[str]
) -> None:
    caller = as_json(url, "deploy", "Caller")["address"]
    done = run(url, "send", caller, *function, *options)
    assert (done.exit_code, "TooMuch(9, 5)" in done.stderr) == (1, True), done.stderr
    assert ("TooMuch(9, 5)" in done.stdout) == ("--trace" in options), done.stdout


@pytest.mark.slow
def test_failed_estimate_shows_its_calls_on_request(url: str, vault: str) -> None:
    for options in ([], ["--private-key", BOB_KEY]):
        done = run(url, "send", vault, "put", "9", "--abi", "Vault", "--trace", *options)
        assert done.exit_code == 1
        assert "Vault put(amount=9)" in done.stdout
        assert "TooMuch(9, 5)" in done.stdout
        assert "TooMuch(9, 5)" in done.stderr
        assert "Vault put" not in run(url, "send", vault, "put", "9", "--abi", "Vault", *options).stdout


def test_result_of_function_without_outputs_is_shown_as_bytes(url: str, vault: str, tmp_path: Path) -> None:
    done = run(url, "send", vault, "most()", "--trace", "--artifacts", str(tmp_path / "empty"))
    assert done.exit_code == 0, done.output
    assert f"0x{5:064x}" in done.stdout


@pytest.mark.slow
def test_explorer_shows_names_of_deployed_contracts(url: str, vault: str, tmp_path: Path) -> None:
    sent = as_json(url, "send", vault, "put(uint256)", "3")["transaction"]
    with urlopen(f"{url}/tx/{sent}") as page:
        assert "Vault" in page.read().decode()


@pytest.mark.slow
def test_failure_hint_is_a_runnable_command(url: str, vault: str) -> None:
    command = ["send", vault, "put", "9", "--abi", "Vault", "--gas-limit", "100000000", "--rpc-url", url]
    done = run("http://127.0.0.1:1", *command)
    found = re.search(r"`hypervisor (trace 0x[0-9a-f]{64} --rpc-url \S+)` shows all its calls", done.stderr)
    assert found is not None, done.stderr
    assert "failed: " in printed("http://127.0.0.1:1", *found[1].split())


@pytest.mark.parametrize("command", ["call", "send"])
def test_reverted_call_names_its_exit_code(url: str, command: str) -> None:
    """The contract reverts with `Exit(18)` and has no artifact."""
    reverter = "0x" + "e5" * 20
    with NodeClient(url) as client:
        client.request("anvil_setCode", reverter, "0x63c9ed457760e01b5f52601260045260245ffd")
    done = run(url, command, reverter, "f()")
    assert done.exit_code == 1
    assert "Exit(18 USR_FORBIDDEN)" in done.stderr


def test_constructor_that_reverts_is_a_failure(url: str, project: Path) -> None:
    done = run(url, "deploy", "Vault", "0", "--gas-limit", "500000000")
    assert done.exit_code == 1
    assert "most is zero" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["deploy", "Absent"], 2, "there is no compiled contract 'Absent' in out, artifacts"),
        (["deploy", "absent.json"], 2, "absent.json cannot be read"),
        (["deploy", "Vault"], 2, "the constructor takes 1 arguments (uint256), not 0"),
        (["deploy", "Vault", "much"], 2, "'much' is not a valid uint256"),
        (["deploy", "Vault", "-5"], 2, "-5 looks like an option: put options first, then --"),
        (["call", ALICE, "f(int256)", "-5", "--json"], 2, "as in hypervisor call ... -- -5"),
        (["send", ALICE, "f(int8[],int8)", "[1]", "-17"], 2, "-17 looks like an option"),
        (["call", "0x12", "f()"], 2, "an Ethereum address has 20 bytes, but 0x12 has 1"),
        (["call", "nobody", "f()"], 2, "'nobody' is not an address"),
        (["call", ALICE, "f"], 2, "has no types"),
        (["call", ALICE, "f(foo)"], 2, "is not a function"),
        (["call", ALICE, "f(uint256)"], 2, "no function 'f' takes 0 arguments; the contract has f(uint256)"),
        (["call", ALICE, "f()(uint256)"], 1, "no code at 0xf39fd6"),
        (["call", ALICE, "f()"], 1, "no code at 0xf39fd6"),
        (["call", "f0100", "f()"], 1, "no code at 0xff00"),
        (["send", ALICE, "f()"], 1, "no code at 0xf39fd6"),
        (["send", "f0100", "f()"], 1, "--force sends it anyway"),
        (["send", "f010", "f()"], 1, "USR_UNHANDLED_MESSAGE(22)"),
        (["call", ALICE, "f()", "--block", "99"], 1, "future epoch"),
        (["call", ALICE, "most", "--abi", "Absent"], 2, "there is no compiled contract"),
        (["send", ALICE, "0xzz"], 2, "is not calldata"),
        (["send", ALICE, "0x00", "5"], 2, "calldata contains its arguments"),
        (["send", ALICE, "--value", "a lot"], 2, "is not an amount"),
        (["send", ALICE, "--value", "99999999fil"], 1, "insufficient funds"),
        (
            ["send", ALICE, "--value", "1"],
            2,
            "the amount 1 has no unit: write 1fil, or 1wei (the meaning of 1 in cast)",
        ),
        (["call", ALICE, "f()", "--value", "007"], 2, "write 007fil, or 007wei"),
        (["deploy", "Vault", "5", "--value", "2"], 2, "write 2fil, or 2wei"),
        (["send", ALICE, "--from", "77"], 2, "has 10 accounts, but no number 77"),
        (["send", ALICE, "--from", BOB[:-1] + "9"], 1, "no private key for"),
        (["send", ALICE, "--private-key", "0x1234"], 2, "the private key is not valid"),
        (["send", ALICE, "--private-key", "0x" + "ff" * 32], 2, "the private key is not valid"),
        (["send", "f3" + "a" * 84], 2, "checksum"),
        (["balance", "f1aaaa"], 2, "checksum"),
        (["balance", ALICE, "--block", "x"], 2, "is not a block's number"),
        (["wallet", "address", "0x"], 2, "has 20 bytes, but 0x has 0"),
        (["wallet", "list", "--mnemonic", "test"], 2, "a mnemonic has"),
    ],
)
def test_bad_input_is_one_sentence_and_its_status(
    url: str, project: Path, arguments: list[str], status: int, words: str
) -> None:
    done = run(url, *arguments)
    assert done.exit_code == status
    if words:
        assert done.stderr.startswith("error: ")
        assert words in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [["send", "f0100", "--value", "1fil"], ["call", "f0100", "f()"], ["balance", "f0100"], ["balance", NATIVE]],
    ids=["send", "call", "balance", "balance of f1"],
)
def test_ethereum_only_node_rejects_actor_addresses(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    """A node such as anvil would treat a masked ID like any other address, and the value would be lost."""

    def of_ethereum(self: NodeClient, method: str, *params: Any) -> Any:
        if method.startswith("Filecoin."):
            raise NodeError(f"{self.name} returned an error: Method not found", code=-32601, answered=True)
        return {"eth_accounts": [ALICE], "eth_getBalance": "0x7"}[method]

    monkeypatch.setattr(NodeClient, "request", of_ethereum)
    done = run("http://127.0.0.1:1", *arguments)
    assert done.exit_code == 1
    assert f"cannot resolve {arguments[1]}: Filecoin." in done.stderr
    assert "Ethereum nodes have no actors" in done.stderr
    assert printed("http://127.0.0.1:1", "balance", ALICE) == "0.000000000000000007 FIL"


def test_function_of_an_address_without_code_is_sent_by_force(url: str) -> None:
    assert as_json(url, "send", ALICE, "f()", "--force")["status"] == "ok"


@pytest.mark.slow
def test_answer_of_unnamed_types_is_its_hex(url: str, vault: str) -> None:
    five = f"0x{5:064x}"
    assert printed(url, "call", vault, "most()") == five
    assert as_json(url, "call", vault, "most()") == {"answer": five}
    assert printed(url, "call", vault, "put(uint256)", "1") == "0x"
    assert printed(url, "call", vault, "put(uint256)()", "1") == ""


@pytest.mark.parametrize("amount", ["0", "1.0", "0.5", "1wei", "1 attofil"])
def test_amounts_with_a_unit_or_decimals_and_zero_are_plain(url: str, amount: str) -> None:
    assert as_json(url, "send", ALICE, "--value", amount)["status"] == "ok"


@pytest.mark.slow
def test_custom_errors_of_constructor_and_callee_are_named(url: str, project: Path) -> None:
    """Caller's own ABI lacks TooMuch; it comes from the called vault, whose artifact is in out/."""
    caller = as_json(url, "deploy", "Caller")["address"]
    assert run(url, "call", caller, "put(uint256)", "9").stderr.endswith(": TooMuch(9, 5)\n")
    refusing = {
        "abi": [{"type": "error", "name": "Refused", "inputs": [{"name": "", "type": "uint8"}]}],
        "bytecode": "0x63" + keccak(b"Refused(uint8)")[:4].hex() + "60e01b600052600760045260246000fd",
    }
    (project / "ErrorReportingGroup.json").write_text(json.dumps(refusing))
    assert run(url, "deploy", "ErrorReportingGroup.json").stderr.endswith(": Refused(7)\n")
    failed = run(url, "deploy", "ErrorReportingGroup.json", "--gas-limit", "500000000")
    assert "Refused(7)" in failed.stderr


@pytest.mark.slow
def test_wallet_keys_are_standard_dev_keys_and_new_are_random(url: str) -> None:
    listed = as_json(url, "wallet", "list")["accounts"]
    assert (len(listed), listed[0]["ethereum"], listed[1]["private_key"]) == (10, ALICE, BOB_KEY)
    assert f"(0) {ALICE}  f410f" in printed(url, "wallet", "list", "--count", "1")
    of_key = run(url, "wallet", "address", "-", "--json", given=f"{BOB_KEY}\n")
    assert json.loads(of_key.stdout) == {name: listed[1][name] for name in ("ethereum", "f4", "f1")}
    first, second = (as_json(url, "wallet", "new")["accounts"][0]["private_key"] for _ in range(2))
    assert first != second


@pytest.mark.slow
def test_doctor_finds_a_node_whole(url: str) -> None:
    found = as_json(url, "doctor", "--rpc-url", url)
    assert found["ok"] is True
    results = {check["name"]: check["result"] for check in found["checks"]}
    assert results["chain id"] == "31415926 (a development network)"
    assert results["accounts"] == "signs for 10"
    assert results["Filecoin"] == "localnet, network version 29"
    assert results["rules"] == "filecoin, no labs"
    assert results["reward streams"] == "1: 100 % to miners; governed by f00, timelock 0 epochs"
    assert results["precompiles"] == "0xfe..01 resolves f01"
    by_place = {check["name"]: check["result"] for check in as_json(url, "doctor", url)["checks"]}
    timed = ("answers", "newest block")
    assert {**by_place, **{name: results[name] for name in timed}} == results
    both = run(url, "doctor", url, "--rpc-url", "http://127.0.0.1:1")
    assert (both.exit_code, "two nodes are named" in both.stderr) == (2, True), both.output


@pytest.mark.slow
def test_doctor_names_rules() -> None:
    with Network(rules="ethereum") as network, serving(network) as url:
        assert "ethereum, no labs" in printed(url, "doctor", "--rpc-url", url)


@pytest.mark.slow
def test_doctor_reports_missing_multicall3_on_bare_node() -> None:
    with Network(bare=True) as network, serving(network) as url:
        output = printed(url, "doctor", "--rpc-url", url)
    assert "Multicall3: not deployed" in output


@pytest.mark.slow
def test_deploy_waits_for_starting_node(project: Path) -> None:
    with reserved_port() as port:
        late = run(f"http://127.0.0.1:{port}", "deploy", "Vault", "5", "--wait", "--timeout", "0.2")
    assert (late.exit_code, "no node responds" in late.stderr) == (1, True)
    announced = rf"waiting for a node at http://127\.0\.0\.1:{port} until \d\d:\d\d:\d\d \(--timeout 0\.2\)"
    assert len(re.findall(announced, late.stderr)) == 1, late.stderr

    with Network() as network, ThreadPoolExecutor() as threads:
        deployment = threads.submit(run, f"http://127.0.0.1:{port}", "deploy", "Vault", "5", "--wait", "--json")
        time.sleep(0.5)
        assert not deployment.done()
        with serving(network, port=port):
            assert json.loads(deployment.result(60).stdout)["status"] == "ok"


def test_doctor_suggests_remedy_for_unreachable_node() -> None:
    done = run("", "doctor", "--rpc-url", "http://127.0.0.1:1")
    assert done.exit_code == 1
    assert done.stdout.startswith("FAIL  answers: no node responds at http://127.0.0.1:1")
    assert "`hypervisor node`" in done.stdout
    assert done.stdout.count("\n") == 1


SOMEBODY = "0x" + "12" * 20
HASH = "0x" + "12" * 32


@pytest.fixture
def mute_node() -> Iterator[str]:
    """The URL of a server that reads requests and sends nothing until the test ends."""
    ended = Event()

    class Mute(Handler):
        def do_POST(self) -> None:
            self.posted()
            ended.wait(60)

    with web_serving(Mute) as url:
        yield url
        ended.set()


@pytest.mark.parametrize(
    "arguments",
    [
        ["balance", SOMEBODY],
        ["call", SOMEBODY, "f()"],
        ["trace", HASH],
        ["profile", HASH],
        ["actor", "call", "f0101", "1"],
        ["actor", "create", "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_command_stops_waiting_after_its_timeout(mute_node: str, arguments: list[str]) -> None:
    started = time.monotonic()
    done = run_command(*arguments, "--rpc-url", mute_node, "--timeout", "0.05")
    assert time.monotonic() - started < 30, "the default is 120 seconds"
    assert done.exit_code == 1
    assert "did not respond" in done.stderr
    assert "within 0.05 s" in done.stderr
    assert RESPONSE_TIMEOUT.get() == 120, "a later command has the default again"


def test_check_of_a_node_stops_waiting_after_its_timeout(mute_node: str) -> None:
    done = run_command("doctor", mute_node, "--timeout", "0.05")
    assert done.exit_code == 1
    assert "within 0.05 s" in done.stdout
