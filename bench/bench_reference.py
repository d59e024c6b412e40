"""The native runtime compared with the reference implementation, ref-fvm: the same messages, alternately, in one run.

The rows use a sample of the golden vectors (tests/golden) of network version 28, the reference's newest, and the heavy
ones. Without the reference (`tests.harness.reference`) nothing is compared.

A variant is applied repeatedly, each time to a fresh machine over a fresh copy of its state, with shared runtimes so
that modules are loaded; only `apply` is timed, as in tests/oracle. Times are processor times to reduce the effect of
other programs. A single message applied on the main thread takes 13 us more, because a thread with a large stack must
be woken.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count as count_from
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time_ns
from typing import Any

from bench.rows import Row
from bench.syscalls import CALLS, write_vectors
from hypervisor.errors import MessageError
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Message
from hypervisor_tools.laboratory.vectors.conformance import VectorVariant, apply_message, open_vector, read_message
from hypervisor_tools.laboratory.vectors.files import BundleFolder
from tests.harness.paths import BUNDLES, PROJECT
from tests.harness.reference import NoReference, Reference

Wanted = Callable[[str, Mapping[str, Any]], bool]
"""Selects variants, by name and postconditions."""

FEWEST_ROUNDS = 3
GOLDEN = sorted((PROJECT / "tests" / "golden").glob("*.jsonl.gz"))
"""Golden vectors of messages. Those in folders are of tipsets, and of features that the reference is built without."""
NEWEST_OF_REFERENCE = "nv28"
EVERY = 20
HEAVY_GAS = 20_000_000
ENDLESS = "start-endless"  # twelve seconds of a start function: wasmtime's time only
MILLISECONDS = 20
LONG = 1000.0  # microseconds

MESSAGE = "a message of the golden vectors, median"
WORST = "a message that takes the reference over 1 ms, the worst"
SYSCALL = "a syscall, median"


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


NAMES = (MESSAGE, WORST, SYSCALL)


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


# --- the messages of vectors ---


def name_of(variant: VectorVariant) -> str:
    """Return the name by which the reference knows a variant."""
    return f"{variant.vector}:{variant.name}"


def microseconds(variant: VectorVariant, milliseconds: float = 20) -> list[float]:
    """Return the best time of each message over rounds that take this long in total.

    All run on one thread with a large stack, like the messages of a block (`Chain.produce`).
    """
    stacks = variant.machine.stacks
    try:
        rounds = stacks.on_one_thread(lambda: _rounds(variant, milliseconds))
    finally:
        stacks.dismiss()
    return [min(times) for times in zip(*rounds, strict=True)]


def _rounds(variant: VectorVariant, milliseconds: float) -> list[list[float]]:
    messages = [read_message(applied) for applied in variant.messages]
    _round(variant.machine, messages)  # fills the caches
    rounds: list[list[float]] = []
    spent = 0.0
    while len(rounds) < FEWEST_ROUNDS or spent < milliseconds * 1e3:
        rounds.append(_round(variant.machine, messages))
        spent += sum(rounds[-1])
    return rounds


def _round(machine: Hypervisor, messages: list[tuple[Message, int | None]]) -> list[float]:
    """Return microseconds of each message on a machine with the same state."""
    fork = machine.fork()
    fork.stacks = machine.stacks
    times = []
    for message, raw_length in messages:
        start = process_time_ns()
        with suppress(MessageError):  # the reference rejects the same ones
            apply_message(fork, message, raw_length)
        times.append((process_time_ns() - start) / 1e3)
    return times


def variants(files: list[Path], bundles: Path, wanted: Wanted) -> Iterator[VectorVariant]:
    """Yield the selected variants of vectors that apply messages; those of tipsets are omitted."""
    folder = BundleFolder(bundles)
    for path in files:
        yield from (variant for variant in open_vector(path, folder, wanted=wanted) if variant.messages)


def some(part: str = "", every: int = 1) -> Wanted:
    """Select every n-th variant whose name contains `part`."""
    count = count_from(0)
    return lambda name, _after: part in name and next(count) % every == 0
