"""Pages of messages: the reason of a failure, the calls on both runtimes, events, gas, and formats to copy.

The message is executed again for each page, on its original state; traces are not stored. The implicit messages of an
epoch, rewards and cron, have the same kind of page.

Calls are collapsible rows, with the `<details>` elements that each row opens and closes. Rows below the depth
`MAX_DEPTH` are flat and state their depth, because browsers limit the depth of a page. The code is iterative, since
calls can be 1,024 deep.

Formats that reproduce a message are a cast command, a Python test, and a Solidity test. They contain fixed text and hex
only, so untrusted text cannot enter them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from bridge.ethereum.addresses import checksummed
from hypervisor.exit_codes import exit_meaning
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.text import printable
from localnet.contracts.artifacts import ArtifactFolders
from localnet.contracts.named_interface import NamedInterface
from localnet.explorer.epochs import forked_transaction_page, read_cid
from localnet.explorer.message_rows import EventRow, EventRows, RowBuilder
from localnet.explorer.site import (
    COLLECTED_REMEDY,
    SVG,
    PageRequest,
    PageResponse,
    Site,
    collected_text,
    malformed,
    not_found,
    parse_number,
    quote_value,
)
from localnet.ledger.call_tree import all_charges
from localnet.ledger.records import TransactionReceipt
from localnet.rpc.errors import RpcError
from localnet.rpc.filecoin.chain import receipt_of
from localnet.rpc.node import NodeReader
from localnet.rpc.shapes import transaction_json
from localnet.rpc.values import hash32
from localnet.traces.call_places import InstructionPlaces, add_lines, call_places, called_interfaces, failure_line
from localnet.traces.console_log import is_log, line_of
from localnet.traces.trace import epoch_trace, recorded_call, trace
from localnet.traces.trace_report import PART_OF, decode_calls, explain_trace, flame, has_failed
from store.cid import show

MAX_DEPTH: Final = 32
PAGE: Final = 250
"""Maximum number of calls on one page."""
_UNFOLDED: Final = 60
"""Number of calls up to which all are expanded initially; above it, only failed ones and the first two levels."""


@dataclass(slots=True)
class CallRow:
    """The row of a call. `index` is its number in call order; `share` is its percentage of the message's gas."""

    index: int
    depth: int
    call: Mapping[str, Any]
    inner: int
    failed: bool
    cause: bool
    share: float
    log: str = ""
    opens: bool = False
    unfolded: bool = False
    closes: int = 0


def call_rows(report: Mapping[str, Any], first: int = 0, limit: int = PAGE) -> tuple[list[CallRow], int]:
    """Return the rows of calls from `first` on, in execution order, and the total number of calls."""
    gas = max(1, int(report.get("gasUsed") or sum(call["gas"] for call in report["calls"])))
    cause, flat = _cause(report), calls_in_order(report["calls"])
    rows = [
        CallRow(
            first + number,
            depth,
            call,
            len(call["calls"]),
            has_failed(call),
            call is cause,
            100 * call["gas"] / gas,
            line_of(call) if is_log(call["to"]) else "",
        )
        for number, (depth, call) in enumerate(flat[first : first + limit])
    ]
    _nest(rows, all_open=len(flat) <= _UNFOLDED)
    return rows, len(flat)


def caught(calls: Sequence[Mapping[str, Any]], limit: int = 5) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the innermost failed calls with their positions; in a successful message, these failures were caught."""
    return [
        (index, call)
        for index, (_, call) in enumerate(calls_in_order(calls))
        if has_failed(call) and not any(has_failed(below) for below in call["calls"])
    ][:limit]


def calls_in_order(calls: Sequence[Mapping[str, Any]]) -> list[tuple[int, Mapping[str, Any]]]:
    """Return all calls with their depths in preorder; a call's number is its position in the list."""
    found: list[tuple[int, Mapping[str, Any]]] = []
    todo = [(0, call) for call in reversed(calls)]
    while todo:
        depth, call = todo.pop()
        found.append((depth, call))
        todo.extend((depth + 1, below) for below in reversed(call["calls"]))
    return found


def _cause(report: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the call that explains a failure."""
    found, calls = None, report["calls"]
    why = report.get("why")
    for step in why["path"] if why else ():
        found, calls = calls[step], calls[step]["calls"]
    return found


def _nest(rows: Sequence[CallRow], *, all_open: bool) -> None:
    """Mark the rows that open a fold, and the number of folds that end after each row."""
    open_depths: list[int] = []
    for number, row in enumerate(rows):
        below = rows[number + 1].depth if number + 1 < len(rows) else -1
        if row.inner and below > row.depth and row.depth < MAX_DEPTH:
            row.opens = True
            row.unfolded = all_open or row.failed or row.depth < 2
            open_depths.append(row.depth)
        while open_depths and below <= open_depths[-1]:
            open_depths.pop()
            row.closes += 1


NAMES: Final = {"cast": "cast command", "python": "Python test", "solidity": "Solidity test"}
"""Formats offered for copying, with the label of each button."""


def formats(receipt: TransactionReceipt) -> dict[str, str]:
    """Return the available formats with their labels; Ethereum tools cannot send methods of native actors."""
    return NAMES if _is_ethereum(receipt) else {"python": NAMES["python"]}


def reproduction(receipt: TransactionReceipt, name: str, url: str) -> str | None:
    """Return the text to copy; None if the format `name` is not available."""
    if name not in formats(receipt):
        return None
    match name:
        case "cast":
            return _cast(receipt, url)
        case "python":
            return _python(receipt)
        case _:
            return _solidity(receipt, url)


def _is_ethereum(receipt: TransactionReceipt) -> bool:
    """Return True if Ethereum's tools can send the message: its sender has a delegated address."""
    return receipt.candidate.bare.from_.namespace() is not None


def _data(receipt: TransactionReceipt) -> bytes:
    return bytes.fromhex(transaction_json(receipt)["input"][2:])


def _cast(receipt: TransactionReceipt, url: str) -> str:
    sent, data = receipt.candidate, _data(receipt)
    to = "--create" if sent.to is None else checksummed(sent.to)
    parts = [f"cast send --rpc-url {url} --from {checksummed(sent.sender)} --unlocked"]
    parts.append(f"--gas-limit {sent.bare.gas_limit}")
    if sent.bare.value:
        parts.append(f"--value {sent.bare.value}")
    parts.append(f"{to} 0x{data.hex()}" if data else to)
    return " ".join(parts)


def _python(receipt: TransactionReceipt) -> str:
    sent, message = receipt.candidate, receipt.candidate.bare
    ethereum = _is_ethereum(receipt)
    target = "None" if sent.to is None else f'"{checksummed(sent.to)}"'
    if ethereum:
        call = (
            f'network.send({target}, {message.value}, bytes.fromhex("{_data(receipt).hex()}"), '
            f'sender="{checksummed(sent.sender)}", gas_limit={message.gas_limit})'
        )
    else:
        call = (
            f'network.send_native("{message.to}", {message.method}, bytes.fromhex("{message.params.hex()}"), '
            f'value={message.value}, sender="{message.from_}", gas_limit={message.gas_limit})'
        )
    lines = ["from localnet import Network", ""]
    if not receipt.succeeded:
        lines = ["import pytest", "", "from localnet import Network, TransactionFailed", ""]
    lines += [
        "",
        "def test_the_message() -> None:",
        "    with Network() as network:  # or the chain's folder, or Network.fork(url)",
        *(["        with pytest.raises(TransactionFailed):"] if not receipt.succeeded else []),
        f"        {'' if receipt.succeeded else '    '}{call}",
        "",
    ]
    return "\n".join(lines)


def _solidity(receipt: TransactionReceipt, url: str) -> str:
    sent, data = receipt.candidate, _data(receipt)
    value = sent.bare.value
    if sent.to is None:
        act = (
            f'        bytes memory code = hex"{data.hex()}";\n'
            "        address created;\n"
            f"        assembly {{ created := create({value}, add(code, 32), mload(code)) }}\n"
            f"        assert{'True' if receipt.succeeded else 'False'}(created != address(0));"
        )
    else:
        options = f"{{value: {value}}}" if value else ""
        act = (
            f'        (bool ok,) = {checksummed(sent.to)}.call{options}(hex"{data.hex()}");\n'
            f"        assert{'True' if receipt.succeeded else 'False'}(ok);"
        )
    return f"""// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {{Test}} from "forge-std/Test.sol";

contract MessageTest is Test {{
    function setUp() public {{
        vm.createSelectFork("{url}", {max(0, receipt.block_number - 1)});
    }}

    function test_TheMessage() public {{
        vm.prank({checksummed(sent.sender)});
{act}
    }}
}}
"""


_MAX_EVENTS: Final = 1_000
_PLAIN: Final = "text/plain; charset=utf-8"


def show_message(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return the page of an executed or pending transaction by its hash."""
    wanted = _hash(request.path_params["hash"])
    receipt = reader.network.find_executed(wanted)
    if receipt is None:
        forked = None if reader.network.mempool.get(wanted) else forked_transaction_page(site, reader, wanted)
        return forked or _pending_page(site, reader, wanted)
    return _message_page(site, reader, request, receipt)


def show_message_by_cid(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return the page of a message by its CID."""
    cid = read_cid(request.path_params["cid"])
    receipt = receipt_of(reader, cid)
    if receipt is None:
        raise not_found(f"no executed message of this chain has the CID {show(cid)}")
    return _message_page(site, reader, request, receipt)


def show_call(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return the page of one call of a message, with all of its data."""
    receipt = _traced_receipt(reader, request)
    return _call_page(site, reader, request, f"/tx/0x{receipt.hash.hex()}", _report(site, reader, receipt))


def show_call_data(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return the full parameters or return data of a call as plain text."""
    found = trace(reader.network.chain, _traced_receipt(reader, request))
    return PageResponse(str(_call(found.calls, request)[request.path_params["what"]]).encode(), content_type=_PLAIN)


def show_copy_text(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Render the text that a copy button puts on the clipboard."""
    text = reproduction(requested_receipt(reader, request), request.path_params["name"], request.url)
    if text is None:
        raise not_found(f"this message is not sent by {quote_value(request.path_params['name'])}")
    return PageResponse(text.encode(), content_type=_PLAIN)


def show_calls_picture(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return the call tree as an SVG."""
    return PageResponse(tree_svg(_report(site, reader, _traced_receipt(reader, request))).encode(), content_type=SVG)


def show_flame(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return the flame graph of the gas, by call or by charge."""
    report = _report(site, reader, _traced_receipt(reader, request))
    picture = flame(report, html=False, by_charge=request.query.get("by") == "charge")
    return PageResponse(picture.encode(), content_type=SVG)


def show_cron(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Render the implicit calls after the messages of an epoch."""
    report = _cron_report(site, reader, request)
    first = request.number("first", 0)
    rows, total = call_rows(report, first)
    return PageResponse(
        site.page(
            reader, "cron.html", epoch=report["epoch"], reproduced=report["reproduced"], rows=rows, first=first,
            more=_more(first, total), page=PAGE,
        )
    )  # fmt: skip


def show_cron_call(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Render one implicit call of an epoch."""
    report = _cron_report(site, reader, request)
    return _call_page(site, reader, request, f"/epoch/{report['epoch']}/cron", report)


# --- reading ----------------------------------------------------------------------------------------------------------


def _hash(text: str) -> bytes:
    try:
        return bytes(hash32(text))
    except RpcError:
        raise malformed(f"{quote_value(text)} is not a hash: expected 0x and 64 hex digits") from None


def requested_receipt(reader: NodeReader, request: PageRequest) -> TransactionReceipt:
    """Return the receipt of a block's message by the hash in the request.

    Raises PageError, also for a reward or cron, and UnknownTransaction.
    """
    receipt = _traced_receipt(reader, request)
    if receipt.is_implicit:
        raise not_found(f"this page is for messages of a block: /tx/0x{receipt.hash.hex()} shows this reward or cron")
    return receipt


def _traced_receipt(reader: NodeReader, request: PageRequest) -> TransactionReceipt:
    """Return the receipt of a block's message, reward or cron by the hash in the request.

    Raises PageError, UnknownTransaction.
    """
    receipt = reader.network.executed(_hash(request.path_params["hash"]))
    _check_retained(reader, receipt.block_number)
    return receipt


def _check_retained(reader: NodeReader, epoch: int) -> None:
    """Raise PageError if the initial state of an epoch was garbage-collected, so that nothing can be replayed."""
    retained = reader.network.chain.index.retained
    if epoch < retained:
        raise not_found(collected_text(epoch, retained))


def _recorded_call(site: Site, reader: NodeReader, receipt: TransactionReceipt) -> dict[str, Any]:
    """Return the first call of a message, as far as its receipt describes it, without re-execution."""
    machine, outcome = reader.network.machine, receipt.execution.receipt
    calls = [recorded_call(machine, receipt)]
    found = {
        "calls": calls,
        "exitCode": outcome.exit_code,
        "words": receipt.error_message or exit_meaning(outcome.exit_code, native=receipt.is_native),
    }
    interfaces = _bound_first(called_interfaces(machine, site.artifacts, calls), site.interfaces())
    explained = explain_trace({**found, "gasUsed": receipt.gas_used, "reproduced": True}, interfaces)
    return {**explained, "milligas": {}}


def _report(site: Site, reader: NodeReader, receipt: TransactionReceipt) -> dict[str, Any]:
    """Return the decoded calls of a message; for a failed one, with Solidity lines if the sources are available."""
    chain = reader.network.chain
    found = trace(chain, receipt).as_json()
    interfaces = called_interfaces(reader.network.machine, site.artifacts, found["calls"])
    if not receipt.succeeded and _is_compiled(site.artifacts):
        places = call_places(chain, receipt, InstructionPlaces())
        if places is not None:
            found, named = add_lines(found, places, site.artifacts)
            interfaces = [*named, *interfaces]
    return explain_trace(found, _bound_first(interfaces, site.interfaces()))


def _cron_report(site: Site, reader: NodeReader, request: PageRequest) -> dict[str, Any]:
    epoch = parse_number(request.path_params["epoch"], "the epoch")
    _check_retained(reader, epoch)
    found = epoch_trace(reader.network.chain, reader.network.executed_at(epoch)).as_json()
    interfaces = called_interfaces(reader.network.machine, site.artifacts, found["calls"])
    return {**found, "calls": decode_calls(found["calls"], _bound_first(interfaces, site.interfaces()))}


def _is_compiled(artifacts: ArtifactFolders) -> bool:
    return bool(artifacts.contracts())


def _bound_first(called: Sequence[NamedInterface], known: Iterable[NamedInterface]) -> list[NamedInterface]:
    """Return the interfaces bound to an address, then the others."""
    every = [*called, *known]
    return [*(each for each in every if each.address), *(each for each in every if not each.address)]


def _call(calls: Sequence[Mapping[str, Any]], request: PageRequest) -> Mapping[str, Any]:
    number, every = parse_number(request.path_params["number"], "the call's number"), calls_in_order(calls)
    if number >= len(every):
        raise not_found(f"there is no call {number}: the last one is {len(every) - 1}")
    return every[number][1]


def _more(first: int, total: int) -> int | None:
    return first + PAGE if first + PAGE < total else None


# --- pages ------------------------------------------------------------------------------------------------------------


def _pending_page(site: Site, reader: NodeReader, wanted: bytes) -> PageResponse:
    pending = reader.network.mempool.get(wanted)
    if pending is None:
        raise not_found(f"transaction 0x{wanted.hex()} is not on this chain{reader.network.chain.before_the_fork}")
    rows, bare = RowBuilder(site, reader), pending.bare
    return PageResponse(
        site.page(
            reader, "waiting.html", hash=f"0x{wanted.hex()}", sender=rows.party(bare.from_),
            receiver=rows.party(bare.to), value=bare.value, nonce=bare.nonce,
        )
    )  # fmt: skip


def _message_page(site: Site, reader: NodeReader, request: PageRequest, receipt: TransactionReceipt) -> PageResponse:
    retained = reader.network.chain.index.retained
    has_state = receipt.block_number >= retained
    report = _report(site, reader, receipt) if has_state else _recorded_call(site, reader, receipt)
    rows = RowBuilder(site, reader)
    first = request.number("first", 0)
    calls, total = call_rows(report, first)
    hashes = receipt.tipset.implicit if receipt.is_implicit else receipt.tipset.transactions
    outcome, message = receipt.execution.receipt, receipt.candidate.bare
    return PageResponse(
        site.page(
            reader,
            "message.html",
            row=rows.row(receipt),
            before=f"0x{hashes[receipt.index - 1].hex()}" if receipt.index else None,
            after=f"0x{hashes[receipt.index + 1].hex()}" if receipt.index + 1 < len(hashes) else None,
            why=report["why"]["calls"] if report["why"] else [],
            line=failure_line(report),
            caught=[] if report["why"] else caught(report["calls"]),
            reproduced=report["reproduced"],
            retained=None if has_state else retained,
            collected_remedy=COLLECTED_REMEDY,
            rows=calls,
            total=total,
            first=first,
            page=PAGE,
            more=_more(first, total),
            events=_events(site, rows, receipt),
            parts=_parts(report),
            charges=_charges(report),
            message=message,
            cid=receipt.candidate.message.cid(),
            paid=receipt.execution.paid,
            exit=exit_meaning(outcome.exit_code, native=receipt.is_native),
            params=f"0x{message.params.hex()}",
            returned=f"0x{outcome.return_data.hex()}",
            codec=None if outcome.return_codec is None else f"0x{outcome.return_codec:02x}",
            has_link=outcome.message is not None,
            implicit=receipt.is_implicit,
            copies={} if receipt.is_implicit else formats(receipt),
            has_vector=has_state and not receipt.is_implicit and site.makes_vectors(reader),
        )
    )


def _call_page(
    site: Site, reader: NodeReader, request: PageRequest, at: str, report: Mapping[str, Any]
) -> PageResponse:
    call = _call(report["calls"], request)
    charges = [(name, milligas // MILLIGAS_PER_GAS) for name, milligas in Counter(call["charges"]).most_common()]
    return PageResponse(
        site.page(
            reader, "call.html", at=at, number=request.path_params["number"], call=call, failed=has_failed(call),
            words=call["words"], charges=charges, line=call.get("failedAt"),
        )
    )  # fmt: skip


def _events(site: Site, rows: RowBuilder, receipt: TransactionReceipt) -> list[EventRow]:
    made = EventRows(site, rows)
    return [made.row(receipt, index, event) for index, event in enumerate(receipt.execution.events[:_MAX_EVENTS])]


def _parts(report: Mapping[str, Any]) -> list[tuple[str, int, float]]:
    """Return gas by part, with percentages."""
    whole = max(1, sum(report["milligas"].values()))
    return [
        (part, milligas // MILLIGAS_PER_GAS, 100 * milligas / whole)
        for part, milligas in report["milligas"].items()
        if milligas
    ]


def _charges(report: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """Return all charges of a message by name, largest first, with their part."""
    return [
        (name, PART_OF.get(name, "other"), milligas // MILLIGAS_PER_GAS)
        for name, milligas in all_charges(report["calls"]).items()
    ]


MAX_LINES: Final = 2_000
_ROW: Final = 18
_INDENT: Final = 16
_LETTER: Final = 7.3
_MAX_TEXT_LENGTH: Final = 160
_COLOURS: Final = {"wasm": "#6d3aa0", "evm": "#0a6478"}
_STYLE: Final = (
    "svg{background:#fff}text{font:12px ui-monospace,monospace;fill:#1c1d1f;white-space:pre}.q{fill:#5f6368}"
    ".b{fill:#b3261e}line{stroke:#d5d5d0}"
)


def tree_svg(report: Mapping[str, Any]) -> str:
    """Return a decoded trace (`explain_trace`) as an SVG call tree of at most `MAX_LINES` calls."""
    rows, total = call_rows(report, 0, MAX_LINES)
    lines = [_line(row) for row in rows]
    if total > len(rows):
        lines.append((0, [("q", f"... and {total - len(rows):,} more calls")]))
    width = int(max((_INDENT * depth + _LETTER * _length(spans) for depth, spans in lines), default=300)) + 40
    height = _ROW * (len(lines) + 2) + 10
    title = printable(f"{report['transactionHash']}: exit {report['exit']}")
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<style>{_STYLE}</style>",
        f'<text x="10" y="20">{escape(title)}</text>',
        *(_draw(index, depth, spans) for index, (depth, spans) in enumerate(lines)),
        "</svg>",
        "",
    ])  # fmt: skip


def _line(row: CallRow) -> tuple[int, list[tuple[str, str]]]:
    """Return a call's indentation depth and its text spans, each with a CSS class or colour."""
    depth = min(row.depth, MAX_DEPTH)
    if row.log:
        return depth, [("q", printable(f"console.log: {row.log}", _MAX_TEXT_LENGTH))]
    call, decoded = row.call, row.call["decoded"]
    spans = [
        (_COLOURS.get(call["runtime"], "q"), f"{call['runtime'] or '-'} "),
        ("", f"{printable(call['to'], 24)} {printable(decoded['callee'], 60)}.{printable(decoded['function'], 80)}"),
        ("q", printable(decoded["arguments"], _MAX_TEXT_LENGTH)),
    ]
    if call["value"] != "0":
        spans.append(("", f" {decoded['value']}"))
    if row.failed:
        spans.append(("b", f" {printable(decoded['exit'], _MAX_TEXT_LENGTH)}"))
    spans.append(("q", f" {call['gas']:,} gas"))
    return depth, spans


def _length(spans: list[tuple[str, str]]) -> int:
    return sum(len(text) for _, text in spans)


def _draw(row: int, depth: int, parts: list[tuple[str, str]]) -> str:
    x, y = 10 + _INDENT * depth, _ROW * (row + 2) + 10
    spans = "".join(f"<tspan{_style_attribute(look)}>{escape(text)}</tspan>" for look, text in parts)
    edge = f'<line x1="{x - 10}" y1="{y - 4}" x2="{x - 3}" y2="{y - 4}"/>' if depth else ""
    return f'{edge}<text x="{x}" y="{y}" xml:space="preserve">{spans}</text>'


def _style_attribute(look: str) -> str:
    return f' style="fill:{look}"' if look.startswith("#") else f' class="{look}"' if look else ""
