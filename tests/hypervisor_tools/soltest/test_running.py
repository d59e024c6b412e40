"""Suites run to their end whatever their tests do, and each result names the cause. Messages are forge's."""

import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode

from bridge.ethereum.addresses import masked_id
from hypervisor.types import ActorID
from hypervisor_tools.soltest.cheatcodes.failures import MAGIC_ASSUME
from hypervisor_tools.soltest.cheatcodes.hooks import interceptor
from hypervisor_tools.soltest.cheatcodes.state import CONSOLE_ADDRESS, VM_ADDRESS
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.execution.results import CaseStatus, SuiteResult, TestResult
from hypervisor_tools.soltest.project.consent import Consent, Grant
from hypervisor_tools.soltest.project.project import FuzzSettings, Project
from tests.hypervisor_tools.soltest.contracts import FAIL, LOOP, PASS, artifact, call_of_cheatcode, counting_suite

Run = Callable[..., dict[str, dict[str, TestResult]]]

# hashes of a hundred thousand bytes: much gas for an instruction
HASHES = ["again:", "620186a05f2050", "@again", "56"]
# x is the first argument
X = "600435"
STORE_ONE = ["60015f5500"]
UNLESS_ONE = ["5f54600114", "@good", "57", "5f5ffd", "good:", "00"]


def test_each_test_starts_from_set_up_state(run_contracts: Run) -> None:
    found = run_contracts({
        "Plain": {
            "setUp()": STORE_ONE,
            "testKept()": UNLESS_ONE,
            "testSpoils()": ["60025f5500"],
            "testStillKept()": UNLESS_ONE,
            "testReverts()": FAIL,
        }
    })["Plain"]  # fmt: skip
    ends = {name: test.status for name, test in found.items()}
    assert ends == {
        "testKept()": CaseStatus.SUCCESS,
        "testSpoils()": CaseStatus.SUCCESS,
        "testStillKept()": CaseStatus.SUCCESS,
        "testReverts()": CaseStatus.FAILURE,
    }
    assert found["testReverts()"].reason == "EvmError: Revert"


def test_a_set_up_that_reverts_is_the_one_result_of_its_contract(run_contracts: Run) -> None:
    reason = "62626164" + "5f52" + "6003601dfd"  # reverts with the bytes of "bad"
    found = run_contracts({"Broken": {"setUp()": [reason], "testNever()": PASS}, "Whole": {"testRuns()": PASS}})
    assert [(name, test.status) for name, test in found["Broken"].items()] == [("setUp()", CaseStatus.FAILURE)]
    assert found["Broken"]["setUp()"].reason == "bad"
    assert found["Whole"]["testRuns()"].status is CaseStatus.SUCCESS


def test_failing_constructor_fails_only_its_own_contract(run_contracts: Run) -> None:
    broken = artifact({"testNever()": PASS}, bytes.fromhex("5f5ffd"))
    found = run_contracts({"Broken": broken, "Whole": {"testRuns()": PASS}})
    assert found["Broken"]["constructor()"].status is CaseStatus.FAILURE
    assert found["Whole"]["testRuns()"].status is CaseStatus.SUCCESS


@pytest.mark.oracle
def test_a_test_without_end_is_stopped_and_the_others_run_on(run_contracts: Run) -> None:
    bodies = {"testAfter()": PASS, "testLoops()": LOOP, "testZ()": PASS}
    found = run_contracts({"Endless": bodies, "Other": {"testRuns()": PASS}}, timeout=6.0)
    assert found["Endless"]["testLoops()"].reason == "no end after 6 seconds: stopped (--timeout)"
    assert {found["Endless"][name].status for name in ("testAfter()", "testZ()")} == {CaseStatus.SUCCESS}
    assert found["Other"]["testRuns()"].status is CaseStatus.SUCCESS


@pytest.mark.oracle
def test_memory_without_bound_is_out_of_gas(run_contracts: Run) -> None:
    huge = ["600160ff1b51"]  # reads memory at 2^255
    found = run_contracts({"Memory": {"testGrows()": ["again:", "60015952", "@again", "56"], "testHuge()": huge}})
    assert found["Memory"]["testHuge()"].reason == "EvmError: InvalidOperandOOG"
    assert found["Memory"]["testGrows()"].status is CaseStatus.FAILURE


def test_an_unknown_cheatcode_fails_with_its_selector(run_contracts: Run) -> None:
    vm = "7109709ecfa91a80626ff3989d68f67f5b1dd12d"
    calls = [f"63deadbeef60e01b5f525f5f60045f5f73{vm}5af1", "3d5f5f3e", "@good", "57", "3d5ffd", "good:", "00"]
    found = run_contracts({"Cheats": {"testUnknown()": calls, "testFine()": PASS}})["Cheats"]
    assert (found["testUnknown()"].reason or "").startswith("unknown cheatcode with selector 0xdeadbeef")
    assert found["testFine()"].status is CaseStatus.SUCCESS


def test_a_cheatcode_that_is_not_there_is_refused_with_its_name(run_contracts: Run) -> None:
    vm = "7109709ecfa91a80626ff3989d68f67f5b1dd12d"
    asks = selector("isImplicitlyApproved(address)").hex()
    calls = [f"63{asks}60e01b5f525f5f60045f5f73{vm}5af1", "3d5f5f3e", "@good", "57", "3d5ffd", "good:", "00"]
    found = run_contracts({"Lacks": {"testLacks()": calls, "testFine()": PASS}})["Lacks"]
    assert (found["testLacks()"].reason or "").startswith("vm.isImplicitlyApproved: this cheatcode is not supported: ")
    assert (found["testLacks()"].reason or "").endswith("network Tempo: remove it")
    assert found["testFine()"].status is CaseStatus.SUCCESS


@pytest.mark.slow
def test_counterexample_is_minimal_with_reproducing_call(run_contracts: Run) -> None:
    too_large = [X, "6103e810", "@bad", "57", "00", "bad:", "5f5ffd"]  # reverts above 1000
    test = run_contracts({"Fuzz": {"testFuzz(uint256)": too_large}})["Fuzz"]["testFuzz(uint256)"]
    (example,) = test.counterexample
    assert test.status is CaseStatus.FAILURE
    assert example.arguments == "1001"
    assert example.calldata[-2:] == (1001).to_bytes(2, "big")
    assert test.seed == 1


def test_a_fuzz_test_has_its_runs_and_the_seed_repeats_them(run_contracts: Run) -> None:
    rare = [X, "6110001614", "@bad", "57", "00", "bad:", "5f5ffd"]
    contracts = {"Fuzz": {"testFuzz(uint64)": PASS, "testRare(uint256)": rare}}
    first, second = run_contracts(contracts)["Fuzz"], run_contracts(contracts)["Fuzz"]
    assert first["testFuzz(uint64)"].runs == 64
    rarely = "testRare(uint256)"
    assert (first[rarely].runs, first[rarely].counterexample) == (second[rarely].runs, second[rarely].counterexample)


def test_assumption_is_met_by_source_literal(run_contracts: Run, tmp_path: Path) -> None:
    # forge passes `vm.assume(x == 77)` too: it draws the numbers of the source; the code has this one minus 1
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "T.t.sol").write_text("contract Rejects { uint256 a = 0x4d2e9a41; }", encoding="utf-8")
    refuses = "7f" + MAGIC_ASSUME.ljust(32, b"\0").hex() + f"5f5260{len(MAGIC_ASSUME):02x}5ffd"
    rejects = [X, "634d2e9a4060010114", "@good", "57", refuses, "good:", "00"]
    project = Project(tmp_path, fuzz=FuzzSettings(runs=16, max_test_rejects=1000, seed=1))
    test = run_contracts({"Rejects": {"testFuzz(uint256)": rejects}}, project=project)["Rejects"]["testFuzz(uint256)"]
    assert (test.status, test.runs) == (CaseStatus.SUCCESS, 16)


@pytest.mark.parametrize(
    ("callee", "own", "strict", "status"),
    [
        ("5f5ffd", True, False, CaseStatus.SUCCESS),
        ("5f5ffd", True, True, CaseStatus.FAILURE),
        ("00", True, False, CaseStatus.FAILURE),
        ("5f5ffd", False, False, CaseStatus.SUCCESS),
        ("fe", True, False, CaseStatus.FAILURE),
    ],
)
def test_other_contract_revert_fails_run_only_if_configured(
    run_contracts: Run, tmp_path: Path, callee: str, own: bool, strict: bool, status: CaseStatus
) -> None:
    """Rule: forge 1.7.1 with `fuzz.fail_on_revert = false`: the first revert decides; an invalid opcode is not one."""
    counter = artifact({"count()": [callee]})
    suite = {"setUp()": counting_suite(counter, "5f")["setUp()"]}
    suite["testFuzz(uint8)"] = ["63" + selector("count()").hex() + "60e01b5f52", "5f5f60045f5f545afa50"]
    suite["testFuzz(uint8)"].append("5f5ffd" if own else "00")
    project = Project(tmp_path, fuzz=FuzzSettings(runs=4, seed=1, fail_on_revert=strict))
    found = run_contracts({"Suite": suite, "Counter": counter}, project=project)["Suite"]["testFuzz(uint8)"]
    assert (found.status, found.runs) == (status, 4 if status is CaseStatus.SUCCESS else 0)


def test_code_that_needs_libraries_comes_with_their_addresses(run_contracts: Run) -> None:
    """Rule: forge deploys all libraries of the project before each suite."""
    needing = artifact({}, b"\x73" + bytes(20))
    needing["bytecode"] = {
        "object": f"73__${'0' * 34}$__",
        "linkReferences": {"test/T.t.sol": {"Lib": [{"start": 1, "length": 20}]}},
    }
    asked = selector("getCode(string)") + encode(["string"], ["Needing"])
    words = [asked[at : at + 32].ljust(32, b"\0") for at in range(0, len(asked), 32)]
    stores = [f"7f{word.hex()}61{32 * place:04x}52" for place, word in enumerate(words)]
    call = f"5f5f60{len(asked):02x}5f5f737109709ecfa91a80626ff3989d68f67f5b1dd12d5af150"
    linked = "602060405f3e" + "5f5160581c" + f"73{'ff' * 20}16"  # the 20 bytes after the first one
    suite = {"testCode()": [*stores, call, linked, "@good", "57", "5f5ffd", "good:", "00"]}
    found = run_contracts({"Suite": suite, "Lib": {"use()": PASS}, "Needing": needing})["Suite"]["testCode()"]
    assert (found.status, found.reason) == (CaseStatus.SUCCESS, None)


@pytest.mark.parametrize("stored", ["after", "before", "in setUp"])
@pytest.mark.parametrize(("slot", "is_zero"), [(0, True), (1, False)])
def test_zero_that_is_stored_in_arbitrary_storage_stays(
    run_contracts: Run, slot: int, is_zero: bool, stored: str
) -> None:
    """Slots that nothing has written are drawn, also for vm.load, as in forge 1.7.1 (zeros of setUp: foundry#15968)."""
    account = "0x" + "77" * 20
    arbitrary = call_of_cheatcode("setArbitraryStorage(address)", account)
    store = call_of_cheatcode("store(address,bytes32,bytes32)", account, bytes(32), bytes(32))
    written = [*store, *arbitrary] if stored == "before" else [*arbitrary, *store]
    read = call_of_cheatcode("load(address,bytes32)", account, slot.to_bytes(32, "big"))
    check = ["60205f5f3e", "5f51", "15" if is_zero else "", "@good", "57", "5f5ffd", "good:", "00"]
    suite = {"testRead()": [*written, *read, *check]}
    if stored == "in setUp":
        suite = {"setUp()": [*written, "00"], "testRead()": [*read, *check]}
    found = run_contracts({"Suite": suite})["Suite"]["testRead()"]
    assert (found.status, found.reason) == (CaseStatus.SUCCESS, None)


def test_creation_by_deploy_code_costs_its_caller_nothing(run_contracts: Run) -> None:
    """Rule: forge 1.7.1. The init code stores a word, which costs 22,100 gas, and the creation 32,000."""
    suite = {
        "testCode()": [
            "5a",
            *call_of_cheatcode("deployCode(string)", "Made"),
            "5a9003",
            "61200011",
            "@good",
            "57",
            "5f5ffd",
            "good:",
            "00",
        ]
    }
    contracts = {"Suite": suite, "Made": artifact({}, bytes.fromhex("60015f5500"))}
    found = run_contracts(contracts)["Suite"]["testCode()"]
    assert (found.status, found.reason) == (CaseStatus.SUCCESS, None)


@pytest.mark.parametrize("rules", ["ethereum", "filecoin"])
def test_contract_calls_native_actor_under_both_rule_sets(run_contracts: Run, rules: str) -> None:
    # DELEGATECALL of 0xfe..05, call_actor_by_id: method 48890204 (Name) of the datacap actor f07, without parameters
    words = [48890204, 0, 1, 0, 0xC0, 7, 0]
    stores = [f"7f{word:064x}60{32 * place:02x}52" for place, word in enumerate(words)]
    call = f"5f5f60e05f73{'fe' + '00' * 18 + '05'}5af450"
    # the response: exit code 0, and seven letters of "DataCap" in CBOR after it
    check = ["60205f5f3e", "5f51", "@bad", "57", "3d609f10", "@good", "57", "bad:"]
    suite = {"testName()": [*stores, call, *check, "5f5ffd", "good:", "00"]}
    test = run_contracts({"Native": suite}, rules=rules)["Native"]["testName()"]
    assert test.status is CaseStatus.SUCCESS, test.reason


@pytest.mark.oracle
def test_endless_loop_burns_its_gas_and_ends_within_seconds(run_contracts: Run) -> None:
    bodies = {"testAfter()": PASS, "testLoops()": LOOP}
    found = run_contracts({"Endless": bodies}, evm="fast", timeout=60.0, verbosity=3)["Endless"]
    assert found["testLoops()"].reason == "EvmError: OutOfGas"
    assert found["testLoops()"].stack == ("Endless.testLoops",)
    assert "OutOfGas" in found["testLoops()"].trace
    assert found["testAfter()"].status is CaseStatus.SUCCESS


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
@pytest.mark.oracle
def test_endless_loop_burns_gas_of_ten_filecoin_blocks(run_contracts: Run, evm: str) -> None:
    gas = 10**11  # the network's block limit is 10^10: FIP-0115 and lotus, BlockGasLimit
    bodies = {"testAfter()": PASS, "testLoops()": LOOP if evm == "fast" else HASHES}
    found = run_contracts({"Endless": bodies}, evm=evm, rules="filecoin", timeout=100.0)["Endless"]
    assert (found["testLoops()"].reason, found["testLoops()"].gas) == ("EvmError: OutOfGas", gas)
    assert found["testAfter()"].status is CaseStatus.SUCCESS


@pytest.mark.oracle
def test_overlong_test_is_covered_in_part_and_ends_out_of_gas(run_contracts: Run) -> None:
    again = {"setUp()": PASS, "testAfter()": PASS, "testLoops()": LOOP}
    suites: list[SuiteResult] = []
    found = run_contracts({"Endless": again}, suites, evm="fast", timeout=100.0, report="coverage")["Endless"]
    assert (found["testLoops()"].reason, found["testLoops()"].gas) == (
        "EvmError: OutOfGas",
        1_073_720_760,
    )  # forge 1.7.1
    assert found["testAfter()"].status is CaseStatus.SUCCESS
    (collected,) = suites[0].collected
    assert collected.cut == ["testLoops()"]


@pytest.mark.parametrize("actor", [7, 99_999_999])
def test_isolated_call_that_an_actor_refuses_burns_no_gas(run_contracts: Run, tmp_path: Path, actor: int) -> None:
    """The data cap actor has no such method (exit 22), and the other one is absent; only a halt burns all gas."""
    call = [f"5f5f5f5f5f73{masked_id(ActorID(actor)).hex()}5af1", "50", "00"]
    project = Project(tmp_path, isolate=True)
    found = run_contracts({"Refused": {"testCall()": call}}, project=project)["Refused"]["testCall()"]
    assert found.status is CaseStatus.SUCCESS
    assert found.gas < 100_000


@pytest.mark.slow
def test_stack_of_a_long_test_is_found_within_its_time(run_contracts: Run) -> None:
    # 4.7 million instructions of one gas each, then a revert: the search repeats them in the session
    until = f"63{(1 << 30) - 4_700_000:08x}5a11"
    slow = ["again:", "5b" * 1000, until, "@again", "57", "5f5ffd"]
    bodies = {"testAfter()": PASS, "testSlow()": slow, "testZ()": PASS}
    found = run_contracts({"Watched": bodies}, evm="fast", timeout=10.0)["Watched"]
    assert found["testSlow()"].reason == "EvmError: Revert"
    assert found["testSlow()"].gas > 4_600_000
    assert found["testSlow()"].stack == ("Watched.testSlow",)
    assert {found[name].status for name in ("testAfter()", "testZ()")} == {CaseStatus.SUCCESS}


LONGEST = 24_576
"""Code size limit of a contract: EIP-170, and Filecoin's EVM actor."""


def sized(size: int) -> list[str]:
    """Return a body that, in a later block, creates a contract with `size` bytes of code, and reverts if it fails."""
    init_code = "61" + size.to_bytes(2, "big").hex() + "5ff3"  # return(0, size)
    roll = f"631f7b4f305f5260056020525f5f6024601c5f73{VM_ADDRESS.hex()}5af150"
    return [roll, f"64{init_code}5f52", "6005601b5ff0", "@made", "57", "5f5ffd", "made:", "00"]


def larger(functions: dict[str, list[str]]) -> dict[str, Any]:
    """Return a test contract whose code exceeds the size limit of deployed contracts."""
    made = artifact(functions)
    code = bytes.fromhex(made["deployedBytecode"]["object"]) + bytes(LONGEST)
    head = bytes.fromhex("61") + len(code).to_bytes(2, "big") + bytes.fromhex("80600a5f395ff3")
    return {**made, "bytecode": {"object": (head + code).hex()}, "deployedBytecode": {"object": code.hex()}}


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
@pytest.mark.parametrize(
    ("rules", "limit", "longest"),
    [
        ("filecoin", None, LONGEST),
        ("filecoin", LONGEST, LONGEST),
        ("ethereum", LONGEST, LONGEST),
        ("filecoin", 30_000, 30_000),
        ("ethereum", None, 60_000),
        ("ethereum", 30_000, 30_000),
    ],
)
def test_test_contract_may_exceed_deployed_code_size_limit(
    rules: str, limit: int | None, longest: int, evm: str, run_contracts: Run
) -> None:
    # forge has no limit unless `code_size_limit` sets one, which refuses the test contract, too (1.7.1); here it is for
    # what tests deploy, which goes to a network. Filecoin's rules have the network's limit for that
    made = larger({"testFits()": sized(longest), "testDoesNot()": sized(longest + 1)})
    found = run_contracts({"Large": made}, rules=rules, evm=evm, code_size_limit=limit)["Large"]
    ends = {name: test.status for name, test in found.items()}
    unlimited = rules == "ethereum" and limit is None
    assert ends == {
        "testFits()": CaseStatus.SUCCESS, "testDoesNot()": CaseStatus.SUCCESS if unlimited else CaseStatus.FAILURE
    }  # fmt: skip


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
@pytest.mark.parametrize("limit", [None, 30_000])
def test_code_above_the_limit_is_in_failure_trace_and_backtrace(
    limit: int | None, evm: str, run_contracts: Run
) -> None:
    longest = LONGEST if limit is None else limit
    bodies = {"testCreates()": sized(longest + 1)}
    found = run_contracts({"T": bodies}, rules="filecoin", evm=evm, code_size_limit=limit, verbosity=3)["T"]
    test, words = found["testCreates()"], f"max code size exceeded: code size {longest + 1} limit {longest}"
    assert test.reason is not None
    assert re.fullmatch(rf"f0\d+: {words} \(--code-size-limit sets another one\)", test.reason)
    assert f"← [USR_ILLEGAL_ARGUMENT] {words}\n" in test.trace
    assert test.stack[0].endswith(f".constructor (exit 16 USR_ILLEGAL_ARGUMENT: {words})")
    assert test.stack[1:] == ("T.testCreates",)


@pytest.mark.parametrize("rules", ["ethereum", "filecoin"])
def test_a_revert_without_data_has_forges_words_under_both_rules(rules: str, run_contracts: Run) -> None:
    found = run_contracts({"T": {"testReverts()": ["5f5ffd"]}}, rules=rules)
    assert found["T"]["testReverts()"].reason == "EvmError: Revert"  # forge 1.7.1


def asking(*words: int) -> list[str]:
    """Return a body that delegate-calls call_actor_id with these words, and reverts."""
    stored = "".join(f"7f{word:064x}61{32 * place:04x}52" for place, word in enumerate(words))
    asked = f"5f5f61{32 * len(words):04x}5f73fe{'00' * 18}055af4"
    return [f"{stored}{asked}", "5f5ffd"]


@pytest.mark.parametrize("rules", ["ethereum", "filecoin"])
@pytest.mark.parametrize("evm", ["py-evm", "fast"])
@pytest.mark.parametrize(
    ("words", "why"),
    [
        # method, value, flags, codec, offset of the parameters, the actor, and their length
        ((2, 0, 0, 0, 192, 5, 0), "call_actor_id at 0xfe00000000000000000000000000000000000005 "
         "(method 2 cannot be called: contracts may call method 0 and methods from 1024, in a call to f05)"),
        ((2000, 0, 9, 0, 192, 5, 0), "call_actor_id at 0xfe00000000000000000000000000000000000005 "
         "(unknown send flags 0x9: only bit 0 (read-only) is defined, in a call to f05)"),
        ((2000, 0, 0, 0, 192, 99999, 0), "f099999.2000 (NOT_FOUND: actor f099999 does not exist)"),
    ],
)  # fmt: skip
def test_a_refused_call_of_an_actor_is_in_the_backtrace(
    words: tuple[int, ...], why: str, evm: str, rules: str, run_contracts: Run
) -> None:
    found = run_contracts({"Asking": {"testAsks()": asking(*words)}}, rules=rules, evm=evm)["Asking"]["testAsks()"]
    assert found.stack == (why, "Asking.testAsks")


def test_the_trace_of_a_test_without_set_up_has_no_deployment(run_contracts: Run) -> None:
    found = run_contracts({"Plain": {"testRuns()": PASS}}, verbosity=5)["Plain"]["testRuns()"]
    first, last = found.trace.splitlines()  # as in forge 1.7.1
    assert first.endswith("] Plain::testRuns()")
    assert last == "    └─ ← [Stop]"


HAS = (1 << 96) - 1
TOO_MUCH = f"7f{HAS + 1:064x}"


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
@pytest.mark.parametrize(
    ("body", "head", "place"),
    [
        (f"5f5f5f5f{TOO_MUCH}61dead62ffffff f1".replace(" ", ""),
         f"[0] 0x000000000000000000000000000000000000dEaD::fallback{{value: {HAS + 1}}}()",
         "0x000000000000000000000000000000000000dEaD.fallback"),
        (f"5f5f{TOO_MUCH}f0", "[0] → new <unknown>@0x", ".constructor"),
        (f"5f5f5f{TOO_MUCH}f5", "[0] → new <unknown>@0x", ".constructor"),
    ],
    ids=["call", "create", "create2"],
)  # fmt: skip
def test_unpayable_call_is_in_trace_and_backtrace(
    body: str, head: str, place: str, evm: str, run_contracts: Run
) -> None:
    # as in forge 1.7.1: the call that was not made, with no gas, and OutOfFunds
    bodies = {"testPays()": [body, "5f5ffd"], "testPaysAll()": [body.replace(TOO_MUCH, f"7f{HAS:064x}"), "00"]}
    found = run_contracts({"Paying": bodies}, evm=evm, verbosity=3)["Paying"]
    test, words = found["testPays()"], f"OutOfFunds: the caller has {HAS} of {HAS + 1} wei (attoFIL)"
    assert test.reason == "EvmError: Revert"
    lines = test.trace.splitlines()
    assert lines[1].startswith(f"    ├─ {head}")
    assert lines[2].strip(" │") == f"└─ ← [OutOfFunds] {words.removeprefix('OutOfFunds: ')}"
    assert test.stack[0].endswith(f"{place} ({words})")
    assert test.stack[1:] == ("Paying.testPays",)
    assert found["testPaysAll()"].status is CaseStatus.SUCCESS


def test_a_call_that_was_not_paid_counts_in_the_gas_report(run_contracts: Run) -> None:
    callee = artifact({"take()": ["00"]})
    code = bytes.fromhex(callee["bytecode"]["object"])
    stores = "".join(f"7f{code[at : at + 32].ljust(32, bytes(1)).hex()}61{at:04x}52" for at in range(0, len(code), 32))
    made = f"{stores}61{len(code):04x}5f5ff0"
    calls = f"{'63' + selector('take()').hex()}60e01b5f525f5f60045f%s8562fffffff1"
    bodies = {"testPays()": [made + calls % TOO_MUCH + calls.replace("85", "86") % "5f", "00"]}
    suites: list[SuiteResult] = []
    run_contracts({"Paying": bodies, "Taking": callee}, suites, report="gas")
    use = next(suite for suite in suites if suite.contract == "Paying").collected[0].gas
    (gases,) = [found.functions["take()"] for found in use.values() if "take()" in found.functions]
    assert (len(gases), min(gases)) == (2, 0)  # as forge counts `receive()` in tests/hypervisor_tools/soltest/isolation


@pytest.mark.slow
def test_timed_out_suite_reports_duration(run_contracts: Run) -> None:
    suites: list[SuiteResult] = []
    # on a slow machine it is stopped before its test starts
    (found,) = run_contracts({"Endless": {"testLoops()": LOOP}}, suites, timeout=1.0)["Endless"].values()
    assert found.reason == "no end after 1 seconds: stopped (--timeout)"
    assert 1.0 <= found.duration <= suites[0].duration


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
@pytest.mark.parametrize("call", ["5f5f621000015f5f61dead5af1", "5f5f621000015f61dead5afa"], ids=["call", "staticcall"])
def test_calldata_above_a_mebibyte_names_the_limit_under_filecoins_rules(
    call: str, evm: str, run_contracts: Run
) -> None:
    """Blocks of a message have at most 1 MiB (ref-fvm fvm/src/kernel/blocks.rs)."""
    bodies = {"testCalls()": [call, "@good", "57", "5f5ffd", "good:", "00"]}
    test = run_contracts({"Large": bodies}, evm=evm, verbosity=3, rules="filecoin")["Large"]["testCalls()"]
    reason = (
        "calldata of 1,048,577 bytes exceeds the network's limit: the parameters of a call have at most 1,048,576 "
        "bytes (1 MiB); make several calls"
    )
    assert test.reason == reason
    assert f"└─ ← [TooLarge] {reason}" in test.trace
    found = run_contracts({"Large": bodies}, evm=evm)["Large"]["testCalls()"]
    assert found.status is CaseStatus.SUCCESS, "Ethereum has no such limit"


@pytest.mark.parametrize("rules", ["ethereum", "filecoin"])
def test_traced_repetition_leaves_files_and_programs_alone(rules: str, run_contracts: Run, tmp_path: Path) -> None:
    """A failing test runs a program, reads what it appends to, and is shown with its calls."""
    consent = Grant(frozenset({Consent.FFI, Consent.FILES}))
    project = Project(tmp_path, ffi=True, fs_permissions=(("read-write", "."),), consent=consent)
    body = [
        *call_of_cheatcode("ffi(string[])", ["sh", "-c", "echo >> ran"]),
        *call_of_cheatcode("writeFile(string,string)", "written", "text"),
        *call_of_cheatcode("readFile(string)", "written"),
        *call_of_cheatcode("removeFile(string)", "written"),
        *call_of_cheatcode("writeLine(string,string)", "log", "line"),
        "5f5ffd",
    ]
    found = run_contracts({"T": {"testWrites()": body}}, project=project, rules=rules, verbosity=3)["T"]["testWrites()"]
    assert found.status is CaseStatus.FAILURE
    assert "readFile" in found.trace
    assert "[Revert] vm." not in found.trace
    assert (tmp_path / "ran").read_text() == "\n"
    assert (tmp_path / "log").read_text() == "line\n"


def test_remembered_outcomes_of_a_fuzz_test_have_a_maximum_size(
    run_contracts: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of 64 runs passes a mebibyte to a cheatcode that reads files, with its own argument in it."""
    monkeypatch.setattr(interceptor, "_MAX_REMEMBERED", 4 << 20, raising=False)
    word = selector("readFile(string)").ljust(32, b"\0").hex()
    body = ["365f5f37", f"7f{word}5f52", f"5f5f621000005f5f73{VM_ADDRESS.hex()}5af15000"]
    tracemalloc.start()
    try:
        found = run_contracts({"T": {"testReads(uint256)": body}})["T"]["testReads(uint256)"]
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()
    assert (found.status, found.runs) == (CaseStatus.SUCCESS, 64)


def test_gas_under_filecoins_rules_does_not_depend_on_other_tests(run_contracts: Run) -> None:
    """A suite after another has the gas of the first, and so have equal tests of a suite."""
    bodies = {name: sized(100) * 3 for name in ("testOne()", "testTwo()", "testThree()")}
    found = run_contracts(dict.fromkeys(("A", "B", "C"), bodies), rules="filecoin")
    gas = {name: [found[suite][name].gas for suite in found] for name in bodies}
    assert all(len({*each}) == 1 for each in gas.values()), gas


@pytest.mark.parametrize("rules", ["ethereum", "filecoin"])
def test_expected_internal_revert_may_follow_calls_that_succeed(rules: str, run_contracts: Run, tmp_path: Path) -> None:
    """As in forge 1.8: a call of an account without code, whose missing result then reverts the caller."""
    call = [*call_of_cheatcode("expectRevert()"), "5f5f5f5f5f6112345af150"]
    bodies = {"testReverts()": [*call, "5f5ffd"], "testEnds()": [*call, "00"]}
    project = Project(tmp_path, allow_internal_expect_revert=True)
    found = run_contracts({"T": bodies}, project=project, rules=rules)["T"]
    assert found["testReverts()"].status is CaseStatus.SUCCESS
    assert found["testEnds()"].reason == "next call did not revert as expected"


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
def test_number_of_lines_that_are_left_out_is_shown(run_contracts: Run, evm: str) -> None:
    call = f"5f5f60245f5f73{CONSOLE_ADDRESS.hex()}5af150"  # of log(uint256)
    body = ["7f" + "f82c50f1" + "00" * 28, "5f52", "6104d2", "again:", call, "60019003", "80", "@again", "57", "00"]
    logs = run_contracts({"Suite": {"test()": body}}, evm=evm, shows_logs=True)["Suite"]["test()"].logs
    assert (len(logs), logs[999]) == (1_001, "0")
    assert logs[1_000] == "... 234 more lines are left out; -vvvv shows calls of console.log in the trace"
