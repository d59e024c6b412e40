"""A client of a verification service with Sourcify's API v2, and its request for a compiled contract of a project.

Responses are untrusted.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import orjson

from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.text import printable
from localnet.fork.urls import redacted_url, redirect_text
from store.keccak import keccak

_TIMEOUT: Final = 60.0
"""Timeout of a request in seconds."""
_PAUSE: Final = 0.5
_MAX_RESPONSE_BYTES: Final = 1 << 20
"""Maximum size of a response in bytes."""
_ID: Final = re.compile(r"[0-9A-Za-z-]{1,100}")
_ALREADY: Final = "already_verified"


class NotVerified(HypervisorError):
    """Raised with the service's reason if a contract is not verified."""


def request_of(metadata: Mapping[str, Any], texts: Mapping[str, str], transaction: str | None = None) -> dict[str, Any]:
    """Return the request for a contract with this compiler metadata; `texts` are the project's sources.

    Raises InvalidInput if the metadata are malformed, or a source has changed since the compilation.
    """
    try:
        ((file, name),) = metadata["settings"]["compilationTarget"].items()
        hashes = {str(path): str(found["keccak256"]) for path, found in metadata["sources"].items()}
        settings = {key: value for key, value in metadata["settings"].items() if key != "compilationTarget"}
        libraries: dict[str, dict[str, str]] = {}
        for key, address in settings.pop("libraries", {}).items():
            path, _, library = key.rpartition(":")
            libraries.setdefault(path, {})[library] = address
        version = str(metadata["compiler"]["version"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"the metadata in the contract's artifact are malformed: {error!r:.200}") from None
    for path, digest in hashes.items():
        if f"0x{keccak(texts.get(path, '').encode()).hex()}" != digest:
            raise InvalidInput(f"{path} is not the source that was compiled: compile again with --force")
    return {
        "stdJsonInput": {
            "language": "Solidity",
            "sources": {path: {"content": texts[path]} for path in hashes},
            "settings": {**settings, **({"libraries": libraries} if libraries else {})},
        },
        "compilerVersion": version,
        "contractIdentifier": f"{file}:{name}",
        **({} if transaction is None else {"creationTransactionHash": transaction}),
    }


class _NoRedirects(HTTPRedirectHandler):
    """A handler that raises HTTPError for a redirect."""

    def redirect_request(self, *_: object) -> None:
        """Return None, so that no request is sent."""


class VerificationService:
    """A service at a URL, such as a node's."""

    def __init__(self, url: str) -> None:
        """Create a client. Raises InvalidInput for another scheme than http or https."""
        if not url.startswith(("http://", "https://")):
            raise InvalidInput(
                f"{redacted_url(url)} is not the URL of a verification service: expected http://HOST:PORT"
            )
        self._url, self._opener = url.rstrip("/"), build_opener(ProxyHandler({}), _NoRedirects())

    def verify(self, chain: int, address: str, request: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Return the summary of a verified contract.

        Raises NotVerified with the service's reason, InvalidInput if the service is unreachable or does not finish in
        time.
        """
        status, response = self._request(f"verify/{chain}/{address}", orjson.dumps(request))
        if status == 409:
            return self._contract(chain, address)
        name = response.get("verificationId")
        if status != 202 or not isinstance(name, str) or not _ID.fullmatch(name):
            raise InvalidInput(
                f"{redacted_url(self._url)} refused the request with status {status}: {_reason(response)}"
            )
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            _, job = self._request(f"verify/{name}")
            if job.get("isJobCompleted") is True:
                return self._await_result(job, chain, address)
            time.sleep(_PAUSE)
        raise InvalidInput(f"the verification has not ended after {seconds:g} seconds: pass a larger --timeout")

    def _await_result(self, job: Mapping[str, Any], chain: int, address: str) -> dict[str, Any]:
        error = job.get("error")
        if isinstance(error, dict) and error.get("customCode") == _ALREADY:
            return self._contract(chain, address)
        contract = job.get("contract")
        if error is not None or not isinstance(contract, dict):
            raise NotVerified(_reason(error))
        return contract

    def _contract(self, chain: int, address: str) -> dict[str, Any]:
        return self._request(f"contract/{chain}/{address}")[1]

    def _request(self, path: str, data: bytes | None = None) -> tuple[int, dict[str, Any]]:
        """Return the status and the JSON object of a response. Raises InvalidInput."""
        request = Request(f"{self._url}/v2/{path}", data, {"Content-Type": "application/json"})  # noqa: S310  # http(s)
        redirect: str | None = None
        try:
            try:
                with self._opener.open(request, timeout=_TIMEOUT) as response:
                    status, content = response.status, response.read(_MAX_RESPONSE_BYTES + 1)
            except HTTPError as error:
                with error:
                    redirect = redirect_text(self._url, error.code, error.headers.get("location"))
                    status, content = error.code, error.read(_MAX_RESPONSE_BYTES + 1)
            found = orjson.loads(content) if redirect is None else None
        except (OSError, HTTPException, ValueError) as error:
            raise InvalidInput(
                f"no verification service answers at {redacted_url(self._url)} ({error!s:.200}): start a node with "
                "`hypervisor node`, or name another service with --verifier-url"
            ) from None
        if redirect is not None:
            raise InvalidInput(redirect)
        if not isinstance(found, dict):
            raise InvalidInput(f"{redacted_url(self._url)} is not a verification service: it returned other JSON")
        return status, found


def _reason(error: Any) -> str:
    if not isinstance(error, dict):
        return "no reason is given"
    return printable(f"{error.get('customCode')}: {error.get('message') or error.get('error')}", 2_000)
