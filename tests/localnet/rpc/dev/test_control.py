"""Block settings under Ethereum's rules: effect from the next block, storage in the folder, and revert.

anvil's results are the same for coinbase, gas limit and chain ID, also in calls at the head; a revert keeps its chain
ID.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account as EthAccount

from hypervisor.errors import InvalidInput
from localnet import Network
from localnet.rpc.node import Node
from tests.localnet.conftest import Clock
from tests.localnet.rpc.asking import ALICE, ALICE_KEY, BOB, NOBODY
from tests.localnet.rpc.conftest import Client, Failed, refusal

GWEI = 10**9
READER = "0x" + "cc" * 20
READER_CODE = "0x415f52456020524660405244606052" + "60805ff3"
"""Code that returns COINBASE, GASLIMIT, CHAINID and PREVRANDAO, a word each."""
ANY = "0x" + "5a" * 32


@pytest.fixture
def rpc() -> Iterator[Client]:
    with Network(clock=Clock(), rules="ethereum") as network:
        yield prepared(network)


def prepared(network: Network) -> Client:
    client = Client(Node(network))
    client("anvil_setCode", READER, READER_CODE)
    return client


def block_values(rpc: Client) -> list[int]:
    """Return coinbase, gas limit, chain ID and randomness as seen by a contract."""
    found = rpc("eth_call", {"to": READER})
    return [int(found[2 + 64 * place : 66 + 64 * place], 16) for place in range(4)]


def latest(rpc: Client) -> dict[str, Any]:
    found: dict[str, Any] = rpc("eth_getBlockByNumber", "latest", False)
    return found


def test_a_coinbase_gets_the_tips_from_the_next_block_on(rpc: Client) -> None:
    before = latest(rpc)
    assert rpc("anvil_setCoinbase", NOBODY) is None
    assert rpc("eth_coinbase") == NOBODY
    assert latest(rpc) == before
    rpc("eth_sendTransaction", {"from": ALICE, "to": BOB})
    assert latest(rpc)["miner"] == NOBODY
    assert int(rpc("eth_getBalance", NOBODY), 16) == 21_000 * GWEI
    assert block_values(rpc)[0] == int(NOBODY, 16)


def test_block_takes_transactions_up_to_its_gas_limit(rpc: Client) -> None:
    assert rpc("evm_setBlockGasLimit", hex(50_000)) is True
    assert latest(rpc)["gasLimit"] == hex(30_000_000)
    rpc("evm_setAutomine", False)
    for _ in range(3):
        rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "gas": hex(21_000)})
    blocks = rpc("evm_mine_detailed", {"blocks": 2})
    assert [len(block["transactions"]) for block in blocks] == [2, 1]
    assert {block["gasLimit"] for block in blocks} == {hex(50_000)}
    assert block_values(rpc)[1] == 50_000
    with pytest.raises(Failed, match="exceeds block gas limit"):
        rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "gas": hex(50_001)})
    # EIP-1559 by hand: 42,000 used of a target of 25,000; then 21,000.
    fees = [int(block["baseFeePerGas"], 16) for block in blocks]
    assert fees[1] == fees[0] + fees[0] * 17_000 // 25_000 // 8
    assert rpc("eth_feeHistory", 2, "latest", [])["gasUsedRatio"] == [0.84, 0.42]
    for wrong in (0, 4_999, 1 << 63):
        with pytest.raises(Failed, match="block gas limit"):
            rpc("anvil_setBlockGasLimit", hex(wrong))


def test_randomness_is_of_the_next_block_only(rpc: Client) -> None:
    usual = block_values(rpc)[3]
    assert rpc("hardhat_setPrevRandao", ANY) is None
    assert block_values(rpc)[3] == usual
    rpc("evm_mine")
    assert (latest(rpc)["mixHash"], block_values(rpc)[3]) == (ANY, int(ANY, 16))
    rpc("evm_mine")
    assert latest(rpc)["mixHash"] != ANY
    assert block_values(rpc)[3] == int(latest(rpc)["mixHash"], 16)
    with pytest.raises(Failed, match="is not a valid hash"):
        rpc("anvil_setNextBlockPrevRandao", "0x01")


def test_traced_transaction_sees_its_block_prevrandao(rpc: Client) -> None:
    rpc("anvil_setCode", NOBODY, "0x445f5500")  # PREVRANDAO into slot 0
    rpc("anvil_setNextBlockPrevRandao", ANY)
    sent = rpc("eth_sendTransaction", {"from": ALICE, "to": NOBODY, "gas": "0x186a0"})
    assert rpc("eth_getStorageAt", NOBODY, "0x0", "latest") == ANY
    rpc("evm_mine")
    changed = rpc("debug_traceTransaction", sent, {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}})
    assert changed["post"][NOBODY]["storage"] == {"0x" + "00" * 32: ANY}


def test_transaction_below_minimum_gas_price_is_rejected(rpc: Client) -> None:
    least = 50 * GWEI
    assert rpc("anvil_setMinGasPrice", hex(least)) is None
    assert rpc("eth_gasPrice") == hex(least)
    for fee in ({"gasPrice": hex(least - 1)}, {"maxFeePerGas": hex(least - 1)}):
        with pytest.raises(Failed, match="transaction underpriced: fee cap 49999999999, the node takes at least"):
            rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, **fee})
    for fee in ({}, {"gasPrice": hex(least)}, {"type": "0x0"}):
        sent = rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, **fee})
        assert rpc("eth_getTransactionReceipt", sent)["status"] == "0x1"


@pytest.mark.slow
def test_client_fee_caps_from_suggestions_reach_min_gas_price(rpc: Client) -> None:
    """The fee caps follow the rules of alloy (cast, forge), ethers, viem and web3.py, after cheaper blocks."""
    for _ in range(12):
        rpc("eth_sendTransaction", {"from": ALICE, "to": BOB})
    least = 3 * GWEI
    rpc("anvil_setMinGasPrice", hex(least))
    for _ in range(12):
        history = rpc("eth_feeHistory", 10, "latest", [20.0])
        rewards = sorted(int(reward, 16) for (reward,) in history["reward"])
        alloy = sorted(filter(None, rewards))[len(rewards) // 2]
        of_latest, premium = int(latest(rpc)["baseFeePerGas"], 16), int(rpc("eth_maxPriorityFeePerGas"), 16)
        assert int(rpc("eth_gasPrice"), 16) == int(rpc("eth_baseFee"), 16) + premium >= least
        for cap, tip in (
            (2 * of_latest + alloy, alloy),  # alloy and ethers double the newest base fee
            (2 * of_latest + premium, premium),
            (of_latest * 12 // 10 + premium, premium),  # viem
        ):
            assert cap >= least
            fees = {"maxFeePerGas": hex(cap), "maxPriorityFeePerGas": hex(tip)}
            sent = rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, **fees})
            assert int(rpc("eth_getTransactionReceipt", sent)["status"], 16) == 1
    assert rpc.node.network.send(BOB, 1).succeeded


def signed(chain_id: int | None, nonce: int) -> str:
    fields = {"to": EthAccount.from_key(ALICE_KEY).address, "value": 1, "gas": 21_000, "nonce": nonce}
    fields |= {"gasPrice": 3 * GWEI} if chain_id is None else {"gasPrice": 3 * GWEI, "chainId": chain_id}
    return f"0x{EthAccount.sign_transaction(fields, ALICE_KEY).raw_transaction.hex()}"


def test_a_chain_id_is_for_signatures_and_contracts(rpc: Client, caplog: pytest.LogCaptureFixture) -> None:
    old = rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "gasPrice": hex(3 * GWEI)})
    before = rpc("eth_getTransactionByHash", old)
    rpc("anvil_impersonateAccount", NOBODY)
    rpc("anvil_setBalance", NOBODY, hex(10**18))
    impersonated = rpc("eth_sendTransaction", {"from": NOBODY, "to": BOB})
    rpc("evm_setAutomine", False)
    waiting, kept = (rpc("eth_sendRawTransaction", signed(*of)) for of in ((31337, 2), (None, 1)))
    unsigned = rpc("eth_sendTransaction", {"from": NOBODY, "to": BOB})
    with caplog.at_level(logging.WARNING):
        assert rpc("anvil_setChainId", 77) is None
    assert "is signed for chain id 31337, the chain id is 77 now" in caplog.text
    assert (rpc("eth_chainId"), rpc("net_version"), block_values(rpc)[2]) == ("0x4d", "77", 77)
    assert rpc("eth_getTransactionByHash", waiting) is None
    rpc("evm_mine")
    assert [rpc("eth_getTransactionReceipt", hash_)["status"] for hash_ in (kept, unsigned)] == ["0x1", "0x1"]
    rpc("evm_setAutomine", True)
    with pytest.raises(Failed, match="invalid chain id for signer: have 31337, this network is 77"):
        rpc("eth_sendRawTransaction", signed(31337, 2))
    found = rpc("eth_getTransactionReceipt", rpc("eth_sendRawTransaction", signed(77, 2)))
    assert (found["status"], rpc("eth_getTransactionByHash", found["transactionHash"])["chainId"]) == ("0x1", "0x4d")
    assert rpc("eth_getTransactionByHash", old) == before, "what was signed for the old id is shown with it"
    assert rpc("eth_getTransactionByHash", impersonated)["chainId"] == hex(31337)
    assert rpc("debug_traceTransaction", old, {"tracer": "callTracer"})["type"] == "CALL"
    for wrong in (0, 1 << 53):
        with pytest.raises(Failed, match="a chain id"):
            rpc("anvil_setChainId", hex(wrong))


SETTERS = {
    "anvil_setCoinbase": NOBODY,
    "evm_setBlockGasLimit": hex(20_000_000),
    "anvil_setChainId": hex(77),
    "anvil_setMinGasPrice": hex(50 * GWEI),
    "hardhat_setPrevRandao": ANY,
}


def state(rpc: Client) -> list[Any]:
    """Return all settings; for randomness, the block that has it."""
    rpc("evm_mine")
    return [rpc("eth_coinbase"), block_values(rpc), rpc("eth_chainId"), rpc("eth_gasPrice"), latest(rpc)["mixHash"]]


def test_a_revert_takes_all_of_it_back(rpc: Client) -> None:
    snapshot = rpc("evm_snapshot")
    before = state(rpc)
    rpc("evm_revert", snapshot)
    snapshot = rpc("evm_snapshot")
    for method, value in SETTERS.items():
        rpc(method, value)
    assert all(one != other for one, other in zip(before, state(rpc), strict=True))
    rpc("evm_revert", snapshot)
    assert state(rpc) == before


@pytest.mark.slow
def test_block_hash_covers_next_block_settings(rpc: Client) -> None:
    """Check that equal settings after one snapshot give equal block hashes, and different ones different hashes."""

    def made(*setter: str) -> list[str]:
        snapshot, time = rpc("evm_snapshot"), int(latest(rpc)["timestamp"], 16) + 7
        if setter:
            rpc(*setter)
        rpc("evm_setNextBlockTimestamp", hex(time))
        rpc("evm_mine")
        first = latest(rpc)
        rpc("evm_setNextBlockTimestamp", hex(time + 1))
        rpc("evm_mine")
        found = [first["hash"], latest(rpc)["hash"]]
        assert rpc("eth_getBlockByHash", first["hash"], False) == first
        assert rpc("Filecoin.ChainHead")["Blocks"][0]["ElectionProof"]["WinCount"] == 1
        assert rpc("evm_revert", snapshot) is True
        return found

    usual = made()
    assert made() == usual
    others = [made(method, value) for method, value in SETTERS.items()]
    assert made("anvil_setChainId", hex(31337)) == usual
    firsts = [usual[0], *(other[0] for other in others)]
    assert len(set(firsts)) == len(firsts)
    assert made("anvil_setCoinbase", NOBODY) == others[0]


@pytest.mark.slow
def test_all_of_it_survives_a_restart(tmp_path: Path) -> None:
    with Network(tmp_path / "chain", clock=Clock(), rules="ethereum") as network:
        rpc = prepared(network)
        rpc("evm_mine")
        for method, value in SETTERS.items():
            rpc(method, value)
    with Network(tmp_path / "chain", clock=Clock()) as network:
        rpc = Client(Node(network))
        assert rpc("eth_chainId") == "0x4d"
        found = state(rpc)
        assert (found[0], found[1][0:3], found[3], found[4]) == (
            NOBODY, [int(NOBODY, 16), 20_000_000, 77], hex(50 * GWEI), ANY,
        )  # fmt: skip
        rpc("anvil_rollback", 2)
        assert (rpc("eth_chainId"), rpc("eth_coinbase")) == (hex(31337), "0x" + "00" * 20)


def test_a_new_beginning_is_without_it(rpc: Client) -> None:
    rpc("anvil_setCoinbase", NOBODY)  # of the first block
    rpc("anvil_reset")
    assert rpc("eth_coinbase") == "0x" + "00" * 20


@pytest.mark.slow
def test_node_gas_limit_applies_where_no_other_is_set(tmp_path: Path) -> None:
    """It applies after a reset, below the node's first block, and on re-execution."""
    with Network(tmp_path / "chain", clock=Clock(), rules="ethereum") as network:
        rpc = prepared(network)
        rpc("anvil_setBlockGasLimit", hex(6_000_000))
        rpc("evm_mine")
    with Network(tmp_path / "chain", clock=Clock()) as network:
        rpc = Client(Node(network))
        network.set_default_block_gas_limit(5_000_000)
        assert block_values(rpc)[1] == 5_000_000
        snapshot = rpc("evm_snapshot")
        rpc("evm_setBlockGasLimit", hex(20_000_000))
        rpc("evm_mine")
        assert latest(rpc)["gasLimit"] == hex(20_000_000)
        for method, given in (("evm_revert", snapshot), ("anvil_reset", None)):
            rpc(method, given)
            rpc("anvil_setCode", READER, READER_CODE)  # a reset forgets it
            assert block_values(rpc)[1] == 5_000_000
            assert rpc("eth_getBlockByNumber", "pending", False)["gasLimit"] == hex(5_000_000)
            rpc("evm_mine")
            assert latest(rpc)["gasLimit"] == hex(5_000_000)
        rpc("anvil_setCode", NOBODY, "0x455f5500")  # GASLIMIT into slot 0
        sent = rpc("eth_sendTransaction", {"from": ALICE, "to": NOBODY, "gas": "0x186a0"})
    with Network(tmp_path / "chain", clock=Clock()) as network:
        rpc = Client(Node(network))
        found = rpc("debug_traceTransaction", sent, {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}})
        assert found["post"][NOBODY]["storage"] == {"0x" + "00" * 32: f"0x{5_000_000:064x}"}
        rpc("evm_mine")
        assert latest(rpc)["gasLimit"] == hex(30_000_000), "an option is the node's that was started with it"


@pytest.mark.slow
def test_the_gas_limit_of_a_network_is_its_first_blocks_too(tmp_path: Path) -> None:
    with Network(tmp_path / "chain", clock=Clock(), rules="ethereum", gas_limit=12_000_000) as network:
        rpc = Client(Node(network))
        rpc("evm_mine")
        blocks = [rpc("eth_getBlockByNumber", number, False) for number in ("0x0", "0x1", "pending")]
        assert [block["gasLimit"] for block in blocks] == [hex(12_000_000)] * 3
        rpc("evm_setBlockGasLimit", hex(20_000_000))
        rpc("evm_mine")
    with Network(tmp_path / "chain", clock=Clock(), gas_limit=13_000_000) as network:
        rpc = Client(Node(network))
        rpc("evm_mine")
        blocks = [rpc("eth_getBlockByNumber", number, False) for number in ("0x0", "0x2", "0x3")]
        assert [block["gasLimit"] for block in blocks] == [hex(12_000_000), hex(20_000_000), hex(13_000_000)]
    for wrong in (4_999, 1 << 63, 1.5):
        with pytest.raises(InvalidInput, match="cannot be a block gas limit"):
            Network(clock=Clock(), rules="ethereum", gas_limit=wrong)
    with pytest.raises(InvalidInput, match="always 10,000,000,000; omit the option"):
        Network(clock=Clock(), gas_limit=12_000_000)


def test_filecoins_blocks_have_none_of_it() -> None:
    with Network(clock=Clock()) as network:
        rpc = Client(Node(network))
        for method, value in SETTERS.items():
            with refusal(-32004):
                rpc(method, value)


@pytest.mark.parametrize("owner", [NOBODY, BOB])
def test_storage_is_set_where_no_code_is(rpc: Client, owner: str) -> None:
    """Check against anvil: the address has the word, and the account is otherwise unchanged."""
    rpc("anvil_setBalance", owner, hex(10**18))
    rpc("anvil_setNonce", owner, "0x5")
    assert rpc("anvil_setStorageAt", owner, "0x7", ANY) is True
    assert rpc("eth_getStorageAt", owner, "0x7") == ANY
    assert (rpc("eth_getCode", owner), rpc("eth_getTransactionCount", owner)) == ("0x", "0x5")
    rpc("anvil_impersonateAccount", owner)
    receipt = rpc("eth_getTransactionReceipt", rpc("eth_sendTransaction", {"from": owner, "to": ALICE, "value": "0x1"}))
    assert (receipt["status"], receipt["gasUsed"]) == ("0x1", "0x5208")
    assert (rpc("eth_getTransactionCount", owner), rpc("eth_getStorageAt", owner, "0x7")) == ("0x6", ANY)
    rpc("anvil_setCode", owner, "0x60075460005260206000f3")  # the code finds the word
    assert rpc("eth_call", {"to": owner}) == ANY
    assert rpc("eth_getTransactionCount", owner) == "0x6"


def test_built_in_actors_have_no_storage(rpc: Client) -> None:
    with pytest.raises(Failed, match="has no storage"):
        rpc("anvil_setStorageAt", "0xff00000000000000000000000000000000000001", "0x0", ANY)
