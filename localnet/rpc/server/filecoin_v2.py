"""Filecoin methods of API version 2, at /rpc/v2: a tipset is selected by key, height or tag.

    {"key": [CID, ...]}
    {"height": {"at": 7, "previous": true, "anchor": {"tag": "latest"}}}
    {"tag": "latest"}           or "safe", "finalized"

`previous` selects the tipset before a null round, else the one after it. A height is looked up below its anchor, by
default the finalized tipset. Ethereum's methods are the same as at the other paths; Filecoin's others do not exist
there. Source: lotus api/v2api and chain/types/tipset_selector.go; FIP-0107 for the messages and receipts of a tipset;
api/v2api/types.go for the distribution of block rewards.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, Final

from hypervisor.messages.address import Address
from hypervisor.migrations.nv29 import DENOM
from localnet.ledger.records import Tipset, TransactionReceipt
from localnet.rpc.blocks_and_null_rounds import BlockRef, resolve
from localnet.rpc.errors import LOTUS_ERROR, RpcError, invalid_params
from localnet.rpc.filecoin.chain import message_with_cid, tipset_from, tipset_until
from localnet.rpc.filecoin.state import actor_of, id_of
from localnet.rpc.lotus_values import (
    TipsetKey,
    actor_json,
    address_json,
    cid_json,
    epoch,
    filecoin_address,
    found_tipset,
    key_json,
    receipt_json,
    tipset,
    tipset_json,
)
from localnet.rpc.method_table import MethodTable
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.values import format_value
from localnet.traces.reward_distribution import (
    AwardAmounts,
    BlockReward,
    DistributionUnknown,
    StreamReward,
    block_reward,
)

_AMOUNTS: Final = (
    "MintedReward", "MinerReward", "MessageReward", "ExplicitReward", "BurnAllocation", "MinerPaid", "BurnPaid",
)  # fmt: skip


def distribution_json(tipset: Tipset, blocks: Sequence[BlockReward]) -> dict[str, Any]:
    """Return the rewards of a tipset's blocks, with their sums."""
    amounts = [astuple(block.amounts) for block in blocks] or [astuple(AwardAmounts())]
    return {
        "TipSetKey": key_json(tipset),
        "Height": tipset.height,
        "Denom": str(DENOM),
        "Totals": _amounts_json(AwardAmounts(*map(sum, zip(*amounts, strict=True)))),
        "Blocks": [_block_json(block) for block in blocks],
    }


def _amounts_json(amounts: AwardAmounts) -> dict[str, str]:
    return dict(zip(_AMOUNTS, map(str, astuple(amounts)), strict=True))


def _block_json(block: BlockReward) -> dict[str, Any]:
    return {
        "Block": cid_json(block.block),
        "Miner": address_json(block.miner),
        "WinCount": block.wins,
        "Amounts": _amounts_json(block.amounts),
        "BurnWeight": str(block.burn_weight),
        "Streams": [_stream_json(stream) for stream in block.streams],
    }


def _stream_json(stream: StreamReward) -> dict[str, Any]:
    explicit = stream.distribution
    return {
        "ID": str(stream.id),
        "Weight": str(stream.weight),
        "Amount": str(stream.amount),
        "Distribution": None
        if explicit is None
        else {
            "Writer": address_json(explicit.writer),
            "Recipients": [
                {"Recipient": address_json(row.recipient), "Share": str(row.share), "EarnedAmount": str(row.earned)}
                for row in explicit.recipients
            ],
            "BurnShare": str(explicit.burn_share),
            "BurnAmount": str(explicit.burnt),
            "RoundingAdjustment": str(explicit.rounding),
        },
    }


_TAGS: Final = ("latest", "safe", "finalized")
_INCLUDES: Final = ("explicit", "all", "implicit")
SAFE_DISTANCE: Final = 200
"""Depth of the tag `safe` in epochs, unless a later tipset is final. Lotus and Forest use it in version 2 only."""
_ALSO: Final = ("Filecoin.Eth", "Filecoin.Net", "Filecoin.Web3")
"""Prefixes of Lotus' names for Ethereum's methods."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """The tipset below which a height is looked up: a key or a tag; neither is the head."""

    key: TipsetKey | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class TipsetSelector:
    """Exactly one of a key, a height and a tag."""

    key: TipsetKey | None = None
    tag: str | None = None
    height: int | None = None
    previous: bool = False
    anchor: Anchor | None = None


def selector(value: Any) -> TipsetSelector:
    """Read a tipset selector. Raises RpcError."""
    given = _fields(value, "tipset selector", ("key", "height", "tag"))
    if len(given) != 1:
        raise invalid_params(f"exactly one tipset selection criteria must be specified, found: {len(given)}")
    if "height" not in given:
        return TipsetSelector(_key(given), _tag(given))
    height = _fields(given["height"], "height of a tipset selector", ("at", "previous", "anchor"))
    at, previous = epoch(height.get("at")), height.get("previous", False)
    if at < 0:
        raise invalid_params("invalid tipset height: epoch cannot be less than zero")
    if not isinstance(previous, bool):
        raise invalid_params(f"previous is {format_value(previous)}, expected true or false")
    anchor = None
    if "anchor" in height:
        below = _fields(height["anchor"], "anchor of a tipset selector", ("key", "tag"))
        if len(below) > 1:
            raise invalid_params("invalid tipset anchor: at most one of key or tag must be specified")
        anchor = Anchor(_key(below), _tag(below))
    return TipsetSelector(None, None, at, previous, anchor)


def _fields(value: Any, what: str, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of an object that are not null."""
    if not isinstance(value, dict):
        raise invalid_params(f"{format_value(value)} is not a {what}: expected an object with {', '.join(names)}")
    unknown = [name for name in value if name not in names]
    if unknown:
        raise invalid_params(f"unknown field {unknown[0]!r:.40} of a {what}: expected {', '.join(names)}")
    return {name: item for name, item in value.items() if item is not None}


def _key(given: dict[str, Any]) -> TipsetKey | None:
    return tipset(given["key"]) if "key" in given else None


def _tag(given: dict[str, Any]) -> str | None:
    tag = given.get("tag")
    if tag is not None and tag not in _TAGS:
        raise invalid_params(f"{format_value(tag)} is not a tag: expected one of {', '.join(_TAGS)}")
    return tag


def selected(node: NodeReader, chosen: TipsetSelector) -> Tipset:
    """Return the tipset that a selector means. Raises RpcError 1 if there is none."""
    if chosen.height is None:
        return _keyed_or_tagged(node, chosen.key, chosen.tag or "latest")
    anchor = Anchor(tag="finalized") if chosen.anchor is None else chosen.anchor
    last = _keyed_or_tagged(node, anchor.key, anchor.tag or "latest")
    if chosen.height > last.height:
        raise RpcError(LOTUS_ERROR, f"height {chosen.height} is above the anchor's, {last.height}: pass a later anchor")
    return (tipset_until if chosen.previous else tipset_from)(node, chosen.height)


def _keyed_or_tagged(node: NodeReader, key: TipsetKey | None, tag: str) -> Tipset:
    if key is not None:
        return found_tipset(node.network, key)
    if tag != "safe":
        return resolve(node.network, BlockRef(tag))
    final, head = (resolve(node.network, BlockRef(each)) for each in ("finalized", "latest"))
    safe = head.height - SAFE_DISTANCE
    return final if final.height >= safe else tipset_until(node, safe)


def chain_get_tipset(node: Node, chosen: TipsetSelector) -> dict[str, Any]:
    """Return the selected tipset."""
    return tipset_json(node.network, selected(node, chosen))


def chain_get_finality_status(node: Node) -> dict[str, Any]:
    """Return the head and the finalized tipset. F3 does not run here, and the depth of finality is fixed."""
    network = node.network
    head, final = network.head, resolve(network, BlockRef("finalized"))
    return {
        "ecFinalityThresholdDepth": head.height - final.height,
        "ecFinalizedTipSet": tipset_json(network, final),
        "f3FinalizedTipSet": None,
        "finalizedTipSet": tipset_json(network, final),
        "head": tipset_json(network, head),
    }


def state_get_actor(node: Node, owner: Address, chosen: TipsetSelector) -> dict[str, Any]:
    """Return the actor at an address after the selected tipset. Error 11 if there is none."""
    return actor_json(actor_of(node.network.chain.machine_at(selected(node, chosen)), owner))


def state_get_id(node: Node, owner: Address, chosen: TipsetSelector) -> str:
    """Return the f0 address of an actor after the selected tipset. Error 11 if no actor has the address."""
    return address_json(Address.id(id_of(node.network.chain.machine_at(selected(node, chosen)), owner)))


def state_reward_distribution(node: NodeReader, chosen: TipsetSelector) -> dict[str, Any]:
    """Return the selected tipset's block reward by stream: weights, shares, amounts and payments (nv29 and later)."""
    found = selected(node, chosen)
    try:
        reward = block_reward(node.network.chain, found)
    except DistributionUnknown as error:
        raise RpcError(LOTUS_ERROR, str(error)) from None
    return distribution_json(found, [] if reward is None else [reward])


def message_include(value: Any) -> str:
    """Read the options of a tipset's messages or receipts. Raises RpcError."""
    given = {} if value is None else _fields(value, "message option", ("include",))
    include = given.get("include")
    if include in (None, ""):  # Go's zero value is the default
        return _INCLUDES[0]
    if include not in _INCLUDES:
        raise invalid_params(f"include is {format_value(include)}, expected one of {', '.join(_INCLUDES)}")
    return str(include)


def chain_get_messages(node: NodeReader, chosen: TipsetSelector, include: str = _INCLUDES[0]) -> list[dict[str, Any]]:
    """Return the messages of the selected tipset in execution order, with or without rewards and cron."""
    return [message_with_cid(receipt) for receipt in _executed(node, chosen, include)]


def chain_get_receipts(node: NodeReader, chosen: TipsetSelector, include: str = _INCLUDES[0]) -> list[dict[str, Any]]:
    """Return the receipts of the messages that ChainGetMessages returns for the same parameters."""
    return [receipt_json(receipt.execution.receipt) for receipt in _executed(node, chosen, include)]


def _executed(node: NodeReader, chosen: TipsetSelector, include: str) -> list[TransactionReceipt]:
    """Return the executed messages of the selected tipset in order. Raises RpcError 1 if it has no receipts yet."""
    tipset, index = selected(node, chosen), node.network.chain.index
    if tipset.height > node.network.executed_head.height:
        raise RpcError(
            LOTUS_ERROR, f"the receipts of height {tipset.height} are known one tipset later: execution is deferred"
        )
    explicit = [] if include == "implicit" else list(index.receipts(tipset))
    if include == "explicit":
        return explicit
    return tipset.in_execution_order(explicit, index.implicit_receipts(tipset))


class V2MethodTable(MethodTable):
    """The methods at /rpc/v2: those of this module, and all that are not Filecoin's."""

    def __init__(self, others: MethodTable) -> None:
        super().__init__((sys.modules[__name__],))
        self._others = others

    def __missing__(self, name: str) -> Method | None:
        if name.startswith("Filecoin.") and not name.startswith(_ALSO):
            return None
        return self._others[name]


METHODS = (
    Method("Filecoin.ChainGetTipSet", (selector,), chain_get_tipset),
    Method("Filecoin.ChainGetTipSetFinalityStatus", (), chain_get_finality_status),
    Method("Filecoin.ChainGetMessages", (selector, optional(message_include)), chain_get_messages, reads=True),
    Method("Filecoin.ChainGetReceipts", (selector, optional(message_include)), chain_get_receipts, reads=True),
    Method("Filecoin.StateGetActor", (filecoin_address, selector), state_get_actor),
    Method("Filecoin.StateGetID", (filecoin_address, selector), state_get_id),
    Method("Filecoin.StateRewardDistribution", (selector,), state_reward_distribution, reads=True, traces=True),
)
