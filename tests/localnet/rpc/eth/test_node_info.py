"""Fee suggestions under Ethereum's rules, compared with recorded responses of anvil 1.7.1.

cast takes the median reward of the last ten blocks as its tip, or 1 wei if all are 0, so its users pay the same as on
anvil only if the rewards equal anvil's.
"""

from pathlib import Path
from typing import Any

import pytest
from eth_account import Account as EthAccount

from localnet import Network
from localnet.rpc.eth import node_info
from localnet.rpc.node import Node
from tests.localnet.conftest import Clock
from tests.localnet.rpc.asking import ALICE, ALICE_KEY, BOB
from tests.localnet.rpc.conftest import Client, client_fixture

GWEI = 10**9
USUAL = hex(GWEI)


rpc = client_fixture(lambda: Network(clock=Clock(), rules="ethereum"))


def paid(rpc: Client, tip: int) -> int:
    """Return the price of a transaction with this tip."""
    fees = {"maxPriorityFeePerGas": hex(tip), "maxFeePerGas": hex(20 * GWEI)}
    sent = rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x1", "gas": "0x5208", **fees})
    return int(rpc("eth_getTransactionReceipt", sent)["effectiveGasPrice"], 16)


def test_three_cast_transactions_cost_same_as_on_anvil(rpc: Client) -> None:
    assert [paid(rpc, 1) for _ in range(3)] == [1_000_000_001, 875_175_001, 765_931_282]
    history = rpc("eth_feeHistory", "0x5", "latest", [0, 20, 100])
    assert history["baseFeePerGas"] == ["0x3b9aca00", "0x3b9aca00", "0x342a1c58", "0x2da72f11", "0x27f454c5"]
    assert history["reward"] == [["0x0"] * 3, *[["0x1"] * 3] * 3]
    assert (rpc("eth_maxPriorityFeePerGas"), rpc("eth_gasPrice")) == (USUAL, "0x638f1ec5")


def test_smallest_tip_of_newest_block_is_proposed_if_higher(rpc: Client) -> None:
    for _ in range(3):
        paid(rpc, 1)
    assert paid(rpc, 5 * GWEI) == 5_670_323_909
    assert (rpc("eth_maxPriorityFeePerGas"), rpc("eth_gasPrice")) == ("0x12a05f200", "0x14cfd8668")
    rpc("evm_mine")
    assert (rpc("eth_maxPriorityFeePerGas"), rpc("eth_gasPrice")) == (USUAL, "0x5a336bdb")
    assert rpc("eth_feeHistory", "0x3", "latest", [20])["reward"] == [["0x1"], ["0x12a05f200"], ["0x0"]]
    assert paid(rpc, 0) == 513_319_387
    assert rpc("eth_feeHistory", "0x2", "latest", [0, 100])["reward"] == [["0x0"] * 2] * 2
    assert rpc("eth_maxPriorityFeePerGas") == USUAL


def test_an_empty_block_takes_the_proposal_back(rpc: Client) -> None:
    paid(rpc, 5 * GWEI)
    paid(rpc, 7 * GWEI)
    assert rpc("eth_maxPriorityFeePerGas") == "0x1a13b8600"
    rpc("evm_mine")
    assert rpc("eth_maxPriorityFeePerGas") == USUAL


@pytest.mark.parametrize(("hardfork", "base_fee"), [("shanghai", USUAL), ("berlin", "0x0"), ("frontier", "0x0")])
def test_fee_history_before_cancun_has_blob_fees_of_zero(hardfork: str, base_fee: str) -> None:
    """Values of go-ethereum's `processBlock` for headers without excess blob gas."""
    with Network(clock=Clock(), rules="ethereum", hardfork=hardfork) as network:
        assert Client(Node(network))("eth_feeHistory", "0x3", "latest", [20]) == {
            "oldestBlock": "0x0", "baseFeePerGas": [base_fee] * 2, "gasUsedRatio": [0.0], "reward": [["0x0"]],
            "baseFeePerBlobGas": ["0x0"] * 2, "blobGasUsedRatio": [0.0],
        }  # fmt: skip


GAS = [(100, 350), (200, 100), (300, 0), (600, 500), (700, 300)]


@pytest.mark.parametrize(
    ("counts_own", "expected"),
    [
        (False, [200, 700, 700, 700]),  # Lotus' TestRewardPercentiles (node/impl/eth/reward_test.go)
        (True, [100, 600, 600, 700]),  # go-ethereum's processBlock (eth/gasprice/feehistory.go)
    ],
)
def test_reward_percentiles_follow_the_rules_node(counts_own: bool, expected: list[int]) -> None:
    assert [node_info.at_percentile(GAS, 1250, share, counts_own=counts_own) for share in (25, 50, 75, 100)] == expected
    # half of 3 is 1 gas in both
    assert node_info.at_percentile([(1, 1), (2, 2)], 3, 50, counts_own=counts_own) == (1 if counts_own else 2)


SHAPES: dict[str, dict[str, Any]] = {
    "dynamic fee": {"type": 2, "chainId": 31337, "maxFeePerGas": 3 * GWEI, "maxPriorityFeePerGas": GWEI},
    "access list": {"type": 1, "chainId": 31337, "gasPrice": 3 * GWEI},
    "legacy": {"chainId": 31337, "gasPrice": 3 * GWEI},
    "before EIP-155": {"gasPrice": 3 * GWEI},
}


def signed(shape: str) -> tuple[str, str]:
    """Return hash and bytes of a first transaction."""
    fields = {"to": "0x" + "22" * 20, "value": 1, "gas": 21_000, "nonce": 0, **SHAPES[shape]}
    made = EthAccount.sign_transaction(fields, ALICE_KEY)
    return f"0x{made.hash.hex()}", f"0x{made.raw_transaction.hex()}"


def answers(rpc: Client, sent: str, message: dict[str, str]) -> list[Any]:
    """Return everything that depends on the chain ID of a transaction of the first block."""
    return [
        rpc("eth_getRawTransactionByHash", sent),
        rpc("eth_getRawTransactionByBlockNumberAndIndex", "0x1", "0x0"),
        rpc("debug_getRawTransactions", "0x1"),
        rpc("eth_getTransactionByHash", sent),
        rpc("eth_getBlockByNumber", "0x1", True),
        rpc("Filecoin.EthGetTransactionHashByCid", message),
        rpc("Filecoin.StateSearchMsg", [], message, -1, True),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_transactions_of_another_chain_id_are_found_as_signed(tmp_path: Path, shape: str) -> None:
    sent, raw = signed(shape)
    with Network(tmp_path / "chain", clock=Clock(), rules="ethereum") as network:
        rpc = Client(Node(network))
        assert rpc("eth_sendRawTransaction", raw) == sent
        message = rpc("Filecoin.EthGetMessageCidByTransactionHash", sent)
        before = answers(rpc, sent, message)
        assert before[:3] == [raw, raw, [raw]]
        assert (before[5], before[6]["Height"]) == (sent, 1)
        for chain_id in (77, 78):
            rpc("anvil_setChainId", chain_id)
            rpc("evm_mine")
        assert answers(rpc, sent, message) == before
    with Network(tmp_path / "chain", clock=Clock()) as network:
        rpc = Client(Node(network))
        assert rpc("eth_chainId") == hex(78)
        assert answers(rpc, sent, message) == before
