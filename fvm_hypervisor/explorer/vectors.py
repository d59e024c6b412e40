"""Download of a message as a test vector, created by a function that the program passes to the explorer."""

from __future__ import annotations

from functools import partial

from fvm_hypervisor.explorer.answers import LaterAnswer, PageAnswer, PageError, PageRequest
from fvm_hypervisor.explorer.messages import wanted_receipt
from fvm_hypervisor.explorer.site import MakeVector, NoVector, Site
from localnet.rpc.node import NodeReader

_JSON = "application/json"


def show_vector(site: Site, reader: NodeReader, request: PageRequest) -> LaterAnswer:
    """Return the test vector of a message in the official format. Building it sends requests to this node."""
    receipt = wanted_receipt(reader, request)
    if not site.makes_vectors(reader):
        raise PageError(
            404, "Not found", "this node cannot create vectors: use `hypervisor extract` on the chain's folder"
        )
    assert site.vectors is not None, "it makes vectors"
    return LaterAnswer(partial(_answer, site.vectors, f"0x{receipt.hash.hex()}"))


def _answer(vectors: MakeVector, wanted: str) -> PageAnswer:
    try:
        return PageAnswer(vectors(wanted).encode(), content_type=_JSON)
    except NoVector as error:
        raise PageError(404, "No vector", str(error)) from None
