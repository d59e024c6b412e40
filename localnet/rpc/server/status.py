"""The state of the node, for supervisors.

- `GET /healthz`: 200 while the node responds.
- `GET /readyz`: 200 while it takes changes, otherwise 503 with the reason. After a failed write, it tries another one.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from localnet.rpc.node import Node
from localnet.rpc.server.dispatch import RunOnChain


def status_routes(node: Node, on_chain: RunOnChain) -> list[Route]:
    """Return the routes over a node; `on_chain` runs functions on the chain's thread."""
    chain = node.network.chain

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "block": node.network.block_number})

    async def ready(_: Request) -> JSONResponse:
        reason = await on_chain(chain.check_writes) if chain.write_failure else ""
        if reason:
            return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)
        return JSONResponse({"status": "ok"})

    return [Route("/healthz", health, methods=["GET"]), Route("/readyz", ready, methods=["GET"])]
