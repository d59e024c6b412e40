"""Extraction of vectors from a chain's past: a message or a tipset with exactly the blocks that it reads.

1. The tipset is executed as far as needed and compared with the chain. 2. It is executed again on a store and externs
that record accesses. 3. The vector is read back and executed with its own contents only. It is returned only if this
execution passes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fvm_hypervisor.laboratory.vectors.bundles import BundleFolder
from fvm_hypervisor.laboratory.vectors.conformance import parse_vector, run_variant, variants_of
from fvm_hypervisor.laboratory.vectors.writing import (
    RecordingExterns,
    RecordingStore,
    Vector,
    VectorInput,
    message_vector,
    tipset_vector,
)
from hypervisor.bundles.manifest import Manifest
from hypervisor.context import MachineContext
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.installation import AUTO
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Receipt
from hypervisor.proofs.verifier import AcceptProofs
from hypervisor.state.state_tree import StateTree
from hypervisor.types import SYSTEM_ACTOR, ChainEpoch, TokenAmount
from hypervisor.versions.overlay import Overlay
from localnet.chain.past_replay import difference_from_chain, difference_of_receipts
from localnet.chain.tipset_execution import (
    TipsetOutcome,
    apply_included,
    execute_tipset,
    receipt_on_chain,
    tipset_steps,
)
from localnet.chain.tipset_sources import PastTipset, SourceSupply, TipsetSource, machine_for, read_past_tipset
from localnet.ledger.headers import IncludedMessage
from store.blocks.memory import MemoryStore
from store.blocks.overlay import OverlayStore
from store.blockstore import Store, get_object
from store.cid import Cid, show
from store.codec import unlink

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
    included = _find_message(past, cid)
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


def _find_message(past: PastTipset, cid: Cid) -> IncludedMessage:
    return next(included for included in past.work.messages() if cid in (included.cid, included.message.cid()))


def _sources(source: TipsetSource, past: PastTipset) -> list[str]:
    return [f"network:{source.name}", f"tipset:{','.join(map(show, past.headers.cids))}"]


# --- proofs -----------------------------------------------------------------------------------------------------------


def _compare(source: TipsetSource, past: PastTipset, outcome: TipsetOutcome) -> None:
    difference = difference_from_chain(source, past, outcome)
    if difference:
        raise ExtractionError(
            f"epoch {past.headers.height} differs from the chain after re-execution, {difference}: {_HINT}"
        )


def _compare_receipts(source: TipsetSource, past: PastTipset, receipts: Sequence[Receipt]) -> None:
    """Compare a tipset's first receipts with the chain's. A head without receipts is executed in full."""
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
    """Run a vector on the blocks that it contains and return it. Raises ExtractionError if it fails."""
    name = Path(initial.name)
    for variant in variants_of(parse_vector(json.dumps(vector).encode(), name), name, bundles, overlay=overlay):
        try:
            differences = run_variant(variant).differences
        except HypervisorError as error:
            differences = (str(error),)
        if differences:
            raise ExtractionError(f"the vector of {initial.name} differs from its source: {differences[0]}; {_HINT}")
    return ExtractedVector(vector, len(initial.blocks), results)
