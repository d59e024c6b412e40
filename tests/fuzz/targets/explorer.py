"""Templates of the explorer: with any untrusted text, a page has the tags and attributes of one without it.

An input is DAG-CBOR, a list of texts (or bytes, which need not be UTF-8): callee, function, arguments, result, event,
outcome of the call, reason, name.
"""

from collections.abc import Callable, Iterator
from functools import cache
from html.parser import HTMLParser
from typing import Any

from fvm_hypervisor.explorer import rendering
from fvm_hypervisor.explorer.call_rows import call_rows
from fvm_hypervisor.explorer.messages import tree_svg
from fvm_hypervisor.explorer.site import PageFrame
from store.codec import CodecError, decode_strict, encode
from tests.fuzz.target import Target, cbor_mutation

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


def run(data: bytes) -> bool:
    try:
        given = decode_strict(data)
    except CodecError:
        return False
    if not isinstance(given, list) or len(given) != len(FIELDS):
        return False
    texts = [item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else item for item in given]
    if not all(isinstance(text, str) and text for text in texts):
        return False
    for page in (_call_page(texts), _error_page(texts)):
        assert not HIDDEN & set(page)
        assert len(page) < 60_000
    assert Shape(_call_page(texts)).tags == _shapes()[0]
    assert Shape(_error_page(texts)).tags == _shapes()[1]
    assert Shape(_picture(texts)).tags == _shapes()[2]
    return True


@cache
def _shapes() -> tuple[list[Any], list[Any], list[Any]]:
    pages = (_call_page, _error_page, _picture)
    first, second, third = (Shape(page(list(BENIGN))).tags for page in pages)
    return first, second, third


def _report(texts: list[str]) -> dict[str, Any]:
    callee, function, arguments, result, event, end, _, name = texts
    decoded = {
        "callee": callee, "function": function, "arguments": arguments, "result": result, "events": [event],
        "value": "1 FIL", "exit": end, "milligas": {},
    }  # fmt: skip
    call: dict[str, Any] = {
        "runtime": "evm", "from": "f01", "to": "f0100", "address": None, "actor": name, "method": 1, "value": "1",
        "params": "0x00", "paramsCodec": 0x51, "readOnly": False, "exitCode": 33, "error": "", "words": event,
        "return": "0x", "returnCodec": 0, "gas": 1, "charges": {}, "calls": [], "decoded": decoded,
    }  # fmt: skip
    return {"calls": [call], "why": {"path": [0]}, "gasUsed": 1, "transactionHash": "0x00", "exit": "33"}


def _frame() -> PageFrame:
    return PageFrame(1, 314, 29, "Solstice", "filecoin", "hypervisor")


def _call_page(texts: list[str]) -> str:
    report = _report(texts)
    page = rendering.render(
        "call.html", frame=_frame(), at="/tx/0x00", number=0, call=report["calls"][0], failed=True, words=texts[6],
        charges=[(texts[7], 1)], line=texts[6],
    )  # fmt: skip
    return page.decode()


def _error_page(texts: list[str]) -> str:
    return rendering.render("error.html", frame=_frame(), title="Not found", text=texts[6], status=400).decode()


def _picture(texts: list[str]) -> str:
    report = _report(texts)
    assert len(call_rows(report)[0]) == 1
    return tree_svg(report)


def seeds() -> Iterator[bytes]:
    yield encode(list(BENIGN))
    yield encode(
        ["<script>alert(1)</script>", '" onload="x', "'><img src=x>", "&lt;", "\u202e\x00", "]]>", "--", "{{7*7}}"]
    )
    yield encode([b"\xff\xfe", b"\xed\xa0\x80", "a" * 3_000, "\x1b[31m", "<!--", "</title>", "javascript:x", "\u2066"])


def _unescaped() -> None:
    """Plant: templates do not escape text."""
    rendering._environment().autoescape = False
    cache = rendering._environment().cache
    assert cache is not None
    cache.clear()


def _unprintable() -> None:
    """Plant: unprintable characters are not replaced."""
    rendering._environment().filters["text"] = lambda value, most=2_000: str(value)[:most]


PLANTS: dict[str, Callable[[], None]] = {
    "a template writes text as it is": _unescaped,
    "what is hidden in a text is let pass": _unprintable,
}
TARGET = Target(run, seeds, cbor_mutation(seeds), share=60, plants=PLANTS)
