"""The state of the node, for supervisors.

- `GET /healthz`: 200 while the node responds.
- `GET /readyz`: 200 while it takes changes, otherwise 503 with the reason. After a failed write, it tries another one.
- `GET /metrics`: figures for Prometheus (`localnet.rpc.server.prometheus`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localnet.rpc.node import Node
from localnet.rpc.server.dispatch import RunOnChain


def status_routes(node: Node, on_chain: RunOnChain, metrics: Callable[[], bytes] | None) -> list[Route]:
    """Return the routes over a node; `on_chain` runs functions on the chain's thread, `metrics` returns the metrics."""
    chain = node.network.chain

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "block": node.network.block_number})

    async def ready(_: Request) -> JSONResponse:
        reason = await on_chain(chain.check_writes) if chain.write_failure else ""
        if reason:
            return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)
        return JSONResponse({"status": "ok"})

    async def figures(_: Request) -> Response:
        assert metrics is not None, "the route exists only with metrics"
        return Response(await asyncio.to_thread(metrics), media_type="text/plain; version=0.0.4; charset=utf-8")

    routes = {"/healthz": health, "/readyz": ready} | ({} if metrics is None else {"/metrics": figures})
    return [Route(path, answer, methods=["GET"]) for path, answer in routes.items()]
