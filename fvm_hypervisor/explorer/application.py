"""Factory of the explorer application.

Its modules are imported with the first page, which speeds up the node's start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from localnet.rpc.executors import RunQuery
from localnet.rpc.node import Node


def explorer(
    folders: Sequence[Path] | None = None, vectors: Callable[[str], str] | None = None
) -> Callable[[Node, RunQuery], ASGIApp]:
    """Return a factory of the explorer's ASGI application for `localnet.rpc.server.Server`.

    `folders` contain compiled contracts.

    `vectors` makes the test vector of a transaction by its hash, or raises `fvm_hypervisor.explorer.site.NoVector`.
    """

    def made(node: Node, run_query: RunQuery) -> ASGIApp:
        return _LoadedLater(node, run_query, folders, vectors)

    return made


class _LoadedLater:
    """The pages application, imported at the first page request, outside the event loop."""

    def __init__(
        self, node: Node, run_query: RunQuery, folders: Sequence[Path] | None, vectors: Callable[[str], str] | None
    ) -> None:
        self._node, self._run_query, self._folders, self._vectors = node, run_query, folders, vectors
        self._pages: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._pages is None:
            self._pages = await asyncio.to_thread(self._load)
        await self._pages(scope, receive, send)

    def _load(self) -> ASGIApp:
        from fvm_hypervisor.explorer.pages import Pages
        from fvm_hypervisor.explorer.site import Site
        from localnet.contracts.artifacts import ArtifactFolders

        return Pages(Site(self._node, ArtifactFolders(self._folders), self._vectors), self._run_query)
