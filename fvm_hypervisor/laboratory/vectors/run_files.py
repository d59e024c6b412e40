"""Runs vector files in worker processes; their records include charges and explanations if requested."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from fvm_hypervisor.laboratory.drafts import DraftVersion, named_draft
from fvm_hypervisor.laboratory.sides import Choices, one_side
from fvm_hypervisor.laboratory.vectors.bundles import BundleFolder, BundleMissing
from fvm_hypervisor.laboratory.vectors.charges import Trace, TraceFile, charges_of, first_difference, totals, trace_of
from fvm_hypervisor.laboratory.vectors.conformance import (
    BadVector,
    VectorResult,
    name_of,
    parse_vector,
    run_variant,
    texts_of,
    variants_of,
)
from fvm_hypervisor.laboratory.vectors.state_diff import state_differences
from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.errors import HypervisorError
from hypervisor.gas import in_gas
from hypervisor.tracing import Recorder
from hypervisor.versions.network_versions import network_version_row
from hypervisor.versions.overlay import Overlay
from store.blockstore import StoreError

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Output options. With `against`, charges that differ from that file of traces are failures.

    `overlay` changes prices or rules, so gas may differ from the vectors. The actors of `bundle` replace those that the
    vectors name, `network` their network version, and `draft` is the draft of that version. With `parallel` above 1,
    workers execute the messages.
    """

    diff: bool = False
    trace: bool = False
    against: Path | None = None
    overlay: Overlay | None = None
    bundle: str | None = None
    parallel: int = 1
    network: int | None = None
    draft: DraftVersion | None = None

    @property
    def listening(self) -> bool:
        """True if charges must be recorded."""
        return self.diff or self.trace or self.against is not None


def under_network(options: RunOptions, name: str) -> RunOptions:
    """Return options that run all vectors under a network version: nvN, or a draft's file. Raises InvalidInput."""
    draft = named_draft(name, options.overlay)
    if draft is None:
        return replace(options, network=one_side(Choices(network=name)).network)
    return replace(options, network=draft.number, overlay=draft.overlay, draft=draft)


def run_file(path: Path, folder: Path, options: RunOptions = RunOptions()) -> list[Record]:
    """Return the records of one vector file; a vector that cannot run is a failed record."""
    records: list[Record] = []
    try:
        for text in texts_of(path):
            records += _run(text, path, folder, options)
    except BadVector as error:
        records.append(_failed_record(path.stem, error))
    return records


def _run(text: bytes, path: Path, folder: Path, options: RunOptions) -> Iterator[Record]:
    name = ""
    try:
        vector = parse_vector(text, path)
        name = name_of(vector)
        try:
            yield from _records(vector, path, folder, options)
        except BundleMissing as error:
            numbers = [variant["nv"] for variant in vector["preconditions"]["variants"]]
            yield {
                **_failed_record(name or path.stem, error),
                "lacks": network_version_row(numbers[0], options.overlay).actors,
            }
    except (HypervisorError, StoreError) as error:
        yield _failed_record(name or path.stem, error)


def _failed_record(name: str, error: Exception) -> Record:
    nothing = {"exit_code": None, "gas_used": None, "expected_gas": None, "state_root": None}
    return {"vector": name, "variant": "", "pass": False, **nothing, "error": str(error)}


def _records(vector: Record, path: Path, folder: Path, options: RunOptions) -> Iterator[Record]:
    recorder = Recorder() if options.listening else None
    bundles, overlay, network = _bundles(folder, options.bundle, options.draft), options.overlay, options.network
    for variant in variants_of(vector, path, bundles, recorder, overlay=overlay, network=network):
        result = run_variant(variant, options.parallel)
        record = {**result.record(), "vector": result.vector or path.stem}
        if result.lacks_actors:
            record["lacks"] = result.machine.context.network.actors
        if recorder is not None:
            trace = trace_of(recorder.events)
            recorder.events.clear()
            _add_details(record, result, trace, options)
        yield record


def _add_details(record: Record, result: VectorResult, trace: Trace, options: RunOptions) -> None:
    expected = None
    if options.against is not None:
        expected = _traces(options.against).get(f"{record['vector']}:{record['variant']}")
        problem = _against(trace, expected)
        if problem:
            record["pass"] = False
            record["error"] = "; ".join(filter(None, (record["error"], problem)))
    if options.diff and not record["pass"]:
        record["diff"] = explain(result, trace, expected)
    if options.trace:
        record["trace"] = trace


def _against(trace: Trace, expected: Trace | None) -> str:
    """Return the first difference between the charges and those of the file, as text."""
    if expected is None:
        return "no trace of that id to compare with"
    if len(trace) != len(expected):
        return f"{len(trace)} messages charged, the trace has {len(expected)}"
    for number, (message, other) in enumerate(zip(trace, expected, strict=True), 1):
        found = first_difference(message, other)
        if found:
            return f"message {number}: {found[0]}, then {' | '.join(found[1:])}"
    return ""


@lru_cache(maxsize=1)
def _bundles(folder: Path, instead: str | None, draft: DraftVersion | None) -> BundleFolder:
    """Return the bundles, cached in each worker process."""
    return BundleFolder(folder, None if instead is None else Bundle.open(instead), draft)


@lru_cache(maxsize=1)
def _traces(path: Path) -> TraceFile:
    return TraceFile(path)


MAX_CHARGES = 200
MAX_STATE_LINES = 20


def explain(result: VectorResult, trace: Trace, expected: Trace | None) -> list[str]:
    """Return the explanation of one variant's differences; empty if outcome and charges are as expected.

    Official vectors contain only the sum of the charges. For these, it lists the names whose charges could add up to
    the difference, and the charges with running totals.
    """
    lines: list[str] = []
    for number, (got, wanted) in enumerate(result.receipts):
        message = trace[number] if number < len(trace) else []
        difference = got.gas_used - wanted.gas_used
        found = (
            [] if expected is None else first_difference(message, expected[number] if number < len(expected) else [])
        )
        if found or difference:
            lines.append(f"gas of message {number + 1}: {got.gas_used:,}, expected {wanted.gas_used:,}")
            lines += found or _by_name(message, difference)
    if result.state_root != result.expected_root:
        lines += _state(result)
    return lines


def _by_name(message: list[Any], difference: int) -> Iterator[str]:
    """Yield the sums by name, with hints where they explain the difference, and the charges in order."""
    sums = totals(message)
    yield "charges by name:"
    for name, (count, milligas) in sums.items():
        each, rest = divmod(difference, count)
        hint = f"   {abs(each)} too {'much' if each > 0 else 'little'} each would explain it" if not rest else ""
        yield f"  {in_gas(milligas):>18} {name} ({count}){hint}"
    charges = list(charges_of(message))
    yield "charges in order, with the sum so far:"
    for charge in charges[:MAX_CHARGES]:
        yield f"  {in_gas(charge.total):>18} {in_gas(charge.milligas):>16} {charge.name} ({' > '.join(charge.calls)})"
    if len(charges) > MAX_CHARGES:
        yield f"  and {len(charges) - MAX_CHARGES} more: --trace FILE writes all of them"


def _state(result: VectorResult) -> Iterator[str]:
    machine = result.machine
    names = dict(zip(machine.manifest.codes, ACTOR_NAMES, strict=True))
    found = state_differences(machine.store, result.state_root, result.expected_root, names)
    yield "state:"
    for line in islice(found, MAX_STATE_LINES):
        yield f"  {line}"
    if next(found, None) is not None:
        yield "  and more"
