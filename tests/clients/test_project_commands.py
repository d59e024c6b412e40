"""Commands for a compiled project: `create`, `bindings`, and verification of sources.

- `hypervisor create` and `verify-bytecode` compared with forge on anvil, for a project compiled by both.
- `hypervisor bindings` for contracts compiled by solc: mypy accepts all wrappers, and their calls work.
- Sources of contracts verified at a fresh node by forge, which takes it for Sourcify (docs/source-verification.md).
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from urllib.request import urlopen

import pytest

from hypervisor_tools.cli.rpc_client import rpc_request
from localnet import CallFailed, Network
from store.keccak import keccak
from tests.clients.conftest import EXAMPLE, HERE, INSTALLED, PROJECT, installed, node_process, run, start
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


MARKET = PROJECT / "tests" / "hypervisor_tools" / "cli" / "foundry" / "typed"


@pytest.fixture(scope="module")
def written(clients: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate the wrappers of OpenZeppelin's contracts, filecoin-solidity-api's, and the tests' own."""
    folder, made = clients / "contracts" / "out", tmp_path_factory.mktemp("wrappers")
    found = sorted(path for path in folder.glob("*.sol/*.json") if "abi" in json.loads(path.read_bytes()))
    artifacts = list({path.stem.lower(): path for path in found if path.stem not in ("Vm", "Deploy")}.values())
    run(clients, Path(sys.executable).with_name("hypervisor"), "bindings", *artifacts, "--out", made)
    assert len(list(made.iterdir())) > 40
    return made


def test_mypy_takes_every_wrapper_in_its_strict_mode(written: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", str(written)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_openzeppelin_token_has_overloads_and_docstrings(written: Path) -> None:
    token = _module(written / "erc721.py").ERC721
    assert [signature for signature, _, _ in token.overloads["safe_transfer_from"]] == [
        "safeTransferFrom(address,address,uint256)",
        "safeTransferFrom(address,address,uint256,bytes)",
    ]
    assert "Returns the account approved for `tokenId` token." in token.get_approved.__doc__


def test_a_picture_goes_from_hand_to_hand(written: Path) -> None:
    pictures = _module(written / "picture.py")
    with Network() as network:
        first, second = network.accounts[:2]
        contract = pictures.Picture.deploy(network)
        contract.mint(first, 7).send()
        receipt = contract.safe_transfer_from(first, second, 7, data=b"a word").send()
        assert contract.events(receipt) == [pictures.Transfer(first.address, second.address, 7)]
        assert contract.owner_of(7).call() == second.address
        with pytest.raises(CallFailed) as failed:
            contract.safe_transfer_from(first, second, 7).send()
        assert contract.error(failed.value) == pictures.ERC721InsufficientApproval(first.address, 7)


def test_compiler_reproduces_test_artifact() -> None:
    made = run(INSTALLED, "node", MARKET / "compile.mjs", installed(INSTALLED, HERE))
    assert json.loads(made) == json.loads((MARKET / "Market.json").read_text(encoding="utf-8"))


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


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
