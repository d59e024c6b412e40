"""Opening of existing machine and chain folders, with errors that name a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hypervisor.errors import InvalidInput
from hypervisor.installation import AUTO, exists
from store.blockstore import BlockNotFound, StoreError
from store.cid import Cid, CidError, parse_cid, show

if TYPE_CHECKING:
    from localnet import Network
    from store.rocks.database import RocksStore

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a machine or chain.")]

_SOME: Final = 5
"""Maximum number of pins listed in an error."""


def check_folder(folder: Path) -> None:
    """Raise InvalidInput unless the path is a folder."""
    if folder.is_dir():
        return
    if exists(folder):
        raise InvalidInput(f"{folder} is a file, not a folder: pass the folder of a machine or chain")
    raise InvalidInput(f"there is no folder {folder}: pass the folder of a machine or chain")


def open_folder(folder: Path, *, read_only: bool = True) -> RocksStore:
    """Open the store in an existing folder; a read-only store may be opened while a node uses it."""
    from store.rocks.database import RocksStore

    check_folder(folder)
    if not any(folder.iterdir()):  # opening it for writing would create a store
        raise InvalidInput(f"{folder} is empty: expected the folder of a machine or chain")
    return RocksStore.open(folder, read_only=read_only)


@contextmanager
def reading(folder: Path) -> Iterator[RocksStore]:
    """Open the store in a folder for reading blocks.

    Raises StoreError if a block of a fork was never read from its origin.
    """
    from localnet.fork.ethereum_fork import reads_from_node

    with open_folder(folder) as store:
        try:
            yield store
        except BlockNotFound as error:
            if not reads_from_node(store):
                raise
            raise StoreError(f"{error}: {folder} contains a fork, which has only the blocks that were read") from None


def open_chain(folder: Path, *, evm: str | None = None, read_only: bool = False) -> Network:
    """Open the network whose chain a folder holds.

    With `read_only`, a node may have the folder open, and changes to the network stay in memory. Raises InvalidInput
    if the folder holds no chain, and StoreError if a node has it open.
    """
    from localnet import Network
    from localnet.ledger.index import ChainIndex

    with open_folder(folder) as store:
        index = ChainIndex(store)
        record = index.network()
        if index.head < 0 or record is None:  # a network would begin a chain there
            raise InvalidInput(f"{folder} contains no chain: create one with `hypervisor node --state DIR`")
    return Network(folder, evm=evm or AUTO, overlay=record.overlay, read_only=read_only)


def parse_block_cid(text: str) -> Cid:
    """Parse a CID given by the user. Raises InvalidInput if it is malformed."""
    try:
        return parse_cid(text)
    except CidError as error:
        raise InvalidInput(str(error)) from None


def head_of(store: RocksStore) -> Cid:
    """Return the state root of the machine in a folder. Raises InvalidInput, listing the pins, if it holds none."""
    from store.roots import HEAD, pins

    head = store.metadata(HEAD)
    if head is None:
        found = [f"{name} {show(cid)}" for name, cid in pins(store).items()]
        more = f" and {len(found) - _SOME} more" if len(found) > _SOME else ""
        there = f" (pinned: {', '.join(found[:_SOME])}{more})" if found else ""
        raise InvalidInput(f"{store.path} contains no machine state: select one of its blocks with --root{there}")
    return Cid(head)
