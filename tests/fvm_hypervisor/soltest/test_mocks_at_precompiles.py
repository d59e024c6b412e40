"""Code and mocks at addresses of precompiles: if they would have no effect, the cheatcode fails."""

from collections.abc import Callable

import pytest
from eth_abi.abi import encode

from fvm_hypervisor.soltest.cheatcodes.state import VM_ADDRESS
from fvm_hypervisor.soltest.cheatcodes.table import selector
from fvm_hypervisor.soltest.execution.results import CaseStatus, TestResult

Run = Callable[..., dict[str, dict[str, TestResult]]]
ANSWERS_42 = bytes.fromhex("602a5f5260205ff3")
ETCH, MOCK = "etch(address,bytes)", "mockCall(address,bytes,bytes)"


CALL_ACTOR_ID = "0xfe00000000000000000000000000000000000005"
EMPTY_SLOT = "0xfe00000000000000000000000000000000000006"
PLAIN = "0x0000000000000000000000000000000000000099"
ORDINARY = "0x00000000000000000000000000000000000f0099"


def body(cheatcode: str, address: str) -> list[str]:
    """Return a body that sets a result of 42 by the cheatcode, calls the address, and passes if it returns 42."""
    given = [ANSWERS_42] if cheatcode == ETCH else [b"", (42).to_bytes(32, "big")]
    kinds = cheatcode[cheatcode.index("(") + 1 : -1].split(",")
    data = selector(cheatcode) + encode(kinds, [address, *given])
    parts = [f"7f{data[at : at + 32].ljust(32, bytes(1)).hex()}61{at:04x}52" for at in range(0, len(data), 32)]
    parts += [f"5f5f61{len(data):04x}5f5f73{VM_ADDRESS.hex()}5af1", "@done", "57", "3d5f5f3e3d5ffd", "done:"]
    parts += [f"60205f5f5f73{address[2:]}5afa50", "5f51602a14", "@good", "57", "5f5ffd", "good:", "00"]
    return parts


@pytest.mark.parametrize("cheatcode", [ETCH, MOCK])
@pytest.mark.parametrize("address", [CALL_ACTOR_ID, EMPTY_SLOT, PLAIN])
def test_mocking_precompile_is_refused_under_filecoin_rules(run_contracts: Run, cheatcode: str, address: str) -> None:
    suite = {"testThere()": body(cheatcode, address), "testElsewhere()": body(cheatcode, ORDINARY)}
    found = run_contracts({"Mocks": suite}, rules="filecoin")["Mocks"]
    assert found["testElsewhere()"].status is CaseStatus.SUCCESS
    reason = (found["testThere()"].reason or "").lower()
    name = cheatcode.partition("(")[0].lower()
    assert reason == (f"vm.{name}: {address} is a precompile, whose code cannot be replaced under filecoin's rules")


@pytest.mark.parametrize("address", [CALL_ACTOR_ID, EMPTY_SLOT, PLAIN])
def test_ethereum_rules_allow_etch_at_filecoin_precompile(run_contracts: Run, address: str) -> None:
    found = run_contracts({"Mocks": {"testThere()": body(ETCH, address)}})["Mocks"]
    assert found["testThere()"].status is CaseStatus.SUCCESS


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
    parts = [f"7f{data[at : at + 32].ljust(32, bytes(1)).hex()}61{at:04x}52" for at in range(0, len(data), 32)]
    parts += [f"5f5f61{len(data):04x}5f5f73{VM_ADDRESS.hex()}5af1", "@done", "57", "3d5f5f3e3d5ffd", "done:", "00"]
    found = run_contracts({"Mocking": {"testMocks()": parts}}, rules=rules, real_filecoin=True)["Mocking"]
    assert found["testMocks()"].status is CaseStatus.SUCCESS, found["testMocks()"].reason
