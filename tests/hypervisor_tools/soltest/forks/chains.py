"""The two small networks that the tests fork: a contract, and transactions, alone and several in a block.

The same transactions are sent to any node of Ethereum's rules with anvil's accounts: to anvil, and to this project's.
"""

from time import monotonic, sleep
from typing import Any, Final

from localnet.fork.node_client import NodeClient
from tests.patience import slowness

DEV: Final = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
COUNTER: Final = "0x5fbdb2315678afecb367f032d93f642f64180aa3"
SET: Final = "60fe47b1"
BUMP: Final = "68110b2f"


def build(url: str, creation: str, number: int, gas: int = 1_000_000) -> list[str]:
    """Make blocks 1 to 7; return the hashes of the three transactions of block 6. `gas` is the limit of each."""
    with NodeClient(url) as node:
        numbered = [f"0x{SET}{number:064x}", f"0x{SET}{number * 10:064x}", f"0x{BUMP}", f"0x{BUMP}"]
        _wait_for(node, [_send(node, {"data": creation, "value": "0x5"}, 0, gas)])
        for nonce, data in enumerate(numbered, start=1):
            _wait_for(node, [_send(node, {"to": COUNTER, "data": data}, nonce, gas)])
        node.request("evm_setAutomine", False)
        hashes = [_send(node, {"to": COUNTER, "data": f"0x{BUMP}"}, nonce, gas) for nonce in (5, 6, 7)]
        node.request("evm_mine")
        node.request("evm_setAutomine", True)
        _wait_for(node, [*hashes, _send(node, {"to": COUNTER, "data": f"0x{BUMP}"}, 8, gas)])
        assert node.request("eth_blockNumber") == "0x7"
        return hashes


def environment(first: str, hashes: list[str], second: str) -> dict[str, str]:
    """Return the environment that the tests' contracts read."""
    with NodeClient(first) as node:
        block: dict[str, Any] = node.request("eth_getBlockByNumber", "0x6", False)
    return {"FIRST_URL": first, "SECOND_URL": second, "TX1": hashes[0], "TX2": hashes[2], "HASH6": block["hash"]}


def _send(node: NodeClient, what: dict[str, str], nonce: int, gas: int) -> str:
    sent: str = node.request("eth_sendTransaction", {"from": DEV, "gas": hex(gas), "nonce": hex(nonce), **what})
    return sent


def _wait_for(node: NodeClient, hashes: list[str]) -> None:
    """Wait for transactions: anvil responds before it makes the block."""
    end = monotonic() + 30 * slowness()
    while not all(node.request("eth_getTransactionReceipt", sent) for sent in hashes):
        assert monotonic() < end, f"not all of {', '.join(hashes)} are in a block"
        sleep(0.01)
