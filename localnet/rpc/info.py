"""Methods about the node: names, versions and accounts."""

from __future__ import annotations

from typing import Any, Final

from bridge.ethereum.addresses import ZERO_ADDRESS
from localnet.rpc.methods import Method
from localnet.rpc.node import Node
from localnet.rpc.values import as_data, as_quantity, data
from store.keccak import keccak

MODULES: Final = (
    "anvil", "debug", "erigon", "eth", "evm", "hardhat", "hypervisor", "net", "ots", "personal", "rpc", "tenderly",
    "trace", "txpool", "web3",
)  # fmt: skip


def chain_id(node: Node) -> str:
    """Return the chain ID, which transactions are signed for."""
    return as_quantity(node.point.chain_id)


def net_version(node: Node) -> str:
    """Return the chain ID in decimal."""
    return str(node.point.chain_id)


def listening(node: Node) -> bool:
    """Return true."""
    return True


def peer_count(node: Node) -> str:
    """Return 0: the network is this node."""
    return "0x0"


def syncing(node: Node) -> bool:
    """Return false: the node makes the chain itself."""
    return False


def client_version(node: Node) -> str:
    """Return this program and its version, after the name of the node whose control methods it has.

    Hardhat's network helpers work with nodes that begin with a name they know, and refuse the others.
    """
    return f"anvil/compatible {node.client_version}"


def sha3(node: Node, content: bytes) -> str:
    """Return the Keccak-256 hash of the bytes."""
    return as_data(keccak(content))


def protocol_version(node: Node) -> str:
    """Return the Filecoin network version."""
    return as_quantity(node.point.version)


def accounts(node: Node) -> list[str]:
    """Return the addresses whose keys the node has, and the impersonated ones."""
    known = node.unlocked
    return [as_data(address) for address in (*known, *sorted(node.impersonated.difference(known)))]


def coinbase(node: Node) -> str:
    """Return the recipient of tips under Ethereum's rules, otherwise the zero address."""
    return as_data(node.network.head.next_settings.coinbase or ZERO_ADDRESS)


def mining(node: Node) -> bool:
    """Return false: Filecoin has no proof of work."""
    return False


def hashrate(node: Node) -> str:
    """Return 0: Filecoin has no proof of work."""
    return as_quantity(0)


def modules(node: Node) -> dict[str, str]:
    """Return the prefixes of the methods, each with a version."""
    return dict.fromkeys(MODULES, "1.0")


def capabilities(node: Node) -> dict[str, Any]:
    """Return the head, and the range of available blocks; `stateproofs`, a trie's, are disabled (see eth_getProof).

    Blocks are available from the first one, states from the oldest retained one. The schema has no field for a reason.
    """
    index = node.network.chain.index
    head = {"number": as_quantity(node.network.block_number), "hash": as_data(node.network.head.hash)}
    everything = {"disabled": False, "oldestBlock": as_quantity(index.first)}
    states = {"disabled": False, "oldestBlock": as_quantity(max(index.first, index.retained))}
    kinds = dict.fromkeys(("tx", "logs", "receipts", "blocks"), everything)
    return {"head": head, "state": states, **kinds, "stateproofs": {"disabled": True}}


METHODS = (
    Method("eth_chainId", (), chain_id, inline=True),
    Method("eth_accounts", (), accounts, inline=True, aliases=("eth_requestAccounts",)),
    Method("eth_coinbase", (), coinbase, inline=True),
    Method("eth_mining", (), mining, inline=True),
    Method("eth_hashrate", (), hashrate, inline=True),
    Method("eth_capabilities", (), capabilities),
    Method("eth_syncing", (), syncing, inline=True),
    Method("eth_protocolVersion", (), protocol_version, inline=True),
    Method("net_version", (), net_version, inline=True, aliases=("eth_networkId",)),
    Method("rpc_modules", (), modules, inline=True),
    Method("net_listening", (), listening, inline=True),
    Method("net_peerCount", (), peer_count, inline=True),
    Method("web3_clientVersion", (), client_version, inline=True),
    Method("web3_sha3", (data,), sha3, inline=True),
)
