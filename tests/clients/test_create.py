"""`hypervisor create` and `verify-bytecode` compared with forge on anvil, for a project compiled by both."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fvm_hypervisor.cli.rpc_client import rpc_request
from tests.clients.conftest import EXAMPLE, PROJECT, installed
from tests.clients.test_anvil import ALICE, anvil
from tests.clients.test_foundry import KEY

pytestmark = pytest.mark.long

SOURCE = """// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;
contract Kept {
    uint256 public immutable number;
    string public text;
    constructor(uint256 first, string memory second) payable { number = first; text = second; }
}
"""
ARGUMENTS = ("--constructor-args", "5", "hi there")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "Kept.sol").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "foundry.toml").write_text("[profile.default]\n", encoding="utf-8")
    return tmp_path


def forge(project: Path, *arguments: str) -> Any:
    folder = installed(PROJECT / "build" / "clients", EXAMPLE)
    command = [folder / "node_modules" / ".bin" / "forge", *arguments]
    return json.loads(_run(project, command, CLIENTS=str(folder), FOUNDRY_SOLC=str(EXAMPLE / "solc.mjs")))


def hypervisor(project: Path, *arguments: str, status: int = 0) -> str:
    solc = installed(PROJECT / "build" / "clients", EXAMPLE) / "node_modules" / "solc"
    command = [Path(sys.executable).with_name("hypervisor"), *arguments, "--use", str(solc)]
    return _run(project, command, status)


def _run(project: Path, command: list[Any], status: int = 0, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=project, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def test_both_deploy_the_same(project: Path) -> None:
    with anvil() as url:
        common = ("create", "src/Kept.sol:Kept", "--rpc-url", url, "--private-key", KEY, "--json")
        value = ("--value", "3wei")
        theirs = forge(project, *common, *value, *ARGUMENTS[:2], "hi")
        ours = json.loads(hypervisor(project, *common, *value, *ARGUMENTS[:2], "hi"))
        fees = ("maxFeePerGas", "maxPriorityFeePerGas", "gas")
        for found in (theirs, ours):
            for name in fees:
                assert int(found["transaction"].pop(name), 16) > 0
        assert ours == theirs


def test_forge_deployment_is_verified_as_project_bytecode(project: Path) -> None:
    with anvil() as url:
        common = ("create", "src/Kept.sol:Kept", "--rpc-url", url, "--private-key", KEY, "--broadcast", "--json")
        theirs = forge(project, *common, *ARGUMENTS)
        ours = json.loads(hypervisor(project, *common, *ARGUMENTS))
        assert list(ours) == list(theirs)
        assert ours["deployer"] == theirs["deployer"] == ALICE
        codes = {rpc_request(url, "eth_getCode", found["deployedTo"], "latest") for found in (ours, theirs)}
        assert len(codes) == 1
        where = (theirs["deployedTo"], "src/Kept.sol:Kept", "--rpc-url", url)
        both = "Creation code matched with status {0}\nRuntime code matched with status {0}\n"
        assert hypervisor(project, "verify-bytecode", *where, *ARGUMENTS) == both.format("full")
        file = project / "src" / "Kept.sol"
        file.write_text(f"{SOURCE}// a comment\n", encoding="utf-8")
        assert hypervisor(project, "verify-bytecode", *where, *ARGUMENTS) == both.format("partial")
        file.write_text(SOURCE.replace("number = first", "number = first + 1"), encoding="utf-8")
        hypervisor(project, "verify-bytecode", *where, status=1)
