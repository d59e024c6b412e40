"""Flame graphs of a test's gas: forge's figures, internal functions, native actors; merged in a graph."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.gas import DEFAULT_RATE
from bridge.traces.flame import FlameBox, merge_boxes
from hypervisor import Address, Hypervisor
from hypervisor.tracing import CallEnded, CallStarted, Dispatched
from hypervisor.types import ActorID, MethodNumber, TokenAmount
from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.execution.discovery import SuiteFilter, find_suites
from hypervisor_tools.soltest.execution.job import Job
from hypervisor_tools.soltest.project.project import load_project
from hypervisor_tools.soltest.report import viewer
from hypervisor_tools.soltest.report.viewer import TestViewer, cheatcode_interface
from hypervisor_tools.soltest.run.staged_test import flame_boxes, staged_test, write_flame
from hypervisor_tools.soltest.trace import frames
from hypervisor_tools.soltest.trace.frames import FrameTracer, InternalCall
from hypervisor_tools.soltest.trace.known_code import KnownCode
from hypervisor_tools.soltest.trace.trace_names import Names
from tests.hypervisor_tools.soltest.views.compiled import HERE

GRAPH = [
    ("BankTest.test_withdraws", 45935), ("Bank.withdraw", 24891), ("Ledger.account", 4494), ("console.log", 3679),
    ("Bank.ledger", 569), ("Ledger.take", 13927), ("Ledger._take", 310), ("Sums.minus", 248), ("Sums.minus", 248),
]  # fmt: skip
"""Titles of forge's flame graph of the test, row by row; boxes without gas are left out."""


def boxes(roots: Sequence[FlameBox]) -> Iterator[FlameBox]:
    row = list(roots)
    while row:
        yield from row
        row = [box for outer in row for box in outer.inner]


@pytest.mark.slow
@pytest.mark.parametrize("chart", [False, True])
def test_flame_graph_has_the_gas_of_forge(artifacts: Artifacts, tmp_path: Path, chart: bool) -> None:
    project = load_project(HERE)
    ((suite,), _) = find_suites(artifacts, ["test/Bank.t.sol"], SuiteFilter(test="test_withdraws"))
    job = Job(project, artifacts.locations, artifacts.sources, seed=1)
    file = tmp_path / "cache" / "picture.svg"
    with staged_test(job, artifacts, suite, suite.tests[0], fails=False) as staged:
        write_flame(staged, TestViewer(artifacts, "ethereum", 0), tmp_path, file, chart=chart)
    titles = [
        (box.text or "").splitlines() for box in ElementTree.fromstring(file.read_text(encoding="utf-8")).iter()
        if box.tag.endswith("title")
    ]  # fmt: skip
    shown = [
        (re.split(r"[({]", title[0])[0].replace("::", "."), int(title[1].removesuffix(" gas").replace(",", "")))
        for title in titles
    ]
    if chart:  # in the order of the calls
        assert [name for name, _ in shown[:4]] == ["BankTest.test_withdraws", "Bank.withdraw", "Bank.ledger",
                                                   "Ledger.account"]  # fmt: skip
        assert sorted(shown) == sorted(GRAPH)
    else:
        assert shown == GRAPH


def test_a_test_that_is_too_long_is_drawn_by_its_calls(
    artifacts: Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer, "MAX_DECODED_SECONDS", 0.0)
    monkeypatch.setattr(frames, "_CLOCK", 1)
    ((suite,), _) = find_suites(artifacts, ["test/Bank.t.sol"], SuiteFilter(test="test_withdraws"))
    job = Job(load_project(HERE), artifacts.locations, artifacts.sources, seed=1)
    file = tmp_path / "picture.svg"
    with staged_test(job, artifacts, suite, suite.tests[0], fails=False) as staged:
        write_flame(staged, TestViewer(artifacts, "ethereum", 0), tmp_path, file, chart=True)
    text = file.read_text(encoding="utf-8")
    assert "calls only: the trace is too long for functions" in text
    assert "Bank.withdraw" in text
    assert "Ledger._take" not in text


def test_same_name_boxes_merge_under_caller_widest_first() -> None:
    calls = (
        FlameBox("a", ("a(1)",), 10, "evm"),
        FlameBox("b", ("b()",), 25, "evm", inner=(FlameBox("a", ("a(4)",), 5, "evm"),)),
        FlameBox("a", ("a(2)",), 20, "evm", failed=True),
        FlameBox("a", ("a(3)",), 1, "wasm"),
    )
    (root,) = merge_boxes([FlameBox("root", (), 100, "evm", inner=calls)])
    assert [(box.label, box.runtime, box.gas, box.failed) for box in root.inner] == [
        ("a", "evm", 30, True), ("b", "evm", 25, False), ("a", "wasm", 1, False)
    ]  # fmt: skip
    assert root.inner[0].details == ("a: 2 calls", "30 gas")
    assert root.inner[1].inner[0].details == ("a(4)",)


def test_deep_calls_are_merged_without_recursion() -> None:
    deep = FlameBox("end", (), 1, "evm")
    for _ in range(3000):
        deep = FlameBox("call", (), 1, "evm", inner=(deep,))
    assert sum(1 for _ in boxes(merge_boxes([deep, deep]))) == 3001


def test_native_actors_are_among_contracts_and_functions(artifacts: Artifacts) -> None:
    machine = Hypervisor.open()
    names = Names(KnownCode(artifacts), machine.manifest, cheatcode_interface())
    tracer = FrameTracer("filecoin")
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
    root.items = [InternalCall("Market::pay", (), None, 15, items=tuple(root.items))]
    assert [
        (box.label, box.gas, box.runtime, box.failed) for box in boxes(flame_boxes([root], names, DEFAULT_RATE))
    ] == [
        ("f0100.fallback", 9000, "", True),
        ("Market.pay", 15 * 444, "function", True),  # FIP-0057: 444 gas for one of the EVM's
        ("f05 storagemarket.AddBalance", 5000, "wasm", True),
    ]
