"""Export, verification and atomic import of states as CAR files.

A file is verified completely before the first block is stored, so a malformed one changes nothing. An interrupted
import can be resumed; its roots are named once all blocks are stored.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Final

from store.blockstore import Blockstore, HeadMoved, Store
from store.car.files import CarError, CarReader, read_car, write_car
from store.car.index import IndexedCar, write_indexed_car
from store.cid import DAG_CBOR, IDENTITY, Cid, codec_of, show, split_cid
from store.codec import CodecError, decode_strict, encode, kind_of, unlink
from store.links import blocks_below, links_of
from store.roots import IMPORT


def check_twice(data: bytes) -> None:
    """Raise CodecError unless `store.codec` and the package `dag-cbor` decode the bytes to the same value.

    `dag-cbor` decodes about a quarter of a megabyte per second, so the check is optional.
    """
    from dag_cbor.decoding.err import CBORDecodingError

    ours = decode_strict(data)
    try:
        theirs = _reader()(data)
    except (CBORDecodingError, ValueError, LookupError, OverflowError) as error:  # not all are wrapped
        words = str(error).splitlines() or [type(error).__name__]
        raise CodecError(f"rejected by dag-cbor: {words[-1].lstrip('^ ')}") from None
    if not _same(ours, theirs):
        raise CodecError("dag-cbor decodes it to a different value")


@cache
def _reader() -> Any:
    """Return the package's decoder, extended by the name of the sealed sectors' hash function."""
    import dag_cbor
    from multiformats import multihash

    name = "poseidon-bls12_381-a2-fc1"
    if not multihash.is_implemented(name):
        multihash.raw.register(name, _not_computed, 32)
    return dag_cbor.decode


def _not_computed(data: object, size: int | None = None) -> bytes:
    raise NotImplementedError("sector hashes are not computed")


def _same(ours: Any, theirs: Any) -> bool:
    match kind_of(ours):
        case "link":
            return kind_of(theirs) == "CID" and bytes(theirs) == unlink(ours)
        case "list":
            return type(theirs) is list and len(ours) == len(theirs) and all(map(_same, ours, theirs))
        case "map":
            return type(theirs) is dict and [*ours] == [*theirs] and all(map(_same, ours.values(), theirs.values()))
        case _:
            return type(ours) is type(theirs) and bool(ours == theirs)


BATCH: Final = 4 << 20
"""Default size in bytes of the batches that an import commits."""

Progress = Callable[[int], None]
"""A callback with the number of bytes processed."""


@dataclass(frozen=True, slots=True)
class CarSummary:
    """A summary of a CAR file.

    `size` is the size of the file in bytes, `duplicates` the number of repeated blocks, `unreferenced` the number of
    blocks that are neither roots nor linked to, `missing` the linked blocks and roots that are not in the file, and
    `digest` the blake2b-256 of the file.
    """

    version: int
    roots: tuple[Cid, ...]
    size: int
    blocks: int
    duplicates: int
    unreferenced: int
    missing: frozenset[Cid]
    digest: bytes
    indexed: bool


def export_car(
    store: Blockstore,
    roots: Iterable[Cid],
    file: BinaryIO,
    *,
    indexed: bool = False,
    progress: Progress | None = None,
) -> int:
    """Write all blocks reachable from `roots`, and return their number.

    Writes version 1, or version 2 with an index if `indexed` (which requires a seekable file). Raises BlockNotFound,
    BlockCorrupt, StoreCorrupt and CodecError.
    """
    roots = list(roots)
    return write_blocks(file, roots, blocks_below(store, roots), indexed=indexed, progress=progress)


def write_blocks(
    file: BinaryIO,
    roots: Iterable[Cid],
    blocks: Iterable[tuple[Cid, bytes]],
    *,
    indexed: bool = False,
    progress: Progress | None = None,
) -> int:
    """Write blocks in the given order, as in `export_car`, and return their number."""
    count = size = 0

    def counted() -> Iterator[tuple[Cid, bytes]]:
        nonlocal count, size
        for cid, data in blocks:
            count += 1
            size += len(cid) + len(data)
            if progress is not None:
                progress(size)
            yield cid, data

    (write_indexed_car if indexed else write_car)(file, roots, counted())
    return count


def verify_car(
    path: str | os.PathLike[str],
    *,
    wanted: Iterable[Cid] = (),
    strict: bool = False,
    progress: Progress | None = None,
) -> CarSummary:
    """Read a CAR completely, check that every block matches its hash, is well-formed and is found by the index.

    Links out of the file, and `wanted` blocks that are not in it, are not errors but part of the summary. Uses about
    200 bytes of memory per block. With `strict`, two strict decoders must accept DAG-CBOR as canonical;
    otherwise it is scanned for links with the network's rules. Raises CarError.
    """
    path = Path(path)
    with path.open("rb") as file:
        reader = read_car(file)
        seen: set[Cid] = set()
        linked: set[Cid] = {*reader.roots, *wanted}
        blocks = duplicates = 0
        with nullcontext() if reader.index is None else IndexedCar(path) as index:
            for cid, data in reader:
                blocks += 1
                if cid in seen:
                    duplicates += 1
                else:
                    seen.add(cid)
                    linked.update(_links(cid, data, strict))
                if index is not None and not _is_indexed(index, cid, reader.section):
                    raise CarError(f"invalid CAR index: no entry for {show(cid)} at byte {reader.section}")
                if progress is not None:
                    progress(reader.position)
        file.seek(0)
        digest = blake2b(digest_size=32)
        while piece := file.read(1 << 20):
            digest.update(piece)
        size = file.tell()
    return CarSummary(
        version=reader.version,
        roots=reader.roots,
        size=size,
        blocks=blocks,
        duplicates=duplicates,
        unreferenced=len(seen - linked),
        missing=frozenset(linked - seen),
        digest=digest.digest(),
        indexed=reader.index is not None,
    )


def import_car(
    store: Store,
    path: str | os.PathLike[str],
    names: Mapping[bytes, Cid] | None = None,
    *,
    partial: bool = False,
    strict: bool = False,
    progress: Progress | None = None,
    batch: int = BATCH,
) -> CarSummary:
    """Verify a CAR, store its blocks, and then set metadata to CIDs in it, such as {b"pin/NAME": root}.

    Blocks are committed in batches of `batch` bytes. Raises CarError if a root is missing, or a linked block (unless
    `partial`), and the errors of `verify_car`; in these cases nothing is stored. After an error of the store, repeat
    the call to resume.
    """
    names = names or {}
    summary = verify_car(path, wanted=names.values(), strict=strict, progress=progress)
    _check(Path(path), summary, names, partial)
    while True:
        try:
            record = _store_blocks(store, Path(path), summary, progress, batch)
            store.commit((), {**names, IMPORT: None}, expected={IMPORT: record})
            return summary
        except HeadMoved:  # a garbage collection has started and may drop the blocks stored so far
            continue


def _check(path: Path, summary: CarSummary, names: Mapping[bytes, Cid], partial: bool) -> None:
    for root in (*summary.roots, *names.values()):
        if root in summary.missing:
            raise CarError(f"{path}: the root {show(root)} is not in the file")
    if summary.missing and not partial:
        first = min(summary.missing)
        raise CarError(
            f"{path}: {len(summary.missing)} linked blocks are not in the file, such as {show(first)} (linked from "
            f"{show(_parent(path, first))}); to import an incomplete state, allow a partial import"
        )


def _parent(path: Path, child: Cid) -> Cid:
    with path.open("rb") as file:
        return next(cid for cid, data in read_car(file) if child in _links(cid, data))


def _links(cid: Cid, data: bytes, strict: bool = False) -> list[Cid]:
    try:
        if strict and codec_of(cid) == DAG_CBOR:
            check_twice(data)
        return links_of(data, codec_of(cid))
    except CodecError as error:
        raise CarError(f"CAR block {show(cid)}: {error}") from None


def _store_blocks(store: Store, path: Path, summary: CarSummary, progress: Progress | None, size: int) -> bytes | None:
    """Store the blocks, resuming an earlier import of this file, and return the last import record."""
    with path.open("rb") as file:
        reader = read_car(file)
        record = store.metadata(IMPORT)
        done = _position(record, summary)
        if done:
            reader.go_to(done)
        for batch in _batches(reader, size):
            new = encode([summary.digest, reader.position])
            store.commit(batch, {IMPORT: new}, expected={IMPORT: record})
            record = new
            if progress is not None:
                progress(reader.position)
        return record


def _is_indexed(index: IndexedCar, cid: Cid, section: int) -> bool:
    return split_cid(cid).hash_code == IDENTITY or section in tuple(index.offsets(cid))


def _position(record: bytes | None, summary: CarSummary) -> int:
    """Return the offset at which to resume in the file, or 0 if there is no earlier import of it."""
    if record is None:
        return 0
    digest, position = decode_strict(record)
    return position if digest == summary.digest else 0


def _batches(reader: CarReader, size: int) -> Iterator[list[tuple[Cid, bytes]]]:
    batch: list[tuple[Cid, bytes]] = []
    buffered = 0
    for cid, data in reader:
        batch.append((cid, data))
        buffered += len(data)
        if buffered >= size:
            yield batch
            batch, buffered = [], 0
    yield batch
