"""Foundry's commands on a fresh node.

- Commands of forge and cast on a fresh node.
- `hypervisor test` in a project created by `forge init`, for a new user without a compiler.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import EXAMPLE, node_process, run, start
from tests.soltests.folder import SuitesMissing, public_suites

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
SENDER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
MASKED = "0xff00000000000000000000000000000000000064"


class Foundry:
    """The forge and cast programs with a compiler and a node."""

    def __init__(self, clients: Path, url: str, log: Path) -> None:
        self.clients, self.url, self.log = clients, url, log

    def forge(self, command: str, *arguments: str) -> str:
        return run(self.clients, *self._forge(command, *arguments), folder=self.clients)

    def fails(self, command: str, *arguments: str) -> str:
        return start(self.clients, *self._forge(command, *arguments), folder=self.clients).stderr

    def _forge(self, command: str, *arguments: str) -> list[str]:
        given = ("--use", str(EXAMPLE / "solc.mjs"), "--rpc-url", self.url, "--private-key", KEY, "--broadcast")
        return ["forge", command, *given, *arguments]

    def cast(self, *arguments: str) -> str:
        return run(self.clients, "cast", *arguments, "--rpc-url", self.url).strip()

    def send(self, *arguments: str) -> dict[str, object]:
        """Return the receipt of `cast send`."""
        receipt: dict[str, object] = json.loads(self.cast("send", *arguments, "--private-key", KEY, "--json"))
        return receipt

    def script(self, name: str, *arguments: str) -> list[dict[str, object]]:
        """Return the receipts of a script's transactions from forge's record."""
        # The gas that forge's own simulation counts is Ethereum's: --skip-simulation lets it ask the node.
        self.forge("script", f"contracts/script/Deploy.s.sol:{name}", "--skip-simulation", *arguments)
        record = self.clients / "contracts" / "broadcast" / "Deploy.s.sol" / "31415926" / "run-latest.json"
        receipts: list[dict[str, object]] = json.loads(record.read_text(encoding="utf-8"))["receipts"]
        return receipts


@pytest.fixture(scope="module")
def foundry(clients: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foundry]:
    folder = tmp_path_factory.mktemp("node")
    with node_process(folder) as url:
        yield Foundry(clients, url, folder / "node.log")


@pytest.fixture(scope="module")
def notes(foundry: Foundry) -> str:
    made = foundry.forge("create", "contracts/src/Notes.sol:Notes", "--json", "--constructor-args", "created")
    return str(json.loads(made)["deployedTo"])


@pytest.mark.long
def test_forge_creates_a_contract(foundry: Foundry, notes: str) -> None:
    assert foundry.cast("call", notes, "notes(uint256)(string)", "0") == '"created"'
    assert foundry.cast("call", notes, "owner()(address)") == SENDER


@pytest.mark.long
def test_a_script_broadcasts_its_transactions(foundry: Foundry) -> None:
    receipts = foundry.script("Deploy")
    assert [receipt["status"] for receipt in receipts] == ["0x1"] * 6
    first, _, second, _, _, proxy = receipts
    assert foundry.cast("call", str(first["contractAddress"]), "notes(uint256)(string)", "7") == '"scripted"'
    assert foundry.cast("balance", str(first["contractAddress"]), "--ether") == "1.000000000000000000"
    assert second["to"] == "0x4e59b44847b379578588920ca78fbf26c0b4956c"  # the CREATE2 deployer of every chain
    assert foundry.cast("call", str(proxy["contractAddress"]), "value()(uint256)") == "42"


ADVICE = "call eth_estimateGas to get the required limit; with forge script, pass --skip-simulation"


@pytest.mark.long
def test_script_gas_below_intrinsic_gas_reports_the_option(foundry: Foundry) -> None:
    output = foundry.fails("script", "contracts/script/Simulated.s.sol:CreateLedger")
    assert re.search(rf"intrinsic gas too low: have \d+, want \d+; {ADVICE}", output)


@pytest.mark.long
def test_script_gas_too_low_to_execute_logs_the_option(
    foundry: Foundry,
) -> None:
    made = foundry.forge("create", "contracts/script/Simulated.s.sol:Ledger", "--json")
    call = ("contracts/script/Simulated.s.sol:FillLedger", "--sig", "run(address)", json.loads(made)["deployedTo"])
    output = foundry.fails("script", *call)
    (failed,) = re.findall(r"Transaction Failure: (0x[0-9a-f]{64})", output)
    foundry.forge("script", *call, "--skip-simulation")
    log = foundry.log.read_text(encoding="utf-8").partition(failed)[2]
    assert re.search(rf"its limit of [\d,]+ gas is too low: {ADVICE}\n", log)


@pytest.mark.long
def test_script_deploys_contract_using_filecoin_solidity(foundry: Foundry) -> None:
    (receipt,) = foundry.script("DeployNative", "--slow")
    address = str(receipt["contractAddress"])
    assert foundry.send(address, "keepName()")["status"] == "0x1"
    assert foundry.cast("call", address, "kept()(string)") == '"DataCap"'


@pytest.mark.long
@pytest.mark.parametrize("options", [[], ["--legacy"]], ids=["eip1559", "legacy"])
def test_cast_sends_value(foundry: Foundry, options: list[str]) -> None:
    receiver = "0x" + "ab" * 20
    before = int(foundry.cast("balance", receiver))
    receipt = foundry.send(receiver, "--value", "1ether", *options)
    assert receipt["status"] == "0x1"
    found = json.loads(foundry.cast("tx", str(receipt["transactionHash"]), "--json"))
    assert found["hash"] == receipt["transactionHash"]
    assert int(foundry.cast("balance", receiver)) == before + 10**18


@pytest.mark.long
def test_cast_sends_fil_to_a_masked_id(foundry: Foundry) -> None:
    before = int(foundry.cast("balance", MASKED))
    foundry.send(MASKED, "--value", "1.5ether")
    assert int(foundry.cast("balance", MASKED)) == before + 15 * 10**17


@pytest.mark.long
def test_an_unlocked_account_needs_no_key(foundry: Foundry) -> None:
    receipt = json.loads(
        foundry.cast("send", MASKED, "--value", "1", "--unlocked", "--from", SENDER, "--json"),
    )
    assert receipt["status"] == "0x1"


@pytest.mark.long
def test_cast_reads_the_chain(foundry: Foundry, notes: str) -> None:
    assert foundry.cast("chain-id") == "31415926"
    assert int(foundry.cast("block-number")) > 0
    assert int(foundry.cast("gas-price")) > 0
    assert int(foundry.cast("nonce", SENDER)) > 0
    assert json.loads(foundry.cast("block", "latest", "--json"))["number"]
    assert int(foundry.cast("storage", notes, "1"), 16) == 1
    assert len(foundry.cast("code", notes)) > 1000
    assert int(foundry.cast("estimate", notes, "write(uint256,string)", "1", "text", "--from", SENDER)) > 1_000_000
    assert "hypervisor/" in foundry.cast("client")


@pytest.mark.long
def test_cast_finds_logs(foundry: Foundry, notes: str) -> None:
    foundry.send(notes, "write(uint256,string)", "77", "logged")
    event = "Written(address indexed,uint256 indexed,string,uint256)"
    found = json.loads(foundry.cast("logs", "--address", notes, "--from-block", "0", "--json", event))
    assert [int(log["topics"][2], 16) for log in found] == [0, 77]


@pytest.mark.long
def test_cast_shows_revert_reason(foundry: Foundry, notes: str) -> None:
    def told(*call: str) -> str:
        return start(foundry.clients, "cast", "call", notes, *call, "--rpc-url", foundry.url).stderr

    assert "not today" in told("fail(string)", "not today")
    assert "exit=[EVM_CONTRACT_REVERTED(33)]" in told("fail(string)", "not today")
    selector = run(foundry.clients, "cast", "sig", "Refused(address,uint256)").strip()
    assert selector in told("refuse(uint256)", "1")


@pytest.mark.long
def test_cast_uses_the_control_methods(foundry: Foundry) -> None:
    height = int(foundry.cast("block-number"))
    snapshot = json.loads(foundry.cast("rpc", "evm_snapshot"))
    foundry.cast("rpc", "anvil_mine", "0x5")
    assert int(foundry.cast("block-number")) == height + 5
    assert foundry.cast("rpc", "evm_revert", snapshot) == "true"
    assert int(foundry.cast("block-number")) == height


@pytest.mark.long
def test_cast_sends_before_cancun(clients: Path, tmp_path: Path) -> None:
    """cast proposes fees from eth_feeHistory."""
    with node_process(tmp_path, "--rules", "ethereum", "--hardfork", "shanghai") as url:
        arguments = ("--value", "5", "--rpc-url", url, "--private-key", KEY, "--json")
        receipt = json.loads(run(clients, "cast", "send", MASKED, *arguments))
    assert (receipt["status"], receipt["gasUsed"]) == ("0x1", "0x5208")


SOLTESTS = Path(__file__).resolve().parents[1] / "soltests"
HYPERVISOR = Path(sys.executable).with_name("hypervisor")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Create forge's template with forge-std, or, if it is missing, with the declarations that the template imports."""
    folder = tmp_path / "hello"
    shutil.copytree(SOLTESTS / "projects" / "init", folder)
    library = folder / "lib" / "forge-std"
    try:
        shutil.copytree(public_suites("forge-std") / "forge-std", library)
    except SuitesMissing:
        shutil.copytree(SOLTESTS / "base", library / "src")
    return folder


def registry(clients: Path, folder: Path) -> Path:
    """Return a folder with an npm that packs the release of the clients' lock file like the registry."""
    with tarfile.open(folder / "solc.tgz", "w:gz") as package:
        package.add(clients / "node_modules" / "solc" / "soljson.js", "package/soljson.js")
    npm = folder / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f'#!/bin/sh\n[ "$1 $2" = "pack solc@0.8.37" ] && cp {folder}/solc.tgz solc-0.8.37.tgz\n')
    npm.chmod(0o755)
    return npm.parent


@pytest.mark.slow
def test_the_template_of_forge_runs_without_options(clients: Path, project: Path, tmp_path: Path) -> None:
    path = f"{registry(clients, tmp_path)}{os.pathsep}{os.environ['PATH']}"
    fresh = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_DATA_HOME": str(tmp_path / "data")}

    def hypervisor_test(*options: str) -> subprocess.CompletedProcess[str]:
        command = [str(HYPERVISOR), "test", *options]
        return subprocess.run(
            command, cwd=project, env=os.environ | fresh | {"PATH": path}, capture_output=True, text=True, check=False
        )

    refused = hypervisor_test("--offline")
    assert refused.returncode == 2
    assert "solc 0.8.37 is not installed, and --offline" in refused.stderr
    first = hypervisor_test()
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stderr.splitlines()[0] == "Installing Solc 0.8.37 from npm"
    assert "2 tests passed, 0 failed, 0 skipped" in first.stdout
    again = hypervisor_test("--offline", "--force", "-v")
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stderr.splitlines()[0] == "Using Solc 0.8.37 of npm"
