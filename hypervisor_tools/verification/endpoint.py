"""Sourcify's API v2 at a node, as an ASGI application.

- `POST /v2/verify/{chainId}/{address}`: start a verification.
- `GET /v2/verify/{verificationId}`: the state of a verification.
- `GET /v2/contract/{chainId}/{address}`, `/v2/contract/all-chains/{address}`: a verified contract.
- `GET /v2/contracts/{chainId}`: all verified contracts.

`localnet.rpc.server.clients` checks the host and the origin of each request first, as for JSON-RPC.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs

import orjson
from starlette.types import Receive, Scope, Send

from bridge.ethereum.addresses import checksummed, eth_address
from hypervisor_tools.verification.compilation import Submission, VerificationError, invalid_parameter
from hypervisor_tools.verification.jobs import Verifier, error_body, is_current, unverified
from localnet.addresses import filecoin_address
from localnet.rpc.errors import RpcError
from localnet.rpc.methods import QueryKind
from localnet.rpc.node import Node
from localnet.rpc.server.executors import RunQuery
from localnet.state.controls import code_of

_LOG = logging.getLogger(__name__)
_MAX_DISCARDED: Final = 64 << 20
"""Maximum number of bytes of an oversized body that are discarded; most clients send the whole body before reading."""
_MAX_READ: Final = 8
"""Maximum number of bodies that are received concurrently."""
_MAX_LISTED: Final = 200
_WAIT: Final = 5.0
"""Seconds that a request for a running job waits for its end."""
_PAUSE: Final = 0.05
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_SUMMARY: Final = ("match", "creationMatch", "runtimeMatch", "chainId", "address", "verifiedAt", "matchId")


class Endpoint:
    """The API of one node."""

    def __init__(self, verifier: Verifier, node: Node, run_query: RunQuery) -> None:
        self._verifier, self._node, self._run_query = verifier, node, run_query
        self._reading = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            status, response = await self._respond(scope, receive)
        except VerificationError as error:
            status, response = error.status, error_body(error.code, str(error))
        except RpcError as error:  # a query that was cancelled or exceeded its time limit
            status, response = 503, error_body("internal_error", error.message)
        except Exception:  # noqa: BLE001  # report any failure and keep serving
            _LOG.exception("%s %s failed", scope["method"], scope["path"])
            status, response = 500, error_body("internal_error", "The server encountered an unexpected error.")
        data = orjson.dumps(response)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
        if status >= 400:
            headers.append((b"connection", b"close"))  # the rest of a body may not have been read
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data})

    async def _respond(self, scope: Scope, receive: Receive) -> tuple[int, Any]:
        match scope["method"], scope["path"].split("/")[1:]:
            case "POST", ["v2", "verify", chain, address]:
                return 202, {"verificationId": await self._submit(self._chain(chain), _address(address), receive)}
            case "GET" | "HEAD", ["v2", "verify", name]:
                return 200, await self._job(name)
            case "GET" | "HEAD", ["v2", "contract", "all-chains", address]:
                found = await self._deployed_contract(_address(address))
                return (404, {"results": []}) if found is None else (200, {"results": [found["summary"]]})
            case "GET" | "HEAD", ["v2", "contract", chain, address]:
                return await self._contract(self._chain(chain), _address(address), _query(scope))
            case "GET" | "HEAD", ["v2", "contracts", chain]:
                return 200, {"results": await self._contracts(self._chain(chain))}
        raise VerificationError(
            "route_not_found",
            f"{scope['method']:.20} {scope['path']:.200} is not supported: use POST /v2/verify/CHAIN/ADDRESS with "
            "stdJsonInput",
            404,
        )

    async def _job(self, name: str) -> dict[str, Any]:
        """Return a job when it has ended, or after `_WAIT` seconds: forge polls only every 15 seconds."""
        job = self._verifier.job(name)
        if job is None:
            raise VerificationError("job_not_found", f"No verification job found for id {name:.100}", 404)
        deadline = time.monotonic() + _WAIT
        while job.finished is None and time.monotonic() < deadline:
            await asyncio.sleep(_PAUSE)
        return job.as_json()

    async def _submit(self, chain: int, address: str, receive: Receive) -> str:
        body = await self._body(receive)
        submission = await asyncio.to_thread(_submission, body)
        known = await self._deployed_contract(address)
        if known is not None and all(known["summary"].get(name) == "exact_match" for name in _SUMMARY[1:3]):
            raise VerificationError(
                "already_verified",
                f"Contract {known['summary']['address']} on chain {chain} is already verified with runtimeMatch and "
                "creationMatch both being exact matches.",
                409,
            )
        return self._verifier.submit(chain, address, submission)

    async def _body(self, receive: Receive) -> bytes:
        """Return the body of a request. Raises VerificationError if it is too large."""
        if self._reading >= _MAX_READ:
            text = f"{self._reading} requests are being received, at most {_MAX_READ}: try again later"
            raise VerificationError("too_many_requests", text, 503)
        self._reading += 1
        try:
            body, size, more, limit = bytearray(), 0, True, self._node.limits.body
            while more and size <= _MAX_DISCARDED:
                message = await receive()
                if message["type"] != "http.request":
                    raise VerificationError("invalid_json", "the client disconnected before the end of the body")
                size += len(message.get("body", b""))
                if size > limit:
                    body.clear()
                else:
                    body += message.get("body", b"")
                more = message.get("more_body", False)
        finally:
            self._reading -= 1
        if size > limit:
            raise VerificationError("invalid_parameter", f"the request exceeds {limit} bytes", 413)
        return bytes(body)

    async def _contract(self, chain: int, address: str, query: Mapping[str, str]) -> tuple[int, Any]:
        fields, omit = query.get("fields"), query.get("omit")
        if fields is not None and omit is not None:
            raise invalid_parameter("Cannot specify both fields and omit")
        found = await self._deployed_contract(address)
        if found is None:
            return 404, unverified(chain, address)
        available = found["fields"]
        if fields == "all":
            chosen = available
        elif omit is not None:
            left_out = _select_fields(available, omit)  # whole fields
            chosen = {name: value for name, value in available.items() if name not in left_out}
        else:
            chosen = {} if fields is None else _select_fields(available, fields)
        return 200, {**found["summary"], **chosen}

    async def _contracts(self, chain: int) -> list[Any]:
        """Return the summaries of the verified contracts, newest first."""
        found = []
        for address in self._verifier.stored.addresses()[:_MAX_LISTED]:
            entry = await self._deployed_contract(address)
            if entry is not None:
                found.append(entry["summary"])
        return found

    async def _deployed_contract(self, address: str) -> Mapping[str, Any] | None:
        """Return the stored contract if its code is deployed at the address now, or None."""
        entry = await asyncio.to_thread(self._verifier.stored.get, address)
        if entry is None:
            return None
        code = await self._run_query(
            lambda reader: code_of(reader.network.machine, filecoin_address(address)), QueryKind.QUERY
        )
        return entry if is_current(entry, code) and entry["summary"]["chainId"] == str(self._own_chain) else None

    def _chain(self, text: str) -> int:
        if text != str(self._own_chain):
            raise VerificationError(
                "unsupported_chain", f"Chain {text:.40} not found: this node's chain is {self._own_chain}"
            )
        return self._own_chain

    @property
    def _own_chain(self) -> int:
        return self._node.network.chain_id


def _submission(body: bytes) -> Submission:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise VerificationError("invalid_json", f"the body is not valid JSON: {error}"[:300]) from None
    return Submission.of(parsed)


def _address(text: str) -> str:
    """Return an address in lower-case hex. Raises VerificationError, also for a wrong checksum."""
    if _ADDRESS.fullmatch(text):
        digits = text[2:]
        is_plain = digits in (digits.lower(), digits.upper())
        if is_plain or checksummed(eth_address(bytes.fromhex(digits))) == text:
            return text.lower()
    raise invalid_parameter(f"Invalid address: {text:.100}")


def _query(scope: Scope) -> dict[str, str]:
    try:
        found = parse_qs(scope["query_string"].decode("ascii"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise invalid_parameter("the query string cannot be parsed") from None
    return {name: values[0] for name, values in found.items()}


def _select_fields(available: Mapping[str, Any], names: str) -> dict[str, Any]:
    """Return the named fields, such as `abi,compilation.name`. Raises VerificationError."""
    chosen: dict[str, Any] = {}
    for name in names.split(","):
        field, _, part = name.partition(".")
        if field in _SUMMARY and not part:
            continue
        whole = available.get(field)
        if field not in available or (part and not (isinstance(whole, Mapping) and part in whole)):
            raise invalid_parameter(
                f"Field selector {name:.80} is not a valid field: expected one of {', '.join(available)}"
            )
        if part:
            assert isinstance(whole, Mapping)
            chosen[field] = {**chosen.get(field, {}), part: whole[part]}
        else:
            chosen[field] = whole
    return chosen
