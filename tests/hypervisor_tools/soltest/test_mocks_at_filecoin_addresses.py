"""Code and mocks at addresses of precompiles and at masked IDs.

Under Ethereum's rules such code replaces the precompile or the actor, as at any address in forge. Under Filecoin's
rules it would have no effect, so the cheatcode fails.
"""

from collections.abc import Callable

import pytest
from eth_abi.abi import encode

from bridge.filecoin.method_numbers import INVOKE_EVM
from hypervisor_tools.soltest.cheatcodes.state import VM_ADDRESS
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.execution.results import CaseStatus, TestResult
from store.keccak import keccak
from tests.hypervisor_tools.soltest.contracts import call_of_cheatcode, in_memory

Run = Callable[..., dict[str, dict[str, TestResult]]]
ANSWERS_42 = bytes.fromhex("602a5f5260205ff3")
ETCH, MOCK = "etch(address,bytes)", "mockCall(address,bytes,bytes)"


CALL_ACTOR = "0xfe00000000000000000000000000000000000003"
CALL_ACTOR_ID = "0xfe00000000000000000000000000000000000005"
EMPTY_SLOT = "0xfe00000000000000000000000000000000000006"
PLAIN = "0x0000000000000000000000000000000000000099"
ORDINARY = "0x00000000000000000000000000000000000f0099"
POWER = "0xff00000000000000000000000000000000000004"
BURNT_FUNDS = "0xff00000000000000000000000000000000000063"
TEST_ACCOUNT = "0xff00000000000000000000000000000000000064"
FREE_ID = "0xff000000000000000000000000000000000003e8"
ACTORS = (POWER, BURNT_FUNDS, TEST_ACCOUNT)
MASKED_IDS = (*ACTORS, FREE_ID)
COUNTS = bytes.fromhex("5f54600101805f555f5260205ff3")
"""Code that increments its first slot, and returns it."""


def body(cheatcode: str, address: str) -> list[str]:
    """Return a body that sets a result of 42 by the cheatcode, calls the address, and passes if it returns 42."""
    given = [ANSWERS_42] if cheatcode == ETCH else [b"", (42).to_bytes(32, "big")]
    kinds = cheatcode[cheatcode.index("(") + 1 : -1].split(",")
    data = selector(cheatcode) + encode(kinds, [address, *given])
    parts = [
        *in_memory(data),
        f"5f5f61{len(data):04x}5f5f73{VM_ADDRESS.hex()}5af1",
        "@done",
        "57",
        "3d5f5f3e3d5ffd",
        "done:",
    ]
    parts += [f"60205f5f5f73{address[2:]}5afa50", "5f51602a14", "@good", "57", "5f5ffd", "good:", "00"]
    return parts


def called(address: str) -> list[str]:
    """Return code that calls an address, and has the first word of its output in memory."""
    return [f"60205f5f5f5f73{address[2:]}5af150"]


def called_by_native(contract: str) -> list[str]:
    """Return code that has InvokeEVM of a contract called by the precompile call_actor, and its exit code in memory."""
    given = (INVOKE_EVM, 0, 0, 0, b"", b"\x04\x0a" + bytes.fromhex(contract[2:]))
    data = encode(["uint64", "uint256", "uint64", "uint64", "bytes", "bytes"], given)
    return [*in_memory(data), f"60205f61{len(data):04x}5f73{CALL_ACTOR[2:]}5af450"]


def failures(found: dict[str, dict[str, TestResult]]) -> list[str]:
    """Return the reasons of tests that have failed."""
    ended = [test for tests in found.values() for test in tests.values()]
    return [test.reason or "failed" for test in ended if test.status is not CaseStatus.SUCCESS]


def returned(word: int) -> list[str]:
    """Return code that reverts unless the first word in memory is this."""
    return [f"5f5160{word:02x}14", f"@is{word}", "57", "5f5ffd", f"is{word}:"]


@pytest.mark.parametrize("cheatcode", [ETCH, MOCK])
@pytest.mark.parametrize("address", [CALL_ACTOR_ID, EMPTY_SLOT, PLAIN])
def test_mocking_precompile_is_refused_under_filecoin_rules(run_contracts: Run, cheatcode: str, address: str) -> None:
    suite = {"testThere()": body(cheatcode, address), "testElsewhere()": body(cheatcode, ORDINARY)}
    found = run_contracts({"Mocks": suite}, rules="filecoin")["Mocks"]
    assert found["testElsewhere()"].status is CaseStatus.SUCCESS
    reason = (found["testThere()"].reason or "").lower()
    name = cheatcode.partition("(")[0].lower()
    assert reason == (f"vm.{name}: {address} is a precompile, whose code cannot be replaced under filecoin's rules")


def test_ethereum_rules_allow_etch_at_filecoin_address(run_contracts: Run) -> None:
    suite = {f"test{at}()": body(ETCH, at) for at in (CALL_ACTOR_ID, EMPTY_SLOT, PLAIN, *MASKED_IDS)}
    assert failures(run_contracts({"Mocks": suite})) == []


def test_invalid_instruction_replaces_a_precompile(run_contracts: Run) -> None:
    call = f"5f5f5f5f5f73{CALL_ACTOR_ID[2:-1]}25af1"  # RESOLVE_ADDRESS, which returns nothing for no data
    suite = {
        "testReplaced()": [*call_of_cheatcode(ETCH, CALL_ACTOR_ID[:-1] + "2", b"\xfe"), call, "15", "@failed", "57"]
    }
    suite["testReplaced()"] += ["5f5ffd", "failed:", "00"]
    assert failures(run_contracts({"Mocks": suite})) == []


def test_code_etched_in_set_up_keeps_its_slots(run_contracts: Run) -> None:
    suites = {}
    for at in (CALL_ACTOR_ID, *MASKED_IDS):
        store = call_of_cheatcode("store(address,bytes32,bytes32)", at, bytes(32), (6).to_bytes(32, "big"))
        suites[f"Mocks{at}"] = {
            "setUp()": [*call_of_cheatcode(ETCH, at, COUNTS), *called(at), "00"],
            "testCounts()": [*called(at), *returned(2), *called(at), *returned(3), "00"],
            "testStores()": [*store, *called(at), *returned(7), "00"],
        }
    assert failures(run_contracts(suites)) == []


def test_etch_is_undone_with_its_frame(run_contracts: Run) -> None:
    suites = {}
    for at in (CALL_ACTOR_ID, *MASKED_IDS):
        is_etched = [f"73{at[2:]}3b", "600e14"]
        suites[f"Mocks{at}"] = {
            "testUndone()": [
                f"63{keccak(b'reverts()')[:4].hex()}5f52", "5f5f6004601c5f305af1", "15", "@undone", "57", "5f5ffd",
                "undone:", *is_etched, "15", "@good", "57", "5f5ffd", "good:", "00",
            ],
            "reverts()": [*call_of_cheatcode(ETCH, at, COUNTS), *is_etched, "@ok", "57", "00", "ok:", "5f5ffd"],
        }  # fmt: skip
    assert failures(run_contracts(suites)) == []


def test_slots_of_actor_without_etched_code_are_refused(run_contracts: Run) -> None:
    stores = {at: call_of_cheatcode("store(address,bytes32,bytes32)", at, bytes(32), bytes(32)) for at in ACTORS}
    found = failures(run_contracts({"Mocks": {f"test{at}()": [*store, "00"] for at, store in stores.items()}}))
    assert len(found) == len(ACTORS)
    assert all("which has no slots at this address; etch code first" in reason for reason in found)


def test_recursion_of_code_at_masked_id_ends(run_contracts: Run) -> None:
    calls_itself = bytes.fromhex("5f5f5f5f5f305af100")
    suite = {f"test{at}()": [*call_of_cheatcode(ETCH, at, calls_itself), *called(at), "00"] for at in MASKED_IDS}
    assert failures(run_contracts({"Mocks": suite}, timeout=60)) == []


@pytest.mark.parametrize("rules", ["ethereum", "filecoin"])
@pytest.mark.parametrize(
    ("cheatcode", "given"),
    [
        ("copyStorage(address,address)", [PLAIN, CALL_ACTOR_ID]),
        ("cloneAccount(address,address)", [PLAIN, CALL_ACTOR_ID]),
        ("store(address,bytes32,bytes32)", [CALL_ACTOR_ID, bytes(32), b"\1" * 32]),
    ],
)
def test_slots_of_mocks_are_left_out_with_their_code(
    run_contracts: Run, cheatcode: str, given: list[str | bytes], rules: str
) -> None:
    # fvm-solidity's mocks are etched, then given slots
    data = selector(cheatcode) + encode(cheatcode[cheatcode.index("(") + 1 : -1].split(","), given)
    parts = [
        *in_memory(data),
        f"5f5f61{len(data):04x}5f5f73{VM_ADDRESS.hex()}5af1",
        "@done",
        "57",
        "3d5f5f3e3d5ffd",
        "done:",
        "00",
    ]
    found = run_contracts({"Mocking": {"testMocks()": parts}}, rules=rules, real_filecoin=True)["Mocking"]
    assert found["testMocks()"].status is CaseStatus.SUCCESS, found["testMocks()"].reason


@pytest.mark.parametrize("opcode", ["f4", "fa"], ids=["delegatecall", "staticcall"])
def test_precompile_call_that_reverts_is_an_expected_revert(run_contracts: Run, opcode: str) -> None:
    """The precompile reverts without input; the test goes on, and later calls are seen."""
    call, expects = f"5f5f5f5f73{CALL_ACTOR_ID[2:]}5a{opcode}50", call_of_cheatcode("expectRevert()")
    later = [*call_of_cheatcode("expectCall(address,bytes)", ORDINARY, b""), *called(ORDINARY)]
    suite = {"testReverts()": [*expects, call, "00"], "testSeesLaterCalls()": [*expects, call, *later, "00"]}
    assert failures(run_contracts({"Expects": suite})) == []


def test_observer_sees_contract_that_native_actor_calls(run_contracts: Run) -> None:
    set_up = [*call_of_cheatcode(ETCH, ORDINARY, COUNTS), "00"]
    native, counts = [*called_by_native(ORDINARY), *returned(0)], called(ORDINARY)
    mocked = call_of_cheatcode(MOCK, ORDINARY, b"", (42).to_bytes(32, "big"))
    tests = {
        "testIsSeen()": [*call_of_cheatcode("recordLogs()"), *native, *counts, *returned(2), "00"],
        "testIsExpected()": [*call_of_cheatcode("expectCall(address,bytes)", ORDINARY, b""), *native, "00"],
        "testIsMocked()": [
            *mocked, *native, *call_of_cheatcode("clearMockedCalls()"), *called(ORDINARY), *returned(1), "00"
        ],
    }  # fmt: skip
    assert failures(run_contracts({"Seen": {"setUp()": set_up} | tests})) == []


def test_unused_address_can_call_a_native_actor(run_contracts: Run) -> None:
    pranked = [*call_of_cheatcode("prank(address)", ORDINARY), *called(POWER), "00"]
    assert failures(run_contracts({"Pranked": {"testCalls()": pranked}})) == []
