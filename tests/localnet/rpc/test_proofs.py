"""`eth_getProof`: proofs that are IPLD blocks."""

import pytest

from localnet import Network
from store.cid import cid_of
from store.trees.paths import Path, verify
from tests.localnet.conftest import ARTIFACTS
from tests.localnet.rpc.conftest import Client, refusal

PROOFS_NOBODY = "0x" + "09" * 20


def test_clients_get_blocks_and_paths(network: Network, rpc: Client) -> None:
    counter = network.deploy(ARTIFACTS / "Counter.json")
    counter.send("increment")
    (before,) = rpc("eth_getProof", "0x" + counter.address.hex(), ["0x0"], hex(network.block_number - 1))[
        "storageProof"
    ]
    assert before["value"] == "0x0"
    found = rpc("eth_getProof", "0x" + counter.address.hex(), ["0x0"], "latest")
    root = cid_of(bytes.fromhex(found["accountProof"][0][2:]))
    assert root == network.machine.root
    (slot,) = found["storageProof"]
    blocks = [bytes.fromhex(data[2:]) for data in slot["proof"]]
    assert slot["value"] == "0x1"
    assert verify(root, Path.parse(slot["path"]), [(cid_of(data), data) for data in blocks]) == b"\x01"


def test_account_without_code_has_empty_code_hash_and_storage(rpc: Client) -> None:
    found = rpc("eth_getProof", rpc("eth_accounts")[0])
    # as geth has it: keccak-256 of nothing
    assert found["codeHash"] == "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert (found["storageHash"], found["storageProof"]) == ("0x" + "00" * 32, [])


@pytest.mark.parametrize(
    "params",
    [
        [],
        ["0x1"],
        [PROOFS_NOBODY, 5],
        [PROOFS_NOBODY, ["0xg"]],
        [PROOFS_NOBODY, ["0x0"] * 1_025],
        [PROOFS_NOBODY, ["0x" + "1" * 65]],
        [PROOFS_NOBODY, [], {}],
    ],
    ids=["nobody", "no address", "no list", "no slot", "too many slots", "a long slot", "no block"],
)
def test_invalid_proof_request_is_refused(rpc: Client, params: list[object]) -> None:
    with refusal(-32602):
        rpc("eth_getProof", *params)
