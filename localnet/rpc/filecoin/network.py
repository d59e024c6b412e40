"""Filecoin's methods about the network, the node and the power table, and Lotus's variants of Ethereum's methods.

Network parameters are name, minimum power and upgrade epochs. Fields: lotus api/types.go, `NetworkParams`, including
the upgrade height of version 29.

Fast finality (F3) takes its participants from the power table by expected consensus. It follows from the state, so it
is available without F3, as in Forest. The other methods of F3 are refused (`localnet.rpc.refused`). Rules and shape:
Forest `rpc/methods/f3.rs`, `GetPowerTable`.
"""

from __future__ import annotations

import time
from itertools import count
from typing import Any, Final

from hypervisor.bundles.bundle_library import release_of
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address, Protocol
from hypervisor.types import decode_bigint
from hypervisor.versions.network_versions import NETWORK_VERSIONS, NetworkVersion, versions_after, versions_between
from hypervisor.versions.overlay import Overlay
from localnet.ledger.upgrades import Upgrades
from localnet.rpc.blocks_and_null_rounds import FINAL_DEPTH, BlockRef, block, find
from localnet.rpc.errors import LOTUS_ERROR, RpcError
from localnet.rpc.eth.blocks import get_block_receipts
from localnet.rpc.eth.transactions import get_transaction_by_hash, get_transaction_receipt
from localnet.rpc.filecoin.messages import is_older
from localnet.rpc.filecoin.miners import miner_of, power_claims
from localnet.rpc.filecoin.state import machine_at, read_linked, state_account_key, state_fields
from localnet.rpc.lotus_values import HEAD, TipsetKey, bytes_json, epoch, found_tipset, tipset, tipset_json
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.values import boolean, hash32

API_VERSION: Final = 0x020300
"""API version 2.3.0, which Lotus clients of the v1 API expect."""

BLOCK_DELAY: Final = 30
"""Seconds between epochs on the network."""

_SYNC_COMPLETE: Final = 4
_NO_TIME: Final = "0001-01-01T00:00:00Z"
"""Go's zero time."""


def version(node: Node) -> dict[str, Any]:
    """Return this program's version, the version of the API (2.3.0), and the seconds between epochs on the network."""
    return {"Version": node.client_version, "APIVersion": API_VERSION, "BlockDelay": BLOCK_DELAY}


def node_status(node: Node, with_chain: bool) -> dict[str, Any]:
    """Return the head's height and its age in epochs, and with the chain its blocks per tipset from height 901 on.

    There are no peers.
    """
    head = node.network.head
    per_tipset = int(with_chain and head.height > FINAL_DEPTH)
    return {
        "SyncStatus": {"Epoch": head.height, "Behind": max(0, int(time.time()) - head.timestamp) // BLOCK_DELAY},
        "PeerStatus": {"PeersToPublishMsgs": 0, "PeersToPublishBlocks": 0},
        "ChainStatus": {"BlocksPerTipsetLast100": per_tipset, "BlocksPerTipsetLastFinality": per_tipset},
    }


def sync_state(node: Node) -> dict[str, Any]:
    """Return the state of a node that has synchronised its head: the chain has no other source."""
    head = tipset_json(node.network, node.network.head)
    complete = {
        "WorkerID": 0, "Base": head, "Target": head, "Stage": _SYNC_COMPLETE, "Height": head["Height"],
        "Start": _NO_TIME, "End": _NO_TIME, "Message": "",
    }  # fmt: skip
    return {"ActiveSyncs": [complete], "VMApplied": 0}


def transaction_limited(node: Node, transaction_hash: bytes, limit: int) -> dict[str, Any] | None:
    """Return the result of eth_getTransactionByHash; null if it is more than `limit` epochs ago (-1: no limit)."""
    return None if _is_beyond(node, transaction_hash, limit) else get_transaction_by_hash(node, transaction_hash)


def receipt_limited(node: Node, transaction_hash: bytes, limit: int) -> dict[str, Any] | None:
    """Return the result of eth_getTransactionReceipt; null if it is more than `limit` epochs ago (-1: no limit)."""
    return None if _is_beyond(node, transaction_hash, limit) else get_transaction_receipt(node, transaction_hash)


def receipts_limited(node: Node, at: BlockRef, limit: int) -> list[dict[str, Any]] | None:
    """Return the result of eth_getBlockReceipts; error 1 if it is more than `limit` epochs ago (-1: no limit)."""
    found = find(node.network, at)
    if found is not None and is_older(node, found, limit):
        raise RpcError(
            LOTUS_ERROR,
            f"tipset {found.height} is older than the allowed lookback limit: {limit} epochs before "
            f"{node.network.executed_head.height}; pass -1 for no limit",
        )
    return get_block_receipts(node, at)


def _is_beyond(node: Node, transaction_hash: bytes, limit: int) -> bool:
    receipt = node.network.find_executed(transaction_hash)
    return receipt is not None and is_older(node, receipt.tipset, limit)


_EARLIER_HEIGHTS: Final = {
    "Breeze": -1, "Smoke": -1, "Ignition": -2, "Refuel": -3, "Tape": -4, "Assembly": -5, "Liftoff": -6, "Kumquat": -7,
    "Calico": -9, "Persian": -10, "Orange": -11, "Claus": -12, "Trust": -13, "Norwegian": -14, "Turbo": -15,
    "Hyperdrive": -16, "Chocolate": -17, "OhSnap": -18, "Skyr": -19, "Shark": -20,
}  # fmt: skip
"""Heights of the upgrades before the first version of this machine, on lotus' development network (params_2k.go)."""
_FOLLOWED_BY: Final = {"Dragon": "Phoenix"}
"""Upgrade without a network version (a change of the beacon), by the upgrade before it."""
_DRAFT: Final = "Xx"
"""Name of the upgrade to a draft version, as Lotus names the next one before it has a name."""
_TAMPING: Final = "BreezeGasTampingDuration"
_NEVER: Final = 9_999_999_999
"""The height of an upgrade that is not planned."""
_MIN_POWER: Final = {"mainnet": 10 << 40, "calibrationnet": 32 << 30, "butterflynet": 2 << 30}
_DEVELOPMENT_POWER: Final = 2048
"""Minimum power in bytes for consensus of other bundles; `_MIN_POWER` has that of a release by its network.

Source: builtin-actors runtime/src/runtime/policy.rs and the features of each release in its Makefile.
"""
_CHALLENGE_DELAY: Final = dict.fromkeys(("mainnet", "calibrationnet"), 150)
_DEVELOPMENT_DELAY: Final = 10
"""Epochs between the pre-commitment and the proof of a sector."""


def state_get_network_params(node: Node) -> dict[str, Any]:
    """Return network name, chain ID, block delay, minimum power, and the epoch of each upgrade.

    Upgrades before the start of the chain have negative heights, as on lotus' development networks. The height of an
    unplanned upgrade is 9,999,999,999. An upgrade takes effect at the end of its epoch.
    """
    chain = node.network.chain
    record, first = chain.record, chain.index.tipset(chain.index.first)
    return {
        "NetworkName": record.name,
        "BlockDelaySecs": BLOCK_DELAY,
        "ConsensusMinerMinPower": str(minimum_power(node, node.network.machine)),
        "PreCommitChallengeDelay": _CHALLENGE_DELAY.get(record.name, _DEVELOPMENT_DELAY),
        "ForkUpgradeParams": heights(record.upgrades, record.overlay),
        "Eip155ChainID": node.network.chain_id,
        "GenesisTimestamp": first.timestamp,
    }


def minimum_power(node: NodeReader, machine: Hypervisor) -> int:
    """Return the minimum power for consensus in bytes, which the release of the built-in actors determines.

    For custom actors, the network's name decides.
    """
    release = release_of(machine.manifest.root)
    name = node.network.chain.record.name if release is None else release.network
    return _MIN_POWER.get(name, _DEVELOPMENT_POWER)


def heights(upgrades: Upgrades, overlay: Overlay | None = None) -> dict[str, int]:
    """Return the epoch of each upgrade, by its key in Lotus; `overlay` may add a draft version."""
    found = {_key(name): height for name, height in _EARLIER_HEIGHTS.items()}
    past = [name for row in versions_between(0, upgrades.first, overlay) for name in _names(row)]
    found |= {
        _key(name): height for name, height in zip(past, count(min(_EARLIER_HEIGHTS.values()) - 1, -1), strict=False)
    }
    for row in versions_after(upgrades.first, overlay):
        epochs = (each.epoch for each in upgrades.planned if upgrades.first < row.number <= each.version)
        found |= dict.fromkeys(map(_key, _names(row)), int(next(epochs, _NEVER)))
    return found | {_TAMPING: 0}


def _names(row: NetworkVersion) -> list[str]:
    if NETWORK_VERSIONS.get(row.number) is not row:
        return [_DRAFT]
    return [row.name, *([_FOLLOWED_BY[row.name]] if row.name in _FOLLOWED_BY else [])]


def _key(name: str) -> str:
    return f"Upgrade{name}Height"


def ec_power_table(node: NodeReader, key: TipsetKey = HEAD) -> list[dict[str, Any]]:
    """Return the miners that may take part in consensus: ID, quality-adjusted power in bytes, key of the worker.

    Descending by power. They have the minimum power, no debts, and no recent consensus fault. Available without F3.
    """
    machine = machine_at(node, key)
    height = found_tipset(node.network, key).height
    found = [
        (power, miner.actor_id() or 0, worker)
        for miner, _, power in power_claims(machine)
        if power > 0 and (worker := _eligible_worker(machine, miner, height)) is not None
    ]
    found.sort(key=lambda entry: (-entry[0], entry[1]))
    return [
        {"ID": miner, "Power": str(power), "PubKey": bytes_json(_public_key(node, worker, key))}
        for power, miner, worker in found
    ]


def _eligible_worker(machine: Hypervisor, miner: Address, height: int) -> Address | None:
    """Return a miner's worker; None if the miner has debts or a recent consensus fault."""
    actor = miner_of(machine, miner)
    state = state_fields(machine, actor)
    info = read_linked(machine, actor, "MinerInfo", state["info"])
    if decode_bigint(state["fee_debt"]) or height <= info["consensus_fault_elapsed"]:
        return None
    return Address.from_bytes(info["worker"])


def _public_key(node: NodeReader, worker: Address, key: TipsetKey) -> bytes:
    address = Address.parse(state_account_key(node, worker, key))
    if address.protocol is not Protocol.BLS:
        raise RpcError(LOTUS_ERROR, f"the worker {worker} has no BLS key")
    return address.payload


METHODS = (
    Method("Filecoin.Version", (), version, inline=True),
    Method("Filecoin.NodeStatus", (boolean,), node_status),
    Method("Filecoin.SyncState", (), sync_state),
    Method("Filecoin.EthGetTransactionByHashLimited", (hash32, epoch), transaction_limited),
    Method("Filecoin.EthGetTransactionReceiptLimited", (hash32, epoch), receipt_limited),
    Method("Filecoin.EthGetBlockReceiptsLimited", (block, epoch), receipts_limited),
    Method("Filecoin.StateGetNetworkParams", (), state_get_network_params),
    Method("Filecoin.F3GetECPowerTable", (optional(tipset),), ec_power_table, reads=True),
)
