"""Which entries of the metadata name blocks that must stay: heads, pins, modules that a machine keeps.

    head            the state of the machine on this folder
    storage/NAME    the state of one actor (`store.storage`)
    pin/NAME        what a user keeps under a name of their own
    installed       DAG-CBOR; what it links to

A chain that keeps more than its head's state says so when it collects (`store.collector`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from store.blockstore import BlockNotFound, Store, StoreCorrupt
from store.cid import DAG_CBOR, Cid, CidError, split_cid
from store.codec import CodecError
from store.links import links_of

HEAD: Final = b"head"
STORAGE_PREFIX: Final = b"storage/"
PIN_PREFIX: Final = b"pin/"
INSTALLED: Final = b"installed"
IMPORT: Final = b"import"
"""Where a CAR's import has got to (`store.transfer`): no root."""


@dataclass(frozen=True, slots=True)
class Roots:
    """What is kept: `deep` with all it links to, `shallow` alone (a header does not keep its ancestors)."""

    deep: Iterable[Cid] = ()
    shallow: Iterable[Cid] = ()


def named_roots(metadata: Mapping[bytes, bytes | None]) -> Iterator[Cid]:
    """The roots that entries of the metadata name; StoreCorrupt for a name that leads to no CID."""
    for key, value in metadata.items():
        if value is None:
            continue
        try:
            if key == HEAD or key.startswith((STORAGE_PREFIX, PIN_PREFIX)):
                split_cid(value)
                yield Cid(value)
            elif key == INSTALLED:
                yield from links_of(value, DAG_CBOR)
        except (CidError, CodecError) as error:
            raise StoreCorrupt(f"the metadata '{key.decode('ascii', 'replace')}' names no block: {error}") from None


def pin(store: Store, name: str, cid: Cid) -> None:
    """Keep a block and all it links to under a name; a pin of this name is replaced. BlockNotFound if it is not there.

    What a root leads to must be there, too: it is, if a head, another pin or a retained tipset has kept it until now.
    """
    if not store.has(cid):
        raise BlockNotFound(cid)
    store.commit((), {_key(name): bytes(cid)})


def unpin(store: Store, name: str) -> bool:
    """Give a pin up; whether there was one."""
    if store.metadata(_key(name)) is None:
        return False
    store.commit((), {_key(name): None})
    return True


def pins(store: Store) -> dict[str, Cid]:
    """The pins by name."""
    return {
        key.removeprefix(PIN_PREFIX).decode(): Cid(value)
        for key, value in store.all_metadata().items()
        if key.startswith(PIN_PREFIX)
    }


def _key(name: str) -> bytes:
    if not name or not name.isprintable():
        raise ValueError(f"{name!r} is not a name for a pin")
    return PIN_PREFIX + name.encode()
