"""Methods of development nodes that control blocks: mining, time, snapshots, reorganisations and block settings.

Names and parameters are anvil's; aliases are the names that other nodes use. `hardhat_mine`, `hardhat_reset` and
`hardhat_dropTransaction` are methods of their own, with the results of Hardhat's own network. A reorganisation replaces
the newest blocks by others, and subscribers are notified. Methods about blobs of transactions return null for an
unknown blob.

Properties of the next blocks under Ethereum's rules are stored with the chain, and evm_revert reverts them. Under
Filecoin's rules they are refused with code -32004 (EIP-1474).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress
from bridge.ethereum.transactions import BLOB, DYNAMIC_FEE
from localnet.chain.clock import check_time
from localnet.fork.forking import ForkSource
from localnet.fork.node_client import FORK_REQUESTS
from localnet.fork.urls import redacted_url
from localnet.rpc.blocks_and_null_rounds import LATEST, BlockRef, block
from localnet.rpc.errors import LIMIT_EXCEEDED, NOT_SUPPORTED, RpcError, invalid_params
from localnet.rpc.eth.transactions import send_raw_transaction, send_transaction
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import FORK_QUERY_TIME, Node, NodeReader, new_instance
from localnet.rpc.refused import REASONS
from localnet.rpc.requests import TransactionRequest, transaction
from localnet.rpc.shapes import block_json
from localnet.rpc.values import (
    address,
    any_value,
    as_data,
    as_quantity,
    boolean,
    data,
    field,
    fields,
    hash32,
    list_of,
    number,
    text,
)
from localnet.traces.failed_call import call_trace
from localnet.traces.trace import epoch_trace
from localnet.traces.trace import trace as trace_receipt


def snapshot(node: Node) -> str:
    """Take a snapshot of the chain; return its number for evm_revert."""
    return as_quantity(node.network.snapshot())


def revert(node: Node, snapshot_id: int) -> bool:
    """Revert to a snapshot, and remove it and all later ones; return false if it does not exist."""
    return node.network.revert(snapshot_id)


def mine_one(node: Node, options: Any = None) -> str:
    """Mine a block of the pending transactions, optionally at a given time; with {blocks, timestamp}, several."""
    if isinstance(options, dict):
        request = fields(options, "options")
        timestamp, blocks = field(request, "timestamp", number), field(request, "blocks", number)
    else:
        timestamp, blocks = (None if options is None else number(options)), None
    if timestamp is not None:
        node.network.set_next_timestamp(timestamp)
    mine(node, 1 if blocks is None else blocks)
    return "0x0"


def mine(node: Node, blocks: int = 1, interval: int = 0) -> None:
    """Mine N blocks; with an interval, the clock advances by that many seconds before each."""
    step = max(1, interval, node.network.block_interval or 0)
    _check_blocks(node, blocks, interval + (blocks - 1) * step)
    for _ in range(blocks):
        node.network.increase_time(interval)
        node.network.mine()


def hardhat_mine(node: Node, blocks: int = 1, interval: int = 1) -> bool:
    """Mine N blocks like evm_mine; each but the first is the interval in seconds later than the one before it."""
    step = max(1, interval)
    _check_blocks(node, blocks, (blocks - 1) * step)
    for index in range(blocks):
        if index:
            node.network.set_next_timestamp(node.network.head.timestamp + step)
        node.network.mine()
    return True


def mine_after_null_rounds(node: Node, null_rounds: int) -> str:
    """Mine a block after a number of null rounds, each with its cron; return the height."""
    _check_count(node, null_rounds)
    return as_quantity(node.network.mine(null_rounds=null_rounds).height)


def increase_time(node: Node, seconds: int) -> int:
    """Advance the clock by a number of seconds; return the total offset."""
    return node.network.increase_time(seconds)


def set_next_block_timestamp(node: Node, timestamp: int) -> None:
    """Set the next block's time in Unix seconds."""
    node.network.set_next_timestamp(timestamp)


def set_time(node: Node, timestamp: int) -> int:
    """Set the current time in Unix seconds; return the seconds by which the clock moved forward.

    As in anvil, a number above 10^12 is in milliseconds, which Ganache's clients send.
    """
    return node.network.set_time(timestamp // 1_000 if timestamp > 10**12 else timestamp)


def set_block_timestamp_interval(node: Node, seconds: int) -> None:
    """Set the number of seconds between a block's time and its parent's."""
    node.network.set_block_interval(seconds)


def remove_block_timestamp_interval(node: Node) -> bool:
    """Remove the fixed block interval: blocks use the clock's time again."""
    node.network.set_block_interval(None)
    return True


def set_next_block_base_fee_per_gas(node: Node, base_fee: int) -> None:
    """Set the next block's base fee in attoFIL per gas; error -32602 in forks without one, as in anvil."""
    if DYNAMIC_FEE not in node.network.rules.features.transaction_types:
        raise invalid_params("blocks before London have no base fee (EIP-1559)")
    node.network.set_next_base_fee(base_fee)


def set_automine(node: Node, on: bool) -> None:
    """Set whether each transaction is mined at once."""
    node.network.automine = on


def set_interval_mining(node: Node, seconds: int) -> None:
    """Mine a block of the pending transactions every N seconds instead of for each transaction; 0 stops this."""
    node.interval.set(seconds)
    if seconds:
        node.network.automine = False


def get_interval_mining(node: Node) -> int | None:
    """Return the interval of timed blocks in seconds; null if there are none."""
    return round(node.interval.seconds) or None


def get_automine(node: Node) -> bool:
    """Return true if each transaction is mined at once."""
    return node.network.automine


def mine_detailed(node: Node, options: Any = None) -> list[dict[str, Any]]:
    """Mine like evm_mine and return the new blocks with full transactions."""
    before = node.network.block_number
    mine_one(node, options)
    index, rules = node.network.chain.index, node.network.rules
    heights = range(before + 1, node.network.block_number + 1)
    return [block_json(index, node.network.block(height), rules, full=True) for height in heights]


def rollback(node: Node, depth: int = 1) -> None:
    """Remove the newest `depth` blocks and all pending transactions."""
    height = node.network.head.height
    above = height - node.network.chain.index.first
    if depth > above:
        raise invalid_params(f"depth: the chain has {above} blocks above the first, not {depth}")
    _go_back(node, height - depth)


def reset(node: Node, options: Any = None) -> None:
    """Restart the chain at the current time, as a fork of {forking: {jsonRpcUrl, blockNumber}} or from the genesis.

    Under Filecoin's rules, the chain returns to its first block, or to the fork's.
    """
    asked = {} if options is None else fields(options, "options")
    stays_local = not asked and node.network.chain.origin is None  # Hardhat's `{}` of a node that is no fork
    node.network.reset(None if options is None or stays_local else _fork_source(node, asked))
    node.filters.restart()
    if node.network.chain.history is not None:
        node.limits = replace(node.limits, query=max(node.limits.query, FORK_QUERY_TIME))
    node.impersonated.clear()
    node.impersonates_all = False
    node.instance = new_instance()


def hardhat_reset(node: Node, options: Any = None) -> bool:
    """Restart the chain like anvil_reset, and mine transactions as at the node's start."""
    reset(node, options)
    node.network.automine, seconds = node.initial_mining
    node.interval.set(seconds)
    return True


def _fork_source(node: Node, options: dict[str, Any]) -> ForkSource:
    """Return the fork that `anvil_reset` names; omitted parts are those of the current fork."""
    request = options.get("forking")
    forking = {} if request is None else fields(request, "forking")
    url, block = field(forking, "jsonRpcUrl", text), field(forking, "blockNumber", number)
    origin = node.network.chain.origin
    if url is None and origin is None:
        raise invalid_params("forking: this node is not a fork, so jsonRpcUrl is required")
    requests = FORK_REQUESTS if origin is None else origin.options
    if url is None and origin is not None:
        url = origin.point.url
    assert url is not None
    return ForkSource(url, block, options=requests)


def drop_transaction(node: Node, transaction_hash: bytes) -> str | None:
    """Remove a pending transaction; return its hash, or null if it is not pending."""
    candidate = node.network.mempool.get(transaction_hash)
    if candidate is None:
        return None
    node.network.mempool.drop(candidate)
    return as_data(transaction_hash)


def hardhat_drop_transaction(node: Node, transaction_hash: bytes) -> bool:
    """Remove a pending transaction; return false if it is unknown. It is an error if a block contains it."""
    if node.network.chain.index.receipt(transaction_hash) is not None:
        raise invalid_params(f"transaction {as_data(transaction_hash)} cannot be dropped: a block contains it")
    return drop_transaction(node, transaction_hash) is not None


def drop_all_transactions(node: Node) -> None:
    """Remove all pending transactions."""
    for candidate in list(node.network.mempool):
        node.network.mempool.drop(candidate)


def remove_pool_transactions(node: Node, sender: EthAddress) -> None:
    """Remove all pending transactions of a sender."""
    for candidate in [candidate for candidate in node.network.mempool if candidate.sender == sender]:
        node.network.mempool.drop(candidate)


def node_info(node: Node) -> dict[str, Any]:
    """Return head, fees, limits, and the overlay of the network versions, if there is one (anvil has none)."""
    head, rules, origin = node.network.head, node.network.rules, node.network.chain.origin
    overlay = node.network.overlay
    return {
        "currentBlockNumber": as_quantity(head.height),
        "currentBlockTimestamp": head.timestamp,
        "currentBlockHash": as_data(head.hash),
        "hardFork": rules.hardfork or f"nv{node.network.version}",
        "transactionOrder": "fees",
        "environment": {
            "baseFee": as_quantity(node.network.base_fee),
            "chainId": node.network.chain_id,
            "gasLimit": as_quantity(rules.limits.block_gas),
            "gasPrice": as_quantity(node.network.gas_price),
        },
        "forkConfig": {
            "forkUrl": None if origin is None else redacted_url(origin.point.url) or None,
            "forkBlockNumber": None if origin is None else origin.point.height,
            "forkRetryBackoff": None if origin is None else round(origin.options.backoff * 1000),
        },
        **({} if overlay is None else {"overlay": {"name": overlay.name, "digest": overlay.digest}}),
    }


def rules_name(node: Node) -> str:
    """Return the name of the network's rules, with the active labs."""
    return node.network.rules.name


def genesis_time(node: Node) -> int:
    """Return the first block's time, in Unix seconds."""
    index = node.network.chain.index
    return index.tipset(index.first).timestamp


def set_logging_enabled(node: Node, on: bool) -> None:
    """Enable or disable the node's console output; with --silent it stays disabled."""
    if node.console is not None:
        node.console.enabled = on


def metadata(node: Node) -> dict[str, Any]:
    """Return the node's version, and the head of its chain."""
    head, origin = node.network.head, node.network.chain.origin
    first = node.network.chain.index.first
    return {
        "clientVersion": node.client_version,
        "chainId": node.network.chain_id,
        "instanceId": f"0x{node.instance}",
        "latestBlockNumber": head.height,
        "latestBlockHash": as_data(head.hash),
        "forkedNetwork": None
        if origin is None
        else {
            "chainId": origin.point.chain_id,
            "forkBlockNumber": first,
            "forkBlockHash": as_data(node.network.block(first).hash),
        },
    }


def trace(node: NodeReader, transaction_hash: bytes) -> dict[str, Any]:
    """Return a transaction's call tree across both runtimes, by re-executing it; also of a reward or cron."""
    return trace_receipt(node.network.chain, node.network.executed(transaction_hash)).as_json()


def profile(node: NodeReader, transaction_hash: bytes) -> dict[str, Any]:
    """Return a transaction's gas and time by function of native actors, and by syscall."""
    from localnet.traces.guest_profile import guest_profile

    return guest_profile(node.network.chain, node.network.receipt(transaction_hash)).as_json()


def trace_call(node: NodeReader, request: TransactionRequest, at: BlockRef = LATEST) -> dict[str, Any]:
    """Return a call's call tree across both runtimes, without changing the state."""
    return call_trace(node.machine_at(at), request.call(ZERO_ADDRESS, node.network))


def trace_epoch(node: NodeReader, height: int) -> dict[str, Any]:
    """Return the call tree after the messages of an epoch: the block's reward and cron, with their events."""
    return epoch_trace(node.network.chain, node.network.executed_at(height)).as_json()


def _go_back(node: Node, height: int) -> None:
    """Make the tipset at a height, or the one before it, the head again."""
    tipset = node.network.chain.index.tipset_before(height)
    assert tipset is not None, "a chain has a first tipset"
    node.network.go_back(tipset)


def _check_count(node: Node, count: int) -> None:
    if count > node.limits.mined:
        raise RpcError(LIMIT_EXCEEDED, f"{count} epochs in one request, at most {node.limits.mined}")


def _check_blocks(node: Node, count: int, seconds: int) -> None:
    """Check a request for blocks before any is mined; the last one is up to `seconds` after the next."""
    _check_count(node, count)
    if count:
        check_time(node.network.next_timestamp + seconds)


MAX_TRANSACTIONS = 1_000

Sent = tuple[TransactionRequest | bytes, int]


def pair(value: Any) -> Sent:
    """Read a transaction (an object, or signed bytes), and the number of its block among the new ones."""
    if not isinstance(value, list) or len(value) != 2:
        raise invalid_params("expected pairs of a transaction and the number of its block among the new ones")
    request, index = value
    return data(request) if isinstance(request, str) else transaction(request), number(index)


def reorganise(node: Node, depth: int, transactions: list[Sent] | None = None) -> None:
    """Replace the newest blocks by others with the given transactions, one second later.

    A transaction is an object as for eth_sendTransaction, or signed bytes, with the number of its block, starting at 0.
    Pending transactions are dropped, as by anvil_rollback. If a transaction is rejected, the blocks before its block
    remain.
    """
    wanted, height = transactions or [], node.network.head.height
    if depth > node.limits.mined:
        raise RpcError(LIMIT_EXCEEDED, f"{depth} epochs in one request, at most {node.limits.mined}")
    if any(index >= depth for _, index in wanted):
        raise invalid_params(f"transactions: the new blocks have the numbers 0 to {depth - 1}")
    node.network.increase_time(1)  # empty blocks with the same time would be identical to the old ones
    rollback(node, depth)
    automine, node.network.automine = node.network.automine, False
    try:
        for index in range(height - node.network.head.height):
            for request, block in wanted:
                if block == index:
                    send_raw_transaction(node, request) if isinstance(request, bytes) else send_transaction(
                        node, request
                    )
            node.network.mine()
    finally:
        node.network.automine = automine


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


def get_blob_by_hash(node: NodeReader, versioned_hash: bytes) -> str | None:
    """Return the blob with a versioned hash. Null under Filecoin's rules."""
    blob = node.network.chain.index.blob(versioned_hash)
    return None if blob is None else as_data(blob)


def get_blobs_by_transaction_hash(node: NodeReader, transaction_hash: bytes) -> list[str] | None:
    """Return the blobs of a transaction in a block. Null under Filecoin's rules."""
    receipt = node.network.find_receipt(transaction_hash)
    if receipt is None or receipt.candidate.kind != BLOB:
        return None
    signed = receipt.candidate.transaction
    found = [] if signed is None else [*map(node.network.chain.index.blob, signed.transaction.blob_hashes)]
    return [as_data(blob) for blob in found if blob is not None]


METHODS = (
    Method("evm_snapshot", (), snapshot, aliases=("anvil_snapshot",)),
    Method("evm_revert", (number,), revert, aliases=("anvil_revert",)),
    Method("evm_mine", (optional(any_value),), mine_one),
    Method("anvil_mine", (optional(number), optional(number)), mine),
    Method("hardhat_mine", (optional(number), optional(number)), hardhat_mine),
    Method("evm_increaseTime", (number,), increase_time, aliases=("anvil_increaseTime",)),
    Method("evm_setNextBlockTimestamp", (number,), set_next_block_timestamp, aliases=("anvil_setNextBlockTimestamp",)),
    Method("evm_setAutomine", (boolean,), set_automine, aliases=("anvil_setAutomine",)),
    Method("evm_setIntervalMining", (number,), set_interval_mining, aliases=("anvil_setIntervalMining",)),
    Method("anvil_getIntervalMining", (), get_interval_mining),
    Method("anvil_getAutomine", (), get_automine, aliases=("hardhat_getAutomine",)),
    Method("evm_setTime", (number,), set_time, aliases=("anvil_setTime",)),
    Method("anvil_setBlockTimestampInterval", (number,), set_block_timestamp_interval),
    Method("anvil_removeBlockTimestampInterval", (), remove_block_timestamp_interval),
    Method(
        "anvil_setNextBlockBaseFeePerGas",
        (number,),
        set_next_block_base_fee_per_gas,
        aliases=("hardhat_setNextBlockBaseFeePerGas",),
    ),
    Method("evm_mine_detailed", (optional(any_value),), mine_detailed, aliases=("anvil_mine_detailed",)),
    Method("anvil_rollback", (optional(number),), rollback),
    Method("anvil_reset", (optional(any_value),), reset),
    Method("hardhat_reset", (optional(any_value),), hardhat_reset),
    Method("anvil_dropTransaction", (hash32,), drop_transaction),
    Method("hardhat_dropTransaction", (hash32,), hardhat_drop_transaction),
    Method("anvil_dropAllTransactions", (), drop_all_transactions, aliases=("hardhat_dropAllTransactions",)),
    Method("anvil_removePoolTransactions", (address,), remove_pool_transactions),
    Method("anvil_getGenesisTime", (), genesis_time),
    Method("anvil_setLoggingEnabled", (boolean,), set_logging_enabled, aliases=("hardhat_setLoggingEnabled",)),
    Method("anvil_nodeInfo", (), node_info),
    Method("anvil_metadata", (), metadata, aliases=("hardhat_metadata",)),
    Method("hypervisor_rules", (), rules_name),
    Method("hypervisor_mineAfterNullRounds", (number,), mine_after_null_rounds),
    Method("hypervisor_trace", (hash32,), trace, reads=True, traces=True),
    Method("hypervisor_profile", (hash32,), profile, reads=True, traces=True),
    Method("hypervisor_traceCall", (transaction, optional(block)), trace_call, reads=True, traces=True),
    Method("hypervisor_traceEpoch", (number,), trace_epoch, reads=True, traces=True),
    Method("anvil_reorg", (number, optional(list_of(pair, MAX_TRANSACTIONS))), reorganise),
    Method("anvil_setCoinbase", (address,), set_coinbase, aliases=("hardhat_setCoinbase",)),
    Method("evm_setBlockGasLimit", (number,), set_block_gas_limit, aliases=("anvil_setBlockGasLimit",)),
    Method("anvil_setMinGasPrice", (number,), set_min_gas_price, aliases=("hardhat_setMinGasPrice",)),
    Method("hardhat_setPrevRandao", (hash32,), set_prev_randao, aliases=("anvil_setNextBlockPrevRandao",)),
    Method("anvil_setChainId", (number,), set_chain_id),
    Method("anvil_getBlobByHash", (hash32,), get_blob_by_hash, reads=True),
    Method("anvil_getBlobsByTransactionHash", (hash32,), get_blobs_by_transaction_hash, reads=True),
)
