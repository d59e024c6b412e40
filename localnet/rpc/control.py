"""Methods that a development network has: snapshots, mining, time, balances; under the names of other nodes too."""

from __future__ import annotations

from typing import Any

from bridge.addresses import EthAddress, to_filecoin
from localnet.rpc.errors import LIMIT_EXCEEDED, RpcError
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node
from localnet.rpc.values import address, anything, as_data, as_quantity, boolean, field, fields, hash32, number, text


def snapshot(node: Node) -> str:
    """Remember the chain; the number for evm_revert."""
    return as_quantity(node.network.snapshot())


def revert(node: Node, snapshot_id: int) -> bool:
    """Go back to a snapshot, which is used up with all after it; false where there is none."""
    reverted = node.network.revert(snapshot_id)
    node.filters.go_back(node.network.block_number)
    return reverted


def mine_one(node: Node, options: Any = None) -> str:
    """Make a block of what waits, at a time where one is given; with {blocks, timestamp}, several."""
    if isinstance(options, dict):
        given = fields(options, "options")
        timestamp, blocks = field(given, "timestamp", number), field(given, "blocks", number)
    else:
        timestamp, blocks = (None if options is None else number(options)), None
    if timestamp is not None:
        node.network.set_next_timestamp(timestamp)
    mine(node, 1 if blocks is None else blocks)
    return "0x0"


def mine(node: Node, blocks: int = 1, interval: int = 1) -> None:
    """Make so many blocks, so many seconds apart."""
    _check_count(node, blocks)
    for place in range(blocks):
        if place and interval > 1:
            node.network.set_next_timestamp(node.network.head.timestamp + interval)
        node.network.mine()


def mine_after_null_rounds(node: Node, null_rounds: int) -> str:
    """Make a block after so many null rounds, each with its cron; the block's height."""
    _check_count(node, null_rounds)
    return as_quantity(node.network.mine(null_rounds=null_rounds).height)


def increase_time(node: Node, seconds: int) -> int:
    """Let the clock run ahead by so many seconds more; the whole offset."""
    return node.network.increase_time(seconds)


def set_next_block_timestamp(node: Node, timestamp: int) -> None:
    """The next block's time in Unix seconds."""
    node.network.set_next_timestamp(timestamp)


def set_automine(node: Node, on: bool) -> bool:
    """Whether each transaction gets a block at once."""
    node.network.automine = on
    return True


def get_automine(node: Node) -> bool:
    """Whether each transaction gets a block at once."""
    return node.network.automine


def set_balance(node: Node, owner: EthAddress, amount: int) -> bool:
    """Give an address another balance, in attoFIL."""
    node.network.set_balance(to_filecoin(owner), amount)
    return True


def trace(node: Node, transaction_hash: bytes) -> dict[str, Any]:
    """The tree of all calls of a transaction, in both runtimes, by executing it again."""
    return node.network.trace(transaction_hash).as_json()


def filecoin_address(node: Node, owner: EthAddress) -> str:  # noqa: ARG001
    """The Filecoin address behind an Ethereum one."""
    return str(to_filecoin(owner))


def ethereum_address(node: Node, owner: str, tag: str = "finalized") -> str:  # noqa: ARG001
    """The Ethereum address of a Filecoin one: f410 where the actor has it, else the masked ID."""
    return as_data(node.network.address(owner))


def _check_count(node: Node, count: int) -> None:
    if count > node.limits.mined:
        raise RpcError(LIMIT_EXCEEDED, f"{count} epochs in one request, at most {node.limits.mined}")


METHODS = (
    Method("evm_snapshot", (), snapshot, aliases=("anvil_snapshot",)),
    Method("evm_revert", (number,), revert, aliases=("anvil_revert",)),
    Method("evm_mine", (optional(anything),), mine_one),
    Method("anvil_mine", (optional(number), optional(number)), mine, aliases=("hardhat_mine",)),
    Method("evm_increaseTime", (number,), increase_time, aliases=("anvil_increaseTime",)),
    Method("evm_setNextBlockTimestamp", (number,), set_next_block_timestamp, aliases=("anvil_setNextBlockTimestamp",)),
    Method("evm_setAutomine", (boolean,), set_automine, aliases=("anvil_setAutomine",)),
    Method("anvil_getAutomine", (), get_automine, aliases=("hardhat_getAutomine",)),
    Method("anvil_setBalance", (address, number), set_balance, aliases=("hardhat_setBalance",)),
    Method("hypervisor_mineAfterNullRounds", (number,), mine_after_null_rounds),
    Method("hypervisor_trace", (hash32,), trace),
    Method("Filecoin.EthAddressToFilecoinAddress", (address,), filecoin_address, inline=True),
    Method("Filecoin.FilecoinAddressToEthAddress", (text, optional(text)), ethereum_address),
)
