"""Hostile blobs: mutations of valid ones, and programs that loop, jump, call and copy without end.

`python -m riscv_tests.hostile --count 20000` runs them. Each blob is loaded as an installation does; an accepted one is
called with a gas limit. A blob may be refused or fail, but only with an error of the extension, in bounded time and
memory.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Final

from bridge.filecoin.cbor import byte_string
from hypervisor.errors import InvalidModule
from hypervisor.machine.machine import CreationFailed
from localnet import CallFailed, Network
from riscv_tests.contracts import call, forms

GAS: Final = 300_000_000
MAX_SECONDS: Final = 20.0
NAMES: Final = ("Counter", "Child", "Leaf", "Node", "Caller")
HEAD: Final = 96
"""Bytes of a blob in which the sizes of its sections are."""
DATA: Final = (
    b"",
    call("bump(uint256)", 1),
    call("spin(uint256)", 1 << 60),
    call("count()"),
    bytes([6, 1, 5, 2, 3, 3]),
)


def with_length(blob: bytes) -> bytes:
    """Return a blob that states its true length."""
    return blob[:5] + len(blob).to_bytes(8, "little") + blob[13:]


def mutate(rng: Random, blob: bytes) -> bytes:
    """Return a mutation of a blob: of its head, of its code, or of its length."""
    data = bytearray(blob)
    match rng.randrange(6):
        case 0:  # head
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(4, HEAD)] = rng.randrange(256)
        case 1 | 2:  # code and jump table
            for _ in range(rng.choice((1, 1, 2, 5, 50))):
                data[rng.randrange(HEAD, len(data))] = rng.randrange(256)
        case 3:  # a part again, elsewhere
            start, to, size = rng.randrange(len(data)), rng.randrange(HEAD, len(data)), rng.randrange(1, 400)
            data[to : to + size] = data[start : start + size]
        case 4:  # bits
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(13, len(data))] ^= 1 << rng.randrange(8)
        case _:  # shorter or longer
            end = rng.randrange(len(data))
            data = data[:end] if rng.random() < 0.5 else data[:end] + rng.randbytes(rng.randrange(2_000)) + data[end:]
    return with_length(bytes(data)) if rng.random() < 0.9 else bytes(data)


def run(network: Network, rng: Random, blob: bytes) -> str:
    """Install and use a blob, and return its outcome."""
    try:
        code = network.actors.install(blob)
    except InvalidModule:
        return "refused"
    snapshot = network.snapshot()
    try:
        actor = network.actors.create(code, cbor=rng.choice((b"", byte_string(bytes(32)))))
    except CreationFailed:
        network.revert(snapshot)
        return "failed to construct"
    try:
        network.call(actor.address, rng.choice(DATA))
        return "ran"
    except CallFailed as failed:
        return "out of gas" if "OUT_OF_GAS" in str(failed) else "failed"
    finally:
        network.revert(snapshot)


def run_all(count: int, seed: int) -> Iterator[str]:
    """Run blobs, and yield the outcome of each."""
    rng = Random(seed)
    blobs = [forms(name).riscv for name in NAMES]
    network = Network()
    for number in range(count):
        if number % 500 == 499:  # a network keeps all code that is installed
            network.close()
            network = Network()
        blob = rng.choice(blobs[:3] if rng.random() < 0.6 else blobs)
        start = time.process_time()
        yield run(network, rng, mutate(rng, blob))
        taken = time.process_time() - start
        if taken > MAX_SECONDS:
            raise AssertionError(f"blob {number} of seed {seed} took {taken:.1f} s")
    network.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    found: Counter[str] = Counter()
    start = time.monotonic()
    for number, outcome in enumerate(run_all(chosen.count, chosen.seed), 1):
        found[outcome] += 1
        if number % 1_000 == 0 or number == chosen.count:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
            print(f"{number} blobs in {time.monotonic() - start:.0f} s, peak {peak} MiB: {dict(found)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
