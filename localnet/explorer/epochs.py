"""Pages of epochs and blocks, also of those before a fork, which are read from the forked Ethereum node.

The page of an epoch has its tipset, header, messages and receipts, or says that it is a null round.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from bridge.ethereum.addresses import EthAddress
from localnet.explorer.message_rows import MessageRow, Party, RowBuilder
from localnet.explorer.site import (
    FoundPage,
    PageError,
    PageRequest,
    PageResponse,
    Site,
    malformed,
    not_found,
    parse_number,
    quote_value,
)
from localnet.fork.node_client import NodeError
from localnet.fork.remote_chain import MAX_CODE_BYTES
from localnet.fork.response_values import bytes_of, quantity, unsigned, word_of
from localnet.ledger.blocks import block_hash, producer_of, tipset_key
from localnet.ledger.records import GENESIS_PARENT, NullRound, Tipset
from localnet.rpc.lotus_values import header_json
from localnet.rpc.node import NodeReader
from store.blockstore import BlockNotFound
from store.cid import DAG_CBOR, Cid, CidError, codec_of, parse_cid, show
from store.codec import CodecError, decode
from store.dag_json import encode_json

T = TypeVar("T")

_TRANSACTIONS: Final = 100
_MAX_LOGS: Final = 1_000
_SELECTOR_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class ForkedLog:
    """A log of a forked transaction, as text."""

    emitter: Party
    topics: tuple[str, ...]
    data: str


def is_before_fork(reader: NodeReader, height: int) -> bool:
    """Return True if the forked node has the block, which includes the block after which the fork begins."""
    history = reader.network.chain.history
    return history is not None and height <= history.last


def forked_block_page(site: Site, reader: NodeReader, request: PageRequest, number: int) -> PageResponse:
    """Return the page of a block from before the fork, with its transactions. Raises PageError."""
    history = reader.network.chain.history
    assert history is not None, "the caller checked is_before_fork"
    block, receipts = _request(lambda: (history.block(number, True), history.receipts(number)))
    if block is None:
        raise not_found(f"the forked node has no block {number}")
    sent, receipts = block["transactions"], receipts or []
    first = min(request.number("from", 0), max(0, len(sent) - 1))
    last = min(first + _TRANSACTIONS, len(sent))

    def values() -> dict[str, Any]:
        ended = {receipt["transactionHash"]: receipt for receipt in receipts}
        return {
            "number": number,
            "hash": _hex(block["hash"]),
            "time": unsigned(quantity(block["timestamp"])),
            "base_fee": quantity(block.get("baseFeePerGas") or "0x0"),
            "gas_used": quantity(block["gasUsed"]),
            "miner": _party(site, block["miner"]),
            "total": len(sent),
            "rows": [_row(site, each, ended[each["hash"]], number) for each in sent[first:last]],
            "first": first,
            "more": None if last >= len(sent) else last,
        }

    return PageResponse(site.page(reader, "forked_block.html", **_request(values)))


def forked_transaction_page(site: Site, reader: NodeReader, transaction_hash: bytes) -> PageResponse | None:
    """Return the page of a transaction from before the fork, or None if it is unknown. Raises PageError."""
    history = reader.network.chain.history
    if history is None:
        return None
    sent, receipt = _request(lambda: (history.transaction(transaction_hash), history.receipt(transaction_hash)))
    if sent is None or receipt is None:
        return None

    def values() -> dict[str, Any]:
        logs = receipt["logs"][:_MAX_LOGS]
        return {
            "row": _row(site, sent, receipt, unsigned(quantity(receipt["blockNumber"]))),
            "nonce": quantity(sent["nonce"]),
            "price": quantity(receipt.get("effectiveGasPrice") or sent.get("gasPrice") or "0x0"),
            "input": _hex(sent["input"]),
            "logs": [
                ForkedLog(_party(site, log["address"]), tuple(map(_hex, log["topics"])), _hex(log["data"]))
                for log in logs
            ],
        }

    return PageResponse(site.page(reader, "forked_transaction.html", **_request(values)))


def find_forked(reader: NodeReader, wanted: bytes) -> FoundPage | None:
    """Find a transaction or block from before the fork by hash; None if there is none. Raises PageError."""
    history = reader.network.chain.history
    if history is None:
        return None
    if _request(lambda: history.transaction(wanted)) is not None:
        return FoundPage(f"/tx/0x{wanted.hex()}", f"0x{wanted.hex()}", "transaction before the fork")
    number = _request(lambda: history.number_of(wanted))
    return None if number is None else FoundPage(f"/epoch/{number}", str(number), "block before the fork")


def _request(ask: Callable[[], T]) -> T:
    """Return the result of a request to the forked node. Raises PageError if it fails or has another shape."""
    try:
        return ask()
    except NodeError as error:
        raise PageError(502, "The forked node does not respond", str(error)) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        text = f"expected a response of an Ethereum node: reading it raised {error!r:.200}"
        raise PageError(502, "Invalid response of the forked node", text) from None


def _row(site: Site, sent: Mapping[str, Any], receipt: Mapping[str, Any], number: int) -> MessageRow:
    succeeded = quantity(receipt.get("status") or "0x1") == 1
    created = receipt.get("contractAddress") if sent.get("to") is None else None
    receiver = sent.get("to") or created
    data = bytes_of(sent["input"], MAX_CODE_BYTES)
    method = f"0x{data[:_SELECTOR_BYTES].hex()}" if data else "transfer"
    return MessageRow(
        hash=_hex(sent["hash"]),
        epoch=number,
        index=unsigned(quantity(receipt["transactionIndex"])),
        sender=_party(site, sent["from"]),
        receiver=None if receiver is None else _party(site, receiver),
        method="create contract" if sent.get("to") is None else method,
        value=quantity(sent["value"]),
        gas=quantity(receipt["gasUsed"]),
        failed=not succeeded,
        end="ok" if succeeded else "reverted",
    )


def _party(site: Site, text: str) -> Party:
    address = EthAddress(word_of(text, 20))
    return Party(f"0x{address.hex()}", site.name_of(address))


def _hex(text: Any) -> str:
    return f"0x{bytes_of(text, MAX_CODE_BYTES).hex()}"


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
