"""Edges and jumps of sessions are those of the plain engine, and those of a hand count."""

from __future__ import annotations

from array import array
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, Final, cast

import pytest

from bridge.ethereum.addresses import EthAddress
from bridge.evm_steps import EvmFrame
from hypervisor import Address
from hypervisor.tracing import CallEnded, CallStarted
from hypervisor.types import METHOD_CONSTRUCTOR, ActorID, MethodNumber, TokenAmount
from hypervisor_tools.soltest.cheatcodes.hooks.interceptor import Cheatcodes
from hypervisor_tools.soltest.cheatcodes.state import DEFAULT_SENDER
from hypervisor_tools.soltest.execution.executor import ExecutorSettings, TestExecutor
from hypervisor_tools.soltest.execution.results import CaseStatus
from hypervisor_tools.soltest.fuzz import corpus, edges
from hypervisor_tools.soltest.fuzz.edges import EdgeMap, Edges, EdgeTracer, JumpCoverage
from hypervisor_tools.soltest.project.project import CorpusSettings, InvariantSettings, Project
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc
from runtimes.evm.revm import session_of
from tests.hypervisor_tools.soltest.contracts import artifact, counting_suite

CALLED: Final = EthAddress(b"\xc0" * 20)
CODE: Final = EthAddress(b"\xc1" * 20)
CALLEE: Final = "5f35600657005b60085b60019003806008575000"
"""Loops if the first word is not zero."""
CALL: Final = f"60015f5260205f60205f5f73{CALLED.hex()}61fffff150"
CODES: Final = {
    "loop": "60055b6001900380600257 00",
    "jump over data": "600456fe5b00",
    "jump behind a push": "6006566001505b00",
    "branch not taken": "5f600a57600160015001005b00",
    "call": f"{CALL}600456{CALL}",
    "call in a loop": f"60035b{CALL}6001900380600257{CALL}00",
    "call of an account without code": "5f5f5f5f5f61beef5af1600f57005b5b5b00",
    "call without funds": "5f5f5f5f600161beef5af1601057005b5b5b00",
    "callcode without funds": "5f5f5f5f600161beef5af2600f57005b5b00",
    "creation without funds": "5f5f6001f0600957005b5b00",
    "creation at a salted address without funds": "5f5f5f6001f5600a57005b5b00",
    "call of a precompile": "5f5f5f5f5f60045af1600e57005b5b00",
    "static call and revert": f"5f5f5f5f73{CALLED.hex()}5afa6021575f5ffd5b5f5ffd",
    "creation": "646003565b005f526005601b5ff05000",
    "bad jump": "600356005b",
    "jump to the end": "6003565b",
    "out of gas in a loop": "5b5f56",
    "self destruct": "600456fe5b5fff",
}


def edges_of(evm: str, code: str) -> Edges:
    made = TestExecutor(ExecutorSettings(evm=evm), Cheatcodes())
    codes = {CODE: bytes.fromhex(code), CALLED: bytes.fromhex(CALLEE)}
    install_alloc(made.machine, {address: AllocAccount(0, 1, data) for address, data in codes.items()})
    tracer = EdgeTracer(lambda code, creates: (code, creates))
    made.machine.tracer = tracer
    made.call(DEFAULT_SENDER, CODE, b"", gas=120_000)
    found = tracer.take_edges()
    made.close()
    return found


@pytest.mark.parametrize("name", CODES)
def test_edges_in_a_session_are_those_on_the_plain_engine(name: str) -> None:
    found = edges_of("fast", CODES[name])
    assert found == edges_of("py-evm", CODES[name])
    assert found or name == "bad jump"


def test_loop_has_the_edges_of_a_hand_count() -> None:
    # the jump at 10 goes back to 2 four times, and on to 11 once
    found = edges_of("fast", CODES["loop"])
    assert {key[1:]: count for key, count in found.items()} == {(10, 2): 4, (10, 11): 1}


# --- by hand ----------------------------------------------------------------------------------------------------------

JUMPS = bytes.fromhex("56") * 8


def contract_of(code: bytes, creates: bool) -> str | None:
    """Return the contract by the last letter; z is unknown."""
    return None if code[-1:] == b"z" else code[-1:].decode() + "+" * creates


def run_of(tracer: EdgeTracer, code: bytes, *counters: int, method: int = 3) -> None:
    start = CallStarted(ActorID(1), Address.id(2), MethodNumber(method), TokenAmount(0), b"", 0, False, 0)
    tracer.event(start)
    tracer.event(EvmFrame(EthAddress(bytes(20)), code))
    for counter in counters:
        tracer.visit(counter)


def test_edges_are_position_pairs_within_one_code_and_frame() -> None:
    tracer = EdgeTracer(contract_of)
    run_of(tracer, JUMPS + b"a", 0, 2)
    run_of(tracer, JUMPS + b"b", 0, 5, 0, 5)
    tracer.event(CallEnded(0, b"", 0, 0))
    tracer.visit(3)
    tracer.visit(4)
    tracer.event(CallEnded(0, b"", 0, 0))
    assert tracer.take_edges() == {(1, 0, 2): 1, (1, 3, 4): 1, (2, 0, 5): 2, (2, 5, 0): 1}
    assert tracer.take_edges() == {}


def test_edges_begin_with_a_jump_that_may_not_be_made() -> None:
    tracer = EdgeTracer(contract_of)
    run_of(tracer, bytes.fromhex("5f 5f 57 56 5b 5b") + b"a", 0, 1, 2, 3, 4, 5)
    assert tracer.take_edges() == {(1, 2, 3): 1, (1, 3, 4): 1}


def test_edge_coverage_distinguishes_code_by_contract() -> None:
    tracer = EdgeTracer(contract_of)
    for code in (JUMPS + b"1a", JUMPS + b"2a", JUMPS + b"1z", JUMPS + b"2z"):
        run_of(tracer, code, 0, 1)
    run_of(tracer, JUMPS + b"a", 0, 1, method=METHOD_CONSTRUCTOR)
    assert tracer.take_edges() == {(1, 0, 1): 2, (0, 0, 1): 2, (2, 0, 1): 1}


def test_edges_beyond_the_most_are_not_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edges, "MAX_EDGES", 2)
    seen = EdgeMap()
    assert [seen.add(Counter({(0, 1, place): 1})) for place in range(4)] == [True, True, False, False]
    assert seen.add(Counter({(0, 1, 1): 2}))  # another class of a known edge
    assert (len(seen.seen), seen.features) == (2, 3)


def test_edge_hit_counts_fall_into_eight_classes() -> None:
    # the classes of AFL: 1, 2, 3, 4-7, 8-15, 16-31, 32-127, 128 and more
    seen = EdgeMap()
    new = [count for count in range(1, 300) if seen.add(Counter({(0, 1, 2): count}))]
    assert new == [1, 2, 3, 4, 8, 16, 32, 128]
    assert (len(seen.seen), seen.features) == (1, 8)


class RecordingSession:
    """A stand-in for a session, with the jumps of one call."""

    records_jumps = False

    def __init__(self) -> None:
        self.log = b""
        self.jumped = {number: b"\x5b" + bytes((number % 2, number)) for number in range(9)}
        """Codes of two contracts in turn; number 9 is forgotten."""

    def take_jumps(self) -> bytes:
        taken, self.log = self.log, b""
        return taken


def coverage() -> tuple[JumpCoverage, RecordingSession]:
    session = RecordingSession()
    return JumpCoverage(cast(Any, session), lambda code, _: code[:2]), session


def log(*jumps: int) -> bytes:
    return array("Q", jumps).tobytes()


def test_new_pairs_and_new_classes_of_hit_counts_are_new() -> None:
    made, _ = coverage()
    assert made.add(log(3, 5))
    assert not made.add(log(3, 5))
    assert made.add(log(3))  # the call ends after 3
    assert made.add(log(5, 3))
    assert not made.add(log(5))
    # the pair (3, 3): classes 1, 2, 3, 4-7 and 8-15
    assert [count for count in range(2, 14) if made.add(log(*[3] * count))] == [2, 3, 4, 5, 9]


def test_pairs_are_those_of_contracts() -> None:
    made, _ = coverage()
    jumps = 3, 5, 3
    assert made.add(log(*jumps))
    assert made.add(log(*(1 << 32 | jump for jump in jumps)))
    assert not made.add(log(*(2 << 32 | jump for jump in jumps)))
    assert made.add(log(*(9 << 32 | jump for jump in jumps)))  # unknown code
    assert not made.add(log(*(9 << 32 | jump for jump in jumps)))


def test_pairs_beyond_the_most_are_not_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edges, "MAX_PAIRS", 2)
    made, _ = coverage()
    assert made.add(log(3))
    assert not made.add(log(4))
    assert not made.add(log(3, 3))


def test_jumps_of_earlier_calls_do_not_count() -> None:
    made, session = coverage()
    session.log = log(3)
    made.begin_call()
    assert not made.take()
    session.log = log(3)
    assert made.take() == log(3)


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
def test_calls_whose_jumps_are_recorded_are_not_traced(
    run_contracts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evm: str
) -> None:
    """Each call of up() hashes 64 more bytes of memory than the one before, so its gas is new."""
    tracings = 0
    tracing = corpus.Corpus.tracing

    def counting(self: corpus.Corpus[Any]) -> Any:
        nonlocal tracings
        tracings += 1
        return tracing(self)

    monkeypatch.setattr(corpus.Corpus, "tracing", counting)
    counter = artifact({"up()": ["5f5480600101", "5f55", "60061b5f20", "5000"], "count()": ["5f545f5260205ff3"]})
    settings = InvariantSettings(runs=1, depth=30, corpus_dir="cache/corpus", shows_metrics=True)
    project = Project(tmp_path, invariant=settings)
    suite = counting_suite(counter, "6001")
    (found,) = run_contracts({"Suite": suite, "Counter": counter}, project=project, evm=evm)["Suite"].values()
    assert found.status is CaseStatus.SUCCESS
    calls = {row.function: row.calls for row in found.metrics}
    assert calls["up"] > 5
    # without recorded jumps, the first call of a function, and each with new gas
    assert tracings == (0 if evm == "fast" else calls["up"] + 1)


def test_a_corpus_without_folder_and_figures_records_no_jumps() -> None:
    assert not CorpusSettings().collects_edges
    assert CorpusSettings(show_edge_coverage=True).collects_edges
    assert CorpusSettings(corpus_dir="corpus").collects_edges


LOOP: Final = "61{count:04x}5b6001900380600357" + "00"
"""Counts down from a number, and jumps back to 3 while it is not zero."""
CALL_SIMPLY: Final = f"5f5f5f5f5f73{CALLED.hex()}61fffff1"


def destinations(code: str, others: dict[EthAddress, str] | None = None) -> list[int]:
    """Call code, and return the program counters of the recorded jumps, plus 0xC000 times the code's number."""
    codes = {CODE: code, CALLED: "6004565b5b00", **(others or {})}
    accounts = {address: AllocAccount(0, 1, bytes.fromhex(data)) for address, data in codes.items()}
    with closing(TestExecutor(ExecutorSettings(evm="fast"), Cheatcodes())) as executor:
        install_alloc(executor.machine, accounts)
        session = session_of(executor.machine)
        session.records_jumps = True
        executor.call(DEFAULT_SENDER, CODE, b"", gas=30_000_000)
        numbers: dict[int, int] = {}
        found = []
        for jump in array("Q", session.take_jumps()):
            number = numbers.setdefault(jump >> 32, len(numbers))
            assert session.jumped[jump >> 32][jump & 0xFFFF_FFFF] == 0x5B
            found.append((number * 0xC000) + (jump & 0xFFFF_FFFF))
        assert not session.take_jumps()
    return found


@pytest.mark.parametrize("count", [1, 2, 5, 3000])
def test_each_jumpdest_of_a_long_loop_is_recorded(count: int) -> None:
    assert destinations(LOOP.format(count=count)) == [3] * count


def test_jumps_of_called_contracts_are_recorded() -> None:
    code = bytes.fromhex(f"6003565b{CALL_SIMPLY}506026565b{CALL_SIMPLY}00")
    assert code[3] == code[0x26] == 0x5B
    assert destinations(code.hex()) == [3, 0xC004, 0x26, 0xC004]


@pytest.mark.parametrize("code", ["5f600557005b00", "600356005b"], ids=["not taken", "bad destination"])
def test_jumps_that_fail_or_are_not_taken_are_not_recorded(code: str) -> None:
    assert destinations(code) == []


def test_jumps_of_created_contracts_are_recorded_but_not_those_of_init_code() -> None:
    jumps_once = "6003565b"
    init_code = f"{jumps_once}67{jumps_once}000000005f5260086018f3"
    size = len(init_code) // 2
    create = f"60{size:02x}60{32 - size:02x}5ff0"
    call_created = "5f5f5f5f5f8561fffff15050"
    code = f"{jumps_once}{0x5F + size:02x}{init_code}5f52{(create + call_created) * 3}{CALL_SIMPLY}00"
    assert destinations(code) == [3, 0xC003, 0xC003, 0xC003, 0x18004]
