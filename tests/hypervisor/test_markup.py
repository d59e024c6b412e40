"""HTML views for notebooks: escaping, folding and truncation."""

from html.parser import HTMLParser

import pytest

from hypervisor import Address, Message, Receipt
from hypervisor.gas import GasOutputs
from hypervisor.machine.executor import ApplyResult
from hypervisor.text import MAX_DEPTH, MAX_LINES, TreeLine, facts, safe, table, tree
from hypervisor.tracing import CallEnded, CallNode, CallStarted, EventEmitted
from hypervisor.types import ActorID, Gas, MethodNumber, TokenAmount

HOSTILE_MARKUP = "</div><script>alert('x')</script>\u202e\x1b[31m&"


class Page(HTMLParser):
    """A parser that collects the tags of a fragment and checks that they are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert not self.open, f"{self.open} are not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def call(depth: int, message: str = "") -> CallNode:
    start = CallStarted(ActorID(100), Address.id(101), MethodNumber(2), TokenAmount(0), b"", 81, False, 10**9)
    node = CallNode(start, ActorID(101), runtime="wasm", end=CallEnded(1, b"\x01", 81, 1000, message=message))
    node.events.append(EventEmitted(ActorID(101), ((3, HOSTILE_MARKUP, 0x55, b"\x01"),)))
    if depth:
        node.calls.append(call(depth - 1, message))
    return node


def views() -> list[str]:
    receipt = Receipt(33, b"\x01", Gas(5))
    result = ApplyResult(receipt, GasOutputs(), message=HOSTILE_MARKUP, reason=HOSTILE_MARKUP)
    message = Message(Address.id(1), Address.id(2))
    shown = [view._repr_html_() for view in (receipt, result, message, call(2, HOSTILE_MARKUP))]
    return [
        *shown,
        facts(HOSTILE_MARKUP, [(HOSTILE_MARKUP, HOSTILE_MARKUP)]),
        table(HOSTILE_MARKUP, [HOSTILE_MARKUP], [[HOSTILE_MARKUP]], HOSTILE_MARKUP),
    ]


@pytest.mark.parametrize("view", views())
def test_untrusted_text_is_escaped(view: str) -> None:
    page = Page(view)
    assert "script" not in page.tags
    assert not {"\u202e", "\x1b"} & {*page.words}


def test_truncated_text_reports_full_length() -> None:
    assert safe("<" * 1000, 3) == "&lt;&lt;&lt;... (1,000 characters)"


def test_a_tree_folds_and_shows_failures_unfolded() -> None:
    lines = [TreeLine(depth, f"line {depth}", failed=depth == 3) for depth in range(5)] + [TreeLine(1, "last")]
    page = Page(tree("calls", lines))
    assert page.tags.count("details") == 4
    assert page.words == "callsline 0line 1line 2line 3line 4last"


def test_large_call_tree_is_truncated_with_notice() -> None:
    page = Page(tree("calls", [TreeLine(1, str(number)) for number in range(10_000)], "print it"))
    assert page.tags.count("div") < MAX_LINES + 10
    assert page.words.endswith(f"{10_000 - MAX_LINES:,} of 10,000 calls are not shown: print it")


def test_calls_as_deep_as_the_machine_allows_do_not_nest_as_deep() -> None:
    page = Page(tree("calls", [TreeLine(depth, "call") for depth in range(200)]))
    assert page.tags.count("details") == MAX_DEPTH
    assert "[100] call" in page.words


def test_call_tree_html_shows_exit_codes_and_messages() -> None:
    words = Page(call(1, "no such key")._repr_html_()).words
    assert words.count("wasm f0101 method 2, exit SYS_SENDER_INVALID, gas 1") == 2
    assert words.count("no such key") == 2
    assert "return 0x01" in words
