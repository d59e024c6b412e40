"""States in and out of stores, as CAR files: exported below some roots, verified, imported as a whole or not at all.

A file is verified to its end before the first block is stored, so that a bad one leaves nothing behind. An import that
is interrupted later is taken up where it was; its roots are named when everything is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final

from store.blockstore import Blockstore, HeadMoved, Store
from store.car import CarError, CarReader, read_car, write_car
from store.car_index import IndexedCar, write_indexed_car
from store.cid import DAG_CBOR, IDENTITY, Cid, codec_of, show, split_cid
from store.codec import CodecError, decode_strict, encode
from store.links import links_of
from store.roots import IMPORT
from store.second_reader import check_twice
from store.walk import blocks_below

BATCH: Final = 4 << 20
"""Bytes of blocks that an import commits at a time, where nothing else is said."""

Progress = Callable[[int], None]
"""Called with the bytes that are done."""


@dataclass(frozen=True, slots=True)
class CarSummary:
    """What a CAR holds.

    `size` is the file's in bytes, `duplicates` blocks that come again, `unreferenced` blocks that are no root and that
    no other block links to, `missing` links (and roots) to blocks that are not in the file; `digest` is the blake2b-256
    of the file.
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
    """Write everything below some roots; returns the number of blocks.

    Version 1, or version 2 with an index if `indexed` (then the file must be seekable). Raises BlockNotFound,
    BlockCorrupt, StoreCorrupt, CodecError.
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
    """Write blocks as they come, in either version; returns their number."""
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
    """Read a CAR to its end: every block has its hash and is well-formed, the index (if any) leads to every block.

    Links that lead out of the file, and `wanted` blocks that are not in it, are no error: they are in the summary.
    Remembers the CIDs, some 200 bytes a block. `strict`: DAG-CBOR is read by two strict readers, and only its one
    canonical form is well-formed (`store.second_reader`); otherwise it is scanned for links as the network does it.
    Raises CarError.
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
                    raise CarError(f"CAR index: it does not lead to {show(cid)} at byte {reader.section}")
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

    Blocks are committed `batch` bytes at a time.
    Raises CarError where a root or a link leads out of the file (links only unless `partial`), and whatever
    `verify_car` raises: then nothing was stored. After an error of the store the same call goes on where this one was.
    """
    names = names or {}
    summary = verify_car(path, wanted=names.values(), strict=strict, progress=progress)
    _check(Path(path), summary, names, partial)
    while True:
        try:
            record = _store_blocks(store, Path(path), summary, progress, batch)
            store.commit((), {**names, IMPORT: None}, expected={IMPORT: record})
            return summary
        except HeadMoved:  # a garbage collection has begun, and may drop what was stored before: store it again
            continue


def _check(path: Path, summary: CarSummary, names: Mapping[bytes, Cid], partial: bool) -> None:
    for root in (*summary.roots, *names.values()):
        if root in summary.missing:
            raise CarError(f"{path}: the root {show(root)} is not in the file")
    if summary.missing and not partial:
        first = min(summary.missing)
        raise CarError(
            f"{path}: {len(summary.missing)} links lead out of the file, such as {show(first)} (linked from "
            f"{show(_parent(path, first))}); import it as a part if that is what it is"
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
    """Store the blocks, from where an earlier import of this file has stopped; returns the record of that."""
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
    """Where to go on in the file; 0 where nothing, or another file, was imported before."""
    if record is None:
        return 0
    digest, position = decode_strict(record)
    return position if digest == summary.digest else 0


def _batches(reader: CarReader, size: int) -> Iterator[list[tuple[Cid, bytes]]]:
    batch: list[tuple[Cid, bytes]] = []
    held = 0
    for cid, data in reader:
        batch.append((cid, data))
        held += len(data)
        if held >= size:
            yield batch
            batch, held = [], 0
    yield batch
