"""Invariants: call sequences from the state after setUp, the shortest that breaks one, and their targets."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from eth_abi.abi import encode

from hypervisor_tools.soltest.cheatcodes.state import CONSOLE_ADDRESS, CREATE2_DEPLOYER, VM_ADDRESS
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.execution.results import CaseStatus, SuiteResult, TestResult
from hypervisor_tools.soltest.fuzz.invariants import shrink
from hypervisor_tools.soltest.fuzz.stored_failures import write_failures
from hypervisor_tools.soltest.project.project import FuzzSettings, InvariantSettings, Project
from hypervisor_tools.soltest.report.report import json_report
from tests.hypervisor_tools.soltest.contracts import (
    FAIL,
    PASS,
    artifact,
    call_of_cheatcode,
    counting_suite,
    creation,
    runtime,
)

Run = Callable[..., dict[str, dict[str, TestResult]]]

# x is the first argument
X = "600435"
STORE_ONE = ["60015f5500"]
SYMBOLIC = pytest.mark.parametrize("symbolic", ["", "checks"], ids=["fuzzed", "symbolic"])
CALL_ANOTHER = "5f5f5f5f5f61dead5af150"


@pytest.mark.oracle
def test_constant_only_in_tested_source_breaks_an_invariant(run_contracts: Run, tmp_path: Path) -> None:
    """Equal to forge 1.7.1 in seven seeds; the code contains the number minus 1, so its words do not reveal it."""
    for folder, text in (
        ("test", 'import "../src/A.sol"; contract Suite {}'),
        ("src", "uint256 constant A = 0x4d2e9a41;"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / ("T.t.sol" if folder == "test" else "A.sol")).write_text(text, encoding="utf-8")
    counter = artifact({"take(uint256)": [X, "634d2e9a4060010114", "@bad", "57", "00", "bad:", *STORE_ONE],
                        "count()": ["5f545f5260205ff3"]})  # fmt: skip
    suite = counting_suite(counter, "5f5115")  # count() is zero
    for seed in range(7):
        settings = InvariantSettings(runs=10, depth=20)
        project = Project(tmp_path, invariant=settings)
        found = run_contracts({"Suite": suite, "Counter": counter}, project=project, seed=seed)["Suite"]
        assert [test.status for test in found.values()] == [CaseStatus.FAILURE]


@pytest.mark.slow
def test_several_steps_in_their_order_are_found_one_by_one(run_contracts: Run, tmp_path: Path) -> None:
    """Each of six functions proceeds only after the previous one; by chance once in 16,000 sequences."""
    names = [f"step{number}()" for number in range(6)]
    counter = artifact({
        **{name: ["5f54", f"60{at:02x}", "14", "@go", "57", *FAIL, "go:", f"60{2 * at + 1:02x}", "5f5500"]
           for at, name in zip((0, 1, 3, 7, 15, 31), names, strict=True)},
        "count()": ["5f545f5260205ff3"],
    })  # fmt: skip
    project = Project(tmp_path, invariant=InvariantSettings(runs=600, depth=7))
    suite = counting_suite(counter, "603f5f5110")  # count() is less than 63
    (test,) = run_contracts({"Suite": suite, "Counter": counter}, project=project)["Suite"].values()
    assert [step.signature for step in test.counterexample] == names


def test_an_invariant_is_broken_by_the_shortest_sequence(run_contracts: Run) -> None:
    counter = artifact({"up()": ["5f546001015f5500"], "other()": PASS, "count()": ["5f545f5260205ff3"]})
    suite = counting_suite(counter, "60035f5110")  # count() is less than 3
    test = run_contracts({"Suite": suite, "Counter": counter})["Suite"]["invariantFew()"]
    assert test.status is CaseStatus.FAILURE
    assert [step.signature for step in test.counterexample] == ["up()"] * 3
    assert test.shrunk_from >= 3
    found = json_report([SuiteResult("test/T.t.sol", "Suite", [test])])["test/T.t.sol:Suite"]["test_results"]
    length, steps = found["invariantFew()"]["counterexample"]["Sequence"]
    assert (length, len(steps)) == (test.shrunk_from, 3)
    assert steps[0] == {
        "warp": None,
        "roll": None,
        "sender": test.counterexample[0].sender.lower(),
        "addr": test.counterexample[0].address.lower(),
        "calldata": f"0x{selector('up()').hex()}",
        "contract_name": "test/T.t.sol:Counter",
        "func_name": "up",
        "signature": "up()",
        "args": "",
        "raw_args": "",
    }
    address = test.counterexample[0].address
    assert re.fullmatch("0x[0-9a-fA-F]{40}", address)
    assert f"addr=[test/T.t.sol:Counter]{address} calldata=up() " in test.counterexample[0].text()


@pytest.mark.slow
@pytest.mark.parametrize("opcode", ["42", "43"])
def test_time_and_blocks_pass_between_calls(run_contracts: Run, tmp_path: Path, opcode: str) -> None:
    """A removed call's delay is added to the next call, as in forge 1.7.1: the last one then has the whole delay."""
    counter = artifact({"note()": [f"{opcode}5f5500"], "other()": PASS, "count()": ["5f545f5260205ff3"]})
    suite = {"Suite": counting_suite(counter, "6103e85f5110"), "Counter": counter}  # count() is less than 1,000
    frozen = Project(tmp_path, invariant=InvariantSettings(runs=4, depth=60))
    (test,) = run_contracts(suite, project=frozen)["Suite"].values()
    assert (test.status, test.calls) == (CaseStatus.SUCCESS, 240)
    time, blocks = (100, 0) if opcode == "42" else (0, 100)
    settings = InvariantSettings(runs=4, depth=60, max_time_delay=time, max_block_delay=blocks)
    project = Project(tmp_path, invariant=settings)
    (test,) = run_contracts(suite, project=project)["Suite"].values()
    (step,) = test.counterexample
    assert (test.status, step.signature) == (CaseStatus.FAILURE, "note()")
    row = step.forge_json()
    name, other = ("warp", "roll") if opcode == "42" else ("roll", "warp")
    delay = int(row[name] or "0", 16)
    assert 999 <= delay < 60 * 100  # the block's first timestamp and number are 1
    assert row[other] is None
    assert f"{step.address} {name}={delay} calldata=note() " in step.text()
    write_failures(project, [SuiteResult("test/T.t.sol", "Suite", [test])])
    (again,) = run_contracts(suite, project=project)["Suite"].values()
    assert (again.is_replayed, again.counterexample) == (True, test.counterexample)


def test_an_invariant_of_the_time_is_checked_after_calls_that_write_nothing(run_contracts: Run, tmp_path: Path) -> None:
    counter = artifact({"other()": PASS, "count()": ["425f5260205ff3"]})
    suite = {"Suite": counting_suite(counter, "6103e85f5110"), "Counter": counter}  # the timestamp is less than 1,000
    project = Project(tmp_path, invariant=InvariantSettings(runs=1, depth=3, max_time_delay=3000))
    (test,) = run_contracts(suite, project=project, evm="fast")["Suite"].values()
    assert (test.status, len(test.counterexample)) == (CaseStatus.FAILURE, 1)


@pytest.mark.parametrize("opcode", ["42", "44"])
@pytest.mark.parametrize("corpus_dir", [None, "corpus"])
@pytest.mark.parametrize("evm", ["fast", "py-evm"])
def test_rejected_calls_keep_no_effects_of_cheatcodes(
    run_contracts: Run, tmp_path: Path, opcode: str, corpus_dir: str | None, evm: str
) -> None:
    """The result is that of forge 1.7.1; count() is the timestamp or prevrandao, which the rejected calls set."""
    setter = ("warp(uint256)", 1000) if opcode == "42" else ("prevrandao(uint256)", 1000)
    body = [*call_of_cheatcode(*setter), *call_of_cheatcode("assume(bool)", False), "00"]
    counter = artifact({"reject()": body, "write()": STORE_ONE, "count()": [f"{opcode}5f5260205ff3"]})
    suite = {"Suite": counting_suite(counter, "6103e85f5110"), "Counter": counter}  # count() is less than 1,000
    project = Project(tmp_path, invariant=InvariantSettings(runs=2, depth=8, corpus_dir=corpus_dir))
    (test,) = run_contracts(suite, project=project, evm=evm)["Suite"].values()
    assert (test.status, test.calls) == (CaseStatus.SUCCESS, 16)
    assert sum(row.discards for row in test.metrics) > 0


def test_an_invariant_of_the_time_is_checked_after_a_call_that_only_warps(run_contracts: Run, tmp_path: Path) -> None:
    late = [*call_of_cheatcode("warp(uint256)", 1000), "00"]
    counter = artifact({"late()": late, "count()": ["425f5260205ff3"]})  # count() is the timestamp
    suite = {"Suite": counting_suite(counter, "6103e85f5110"), "Counter": counter}  # it is less than 1,000
    project = Project(tmp_path, invariant=InvariantSettings(runs=1, depth=3))
    (test,) = run_contracts(suite, project=project, evm="fast")["Suite"].values()
    assert (test.status, len(test.counterexample)) == (CaseStatus.FAILURE, 1)


@pytest.mark.slow
def test_rejected_calls_keep_neither_mocks_nor_delays(run_contracts: Run, tmp_path: Path) -> None:
    """count() is the timestamp at which note() was called; at most 20 calls have delays of less than 10 seconds."""
    mock = call_of_cheatcode("mockCall(address,bytes,bytes)", COUNTER, selector("count()"), (1000).to_bytes(32, "big"))
    body = [*mock, *call_of_cheatcode("assume(bool)", False), "00"]
    counter = artifact({"reject()": body, "note()": ["425f5500"], "count()": ["5f545f5260205ff3"]})
    suite = {"Suite": counting_suite(counter, "60b65f5110"), "Counter": counter}  # count() is less than 182
    project = Project(tmp_path, invariant=InvariantSettings(runs=4, depth=20, max_time_delay=10))
    (test,) = run_contracts(suite, project=project, evm="fast")["Suite"].values()
    assert (test.status, test.calls) == (CaseStatus.SUCCESS, 80)
    assert sum(row.discards for row in test.metrics) > 0


@pytest.mark.slow
def test_delays_of_the_settings_are_not_reached(run_contracts: Run, tmp_path: Path) -> None:
    """A delay is a random number modulo the setting, as in forge."""
    counter = artifact({"note()": ["425f5500"], "count()": ["5f545f5260205ff3"]})
    suite = {"Suite": counting_suite(counter, "60415f5110"), "Counter": counter}  # count() is less than 65
    for limit, status in ((2, CaseStatus.SUCCESS), (3, CaseStatus.FAILURE)):
        project = Project(tmp_path, invariant=InvariantSettings(runs=20, depth=60, max_time_delay=limit))
        (test,) = run_contracts(suite, project=project)["Suite"].values()
        assert test.status is status


@pytest.mark.slow
def test_invariant_sequences_start_from_set_up_state(run_contracts: Run) -> None:
    # a sequence has twenty calls, so count() never exceeds twenty unless two sequences add up
    counter = artifact({"up()": ["5f546001015f5500"], "count()": ["5f545f5260205ff3"]})
    suite = counting_suite(counter, "60155f5110")
    test = run_contracts({"Suite": suite, "Counter": counter})["Suite"]["invariantFew()"]
    assert (test.status, test.runs, test.calls) == (CaseStatus.SUCCESS, 4, 80)


def test_broken_invariant_shows_sequence_trace_and_stack(run_contracts: Run) -> None:
    counter = artifact({"up()": ["5f546001015f5500"], "count()": ["5f545f5260205ff3"]})
    suite = counting_suite(counter, "60025f5110")  # count() is less than 2
    found = run_contracts({"Suite": suite, "Counter": counter}, verbosity=3)["Suite"]["invariantFew()"]
    calls = re.findall(r"^  \[\d+\] (\S+)$", found.trace, re.MULTILINE)
    assert calls == ["Counter::up()", "Counter::up()", "Suite::invariantFew()"]
    assert found.stack == ("Suite.invariantFew",)


def test_trace_of_a_failure_has_the_delays_of_its_calls(run_contracts: Run, tmp_path: Path) -> None:
    """Without them the repeated sequence does not fail, and the result has no trace."""
    counter = artifact({"note()": ["425f5500"], "count()": ["5f545f5260205ff3"]})
    suite = {"Suite": counting_suite(counter, "60c85f5110"), "Counter": counter}  # count() is less than 200
    project = Project(tmp_path, invariant=InvariantSettings(runs=4, depth=20, max_time_delay=100))
    (test,) = run_contracts(suite, project=project, verbosity=3)["Suite"].values()
    assert test.status is CaseStatus.FAILURE
    assert re.findall(r"^  \[\d+\] (\S+)$", test.trace, re.MULTILINE) == ["Counter::note()", "Suite::invariantFew()"]
    assert test.stack == ("Suite.invariantFew",)


@SYMBOLIC
def test_never_held_invariant_has_stack_without_sequence(run_contracts: Run, symbolic: str) -> None:
    counter = artifact({"up()": ["5f546001015f5500"], "count()": ["5f545f5260205ff3"]})
    suite = {"Suite": counting_suite(counter, "5f"), "Counter": counter}
    found = run_contracts(suite, symbolic=symbolic)["Suite"]["invariantFew()"]
    assert (found.status, found.counterexample, found.stack) == (CaseStatus.FAILURE, (), ("Suite.invariantFew",))


@SYMBOLIC
def test_calls_before_a_test_are_not_made_for_an_invariant(run_contracts: Run, symbolic: str) -> None:
    counter = artifact({"up()": PASS, "count()": ["5f545f5260205ff3"]})
    suite = counting_suite(counter, "6001")
    suite["beforeTestSetup(bytes4)"] = answers("bytes[]", [selector("missing()")])
    found = run_contracts({"Suite": suite, "Counter": counter}, symbolic=symbolic)["Suite"]["invariantFew()"]
    assert found.status is CaseStatus.SUCCESS, found.reason


@pytest.mark.slow
def test_long_sequence_shrinks_to_its_single_needed_call(run_contracts: Run, tmp_path: Path) -> None:
    seldom = [X, "60ff16600460010114", "@bad", "57", "00", "bad:", "60015f5500"]  # if the last byte is 5
    counter = artifact({"up(uint256)": seldom, "count()": ["5f545f5260205ff3"]})
    suite = counting_suite(counter, "60015f5110")
    project = Project(tmp_path, invariant=InvariantSettings(runs=20, depth=500))
    test = run_contracts({"Suite": suite, "Counter": counter}, project=project)["Suite"]["invariantFew()"]
    assert (test.status, len(test.counterexample)) == (CaseStatus.FAILURE, 1)
    assert test.shrunk_from > 10


@pytest.mark.oracle
def test_stopped_invariant_reports_progress_and_remedy(run_contracts: Run, tmp_path: Path) -> None:
    counter = artifact({"up()": ["5f546001015f5500"], "count()": ["5f545f5260205ff3"]})
    suite = counting_suite(counter, "6001")
    project = Project(tmp_path, fuzz=FuzzSettings(runs=10**9), invariant=InvariantSettings(runs=10**9, depth=20))
    suite["testFuzz(uint8)"] = PASS
    found = run_contracts({"Suite": suite, "Counter": counter}, project=project, evm="fast", timeout=4.0)["Suite"]
    test, fuzz = found["invariantFew()"], found["testFuzz(uint8)"]
    words = "no end after 4 seconds: stopped (--timeout, or set {0}.timeout, or lower {0}.runs"
    assert (test.reason or "").startswith(words.format("invariant") + " or invariant.depth, in foundry.toml)")
    assert (fuzz.reason or "").startswith(words.format("fuzz"))
    assert (test.status, fuzz.status) == (CaseStatus.FAILURE, CaseStatus.FAILURE)
    assert 0 < 20 * test.runs <= test.calls < 10**6
    assert 0 < fuzz.runs < 10**6


@pytest.mark.slow
def test_tests_with_many_runs_end_well_by_forges_timeout(run_contracts: Run, tmp_path: Path) -> None:
    counter = artifact({"up()": ["5f546001015f5500"], "count()": ["5f545f5260205ff3"]})
    suite = counting_suite(counter, "6001")
    suite["testFuzz(uint8)"] = PASS
    limits = FuzzSettings(runs=10**9, timeout=1), InvariantSettings(runs=10**9, depth=20, timeout=1)
    project = Project(tmp_path, fuzz=limits[0], invariant=limits[1])
    found = run_contracts({"Suite": suite, "Counter": counter}, project=project, evm="fast")["Suite"]
    assert {test.status for test in found.values()} == {CaseStatus.SUCCESS}
    assert all(0 < test.runs < 10**6 for test in found.values())


def test_an_invariant_that_holds_has_all_its_calls(run_contracts: Run) -> None:
    counter = artifact({"up()": ["5f546001015f5500"], "breaks()": FAIL})
    init_code = bytes.fromhex(counter["bytecode"]["object"])
    words = [init_code[at : at + 32].ljust(32, b"\0") for at in range(0, len(init_code), 32)]
    stores = [f"7f{word.hex()}61{32 * place:04x}52" for place, word in enumerate(words)]
    suite = {"setUp()": [*stores, f"61{len(init_code):04x}5f5ff05000"], "invariantAny()": PASS}
    test = run_contracts({"Suite": suite, "Counter": counter})["Suite"]["invariantAny()"]
    assert (test.status, test.runs, test.calls) == (CaseStatus.SUCCESS, 4, 80)
    assert 0 < test.reverts < 80


def test_invariant_without_targets_is_reported(run_contracts: Run) -> None:
    test = run_contracts({"Alone": {"invariantNothing()": PASS}})["Alone"]["invariantNothing()"]
    assert test.reason == "failed to set up invariant testing environment: No contracts to fuzz."


COUNTER = "0x5615deb798bb3e4dfa0139dfa1b3d433cc23b72f"

"""Address of the first contract that forge's test contract creates."""


def answers(kind: str, value: object) -> list[str]:
    """Return a body that returns a value."""
    data = encode([kind], [value])
    stores = [f"7f{data[at : at + 32].hex()}61{at:04x}52" for at in range(0, len(data), 32)]
    return [*stores, f"61{len(data):04x}5ff3"]


@pytest.mark.slow
def test_invariant_calls_only_its_target_functions(run_contracts: Run) -> None:
    counter = artifact({"up()": ["5f546001015f5500"], "other()": PASS, "count()": ["5f545f5260205ff3"]})
    suite = counting_suite(counter, "60035f5110")
    others = answers("(address,bytes4[])[]", [(COUNTER, [selector("other()")])])
    test = run_contracts({"Suite": suite | {"targetSelectors()": others}, "Counter": counter})["Suite"][
        "invariantFew()"
    ]
    assert (test.status, test.calls, test.reverts) == (CaseStatus.SUCCESS, 80, 0)


@SYMBOLIC
@pytest.mark.parametrize(
    "targeted", [[], [bytes(20), VM_ADDRESS, CONSOLE_ADDRESS, CREATE2_DEPLOYER, bytes(19) + b"\1"]]
)
def test_senders_that_forge_excludes_call_nothing(run_contracts: Run, targeted: list[bytes], symbolic: str) -> None:
    """Source: forge 1.8 `select_contracts_and_senders`, of foundry's issues 4163 and 4287."""
    own = [part for one in (VM_ADDRESS, CONSOLE_ADDRESS, CREATE2_DEPLOYER, b"\1\0")
           for part in (f"{0x5f + len(one):02x}{one.hex()}3314", "@bad", "57")]  # fmt: skip
    take = ["60123310", "@bad", "57", *own, "00", "bad:", *STORE_ONE]
    counter = artifact({"take()": take, "count()": ["5f545f5260205ff3"]})
    suite = counting_suite(counter, "5f5115") | {"targetSenders()": answers("address[]", targeted)}  # count() is zero
    found = run_contracts({"Suite": suite, "Counter": counter}, symbolic=symbolic)["Suite"]["invariantFew()"]
    assert found.status is CaseStatus.SUCCESS, found.counterexample


def test_a_target_is_the_contract_with_its_metadata(run_contracts: Run) -> None:
    """`A` differs in its metadata only, and is not deployed; forge names `B`."""
    functions = {"up()": ["5f546001015f5500"], "count()": ["5f545f5260205ff3"]}
    code = {name: runtime(functions) + bytes.fromhex(f"a161{name.encode().hex()}f50004") for name in "AB"}
    made = {name: artifact(functions, creation(code[name])) | {"deployedBytecode": {"object": code[name].hex()}}
            for name in "AB"}  # fmt: skip
    suite = counting_suite(made["B"], "6001") | {"targetArtifacts()": answers("string[]", ["B"])}
    test = run_contracts({**made, "Suite": suite})["Suite"]["invariantFew()"]
    assert (test.status, {row.contract.rpartition(":")[2] for row in test.metrics}) == (CaseStatus.SUCCESS, {"B"})


def test_an_invariant_calls_no_contract_that_is_excluded(run_contracts: Run) -> None:
    counter = artifact({"up()": ["5f546001015f5500"], "count()": ["5f545f5260205ff3"]})
    suite = counting_suite(counter, "60035f5110") | {"excludeContracts()": answers("address[]", [COUNTER])}
    test = run_contracts({"Suite": suite, "Counter": counter})["Suite"]["invariantFew()"]
    assert test.reason == "failed to set up invariant testing environment: No contracts to fuzz."


@pytest.mark.slow
def test_direct_reverts_are_counted_on_fast_engine(run_contracts: Run) -> None:
    """Logs of failed frames are needed where cheatcodes listen, so the guest must have written them."""
    counter = artifact({"up()": ["5f546001015f5500"], "fail()": [CALL_ANOTHER, *FAIL], "count()": ["5f545f5260205ff3"]})
    suite = counting_suite(counter, "61ffff5f5110")  # count() is less than 65,535
    found = {
        evm: run_contracts({"Suite": suite, "Counter": counter}, evm=evm)["Suite"]["invariantFew()"]
        for evm in ("fast", "py-evm")
    }
    fast, plain = found.values()
    assert (fast.status, fast.reason) == (CaseStatus.SUCCESS, None)
    assert (fast.calls, fast.reverts, fast.metrics) == (plain.calls, plain.reverts, plain.metrics)
    assert fast.reverts > 0


def needs(*wanted: int) -> tuple[list[int], list[int]]:
    """Return what 500 steps are shortened to if these fail together, in this order, and an entry for each try."""
    tries: list[int] = []

    def fails(steps: Sequence[int]) -> tuple[int, str] | None:
        tries.append(len(steps))
        found = iter(steps)
        if not all(step in found for step in wanted):
            return None
        return len(steps) - len(list(found)), "why"

    best, reason = shrink(list(range(500)), "why", fails, 5000)
    assert reason == "why"
    return list(best), tries


@pytest.mark.parametrize("wanted", [(499,), (0,), (249, 250), (3, 77, 499), (10, 11, 12, 13)])
def test_shrinking_leaves_only_necessary_calls(wanted: tuple[int, ...]) -> None:
    best, tries = needs(*wanted)
    assert best == list(wanted)
    assert len(tries) < 100  # one by one it would be 500


def test_shrinking_drops_steps_needed_only_by_removed_ones() -> None:
    def fails(steps: Sequence[int]) -> tuple[int, str] | None:
        pairs = all((2 * pair in steps) == (2 * pair + 1 in steps) or 2 * pair not in steps for pair in range(4))
        return (len(steps), "why") if 9 in steps and pairs else None  # an even step needs the next

    assert shrink(list(range(10)), "why", fails, 5000)[0] == [9]


def test_the_tries_are_bounded() -> None:
    tries: list[int] = []

    def fails(steps: Sequence[int]) -> tuple[int, str] | None:
        tries.append(len(steps))
        return None

    assert shrink(list(range(500)), "why", fails, 7) == (list(range(500)), "why")
    assert len(tries) == 7
