"""Writing of vectors in the JSON of filecoin-project/test-vectors, with this project's additional fields.

The CAR of a vector has the recorded blocks that its execution reads, except those of the bundle that `bundle` names.
tests/golden/README.md lists the additional fields, which readers of the official format may ignore.
"""

from __future__ import annotations

import base64
import io
import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fvm_hypervisor.laboratory.vectors.tipsets import MESSAGE, TIPSET, tipset_fields
from hypervisor.context import MachineContext
from hypervisor.externs import ExternError, Externs
from hypervisor.installation import writing
from hypervisor.machine.executor import ApplyResult
from hypervisor.types import ChainEpoch, TokenAmount
from localnet.chain.tipset_execution import TipsetOutcome, TipsetWork
from localnet.ledger.headers import IncludedMessage
from store.blockstore import NOTHING, Blockstore, Store
from store.car.files import write_car
from store.cid import Cid, show
from store.untrusted import gzip_bytes

T = TypeVar("T")


class RecordingStore:
    """A `Store` that records the blocks read through it, and reads each block from its base at most once.

    Blocks in `known`, such as those of an official bundle, are neither read from the base nor recorded.
    """

    def __init__(self, base: Store, known: Blockstore | None = None) -> None:
        self._base, self._known = base, known
        self.blocks: dict[Cid, bytes] = {}
        """Blocks in the order of their first read."""
        self.has, self.put, self.put_many = base.has, base.put, base.put_many
        self.metadata, self.all_metadata, self.index = base.metadata, base.all_metadata, base.index

    def get(self, cid: Cid) -> bytes:
        """Return a block. Raises BlockNotFound and the base store's other errors."""
        data = self.blocks.get(cid)
        if data is not None:
            return data
        if self._known is not None and self._known.has(cid):
            return self._known.get(cid)
        data = self.blocks[cid] = self._base.get(cid)
        return data

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
    ) -> None:
        self._base.commit(blocks, metadata, index, expected)

    def close(self) -> None:
        """Do nothing: another owner closes the base store."""


class RecordingExterns:
    """Externs that record requests and results, including missing ones."""

    def __init__(self, externs: Externs) -> None:
        self._externs = externs
        self._digests: dict[tuple[str, int], bytes | None] = {}
        self._tipsets: dict[int, Cid] = {}

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        return self._digest("chain", epoch, self._externs.chain_randomness)

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        return self._digest("beacon", epoch, self._externs.beacon_randomness)

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        found = self._tipsets[epoch] = self._externs.tipset_cid(epoch)
        return found

    def state_root(self, epoch: ChainEpoch) -> Cid:
        raise ExternError(f"a vector cannot contain the state of epoch {epoch}, which a consensus fault report reads")

    def _digest(self, kind: str, epoch: ChainEpoch, ask: Callable[[ChainEpoch], bytes]) -> bytes:
        self._digests[kind, epoch] = None
        found = self._digests[kind, epoch] = ask(epoch)
        return found

    def fields(self) -> dict[str, Any]:
        """Return the recorded randomness and tipset CIDs as vector fields."""
        randomness = [
            {"on": list(request), "ret": None if found is None else b64encode(found).decode()}
            for request, found in sorted(self._digests.items())
        ]
        tipsets = [{"epoch": epoch, "cid": {"/": show(cid)}} for epoch, cid in sorted(self._tipsets.items())]
        return {name: value for name, value in {"randomness": randomness, "tipsets": tipsets}.items() if value}


Vector = dict[str, Any]


@dataclass(frozen=True, slots=True)
class VectorInput:
    """Initial data of a vector: origin, state and blocks, externs' results, context.

    `bundle` is the manifest of the built-in actors; `blocks` contains neither this manifest nor their code.
    """

    name: str
    sources: Sequence[str]
    root: Cid
    blocks: Mapping[Cid, bytes]
    bundle: Cid
    externs: RecordingExterns
    network: int
    chain_id: int


def message_vector(
    initial: VectorInput, context: MachineContext, included: IncludedMessage, result: ApplyResult, after: Cid
) -> Vector:
    """Return a message vector of one message at its epoch."""
    before = {
        **_before(initial, context.epoch),
        "basefee": context.base_fee,
        "circ_supply": context.circulating_supply,
        "timestamp": context.timestamp,
    }
    applied = {"bytes": _text(included.message.to_cbor()), "raw_length": included.length}
    return _vector(initial, MESSAGE, before, {"apply_messages": [applied]}, _after([result], after))


def tipset_vector(
    initial: VectorInput,
    base: int,
    work: TipsetWork,
    circulating: Mapping[ChainEpoch, TokenAmount],
    outcome: TipsetOutcome,
) -> Vector:
    """Return a vector of a tipset whose predecessor has the epoch `base`."""
    after = {**_after(outcome.results, outcome.state), "receipts_roots": [_link(outcome.receipts_root)]}
    with_cids = any(receipt.message is not None for receipt in outcome.receipts)
    tipsets = {"apply_tipsets": [tipset_fields(work, base, circulating, with_cids)]}
    return _vector(initial, TIPSET, _before(initial, base), tipsets, after)


def _vector(
    initial: VectorInput, kind: str, before: Vector, applied: Mapping[str, Any], after: Mapping[str, Any]
) -> Vector:
    return {
        "class": kind,
        "_meta": {
            "id": f"{initial.name}@nv{initial.network}",
            "gen": [{"source": source} for source in initial.sources],
        },
        "car": car_text(initial.root, initial.blocks.items()),
        "bundle": _link(initial.bundle),
        **initial.externs.fields(),
        "proofs": "accept",
        "preconditions": before,
        **applied,
        "postconditions": after,
    }


def _before(initial: VectorInput, epoch: int) -> Vector:
    return {
        "variants": [{"id": f"nv{initial.network}", "epoch": epoch, "nv": initial.network}],
        "state_tree": {"root_cid": _link(initial.root)},
        "chain_id": initial.chain_id,
    }


def _after(results: Iterable[ApplyResult], root: Cid) -> Vector:
    return {"receipts": [receipt_fields(result) for result in results], "state_tree": {"root_cid": _link(root)}}


def receipt_fields(result: ApplyResult) -> Vector:
    """Return a result as vector fields."""
    events = result.receipt.events_root
    return {
        "exit_code": int(result.exit_code),
        "return": _text(result.return_data),
        "gas_used": result.gas_used,
        "events_root": None if events is None else _link(events),
        "penalty": str(result.gas.miner_penalty),
    }


def car_text(root: Cid, blocks: Iterable[tuple[Cid, bytes]]) -> str:
    """Encode blocks as a gzipped CAR in base64. The output is deterministic."""
    car = io.BytesIO()
    write_car(car, [root], sorted(blocks, key=lambda block: (block[0] != root, block[0])))
    return _text(gzip_bytes(car.getvalue()))


def write_vector(path: Path, vector: Vector) -> None:
    """Write a vector file atomically. Raises InvalidInput or HypervisorError if it cannot be written."""
    draft = path.with_name(path.name + ".part")
    with writing(path, "the vector"):
        try:
            draft.write_text(json.dumps(vector, indent=2) + "\n", encoding="utf-8")
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def _link(cid: Cid) -> dict[str, str]:
    return {"/": show(cid)}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
