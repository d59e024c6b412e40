"""A node under Ethereum's rules, compared with anvil and used by common clients.

- A node under Ethereum's rules compared with anvil: equal transactions, gas, fees, blocks and responses.
- `cast send --blob` on a node under Ethereum's rules and on anvil: equal receipts, blocks, fees and blobs.
- viem, ethers, forge and cast on a node under the rules of Ethereum's fork Amsterdam.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_utils.address import to_checksum_address

from localnet.accounts import accounts
from localnet.contracts.contract import Artifact
from localnet.fork.node_client import NodeClient, NodeError
from tests.blobs import INFINITY, zeros
from tests.clients.conftest import node_process, run, start
from tests.clients.test_anvil import ALICE, BOB, NOBODY, Both, anvil
from tests.clients.test_foundry import SENDER, Foundry
from tests.localnet.conftest import ARTIFACTS
from tests.runtimes.evm.assembler import assemble, deployer

pytestmark = pytest.mark.long

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
BOBS_KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
COUNTER, INBOX = Artifact.load(ARTIFACTS / "Counter.json"), Artifact.load(ARTIFACTS / "Inbox.json")
GWEI = 10**9

STORE = deployer(assemble("0 CALLDATALOAD 32 CALLDATALOAD SSTORE"))
"""Code that writes the first word to the slot of the second."""
SPEND = deployer(assemble("0 0 0 0 0 0x1234 GAS CALL POP 1 0 SSTORE"))
"""Code that forwards all gas but a 64th and needs part of the rest, so its gas used is too low as a limit."""

RECEIPT = ("status", "gasUsed", "cumulativeGasUsed", "effectiveGasPrice", "contractAddress", "type", "to", "from")
BLOCK = ("number", "baseFeePerGas", "gasUsed", "gasLimit", "miner", "logsBloom", "withdrawals", "difficulty", "nonce")


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeClient, NodeClient]]:
    folder = tmp_path_factory.mktemp("node")
    with (
        anvil() as theirs,
        node_process(folder, "--rules", "ethereum") as ours,
        NodeClient(theirs) as one,
        NodeClient(ours) as other,
    ):
        yield one, other


@pytest.fixture
def both(nodes: tuple[NodeClient, NodeClient]) -> Iterator[Both]:
    """Return both nodes in their state before the test; only anvil's base fee is not restored."""
    found = Both(*nodes)
    snapshots = found.each("evm_snapshot")
    found.ask("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
    yield found
    for client, snapshot in zip((found.theirs, found.ours), snapshots, strict=True):
        client.request("evm_revert", snapshot)


def word(number: int) -> str:
    return f"{number:064x}"


def sent(both: Both, **request: Any) -> dict[str, Any]:
    """Return the receipt of a transaction, reduced to the fields that must be equal; the blocks must be equal, too."""
    hashes = both.each("eth_sendTransaction", {"from": ALICE, **request})
    return settled(both, hashes)


def raw(both: Both, key: str = KEY, **fields: Any) -> dict[str, Any]:
    """Return the same for a transaction signed in this process."""
    nonce = int(both.ask("eth_getTransactionCount", Account.from_key(key).address, "pending"), 16)
    if "to" in fields:
        fields["to"] = to_checksum_address(fields["to"])
    given = {"chainId": 31337, "gas": 200_000, "value": 0, "nonce": nonce, **fields}
    if "gasPrice" not in given:
        given |= {"maxFeePerGas": 3 * GWEI, "maxPriorityFeePerGas": GWEI}
    signed = Account.sign_transaction(given, key)
    hashes = both.each("eth_sendRawTransaction", f"0x{bytes(signed.raw_transaction).hex()}")
    assert hashes[0] == hashes[1] == f"0x{bytes(signed.hash).hex()}"
    return settled(both, hashes)


def settled(both: Both, hashes: tuple[str, str]) -> dict[str, Any]:
    theirs_hash, ours_hash = hashes
    end = time.monotonic() + 30
    while (first := both.theirs.request("eth_getTransactionReceipt", theirs_hash)) is None:  # anvil answers, then mines
        assert time.monotonic() < end, "anvil does not mine"
        time.sleep(0.01)
    receipts = [first, both.ours.request("eth_getTransactionReceipt", ours_hash)]
    theirs, ours = ({name: receipt[name] for name in RECEIPT} for receipt in receipts)
    assert ours == theirs
    logs = [[(log["address"], log["topics"], log["data"]) for log in receipt["logs"]] for receipt in receipts]
    assert logs[0] == logs[1]
    blocks = both.each("eth_getBlockByNumber", "latest", False)
    assert [blocks[1][name] for name in BLOCK] == [blocks[0][name] for name in BLOCK]
    return ours


def deployed(both: Both, code: bytes) -> str:
    return str(sent(both, data=f"0x{code.hex()}")["contractAddress"])


def test_chains_begin_alike(both: Both) -> None:
    for method in ("eth_chainId", "eth_blockNumber", "eth_gasPrice", "eth_maxPriorityFeePerGas", "eth_accounts",
                   "net_version", "eth_blobBaseFee", "eth_coinbase"):  # fmt: skip
        both.ask(method)
    for owner in (ALICE, BOB, NOBODY):
        both.ask("eth_getBalance", owner, "latest")
    both.ask("eth_getCode", "0x4e59b44847b379578588920cA78FbF26c0B4956C", "latest")


def test_transfers_match_anvil(both: Both) -> None:
    assert sent(both, to=BOB, value="0x5")["gasUsed"] == "0x5208"
    sent(both, to=NOBODY, value="0x5")
    sent(both, to=BOB, value="0x0", data="0x" + "00ff" * 40)
    raw(both, to=BOB, gasPrice=2 * GWEI)
    raw(both, to=BOB, maxFeePerGas=5 * GWEI, maxPriorityFeePerGas=0)
    raw(both, BOBS_KEY, to=NOBODY, value=10**18)
    for owner in (ALICE, BOB, NOBODY):
        both.ask("eth_getBalance", owner, "latest")
        both.ask("eth_getTransactionCount", owner, "latest")


def test_contract_calls_match_anvil(both: Both) -> None:
    counter, inbox = deployed(both, COUNTER.bytecode), deployed(both, INBOX.bytecode)
    for _ in range(2):
        sent(both, to=counter, data=f"0x{COUNTER.interface.encode_call('increment').hex()}")
    sent(both, to=inbox, data=f"0x{INBOX.interface.encode_call('greet', 'hello').hex()}")
    assert (
        sent(both, to=inbox, data=f"0x{INBOX.interface.encode_call('refuse', 'no').hex()}", gas="0x30000")["status"]
        == "0x0"
    )
    both.ask("eth_getCode", counter, "latest")
    both.ask("eth_getStorageAt", counter, "0x0", "latest")
    both.ask("eth_call", {"to": counter, "data": f"0x{COUNTER.interface.encode_call('number').hex()}"}, "latest")


def test_refunds_and_warm_slots(both: Both) -> None:
    store = deployed(both, STORE)
    for value, slot in ((1, 1), (1, 1), (0, 1), (0, 2), (5, 1), (6, 1)):
        sent(both, to=store, data=f"0x{word(value)}{word(slot)}", gas="0x20000")
    listed = [{"address": store, "storageKeys": [f"0x{word(1)}", f"0x{word(7)}"]}]
    sent(both, to=store, data=f"0x{word(0)}{word(1)}", gas="0x20000", accessList=listed)
    raw(both, to=store, data=f"0x{word(3)}{word(7)}", accessList=listed, type=1, gasPrice=3 * GWEI)
    raw(both, to=store, data=f"0x{word(4)}{word(7)}", accessList=listed)


def test_gas_estimates_match_anvil(both: Both) -> None:
    store, spend = deployed(both, STORE), deployed(both, SPEND)
    estimates = {
        "transfer": {"from": ALICE, "to": BOB, "value": "0x5"},
        "calldata": {"from": ALICE, "to": BOB, "data": "0x" + "11" * 1000},
        "write": {"from": ALICE, "to": store, "data": f"0x{word(1)}{word(1)}"},
        "creation": {"from": ALICE, "data": f"0x{COUNTER.bytecode.hex()}"},
    }
    for request in estimates.values():
        both.ask("eth_estimateGas", request)
    theirs, ours = both.each("eth_estimateGas", {"from": ALICE, "to": spend})
    assert int(ours, 16) == pytest.approx(int(theirs, 16), rel=0.02)
    assert sent(both, to=spend, gas=ours)["status"] == "0x1"
    assert sent(both, to=deployed(both, SPEND), gas=hex(int(ours, 16) - 1))["status"] == "0x0"


def test_access_lists_are_found(both: Both) -> None:
    store = deployed(both, STORE)
    request = {"from": ALICE, "to": store, "data": f"0x{word(1)}{word(9)}"}
    both.ask("eth_createAccessList", request, "latest")
    both.ask("eth_createAccessList", {"from": ALICE, "to": BOB}, "latest")


def test_accounts_lend_themselves_code(both: Both) -> None:
    store = deployed(both, STORE)
    word_ = Account.from_key(BOBS_KEY).sign_authorization({"chainId": 31337, "address": store, "nonce": 0})
    raw(both, type=4, to=BOB, data=f"0x{word(5)}{word(6)}", authorizationList=[word_])
    assert both.ask("eth_getCode", BOB, "latest") == f"0xef0100{store[2:].lower()}"
    assert int(both.ask("eth_getStorageAt", BOB, f"0x{word(6)}", "latest"), 16) == 5
    raw(both, BOBS_KEY, to=NOBODY, value=7)


def test_invalid_transactions_are_rejected_as_by_anvil(both: Both) -> None:
    for request in (
        {"to": BOB, "gas": "0x5000"},
        {"to": BOB, "gas": hex(40_000_000)},
        {"to": BOB, "value": hex(10**24)},
        {"to": BOB, "maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x1"},
        {"to": BOB, "nonce": "0x0", "gas": "0x5208"},
    ):
        if "nonce" in request:
            sent(both, to=BOB)
        both.refuses("eth_sendTransaction", {"from": ALICE, **request})
    request = {"from": ALICE, "to": BOB, "data": "0x" + "11" * 1000, "gas": "0xa000"}
    with pytest.raises(NodeError, match="insufficient gas for floor data gas cost"):  # anvil takes it, and drops it
        both.ours.request("eth_sendTransaction", request)


def test_revert_error_data_matches_anvil(both: Both) -> None:
    inbox = deployed(both, INBOX.bytecode)
    request = {"to": inbox, "data": f"0x{INBOX.interface.encode_call('refuse', 'no').hex()}"}
    errors = []
    for client in (both.theirs, both.ours):
        with pytest.raises(NodeError) as failed:
            client.request("eth_call", request, "latest")
        errors.append(failed.value.data)
    assert errors[0] == errors[1]


def test_base_fees_follow_how_full_blocks_are(both: Both) -> None:
    for _ in range(5):
        sent(both, to=BOB, value="0x1")
    both.ask("anvil_mine", "0x3")
    heads = both.each("eth_getBlockByNumber", "latest", False)
    assert heads[0]["baseFeePerGas"] == heads[1]["baseFeePerGas"]
    histories = both.each("eth_feeHistory", "0x4", "latest", [50])
    assert histories[0]["baseFeePerGas"] == histories[1]["baseFeePerGas"]
    assert histories[0]["gasUsedRatio"] == histories[1]["gasUsedRatio"]
    assert histories[0]["reward"] == histories[1]["reward"]
    proposed = both.each("eth_maxPriorityFeePerGas")
    assert proposed[0] == proposed[1]


FEES = ("--gas-price", "3gwei", "--priority-gas-price", "1gwei", "--blob-gas-price", "20")
TRANSACTION = (
    "hash", "nonce", "blockNumber", "transactionIndex", "from", "to", "value", "gas", "input", "type", "chainId", "v",
    "r", "s", "yParity", "accessList", "maxFeePerBlobGas", "blobVersionedHashes", "maxFeePerGas",
    "maxPriorityFeePerGas", "gasPrice",
)  # fmt: skip
BLOB_RECEIPT = (
    "transactionHash", "blockNumber", "from", "to", "status", "contractAddress", "cumulativeGasUsed", "gasUsed",
    "effectiveGasPrice", "logs", "type", "blobGasUsed", "blobGasPrice",
)  # fmt: skip
BLOB_BLOCK = ("number", "baseFeePerGas", "gasUsed", "blobGasUsed", "excessBlobGas", "transactions")


@pytest.fixture
def both_blobs(tmp_path: Path) -> Iterator[Both]:
    with (
        anvil("--hardfork", "osaka") as theirs,
        node_process(tmp_path, "--rules", "ethereum", "--hardfork", "osaka") as ours,
        NodeClient(theirs) as one,
        NodeClient(ours) as other,
    ):
        found = Both(one, other)
        found.ask("anvil_setNextBlockBaseFeePerGas", hex(10**9))
        yield found


def cast(clients: Path, node: NodeClient, file: Path, *options: str) -> str:
    """Send the file as blobs with cast; return the transaction hash."""
    sent = run(
        clients, "cast", "send", "--async", "--rpc-url", node.url, "--private-key", KEY, "--blob", "--path", file,
        *FEES, *options, BOB, "--value", "7",
    )  # fmt: skip
    return sent.strip()


def assert_equal_on_both(answers: tuple[Any, Any], names: tuple[str, ...]) -> dict[str, Any]:
    theirs, ours = ({name: result.get(name) for name in names} for result in answers)
    assert ours == theirs
    return ours


def test_cast_sends_blobs_as_to_anvil(clients: Path, both_blobs: Both, tmp_path: Path) -> None:
    file = tmp_path / "data.bin"
    file.write_bytes(bytes(range(256)) * 700)  # two blobs of 31 bytes for each field element
    hashes = [cast(clients, node, file, "--gas-limit", "30000") for node in (both_blobs.theirs, both_blobs.ours)]
    sent = hashes[1]
    assert hashes == [sent, sent]
    shown = assert_equal_on_both(both_blobs.each("eth_getTransactionByHash", sent), TRANSACTION)
    assert (shown["type"], len(shown["blobVersionedHashes"])) == ("0x3", 2)
    receipt = assert_equal_on_both(both_blobs.each("eth_getTransactionReceipt", sent), BLOB_RECEIPT)
    assert (receipt["blobGasUsed"], receipt["status"]) == ("0x40000", "0x1")
    assert_equal_on_both(both_blobs.each("eth_getBlockByNumber", "latest", False), BLOB_BLOCK)
    both_blobs.ask("eth_getBalance", shown["from"], "latest")
    assert len(both_blobs.ask("anvil_getBlobsByTransactionHash", sent)) == 2
    for blob_hash in shown["blobVersionedHashes"]:
        assert len(both_blobs.ask("anvil_getBlobByHash", blob_hash)) == 2 + 2 * (1 << 17)
    estimated = both_blobs.ours.request("eth_getTransactionByHash", cast(clients, both_blobs.ours, file))
    assert estimated["gas"] == hex(21_000), "cast sends the sidecar with its request for an estimate"


def test_a_bad_sidecar_is_refused_by_both(both_blobs: Both) -> None:
    alice = accounts(count=1)[0]
    raw = zeros(alice, 1)
    wrong = raw.replace(INFINITY, bytes(48), 1)
    for refused in (wrong, zeros(alice, 7), zeros(alice, 1, to=None), zeros(alice, 1, max_fee_per_blob_gas=0)):
        both_blobs.refuses("eth_sendRawTransaction", f"0x{refused.hex()}")


CHAIN = "31415926"
"""The chain ID that the programs expect."""

DIFFERENT = {
    "ethers": {"write, and read the event from the receipt"},  # the first log is the transfer's
    "viem": {"an access list is refused with the reason"},  # Ethereum's rules accept it
}
"""Checks of Filecoin's rules that cannot hold here."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("node")
    with node_process(folder, "--rules", "ethereum", "--hardfork", "amsterdam", "--chain-id", CHAIN) as url:
        yield url


@pytest.mark.parametrize("client", DIFFERENT)
def test_checks_of_client_libraries_hold(client: str, clients: Path, node: str) -> None:
    done = start(clients, "node", clients / "programs" / f"{client}.mjs", node)
    checks = [line for line in map(json.loads, done.stdout.splitlines()) if "check" in line]
    assert len(checks) > 20
    assert {line["check"] for line in checks if line["error"] is not None} == DIFFERENT[client]


def test_foundry_deploys_calls_and_transfers(clients: Path, node: str, tmp_path: Path) -> None:
    foundry = Foundry(clients, node, tmp_path)
    deployed = foundry.forge("create", "contracts/src/Notes.sol:Notes", "--json", "--constructor-args", "first")
    notes = json.loads(deployed)["deployedTo"]
    assert foundry.send(notes, "write(uint256,string)", "1", "second")["status"] == "0x1"
    assert foundry.cast("call", notes, "count()(uint256)") == "2"
    receipt: dict[str, Any] = foundry.send("0x" + "11" * 20, "--value", "5")
    # EIP-7708: a transfer logs Transfer(sender, receiver, value) with this address as its emitter.
    (log,) = receipt["logs"]
    assert log["address"] == "0xfffffffffffffffffffffffffffffffffffffffe"
    assert log["topics"][1:] == [f"0x{SENDER[2:].lower():0>64}", "0x" + ("11" * 20).rjust(64, "0")]
    assert int(log["data"], 16) == 5
