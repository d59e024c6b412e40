"""The page of an epoch: its tipset, header, messages and receipts, or a null round."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from localnet.explorer.forked_pages import forked_block_page, is_before_fork
from localnet.explorer.message_rows import RowBuilder
from localnet.explorer.responses import PageRequest, PageResponse, malformed, not_found, parse_number, quote_value
from localnet.explorer.site import Site
from localnet.ledger.blocks import block_hash, producer_of, tipset_key
from localnet.ledger.records import GENESIS_PARENT, NullRound, Tipset
from localnet.rpc.lotus_shapes import header_json
from localnet.rpc.node import NodeReader
from store.blockstore import BlockNotFound
from store.cid import DAG_CBOR, Cid, CidError, codec_of, parse_cid, show
from store.codec import CodecError, decode
from store.dag_json import encode_json

_MESSAGES: Final = 100
_MAX_DISPLAY_BYTES: Final = 64 << 10
"""Maximum size in bytes of a stored block that is shown as text."""


@dataclass(frozen=True, slots=True)
class HeaderField:
    """A field of a block header: its linked CIDs, or its value as JSON."""

    name: str
    cids: tuple[str, ...]
    text: str


def show_epoch(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return the page of the requested epoch."""
    height = parse_number(request.path_params["epoch"], "the epoch")
    index, head = reader.network.chain.index, reader.network.head.height
    if is_before_fork(reader, height):
        return forked_block_page(site, reader, request, height)
    found = index.at(height)
    if found is None:
        first = f"is before the chain's first, {index.first}{reader.network.chain.before_the_fork}"
        where = f"is above the head, {head}" if height > head else first
        raise not_found(f"epoch {height} {where}")
    if isinstance(found, NullRound):
        after = index.tipset(found.after)
        implicit = after.implicit if after.height <= reader.network.executed_head.height else ()
        cron = f"0x{implicit[height - found.before - 1].hex()}" if implicit else ""  # cron of null rounds comes first
        around = {"epoch": height, "before": found.before, "after": found.after, "cron": cron}
        return PageResponse(site.page(reader, "null_round.html", **around))
    return _tipset_page(site, reader, request, found)


def show_block(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return the page of the epoch with a block CID, or the content of any other block in the store."""
    cid = read_cid(request.path_params["cid"])
    tipset = reader.network.chain.index.by_hash(block_hash(tipset_key([cid])))
    if tipset is not None and tipset.block == cid:
        return _tipset_page(site, reader, request, tipset)
    try:
        data = reader.network.machine.store.get(cid)
    except BlockNotFound:
        raise not_found(f"the store has no block {show(cid)}") from None
    return PageResponse(site.page(reader, "block.html", cid=cid, size=len(data), content=_content(cid, data)))


def read_cid(text: str) -> Cid:
    """Parse a CID in a page address. Raises PageError 400."""
    try:
        return parse_cid(text)
    except CidError as error:
        raise malformed(f"{quote_value(text)} is not a CID: {error}") from None


def _content(cid: Cid, data: bytes) -> str:
    """Return a block as DAG-JSON, or as hex if it is not DAG-CBOR or is too large."""
    if len(data) <= _MAX_DISPLAY_BYTES and codec_of(cid) == DAG_CBOR:
        try:
            return encode_json(decode(data))
        except CodecError:
            pass  # shown in hex
    return f"0x{data[: _MAX_DISPLAY_BYTES // 2].hex()}"


def _tipset_page(site: Site, reader: NodeReader, request: PageRequest, tipset: Tipset) -> PageResponse:
    network = reader.network
    index, rows = network.chain.index, RowBuilder(site, reader)
    above = index.at(tipset.height + 1)
    after = above.after if isinstance(above, NullRound) else tipset.height + 1 if above is not None else None
    has_receipts = tipset.height <= network.executed_head.height
    first = min(request.number("from", 0), max(0, len(tipset.transactions) - 1))
    places = range(first, min(first + _MESSAGES, len(tipset.transactions))) if has_receipts else range(0)
    return PageResponse(
        site.page(
            reader,
            "epoch.html",
            tipset=tipset,
            header=_header(header_json(network, tipset.block)),
            raw=f"0x{network.machine.store.get(tipset.block).hex()}",
            producer=producer_of(network.machine.store, tipset.block),
            version=network.chain.record.upgrades.version_at(tipset.height),
            before=None if tipset.parent < index.first else tipset.parent,
            after=after,
            executed=tipset.parent != GENESIS_PARENT,
            has_receipts=has_receipts,
            messages=[rows.row(index.receipt_at(tipset, position)) for position in places],
            implicit=[rows.row(receipt) for receipt in index.implicit_receipts(tipset, _MESSAGES)]
            if has_receipts
            else [],
            first=first,
            more=None if places.stop >= len(tipset.transactions) else places.stop,
        )
    )


def _header(fields: Mapping[str, Any]) -> list[HeaderField]:
    """Return a header's fields, named as in Filecoin nodes."""
    found = []
    for name, value in fields.items():
        links = value if isinstance(value, list) else [value]
        cids = tuple(str(each["/"]) for each in links if isinstance(each, dict) and set(each) == {"/"})
        found.append(HeaderField(name, cids, "" if cids else json.dumps(value)))
    return found
