"""The node of `tests.localnet.long_life_run`."""

import signal
from pathlib import Path
from typing import Final

RULES: Final = {"folder": "ethereum", "memory": "filecoin"}
"""Rules of the node in a folder, and of the one in memory."""
ACCOUNTS: Final = 10
SUBSCRIPTIONS: Final = 200
"""Maximum number of subscriptions of the node, above the traffic's own."""
KEPT: Final = 1_000
_FEWEST: Final = 20


def serve(folder: Path, where: str, share: float) -> None:
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
    vars(index)["MAX_DECODED"] = round(index.MAX_DECODED * share)
    vars(bounded)["OPEN_PAGES"] = max(1, round(bounded.OPEN_PAGES * share))
    LogCache.__init__.__defaults__ = (round(MAX_BYTES * share),)
    sizes = bounded.RECENT, bounded.MAX_PACKED, bounded.MAX_DIRECTORY
    recent, packed, directory = (round(size * share) for size in sizes)
    BoundedStore.__init__.__defaults__ = (recent, bounded.PAGE, packed, directory)
