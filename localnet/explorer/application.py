"""The explorer as an application of the node's server, and for a network of this process.

The application's modules are imported with the first page, which speeds up the node's start. `with explore(network) as
url` serves a network of this process to a browser.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from localnet.network import Network
from localnet.rpc.node import Node
from localnet.rpc.server.executors import RunQuery
from localnet.rpc.server.server import serving

if TYPE_CHECKING:
    from localnet.explorer.site import FindSource


def explorer(
    folders: Sequence[Path] | None = None,
    vectors: Callable[[str], str] | None = None,
    sources: FindSource | None = None,
    comparison: Path | None = None,
) -> Callable[[Node, RunQuery], ASGIApp]:
    """Return a factory of the explorer's ASGI application for `localnet.rpc.server.server.Server`.

    `folders` contain compiled contracts. `vectors` makes the test vector of a transaction by its hash, or raises
    `localnet.explorer.site.NoVector`. `sources` finds the verified sources of a contract by its address. `comparison`
    is a file of `hypervisor compare --json`. Raises InvalidInput if it is not one.
    """
    compared = None
    if comparison is not None:
        from localnet.explorer.comparison import read_comparison

        compared = read_comparison(comparison)

    def create(node: Node, run_query: RunQuery) -> ASGIApp:
        def load() -> ASGIApp:
            from localnet.contracts.artifacts import ArtifactFolders
            from localnet.explorer.pages import Pages
            from localnet.explorer.site import Site

            return Pages(Site(node, ArtifactFolders(folders), vectors, sources, compared), run_query)

        return _LazyApplication(load)

    return create


class _LazyApplication:
    """The pages application, imported at the first page request, outside the event loop."""

    def __init__(self, load: Callable[[], ASGIApp]) -> None:
        self._load = load
        self._pages: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._pages is None:
            self._pages = await asyncio.to_thread(self._load)
        await self._pages(scope, receive, send)


def explore(network: Network, port: int = 0, artifacts: Sequence[Path] | None = None) -> AbstractContextManager[str]:
    """Serve a network's pages and JSON-RPC on a thread; return the URL. Port 0 selects a free port.

    The server uses the network exclusively until the end. `artifacts` are folders of compiled contracts (default: `out`
    and `artifacts`). Raises OSError if the port is in use.

    >>> from urllib.request import urlopen
    >>> from localnet import Network, explore
    >>> with Network() as network, explore(network) as url:
    ...     urlopen(f"{url}/epoch/0").status
    200
    """
    return serving(network, port, pages=explorer(artifacts))
