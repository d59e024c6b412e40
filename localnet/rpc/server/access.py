"""Clients of the node: their rights, by bearer token, and their limits, by token or else by address."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from localnet.rpc.errors import LIMIT_EXCEEDED, SERVER_ERROR, RpcError
from localnet.rpc.methods import Method
from localnet.rpc.tokens import Right, Tokens, right_for

_MAX_KNOWN: Final = 10_000
"""Maximum number of clients whose use is known; above it, that of the oldest is forgotten."""
_BEARER: Final = "bearer "


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """Limits of a client: concurrent queries, requests per second, seconds per batch. None for no limit."""

    queries: int | None = None
    rate: float | None = None
    batch: float | None = None


class Client:
    """A client with its rights and its use of the limits. For the event loop's thread."""

    def __init__(self, name: str = "", right: Right = Right.ADMIN, limits: ClientLimits | None = None) -> None:
        self.name, self._right, self.limits = name, right, limits or ClientLimits()
        self.queries = None if self.limits.queries is None else asyncio.Semaphore(self.limits.queries)
        """Acquired during a query, so that the queries of a client wait for each other."""
        self._free, self._counted = max(self.limits.rate or 0.0, 1.0), time.monotonic()

    @property
    def may_send(self) -> bool:
        """True if the client may send transactions."""
        return self._right >= Right.WRITE

    def may(self, method: Method) -> bool:
        """Return True if the client has the right for a method."""
        return self._right is Right.ADMIN or self._right >= right_for(method.name)

    def check(self, method: Method) -> None:
        """Raise RpcError if the client lacks the right for a method."""
        if not self.may(method):
            right = right_for(method.name).name.lower()
            remedy = "pass a token with it (Authorization: Bearer TOKEN, or ?token=TOKEN in the URL)"
            text = f"missing permission to invoke '{method.name}' (need '{right}')"
            raise RpcError(SERVER_ERROR, f"{text}: this client has '{self._right.name.lower()}'; {remedy}")

    def count(self) -> None:
        """Count a request. Raises RpcError -32000 if there are too many."""
        rate = self.limits.rate
        if rate is None:
            return
        now = time.monotonic()
        self._free = min(max(rate, 1.0), self._free + rate * (now - self._counted))
        self._counted = now
        if self._free < 1:
            raise RpcError(LIMIT_EXCEEDED, f"more than {rate:g} requests per second: send fewer")
        self._free -= 1


CLIENT: Final = "hypervisor.client"
"""Key of the client in the scope of a request."""
ANYBODY: Final = Client()
"""A client with all rights, such as a program that uses the dispatcher directly."""


class Clients:
    """All clients by token, or else by address."""

    def __init__(
        self, tokens: Tokens | None = None, limits: ClientLimits | None = None, trusts_forwarded: bool = False
    ) -> None:
        """Without `tokens`, all clients have all rights. With `trusts_forwarded`, a proxy names their addresses."""
        self._tokens, self._limits, self._trusts_forwarded = tokens, limits, trusts_forwarded
        self._has_headers = tokens is not None or trusts_forwarded
        self._known: dict[tuple[str, Right], Client] = {}

    def find(self, address: str, headers: Iterable[tuple[bytes, bytes]], query: bytes = b"") -> Client | None:
        """Return the client of a request with these headers and query string; None if its token is unknown."""
        if not self._has_headers:
            return self._client(address, Right.ADMIN)
        token = ""
        for name, value in headers:
            if name == b"authorization":
                text = value.decode("latin-1")
                token = text[len(_BEARER) :].strip() if text.lower().startswith(_BEARER) else text
            elif name == b"x-forwarded-for" and self._trusts_forwarded:
                address = value.decode("latin-1").split(",")[-1].strip()  # the last proxy has appended it
        if self._tokens is None:
            return self._client(address, Right.ADMIN)
        token = token or parse_qs(query.decode("latin-1")).get("token", [""])[0]
        if not token:
            return self._client(address, Right.READ)
        found = self._tokens.find(token)
        return None if found is None else self._client(found[1], found[0])

    def _client(self, name: str, right: Right) -> Client:
        key = name, right
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MAX_KNOWN:
                del self._known[next(iter(self._known))]
            found = self._known[key] = Client(name, right, self._limits)
        return found
