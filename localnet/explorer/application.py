"""Factory of the explorer application.

Its modules are imported with the first page, which speeds up the node's start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from localnet.rpc.node import Node
from localnet.rpc.server.executors import RunQuery

if TYPE_CHECKING:
    from localnet.explorer.site import FindSource


def explorer(
    folders: Sequence[Path] | None = None,
    vectors: Callable[[str], str] | None = None,
    sources: FindSource | None = None,
) -> Callable[[Node, RunQuery], ASGIApp]:
    """Return a factory of the explorer's ASGI application for `localnet.rpc.server.server.Server`.

    `folders` contain compiled contracts. `vectors` makes the test vector of a transaction by its hash, or raises
    `localnet.explorer.site.NoVector`. `sources` finds the verified sources of a contract by its address.
    """

    def create(node: Node, run_query: RunQuery) -> ASGIApp:
        def load() -> ASGIApp:
            from localnet.contracts.artifacts import ArtifactFolders
            from localnet.explorer.pages import Pages
            from localnet.explorer.site import Site

            return Pages(Site(node, ArtifactFolders(folders), vectors, sources), run_query)

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
