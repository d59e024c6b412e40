"""The store: codec, HAMT of 100,000 entries, commits to disk, import time.

Ratios are ours / the peer's for the same value, in the same process: `dag-cbor` for the codec (and `cbrrr`, if
installed, in the note), rocksdict without our store for commits.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dag_cbor
from rocksdict import Options, Rdict, WriteBatch, WriteOptions

from bench.rows import Row, seconds
from store.blocks.memory import MemoryStore
from store.cid import Cid, cid_of, to_public
from store.codec import decode, decode_strict, encode, link
from store.rocks.database import RocksStore
from store.trees.hamt import Hamt

ENTRIES = 100_000
LINKS = 60


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    yield from codec_rows()
    yield from hamt_rows()
    yield commit_row()
    yield import_row()


def codec_rows() -> Iterator[Row]:
    """Yield a node of 60 links, the most common block for the codec."""
    cids = [cid_of(b"%d" % number) for number in range(LINKS)]
    ours = [b"\xff" * 8, [link(cid) for cid in cids]]
    theirs: Any = [b"\xff" * 8, [to_public(cid) for cid in cids]]
    block = encode(ours)
    reading = seconds(lambda: dag_cbor.decode(block), calls=20)
    writing = seconds(lambda: dag_cbor.encode(theirs), calls=200)
    yield codec_row("decode 60 links", lambda: decode(block), reading, "decode_plain", block)
    yield codec_row("decode 60 links strictly", lambda: decode_strict(block), reading, "decode_plain", block)
    yield codec_row("encode 60 links", lambda: encode(ours), writing, "encode_plain", ours)


def codec_row(name: str, action: Callable[[], object], peer: float, other: str, argument: Any) -> Row:
    """Return one ratio to dag-cbor; `other` names cbrrr's function for the same work."""
    taken = seconds(action, calls=2000)
    note = f"{taken * 1e6:.1f} us, dag-cbor {peer * 1e6:.0f} us"
    try:
        function = getattr(import_module("cbrrr"), other)
    except (ImportError, AttributeError):
        note += ", cbrrr is not installed"
    else:
        note += f", cbrrr {seconds(lambda: function(argument), calls=2000) * 1e6:.1f} us"
    return Row(name, taken / peer, note)


def hamt_rows() -> Iterator[Row]:
    """Yield entries like those of a state tree: keys of a few bytes, values of five fields with two links."""
    keys = [b"\x00" + number.to_bytes(4, "little") for number in range(ENTRIES)]
    value = [link(cid_of(b"code")), link(cid_of(b"state")), 7, b"\x00\x0d\xe0\xb6\xb3\xa7\x64\x00\x00", None]
    store = MemoryStore()

    def filled() -> Hamt:
        tree = Hamt(store)
        for key in keys:
            tree.set(key, value)
        return tree

    def read(tree: Hamt) -> None:
        for key in keys:
            tree.get(key)

    yield hamt_row("HAMT: set 100,000 entries", filled)
    root = filled().flush()
    loaded = Hamt(store, root)
    yield hamt_row("HAMT: get 100,000 entries from the store", lambda: read(Hamt(store, root)))
    read(loaded)
    yield hamt_row("HAMT: get 100,000 entries again", lambda: read(loaded))
    trees = [filled() for _ in range(3)]
    yield hamt_row("HAMT: flush 100,000 entries", lambda: trees.pop().flush())


def hamt_row(name: str, action: Callable[[], object]) -> Row:
    """Return milliseconds for all entries."""
    taken = seconds(action, rounds=2)
    return Row(name, taken * 1e3, f"{taken / ENTRIES * 1e6:.2f} us an entry")


def commit_row() -> Row:
    """Return thirty blocks and a head, synced, compared with rocksdict writing the same batch."""
    blocks = [(cid_of(bytes([number]) * 300), bytes([number]) * 300) for number in range(30)]
    with TemporaryDirectory() as folder:
        with RocksStore.open(Path(folder, "ours")) as store:
            ours = seconds(lambda: store.commit(blocks, {b"head": blocks[0][0]}), calls=100)
        theirs = bare_commit(Path(folder, "bare"), blocks)
    note = f"{ours * 1e6:.0f} us, rocksdict alone {theirs * 1e6:.0f} us"
    return Row("RocksDB: synced commit of 30 blocks", ours / theirs, note)


def bare_commit(folder: Path, blocks: list[tuple[Cid, bytes]]) -> float:
    """Return seconds that rocksdict takes for the batch, without column families or checks."""
    options = WriteOptions()
    options.sync = True
    with Rdict(str(folder), options=Options(raw_mode=True)) as database:

        def commit() -> None:
            batch = WriteBatch(raw_mode=True)
            for cid, data in blocks:
                batch.put(cid, data)
            batch.put(b"head", blocks[0][0])
            database.write(batch, options)

        return seconds(commit, calls=100)


def import_row() -> Row:
    """Return milliseconds of processor time to import the store's modules in a fresh interpreter, the best of seven."""
    program = (
        "import time; start = time.process_time()\n"
        "import store.trees.amt, store.car.files, store.trees.hamt, store.trees.kamt\n"
        "import store.blocks.memory, store.rocks.database, store.storage\n"
        "print(time.process_time() - start)"
    )
    with TemporaryDirectory() as folder:
        compiled = {"PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": ""}  # as in an installed package
        taken = [
            float(
                subprocess.run(
                    [sys.executable, "-c", program], capture_output=True, check=True, env=os.environ | compiled
                ).stdout
            )
            for _ in range(7)
        ]
    return Row("import store", min(taken) * 1e3)
