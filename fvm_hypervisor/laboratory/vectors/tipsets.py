"""Vectors of class tipset: the contents of their tipsets, read from and written to JSON.

The fields are those of filecoin-project/test-vectors:

- `apply_tipsets` has epochs relative to the variant's epoch, the epoch of the tipset before the first one.
- `postconditions.receipts` has every result in order, including rewards and the cron of null rounds.
- `receipts_roots` has one root per tipset, of the receipts of its messages. If the receipts name their messages
  (FIP-0107), it includes those of rewards and cron.

Additional fields (tests/golden/README.md) are the time and the circulating supply of a tipset and of the null rounds
before it, the lengths of messages whose encoded length differs, and for receipts that name their messages the CIDs of
messages with a signature.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fvm_hypervisor.laboratory.vectors.environment import read_number
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import ChainEpoch, TokenAmount
from localnet.chain.tipset_execution import MinedBlock, NullRoundBefore, TipsetWork
from localnet.ledger.headers import IncludedMessage
from store.cid import Cid, parse_cid, show

TIPSET: Final = "tipset"
MESSAGE: Final = "message"
_EPOCH_SECONDS = 30
_NO_SUPPLY: Final = 0
"""Circulating supply that Lotus's driver uses for vectors of this class."""


@dataclass(frozen=True, slots=True)
class VectorTipset:
    """A tipset of a vector, with the circulating supply by epoch (in attoFIL) and the root of its receipts."""

    work: TipsetWork
    circulating: Mapping[ChainEpoch, TokenAmount]
    receipts: Cid

    def supply(self, machine: Hypervisor, epoch: ChainEpoch) -> TokenAmount:
        return self.circulating[epoch]


def read_tipsets(own: Mapping[str, Any], before: Mapping[str, Any], epoch: int) -> tuple[VectorTipset, ...]:
    """Read the tipsets of a variant at an epoch. Raises ValueError, KeyError or TypeError if malformed."""
    after = own["postconditions"]
    roots, largest = after["receipts_roots"], len(after["receipts"])  # cron of each epoch has a receipt
    if not own["apply_tipsets"] or len(roots) != len(own["apply_tipsets"]):
        raise ValueError("a variant has tipsets, and a root of receipts for each")
    found: list[VectorTipset] = []
    last = epoch
    for fields, root in zip(own["apply_tipsets"], roots, strict=True):
        at = epoch + read_number(fields["epoch_offset"], "epoch_offset")
        if at < last:
            raise ValueError(f"epoch_offset is {at - epoch}, after {last - epoch}")
        if at - last > largest:
            raise ValueError(f"epoch_offset is {at - epoch}, after {last - epoch}: {largest} receipts are not enough")
        found.append(_tipset(fields, before, epoch, last, at, parse_cid(root["/"])))
        last = at
    return tuple(found)


def _tipset(
    fields: Mapping[str, Any], before: Mapping[str, Any], base: int, last: int, at: int, receipts: Cid
) -> VectorTipset:
    supply = fields.get("circ_supply", before.get("circ_supply", _NO_SUPPLY))
    circulating = {ChainEpoch(at): TokenAmount(read_number(supply, "circ_supply"))}
    stated = {base + read_number(null["epoch_offset"], "epoch_offset"): null for null in fields.get("null_rounds", [])}
    nulls = []
    for epoch in map(ChainEpoch, range(last + 1, at)):
        null = stated.pop(epoch, {})
        time = read_number(null.get("timestamp", epoch * _EPOCH_SECONDS), "timestamp")
        nulls.append(NullRoundBefore(epoch, time))
        circulating[epoch] = TokenAmount(read_number(null.get("circ_supply", supply), "circ_supply"))
    if stated:
        raise ValueError(f"epoch {next(iter(stated))} is not a null round before epoch {at}")
    work = TipsetWork(
        epoch=ChainEpoch(at),
        timestamp=read_number(fields.get("timestamp", at * _EPOCH_SECONDS), "timestamp"),
        base_fee=TokenAmount(read_number(fields["basefee"], "basefee")),
        blocks=tuple(_block(block) for block in fields.get("blocks") or []),
        null_rounds=tuple(nulls),
    )
    return VectorTipset(work, circulating, receipts)


def _block(fields: Mapping[str, Any]) -> MinedBlock:
    messages = [Message.from_cbor(base64.b64decode(data)) for data in fields["messages"]]
    lengths = fields.get("raw_lengths", [message.chain_length() for message in messages])
    cids = [parse_cid(cid["/"]) for cid in fields["cids"]] if "cids" in fields else [each.cid() for each in messages]
    return MinedBlock(
        producer=Address.parse(fields["miner_addr"]),
        win_count=read_number(fields["win_count"], "win_count"),
        messages=tuple(
            IncludedMessage(message, cid, read_number(length, "raw_lengths"))
            for message, cid, length in zip(messages, cids, lengths, strict=True)
        ),
    )


def tipset_fields(
    work: TipsetWork, base: int, circulating: Mapping[ChainEpoch, TokenAmount], with_cids: bool
) -> dict[str, Any]:
    """Return a tipset as vector fields, relative to the variant's epoch `base`; `with_cids` for receipts with CIDs."""
    fields: dict[str, Any] = {
        "epoch_offset": work.epoch - base,
        "basefee": work.base_fee,
        "blocks": [_block_fields(block, with_cids) for block in work.blocks],
        "timestamp": work.timestamp,
        "circ_supply": circulating[work.epoch],
    }
    if work.null_rounds:
        fields["null_rounds"] = [
            {"epoch_offset": null.epoch - base, "timestamp": null.timestamp, "circ_supply": circulating[null.epoch]}
            for null in work.null_rounds
        ]
    return fields


def _block_fields(block: MinedBlock, with_cids: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "miner_addr": str(block.producer),
        "win_count": block.win_count,
        "messages": [base64.b64encode(included.message.to_cbor()).decode() for included in block.messages],
    }
    if any(included.length != included.message.chain_length() for included in block.messages):
        fields["raw_lengths"] = [included.length for included in block.messages]
    if with_cids and any(included.cid != included.message.cid() for included in block.messages):
        fields["cids"] = [{"/": show(included.cid)} for included in block.messages]
    return fields


def message_count(tipsets: Sequence[VectorTipset]) -> int:
    """Return the number of results of tipsets: cron of null rounds and of tipsets, messages, rewards."""
    return sum(
        len(tipset.work.null_rounds) + len([*tipset.work.messages()]) + len(tipset.work.blocks) + 1
        for tipset in tipsets
    )
