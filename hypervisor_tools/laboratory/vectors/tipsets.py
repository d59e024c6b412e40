"""The chain environment of a vector, and the contents of vectors of class tipset, read from and written to JSON.

The environment is the context, recorded randomness and tipsets, and results of proofs. The fields are those of
filecoin-project/test-vectors:

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

from hypervisor.context import ExternError, MachineContext
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.proofs.consensus_faults import ConsensusFault, WorkerKey
from hypervisor.proofs.verifier import AcceptProofs, ProofVerifier, RefuseProofs
from hypervisor.types import ActorID, ChainEpoch, TokenAmount
from hypervisor.versions.network_versions import NetworkVersion
from localnet.ledger.headers import IncludedMessage
from localnet.replay.tipset_execution import MinedBlock, NullRoundBefore, TipsetWork
from store.cid import Cid, parse_cid, show

_EPOCH_SECONDS = 30
_DEFAULT_BASE_FEE = 100
_MAX_BITS = 136
_DEFAULT_SUPPLY = 2_000_000_000 * 10**18
_RANDOMNESS = b"i_am_random_____i_am_random_____"


def context_of(vector: Mapping[str, Any], variant: Mapping[str, Any], network: NetworkVersion) -> MachineContext:
    """Return the epoch's context; unspecified fields default as in the ref-fvm v3 driver."""
    before = vector["preconditions"]
    epoch = read_number(variant["epoch"], "epoch")
    return MachineContext(
        network=network,
        epoch=ChainEpoch(epoch),
        timestamp=read_number(before.get("timestamp", epoch * _EPOCH_SECONDS), "timestamp"),
        base_fee=TokenAmount(read_number(before.get("basefee", _DEFAULT_BASE_FEE), "basefee")),
        chain_id=read_number(before.get("chain_id", 0), "chain_id"),
        circulating_supply=TokenAmount(read_number(before.get("circ_supply", _DEFAULT_SUPPLY), "circ_supply")),
    )


def read_number(value: Any, name: str) -> int:
    """Parse an integer of at most 136 bits, since vectors exceed 128 bits. Raises ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or value.bit_length() > _MAX_BITS:
        raise ValueError(f"'{name}' is {value!r:.60}, expected a number")
    return value


class ReplayExterns:
    """The recorded randomness of a vector, otherwise a fixed digest, and its tipsets."""

    def __init__(self, vector: Mapping[str, Any]) -> None:
        self._digests = {tuple(entry["on"]): _digest(entry["ret"]) for entry in vector.get("randomness") or []}
        self._tipsets = {
            read_number(entry["epoch"], "epoch"): parse_cid(entry["cid"]["/"]) for entry in vector.get("tipsets", [])
        }

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        return self._digest("chain", epoch)

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        return self._digest("beacon", epoch)

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        if epoch not in self._tipsets:
            raise ExternError(f"the vector has no tipset at epoch {epoch}")
        return self._tipsets[epoch]

    def state_root(self, epoch: ChainEpoch) -> Cid:
        raise ExternError(f"the vector has no state of epoch {epoch}")

    def _digest(self, kind: str, epoch: ChainEpoch) -> bytes:
        if (kind, epoch) not in self._digests:
            return _RANDOMNESS
        recorded = self._digests[kind, epoch]
        if recorded is None:
            raise ExternError(f"the vector's chain has no {kind} randomness at epoch {epoch}")
        return recorded


def _digest(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def _fault(recorded: Mapping[str, int]) -> ConsensusFault:
    target, epoch, kind = (read_number(recorded[name], name) for name in ("target", "epoch", "type"))
    return ConsensusFault(ActorID(target), ChainEpoch(epoch), kind)


class ReplayFault(AcceptProofs):
    """Accepts proofs; consensus faults are those recorded in the vector."""

    def __init__(self, recorded: Mapping[str, int] | str | None) -> None:
        self._fault_result: ConsensusFault | str | None = (
            recorded if recorded is None or isinstance(recorded, str) else _fault(recorded)
        )

    def verify_consensus_fault(
        self, first: bytes, second: bytes, extra: bytes, worker_key: WorkerKey
    ) -> ConsensusFault | None:
        match self._fault_result:
            case None:
                return None
            case str():
                raise ExternError("the vector's chain cannot read these block headers")
            case ConsensusFault():
                return self._fault_result


class RejectProofs(ReplayFault):
    """Rejects all proofs."""

    def verify_seals(self, infos: bytes, count: int) -> list[bool]:
        return [False] * count

    def verify_window_post(self, info: bytes) -> bool:
        return False

    def verify_aggregate_seals(self, info: bytes) -> bool:
        return False

    def verify_replica_update(self, info: bytes) -> bool:
        return False


def proofs_of(vector: Mapping[str, Any]) -> ProofVerifier:
    """Return the proof verifier of a vector.

    `real` marks vectors that need no proof result: any use of a proof fails. Official vectors have no entry, which
    means `accept`. Raises ValueError for other values.
    """
    recorded = vector.get("consensus_fault")
    match vector.get("proofs"):
        case "reject":
            return RejectProofs(recorded)
        case "real":
            return RefuseProofs()
        case None | "accept":
            return ReplayFault(recorded)
        case other:
            raise ValueError(f"proofs must be accept, reject or real, not {other}")


TIPSET: Final = "tipset"
MESSAGE: Final = "message"
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
