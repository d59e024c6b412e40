"""Nested calls under Ethereum's rules, in a session whose frames run in the guest or on the plain engine.

- Depth, total memory, execution contexts, and delegated code (EIP-7702).
- Every kind of change, committed and rolled back, and created contracts.

Expected: equal results, and values by hand from the EIPs.
"""

import pytest

from bridge.ethereum.addresses import EthAddress, create2_address, create_address, masked_id
from bridge.ethereum.block import MAX_CODE_SIZE, EthereumBlock
from bridge.ethereum.transactions import DELEGATION_PREFIX
from hypervisor.types import FIRST_DYNAMIC_ACTOR
from runtimes.evm.blocks.alloc import AllocAccount
from store.keccak import keccak
from tests.runtimes.evm.assembler import assemble, deployer
from tests.runtimes.evm.machines import (
    BLAKE,
    CALLEE,
    CONTRACT,
    EMPTY,
    IDENTITY,
    KILLER,
    LAST_NONCE,
    LENDER,
    NOBODY,
    P256,
    PAIRING,
    TAKEN,
    TWIN_OTHER,
    WRITER,
    Slots,
    Twins,
    call,
    create,
    word,
)

# --- depth ------------------------------------------------------------------------------------------------------------

COUNT = "32 0 0 0 0 ADDRESS GAS CALL POP 1 0 MLOAD ADD 0 MSTORE 32 0 RETURN"
"""Code that calls itself with all gas, and returns the number of frames from it downwards."""
DEEP = 10**13
"""Gas for a thousand frames, each of which keeps a 64th."""


def test_a_transaction_has_1024_frames_below_its_first(twins: Twins) -> None:
    contract = f"32 0 0 0 0 {word(CALLEE)} GAS CALL POP 0 MLOAD 2 SSTORE"
    assert twins.on("fast", contract, COUNT, gas=DEEP, fork="Prague").slots[2] == 1024


@pytest.mark.parametrize(("below", "allowed"), [(1022, True), (1023, False)])
def test_the_deepest_frame_neither_creates_nor_calls(twins: Twins, below: int, allowed: bool) -> None:
    """The callee calls itself that often; the last frame's attempt costs no gas and no nonce."""
    callee = f"""0 CALLDATALOAD DUP1 @call JUMPI
        0 0 0 CREATE 0 SSTORE 0 0 0 0 4 GAS STATICCALL 1 SSTORE {call(TWIN_OTHER)} 3 SSTORE STOP
        call: 1 SWAP1 SUB 0 MSTORE 0 0 32 0 0 ADDRESS GAS CALL"""
    contract = f"{below} 0 MSTORE 0 0 32 0 0 {word(CALLEE)} GAS CALL 2 SSTORE"
    account = twins.on(
        "fast", contract, callee, {CALLEE: AllocAccount(0, 1, assemble(callee))}, gas=DEEP, fork="Prague"
    )
    storage = account.accounts[CALLEE].storage
    assert [bool(storage.get(slot)) for slot in (0, 1, 3)] == [allowed] * 3
    assert account.accounts[CALLEE].nonce == 1 + allowed
    assert account.slots[2] == 1


# --- calls ------------------------------------------------------------------------------------------------------------


def test_nothing_is_written_below_a_static_call(twins: Twins) -> None:
    after = twins.run(f"{call(CALLEE, kind='STATICCALL')} 2 SSTORE", f"{call(WRITER)} @bad JUMPI STOP bad: INVALID")
    assert after.slots[2] == 1
    assert not after.accounts[WRITER].storage


def test_code_of_another_runs_in_its_callers_name(twins: Twins) -> None:
    shown = {TAKEN: AllocAccount(0, 1, assemble("CALLER 10 SSTORE CALLVALUE 11 SSTORE ADDRESS 12 SSTORE"))}
    for kind, caller in (("DELEGATECALL", CONTRACT), ("CALLCODE", CALLEE)):
        callee = call(TAKEN, 2, kind=kind)
        after = twins.run(f"{call(CALLEE, 3)} POP", callee, shown)
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
def test_money_has_its_price_and_its_stipend_comes_back(twins: Twins, kind: str, to: EthAddress, price: int) -> None:
    """EIP-150, 161, 2929: no code runs there, so the stipend is returned."""
    pushes = 4 * 2 + 3 + 3 + 2 + 2  # zeros, value, address, zero gas; GAS
    callee = f"GAS 0 0 0 0 1 {word(to)} 0 {kind} POP GAS SWAP1 SUB 2 SSTORE"
    after = twins.run(f"{call(CALLEE)} POP", callee)
    assert after.accounts[CALLEE].storage[2] == price + pushes + 2


CALLEES_NUMBER = FIRST_DYNAMIC_ACTOR + 2
"""ID of the callee, the third installed account."""


@pytest.mark.parametrize("looks", [f"{word(CALLEE)} BALANCE POP", f"{call(CALLEE, 1)} POP"])
def test_an_account_is_one_by_its_address_and_by_its_masked_id(twins: Twins, looks: str) -> None:
    masked = masked_id(CALLEES_NUMBER)
    after = twins.run(f"{looks} {call(masked, 3)} POP {word(CALLEE)} BALANCE 2 SSTORE", "SELFBALANCE 2 SSTORE")
    expected = 50 + 3 + ("CALL" in looks)
    assert after.slots[2] == after.accounts[CALLEE].balance == after.accounts[CALLEE].storage[2] == expected


def test_a_masked_id_receives_for_the_account_with_an_address(twins: Twins) -> None:
    """KILLER gives it its 9, after the account has got 1 by its address."""
    masked = masked_id(CALLEES_NUMBER)
    killer = {KILLER: AllocAccount(9, 1, assemble(f"{word(masked)} SELFDESTRUCT"))}
    after = twins.run(f"{call(CALLEE, 1)} POP {call(KILLER)} POP", "STOP", killer)
    assert (after.accounts[CALLEE].balance, after.accounts[KILLER].balance) == (50 + 1 + 9, 0)


# --- delegations (EIP-7702) -------------------------------------------------------------------------------------------

WHO = "ADDRESS 30 SSTORE CALLER 31 SSTORE CALLVALUE 32 SSTORE"


@pytest.mark.parametrize("fork", ["Prague", "Osaka"])
@pytest.mark.parametrize("kind", ["CALL", "CALLCODE", "DELEGATECALL", "STATICCALL"])
def test_a_lender_runs_the_code_that_it_borrows(twins: Twins, fork: str, kind: str) -> None:
    lender = {LENDER: AllocAccount(7, 1, DELEGATION_PREFIX + TAKEN, {}), TAKEN: AllocAccount(0, 1, assemble(WHO))}
    after = twins.run(f"{call(CALLEE)} POP", f"{call(LENDER, 1, kind=kind)} 2 SSTORE", lender, fork=fork)
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
def test_delegated_code_is_resolved_and_charged(twins: Twins, to: EthAddress, price: int, succeeds: bool) -> None:
    again = EthAddress(b"\xee" * 20)
    lenders = {
        LENDER: AllocAccount(0, 1, DELEGATION_PREFIX + to),
        again: AllocAccount(0, 1, DELEGATION_PREFIX + KILLER),
    }
    callee = f"GAS {call(LENDER, gas='0')} POP GAS SWAP1 SUB 2 SSTORE {call(LENDER, gas='0')} 3 SSTORE"
    storage = twins.run(f"{call(CALLEE)} POP", callee, lenders).accounts[CALLEE].storage
    assert storage[2] == price + 5 * 2 + 3 + 2 + 2 + 2  # zeros, address, zero gas; POP, GAS
    assert storage.get(3, 0) == succeeds


def test_delegation_reads_as_23_bytes_of_code(twins: Twins) -> None:
    lender = {LENDER: AllocAccount(0, 1, DELEGATION_PREFIX + TAKEN), TAKEN: AllocAccount(0, 1, assemble(WHO))}
    callee = f"{word(LENDER)} EXTCODESIZE 2 SSTORE 32 0 0 {word(LENDER)} EXTCODECOPY 0 MLOAD 3 SSTORE"
    after = twins.run(f"{call(CALLEE)} POP", callee, lender)
    storage = after.accounts[CALLEE].storage
    assert storage[2] == 23
    assert storage[3].to_bytes(32, "big") == DELEGATION_PREFIX + TAKEN + bytes(9)


def test_before_prague_a_delegation_is_no_code_that_runs(twins: Twins) -> None:
    lender = {LENDER: AllocAccount(0, 1, DELEGATION_PREFIX + TAKEN), TAKEN: AllocAccount(0, 1, assemble("1 2 SSTORE"))}
    after = twins.run(f"{call(LENDER)} 2 SSTORE", "", lender, fork="Cancun")
    assert after.slots.get(2, 0) == 0
    assert not after.accounts[LENDER].storage


RUNTIME = assemble("CALLER SELFDESTRUCT")
MADE = create2_address(CALLEE, (3).to_bytes(32, "big"), deployer(RUNTIME))

EFFECTS = {
    "an address is looked at": f"{word(TWIN_OTHER)} BALANCE POP",
    "a slot is looked at": "9 SLOAD POP",
    "a slot is written": "7 8 SSTORE",
    "a slot is cleared": "0 1 SSTORE",
    "a slot is cleared and set": "0 1 SSTORE 6 1 SSTORE",
    "a slot is as it was again": "6 1 SSTORE 5 1 SSTORE",
    "a slot is counted up": "2 SLOAD 1 ADD 2 SSTORE",
    "a transient slot is counted up": "3 TLOAD 1 ADD DUP1 3 TSTORE 4 SSTORE",
    "a log": "7 SELFBALANCE 0 0 LOG2",
    "money for somebody": f"{call(TWIN_OTHER, 1)} POP",
    "money for nobody": f"{call(NOBODY, 1)} POP",
    "money for itself": f"{call(CALLEE, 1, gas='0')} POP",
    "an empty account is called": f"{call(EMPTY)} POP",
    "nobody is called": f"{call(NOBODY)} POP",
    "a contract by nonce": f"{create(deployer(RUNTIME), 1)} DUP1 EXTCODEHASH 5 SSTORE 6 SSTORE",
    "a contract by salt": f"{create(deployer(RUNTIME), 1, salt=3)} DUP1 EXTCODESIZE 5 SSTORE 6 SSTORE",
    "a contract without code": f"{create(b'', 0)} BALANCE POP",
    "a contract that goes at once": f"{create(RUNTIME, 1)} EXTCODESIZE 5 SSTORE",
    "a contract that pays itself and goes": f"{create(assemble('ADDRESS SELFDESTRUCT'), 1)} BALANCE 5 SSTORE",
    "a contract that goes later": f"{create(deployer(RUNTIME), 1)} 0 0 0 0 1 6 DUP1 POP DUP6 GAS CALL POP POP",
    "a contract that writes": f"{create(assemble('7 7 SSTORE 7 7 TSTORE'), 0, salt=1)} 5 SSTORE",
    "a contract that fails": f"{create(assemble('7 7 SSTORE INVALID'), 1)} 5 SSTORE",
    "a contract that refuses": f"{create(assemble('7 7 SSTORE 0 0 REVERT'), 1)} 5 SSTORE",
    "a contract of reserved code": f"{create(assemble('0xef 0 MSTORE8 1 0 RETURN'), 1)} 5 SSTORE",
    "an old contract pays out": f"{call(KILLER)} POP {word(KILLER)} BALANCE 5 SSTORE",
    "money for a precompile that fails in the guest": f"{call(BLAKE, 1)} 5 SSTORE {word(BLAKE)} BALANCE 6 SSTORE",
    "money for one that fails on the host": f"{call(PAIRING, 1, size=1)} 5 SSTORE {word(PAIRING)} BALANCE 6 SSTORE",
    "money for one that does not": f"{call(PAIRING, 1)} 5 SSTORE {word(PAIRING)} BALANCE 6 SSTORE",
    "money for the newest precompile": f"{call(P256, 1)} 5 SSTORE RETURNDATASIZE 6 SSTORE",
}


@pytest.mark.parametrize("ends", ["0 0 REVERT", "INVALID", "STOP"])
@pytest.mark.parametrize("does", EFFECTS.values(), ids=EFFECTS.keys())
def test_call_effects_are_kept_or_reverted_with_call(twins: Twins, does: str, ends: str) -> None:
    """The callee makes the change, ends this way, makes it again and succeeds; then the caller reads the state."""
    callee = f"{does} CALLDATASIZE @keeps JUMPI {ends} keeps: STOP"
    looks = " ".join(
        f"{word(address)} BALANCE {word(address)} EXTCODEHASH XOR {number} SSTORE"
        for number, address in enumerate((TWIN_OTHER, EMPTY, NOBODY, MADE, CALLEE), 20)
    )
    contract = f"{call(CALLEE)} 2 SSTORE {call(CALLEE, size=1)} 3 SSTORE {looks}"
    after = twins.run(contract, callee)
    assert after.result.success
    assert after.slots.get(2, 0) == (ends == "STOP")
    assert after.slots[3] == 1


@pytest.mark.parametrize("ends", ["0 0 REVERT", "INVALID"])
@pytest.mark.parametrize("does", EFFECTS.values(), ids=EFFECTS.keys())
def test_reverted_effects_are_absent(twins: Twins, does: str, ends: str) -> None:
    """The callee's change is reverted; then the caller reads, calls and pays the accounts that could exist.

    An account with only a balance has the hash of empty code (EIP-1052).
    """
    looks = " ".join(
        f"{word(address)} EXTCODESIZE {word(address)} EXTCODEHASH ADD {number} SSTORE {call(address)} POP "
        f"{call(address, 1)} POP {word(address)} EXTCODEHASH {number + 10} SSTORE"
        for number, address in enumerate((NOBODY, MADE, create_address(CALLEE, 1)), 20)
    )
    after = twins.run(f"{call(CALLEE)} POP {looks}", f"{does} {ends}")
    assert after.result.success
    no_code = int.from_bytes(keccak(b""), "big")
    assert dict(after.slots) == {1: 5, 30: no_code, 31: no_code, 32: no_code}
    assert after.accounts[CALLEE] == AllocAccount(50, 1, after.accounts[CALLEE].code, {1: 5})


@pytest.mark.parametrize("ends", ["0 0 REVERT", "INVALID", "STOP"])
def test_new_contract_survives_reverted_selfdestruct(twins: Twins, ends: str) -> None:
    """EIP-6780: a contract created in the transaction is deleted with it, unless the destroying call failed."""
    made = create2_address(CONTRACT, (3).to_bytes(32, "big"), deployer(RUNTIME))
    after = twins.run(f"{create(deployer(RUNTIME), 1, salt=3)} POP {call(CALLEE)} POP", f"{call(made)} {ends}")
    assert (made in after.accounts) == (ends != "STOP")


@pytest.mark.parametrize("does", EFFECTS.values(), ids=EFFECTS.keys())
def test_first_frame_effects_match_plain_engine(twins: Twins, does: str) -> None:
    after = twins.run(f"{does} {does}")
    assert after.result.success


@pytest.mark.parametrize("kind", ["DELEGATECALL", "CALLCODE"])
@pytest.mark.parametrize("does", EFFECTS.values(), ids=EFFECTS.keys())
def test_delegated_code_effects_match_in_first_frame(twins: Twins, does: str, kind: str) -> None:
    lent = {TAKEN: AllocAccount(0, 1, assemble(does))}
    after = twins.run(f"{call(TAKEN, 1, kind)} 2 SSTORE {call(TAKEN, 1, kind)} 3 SSTORE", "", lent)
    assert after.result.success
    assert after.slots.get(3) == 1
    assert after.accounts[TAKEN] == lent[TAKEN]


# --- empty accounts (EIP-161) -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("does", "stays"),
    [
        (call(EMPTY), False),
        (call(EMPTY, kind="STATICCALL"), False),
        (call(EMPTY, kind="DELEGATECALL"), True),
        (call(EMPTY, kind="CALLCODE"), True),
        (call(EMPTY, value=1), True),
        (f"{word(EMPTY)} BALANCE", True),
        (call(CALLEE), False),
    ],
)
@pytest.mark.parametrize("ends", ["STOP", "0 0 REVERT"])
def test_an_empty_account_that_is_touched_goes(twins: Twins, does: str, stays: bool, ends: str) -> None:
    """A call with or without value touches it, as does a SELFDESTRUCT to it; a reverted touch does not count."""
    heir = {CALLEE: AllocAccount(0, 1, assemble(f"{word(EMPTY)} SELFDESTRUCT"))}
    outer = {TWIN_OTHER: AllocAccount(3, 1, assemble(f"{does} {ends}"))}
    after = twins.run(f"{call(TWIN_OTHER)} 2 SSTORE", "", heir | outer)
    assert (EMPTY in after.accounts) == (stays or ends != "STOP")
    assert after.accounts.get(EMPTY, AllocAccount()).balance == (does == call(EMPTY, value=1) and ends == "STOP")


# --- creation ---------------------------------------------------------------------------------------------------------

FIVE = deployer(assemble("5"))
AT = create2_address(CONTRACT, (3).to_bytes(32, "big"), FIVE)


@pytest.mark.parametrize(
    ("there", "made"),
    [
        (AllocAccount(), True),
        (AllocAccount(3), True),
        (AllocAccount(0, 1), False),
        (AllocAccount(0, 0, b"\0"), False),
        (AllocAccount(0, 0, b"", {7: 1}), False),
        (AllocAccount(3, 0, b"", {7: 1}), False),
    ],
    ids=["empty", "money", "a nonce", "code", "slots", "slots and money"],
)
@pytest.mark.parametrize("listed", [(), ((AT, (7,)),)], ids=["", "listed"])
def test_nothing_is_created_where_nonce_code_or_slots_are(
    twins: Twins, there: AllocAccount, made: bool, listed: Slots
) -> None:
    """EIP-684, EIP-7610. A merely touched slot does not count; a forbidden creation uses up its gas."""
    maker = f"{create(FIVE, salt=3)} 2 SSTORE {word(AT)} BALANCE POP"
    after = twins.run(f"{maker}", "", {AT: there}, listed=listed)
    assert after.slots.get(2, 0) == (int.from_bytes(AT, "big") if made else 0)
    inner = {CONTRACT: AllocAccount(100, 1, assemble(f"{call(TAKEN)} POP 1 2 SSTORE"))}
    elsewhere = create2_address(TAKEN, (3).to_bytes(32, "big"), FIVE)
    inner[TAKEN] = AllocAccount(0, 1, assemble(maker))
    after = twins.run("", "", inner | {elsewhere: there}, listed=((elsewhere, (7,)),) if listed else ())
    assert bool(after.accounts[TAKEN].storage.get(2, 0)) == made


def test_amsterdam_creates_over_slots_and_clears_them(twins: Twins) -> None:
    """EIP-7610 is declined for Amsterdam; the specifications clear the slots (ethereum/execution-specs#3508)."""
    init = assemble("7 SLOAD 2 SSTORE 9 7 SSTORE 1 1 SSTORE")
    at = create2_address(CONTRACT, (3).to_bytes(32, "big"), init)
    after = twins.run(f"{create(init, salt=3)} POP", "", {at: AllocAccount(0, 0, b"", {7: 5, 8: 6})}, fork="Amsterdam")
    assert after.accounts[at].storage == {1: 1, 7: 9}
    failing = assemble("9 7 SSTORE 0 0 REVERT")
    at = create2_address(CONTRACT, (3).to_bytes(32, "big"), failing)
    there = {at: AllocAccount(0, 0, b"", {7: 5, 8: 6})}
    assert twins.run(f"{create(failing, salt=3)} POP", "", there, fork="Amsterdam").accounts[at].storage == {7: 5, 8: 6}


@pytest.mark.parametrize(("nonce", "made"), [(LAST_NONCE - 1, True), (LAST_NONCE, False)])
def test_account_at_maximum_nonce_cannot_create_contract(twins: Twins, nonce: int, made: bool) -> None:
    """EIP-2681; its gas is returned."""
    creator = {TAKEN: AllocAccount(0, nonce, assemble(f"{create(FIVE)} 2 SSTORE"))}
    after = twins.run(f"{call(TAKEN)} 2 SSTORE", "", creator)
    assert after.slots[2] == 1
    assert bool(after.accounts[TAKEN].storage.get(2, 0)) == made
    assert after.accounts[TAKEN].nonce == nonce + made


@pytest.mark.parametrize("limit", [MAX_CODE_SIZE, 100, None])
def test_code_and_init_code_have_limits(twins: Twins, limit: int | None) -> None:
    """EIP-170 and EIP-3860; a block may set other limits, or none."""
    block = EthereumBlock("Prague", gas_limit=1 << 60, code_limit=limit)
    size = MAX_CODE_SIZE if limit is None else limit
    for more, made in ((0, True), (1, limit is None)):
        init = assemble(f"{size + more} 0 RETURN")
        maker = f"{create(init)} EXTCODESIZE 2 SSTORE"
        assert (twins.run(maker, block=block, gas=20_000_000).slots.get(2, 0) != 0) == made
        # zeros as init code: they stop
        long = {TAKEN: AllocAccount(0, 1, assemble(f"{2 * size + more} 0 0 CREATE 2 SSTORE"))}
        after = twins.run(f"{call(TAKEN)} 2 SSTORE", "", long, block=block)
        assert after.slots.get(2, 0) == made


def test_failed_create_address_stays_warm(twins: Twins) -> None:
    failing = assemble("INVALID")
    at = create2_address(CALLEE, (3).to_bytes(32, "big"), failing)
    callee = f"{create(failing, salt=3)} POP GAS {word(at)} BALANCE POP GAS SWAP1 SUB 2 SSTORE"
    after = twins.run(f"{call(CALLEE)} POP", callee)
    assert after.accounts[CALLEE].storage[2] == 100 + 3 + 2 + 2  # EIP-2929; PUSH20, POP, GAS


def test_access_listed_slot_of_created_contract_is_warm(twins: Twins) -> None:
    init = assemble("GAS 7 SLOAD POP GAS SWAP1 SUB 2 SSTORE")
    at = create2_address(CALLEE, (3).to_bytes(32, "big"), init)
    after = twins.run(f"{call(CALLEE)} POP", f"{create(init, salt=3)} POP", listed=((at, (7,)),))
    assert after.accounts[at].storage[2] == 100 + 3 + 2 + 2


def test_access_listed_empty_slot_does_not_block_create(twins: Twins) -> None:
    """The address has got a balance by then, so the account exists, but no slot was ever written."""
    at = create2_address(CALLEE, (3).to_bytes(32, "big"), FIVE)
    callee = f"{call(at, 1)} POP {create(FIVE, salt=3)} 2 SSTORE"
    after = twins.run(f"{call(CALLEE)} POP", callee, listed=((at, (7,)),))
    assert after.accounts[CALLEE].storage[2] == int.from_bytes(at, "big")
    assert after.accounts[at].balance == 1


def test_contract_without_code_returns_nothing(twins: Twins) -> None:
    """Its slots make it a contract: an account with slots alone is left by an old transaction (EIP-7610)."""
    assert twins.run("").result.output == b""
