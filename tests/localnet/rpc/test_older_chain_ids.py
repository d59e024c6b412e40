"""The chain ID of a transaction is that of its block: its bytes and hash are found after `anvil_setChainId`, too.

The signed bytes come from eth_account, so the node's output is compared with independent bytes.
"""

from pathlib import Path
from typing import Any

import pytest
from eth_account import Account as EthAccount

from localnet import Network
from localnet.rpc.node import Node
from tests.localnet.conftest import Clock
from tests.localnet.rpc.asking import ALICE_KEY
from tests.localnet.rpc.conftest import Client

GWEI = 10**9
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
