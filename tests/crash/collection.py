"""Garbage collection of a million blocks during writes: `make gc-check`. It exits with 1 if a guarantee is broken.

A folder holds a state, a million blocks whose pin has just been removed, and a writer that commits continuously. After
the collection, and a second one when the writer has stopped, the store must hold exactly the blocks that a full
traversal finds, and the folder may take at most 1.2 times the space of the same state exported and imported into a new
folder. The result is a record (tests.harness.recorded).
"""

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import monotonic, sleep

from store.blocks.memory import BufferedStore
from store.blockstore import StoreError
from store.car.transfer import export_car, import_car
from store.cid import Cid, cid_of
from store.codec import encode, link
from store.links import reachable
from store.rocks.collector import CollectionResult
from store.rocks.database import RocksStore
from store.roots import HEAD, pin, unpin
from store.trees.hamt import Hamt
from tests.crash.states import collector, commit_next
from tests.harness.recorded import RunRecord, finish, options

FANOUT = 500
LARGEST = 1.2


def main() -> int:
    """Run the check and return the exit code."""
    chosen = options(__doc__, 1_000_000).parse_args()
    started = monotonic()
    with TemporaryDirectory(prefix="collection-") as place:
        record = check(Path(place), chosen.count, chosen.seed)
    return finish(record, chosen, started)


def check(place: Path, count: int, seed: int) -> RunRecord:
    """Run the check; `findings` is empty if all guarantees hold."""
    with RocksStore.open(place / "store", sync=False) as store:
        put_state(store, count // 10, seed)
        put_garbage(store, count, seed)
        unpin(store, "old")
        writer = Writer(store)
        first = collector(store).run()
        writer.stop()
        try:
            second = collector(store).run()
            return _compared(store, writer, first, second, place, count, seed)
        except StoreError as error:
            return RunRecord(seed, count, {}, [f"a block reachable from a root is missing: {error}", *writer.problems])


def _compared(
    store: RocksStore,
    writer: "Writer",
    first: CollectionResult | None,
    second: CollectionResult | None,
    place: Path,
    count: int,
    seed: int,
) -> RunRecord:
    """Compare the result of two collections with a traversal and a new folder."""
    if first is None or second is None:
        raise RuntimeError("a collection without a time limit ended early")
    kept = set(store.cids())
    roots = [Cid(store.metadata(HEAD) or b""), Cid(store.metadata(b"pin/state") or b"")]
    live = reachable(store, roots) | {Cid(store.index(b"header") or b"")}
    fresh = size_of_fresh_copy(store, roots, place)
    ratio = second.size_after / fresh
    findings = [
        *([f"kept {len(kept)} blocks, a traversal finds {len(live)}"] if kept != live else []),
        *([f"only {first.dropped} of {count} blocks were dropped"] if first.dropped < count else []),
        *([f"{ratio:.2f} times the space of a new folder, at most {LARGEST} are allowed"] if ratio > LARGEST else []),
        *(["the writer did not write"] if writer.commits < 10 else []),
        *writer.problems,
    ]
    details = {
        "dropped, with what held them and what the writer replaced": first.dropped + second.dropped,
        "kept": len(kept),
        "commits beside": writer.commits,
        "longest wait of a commit, ms": round(writer.longest * 1000, 1),
        "bytes before": first.size_before,
        "bytes after": second.size_after,
        "bytes of a new folder": fresh,
        "ratio": round(ratio, 3),
    }
    return RunRecord(seed, count, {"stored": count, "dropped": count - len(kept - live)}, findings, details)


class Writer:
    """A thread that commits numbered states until it is stopped."""

    def __init__(self, store: RocksStore) -> None:
        self.commits = 0
        self.longest = 0.0
        self.problems: list[str] = []
        self._store = store
        self._stopped = Event()
        self._thread = Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                start = monotonic()
                commit_next(self._store)
                self.longest = max(self.longest, monotonic() - start)
                self.commits += 1
                sleep(0.002)
        except Exception as error:  # noqa: BLE001 - it is reported
            self.problems.append(f"the writer failed: {type(error).__name__}: {error}")

    def stop(self) -> None:
        """Stop after the current commit."""
        self._stopped.set()
        self._thread.join()


def put_state(store: RocksStore, entries: int, seed: int) -> None:
    """Store and pin a state that must remain."""
    rng = random.Random(seed)
    buffer = BufferedStore(store)
    tree = Hamt(buffer)
    for number in range(entries):
        tree.set(b"%d" % number, rng.randbytes(60))
    root = tree.flush()
    store.put_many(buffer.pending.items())
    pin(store, "state", root)


def put_garbage(store: RocksStore, count: int, seed: int) -> None:
    """Store blocks below a pin: leaves, lists of them, and the list of lists."""
    lists: list[Cid] = []
    for first in range(0, count, FANOUT):
        rng = random.Random(seed * count + first)
        leaves = list(_leaves(rng, min(FANOUT, count - first)))
        data = encode([link(cid) for cid, _ in leaves])
        lists.append(cid_of(data))
        store.put_many([*leaves, (lists[-1], data)])
    data = encode([link(cid) for cid in lists])
    store.put(cid_of(data), data)
    pin(store, "old", cid_of(data))


def _leaves(rng: random.Random, count: int) -> Iterator[tuple[Cid, bytes]]:
    for _ in range(count):
        data = encode([rng.randbytes(rng.randrange(50, 400))])
        yield cid_of(data), data


def size_of_fresh_copy(store: RocksStore, roots: list[Cid], place: Path) -> int:
    """Return the size in bytes of a new folder with the same state."""
    with (place / "state.car").open("wb") as file:
        export_car(store, roots, file)
    with RocksStore.open(place / "fresh", sync=False) as fresh:
        import_car(fresh, place / "state.car")
        fresh.compact()
        return fresh.size()


if __name__ == "__main__":
    sys.exit(main())
