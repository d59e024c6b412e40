"""Calls within a tree: depth, total memory, execution contexts, and delegated code (EIP-7702).

Each scenario runs once as one tree, and once with an abandoned first frame, so that its calls are separate trees.
Expected: the plain engine's results, and values by hand from the EIPs.
"""

import pytest

from bridge.ethereum.addresses import EthAddress, masked_id
from bridge.ethereum.delegations import DELEGATION_PREFIX
from hypervisor.types import FIRST_DYNAMIC_ACTOR
from runtimes.evm.ethereum.alloc import AllocAccount
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.machines import (
    CALLEE,
    CONTRACT,
    EMPTY,
    IDENTITY,
    KILLER,
    LENDER,
    NOBODY,
    TAKEN,
    TWIN_OTHER,
    WRITER,
    Twins,
    call,
    nearly_full,
    word,
)

# --- depth ------------------------------------------------------------------------------------------------------------

COUNT = "32 0 0 0 0 ADDRESS GAS CALL POP 1 0 MLOAD ADD 0 MSTORE 32 0 RETURN"
"""Code that calls itself with all gas, and returns the number of frames from it downwards."""
DEEP = 10**13
"""Gas for a thousand frames, each of which keeps a 64th."""


def test_a_tree_has_1024_frames_below_the_transactions_first(twins: Twins, prefix: str) -> None:
    contract = f"{prefix} 32 0 0 0 0 {word(CALLEE)} GAS CALL POP 0 MLOAD 2 SSTORE"
    assert twins.on("fast", contract, COUNT, gas=DEEP, fork="Prague").slots[2] == 1024


@pytest.mark.parametrize(("below", "allowed"), [(1022, True), (1023, False)])
def test_the_deepest_frame_neither_creates_nor_calls(twins: Twins, prefix: str, below: int, allowed: bool) -> None:
    """The callee calls itself that often; the last frame's attempt costs no gas and no nonce."""
    callee = f"""0 CALLDATALOAD DUP1 @call JUMPI
        0 0 0 CREATE 0 SSTORE 0 0 0 0 4 GAS STATICCALL 1 SSTORE {call(TWIN_OTHER)} 3 SSTORE STOP
        call: 1 SWAP1 SUB 0 MSTORE 0 0 32 0 0 ADDRESS GAS CALL"""
    contract = f"{prefix} {below} 0 MSTORE 0 0 32 0 0 {word(CALLEE)} GAS CALL 2 SSTORE"
    account = twins.on(
        "fast", contract, callee, {CALLEE: AllocAccount(0, 1, assemble(callee))}, gas=DEEP, fork="Prague"
    )
    storage = account.accounts[CALLEE].storage
    assert [bool(storage.get(slot)) for slot in (0, 1, 3)] == [allowed] * 3
    assert account.accounts[CALLEE].nonce == 1 + allowed
    assert account.slots[2] == 1


# --- memory -----------------------------------------------------------------------------------------------------------

PAGE = 1 << 14


@pytest.mark.parametrize(("pages", "fits"), [(4, True), (5, False)])
def test_memory_of_all_frames_is_counted_together(twins: Twins, prefix: str, pages: int, fits: bool) -> None:
    """The frames of a message hold 2 GiB; here all but eight pages are already used."""
    takes = f"1 {4 * PAGE - 32} MSTORE"
    callee = f"1 {pages * PAGE - 32} MSTORE"
    with nearly_full(twins, free=8 * PAGE):
        after = twins.run(f"{prefix} {takes} {call(CALLEE)} 2 SSTORE {call(CALLEE)} 3 SSTORE", callee)
    assert (after.slots.get(2, 0), after.slots.get(3, 0)) == (fits, fits)


@pytest.mark.parametrize("ends", ["STOP", "0 0 REVERT", "INVALID"])
def test_memory_of_a_frame_that_has_ended_is_given_back(twins: Twins, prefix: str, ends: str) -> None:
    callee = f"1 {2 * PAGE - 32} MSTORE CALLDATASIZE @keeps JUMPI {ends} keeps: STOP"
    with nearly_full(twins, free=3 * PAGE):
        after = twins.run(f"{prefix} {call(CALLEE)} POP {call(CALLEE)} POP {call(CALLEE, size=1)} 2 SSTORE", callee)
    assert after.slots[2] == 1


# --- calls ------------------------------------------------------------------------------------------------------------


def test_nothing_is_written_below_a_static_call(twins: Twins, prefix: str) -> None:
    after = twins.run(
        f"{prefix} {call(CALLEE, kind='STATICCALL')} 2 SSTORE", f"{call(WRITER)} @bad JUMPI STOP bad: INVALID"
    )
    assert after.slots[2] == 1
    assert not after.accounts[WRITER].storage


def test_code_of_another_runs_in_its_callers_name(twins: Twins, prefix: str) -> None:
    shown = {TAKEN: AllocAccount(0, 1, assemble("CALLER 10 SSTORE CALLVALUE 11 SSTORE ADDRESS 12 SSTORE"))}
    for kind, caller in (("DELEGATECALL", CONTRACT), ("CALLCODE", CALLEE)):
        callee = call(TAKEN, 2, kind=kind)
        after = twins.run(f"{prefix} {call(CALLEE, 3)} POP", callee, shown)
        storage = after.accounts[CALLEE].storage
        value = 3 if kind == "DELEGATECALL" else 2
        assert [storage[slot] for slot in (10, 11, 12)] == [
            int.from_bytes(caller, "big"),
            value,
            int.from_bytes(CALLEE, "big"),
        ]


@pytest.mark.parametrize(
    ("kind", "to", "price"),
    [
        ("CALL", NOBODY, 2600 + 9000 + 25_000 - 2300),
        ("CALL", EMPTY, 2600 + 9000 + 25_000 - 2300),
        ("CALL", TWIN_OTHER, 2600 + 9000 - 2300),
        ("CALLCODE", NOBODY, 2600 + 9000 - 2300),
        ("CALLCODE", TWIN_OTHER, 2600 + 9000 - 2300),
    ],
)
def test_money_has_its_price_and_its_stipend_comes_back(
    twins: Twins, prefix: str, kind: str, to: EthAddress, price: int
) -> None:
    """EIP-150, 161, 2929: no code runs there, so the stipend is returned."""
    pushes = 4 * 2 + 3 + 3 + 2 + 2  # zeros, value, address, zero gas; GAS
    callee = f"GAS 0 0 0 0 1 {word(to)} 0 {kind} POP GAS SWAP1 SUB 2 SSTORE"
    after = twins.run(f"{prefix} {call(CALLEE)} POP", callee)
    assert after.accounts[CALLEE].storage[2] == price + pushes + 2


CALLEES_NUMBER = FIRST_DYNAMIC_ACTOR + 2
"""ID of the callee, the third installed account."""


@pytest.mark.parametrize("looks", [f"{word(CALLEE)} BALANCE POP", f"{call(CALLEE, 1)} POP"])
def test_an_account_is_one_by_its_address_and_by_its_masked_id(twins: Twins, looks: str) -> None:
    masked = masked_id(CALLEES_NUMBER)
    after = twins.run(f"{looks} {call(masked, 3)} POP {word(CALLEE)} BALANCE 2 SSTORE", "SELFBALANCE 2 SSTORE")
    expected = 50 + 3 + ("CALL" in looks)
    assert after.slots[2] == after.accounts[CALLEE].balance == after.accounts[CALLEE].storage[2] == expected


# --- delegations (EIP-7702) -------------------------------------------------------------------------------------------

WHO = "ADDRESS 30 SSTORE CALLER 31 SSTORE CALLVALUE 32 SSTORE"


@pytest.mark.parametrize("fork", ["Prague", "Osaka"])
@pytest.mark.parametrize("kind", ["CALL", "CALLCODE", "DELEGATECALL", "STATICCALL"])
def test_a_lender_runs_the_code_that_it_borrows(twins: Twins, prefix: str, fork: str, kind: str) -> None:
    lender = {LENDER: AllocAccount(7, 1, DELEGATION_PREFIX + TAKEN, {}), TAKEN: AllocAccount(0, 1, assemble(WHO))}
    after = twins.run(f"{prefix} {call(CALLEE)} POP", f"{call(LENDER, 1, kind=kind)} 2 SSTORE", lender, fork=fork)
    assert after.accounts[CALLEE].storage.get(2, 0) == (kind != "STATICCALL")
    assert not after.accounts[TAKEN].storage
    ran_as = {"CALL": LENDER, "CALLCODE": CALLEE, "DELEGATECALL": CALLEE, "STATICCALL": None}[kind]
    if ran_as is not None:
        assert after.accounts[ran_as].storage[30] == int.from_bytes(ran_as, "big")


@pytest.mark.parametrize(
    ("to", "price", "succeeds"),
    [
        (TWIN_OTHER, 2600 + 2600, True),  # no code there: nothing runs
        (IDENTITY, 2600 + 100, True),  # a precompile's code is none, and it is warm
        (CALLEE, 2600 + 100, False),  # the caller is warm; what runs has no gas
        (KILLER, 2600 + 2600, False),
        (EthAddress(b"\xee" * 20), 2600 + 2600, False),  # lends again: what runs is the designator, no opcode
    ],
    ids=["no code", "precompile", "the caller", "code", "a second lender"],
)
def test_delegated_code_is_resolved_and_charged(
    twins: Twins, prefix: str, to: EthAddress, price: int, succeeds: bool
) -> None:
    again = EthAddress(b"\xee" * 20)
    lenders = {
        LENDER: AllocAccount(0, 1, DELEGATION_PREFIX + to),
        again: AllocAccount(0, 1, DELEGATION_PREFIX + KILLER),
    }
    callee = f"GAS {call(LENDER, gas='0')} POP GAS SWAP1 SUB 2 SSTORE {call(LENDER, gas='0')} 3 SSTORE"
    storage = twins.run(f"{prefix} {call(CALLEE)} POP", callee, lenders).accounts[CALLEE].storage
    assert storage[2] == price + 5 * 2 + 3 + 2 + 2 + 2  # zeros, address, zero gas; POP, GAS
    assert storage.get(3, 0) == succeeds


def test_delegation_reads_as_23_bytes_of_code(twins: Twins, prefix: str) -> None:
    lender = {LENDER: AllocAccount(0, 1, DELEGATION_PREFIX + TAKEN), TAKEN: AllocAccount(0, 1, assemble(WHO))}
    callee = f"{word(LENDER)} EXTCODESIZE 2 SSTORE 32 0 0 {word(LENDER)} EXTCODECOPY 0 MLOAD 3 SSTORE"
    after = twins.run(f"{prefix} {call(CALLEE)} POP", callee, lender)
    storage = after.accounts[CALLEE].storage
    assert storage[2] == 23
    assert storage[3].to_bytes(32, "big") == DELEGATION_PREFIX + TAKEN + bytes(9)


def test_before_prague_a_delegation_is_no_code_that_runs(twins: Twins, prefix: str) -> None:
    lender = {LENDER: AllocAccount(0, 1, DELEGATION_PREFIX + TAKEN), TAKEN: AllocAccount(0, 1, assemble("1 2 SSTORE"))}
    after = twins.run(f"{prefix} {call(LENDER)} 2 SSTORE", "", lender, fork="Cancun")
    assert after.slots.get(2, 0) == 0
    assert not after.accounts[LENDER].storage
