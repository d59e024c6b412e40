"""Extraction of vectors from a chain's past: a message or a tipset with exactly the blocks that it reads.

1. The tipset is executed as far as needed and compared with the chain. 2. It is executed again on a store and externs
that record accesses. 3. The vector is read back and executed with its own contents only. It is returned only if this
execution passes.

Vectors are written in the JSON of filecoin-project/test-vectors. The CAR has the recorded blocks, except those of the
bundle that `bundle` names. tests/golden/README.md lists this project's additional fields.
"""

from __future__ import annotations

import base64
import io
import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hypervisor.bundles.manifest import Manifest
from hypervisor.context import ExternError, Externs, MachineContext
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.installation import AUTO, writing
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Receipt
from hypervisor.proofs.verifier import AcceptProofs
from hypervisor.state.state_tree import StateTree
from hypervisor.types import SYSTEM_ACTOR, ChainEpoch, TokenAmount
from hypervisor.versions.overlay import Overlay
from hypervisor_tools.laboratory.vectors.conformance import parse_vector, run_variant, variants_of
from hypervisor_tools.laboratory.vectors.files import BundleFolder
from hypervisor_tools.laboratory.vectors.tipsets import MESSAGE, TIPSET, tipset_fields
from localnet.ledger.headers import IncludedMessage
from localnet.replay.folder_source import FolderSource
from localnet.replay.past_replay import difference_from_chain, difference_of_receipts
from localnet.replay.sources import NodeSource, PastTipset, SourceSupply, TipsetSource, machine_for, read_past_tipset
from localnet.replay.tipset_execution import (
    TipsetOutcome,
    TipsetWork,
    apply_included,
    execute_tipset,
    receipt_on_chain,
    tipset_steps,
)
from store.blocks.memory import MemoryStore, OverlayStore
from store.blockstore import NOTHING, Blockstore, Store, get_object
from store.car.files import write_car
from store.cid import Cid, show
from store.codec import unlink
from store.untrusted import gzip_bytes

_HINT = (
    "no vector is written. A vector cannot describe manual state edits, messages from actors that cannot send, failed "
    "proofs, or contracts executed by an engine other than the bundle's"
)


class ExtractionError(HypervisorError):
    """Raised if re-execution differs from the chain, or if a vector's execution differs from its source."""


@dataclass(frozen=True, slots=True)
class ExtractedVector:
    """A verified vector and its contents."""

    vector: Vector
    blocks: int
    results: int


def extract(source: TipsetSource, bundles: BundleFolder, wanted: str) -> ExtractedVector:
    """Extract the vector of an epoch, a transaction hash or a message CID.

    Raises InvalidInput if the chain does not have it, ExtractionError, and the errors of the store and the node.
    """
    if wanted.isascii() and wanted.isdigit():
        return extract_tipset(source, bundles, int(wanted))
    return extract_message(source, bundles, wanted)


def extract_from(wanted: str, url: str, folder: Path | None, overlay: Overlay | None, bundles: Path) -> ExtractedVector:
    """Extract a vector from the chain in a folder, or else from that of a node. Raises as `extract`."""
    source = NodeSource(url, overlay=overlay) if folder is None else FolderSource(folder, overlay)
    with closing(source):
        return extract(source, BundleFolder(bundles), wanted)


def extract_tipset(source: TipsetSource, bundles: BundleFolder, epoch: int) -> ExtractedVector:
    """Extract a tipset vector of the tipset at an epoch and the null rounds before it. Raises as `extract`."""
    past = read_past_tipset(source, source.tipset_at(epoch))
    return vector_of(source, bundles, past, f"{source.name}-{epoch}", _compare)


def vector_of(
    source: TipsetSource,
    bundles: BundleFolder,
    past: PastTipset,
    name: str,
    check: Callable[[TipsetSource, PastTipset, TipsetOutcome], None] = lambda _source, _past, _outcome: None,
) -> ExtractedVector:
    """Build the vector of a tipset. `past.work` may differ from the blocks on the chain.

    `check` raises if the result differs from the expected one. Raises as `extract`.
    """
    manifest, known = _bundle_of(source.store, past.headers.state, bundles)
    read = RecordingStore(source.store, known)
    supply = SourceSupply(source, past.headers)
    outcome = execute_tipset(machine_for(source, past, read), past.work, supply)
    check(source, past, outcome)

    recorder, externs = RecordingStore(read, known), RecordingExterns(source.externs_for(past.headers))
    machine = _recording_machine(past.headers.state, past.context, recorder, externs, source.chain_id)
    execute_tipset(machine, past.work, _RecordedSupply(supply.answered))
    initial = VectorInput(
        name=name,
        sources=_sources(source, past),
        root=past.headers.state,
        blocks=_without_actors(recorder, manifest, bundles),
        bundle=manifest,
        externs=externs,
        network=past.network,
        chain_id=source.chain_id,
    )
    vector = tipset_vector(initial, past.parent.height, past.work, supply.answered, outcome)
    return _prove(vector, bundles, initial, len(outcome.results), past.overlay)


def extract_message(source: TipsetSource, bundles: BundleFolder, reference: str) -> ExtractedVector:
    """Extract a message vector on the state after the preceding messages of its tipset. Raises as `extract`."""
    found = source.find_message(reference)
    return vector_of_message(source, bundles, read_past_tipset(source, found.tipset), found.cid, _compare_receipts)


def vector_of_message(
    source: TipsetSource,
    bundles: BundleFolder,
    past: PastTipset,
    cid: Cid,
    check: Callable[[TipsetSource, PastTipset, Sequence[Receipt]], None] = lambda _source, _past, _receipts: None,
) -> ExtractedVector:
    """Build the vector of one message of a tipset. `past.work` may differ from the blocks on the chain.

    `check` gets the receipts up to and including the message's, and raises if they are wrong. Raises as `extract`.
    """
    manifest, known = _bundle_of(source.store, past.headers.state, bundles)
    read = RecordingStore(source.store, known)
    machine = machine_for(source, past, read)
    supply = SourceSupply(source, past.headers)
    steps = list(tipset_steps(machine, past.work, supply, before=cid))
    included = next(each for each in past.work.messages() if cid in (each.cid, each.message.cid()))
    root, context = machine.flush(), machine.context

    recorder, externs = RecordingStore(machine.base, known), RecordingExterns(source.externs_for(past.headers))
    recording = _recording_machine(root, context, recorder, externs, source.chain_id)
    result = apply_included(recording, included)
    last = receipt_on_chain(recording, included, result)
    check(source, past, [*(step.receipt for step in steps if step.receipt is not None), last])
    position = sum(step.included is not None for step in steps)
    initial = VectorInput(
        name=f"{source.name}-{past.headers.height}-{position}",
        sources=[*_sources(source, past), f"message:{show(included.cid)}"],
        root=root,
        blocks=_without_actors(recorder, manifest, bundles),
        bundle=manifest,
        externs=externs,
        network=past.network,
        chain_id=source.chain_id,
    )
    return _prove(message_vector(initial, context, included, result, recording.root), bundles, initial, 1, past.overlay)


def _bundle_of(store: Store, root: Cid, bundles: BundleFolder) -> tuple[Cid, MemoryStore | None]:
    """Return the manifest that a state names, and the blocks of its bundle if available."""
    system = StateTree(store, root).get_actor(SYSTEM_ACTOR)
    if system is None:
        raise InvalidInput(f"the state {show(root)} has no system actor")
    manifest = unlink(get_object(store, system.head)[0])
    return manifest, bundles.find(manifest)


def _without_actors(recorder: RecordingStore, manifest: Cid, bundles: BundleFolder) -> dict[Cid, bytes]:
    """Return the recorded blocks without the manifest of the built-in actors and their code, which vectors omit.

    These blocks are added to `bundles`, so that the vector can be verified if its bundle is not a file there.
    """
    actors = {manifest, *Manifest.load(recorder, manifest).codes}
    blocks: dict[Cid, bytes] = {}
    omitted: dict[Cid, bytes] = {}
    for cid, data in recorder.blocks.items():
        (omitted if cid in actors else blocks)[cid] = data
    bundles.add(manifest, omitted)
    return blocks


def _recording_machine(
    root: Cid, context: MachineContext, store: RecordingStore, externs: RecordingExterns, chain_id: int
) -> Hypervisor:
    machine = Hypervisor.at(OverlayStore(store), root, context, evm=AUTO, externs=externs, proofs=AcceptProofs())
    machine.advance(chain_id=chain_id)
    return machine


@dataclass(frozen=True, slots=True)
class _RecordedSupply:
    """The recorded circulating supply by epoch, in place of a computation from the state."""

    circulating: Mapping[ChainEpoch, TokenAmount]

    def __call__(self, machine: Hypervisor, epoch: ChainEpoch) -> TokenAmount:
        return self.circulating[epoch]


def _sources(source: TipsetSource, past: PastTipset) -> list[str]:
    return [f"network:{source.name}", f"tipset:{','.join(map(show, past.headers.cids))}"]


def _compare(source: TipsetSource, past: PastTipset, outcome: TipsetOutcome) -> None:
    difference = difference_from_chain(source, past, outcome)
    if difference:
        raise ExtractionError(
            f"epoch {past.headers.height} differs from the chain after re-execution, {difference}: {_HINT}"
        )


def _compare_receipts(source: TipsetSource, past: PastTipset, receipts: Sequence[Receipt]) -> None:
    chain = source.result_of(past.headers)
    if chain.receipts is None:
        whole = execute_tipset(machine_for(source, past), past.work, SourceSupply(source, past.headers))
        _compare(source, past, whole)
        return
    difference = difference_of_receipts(source, past, receipts, chain.receipts)
    if difference:
        raise ExtractionError(
            f"epoch {past.headers.height} differs from the chain after re-execution, {difference}: {_HINT}"
        )


def _prove(
    vector: Vector, bundles: BundleFolder, initial: VectorInput, results: int, overlay: Overlay | None
) -> ExtractedVector:
    name = Path(initial.name)
    for variant in variants_of(parse_vector(json.dumps(vector).encode(), name), name, bundles, overlay=overlay):
        try:
            differences = run_variant(variant).differences
        except HypervisorError as error:
            differences = (str(error),)
        if differences:
            raise ExtractionError(f"the vector of {initial.name} differs from its source: {differences[0]}; {_HINT}")
    return ExtractedVector(vector, len(initial.blocks), results)


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
        chain: Iterable[tuple[Cid, bytes]] = (),
    ) -> None:
        self._base.commit(blocks, metadata, index, expected, chain)

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
