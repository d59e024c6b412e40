"""The two small networks that the tests fork: a contract, and some transactions, alone and several in a block.

The same transactions are sent to any node of Ethereum's rules with anvil's accounts: to anvil, and to this project's.
"""

from __future__ import annotations

from typing import Any, Final

from localnet.fork.node_client import NodeClient

DEV: Final = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
COUNTER: Final = "0x5fbdb2315678afecb367f032d93f642f64180aa3"
SET: Final = "60fe47b1"
BUMP: Final = "68110b2f"


def build(url: str, creation: str, number: int) -> list[str]:
    """Blocks 1 to 7; the hashes of the three transactions of block 6."""
    with NodeClient(url) as node:
        _send(node, {"data": creation, "value": "0x5"}, 0)
        _send(node, {"to": COUNTER, "data": f"0x{SET}{number:064x}"}, 1)
        _send(node, {"to": COUNTER, "data": f"0x{SET}{number * 10:064x}"}, 2)
        _send(node, {"to": COUNTER, "data": f"0x{BUMP}"}, 3)
        _send(node, {"to": COUNTER, "data": f"0x{BUMP}"}, 4)
        node.ask("evm_setAutomine", False)
        hashes = [_send(node, {"to": COUNTER, "data": f"0x{BUMP}"}, nonce) for nonce in (5, 6, 7)]
        node.ask("evm_mine")
        node.ask("evm_setAutomine", True)
        _send(node, {"to": COUNTER, "data": f"0x{BUMP}"}, 8)
        assert node.ask("eth_blockNumber") == "0x7"
        return hashes


def environment(first: str, hashes: list[str], second: str) -> dict[str, str]:
    """What the tests' contracts ask of their environment."""
    with NodeClient(first) as node:
        block: dict[str, Any] = node.ask("eth_getBlockByNumber", "0x6", False)
    return {"FIRST_URL": first, "SECOND_URL": second, "TX1": hashes[0], "TX2": hashes[2], "HASH6": block["hash"]}


def _send(node: NodeClient, what: dict[str, str], nonce: int) -> str:
    sent: str = node.ask("eth_sendTransaction", {"from": DEV, "gas": "0xf4240", "nonce": hex(nonce), **what})
    return sent
