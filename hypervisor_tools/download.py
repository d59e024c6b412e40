"""Download of a file over HTTP: streamed, limited in size, and resumed after an interruption.

The caller verifies the contents (`hypervisor_tools.bundles`). Sources: RFC 9110, sections 14 (ranges) and 15.4
(redirects).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Final
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from hypervisor.errors import HypervisorError, InvalidInput

TIMEOUT: Final = 30.0
"""Seconds without data after which a download fails."""

_CHUNK: Final = 1 << 16
_NOT_SATISFIABLE: Final = 416
_PARTIAL: Final = 206
_HANDLERS: Final = (
    request.ProxyHandler, request.UnknownHandler, request.HTTPHandler, request.HTTPSHandler,
    request.HTTPDefaultErrorHandler, request.HTTPRedirectHandler, request.HTTPErrorProcessor,
)  # fmt: skip
"""Handlers of an opener for HTTP only; urllib's default opener also follows redirects to local files and FTP."""


class DownloadFailed(HypervisorError):
    """Raised if a download is incomplete; the received part is kept for the next attempt."""


def download(
    url: str, part: Path, limit: int, progress: Callable[[int], None] | None = None, timeout: float = TIMEOUT
) -> None:
    """Download `url` into `part`, continuing a partial file; at most `limit` bytes.

    `progress` receives the number of bytes. A server that sends nothing for `timeout` seconds counts as unreachable.

    Raises InvalidInput for a scheme other than HTTP or a longer file (which is deleted), DownloadFailed, and OSError if
    the file cannot be written.
    """
    _check_address(url)
    have = part.stat().st_size if part.exists() else 0
    try:
        with _open(url, have, timeout) as response:
            start = have if response.status == _PARTIAL and _first_byte(response) == have else 0
            if response.status == _PARTIAL and not start:
                part.unlink(missing_ok=True)
                raise DownloadFailed(f"{url}: the server sent another byte range than requested")
            _receive(response, part, start, limit, url, progress)
    except HTTPError as error:
        error.close()
        if error.code != _NOT_SATISFIABLE or not have:
            raise DownloadFailed(f"{url}: the server responded with {error.code} {error.reason}") from None
        size = _number((error.headers.get("Content-Range") or "").rpartition("/")[2])
        if size != have:  # the partial file is not a prefix of the server's file
            part.unlink()
            download(url, part, limit, progress, timeout)


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port):
            return
    except ValueError:  # invalid port or IPv6 address
        pass
    raise InvalidInput(f"'{url}' cannot be downloaded: expected an address that begins with https:// or http://")


def _open(url: str, have: int, timeout: float) -> HTTPResponse:
    opener = request.OpenerDirector()
    for handler in _HANDLERS:
        opener.add_handler(handler())
    wanted = request.Request(url, headers={"User-Agent": "hypervisor"})  # noqa: S310 - `_check_address` has checked the scheme
    if have:
        wanted.add_header("Range", f"bytes={have}-")
    try:
        response: HTTPResponse = opener.open(wanted, timeout=timeout)
    except HTTPError:
        raise
    except (OSError, HTTPException, ValueError, OverflowError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise DownloadFailed(f"{url} cannot be reached: {reason}") from None
    return response


def _receive(
    response: HTTPResponse, part: Path, start: int, limit: int, url: str, progress: Callable[[int], None] | None
) -> None:
    length = _number(response.headers.get("Content-Length"))
    whole = None if length is None else start + length
    with part.open("r+b" if start else "wb") as file:
        done = file.seek(start)
        while done <= limit and (whole is None or whole <= limit) and (chunk := _read(response, url)):
            file.write(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done)
    if max(done, whole or 0) > limit:
        part.unlink()
        raise InvalidInput(f"{url} sends more than {limit:,} bytes: it is not the expected file")
    if whole is not None and done < whole:
        raise DownloadFailed(f"{url}: the connection ended after {done:,} of {whole:,} bytes")


def _read(response: HTTPResponse, url: str) -> bytes:
    try:
        return response.read(_CHUNK)
    except (OSError, HTTPException) as error:  # errors of the written file are not caught
        raise DownloadFailed(f"{url}: {error or type(error).__name__}") from None


def _first_byte(response: HTTPResponse) -> int | None:
    return _number((response.headers.get("Content-Range") or "").removeprefix("bytes ").partition("-")[0])


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) else None
