"""The native runtime compared with the reference implementation, ref-fvm: the same messages, alternately, in one run.

The rows use a sample of the golden vectors (tests/golden) of network version 28, the reference's newest, and the heavy
ones, in processor time; `python -m bench.messages` runs all. Official vectors of network version 18 are measured
without a comparison, because ref-fvm 4 does not support that version. Without the reference (`bench.reference`)
nothing is compared.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench.data import BUNDLES, VECTORS
from bench.messages import GOLDEN, Wanted, microseconds, name_of, some, variants
from bench.reference import NoReference, Reference
from bench.rows import Row
from bench.syscalls import CALLS, write_vectors
from hypervisor_tools.laboratory.vectors.conformance import SKIPPED_BY_THE_REFERENCE, find_vectors

OFFICIAL = VECTORS / "fvm-nv18"
NEWEST_OF_REFERENCE = "nv28"
EVERY = 20
HEAVY_GAS = 20_000_000
ENDLESS = "start-endless"  # twelve seconds of a start function: wasmtime's time only
MILLISECONDS = 20
LONG = 1000.0  # microseconds

MESSAGE = "a message of the golden vectors, median"
WORST = "a message that takes the reference over 1 ms, the worst"
SYSCALL = "a syscall, median"
OFFICIAL_MESSAGE = "a message of the official vectors (network version 18), median"


@dataclass(frozen=True, slots=True)
class ReferencePair:
    """One message: its variant, our microseconds and the reference's."""

    name: str
    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    if not BUNDLES.is_dir():
        yield from (Row(name, None, f"no bundles at {BUNDLES}: set FVM_DATA") for name in NAMES)
        return
    try:
        pairs = measure_messages()
    except NoReference as missing:
        yield from (Row(name, None, str(missing)) for name in (MESSAGE, WORST))
    else:
        yield message_row(pairs)
        yield worst_row(pairs)
    yield syscall_row()
    yield official_row()


NAMES = (MESSAGE, WORST, SYSCALL, OFFICIAL_MESSAGE)


def sample() -> Wanted:
    """Select every n-th variant of network version 28, and all heavy ones except `ENDLESS`."""
    evenly = some(f"@{NEWEST_OF_REFERENCE}:", EVERY)

    def wanted(name: str, after: Mapping[str, Any]) -> bool:
        heavy = any(receipt.get("gas_used", 0) >= HEAVY_GAS for receipt in after["receipts"])
        return (evenly(name, after) or (heavy and f"@{NEWEST_OF_REFERENCE}:" in name)) and ENDLESS not in name

    return wanted


def measure_messages() -> list[ReferencePair]:
    """Measure the sample on both machines alternately, and print each name. Raises NoReference."""
    pairs = []
    with Reference(BUNDLES, GOLDEN, f"@{NEWEST_OF_REFERENCE}:", MILLISECONDS) as reference:
        for variant in variants(GOLDEN, BUNDLES, sample()):
            name = name_of(variant)
            print(f"reference: {name}", file=sys.stderr)
            theirs = reference.microseconds(name)
            ours = microseconds(variant, MILLISECONDS)
            pairs += [ReferencePair(name, *both) for both in zip(ours, theirs, strict=True)]
    return pairs


def message_row(pairs: list[ReferencePair]) -> Row:
    """Return the median ratio; the parts show it by the reference's duration."""
    bands: list[tuple[str, Callable[[ReferencePair], bool]]] = [
        ("of those under 20 us at the reference", lambda pair: pair.theirs < 20),
        ("of those of 20 to 100 us", lambda pair: 20 <= pair.theirs < 100),
        ("of those of 100 us to 1 ms", lambda pair: 100 <= pair.theirs < LONG),
        ("of those over 1 ms", lambda pair: pair.theirs >= LONG),
    ]
    parts = {}
    for name, belongs in bands:
        band = [pair for pair in pairs if belongs(pair)]
        if band:
            ours, theirs = median(pair.ours for pair in band), median(pair.theirs for pair in band)
            parts[f"{name}: {len(band)}, {ours:.0f} us, reference {theirs:.0f} us"] = median(p.ratio for p in band)
    note = f"{len(pairs)} messages, all together {sum(p.ours for p in pairs) / sum(p.theirs for p in pairs):.2f} x"
    return Row(MESSAGE, median(pair.ratio for pair in pairs), note, parts)


def worst_row(pairs: list[ReferencePair]) -> Row:
    """Return the highest ratio among long messages; the parts show the next ones."""
    long = sorted((pair for pair in pairs if pair.theirs >= LONG), key=lambda pair: -pair.ratio)
    parts = {f"{pair.name}: {pair.ours:.0f} us, reference {pair.theirs:.0f} us": pair.ratio for pair in long[:5]}
    return Row(WORST, long[0].ratio, f"{len(long)} messages", parts)


def syscall_row() -> Row:
    """Return microseconds per syscall, each made many times by a guest; the reference's, too, if available."""
    bundle = BUNDLES / "v18-testing-fake-proofs.car"
    with TemporaryDirectory() as folder:
        file = Path(folder) / "syscalls.jsonl.gz"
        write_vectors(file, bundle)
        probes = list(variants([file], BUNDLES, some()))
        try:
            with Reference(BUNDLES, [file], milliseconds=MILLISECONDS) as reference:
                theirs = {probe.vector: reference.microseconds(name_of(probe))[0] / CALLS for probe in probes}
        except NoReference:
            theirs = {}
        ours = {probe.vector: microseconds(probe, 5 * MILLISECONDS)[0] / CALLS for probe in probes}
    loops = ours.pop("loop"), theirs.pop("loop", 0.0)
    parts = {}
    for name, taken in ours.items():
        beside = f", reference {theirs[name] - loops[1]:.2f} us" if theirs else ""
        parts[name + beside] = taken - loops[0]
    note = f"reference {median(theirs.values()) - loops[1]:.2f} us" if theirs else ""
    return Row(SYSCALL, median(parts.values()), note, parts)


def official_row() -> Row:
    """Return microseconds of a message of the official vectors, by actor."""
    by_folder: dict[str, list[float]] = {}
    for path in find_vectors([OFFICIAL]):
        if SKIPPED_BY_THE_REFERENCE not in path.as_posix():
            for variant in variants([path], BUNDLES, some()):
                times = microseconds(variant, MILLISECONDS)
                by_folder.setdefault(path.relative_to(OFFICIAL).parts[0], []).extend(times)
    everything = [taken for times in by_folder.values() for taken in times]
    if not everything:
        return Row(OFFICIAL_MESSAGE, None, f"no vectors at {OFFICIAL}: set FVM_DATA")
    parts = {f"{folder}: {len(times)}, median": median(times) for folder, times in sorted(by_folder.items())}
    parts["the slowest"] = max(everything)
    return Row(OFFICIAL_MESSAGE, median(everything), "ours alone: ref-fvm 4 has no network version 18", parts)
