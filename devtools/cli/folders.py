"""Machines' folders as the commands open them: they must be there, and the error says what to do if they are not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from localnet import Network
    from store.cid import Cid
    from store.rocks import RocksStore

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a machine or chain.", show_default=False)]


def open_folder(folder: Path, *, read_only: bool = True) -> RocksStore:
    """The store in a folder that exists; reading goes on beside a node that has it open."""
    from hypervisor.errors import InvalidInput
    from store.rocks import RocksStore

    if not folder.is_dir():
        raise InvalidInput(f"there is no folder {folder}")
    return RocksStore.open(folder, read_only=read_only)


def open_chain(folder: Path, *, evm: str | None = None) -> Network:
    """The network whose chain a folder holds; InvalidInput if it holds none, StoreError while a node has it open."""
    from hypervisor.errors import InvalidInput
    from hypervisor.opening import AUTO
    from localnet import Network
    from localnet.index import ChainIndex

    with open_folder(folder) as store:
        if ChainIndex(store).head < 0:  # a network would begin a chain there
            raise InvalidInput(f"{folder} holds no chain: `hypervisor node --state DIR` makes one")
    return Network(folder, evm=evm or AUTO)


def named_block(text: str) -> Cid:
    """The CID that somebody gave; InvalidInput if it is none."""
    from hypervisor.errors import InvalidInput
    from store.cid import CidError, parse_cid

    try:
        return parse_cid(text)
    except CidError as error:
        raise InvalidInput(str(error)) from None


def head_of(store: RocksStore) -> Cid:
    """The state of the machine in a folder; InvalidInput if it holds none."""
    from hypervisor.errors import InvalidInput
    from store.cid import Cid
    from store.roots import HEAD

    head = store.metadata(HEAD)
    if head is None:
        raise InvalidInput(f"{store.path} holds no machine's state: name a block that it holds with --root")
    return Cid(head)
