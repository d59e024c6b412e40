"""Which blocks of a chain's folder a garbage collection keeps.

Headers, messages and receipts are kept for every tipset, states for the newest ones: before that the chain still
answers what happened, but no longer what a contract held at the time. Marking and sweeping are the store's
(`store.collector`).
"""

from __future__ import annotations

from collections.abc import Iterator

from localnet.index import ChainIndex
from localnet.records import Tipset
from store.blockstore import Store, get_object
from store.cid import Cid
from store.codec import unlink
from store.roots import Roots

_MESSAGES = 10
"""The place of the messages in a block header."""


def chain_roots(store: Store, states: int | None = None) -> Roots:
    """The roots of a chain up to its head; `states`: of how many tipsets the states are kept (None: of all).

    A folder without a chain has none: there the head of the machine and the pins are all that counts. The iterators
    read the index as they go. Raises ValueError for less than one state; StoreCorrupt where the index has gaps.
    """
    if states is not None and states < 1:
        raise ValueError(f"the states of {states} tipsets: at least the head's is kept")
    return Roots(deep=_deep(store, states), shallow=(tipset.block for tipset in _tipsets(store)))


def _deep(store: Store, states: int | None) -> Iterator[Cid]:
    for number, tipset in enumerate(_tipsets(store)):
        if states is None or number < states:
            yield tipset.before
            yield tipset.state
        yield tipset.receipts
        yield unlink(get_object(store, tipset.block)[_MESSAGES])


def _tipsets(store: Store) -> Iterator[Tipset]:
    """From the head back to the first."""
    index = ChainIndex(store)
    height = index.head
    while height >= 0:
        tipset = index.tipset(height)
        yield tipset
        height = tipset.parent
