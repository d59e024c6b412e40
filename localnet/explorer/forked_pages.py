"""Pages of blocks and transactions before a fork, from the forked Ethereum node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from bridge.ethereum.addresses import EthAddress
from localnet.explorer.message_rows import MessageRow, Party
from localnet.explorer.responses import FoundPage, PageError, PageRequest, PageResponse, not_found
from localnet.explorer.site import Site
from localnet.fork.node_client import NodeError
from localnet.fork.remote_chain import MAX_CODE_BYTES
from localnet.fork.response_values import bytes_of, quantity, unsigned, word_of
from localnet.rpc.node import NodeReader

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
