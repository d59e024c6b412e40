"""Internal functions in traces equal forge's, including those in which a call fails; values by hand."""

import re
from collections.abc import Callable
from time import process_time

import pytest

from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.report.report import lines_of
from hypervisor_tools.soltest.report.viewer import TestViewer
from hypervisor_tools.soltest.trace import internal_calls
from hypervisor_tools.soltest.trace.internal_calls import UNKNOWN, Parameter, ValuePlace, read_values, split_header
from tests.hypervisor_tools.soltest.views.conftest import Watch
from tests.hypervisor_tools.soltest.views.test_traces import sections, without_backtrace

PASSING = ["test_expects()", "test_fails_assert()", "test_fails_own_words()", "test_withdraws()"]
"""Tests in which no function is open when a call reverts: forge leaves those out."""


@pytest.mark.slow
@pytest.mark.parametrize("rules", ["ethereum", "filecoin"])
def test_internal_calls_are_those_of_forge(
    artifacts: Artifacts, watch: Watch, forge: Callable[[str], str], rules: str
) -> None:
    found = watch(TestViewer(artifacts, rules, 4, decodes=True), rules=rules)
    theirs = sections(forge("internal.txt"))
    assert "Sums::minus(1000000000000000000 [1e18], 1000)" in theirs["test_withdraws()"]
    assert 'console::log("left", ' in theirs["test_withdraws()"]
    for name in PASSING:
        ours = without_backtrace("\n".join(lines_of(found[name], 4)))
        if rules == "ethereum":
            assert ours == without_backtrace(theirs[name])
        else:
            assert _tree(ours) == _tree(without_backtrace(theirs[name])), name


def _tree(text: str) -> str:
    return re.sub(r"\[\d+\] ", "", text.split("Traces:")[1]).strip()


@pytest.mark.slow
def test_failed_call_is_shown_inside_internal_functions(artifacts: Artifacts, watch: Watch) -> None:
    found = watch(TestViewer(artifacts, "ethereum", 4, decodes=True))
    trace = found["test_fails_in_library()"].trace
    inner = trace[trace.index("Bank::withdraw(5)") :]
    assert re.findall(r"\w+::\w+\([\d, ]*\)|\[Revert\]", inner) == [
        "Bank::withdraw(5)", "Ledger::_take(0, 5)", "Sums::minus(0, 5)", *["[Revert]"] * 5
    ]  # fmt: skip
    deep = found["test_fails_deep()"].trace
    assert re.search(r"├─ \[\d+\] BankTest::_helper\(1000001 \[1e6\]\)\n    │   ├─ \[\d+\] Bank::withdraw", deep)


@pytest.mark.slow
def test_storage_changes_accompany_internal_calls_at_verbosity_5(artifacts: Artifacts, watch: Watch) -> None:
    found = watch(TestViewer(artifacts, "ethereum", 5, decodes=True))["test_withdraws()"].trace
    assert "Ledger::_take(1000000000000000000 [1e18], 1000)" in found
    assert "storage changes:" in found


@pytest.mark.slow
def test_internal_calls_are_not_traced_without_option(artifacts: Artifacts, watch: Watch) -> None:
    assert "_take" not in watch(TestViewer(artifacts, "ethereum", 4))["test_withdraws()"].trace


@pytest.mark.parametrize(
    ("text", "name", "inputs", "outputs"),
    [
        ("function f() internal {}", "f", [], []),
        ("function f(uint a, int8 /* (x */ b) public returns (bool) {", "f", [("uint256", ""), ("int8", "")],
         [("bool", "")]),
        ("function _g(string memory s, bytes calldata d, address[] storage l)\n internal virtual;", "_g",
         [("string", "memory"), ("bytes", "calldata"), ("address[]", "storage")], []),
        ("function h(mapping(address => uint256) storage m, Thing t, function (uint) internal f) {", "h",
         [("", "storage"), ("", ""), ("", "")], []),
        ("function c(uint a /* {x} */, bool b) // ; returns (int)\n public returns (int) {", "c",
         [("uint256", ""), ("bool", "")], [("int256", "")]),
        ("function m(uint a) returnsNothing $returns (1) only(\"returns (int) {\") returns(bool b) {", "m",
         [("uint256", "")], [("bool", "")]),
        ("function r(bytes32[2] memory a) pure returns (uint256 one, string memory two) {", "r",
         [("bytes32[2]", "memory")], [("uint256", ""), ("string", "memory")]),
    ],
)  # fmt: skip
def test_a_functions_parameters_are_read_from_its_text(
    text: str, name: str, inputs: list[tuple[str, str]], outputs: list[tuple[str, str]]
) -> None:
    found = split_header(text.encode())
    assert found is not None
    assert found[0] == name
    assert [(one.kind, one.location) for one in found[1]] == inputs
    assert [(one.kind, one.location) for one in found[2]] == outputs


@pytest.mark.parametrize("text", ["modifier m() {", "constructor() {", "function () external f", "x + y", "functional"])
def test_header_without_named_function_has_no_parameters(text: str) -> None:
    assert split_header(text.encode()) is None


def _words(*words: int) -> bytes:
    return b"".join(word.to_bytes(32, "big") for word in words)


@pytest.mark.parametrize(
    ("parameter", "stack", "value"),
    [
        (Parameter("uint8"), [0x1FF], 255),
        (Parameter("int16"), [(1 << 256) - 2], -2),
        (Parameter("bool"), [1], True),
        (Parameter("address"), [0xAA], bytes(19) + b"\xaa"),
        (Parameter("bytes4"), [0xDECAFBAD << 224], bytes.fromhex("decafbad")),
        (Parameter("string", "memory"), [32], "abc"),
        (Parameter("uint256[]", "memory"), [96], [7, 8]),
        (Parameter("uint8[2]", "memory"), [128], [7, 8]),
        (Parameter("string[]", "memory"), [192], ["abc"]),
        (Parameter("bytes", "calldata", 2), [4, 3], b"xyz"),
        (Parameter("uint256[]", "calldata", 2), [7, 1], [9]),
    ],
)  # fmt: skip
def test_values_are_read_by_solidity_s_layout(parameter: Parameter, stack: list[int], value: object) -> None:
    # solc's layout in memory: a length and its content; arrays of strings point to them; bytes are left-aligned
    memory = bytes(32) + _words(3) + b"abc".ljust(32, b"\0") + _words(2, 7, 8) + _words(1, 32)
    calldata = b"fourxyz"[:4] + b"xyz" + _words(9)
    (found,) = read_values([parameter], ValuePlace([5, *stack], memory, calldata))
    assert found.value == value


def test_undecodable_internal_values_are_unknown() -> None:
    kinds = [
        Parameter("string", "memory"),
        Parameter(""),
        Parameter("uint256[]", "memory"),
        Parameter("bytes", "storage"),
    ]
    for kind in kinds:
        assert read_values([kind], ValuePlace([1 << 255], b"", b"")) == (UNKNOWN,)
    assert read_values([Parameter("bool")] * 2, ValuePlace([1], b"", b"")) == (UNKNOWN, UNKNOWN)


def test_a_value_of_many_words_is_unknown_soon() -> None:
    # an array of 256 pointers to itself; read completely, it has 16 million words
    memory = _words(256, *[0] * 256)
    parameter = Parameter("uint256[][][]", "memory")
    begin = process_time()
    assert read_values([parameter], ValuePlace([0], memory, b"")) == (UNKNOWN,)
    assert process_time() - begin < 1
    deep = _words(1, 0)
    (found,) = read_values([Parameter("uint256" + "[]" * 8, "memory")], ValuePlace([0], deep, b""))
    assert found.value == [[[[[[[[0]]]]]]]]
    assert split_header(f"function f(uint{'[]' * 5000} memory a)".encode()) == ("f", (Parameter("", "memory"),), ())


@pytest.mark.slow
def test_trace_limits_internal_calls_and_reports_omitted_count(
    artifacts: Artifacts, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = watch(TestViewer(artifacts, "ethereum", 4, decodes=True))["test_withdraws()"].trace
    assert "left out" not in whole
    monkeypatch.setattr(internal_calls, "MAX_CALLS", 1)
    trace = watch(TestViewer(artifacts, "ethereum", 4, decodes=True))["test_withdraws()"].trace
    names = re.compile(r"Ledger::_take|Sums::minus")
    assert names.findall(whole) == ["Ledger::_take", "Sums::minus", "Sums::minus"]
    assert names.findall(trace) == ["Sums::minus"]  # the one within _take, which ends first
    assert trace.endswith("\n  ... 3 internal calls are left out, those after the first 1")


def test_ir_code_arguments_are_read_in_reverse_order() -> None:
    found = read_values([Parameter("uint8"), Parameter("bool")], ValuePlace([9, 1, 7], b"", b"", reverses=True))
    assert [one.value for one in found] == [7, True]
