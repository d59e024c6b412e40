"""anvil's state files. `anvil_state.json.gz` holds one of anvil 1.7 with anvil's responses to requests."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bridge.ethereum.blobs import BLOB_PROOFS
from hypervisor.errors import InvalidInput
from localnet import Network
from localnet.rpc.dev.state import anvil_state
from localnet.rpc.node import Node
from tests.blobs import zeros
from tests.localnet.conftest import Clock
from tests.localnet.rpc.conftest import Client, Failed, client_fixture

_RECORDED = json.loads(gzip.decompress((Path(__file__).parents[2] / "data" / "anvil_state.json.gz").read_bytes()))
STATE: dict[str, Any] = _RECORDED["state"]
ANSWERS: list[tuple[str, list[Any], Any]] = _RECORDED["answers"]
FILE = json.dumps(STATE).encode()
ALICE, NOBODY = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266", "0x" + "99" * 20
CONTRACT = ANSWERS[1][1][0]
_OURS = frozenset(
    ("stateRoot", "transactionsRoot", "receiptsRoot", "size", "totalDifficulty", "type", "v", "r", "s", "yParity",
     "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas", "accessList", "blobGasPrice", "blobGasUsed", "withdrawals",
     "blockTimestamp", "impersonated")
)  # fmt: skip
"""Fields not compared: roots, which this network does not have, and fields of an impersonated sender."""


def compared(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: compared(field) for name, field in value.items() if name not in _OURS}
    return [compared(entry) for entry in value] if isinstance(value, list) else value


rpc = client_fixture(lambda: Network(rules="ethereum", clock=Clock()))


@pytest.mark.parametrize(
    "packed", [FILE, gzip.compress(FILE)], ids=["the file of --dump-state", "the data of anvil_dumpState"]
)
def test_a_state_of_anvil_is_loaded_with_its_history(rpc: Client, packed: bytes) -> None:
    rpc("anvil_mine", "0x3")
    snapshot = rpc("evm_snapshot")
    assert rpc("anvil_loadState", f"0x{packed.hex()}") is True
    for method, params, result in ANSWERS:
        assert compared(rpc(method, *params)) == compared(result), (method, params)
    assert rpc("evm_revert", snapshot) is False


@pytest.mark.slow
def test_state_files_contain_the_excess_blob_gas() -> None:
    """Cancun: six blocks of six blobs; the last one has an excess of 15 blobs, the next one of 18, and a fee of 2."""
    options: Any = {"rules": "ethereum", "hardfork": "cancun", "clock": Clock()}
    with Network(**options) as network:
        for nonce in range(6):
            network.submit(zeros(network.accounts[0], 6, BLOB_PROOFS, nonce=nonce))
        state = json.loads(anvil_state(network))
    assert state["block"]["blob_excess_gas_and_price"] == {"excess_blob_gas": 15 << 17, "blob_gasprice": 1}
    without_blocks = {**state, "blocks": [], "transactions": []}
    without_blocks["block"] = {**state["block"], "blob_excess_gas_and_price": {"excess_blob_gas": 21 << 17}}
    for file in (state, without_blocks):
        with Network(**options) as network:
            network.load_state(json.dumps(file).encode())
            assert network.blob_base_fee == 2
            network.mine()
            assert network.head.settings.excess_blob_gas == 18 << 17


def test_the_chain_continues_after_a_loaded_state(rpc: Client) -> None:
    rpc.node.network.load_state(FILE)
    sent = rpc("eth_sendTransaction", {"from": ALICE, "to": CONTRACT})
    receipt = rpc("eth_getTransactionReceipt", sent)
    assert (receipt["status"], receipt["blockNumber"], len(receipt["logs"])) == ("0x1", "0x9", 1)
    assert rpc("eth_getStorageAt", CONTRACT, "0x0", "latest") == f"0x{3:064x}"
    with pytest.raises(Failed, match="state of block 7 was collected"):
        rpc("eth_getBalance", ALICE, "0x7")
    rpc("anvil_reset")
    assert (rpc("eth_blockNumber"), rpc("eth_getCode", CONTRACT, "latest")) == ("0x0", "0x")


@pytest.mark.slow
def test_a_loaded_state_outlives_the_process(tmp_path: Path) -> None:
    with Network(tmp_path / "chain", rules="ethereum", clock=Clock()) as network:
        head = network.load_state(FILE)
    with Network(tmp_path / "chain", clock=Clock()) as network:
        assert network.head == head
        client = Client(Node(network))
        for method, params, result in ANSWERS:
            assert compared(client(method, *params)) == compared(result), (method, params)


def test_a_dump_of_a_loaded_state_holds_the_same(rpc: Client) -> None:
    """Compares accounts, slots, blocks, transactions, receipts and logs, except for traces."""
    rpc.node.network.load_state(FILE)
    dumped = json.loads(anvil_state(rpc.node.network))
    given = {address: account for address, account in STATE["accounts"].items() if address in dumped["accounts"]}
    nobody = {"nonce": 0, "balance": "0x0", "code": "0x", "storage": {}}
    assert {address for address, account in STATE["accounts"].items() if account != nobody} <= set(given)
    assert {address: dumped["accounts"][address] for address in given} == given
    assert (dumped["best_block_number"], dumped["block"]["timestamp"]) == (8, STATE["block"]["timestamp"])
    by_hash = {each["info"]["transaction_hash"]: each for each in STATE["transactions"]}
    assert len(dumped["transactions"]) == len(by_hash)
    for each in dumped["transactions"]:
        theirs = by_hash[each["info"]["transaction_hash"]]
        for name in ("transaction_index", "from", "to", "nonce", "gas_used", "contract_address"):
            assert each["info"][name] == theirs["info"][name], name
        receipts = [dict(found["receipt"], type="") for found in (each, theirs)]
        assert receipts[0] == receipts[1]
    with Network(rules="ethereum", clock=Clock()) as again:
        again.load_state(anvil_state(rpc.node.network))
        assert again.machine.balance(again.accounts[0].delegated) == rpc.node.network.balance(again.accounts[0])
        assert (again.block_number, again.head.hash) == (8, rpc.node.network.head.hash)


def test_anvil_load_state_accepts_anvil_dump_state(rpc: Client) -> None:
    rpc("anvil_setStorageAt", NOBODY, "0x1", f"0x{7:064x}")
    sent = rpc("eth_sendTransaction", {"from": ALICE, "to": NOBODY, "value": "0x9"})
    blocks = [rpc("eth_getBlockByNumber", tag, False)["hash"] for tag in ("earliest", "latest")]
    state = rpc("anvil_dumpState")
    rpc("anvil_reset")
    assert rpc("eth_getBalance", NOBODY, "latest") == "0x0"
    rpc("anvil_loadState", state)
    assert rpc("eth_getBalance", NOBODY, "latest") == "0x9"
    assert rpc("eth_getStorageAt", NOBODY, "0x1", "latest") == f"0x{7:064x}"
    assert rpc("eth_getTransactionReceipt", sent)["status"] == "0x1"
    assert [rpc("eth_getBlockByHash", block, False)["hash"] for block in blocks] == blocks


def test_a_state_without_blocks_has_its_block_number(rpc: Client) -> None:
    """The format of anvil before version 0.3."""
    older = {"block": STATE["block"], "accounts": STATE["accounts"]}
    rpc.node.network.load_state(json.dumps(older).encode())
    assert rpc("eth_blockNumber") == "0x8"
    assert rpc("eth_getStorageAt", CONTRACT, "0x0", "latest") == f"0x{2:064x}"
    assert rpc("eth_getBlockByNumber", "latest", False)["timestamp"] == STATE["block"]["timestamp"]


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        ({}, "'accounts' is missing"),
        ({**STATE, "accounts": {"0x12": {}}}, "expected 20 bytes, found 1"),
        ({**STATE, "transactions": []}, "block 1 has no receipt of transaction 0"),
        ({**STATE, "accounts": []}, "no attribute 'items'"),
        ({**STATE, "best_block_number": -1}, "expected text, found"),
    ],
    ids=["nothing", "an address", "no receipts", "a list", "a number"],
)
def test_damaged_anvil_state_changes_nothing(rpc: Client, damaged: dict[str, Any], reason: str) -> None:
    rpc("anvil_setBalance", NOBODY, "0x3")
    head = rpc.node.network.head
    with pytest.raises(InvalidInput, match=f"this is not a state file of anvil.*{reason}"):
        rpc.node.network.load_state(json.dumps(damaged).encode())
    assert rpc.node.network.head == head
    assert rpc("eth_getBalance", NOBODY, "latest") == "0x3"


def test_filecoins_rules_take_no_state_of_anvil() -> None:
    with Network(clock=Clock()) as network, pytest.raises(InvalidInput, match="network is under the rules 'filecoin'"):
        network.load_state(FILE)
