"""Methods about the node (names, versions, accounts), the fork of Ethereum in use, and the price of gas.

Prices are in attoFIL per unit of gas as the network's rules count it. Names and shape of eth_config: EIP-7910; fork id:
EIP-2124, EIP-6122.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any, Final

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress
from bridge.ethereum.block import BLOCK_HASHES
from bridge.ethereum.transactions import GAS_PER_BLOB
from localnet.chain.reading import tips_of
from localnet.ledger.records import Tipset, TransactionReceipt
from localnet.rpc.blocks_and_null_rounds import BlockRef, number_or_tag, resolve
from localnet.rpc.errors import NOT_SUPPORTED, RpcError, invalid_params
from localnet.rpc.eth.blocks import is_pending
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.refused import REASONS
from localnet.rpc.values import as_data, as_quantity, data, list_of, number
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


MAX_HISTORY = 1_024
"""Maximum number of blocks in a response of `eth_feeHistory`."""
MAX_PERCENTILES = 100


def gas_price(node: NodeReader) -> str:
    """Return the suggested gas price: the next base fee and the premium of `eth_maxPriorityFeePerGas`."""
    node.require_small_read(len(node.network.head.transactions))
    return as_quantity(node.network.gas_price)


def max_priority_fee(node: NodeReader) -> str:
    """Return the suggested premium; under Ethereum's rules the newest block's smallest tip, at least the minimum."""
    node.require_small_read(len(node.network.head.transactions))
    return as_quantity(node.network.suggested_premium)


def base_fee(node: Node) -> str:
    """Return the base fee of the next block."""
    return as_quantity(node.network.base_fee)


def fee_history(
    node: NodeReader, count: int, newest: BlockRef, percentiles: list[float] | None = None
) -> dict[str, Any]:
    """Return base fees, gas ratios and premiums (by percentile of gas) of up to 1,024 blocks up to the newest one.

    Premiums are at least the current minimum (`anvil_setMinGasPrice`), because clients propose these values. Under
    Ethereum's rules, other block counts have geth's results: none for 0, and 1,024 blocks for more. Before Cancun the
    blob fees and ratios are 0, as in geth (go-ethereum eth/gasprice/feehistory.go).
    """
    blobs = node.network.rules.blobs
    if blobs is None and count > MAX_HISTORY:
        raise invalid_params(f"block count {count} is not between 0 and {MAX_HISTORY}")
    if blobs is not None and not count:
        return {"oldestBlock": "0x0", "gasUsedRatio": None}
    _check_percentiles(percentiles or [], may_repeat=blobs is None)
    pending = node.pending_block() if is_pending(node, newest) else None
    last = resolve(node.network, newest, or_older=True) if pending is None else pending.tipset
    tipsets = _back_from(node, last, min(count, MAX_HISTORY)) if count else []
    history: dict[str, Any] = {
        "oldestBlock": as_quantity(tipsets[0].height if tipsets else 1),
        "baseFeePerGas": [as_quantity(fee) for fee in (*(t.base_fee for t in tipsets), last.next_base_fee)],
        "gasUsedRatio": [tipset.gas_used / node.network.rules.settings.gas_limit_of(tipset) for tipset in tipsets],
    }
    if blobs is not None:
        settings = [*(tipset.settings for tipset in tipsets), tipsets[-1].next_settings]
        limit = blobs.maximum * GAS_PER_BLOB
        blob_fees = [blobs.base_fee(one.excess_blob_gas) if limit else 0 for one in settings]
        history["baseFeePerBlobGas"] = [*map(as_quantity, blob_fees)]
        history["blobGasUsedRatio"] = [tipset.blob_gas_used / limit if limit else 0.0 for tipset in tipsets]
    if percentiles is not None and (percentiles or blobs is None):  # geth omits empty rewards
        receipts = [*map(node.network.chain.index.receipts, tipsets if pending is None else tipsets[:-1])]
        receipts += [] if pending is None else [iter(pending.receipts())]
        history["reward"] = [_rewards(node, *each, percentiles) for each in zip(tipsets, receipts, strict=True)]
    return history


def percentile(value: Any) -> float:
    """Read a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid_params(f"percentile {value!r} is not a number")
    return float(value)


def _check_percentiles(wanted: list[float], *, may_repeat: bool) -> None:
    """Raise RpcError for percentiles that are not between 0 and 100 or do not ascend."""
    for each in wanted:
        if not 0 <= each <= 100:
            raise invalid_params(f"percentile {each:g} is not between 0 and 100")
    if sorted(wanted if may_repeat else set(wanted)) != wanted:
        raise invalid_params(f"percentiles must ascend{'' if may_repeat else ', without equal ones'}")


def _back_from(node: NodeReader, newest: Tipset, count: int) -> list[Tipset]:
    """Return up to `count` tipsets ending with `newest`, oldest first; null rounds do not count."""
    tipsets = [newest]
    while len(tipsets) < count and tipsets[-1].parent >= 0:
        tipsets.append(node.network.chain.index.tipset(tipsets[-1].parent))
    return tipsets[::-1]


def _rewards(
    node: NodeReader, tipset: Tipset, receipts: Iterable[TransactionReceipt], wanted: list[float]
) -> list[str]:
    """Return the premium at each percentile of the tipset's gas; the rules' default if the tipset has no message."""
    paid, rules = tips_of(receipts), node.network.rules.fees
    if not paid:
        found: list[int] = [rules.empty_reward] * len(wanted)
    else:
        found = [
            at_percentile(paid, tipset.gas_used, share, counts_own=rules.reward_counts_own_gas) for share in wanted
        ]
    return [as_quantity(max(premium, node.network.min_premium)) for premium in found]


def at_percentile(paid: list[tuple[int, int]], total: int, share: float, *, counts_own: bool) -> int:
    """Return the first premium, of (premium, gas) in ascending order, by which a share of the total gas is reached.

    The gas of the messages before it is counted, and its own with `counts_own` (`Fees.reward_counts_own_gas`).
    """
    threshold, passed = int(total * share / 100), 0
    for premium, gas in paid:
        if passed + (gas if counts_own else 0) >= threshold:
            return premium
        passed += gas
    return paid[-1][0]


_NAMES: Final = (
    "ECREC", "SHA256", "RIPEMD160", "ID", "MODEXP", "BN254_ADD", "BN254_MUL", "BN254_PAIRING", "BLAKE2F",
    "KZG_POINT_EVALUATION", "BLS12_G1ADD", "BLS12_G1MSM", "BLS12_G2ADD", "BLS12_G2MSM", "BLS12_PAIRING_CHECK",
    "BLS12_MAP_FP_TO_G1", "BLS12_MAP_FP2_TO_G2",
)  # fmt: skip
"""Names of the precompiles from 0x01 on."""

PRECOMPILES: Final = {
    EthAddress(number.to_bytes(20, "big")): name for number, name in [*enumerate(_NAMES, 1), (0x100, "P256VERIFY")]
}


def config(node: Node) -> dict[str, Any]:
    """Return the fork, active from the first block on, with its precompiles and system contracts.

    A fork that may still change has the field `draft`, with the date of the specification that it follows.
    """
    network = node.network
    facts = network.rules.settings.fork_facts(network.machine)
    if facts is None:
        raise RpcError(NOT_SUPPORTED, REASONS["eth_config"])
    genesis = network.chain.index.tipset(network.chain.index.first)
    table = network.machine.context.precompiles
    names = PRECOMPILES | {EthAddress(at): row.name for at, row in ({} if table is None else table.by_address).items()}
    current = {
        "activationTime": 0,
        "blobSchedule": {
            "baseFeeUpdateFraction": facts.blob_update_fraction,
            "max": facts.blob_maximum,
            "target": facts.blob_target,
        }
        if facts.blob_maximum
        else None,
        "chainId": as_quantity(network.chain_id),
        "forkId": as_data(zlib.crc32(genesis.hash).to_bytes(4, "big")),
        "precompiles": {names[at]: as_data(at) for at in sorted(facts.precompiles)},
        "systemContracts": {"HISTORY_STORAGE_ADDRESS": as_data(BLOCK_HASHES)} if facts.keeps_block_hashes else {},
    }
    if facts.draft:
        current["draft"] = facts.draft
    return {"current": current, "next": None, "last": None}


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
    Method("eth_gasPrice", (), gas_price, reads=True, short=True),
    Method("eth_maxPriorityFeePerGas", (), max_priority_fee, reads=True, short=True),
    Method("eth_baseFee", (), base_fee, inline=True),
    Method(
        "eth_feeHistory",
        (number, number_or_tag, optional(list_of(percentile, MAX_PERCENTILES))),
        fee_history,
        reads=True,
    ),
    Method("eth_config", (), config),
)
