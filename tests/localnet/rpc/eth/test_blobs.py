"""Methods about blobs under Ethereum's rules, and their refusal under Filecoin's; computed by hand from EIP-4844."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bridge.ethereum.blobs import BLOB_PROOFS, versioned_hash
from localnet import Network
from localnet.chain import admission
from localnet.rpc.methods import QueryKind
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.server.dispatch import Dispatcher
from tests.blobs import INFINITY, ZEROS, random_blob, sidecar, signed_blobs, zeros
from tests.localnet.conftest import Clock
from tests.localnet.rpc.asking import ALICE, BOB
from tests.localnet.rpc.conftest import Client, Failed, client_fixture, refusal
from tests.runtimes.evm.assembler import assemble, deployer

EMPTY = f"0x{versioned_hash(INFINITY).hex()}"


rpc = client_fixture(lambda: Network(clock=Clock(), rules="ethereum", hardfork="cancun"))


def send(rpc: Client, count: int, **fields: Any) -> str:
    raw = zeros(rpc.node.network.accounts[0], count, BLOB_PROOFS, **fields)
    return str(rpc("eth_sendRawTransaction", f"0x{raw.hex()}"))


@pytest.mark.slow
def test_the_fee_history_has_blob_fees_and_ratios(rpc: Client) -> None:
    for nonce in range(6):
        send(rpc, 6, nonce=nonce)
    send(rpc, 2, nonce=6)
    history = rpc("eth_feeHistory", "0x3", "latest", [])
    assert history["baseFeePerBlobGas"] == ["0x1", "0x1", "0x2", "0x1"]
    assert history["blobGasUsedRatio"] == [1.0, 1.0, 2 / 6]
    assert rpc("eth_blobBaseFee") == "0x1"


@pytest.mark.slow
def test_blobs_are_found_by_their_hash_and_transaction(rpc: Client) -> None:
    carried = sidecar([random_blob(3), ZEROS], BLOB_PROOFS)
    raw = signed_blobs(rpc.node.network.accounts[0], carried)
    sent = rpc("eth_sendRawTransaction", f"0x{raw.hex()}")
    blobs = [f"0x{blob.hex()}" for blob in carried.blobs]
    assert rpc("anvil_getBlobsByTransactionHash", sent) == blobs
    hashes = rpc("eth_getTransactionByHash", sent)["blobVersionedHashes"]
    assert [rpc("anvil_getBlobByHash", one) for one in hashes] == blobs
    assert rpc("anvil_getBlobByHash", f"0x{'01' * 32}") is None
    plain = rpc("eth_sendTransaction", {"from": BOB, "to": ALICE, "value": "0x1"})
    assert [rpc("anvil_getBlobsByTransactionHash", one) for one in (plain, f"0x{'01' * 32}")] == [None, None]
    raw_of_block = rpc("eth_getRawTransactionByHash", sent)
    assert len(raw_of_block) < 500, "blocks hold the transaction without its blobs"


@pytest.mark.slow
def test_calls_and_estimates_take_versioned_hashes(rpc: Client) -> None:
    code = deployer(assemble("0 BLOBHASH 0 MSTORE BLOBBASEFEE 32 MSTORE 64 0 RETURN"))
    created = rpc("eth_sendTransaction", {"from": BOB, "data": f"0x{code.hex()}"})
    contract = rpc("eth_getTransactionReceipt", created)["contractAddress"]
    request = {"from": ALICE, "to": contract, "blobVersionedHashes": [EMPTY], "maxFeePerBlobGas": "0xa"}
    assert rpc("eth_call", request, "latest") == EMPTY + "1".zfill(64)
    of_sidecar = {"to": contract, "commitments": [f"0x{INFINITY.hex()}"], "blobs": [f"0x{ZEROS.hex()}"], "proofs": []}
    assert rpc("eth_call", of_sidecar, "latest") == EMPTY + "0".zfill(64), "as cast asks for an estimate"
    with pytest.raises(Failed, match="the node does not compute commitments; add blobVersionedHashes"):
        rpc("eth_call", {"to": contract, "blobs": ["0x00"]}, "latest")
    assert int(rpc("eth_estimateGas", request), 16) == int(rpc("eth_estimateGas", {"from": ALICE, "to": contract}), 16)
    with pytest.raises(Failed, match="invalid hash version"):
        rpc("eth_call", {**request, "blobVersionedHashes": ["0x02" + EMPTY[4:]]}, "latest")
    with pytest.raises(Failed, match="too many blobs in transaction: have 7, permitted 6"):
        rpc("eth_call", {**request, "blobVersionedHashes": [EMPTY] * 7}, "latest")
    for nonce in range(6):
        send(rpc, 6, nonce=nonce)
    assert rpc("eth_call", {**request, "maxFeePerBlobGas": "0x0"}, "latest") == EMPTY + "0".zfill(64)
    with pytest.raises(Failed, match=r"max fee per blob gas less than block blob gas fee: .* 1, blobBaseFee 2"):
        rpc("eth_call", {**request, "maxFeePerBlobGas": "0x1"}, "latest")


READER = f"0x{assemble('0 BLOBHASH 0 MSTORE BLOBBASEFEE 32 MSTORE 64 0 RETURN').hex()}"
CALLER, TARGET = "0x" + "c0" * 20, "0x" + "c2" * 20
ACCOUNTS = {CALLER: {"balance": hex(10**18)}, TARGET: {"code": READER}}
BLOB_CALL = {"from": CALLER, "to": TARGET, "maxFeePerGas": "0x10", "maxFeePerBlobGas": "0xa",
             "blobVersionedHashes": [EMPTY]}  # fmt: skip


def simulate(rpc: Client, *blocks: dict[str, Any], **options: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rpc("eth_simulateV1", {"blockStateCalls": list(blocks), **options}, "latest")
    return found


def test_simulated_blob_calls_use_blob_gas(rpc: Client) -> None:
    """The case of execution-apis (ethSimulate-blobs): hashes, overridden fees and headers, with validation."""
    first = {"blockOverrides": {"baseFeePerGas": "0xf", "blobBaseFee": "0x0"}, "stateOverrides": ACCOUNTS}
    second = {"blockOverrides": {"blobBaseFee": "0x3"}}
    blocks = simulate(
        rpc, *({**one, "calls": [BLOB_CALL]} for one in (first, second)), validation=True, returnFullTransactions=True
    )
    for block, fee, nonce in zip(blocks, (0, 3), ("0x0", "0x1"), strict=True):
        assert (block["blobGasUsed"], block["excessBlobGas"]) == ("0x20000", "0x0")
        assert (block["calls"][0]["status"], block["calls"][0]["returnData"]) == ("0x1", f"{EMPTY}{fee:064x}")
        (transaction,) = block["transactions"]
        assert (transaction["type"], transaction["nonce"], transaction["maxFeePerBlobGas"]) == ("0x3", nonce, "0xa")
        assert (transaction["blobVersionedHashes"], transaction["from"], transaction["r"]) == ([EMPTY], CALLER, "0x0")
    assert [block["baseFeePerGas"] for block in blocks] == ["0xf", "0xe"]


def test_excess_blob_gas_grows_from_block_to_block(rpc: Client) -> None:
    """Cancun: a block of six blobs leaves an excess of three; an empty one removes three (EIP-4844)."""
    full = {**BLOB_CALL, "blobVersionedHashes": [EMPTY] * 6}
    blocks = simulate(rpc, {"stateOverrides": ACCOUNTS, "calls": [full]}, {"calls": [full]}, {}, {})
    assert [int(block["blobGasUsed"], 16) >> 17 for block in blocks] == [6, 6, 0, 0]
    assert [int(block["excessBlobGas"], 16) >> 17 for block in blocks] == [0, 3, 6, 3]


def test_simulated_transactions_pay_the_blob_fee(rpc: Client) -> None:
    balance = f"0x73{CALLER[2:]}315f5260205ff3"
    other = "0x" + "c3" * 20
    (block,) = simulate(
        rpc,
        {
            "blockOverrides": {"baseFeePerGas": "0x0", "blobBaseFee": "0x3"},
            "stateOverrides": {**ACCOUNTS, other: {"code": balance}},
            "calls": [{**BLOB_CALL, "maxFeePerGas": "0x0"}, {"from": ALICE, "to": other}],
        },
        validation=True,
    )
    assert int(block["calls"][1]["returnData"], 16) == 10**18 - 3 * (1 << 17)


@pytest.mark.parametrize(
    ("changes", "validation", "code", "words"),
    [
        ({"maxFeePerBlobGas": "0x2"}, True, -38012, "max fee per blob gas less than block blob gas fee: .* 2, .* 3"),
        ({"maxFeePerBlobGas": "0x2"}, False, -38012, "max fee per blob gas less than block blob gas fee: .* 2, .* 3"),
        ({"blobVersionedHashes": [EMPTY] * 7}, False, -38015, "block blob gas limit reached: 917504 > 786432"),
        ({"maxFeePerBlobGas": hex(10**18)}, False, -38014, "insufficient funds"),
        ({"maxFeePerBlobGas": hex(1 << 256)}, False, -32602, "maxFeePerBlobGas"),
    ],
)
def test_invalid_simulated_blob_calls_are_refused(
    rpc: Client, changes: dict[str, Any], validation: bool, code: int, words: str
) -> None:
    block = {"blockOverrides": {"blobBaseFee": "0x3", "baseFeePerGas": "0x1"}, "stateOverrides": ACCOUNTS}
    with refusal(code, words):
        simulate(rpc, {**block, "calls": [{**BLOB_CALL, **changes}]}, validation=validation)


def test_calls_see_an_overridden_blob_base_fee(rpc: Client) -> None:
    request = {"from": ALICE, "to": TARGET, "blobVersionedHashes": [EMPTY], "maxFeePerBlobGas": "0xa"}
    override = {"blobBaseFee": "0x7"}
    assert rpc("eth_call", request, "latest", ACCOUNTS, override) == EMPTY + "7".zfill(64)
    assert rpc("eth_call", request, "latest", ACCOUNTS) == EMPTY + "1".zfill(64)
    with pytest.raises(Failed, match=r"max fee per blob gas less than block blob gas fee: .* 10, blobBaseFee 11"):
        rpc("eth_call", request, "latest", ACCOUNTS, {"blobBaseFee": "0xb"})


def test_filecoin_refuses_simulated_blobs_and_their_fee() -> None:
    with Network(clock=Clock()) as network:
        rpc = Client(Node(network))
        with pytest.raises(Failed, match="type 3, a Filecoin message cannot hold blobs"):
            simulate(rpc, {"calls": [BLOB_CALL]})
        for method, params in (
            ("eth_call", [{"to": ALICE}, "latest", {}, {"blobBaseFee": "0x1"}]),
            ("eth_simulateV1", [{"blockStateCalls": [{"blockOverrides": {"blobBaseFee": "0x1"}}]}, "latest"]),
        ):
            with pytest.raises(Failed, match="blobBaseFee: Filecoin blocks have no such field to override"):
                rpc(method, *params)


@pytest.mark.parametrize("method", ["eth_sendTransaction", "eth_signTransaction", "eth_fillTransaction"])
def test_the_node_signs_no_blob_transactions(rpc: Client, method: str) -> None:
    request = {"from": ALICE, "to": BOB, "gas": "0x5208", "blobVersionedHashes": [EMPTY]}
    for sidecar_fields in ({}, {"blobs": ["0x00"], "commitments": ["0x00"], "proofs": []}):
        with pytest.raises(
            Failed, match="or sign type 3 transactions; sign the transaction in the client, and send it with"
        ):
            rpc(method, request | sidecar_fields)
    with pytest.raises(Failed, match="a transaction of type 2 has no blobs"):
        rpc(method, {**request, "type": "0x2"})


def test_pending_blobs_are_shown(rpc: Client) -> None:
    rpc("evm_setAutomine", False)
    sent = send(rpc, 1)
    waiting = rpc("eth_getTransactionByHash", sent)
    assert (waiting["blockNumber"], waiting["blobVersionedHashes"]) == (None, [EMPTY])
    assert rpc("eth_getBlockByNumber", "pending", False)["blobGasUsed"] == "0x20000"
    assert rpc("anvil_getBlobsByTransactionHash", sent) is None, "as in anvil, until a block holds them"


def test_filecoins_rules_refuse_blobs() -> None:
    with Network(clock=Clock()) as network:
        rpc = Client(Node(network))
        raw = zeros(network.accounts[0], chain_id=network.chain_id)
        with pytest.raises(Failed, match="type 3, a Filecoin message cannot hold blobs; expected type 0, 1 or 2"):
            rpc("eth_sendRawTransaction", f"0x{raw.hex()}")
        with pytest.raises(Failed, match="type 3, a Filecoin message cannot hold blobs"):
            rpc("eth_call", {"from": ALICE, "to": BOB, "blobVersionedHashes": [EMPTY]}, "latest")
        assert rpc("anvil_getBlobByHash", EMPTY) is None


def test_proofs_are_verified_off_the_chains_thread(rpc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    node, places, at = rpc.node, list[str](), list[str]()
    verify = admission.verify_blobs

    def recorded(*given: Any) -> Any:
        places.append(at[-1])
        return verify(*given)

    async def on_chain(run: Callable[[], Any]) -> Any:
        at.append("chain")
        return run()

    async def run_query(run: Callable[[NodeReader], Any], _: QueryKind) -> Any:
        at.append("reader")
        return run(node)

    monkeypatch.setattr(admission, "verify_blobs", recorded)
    dispatcher = Dispatcher(node, on_chain, run_query)
    account = node.network.accounts[0]
    raws = [zeros(account, 1, BLOB_PROOFS, nonce=nonce).hex() for nonce in range(3)]
    requests = [f'{{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x{raw}"]}}' for raw in raws]
    for body in (requests[0], f"[{requests[1]},{requests[2]}]"):
        assert b"error" not in asyncio.run(dispatcher.dispatch(body.encode()))
    assert places == ["reader"] * 3
    assert node.network.block_number == 3
