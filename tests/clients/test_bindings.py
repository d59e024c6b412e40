"""`hypervisor bindings` for contracts compiled by solc: mypy accepts all wrappers, and their calls work."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from localnet import CallFailed, Network
from tests.clients.conftest import HERE, INSTALLED, PROJECT, installed, run

MARKET = PROJECT / "tests" / "fvm_hypervisor" / "typed"


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
