"""The distribution of block rewards in Lotus' JSON format. Source: lotus api/v2api/types.go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any, Final

from hypervisor.migrations.nv29 import DENOM
from localnet.ledger.records import Tipset
from localnet.rpc.lotus_shapes import address_json, cid_json, key_json
from localnet.traces.reward_distribution import AwardAmounts, BlockReward, StreamReward

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
