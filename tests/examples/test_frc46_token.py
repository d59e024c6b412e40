"""The FRC-46 token from the published crates: built by cargo if available, and tested on a network."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from localnet import NativeActor, Network, TransactionFailed

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "examples" / "frc46-token"
TARGET = ROOT / "build" / "published-crates"

pytestmark = pytest.mark.long  # a minute of the compiler


@pytest.fixture(scope="module")
def module() -> Path:
    """Build the token; without cargo or the crates the tests are skipped."""
    if shutil.which("cargo") is None:
        pytest.skip("no cargo, which builds the token")
    environment = os.environ | {"CARGO_TARGET_DIR": str(TARGET)}
    for offline in (["--offline"], []):
        command = ["cargo", "build", "--release", "--locked", *offline]
        built = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
        if built.returncode == 0:
            return TARGET / "wasm32-unknown-unknown" / "release" / "frc46_token_example.wasm"
        if "error[" in built.stderr:
            pytest.fail(built.stderr)
    pytest.skip(f"cargo cannot build the token here: {built.stderr.strip().splitlines()[-1]}")


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def token(network: Network, module: Path) -> NativeActor:
    code = network.actors.install(module, PROJECT / "interface.ipldsch")
    return network.actors.create(code, {"owner": network.accounts[0].native, "supply": 1000})


def test_the_supply_is_the_owners_and_moves(network: Network, token: NativeActor) -> None:
    owner, other = network.accounts[0].native, network.accounts[1].native
    assert (token.call("Name"), token.call("Symbol"), token.call("Granularity")) == ("Example", "EXA", 1)
    assert (token.call("TotalSupply"), token.call("Balance", owner)) == (1000, 1000)
    receipt = token.send("Transfer", {"to": other, "amount": 5, "operator_data": b""})
    assert token.return_value("Transfer", receipt) == {"from_balance": 995, "to_balance": 5, "recipient_data": b""}
    assert (token.call("Balance", other), token.state.supply) == (5, 1000)
    assert "frc46_token_example Transfer(to=" in str(receipt.trace)  # the calls below it are the receiver's hook


def test_transfer_beyond_balance_is_rejected(network: Network, token: NativeActor) -> None:
    with pytest.raises(TransactionFailed) as failed:
        token.send("Transfer", {"to": network.accounts[1].native, "amount": 1001, "operator_data": b""})
    assert failed.value.exit_code == 20
    assert token.call("TotalSupply") == 1000


def test_a_profile_names_the_crates_functions(network: Network, token: NativeActor) -> None:
    receipt = token.send("Transfer", {"to": network.accounts[1].native, "amount": 5, "operator_data": b""})
    profile = network.profile(receipt.hash)
    assert profile.reproduced
    names = {row.name for row in profile.rows}
    assert {"invoke", "send::send", "ipld::block_link"} <= names
    assert any("frc46_token::" in name for name in names)
