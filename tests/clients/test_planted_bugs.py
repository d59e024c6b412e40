"""examples/planted-bugs: fuzz and invariant tests find each bug, and nothing once it is mended."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOUND = {
    "ActorBankTest": "the money of another client is gone",
    "DataCapPoolTest": "DataCap was credited twice",
    "MarketVaultTest": "more than approved",
    "MinerOwnerTest": "one guardian decided",
    "PayrollTest": "it is still here",
    "RewardsTest": "nothing is due",
}
MENDED = {
    "ActorBank.sol": (
        '(int256 exit,) = Native.call(actor, INVOKE_EVM, held[msg.sender], "");',
        "uint256 due = held[msg.sender]; held[msg.sender] = 0;"
        '(int256 exit,) = Native.call(actor, INVOKE_EVM, due, "");',
    ),
    "DataCapPool.sol": ("balance() - credited;", "balance() - credited; credited = balance();"),
    "MarketVault.sol": ("held[client] -= amount;", "held[client] -= amount; allowance[client][msg.sender] -= amount;"),
    "MinerOwner.sol": (
        "agreed[owner][msg.sender] = true;",
        'require(!agreed[owner][msg.sender], "again"); agreed[owner][msg.sender] = true;',
    ),
    "Payroll.sol": (
        'Native.call(actor, 0, amount, "");',
        '(int256 exit,) = Native.call(actor, 0, amount, ""); if (exit != 0) return;',
    ),
    "Rewards.sol": (
        "due[address((uint160(0xff) << 152) | actor)] += amount;",
        """(, bytes memory found) = address(0xfE00000000000000000000000000000000000002).staticcall(abi.encode(actor));
        uint160 claimant = (uint160(0xff) << 152) | actor;
        if (found.length == 22) assembly { claimant := shr(96, mload(add(found, 34))) }
        due[address(claimant)] += amount;""",
    ),
}


def results(clients: Path, folder: Path, **variables: str) -> dict[str, str]:
    """Return the reason of each suite's test, empty if it passes."""
    program, solc = Path(sys.executable).with_name("hypervisor"), clients / "node_modules" / "solc"
    options = ("--network", "nv28", "--fuzz-seed", "1", "--use", str(solc), "--json")
    done = subprocess.run(
        [program, "test", folder, *options], capture_output=True, text=True, check=False, env=os.environ | variables
    )
    suites: dict[str, Any] = json.loads(done.stdout)
    return {
        name.partition(":")[2]: test["reason"] or "" for name, suite in suites.items()
        for test in suite["test_results"].values()
    }  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES / "solidity" / "contracts", tmp_path / "solidity" / "contracts")
    return Path(shutil.copytree(EXAMPLES / "planted-bugs", tmp_path / "planted-bugs"))


def test_each_bug_is_found(clients: Path, project: Path) -> None:
    assert results(clients, project) == FOUND


def test_mended_contracts_pass(clients: Path, project: Path) -> None:
    for name, (wrong, right) in MENDED.items():
        text = (project / name).read_text(encoding="utf-8")
        assert wrong in text
        (project / name).write_text(text.replace(wrong, right), encoding="utf-8")
    assert results(clients, project, FOUNDRY_INVARIANT_RUNS="32") == dict.fromkeys(FOUND, "")
