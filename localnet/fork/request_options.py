"""Options for the requests that a fork sends to its node: timeout, retries, rate limit and headers.

The options and their defaults are anvil's (crates/anvil/src/config.rs). Rate-limit errors are recognised by the
error codes and messages of large RPC providers.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from threading import Lock
from typing import Any, Final

from hypervisor.errors import InvalidInput

_COST: Final = 17
"""Average cost of a request in compute units, anvil's estimate."""
_RETRIED: Final = frozenset({429, 502, 503, 504})
_RATE_WORDS: Final = re.compile(
    r"rate.?limit|rate exceeded|request limit|too many requests|credits limited|compute units|request count exceeded",
    re.IGNORECASE,
)
_MAX_WAIT: Final = 60.0
"""Maximum number of seconds between two attempts, which also limits a node's `Retry-After`."""
_HEADER: Final = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*:\s*([\x20-\x7e\t]*?)\s*")
_SET_BY_CLIENT: Final = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection"})


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """Timeout in seconds for one attempt, number of retries, seconds before the first retry, and HTTP headers.

    After a node has rate-limited a request, requests are limited to `compute_units` per second, with 17 units for each
    request; None sets no limit. With `offline`, no request is sent: responses come from the cache.
    """

    timeout: float = 45.0
    retries: int = 5
    backoff: float = 1.0
    compute_units: int | None = 330
    headers: tuple[tuple[str, str], ...] = ()
    offline: bool = False


FORK_REQUESTS: Final = RequestOptions()
OFFLINE: Final = RequestOptions(offline=True)


def header(text: str) -> tuple[str, str]:
    """Parse an HTTP header, `Name: value`. Raises InvalidInput."""
    found = _HEADER.fullmatch(text)
    if found is None:
        raise InvalidInput(f"'{text.partition(':')[0]:.40}' is not an HTTP header: write it as 'Name: value'")
    if found[1].lower() in _SET_BY_CLIENT:
        raise InvalidInput(f"the header {found[1]} is set automatically: omit it")
    return found[1], found[2]


def headers(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Parse several HTTP headers. Raises InvalidInput."""
    return tuple(header(text) for text in texts)


def is_rate_limited(error: Mapping[str, Any]) -> bool:
    """Return True if a JSON-RPC error means that the client exceeded the node's rate limit."""
    return (
        error.get("code") == HTTPStatus.TOO_MANY_REQUESTS or _RATE_WORDS.search(str(error.get("message"))) is not None
    )


def is_temporary(status: int) -> bool:
    """Return True if an HTTP status asks the client to try again later."""
    return status in _RETRIED


class Retries:
    """Delays between the attempts of one client. Thread-safe."""

    def __init__(self, options: RequestOptions) -> None:
        self._options = options
        self._lock = Lock()
        self._next: float | None = None
        """Monotonic time of the next request; None until the node first rate-limits a request."""

    def wait_for_turn(self) -> None:
        """Sleep until the rate limit allows another request."""
        if self._next is None or self._options.compute_units is None:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + _COST / self._options.compute_units
        time.sleep(turn - now)

    def wait_for_retry(self, attempt: int, after: float | None, *, limited: bool) -> bool:
        """Sleep before another attempt; return False if `attempt` (0 for the first one) was the last.

        `after` is the delay in seconds that the node requests. `limited` is True if the node rate-limited the request.
        """
        if attempt >= self._options.retries:
            return False
        if limited:
            with self._lock:
                self._next = self._next or time.monotonic()
        wait = self._options.backoff * 2**attempt if after is None else after
        time.sleep(min(wait, _MAX_WAIT))
        return True


def seconds_after(value: str | None) -> float | None:
    """Parse the header `Retry-After` in seconds; None for a date or a missing header."""
    return float(value) if value is not None and re.fullmatch(r"[0-9]{1,6}", value.strip()) else None
