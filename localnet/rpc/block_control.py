"""Methods that set properties of the next blocks under Ethereum's rules.

The settings are stored with the chain, and evm_revert reverts them. Under Filecoin's rules they are refused with code
-32004 (EIP-1474).
"""

from __future__ import annotations

from bridge.ethereum.addresses import EthAddress
from localnet.rpc.errors import NOT_SUPPORTED, RpcError
from localnet.rpc.methods import Method
from localnet.rpc.node import Node
from localnet.rpc.refused import REASONS
from localnet.rpc.values import address, hash32, number


def _check(node: Node, name: str) -> None:
    if not node.network.rules.features.has_settings:
        raise RpcError(NOT_SUPPORTED, REASONS[name])


def set_coinbase(node: Node, owner: EthAddress) -> None:
    """Set the recipient of block tips. Under Ethereum's rules."""
    _check(node, "anvil_setCoinbase")
    node.network.set_coinbase(owner)


def set_block_gas_limit(node: Node, limit: int) -> bool:
    """Set the gas limit of blocks, at least 5,000. Under Ethereum's rules."""
    _check(node, "evm_setBlockGasLimit")
    node.network.set_block_gas_limit(limit)
    return True


def set_min_gas_price(node: Node, price: int) -> None:
    """Set the minimum fee cap of transactions in attoFIL per gas, besides the base fee. Under Ethereum's rules."""
    _check(node, "anvil_setMinGasPrice")
    node.network.set_min_gas_price(price)


def set_prev_randao(node: Node, randomness: bytes) -> None:
    """Set the randomness of the next block, 32 bytes. Under Ethereum's rules."""
    _check(node, "hardhat_setPrevRandao")
    node.network.set_next_randomness(randomness)


def set_chain_id(node: Node, chain_id: int) -> None:
    """Set the chain ID; pending transactions signed for another one are dropped. Under Ethereum's rules."""
    _check(node, "anvil_setChainId")
    node.network.set_chain_id(chain_id)


METHODS = (
    Method("anvil_setCoinbase", (address,), set_coinbase, aliases=("hardhat_setCoinbase",)),
    Method("evm_setBlockGasLimit", (number,), set_block_gas_limit, aliases=("anvil_setBlockGasLimit",)),
    Method("anvil_setMinGasPrice", (number,), set_min_gas_price, aliases=("hardhat_setMinGasPrice",)),
    Method("hardhat_setPrevRandao", (hash32,), set_prev_randao, aliases=("anvil_setNextBlockPrevRandao",)),
    Method("anvil_setChainId", (number,), set_chain_id),
)
