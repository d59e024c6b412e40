"""Metadata entries that name garbage collection roots: heads, pins and installed modules.

    head            the state of the machine in this folder
    storage/NAME    the state of one actor (`store.storage`)
    pin/NAME        a state that a user pinned under a name
    installed       DAG-CBOR; the blocks it links to
    spilled         a list of the blocks of a state whose root is not written yet (`RocksStore.spill`)

A chain passes the further states that it retains to the collector (`store.rocks.collector`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from store.blockstore import BlockNotFound, Store, StoreCorrupt
from store.cid import BLAKE2B_CID_LENGTH, CBOR_CID_PREFIX, DAG_CBOR, Cid, CidError, split_cid
from store.codec import CodecError
from store.links import links_of

HEAD: Final = b"head"
STORAGE_PREFIX: Final = b"storage/"
PIN_PREFIX: Final = b"pin/"
INSTALLED: Final = b"installed"
SPILLED: Final = b"spilled"
IMPORT: Final = b"import"
"""Position of an interrupted CAR import (`store.car.transfer`); not a root."""


@dataclass(frozen=True, slots=True)
class Roots:
    """Blocks to keep: `deep` with everything reachable, `shallow` alone (a header without its ancestors)."""

    deep: Iterable[Cid] = ()
    shallow: Iterable[Cid] = ()


def metadata_roots(metadata: Mapping[bytes, bytes | None]) -> Iterator[Cid]:
    """Iterate over the roots that metadata entries name. Raises StoreCorrupt for a malformed entry."""
    for key, value in metadata.items():
        if value is not None:
            yield from roots_of_entry(key, value)


def roots_of_entry(key: bytes, value: bytes) -> list[Cid]:
    """Return the roots that a metadata entry names. Raises StoreCorrupt for a malformed entry."""
    try:
        if key in (HEAD, SPILLED) or key.startswith((STORAGE_PREFIX, PIN_PREFIX)):
            if len(value) != BLAKE2B_CID_LENGTH or not value.startswith(CBOR_CID_PREFIX):
                split_cid(value)
            return [Cid(value)]
        return links_of(value, DAG_CBOR) if key == INSTALLED else []
    except (CidError, CodecError) as error:
        raise StoreCorrupt(
            f"the metadata entry '{key.decode('ascii', 'replace')}' does not name a block: {error}"
        ) from None


def pin(store: Store, name: str, cid: Cid) -> None:
    """Keep a block and everything reachable from it under a name, replacing a pin of this name.

    Raises BlockNotFound if the block is not stored. Everything reachable from it must be stored too, which holds if a
    head, another pin or a retained tipset has kept it until now.
    """
    if not store.has(cid):
        raise BlockNotFound(cid)
    store.commit((), {_key(name): bytes(cid)})


def unpin(store: Store, name: str) -> bool:
    """Remove a pin, and return True if it existed."""
    if store.metadata(_key(name)) is None:
        return False
    store.commit((), {_key(name): None})
    return True


def pins(store: Store) -> dict[str, Cid]:
    """Return the pins by name."""
    return {
        key.removeprefix(PIN_PREFIX).decode(): Cid(value)
        for key, value in store.all_metadata().items()
        if key.startswith(PIN_PREFIX)
    }


def _key(name: str) -> bytes:
    if not name or not name.isprintable():
        raise ValueError(f"{name!r} is not a valid pin name: expected printable characters")
    return PIN_PREFIX + name.encode()
