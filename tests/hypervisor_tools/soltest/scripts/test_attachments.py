"""Tests of script effects outside of transactions, and of attachments that a transaction would lose."""

import json
from pathlib import Path

import pytest

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from localnet import Network
from localnet.accounts import Account
from localnet.rpc.server.server import serving
from tests.hypervisor_tools.soltest.contracts import artifact, forge_out
from tests.hypervisor_tools.soltest.scripts.script_runs import (
    BROADCAST,
    CHAIN,
    KEY,
    OTHER_KEY,
    SENDER,
    TRANSFER,
    assembled_script,
    record,
    run,
    vm_call,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("end", "options", "status"), [("00", ["-vvvv"], 0), ("5f5ffd", [], 1)])
def test_script_side_effects_happen_once(tmp_path: Path, end: str, options: list[str], status: int) -> None:
    call = f"{vm_call('writeLine(string,string)', 'log.txt', 'x')}50{end}"
    settings = '[profile.default]\nsolc = "0.8.30"\nfs_permissions = [{ access = "read-write", path = "./" }]\n'
    (tmp_path / "foundry.toml").write_text(settings, encoding="utf-8")
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "Log.s.sol").write_text("contract Log {}", encoding="utf-8")
    forge_out(tmp_path, "script/Log.s.sol", "contract Log {}", {"Log": artifact({"run()": [call]})})
    output = run(tmp_path, *options, status=status, file="Log.s.sol")
    assert (tmp_path / "log.txt").read_text(encoding="utf-8") == "x\n"
    assert "would repeat the effects of the first (vm.writeLine)" in " ".join(output.split())


DELEGATED = bytes.fromhex("dead".rjust(40, "0"))
SIGNED = Account.from_key(bytes.fromhex(OTHER_KEY[2:])).sign_authorization(EthAddress(DELEGATED), 0, 31337)
ATTACHMENTS = {
    "signAndAttachDelegation": vm_call("signAndAttachDelegation(address,uint256)", DELEGATED, int(OTHER_KEY, 16)),
    "attachDelegation": vm_call(
        "attachDelegation((uint8,bytes32,bytes32,uint64,address))",
        (SIGNED.y_parity, SIGNED.r.to_bytes(32, "big"), SIGNED.s.to_bytes(32, "big"), 0, DELEGATED),
    ),
    "attachBlob": vm_call("attachBlob(bytes)", b"blob"),
}


@pytest.mark.parametrize("name", ATTACHMENTS)
@pytest.mark.parametrize("options", [["--broadcast"], []], ids=["broadcast", "dry"])
def test_unsupported_attachments_are_refused_before_broadcast(tmp_path: Path, name: str, options: list[str]) -> None:
    """forge 1.7.1 sends it: type 4 with a list of authorizations, type 3 with the blob."""
    root = assembled_script(tmp_path, BROADCAST, TRANSFER, ATTACHMENTS[name], TRANSFER)
    with Network(rules="ethereum") as network, serving(network) as url:
        words = run(root, "--rpc-url", url, "--private-key", KEY, *options, status=2, file="Own.s.sol")
        assert f"the script calls vm.{name}: this command cannot send transactions with delegations or blobs" in words
        assert "No transaction was sent" in words
        assert (network.head.height, network.nonce(SENDER)) == (0, 0)
    assert not (root / "broadcast").exists()


@pytest.mark.parametrize("name", ATTACHMENTS)
def test_unused_attachment_is_not_rejected(tmp_path: Path, name: str) -> None:
    """An attachment belongs to the next transaction; after the last one it belongs to the script's own calls."""
    root = assembled_script(tmp_path, BROADCAST, TRANSFER, ATTACHMENTS[name])
    with Network(rules="ethereum") as network, serving(network) as url:
        run(root, "--rpc-url", url, "--private-key", KEY, "--broadcast", file="Own.s.sol")
        assert network.nonce(SENDER) == 1


def test_a_transaction_that_is_signed_already_is_refused(tmp_path: Path) -> None:
    sent = Transaction(DYNAMIC_FEE, 31337, 0, EthAddress(DELEGATED), 1, b"", 21_000, 10**10, 0)
    raw = sent.sign(bytes.fromhex(OTHER_KEY[2:])).raw()
    root = assembled_script(tmp_path, BROADCAST, TRANSFER, vm_call("broadcastRawTransaction(bytes)", raw))
    with Network(rules="ethereum") as network, serving(network) as url:
        words = run(root, "--rpc-url", url, "--private-key", KEY, "--broadcast", status=2, file="Own.s.sol")
        assert "the script calls vm.broadcastRawTransaction: " in words
        assert network.head.height == 0


@pytest.mark.parametrize("name", ["authorizationList", "blobVersionedHashes"])
def test_a_record_with_more_than_is_sent_is_not_resumed(project: Path, url: str, network: Network, name: str) -> None:
    """A record of forge whose transaction would lose the field."""
    run(project, "--rpc-url", url, "--private-key", KEY)
    content = record(project, folder="dry-run")
    content["transactions"][1]["transaction"][name] = [{}]
    file = project / "broadcast" / "Deploy.s.sol" / str(CHAIN) / "run-latest.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    words = run(project, "--rpc-url", url, "--private-key", KEY, "--resume", status=2)
    assert f"a transaction has '{name}', which this command does not send" in words
    assert network.head.height == 0
