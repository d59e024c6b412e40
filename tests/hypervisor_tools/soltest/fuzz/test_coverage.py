"""Jumps of sessions are those of the plain engine, and edges are those of a hand count."""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from bridge.ethereum.addresses import EthAddress
from hypervisor_tools.soltest.cheatcodes.hooks.interceptor import Cheatcodes
from hypervisor_tools.soltest.cheatcodes.state import DEFAULT_SENDER
from hypervisor_tools.soltest.execution.executor import ExecutorSettings, RawCallResult, TestExecutor
from hypervisor_tools.soltest.execution.results import CaseStatus
from hypervisor_tools.soltest.fuzz.coverage import Coverage, JumpTracer
from hypervisor_tools.soltest.project.project import CorpusSettings, InvariantSettings, Project
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc
from runtimes.evm.revm import Campaign, CampaignPlan, CampaignStep, CampaignTarget, Guest
from store.cid import Cid
from tests.hypervisor_tools.soltest.contracts import artifact, counting_suite
from tests.patience import slowness

CALLED: Final = EthAddress(b"\xc0" * 20)
CODE: Final = EthAddress(b"\xc1" * 20)
CALLEE: Final = "5f35600657005b60085b60019003806008575000"
"""Loops if the first word is not zero."""
CALL: Final = f"60015f5260205f60205f5f73{CALLED.hex()}61fffff150"
LOOP: Final = "61{count:04x}5b6001900380600357" + "00"
"""Counts down from a number, and jumps back to 3 while it is not zero."""
CALL_SIMPLY: Final = f"5f5f5f5f5f73{CALLED.hex()}61fffff1"
_JUMPS_ONCE: Final = "6003565b"
_INIT_CODE: Final = f"{_JUMPS_ONCE}67{_JUMPS_ONCE}000000005f5260086018f3"
_CREATE: Final = f"60{len(_INIT_CODE) // 2:02x}60{32 - len(_INIT_CODE) // 2:02x}5ff05f5f5f5f5f8561fffff15050"
CODES: Final = {
    "loop": LOOP.format(count=5),
    "long loop": LOOP.format(count=3000),
    "jump over data": "600456fe5b00",
    "jump behind a push": "6006566001505b00",
    "branch not taken": "5f600a57600160015001005b00",
    "call": f"{CALL}600456{CALL}",
    "call in a loop": f"60035b{CALL}6001900380600257{CALL}00",
    "call of an account without code": "5f5f5f5f5f61beef5af1600f57005b5b5b00",
    "call without funds": "5f5f5f5f600161beef5af1601057005b5b5b00",
    "callcode without funds": "5f5f5f5f600161beef5af2600f57005b5b00",
    "creation without funds": "5f5f6001f0600957005b5b00",
    "call of a precompile": "5f5f5f5f5f60045af1600e57005b5b00",
    "static call and revert": f"5f5f5f5f73{CALLED.hex()}5afa6021575f5ffd5b5f5ffd",
    "created contracts": f"{_JUMPS_ONCE}{0x5F + len(_INIT_CODE) // 2:02x}{_INIT_CODE}5f52{_CREATE * 3}{CALL_SIMPLY}00",
    "bad jump": "600356005b",
    "jump to the end": "6003565b",
    "self destruct": "600456fe5b5fff",
}
HOT_CODES: Final = {
    "jump after a loop": LOOP.format(count=60_000)[:-2] + "600f565b00",
    "call in a loop": f"6110685b{CALL}6001900380600357{CALL}00",
    "more jumps than are recorded": "62022000" + "5b6001900380600457" + "6010565b00",
}


def jumping(guest: Guest, targets: Sequence[EthAddress] = (CODE,)) -> Campaign:
    """Return a campaign of calls without data, whose next call is the first one."""
    listed = [CampaignTarget(address, b"") for address in targets]
    plan = CampaignPlan("1", False, 1 << 40, listed, [DEFAULT_SENDER], contract_of=lambda code: code)
    campaign = Campaign(guest, plan)
    campaign.begin([CampaignStep(DEFAULT_SENDER, 0, b"")])
    assert campaign.next()
    return campaign


@pytest.mark.parametrize("name", CODES)
def test_jumps_in_a_session_are_those_of_the_plain_engine(name: str) -> None:
    found = []
    codes = {CODE: bytes.fromhex(CODES[name]), CALLED: bytes.fromhex(CALLEE)}
    plain: array[int] | None = None
    for evm in ("py-evm", "fast"):
        with closing(TestExecutor(ExecutorSettings(evm=evm), Cheatcodes())) as executor:
            install_alloc(executor.machine, {address: AllocAccount(0, 1, data) for address, data in codes.items()})
            campaign = jumping(executor.campaign_guest())
            tracer = JumpTracer(campaign.number_of)
            executor.call_next(campaign, commit=False, alone=True, jumps=tracer.around)
            jumps = tracer.take()
            assert (jumps is None) == (evm == "fast")
            plain = plain if jumps is None else jumps
            campaign.cover(False, jumps)
            found.append(campaign.coverage)
            campaign.cover(False, plain)  # it adds nothing to those of the other engine
            found.append(campaign.coverage)
    assert len(set(found)) == 1


@pytest.mark.parametrize("name", HOT_CODES)
def test_jumps_in_compiled_code_are_those_of_the_plain_engine(name: str) -> None:
    found = []
    codes = {CODE: bytes.fromhex(HOT_CODES[name]), CALLED: bytes.fromhex(CALLEE)}
    for evm in ("py-evm", "fast"):
        with closing(TestExecutor(ExecutorSettings(evm=evm), Cheatcodes())) as executor:
            install_alloc(executor.machine, {address: AllocAccount(0, 1, data) for address, data in codes.items()})
            guest, is_compiled = executor.campaign_guest(), evm == "py-evm"
            end = time.monotonic() + 30 * slowness()
            while True:
                campaign = jumping(guest)
                tracer = JumpTracer(campaign.number_of)
                executor.call_next(campaign, commit=False, alone=True, jumps=tracer.around)
                campaign.cover(False, tracer.take())
                if is_compiled:
                    break
                assert time.monotonic() < end, "the code was not compiled"
                is_compiled = guest._table.compiled != []
            found.append(campaign.coverage)
    assert len(set(found)) == 1


def test_blocks_between_calls_are_not_counted() -> None:
    found: list[bool] = []
    campaign: Any = SimpleNamespace(
        records_jumps=True, number_of=len, cover=lambda has_new, jumps: found.append(has_new)
    )
    with closing(TestExecutor(ExecutorSettings(), Cheatcodes())) as executor:
        coverage = Coverage(executor, campaign, CorpusSettings(corpus_dir="corpus"))
        assert coverage._actors is not None
        for block, in_call in ((0, False), (1, True), (2, False)):
            blocks = bytes(block) + b"\1"
            if not in_call:  # by a check of the invariant
                coverage._actors.cover(Cid(b"code"), blocks)
            coverage.start()
            if in_call:
                coverage._actors.cover(Cid(b"code"), blocks)
            coverage.take(RawCallResult(True, b"", 0, ()))
    assert found == [False, True, False]


def covered(*logs: Sequence[int]) -> tuple[list[int], tuple[int, int, int]]:
    """Return the positions of logs of jumps that reach something new, and the figures of all."""
    campaign, new = jumping(Guest()), []
    for at, log in enumerate(logs):
        before = campaign.figures.reached
        campaign.cover(False, array("Q", log))
        new += [at] if campaign.figures.reached > before else []
    return new, campaign.coverage


def test_new_edges_and_new_classes_of_executions_are_new() -> None:
    # 5 ends the call after 3; 3 is its end; 5 begins it; 5 alone has no new edge
    assert covered([3, 5], [3, 5], [3], [5, 3], [5]) == ([0, 2, 3], (6, 6, 0))


def test_numbers_of_executions_fall_into_eight_classes() -> None:
    # the classes of AFL: 1, 2, 3, 4-7, 8-15, 16-31, 32-127, 128 and more
    new, (edges, features, _) = covered(*([7] * (1 + count) for count in range(1, 300)))
    assert [at + 1 for at in new] == [1, 2, 3, 4, 8, 16, 32, 128]
    assert (edges, features) == (3, 10)


def test_edges_beyond_the_limit_are_not_new() -> None:
    limit = 1 << 18
    new, figures = covered(range(1, limit), range(1, limit + 9), [1, 1], [1, 1, 2], [limit, 1], [1, 2] * 2)
    assert new == [0, 5]  # another class of a known edge
    assert figures[:2] == (limit, limit + 1)


def test_edges_of_codes_of_one_contract_are_the_same() -> None:
    plan = CampaignPlan("1", False, 1, [CampaignTarget(CODE, b"")], [DEFAULT_SENDER], contract_of=lambda code: code[:2])
    numbers = list(map(Campaign(Guest(), plan).number_of, (b"aa1", b"aa2", b"bb1", b"aa1")))
    assert numbers == [1, 1, 2, 1]
    unknown = CampaignPlan("1", False, 1, [], [DEFAULT_SENDER], contract_of=lambda _: None)
    assert list(map(Campaign(Guest(), unknown).number_of, (b"a", b"b"))) == [0, 0]


@pytest.mark.parametrize(
    ("max_inputs", "sizes", "kept"), [(3, [32] * 5, 3), (1 << 10, [2 << 20] * 40, 31), (4, [32, 65 << 20], 1)]
)
def test_inputs_in_memory_are_limited_in_number_and_size(max_inputs: int, sizes: Sequence[int], kept: int) -> None:
    plan = CampaignPlan(
        "1", False, 1, [CampaignTarget(CODE, b"abcd")], [DEFAULT_SENDER], contract_of=bytes, max_inputs=max_inputs
    )
    campaign = Campaign(Guest(), plan)
    for size in sizes:
        campaign.begin([CampaignStep(DEFAULT_SENDER, 0, b"abcd".ljust(size))], is_replay=True)
        assert campaign.next()
        campaign.cover(has_new=True)
    assert campaign.coverage.inputs == kept
    assert campaign.end_sequence() == []  # the replayed ones are stored


def test_mutated_sequences_mix_both_inputs_within_the_depth() -> None:
    senders = {letter: EthAddress(letter.encode() * 20) for letter in "abcdwxyz."}
    plan = CampaignPlan("1", True, 6, [CampaignTarget(CODE, b"abcd")], [senders["."]], contract_of=bytes, max_inputs=9)
    campaign = Campaign(Guest(), plan)

    def run(steps: str = "") -> str:
        queue = [CampaignStep(senders[letter], 0, b"abcd") for letter in steps]
        campaign.begin(queue, is_replay=bool(queue))
        found = ""
        while (step := campaign.next()) is not None:
            found += chr(step.sender[0])
            if steps:
                campaign.cover(has_new=True)
            campaign.take(success=True, rejected=False, gas=0, output=b"", logs=(), words=b"")
        return found

    assert [run(steps) for steps in ("abcd", "wxyz")] == ["abcd", "wxyz"]
    found = [run() for _ in range(2000)]
    assert set(map(len, found)) == {6}
    assert set(found) >= {"ab....", "a.cd..", "wxyzcd", "abcdwx", "abccd.", "wxyzzz", "wbyd.."}


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
def test_calls_whose_jumps_the_guest_records_are_not_traced(
    run_contracts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evm: str
) -> None:
    tracings = 0
    take = JumpTracer.take

    def counting(self: JumpTracer) -> array[int] | None:
        nonlocal tracings
        jumps = take(self)
        tracings += jumps is not None
        return jumps

    monkeypatch.setattr(JumpTracer, "take", counting)
    counter = artifact({"up()": ["5f5480600101", "5f55", "60061b5f20", "5000"], "count()": ["5f545f5260205ff3"]})
    settings = InvariantSettings(runs=1, depth=30, corpus_dir="cache/corpus")
    suite = counting_suite(counter, "6001")
    project = Project(tmp_path, invariant=settings)
    (found,) = run_contracts({"Suite": suite, "Counter": counter}, project=project, evm=evm)["Suite"].values()
    assert (found.status, found.calls) == (CaseStatus.SUCCESS, 30)
    assert tracings == (0 if evm == "fast" else 30)


def test_a_corpus_without_folder_and_figures_records_no_jumps() -> None:
    assert not CorpusSettings().collects_edges
    assert CorpusSettings(show_edge_coverage=True).collects_edges
    assert CorpusSettings(corpus_dir="corpus").collects_edges
