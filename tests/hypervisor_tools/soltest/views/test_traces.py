"""Call trees equal forge's text; stacks have forge's lines and more functions."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.filecoin.method_numbers import INVOKE_EVM
from hypervisor import Address, Hypervisor, tracing
from hypervisor.tracing import CallEnded, CallStarted, Dispatched
from hypervisor.types import ActorID, MethodNumber, TokenAmount
from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.project.solidity_text import SourceText, SourceTexts
from hypervisor_tools.soltest.report import viewer
from hypervisor_tools.soltest.report.report import lines_of
from hypervisor_tools.soltest.report.viewer import TestViewer, cheatcode_interface, shows_trace
from hypervisor_tools.soltest.trace import frames
from hypervisor_tools.soltest.trace.known_code import KnownCode, SourceSpan
from hypervisor_tools.soltest.trace.stack_trace import internal_stack, reachable, stack_trace
from hypervisor_tools.soltest.trace.trace_names import Names
from hypervisor_tools.soltest.trace.trace_text import trace_text
from hypervisor_tools.soltest.value_text import value_text
from tests.hypervisor_tools.soltest.views.compiled import HERE
from tests.hypervisor_tools.soltest.views.conftest import Watch

FAILING = ["assert", "deep", "in_library", "own_words"]


def sections(text: str) -> dict[str, str]:
    """Return forge's or our output for each test."""
    body = text.split("\nSuite result")[0]
    found = re.findall(r"^(\[(?:PASS|FAIL).*?)(?=^\[(?:PASS|FAIL)|\Z)", body, re.MULTILINE | re.DOTALL)
    return {str(re.search(r"(\w+\(\)) \(", part)[1]): part for part in found}  # type: ignore[index]  # each has a name


def without_backtrace(text: str) -> str:
    return text.split("Backtrace:")[0].strip()


@pytest.mark.slow
def test_traces_are_those_of_forge(artifacts: Artifacts, watch: Watch, forge: Callable[[str], str]) -> None:
    found = watch(TestViewer(artifacts, "ethereum", 4))
    theirs = sections(forge("traces.txt"))
    assert set(found) == set(theirs)
    for name, result in found.items():
        assert without_backtrace("\n".join(lines_of(result, 4))) == without_backtrace(theirs[name])


@pytest.mark.slow
def test_the_tree_is_the_same_under_filecoins_rules(
    artifacts: Artifacts, watch: Watch, forge: Callable[[str], str]
) -> None:
    def tree(text: str) -> list[str]:
        return re.sub(r"\[\d+\] ", "", text.split("Traces:")[1].split("Backtrace:")[0]).strip().splitlines()

    found = watch(TestViewer(artifacts, "filecoin", 4), rules="filecoin")
    theirs = sections(forge("traces.txt"))
    for name, result in found.items():
        assert tree("\n".join(lines_of(result, 4))) == tree(theirs[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("test", FAILING)
def test_stacks_equal_those_of_forge(
    artifacts: Artifacts, watch: Watch, forge: Callable[[str], str], test: str
) -> None:
    result = watch(TestViewer(artifacts, "ethereum", 0))[f"test_fails_{test}()"]
    theirs = sections(forge("steps.txt"))[f"test_fails_{test}()"]
    lines = re.findall(r"^  at .*?\(((?:src|test)/\w+(?:\.t)?\.sol:\d+):\d+\)", theirs, re.MULTILINE)
    ours = re.findall(r"\((.*?)\)", "\n".join(result.stack))
    if test == "own_words":
        lines = lines[1:]  # forge starts at the call whose failure the contract replaced by its own message
    assert lines
    assert [line for line in ours if line in lines] == lines
    assert not result.trace


@pytest.mark.slow
def test_a_stack_goes_through_internal_functions_and_libraries(artifacts: Artifacts, watch: Watch) -> None:
    source = (HERE / "src" / "Bank.sol").read_text(encoding="utf-8").splitlines()
    tests = (HERE / "test" / "Bank.t.sol").read_text(encoding="utf-8").splitlines()

    def at(lines: list[str], text: str) -> int:
        return next(number for number, line in enumerate(lines, 1) if text in line)

    found = watch(TestViewer(artifacts, "ethereum", 0))
    assert found["test_fails_in_library()"].stack == (
        f"Sums.minus (src/Bank.sol:{at(source, 'minus: below zero')})",
        f"Ledger._take (src/Bank.sol:{at(source, 'return has.minus(amount)')})",
        f"Ledger.take (src/Bank.sol:{at(source, 'left = _take(has, amount)')})",
        f"Bank.withdraw (src/Bank.sol:{at(source, 'left = ledger.take(msg.sender, amount)')})",
        f"BankTest.test_fails_in_library (test/Bank.t.sol:{at(tests, 'bank.withdraw(5)')})",
    )
    assert found["test_fails_deep()"].stack[-2:] == (
        f"BankTest._helper (test/Bank.t.sol:{at(tests, 'bank.withdraw(amount)')})",
        f"BankTest.test_fails_deep (test/Bank.t.sol:{at(tests, '_helper(1_000_001)')})",
    )
    assert found["test_withdraws()"].stack == ()


@pytest.mark.slow
def test_too_slow_test_trace_is_shown_without_lines(
    artifacts: Artifacts, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer, "explanation_seconds", lambda _: -1.0)
    monkeypatch.setattr(frames, "_CLOCK", 1)
    found = watch(TestViewer(artifacts, "ethereum", 0))["test_fails_in_library()"]
    assert found.stack == ("Ledger.take", "Bank.withdraw", "BankTest.test_fails_in_library")
    assert list(lines_of(found))[-2] == f"  ({viewer.NO_LINES})"


@pytest.mark.slow
def test_slots_are_shown_with_five(artifacts: Artifacts, watch: Watch, forge: Callable[[str], str]) -> None:
    found = watch(TestViewer(artifacts, "ethereum", 5))["test_withdraws()"].trace
    theirs = re.findall(r"@ 1: .*", sections(forge("steps.txt"))["test_withdraws()"])
    assert theirs[0] in found
    assert "storage changes:" in found
    assert "→ new BankTest" not in found  # as in forge, which shows no deployment


@pytest.mark.parametrize(
    ("verbosity", "shown"), [(2, (0, 0, 0, 0)), (3, (1, 0, 0, 0)), (4, (1, 1, 1, 0)), (5, (1, 1, 1, 1))]
)
def test_verbosity_selects_shown_traces(verbosity: int, shown: tuple[int, ...]) -> None:
    # forge's help: -vvv traces of failing tests, -vvvv of all and setUp of failing ones, -vvvvv setUp of all
    cases = [(True, False), (False, False), (True, True), (False, True)]
    assert tuple(int(shows_trace(verbosity, failed, of_setup)) for failed, of_setup in cases) == shown


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("uint256", 10_000, "10000 [1e4]"),
        ("uint256", 9999, "9999"),
        ("int256", -1795198834, "-1795198834 [-1.795e9]"),
        ("bool", True, "true"),
        ("string", "a", '"a"'),
        ("bytes4", b"\x01\x02\x03\x04", "0x01020304"),
        ("uint8[2]", (1, 2), "[1, 2]"),
        ("address", "0x" + "11" * 20, "0x1111111111111111111111111111111111111111"),
    ],
)
def test_values_are_formatted_like_forge(kind: str, value: object, text: str) -> None:
    assert value_text({"type": kind}, value) == text


def test_names_around_a_place_are_found_in_the_text() -> None:
    text = b"""// contract Not { function no() {} }
contract One is Two { string s = "} function x() {"; constructor() { a; } modifier m() { _; }
  function f(uint a) external returns (uint) { if (a > 1) { b; } c; } receive() external payable { d; } }
library L { function g() internal { e; } }"""
    source = SourceText(text)

    def around(name: str) -> tuple[str, str]:
        return source.names(text.index(name.encode()))

    assert [around(word) for word in ("a; }", "_; }", "b; }", "c; }", "d; }", "e; }")] == [
        ("One", "constructor"), ("One", "m"), ("One", "f"), ("One", "f"), ("One", "receive"), ("L", "g")
    ]  # fmt: skip
    assert around("string s") == ("One", "")
    assert source.line(text.index(b"library")) == 4


def test_newest_positions_of_long_frame_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "MAX_COUNTERS", 10)
    start = CallStarted(ActorID(1), Address.id(2), MethodNumber(3), TokenAmount(0), b"", 0, False, 0)
    tracer = frames.CounterFrameTracer("filecoin")
    tracer.event(start)
    for counter in range(95):
        tracer.visit(counter)
    tracer.event(start)
    tracer.visit(7)
    tracer.event(CallEnded(0, b"", 0, 0))
    tracer.visit(95)
    tracer.event(CallEnded(0, b"", 0, 0))
    (root,) = tracer.roots
    assert len(root.counters) <= 10
    assert root.counters[-1] == 95
    assert root.counters_before(root.calls[0])[-1] == 94
    assert list(root.calls[0].counters) == [7]


def test_a_native_call_is_a_line_of_the_stack(artifacts: Artifacts) -> None:
    machine = Hypervisor.open()
    names = Names(KnownCode(artifacts), machine.manifest, cheatcode_interface())
    tracer = frames.FrameTracer("filecoin")
    # AddBalance (2) of the market without funds, from an unknown contract
    tracer.event(CallStarted(ActorID(1), Address.id(100), INVOKE_EVM, TokenAmount(0), b"", 0, False, 0))
    tracer.event(
        CallStarted(ActorID(100), Address.id(5), MethodNumber(2), TokenAmount(0), b"\x42\x00\x64", 81, False, 0)
    )
    tracer.event(Dispatched(ActorID(5), machine.manifest.code("storagemarket"), "wasm"))
    tracer.event(CallEnded(16, b"", 0, 5_000_000, message="no money"))
    tracer.event(CallEnded(33, b"", 0, 9_000_000))
    machine.close()
    (root,) = tracer.roots
    assert stack_trace(root, names, SourceTexts(HERE)) == (
        "f05 storagemarket.AddBalance (exit 16 USR_ILLEGAL_ARGUMENT: no money)",
        "f0100",
    )
    text = trace_text([root], names).splitlines()
    assert text[1] == "    ├─ [5000] f05 storagemarket::AddBalance(f0100) [native]"
    assert text[2] == "    │   └─ ← [Exit 16 USR_ILLEGAL_ARGUMENT] no money"


def test_functions_that_have_returned_are_not_in_the_stack(tmp_path: Path) -> None:
    text = b"contract C { function a() { b(); c(); } function b() { d(); } function c() { y; } function d() { x; } }"
    (tmp_path / "C.sol").write_bytes(text)

    def span(word: bytes, jump: str = "-") -> SourceSpan:
        return SourceSpan("C.sol", text.index(word), len(word), jump)

    steps = [
        span(b"b();", "i"), span(b"d();", "i"), span(b"x;"), span(b"x;", "o"), span(b"d();", "o"),
        span(b"c();", "i"), span(b"y;"),
    ]  # fmt: skip
    found = internal_stack(range(len(steps)), dict(enumerate(steps)), SourceTexts(tmp_path))
    assert [place.start for place in found] == [text.index(b"y;"), text.index(b"c();")]


def test_positions_in_unreachable_functions_are_skipped(tmp_path: Path) -> None:
    # the optimizer has merged the calls of both tests, and attributes them to the first
    text = b"""contract T { function test_one() public { box.put(1); }
function test_two() public { box.put(2); _own(); }
function _own() internal m { x; } modifier m() { _deep(); _; } function _deep() internal { y; } }"""
    (tmp_path / "T.sol").write_bytes(text)
    sources = SourceTexts(tmp_path)
    ran = reachable("test_two", ["T.sol", "none.sol"], sources)
    assert ran is not None
    assert {"test_two", "_own", "m", "_deep"} <= ran
    assert "test_one" not in ran
    assert reachable("getter", ["T.sol"], sources) is None
    places = {
        number: SourceSpan("T.sol", text.index(word), len(word), jump)
        for number, (word, jump) in enumerate(
            [(b"_own();", "i"), (b"x;", "-"), (b"box.put(1)", "i"), (b"box.put(1)", "-")]
        )
    }
    found = internal_stack(range(4), places, sources, ran)
    assert [place.start for place in found] == [text.index(b"x;"), text.index(b"_own();")]
