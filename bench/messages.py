"""Execution times of the messages of vectors, measured as tests/oracle measures the reference.

A variant is applied repeatedly, each time to a fresh machine over a fresh copy of its state, with shared runtimes so
that modules are loaded; only `apply` is timed. Times are processor times to reduce the effect of other programs. A
single message applied on the main thread takes 13 us more, because a thread with a large stack must be woken.

`python -m bench.messages` prints every variant beside ref-fvm, to find slow ones.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import count as count_from
from pathlib import Path
from time import process_time_ns
from typing import Any

from bench.data import BUNDLES, PROJECT
from bench.reference import Reference
from hypervisor.errors import MessageError
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Message
from hypervisor_tools.laboratory.vectors.conformance import (
    VectorVariant,
    apply_message,
    find_vectors,
    open_vector,
    read_message,
)
from hypervisor_tools.laboratory.vectors.files import BundleFolder

Wanted = Callable[[str, Mapping[str, Any]], bool]
"""Selects variants, by name and postconditions."""

FEWEST_ROUNDS = 3
GOLDEN = sorted((PROJECT / "tests" / "golden").glob("*.jsonl.gz"))
"""Golden vectors of messages. Those in folders are of tipsets, and of features that the reference is built without."""


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


def main() -> int:
    """Print one JSON object per variant: its messages' microseconds, ours and the reference's."""
    options = argparse.ArgumentParser(prog="python -m bench.messages", description=__doc__)
    options.add_argument("--bundles", type=Path, default=BUNDLES)
    options.add_argument("--only", default="", help="only variants whose name contains this text")
    options.add_argument("--every", type=int, default=1, help="every n-th of them")
    options.add_argument("--milliseconds", type=int, default=20, help="milliseconds to measure each variant")
    options.add_argument("--alone", action="store_true", help="without the reference")
    options.add_argument("vectors", nargs="*", type=Path, default=GOLDEN)
    chosen = options.parse_args()
    files = find_vectors(chosen.vectors)
    reference = None if chosen.alone else Reference(chosen.bundles, files, chosen.only, chosen.milliseconds)
    for variant in variants(files, chosen.bundles, some(chosen.only, chosen.every)):
        theirs = None if reference is None else reference.microseconds(name_of(variant))
        ours = microseconds(variant, chosen.milliseconds)
        print(json.dumps({"id": name_of(variant), "us": ours, "reference_us": theirs}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
