"""JSON-RPC requests and templates of the explorer."""

import asyncio
import json
from collections.abc import Callable, Iterator
from functools import cache
from html.parser import HTMLParser
from random import Random
from typing import Any

from bridge.ethereum.transactions import Transaction
from localnet import Network
from localnet.accounts import accounts
from localnet.explorer import site
from localnet.explorer.messages import call_rows, tree_svg
from localnet.explorer.site import ComparedCall, PageFrame, RecordedComparison
from localnet.rpc.errors import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR
from localnet.rpc.method_table import method_table
from localnet.rpc.node import Node, NodeLimits
from localnet.rpc.server.dispatch import Dispatcher
from store.codec import CodecError, decode_strict, encode
from tests.fuzz import trees
from tests.fuzz.target import MACHINE, Target, cbor_mutation

REQUESTS = 400
"""Number of requests before a network is replaced, since it keeps all its blocks."""
CHAIN = 31_415_926
UNREAD = (PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS)


def run_rpc(data: bytes) -> bool:
    _asked[0] += 1
    if _asked[0] % REQUESTS == 0:
        _dispatcher().node.network.close()
        _dispatcher.cache_clear()
    answer = asyncio.run(_dispatcher().dispatcher.dispatch(data))
    if not answer:
        return True  # notifications
    response = json.loads(answer)
    answers = response if isinstance(response, list) else [response]
    return max(map(_is_answered, answers))  # every one is looked at


def _is_answered(response: dict[str, Any]) -> bool:
    """Return True if a method was executed."""
    assert response["jsonrpc"] == "2.0"
    assert ("error" in response) != ("result" in response)
    code = response.get("error", {}).get("code")
    assert code != INTERNAL_ERROR, response
    return code not in UNREAD


class _Served:
    def __init__(self) -> None:
        limits = NodeLimits(body=1 << 16, batch=8, response=1 << 20, log_span=50, logs=100, mined=20)
        self.node = Node(Network(), limits)
        self.dispatcher = Dispatcher(self.node, _at_once)


async def _at_once(work: Callable[[], Any]) -> Any:
    return work()


_asked = [0]


@cache
def _dispatcher() -> _Served:
    return _Served()


# --- requests -------------------------------------------------------------------------------------------------------


@cache
def _values() -> list[Any]:
    own, other = ("0x" + account.address.hex() for account in accounts()[:2])
    call = {"from": own, "to": other, "value": "0x1", "data": "0x", "gas": "0x5f5e100"}
    created = {"from": own, "data": "0x600a600c600039600a6000f3602a60005260206000f3"}
    logs = {"fromBlock": "0x0", "toBlock": "latest", "address": own, "topics": [None, ["0x" + "00" * 32]]}
    return [
        own,
        other,
        call,
        created,
        logs,
        "latest",
        "pending",
        "earliest",
        "safe",
        "0x0",
        "0x1",
        "0x2",
        "0x" + "ff" * 32,
        "0x" + "00" * 32,
        True,
        False,
        None,
        1,
        5,
        "0x",
        "0xdeadbeef",
        [],
        [25.0, 75.0],
        {"blockNumber": "0x1"},
        {"tracer": "callTracer"},
        {},
        {"type": "0x2", **call, "maxFeePerGas": "0x3b9aca00", "maxPriorityFeePerGas": "0x1"},
        ["trace"],
        "f01000",
        "f00",
    ]


def _request(rng: Random) -> dict[str, Any]:
    name, method = rng.choice(sorted(method_table().items()))
    params = [_fitting(at, rng) for at in method.parameters][: rng.choice((9, 9, 9, 1, 2))]
    if params and rng.random() < 0.3:
        at = rng.randrange(len(params))
        params[at] = trees.mutated(params[at], rng)
    return {"jsonrpc": "2.0", "id": 1, "method": name, "params": params}


def _fitting(parameter: str, rng: Random) -> Any:
    """Return a value of the kind that a parameter's name suggests, or any other."""
    own, other, call, created, logs = _values()[:5]
    blocks = ("latest", "latest", "0x0", "0x1", "pending", "earliest")
    transactions = (call, created, logs)
    kinds: dict[str, tuple[Any, ...]] = {
        "filter": ("0x1", "0x2"),
        "block_hash": ("0x" + "11" * 32,),
        "hash": ("0x" + "11" * 32,),
        "raw": _raw(),
        "owner": (own, other),
        "address": (own, other),
        "request": transactions,
        "transaction": transactions,
        "number": blocks,
        "newest": blocks,
        "ref": blocks,
        "at": blocks,
        "block": blocks,
        "content": ("0x", "0xdeadbeef"),
        "data": ("0x", "0xdeadbeef"),
        "slot": ("0x0", "0x1"),
        "count": ("0x1", "0x2"),
        "index": ("0x0",),
        "full": (True, False),
        "seconds": (1, 5),
        "timestamp": (2_000_000_000,),
        "percentiles": ([1.0, 50.0], None),
        "amount": ("0x1", "0xde0b6b3a7640000"),
        "options": ({"tracer": "callTracer"}, {}, None),
    }
    found = next((values for word, values in kinds.items() if word in parameter), ())
    return rng.choice(found) if found and rng.random() < 0.85 else rng.choice(_values())


@cache
def _raw() -> tuple[str, ...]:
    """Return signed transactions; the first of each kind is valid on a new network."""
    sender, receiver = accounts()[:2]
    made = (
        Transaction(kind, CHAIN, nonce, receiver.address, 1, b"", 100_000_000, 10**9, 10**9 if kind == 0 else 1)
        for kind in (0, 2)
        for nonce in (0, 1, 2)
    )
    return tuple("0x" + sender.sign(transaction).raw().hex() for transaction in made)


def rpc_seeds() -> Iterator[bytes]:
    for name in sorted(method_table()):
        yield _encoded({"jsonrpc": "2.0", "id": 1, "method": name, "params": []})
    rng = Random(2)
    yield _encoded([_request(rng), _request(rng)])
    yield b"{"


def mutate_rpc(data: bytes, rng: Random) -> bytes:
    """Return a new request, sometimes a batch, sometimes malformed."""
    request = _request(rng)
    match rng.randrange(20):
        case 0:
            return _encoded([request, _request(rng), rng.choice(_values())])
        case 1:
            return _encoded(trees.mutated(request, rng))
        case 2:
            del request["id"]
            return _encoded(request)
        case _:
            return _encoded(request)


def _encoded(value: Any) -> bytes:
    return json.dumps(value, default=repr).encode()


RPC_TARGET = Target(run_rpc, rpc_seeds, mutate_rpc, share=4, longest=2000, memory=MACHINE)


FIELDS = ("callee", "function", "arguments", "result", "event", "exit", "reason", "name")
BENIGN = ("Bridge", "pay", "(amount=5)", "7", "Paid(5)", "exit 33", "not today", "Counter")
HIDDEN = {*map(chr, (*range(9), *range(11, 32), *range(127, 160))), *"\u200e\u200f\u202a\u202b\u202d\u202e\u2066\u2067"}


class Shape(HTMLParser):
    """Tags of a page in order, with the names of their attributes, and the targets of links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))


def run_explorer(data: bytes) -> bool:
    try:
        given = decode_strict(data)
    except CodecError:
        return False
    if not isinstance(given, list) or len(given) != len(FIELDS):
        return False
    texts = [item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else item for item in given]
    if not all(isinstance(text, str) and text for text in texts):
        return False
    for page in (_call_page(texts), _error_page(texts), *_comparison_pages(texts)):
        assert not HIDDEN & set(page)
        assert len(page) < 60_000
    assert _shapes_of(texts) == _shapes()
    return True


def _shapes_of(texts: list[str]) -> list[list[Any]]:
    pages = _call_page(texts), _error_page(texts), _picture(texts), *_comparison_pages(texts)
    return [Shape(page).tags for page in pages]


@cache
def _shapes() -> list[list[Any]]:
    return _shapes_of(list(BENIGN))


def _report(texts: list[str]) -> dict[str, Any]:
    callee, function, arguments, result, event, end, _, name = texts
    decoded = {
        "callee": callee, "function": function, "arguments": arguments, "result": result, "events": [event],
        "value": "1 FIL", "exit": end, "milligas": {},
    }  # fmt: skip
    call: dict[str, Any] = {
        "runtime": "evm", "from": "f01", "to": "f0100", "address": None, "actor": name, "abi": True, "method": 1,
        "value": "1", "params": "0x00", "paramsCodec": 0x51, "readOnly": False, "exitCode": 33, "error": "",
        "words": event, "return": "0x", "returnCodec": 0, "gas": 1, "charges": {}, "calls": [], "decoded": decoded,
    }  # fmt: skip
    return {"calls": [call], "why": {"path": [0]}, "gasUsed": 1, "transactionHash": "0x00", "exit": "33"}


def _frame() -> PageFrame:
    return PageFrame(1, 314, 29, "Solstice", "filecoin", "hypervisor", has_comparison=False)


def _call_page(texts: list[str]) -> str:
    report = _report(texts)
    page = site.render(
        "call.html", frame=_frame(), at="/tx/0x00", number=0, call=report["calls"][0], failed=True, words=texts[6],
        charges=[(texts[7], 1)], line=texts[6],
    )  # fmt: skip
    return page.decode()


def _error_page(texts: list[str]) -> str:
    return site.render("error.html", frame=_frame(), title="Not found", text=texts[6], status=400).decode()


def _comparison_pages(texts: list[str]) -> tuple[str, str]:
    first, second, case, message, kind, end, reason, words = texts
    call = ComparedCall(0, case, message, kind, (1, 2), (end, reason), (case,), (words,), end)
    found = RecordedComparison(first, second, 2, (call,), ((case, reason),))
    table = site.render("comparison.html", frame=_frame(), found=found, calls=found.calls, first=0, more=None)
    return table.decode(), site.render(
        "compared_call.html", frame=_frame(), found=found, call=call, is_linked=False
    ).decode()  # fmt: skip


def _picture(texts: list[str]) -> str:
    report = _report(texts)
    assert len(call_rows(report)[0]) == 1
    return tree_svg(report)


def explorer_seeds() -> Iterator[bytes]:
    yield encode(list(BENIGN))
    yield encode(
        ["<script>alert(1)</script>", '" onload="x', "'><img src=x>", "&lt;", "\u202e\x00", "]]>", "--", "{{7*7}}"]
    )
    yield encode([b"\xff\xfe", b"\xed\xa0\x80", "a" * 3_000, "\x1b[31m", "<!--", "</title>", "javascript:x", "\u2066"])


EXPLORER_TARGET = Target(run_explorer, explorer_seeds, cbor_mutation(explorer_seeds), share=60)
