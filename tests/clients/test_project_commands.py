"""Sources of contracts verified at a fresh node by forge, which takes it for Sourcify (docs/source-verification.md)."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import pytest

from fvm_hypervisor.cli.rpc_client import rpc_request
from store.keccak import keccak
from tests.clients.conftest import EXAMPLE, start
from tests.clients.nodes import node_process

VERIFIED_SOURCE: Final = """// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

library Doubling {
    function double(uint256 value) external pure returns (uint256) { return 2 * value; }
}

contract Kept {
    uint256 public immutable number;
    constructor(uint256 first) payable { number = first; }
    function twice() external view returns (uint256) { return Doubling.double(number); }
}

contract Factory {
    Child public child;
    constructor() { child = new Child(); }
}

contract Child { uint256 public immutable number = 7; }
"""
COMPILER: Final = "0.8.37+commit.f401782d"
"""The compiler among the clients; with the commit, forge does not ask the Solidity project's site for it."""
SENDER: Final = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


class Project:
    """A Foundry project and a node whose chain is in a folder."""

    def __init__(self, clients: Path, folder: Path) -> None:
        self.clients, self.folder, self.url = clients, folder, ""
        (folder / "src").mkdir()
        (folder / "src" / "Kept.sol").write_text(VERIFIED_SOURCE, encoding="utf-8")
        (folder / "foundry.toml").write_text("[profile.default]\noptimizer = true\n", encoding="utf-8")
        program = folder / "home" / ".svm" / "0.8.37" / "solc-0.8.37"
        program.parent.mkdir(parents=True)
        shutil.copy(EXAMPLE / "solc.mjs", program.parent / "solc.mjs")
        program.write_text(f'#!/bin/sh\nexec node "{program.parent}/solc.mjs" "$@"\n', encoding="utf-8")
        program.chmod(0o755)

    def forge(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        # With a cache, forge 1.7.1 takes the compiler's version from there, which lacks the commit.
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        environment = {"HOME": str(self.folder / "home"), "ETHERSCAN_API_KEY": ""}
        return start(self.clients, "forge", *arguments, folder=self.folder, **environment)

    def deploy(self, name: str, *options: str) -> str:
        self.forge("build")
        common = ("--rpc-url", self.url, "--unlocked", "--from", SENDER, "--broadcast", "--json")
        done = self.forge("create", f"src/Kept.sol:{name}", *common, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return str(json.loads(done.stdout)["deployedTo"])

    def verify(self, address: str, name: str, *options: str) -> str:
        done = self.forge(
            "verify-contract", address, f"src/Kept.sol:{name}", "--verifier", "sourcify", "--verifier-url",
            f"{self.url}/", "--rpc-url", self.url, "--compiler-version", COMPILER, "--watch", *options,
        )  # fmt: skip
        return done.stdout + done.stderr

    def contract(self, address: str, fields: str = "abi") -> Any:
        with urlopen(f"{self.url}/v2/contract/31415926/{address}?fields={fields}") as result:
            return json.load(result)


@pytest.fixture
def verified_project(clients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.delenv("ETHERSCAN_API_KEY", raising=False)
    found = Project(clients, tmp_path)
    with node_process(tmp_path, "--state", str(tmp_path / "chain")) as found.url:
        yield found


EXACT: Final = {"match": "exact_match", "creationMatch": "exact_match", "runtimeMatch": "exact_match"}


def test_forge_verifies_contracts(verified_project: Project, tmp_path: Path) -> None:
    """With an immutable and a library, and created by another contract; the node keeps the sources in its folder."""
    library = verified_project.deploy("Doubling")
    linked = f"src/Kept.sol:Doubling:{library}"
    kept = verified_project.deploy("Kept", "--libraries", linked, "--constructor-args", "5")
    factory = verified_project.deploy("Factory")
    child = (
        "0x"
        + rpc_request(
            verified_project.url, "eth_call", {"to": factory, "data": f"0x{keccak(b'child()')[:4].hex()}"}, "latest"
        )[-40:]
    )
    for address, name, options in (
        (library, "Doubling", ()),
        (kept, "Kept", ("--libraries", linked)),
        (factory, "Factory", ()),
        (child, "Child", ()),
    ):
        output = verified_project.verify(address, name, *options)
        assert "Contract successfully verified:\nStatus: `exact_match`" in output
        found = verified_project.contract(address)
        with urlopen(f"{verified_project.url}/actor/{address}/source") as page:
            assert "pragma solidity ^0.8.20" in page.read().decode()
        assert {key: found[key] for key in EXACT} == EXACT
        assert "is already verified. Skipping" in verified_project.verify(address, name, *options)
    paths = [file.name for file in (tmp_path / "chain" / "verified").iterdir()]
    assert sorted(paths) == sorted(f"{address.lower()}.json" for address in (library, kept, factory, child))


def test_hypervisor_verifies_what_forge_deployed(verified_project: Project) -> None:
    address = verified_project.deploy("Child")
    solc = verified_project.clients / "node_modules" / "solc"
    command = (Path(sys.executable).with_name("hypervisor"), "verify-contract", address, "src/Kept.sol:Child")
    options = ("--rpc-url", verified_project.url, "--use", solc, "--force", "--json")
    done = start(verified_project.clients, *command, *options, folder=verified_project.folder)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {key: found[key] for key in EXACT} == EXACT
    assert "is already verified. Skipping" in verified_project.verify(address, "Child")
    file = verified_project.folder / "src" / "Kept.sol"
    file.write_text(
        VERIFIED_SOURCE.replace("contract Child { ", "contract Child { uint256 public more;"), encoding="utf-8"
    )
    other = verified_project.deploy("Factory")
    file.write_text(VERIFIED_SOURCE, encoding="utf-8")
    command = (*command[:2], other, "src/Kept.sol:Child")
    done = start(verified_project.clients, *command, *options, folder=verified_project.folder)
    assert done.returncode == 1
    assert "is not verified: bytecode_length_mismatch" in done.stderr


def test_forge_reports_other_sources(verified_project: Project) -> None:
    """Another value of an immutable changes the creation code only: the runtime code is a match, as on Sourcify."""
    address = verified_project.deploy("Child")
    file = verified_project.folder / "src" / "Kept.sol"
    file.write_text(VERIFIED_SOURCE.replace("number = 7", "number = 8"), encoding="utf-8")
    assert "Status: `exact_match`" not in (output := verified_project.verify(address, "Child"))
    assert "Status: `match`" in output
    found = verified_project.contract(address)
    assert (found["creationMatch"], found["runtimeMatch"]) == (None, "match")
    assert "Error Code: `bytecode_length_mismatch`" in verified_project.verify(address, "Factory")
    assert "Error Code: `contract_not_deployed`" in verified_project.verify("0x" + "12" * 20, "Child")
