"""The node of `tests.localnet.long_life_run`, with its planted defects."""

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from store.blockstore import NOTHING
from tests.planting import replace_attribute

RULES: Final = {"folder": "ethereum", "memory": "filecoin"}
"""Rules of the node in a folder, and of the one in memory."""
ACCOUNTS: Final = 10
SUBSCRIPTIONS: Final = 200
"""Maximum number of subscriptions of the node, above the traffic's own."""
KEPT: Final = 1_000
_FEWEST: Final = 20
_CACHED: Final = 4_000
"""Bytes per transaction."""
_TRANSACTION: Final = b"t"
"""Prefix of a transaction in the index (localnet/ledger/index.py)."""


def serve(folder: Path, where: str, share: float, defect: str | None) -> None:
    """Serve a network until killed. Its caches and retained states are limited by this share."""
    from localnet import Network
    from localnet.rpc.node import NodeLimits
    from localnet.rpc.server.server import Server, ready_file

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the day, and the day ends the node
    shrink_caches(share)
    keep, in_folder = max(_FEWEST, round(KEPT * share)), where == "folder"
    path = folder / "chain" if in_folder else ":memory:"
    with Network(path, rules=RULES[where], account_count=ACCOUNTS, keep_states=None if in_folder else keep) as network:
        limits = NodeLimits(subscriptions=SUBSCRIPTIONS)
        server = Server(network, 0, limits, keep_states=keep if in_folder else None)
        if defect is not None:
            PLANTING[defect](network)
        with ready_file(folder / "ready", server.url) as write:
            server.run(write)


def shrink_caches(share: float) -> None:
    """Limit caches to this share of their size."""
    from hypervisor.kernel.blocks import ScannedBlocks
    from localnet.ledger import index
    from localnet.ledger.index import MAX_BYTES, LogCache
    from store.blocks import bounded
    from store.blocks.bounded import BoundedStore

    ScannedBlocks.MAX_BYTES = round(ScannedBlocks.MAX_BYTES * share)
    replace_attribute(index, "MAX_DECODED", round(index.MAX_DECODED * share))
    replace_attribute(bounded, "OPEN_PAGES", max(1, round(bounded.OPEN_PAGES * share)))
    LogCache.__init__.__defaults__ = (round(MAX_BYTES * share),)
    sizes = bounded.RECENT, bounded.MAX_PACKED, bounded.MAX_DIRECTORY
    recent, packed, directory = (round(size * share) for size in sizes)
    BoundedStore.__init__.__defaults__ = (recent, bounded.PAGE, packed, directory)


# --- defects ----------------------------------------------------------------------------------------------------------


def cache_without_limit(network: Any) -> None:
    """Plant the defect that a cache of transactions has no limit."""
    cache: dict[bytes, bytes] = {}
    commit = network.machine.base.commit

    def caching(blocks: Any, metadata: Any, index: Mapping[bytes, Any] = NOTHING, *more: Any) -> None:
        commit(blocks, metadata, index, *more)
        cache.update((key, os.urandom(_CACHED)) for key in index if key.startswith(_TRANSACTION))

    network.machine.base.commit = caching


def search(_: Any) -> None:
    """Plant the defect that a query for a receipt reads all heights."""
    from localnet.ledger.index import ChainIndex

    receipt = ChainIndex.receipt

    def searching(index: Any, transaction_hash: bytes) -> Any:
        for height in range(index.head):
            index.at(height)
        return receipt(index, transaction_hash)

    replace_attribute(ChainIndex, "receipt", searching)


def keep_subscriptions(_: Any) -> None:
    """Plant the defect that a dropped subscription is not removed."""
    from localnet.rpc.subscriptions import Subscriptions

    replace_attribute(Subscriptions, "remove", lambda *_: True)


PLANTING: Final[dict[str, Callable[[Any], None]]] = {
    "unbounded cache": cache_without_limit,
    "slower": search,
    "subscription": keep_subscriptions,
}
