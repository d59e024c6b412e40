"""The page of a contract's verified sources: the match, the compiler with its settings, and one source at a time."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from hypervisor.text import printable
from localnet.explorer.actors import find_actor
from localnet.explorer.responses import PageRequest, PageResponse, not_found, quote_value
from localnet.explorer.site import Site
from localnet.rpc.node import NodeReader

_MAX_TEXT: Final = 1_000_000
"""Maximum number of characters of a source on its page."""


def show_source(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return the page of the source that the query names, by default the one with the contract."""
    machine = reader.network.machine
    actor = find_actor(machine, request.path_params["address"])
    found = site.source_of(machine, actor.address)
    if found is None:
        raise not_found(
            f"no sources of {quote_value(request.path_params['address'])} are verified: `forge verify-contract "
            "--verifier sourcify --verifier-url` sends them to this node"
        )
    file = request.query.get("file", found.file)
    if file not in found.sources:
        raise not_found(f"the verified sources have no file {quote_value(file)}")
    at = f"/actor/{quote(request.path_params['address'])}"
    return PageResponse(
        site.page(
            reader,
            "source.html",
            actor=actor,
            at=at,
            found=found,
            files=sorted(found.sources),
            file=file,
            text=_lines(found.sources[file]),
            settings=_lines(found.settings),
        )
    )


def _lines(text: str) -> str:
    """Return text in lines whose other control characters are escaped, up to a size limit."""
    lines = text[:_MAX_TEXT].expandtabs(4).splitlines()
    return "\n".join(printable(line, _MAX_TEXT) for line in lines) + ("\n..." if len(text) > _MAX_TEXT else "")
