"""Verdicts of symbolic tests: a pass is a proof, and everything that is not modelled is named."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from hypervisor_tools.soltest.cheatcodes.state import VM_ADDRESS
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.execution.results import CaseStatus, TestResult
from hypervisor_tools.soltest.project.test_settings import SymbolicSettings
from hypervisor_tools.soltest.symbolic.hashes import Hashes
from hypervisor_tools.soltest.symbolic.path import fresh
from hypervisor_tools.soltest.symbolic.words import words_data
from store.keccak import keccak
from tests.hypervisor_tools.soltest.symbolic.staged import SETTINGS, staged

PANIC = ["634e487b7160e01b5f52600160045260245ffd"]
"""Revert of a failed assertion: Panic(1)."""
X, Y = "600435", "602435"
MASK_64 = "ff" * 8
PASS, FAIL, UNDECIDED = CaseStatus.SUCCESS, CaseStatus.FAILURE, CaseStatus.UNDECIDED


def asserting(condition: list[str]) -> list[str]:
    """Return a body that asserts the condition which it leaves on the stack."""
    return [*condition, "@good", "57", *PANIC, "good:", "00"]


def call(address: list[str], kind: str = "f1", size: str = "5f") -> list[str]:
    """Return a call with all gas, of `size` bytes of memory from 0; it leaves its success."""
    value = ["5f"] if kind == "f1" else []
    return ["5f5f", size, "5f", *value, *address, "5a", kind]


def verdict(
    folder: Path, body: list[str], name: str = "check_(uint256,uint256)", settings: SymbolicSettings = SETTINGS
) -> TestResult:
    """Return the result of one test."""
    with staged(folder, {name: body}) as test:
        return test.run(name.split("(", maxsplit=1)[0], settings)


def vm(signature: str, *arguments: str) -> list[str]:
    """Return a call of a cheatcode with these words."""
    words = [part for at, word in enumerate(arguments) for part in (word, f"60{4 + 32 * at:02x}52")]
    size = f"60{4 + 32 * len(arguments):02x}"
    return [f"63{selector(signature).hex()}60e01b5f52", *words, "5f5f", size, "5f5f", f"73{VM_ADDRESS.hex()}", "5af150"]


def token_slot(token: str, times: int = 2) -> list[str]:
    """Return Solady's slot of a token: twice its ID, plus the hash of the ID's upper 224 bits and a seed."""
    return [token, "5f52", "637d88255360e01b", "601c52", "60205f20", *[token, "01"] * times]


def stored(first: list[str], second: list[str]) -> list[str]:
    """Return a condition: a word stored at the first slot is not changed by a word stored at the second one."""
    return ["6001", *first, "55", "6002", *second, "55", *first, "54", "6001", "14"]


TOKEN_5 = (10 + int.from_bytes(keccak(bytes(28) + bytes.fromhex("7d882553")), "big")) % 2**256
"""Solady's slot of the token with ID 5."""
PRIMES = (0xB7A1774F1A42721F, 0xB6EAFFF5782AFE6B)
"""Random primes of 64 bits, whose product z3 cannot factor in seconds."""
IS_PRODUCT = [f"67{MASK_64}", X, "16", f"67{MASK_64}", Y, "16", "02", f"6f{PRIMES[0] * PRIMES[1]:032x}", "14"]
"""A condition on the lower 64 bits of both arguments, which only the two primes fulfil."""
RECOVER = ["5f602052", "60206020", "6080", "5f", "6001", "5a", "fa", "50"]
"""Calls ECRECOVER with memory from 0, and stores the result at 32."""
BODIES = {
    "a sum commutes": (PASS, asserting([X, Y, "01", Y, X, "01", "14"])),
    "a sum is not a difference": (FAIL, asserting([X, Y, "01", Y, X, "03", "14"])),
    "one value of 2^256": (FAIL, asserting([X, "67deadbeefdeadbeef", "14", "15"])),
    "what was stored is loaded": (PASS, asserting([Y, X, "55", X, "54", Y, "14"])),
    "two slots may be one": (FAIL, asserting([X, X, "55", Y, Y, "55", "6001", X, "55", Y, "54", Y, "14"])),
    "hashes of different data differ": (PASS, asserting([X, "5f52", "60205f20", "602052", Y, "5f52", "60205f20",
                                                       "60205114", X, Y, "14", "14"])),
    "hashes are far apart": (PASS, asserting([X, "5f52", "60205f20", Y, "5f52", "60205f20", "03", "6001", "14", "15"])),
    "hashes of hashes differ": (PASS, asserting([X, "5f52", "60205f20", "5f52", "60205f20", "602052", Y, "5f52",
                                                 "60205f20", "5f52", "60205f20", "60205114", X, Y, "14", "14"])),
    "a hash is not a small slot": (PASS, asserting([X, "5f52", "60205f20", "6000", "14", "15"])),
    "a hash is not Solady's slot of a supply": (PASS, asserting(
        stored(["6805345cdf77eb68f44c"], [X, "5f52", "60205f20"]))),
    "slots of two tokens differ": (PASS, asserting([*stored(token_slot(X), token_slot(Y)), X, Y, "14", "17"])),
    "the next slot is no other token's": (PASS, asserting(stored([*token_slot(X), "600101"], token_slot(Y)))),
    "tokens without a factor share slots": (FAIL, asserting(
        stored([*token_slot(X, 1), "600101"], token_slot(Y, 1)))),
    "a token's slot is that of its number": (FAIL, asserting(stored(token_slot(X), token_slot("6005")))),
    "a token's slot is no other number's": (PASS, asserting(
        [*stored(token_slot(X), token_slot("6005")), X, "6005", "14", "17"])),
    "a token's next slot is no number's": (PASS, asserting(stored([*token_slot(X), "600101"], token_slot("6005")))),
    "an array without bounds may reach another slot": (UNDECIDED, asserting(
        [*stored([X, "5f52", "60205f20", Y, "01"], [Y, "5f52", "60205f20"]), X, Y, "14", "17"])),
    "a token's slot may be a number of the source": (UNDECIDED, asserting(
        stored(token_slot(X), [f"7f{TOKEN_5:064x}"]))),
    "a quotient in a chosen word is no overflow check": (FAIL, asserting([
        "6003", "60ff", X, "16", "6003", "02", "04", "6001", "55", "5f", Y, "55",
        "6001", "54", "60ff", X, "16", "14"])),
    "a product may overflow": (FAIL, asserting([X, X, Y, "02", "04", Y, "14", X, "15", "17"])),
    "a product of small factors does not": (PASS, asserting(
        [X, "60a01c", X, "60a01c", Y, "60a01c", "02", "04", Y, "60a01c", "14", X, "60a01c", "15", "17"])),
    "a revert is no failed assertion": (PASS, [X, "@good", "57", "5f5ffd", "good:", "00"]),
    "INVALID is one": (FAIL, [X, "@good", "57", "fe", "good:", "00"]),
    "an assumption that excludes everything": (UNDECIDED, [
        "634c63e56260e01b5f52", "5f600452", "5f5f60245f5f", "737109709ecfa91a80626ff3989d68f67f5b1dd12d", "5af1",
        "00"]),
    "a counterexample that does not fail when it is run": (UNDECIDED, asserting(["5a", "613039", "14", "15"])),
    "recovered signers of one input": (PASS, [
        X, "5f52", *RECOVER, "602051", *RECOVER, "602051", *asserting(["14"])]),
    "recovered signers of two inputs": (FAIL, [
        X, "5f52", *RECOVER, "602051", Y, "5f52", *RECOVER, "602051", *asserting(["14", "15"])]),
    "a recovered signer may exist": (UNDECIDED, [X, "5f52", *RECOVER, *asserting(["60205115"])]),
    "a recovered signer is an address": (PASS, [X, "5f52", *RECOVER, *asserting(["60205160a01c", "15"])]),
    "all inputs revert": (FAIL, ["5f5ffd"]),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("wanted", "body"), BODIES.values(), ids=BODIES)
def test_a_body_has_its_verdict(wanted: CaseStatus, body: list[str], tmp_path: Path) -> None:
    found = verdict(tmp_path, body)
    assert found.status is wanted, found.reason
    assert len(found.counterexample) == (wanted is FAIL)


NOT_MODELLED = {
    "code hash of an account without code": (["6199993f", "15"], "an account without code"),
    "precompile with symbolic input": ([X, "5f52", *call(["6005"], "fa", "6020")], "precompile 0x5 with symbolic"),
    "a Filecoin actor": (
        [X, "5f52", *call(["73ff00000000000000000000000000000000000063"], size="6020")], "actor 0xff0000"),
    "symbolic value for a Filecoin actor": (
        ["5f5f5f5f", X, "73ff00000000000000000000000000000000000063", "5a", "f1"], "with symbolic input, value"),
    "a transfer to a Filecoin actor": (
        ["5f5f5f5f", "6001", "73ff00000000000000000000000000000000000063", "5f", "f1"], "000063 with a gas limit"),
    "a Filecoin precompile": (
        [X, "5f52", *call(["73fe00000000000000000000000000000000000003"], size="6020")], "precompile 0xfe00"),
    "code size of a Filecoin actor": (["73ff000000000000000000000000000000000000633b15"], "Filecoin's actor"),
    "balance of a Filecoin actor": (["73ff0000000000000000000000000000000000006331", "15"], "Filecoin's actor"),
    "delegate call of a Filecoin precompile": (
        [X, "5f52", *call(["73fe00000000000000000000000000000000000003"], "f4", "6020")], "Filecoin's precompile"),
    "precompile with a gas limit": (["5f5f5f5f", "6002", "6001", "fa"], "gas limit"),
    "a contract with a gas limit": (["5f5f5f5f5f", "30", "611388", "f1"], "CALL with a gas limit"),
    "symbolic jump target": ([X, "56"], "jump target"),
    "symbolic exponent": ([X, Y, "0a", X, Y, "0a", "14"], "EXP with a symbolic exponent"),
    "symbolic offset of memory": (["6001", X, "52", "6001"], "offset of MSTORE"),
    "block hash": (["5f40", "5f4014"], "BLOCKHASH"),
    "self-destruction": (["5fff"], "SELFDESTRUCT"),
    "a cheatcode": (["632bf9fa1f60e01b5f52", *call(["737109709ecfa91a80626ff3989d68f67f5b1dd12d"], "f1", "6004")],
                    "the unknown cheatcode 2bf9fa1f"),
    "value for the console": (
        ["5f5f5f5f", "6001", "73000000000000000000636f6e736f6c652e6c6f67", "5a", "f1"], "value sent to the console"),
    "svm with an unknown selector": (["63deadbeef60e01b5f52", *call(
        ["73f3993a62377bcd56ae39d773740a5390411e8bc9"], "f1", "6004")], "svm deadbeef"),
}  # fmt: skip


@pytest.mark.parametrize(("condition", "reason"), NOT_MODELLED.values(), ids=NOT_MODELLED)
def test_what_is_not_modelled_is_named(condition: list[str], reason: str, tmp_path: Path) -> None:
    # the assertion always holds, so that a wrong outcome of the condition would be a pass
    found = verdict(tmp_path, [*condition, "50", "00"])
    assert found.status is UNDECIDED, found
    assert reason in (found.reason or "")


def test_revert_of_a_fuzz_test_is_not_decided_if_it_may_pass(tmp_path: Path) -> None:
    with staged(tmp_path, {"test(uint256)": [X, "@good", "57", "5f5ffd", "good:", "00"]}) as test:
        assert test.run("test").status is FAIL
        test.project = replace(test.project, fuzz=replace(test.project.fuzz, fail_on_revert=False))
        found = test.run("test")
    assert (found.status, found.reason) == (UNDECIDED, "a revert with fuzz.fail_on_revert = false")


def test_a_transfer_that_must_exceed_the_maximum_balance_is_not_decided(tmp_path: Path) -> None:
    deals = [*vm("deal(address,uint256)", "30", "60ff"), *vm("deal(address,uint256)", "619999", "5f19")]
    transfer = ["5f5f5f5f6001", "619999", "5a", "f1", "50", *PANIC]
    found = verdict(tmp_path, [*deals, X, "@other", "57", *transfer, "other:", "00"])
    assert (found.status, found.reason) == (UNDECIDED, "a transfer that raises a balance to 2^256 or more")


def test_the_side_of_an_invalid_jump_fails(tmp_path: Path) -> None:
    # jumps to nowhere if the second argument is 5: no other side may inherit that
    found = verdict(tmp_path, [Y, "600514", "6001", "57", "00"], "test(uint256,uint256)")
    assert found.status is FAIL
    assert found.counterexample[0].calldata[-32:] == (5).to_bytes(32, "big")


def test_an_invalid_target_is_not_executed(tmp_path: Path) -> None:
    # the byte behind the label is STOP, but no JUMPDEST
    found = verdict(tmp_path, [Y, "600514", "@end", "6001", "01", "57", "00", "end:", "00"], "test(uint256,uint256)")
    assert found.status is FAIL


def test_the_sides_of_a_jump_keep_their_own_stack_and_memory(tmp_path: Path) -> None:
    changing = ["5f51", "6007", "14", "6001", "5f52"]
    body = asserting(["6007", "5f52", X, "@other", "57", *changing, "@end", "56", "other:", *changing, "end:"])
    assert verdict(tmp_path, body).status is PASS


def test_bytes_of_a_word_in_another_order_are_another_word(tmp_path: Path) -> None:
    # memory holds the argument, then its last byte again: the word at 1 ends with two equal bytes
    body = asserting([X, "5f52", X, "602053", "600151", "61ffff16", X, "60ff16", "61010102", "14"])
    assert verdict(tmp_path, body).status is PASS


@pytest.mark.parametrize(("setting", "reason"), [
    ({"loop": 3}, "--symbolic-loop"), ({"paths": 3}, "--symbolic-paths"), ({"steps": 40}, "instructions"),
    ({"seconds": 0.0}, "--symbolic-timeout"),
])  # fmt: skip
def test_a_limit_is_no_pass(setting: dict[str, float], reason: str, tmp_path: Path) -> None:
    body = ["5f", "loop:", "6001", "01", "80", X, "11", "@loop", "57", "00"]
    found = verdict(tmp_path, body, settings=SETTINGS._replace(**setting))  # type: ignore[arg-type]  # numbers
    assert found.status is UNDECIDED
    assert reason in (found.reason or "")


@pytest.mark.slow
def test_a_hashed_sum_does_not_determine_a_summand(tmp_path: Path) -> None:
    def slot(first: str, second: str) -> list[str]:
        return [first, second, "01", "5f52", "60205f20", first, "01"]

    other = ("604435", "606435")  # the third and the fourth argument
    body = asserting([*stored(slot(X, Y), slot(*other)), X, Y, "01", *other, "01", "14", "17"])
    assert verdict(tmp_path, body, "check_(uint256,uint256,uint256,uint256)").status is UNDECIDED


@pytest.mark.slow
@pytest.mark.parametrize(("wanted", "body"), [
    (FAIL, [*IS_PRODUCT, "@hard", "57", *PANIC, "hard:", "00"]), (UNDECIDED, asserting([*IS_PRODUCT, "15"])),
])  # fmt: skip
def test_a_side_that_the_solver_cannot_exclude_is_not_decided(
    wanted: CaseStatus, body: list[str], tmp_path: Path
) -> None:
    found = verdict(tmp_path, body, settings=SETTINGS._replace(query_seconds=0.2))
    assert found.status is wanted, found.reason
    assert wanted is FAIL or "the solver did not answer within 0.2 seconds" in (found.reason or "")


def test_no_parameter_has_the_name_of_a_hash() -> None:
    hashes = Hashes()
    names = {str(hashes.hash(words_data(fresh("input")))[0]) for _ in range(30)}
    assert len(names) == 30
    parameter = re.compile(str(fresh("[A-Za-z_$][A-Za-z_$0-9]*")).rpartition("!")[0] + "!\\d+")
    assert parameter.fullmatch(str(fresh("keccak")))
    assert not any(map(parameter.fullmatch, names))


def test_opcodes_of_later_forks_are_invalid(tmp_path: Path) -> None:
    with staged(tmp_path, {"test(uint256)": [X, "1e", "00"]}, "prague") as test:  # CLZ, new in Osaka
        assert test.run("test").status is FAIL
    with staged(tmp_path / "new", {"test(uint256)": [X, "1e", "00"]}) as test:
        assert test.run("test").status is PASS


def test_a_state_of_cheatcodes_that_is_not_modelled_is_named(tmp_path: Path) -> None:
    with staged(tmp_path, {"check_(uint256)": ["00"]}) as test:
        test.stage.executor.cheatcodes.state.recording = True
        test.ready = test.stage.executor.snapshot()
        found = test.run("check_")
    assert found.status is UNDECIDED
    assert "recording" in (found.reason or "")
