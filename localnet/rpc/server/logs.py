"""The node's log: its levels by area, its form, and a line for each request.

An area is a package of `localnet` (`rpc`, `chain`, `fork`, ...), or `requests`. Unless `configure` is called, requests
are not logged, and other warnings have Python's default form.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from hypervisor.errors import InvalidInput

REQUESTS: Final = logging.getLogger("localnet.rpc.requests")
"""Logger of requests: all at level debug, slow ones as warnings."""
REQUESTS.setLevel(logging.CRITICAL)
LEVELS: Final = ("debug", "info", "warning", "error")
_SLOW: Final = 1.0
"""Duration in seconds of a slow request."""
_MAX_ID: Final = 100
_FORMAT: Final = "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s"
_EXTRA: Final = ("method", "id", "client", "milliseconds", "error")


def configure(levels: Iterable[str], as_json: bool) -> None:
    """Log to standard error from now on, with time stamps.

    `levels` has entries of the form LEVEL, for all areas, and AREA=LEVEL. Raises InvalidInput.
    """
    root = logging.getLogger()
    wanted = {root: logging.INFO, REQUESTS: logging.NOTSET}
    for each in levels:
        area, _, level = each.rpartition("=")
        if level not in LEVELS:
            raise InvalidInput(f"--log-level {each}: '{level}' is not a level: expected one of {', '.join(LEVELS)}")
        logger = root if not area else REQUESTS if area == "requests" else logging.getLogger(f"localnet.{area}")
        wanted[logger] = logging.getLevelNamesMapping()[level.upper()]
    for logger, number in wanted.items():
        logger.setLevel(number)
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if as_json else _text_formatter())
    root.addHandler(handler)


def log_request(request: dict[str, Any], client: str, began: float, error: Exception | None) -> None:
    """Log a request that began at a time of `time.perf_counter`, and its error."""
    seconds = time.perf_counter() - began
    level = logging.WARNING if seconds >= _SLOW else logging.DEBUG
    if REQUESTS.isEnabledFor(level):
        number, text = str(request.get("id"))[:_MAX_ID], "" if error is None else f"{type(error).__name__}: {error}"
        values = repr(str(request["method"])[:_MAX_ID])[1:-1], number, client, round(1000 * seconds, 3), text
        REQUESTS.log(
            level, "%s id=%s client=%s ms=%s %s", *values, extra={"request": dict(zip(_EXTRA, values, strict=True))}
        )


def _text_formatter() -> logging.Formatter:
    formatter = logging.Formatter(_FORMAT, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    return formatter


class _Json(logging.Formatter):
    """A formatter that writes one JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry = {"time": moment, "level": record.levelname.lower(), "logger": record.name}
        entry |= getattr(record, "request", None) or {"message": record.getMessage()}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(entry, default=str).decode()
