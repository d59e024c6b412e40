"""Contract verification at a node: the API in front of the explorer's pages, and the stored contracts.

The compiler's and the API's modules are imported at the first request to the API, so that the node starts faster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from hypervisor_tools.verification.store import VerifiedContracts
from localnet.rpc.node import Node
from localnet.rpc.server.executors import RunQuery
from localnet.rpc.server.http import PATHS, VERSION_2

if TYPE_CHECKING:
    from bridge.ethereum.addresses import EthAddress
    from hypervisor_tools.verification.jobs import Verifier
    from localnet.explorer.site import VerifiedSource

Pages = Callable[[Node, RunQuery], ASGIApp]
"""A factory of an application for `localnet.rpc.server.server.Server`."""
PREFIX: Final = "/v2/"


class NodeVerification:
    """Verification of contracts on one node."""

    def __init__(self, url: Callable[[], str], folder: Path | None = None, *, offline: bool = False) -> None:
        """Verify contracts of the node at `url()`; the verified ones are stored in the chain's folder or in memory.

        A missing compiler is downloaded unless `offline`.
        """
        self._url, self._offline = url, offline
        self.stored = VerifiedContracts(folder)
        self._verifier: Verifier | None = None

    def wrap(self, pages: Pages | None) -> Pages:
        """Return a factory of the API's application; `pages` handle all other paths."""

        def create(node: Node, run_query: RunQuery) -> ASGIApp:
            others = _no_page if pages is None else pages(node, run_query)
            return _VerificationRouter(self, node, run_query, others)

        return create

    def source_of(self, address: EthAddress) -> VerifiedSource | None:
        """Return the verified sources of the contract at an address, for the explorer."""
        from hypervisor_tools.verification.store import source_of

        return source_of(self.stored, address)

    def verifier(self) -> Verifier:
        """Return the verifier, which is created with the first call."""
        from functools import partial

        from hypervisor_tools.verification.compilation import solc_of
        from hypervisor_tools.verification.jobs import Verifier

        if self._verifier is None:
            self._verifier = Verifier(self._url, self.stored, partial(solc_of, offline=self._offline))
        return self._verifier

    def close(self) -> None:
        """Stop running compilers, and drop pending jobs."""
        if self._verifier is not None:
            self._verifier.close()


async def _no_page(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond as a node without pages does."""
    if scope["path"] in (*PATHS, VERSION_2):
        await PlainTextResponse("Method Not Allowed", 405, {"Allow": "POST"})(scope, receive, send)
    else:
        await PlainTextResponse("Not Found", 404)(scope, receive, send)


class _VerificationRouter:
    """An application that passes the API's paths to its endpoint."""

    def __init__(self, verification: NodeVerification, node: Node, run_query: RunQuery, others: ASGIApp) -> None:
        self._verification, self._node, self._run_query, self._others = verification, node, run_query, others
        self._endpoint: ASGIApp | None = None
        self._loading = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].startswith(PREFIX):
            await self._others(scope, receive, send)
            return
        async with self._loading:
            if self._endpoint is None:
                self._endpoint = await asyncio.to_thread(self._load)
        await self._endpoint(scope, receive, send)

    def _load(self) -> ASGIApp:
        from hypervisor_tools.verification.endpoint import Endpoint

        return Endpoint(self._verification.verifier(), self._node, self._run_query)
