"""What a tree of calls leaves behind, and what it knows when it begins: every kind of change, kept and taken back.

Each scenario runs once as one tree, and once with a first frame that is left, so that its calls are trees of their own
which must know what those before them did. Expected: the plain engine's results, and what EIPs say, by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from bridge.addresses import EthAddress, create2_address, masked_id
from bridge.ethereum_block import MAX_CODE_SIZE, EthereumBlock
from hypervisor.machine import Hypervisor
from hypervisor.memory import MemoryBudget
from hypervisor.types import FIRST_DYNAMIC_ACTOR, INIT_ACTOR
from runtimes.evm.ethereum import EthereumExecutor
from runtimes.evm.ethereum.accounts import DELEGATION_PREFIX
from runtimes.evm.ethereum.alloc import Account, accounts, install
from runtimes.evm.ethereum.application import TransactionResult
from runtimes.evm.ethereum.transactions import ACCESS_LIST, Transaction
from tests.runtimes.evm.assembler import assemble, deployer

SENDER, CONTRACT, CALLEE, OTHER, EMPTY, NOBODY, KILLER, LENDER, TAKEN, WRITER = (
    EthAddress(bytes([number]) * 20) for number in range(0xA1, 0xAB)
)
LEFT = f"0x{masked_id(INIT_ACTOR).hex()} BALANCE POP "
"""A tree that looks at a masked ID is left."""
ENGINES = ("py-evm", "fast")
LAST_NONCE = (1 << 64) - 1
GAS_LIMIT = 12_000_000

Pre = Mapping[EthAddress, Account]
Slots = tuple[tuple[EthAddress, tuple[int, ...]], ...]


def word(address: EthAddress) -> str:
    return f"0x{address.hex()}"


def call(address: EthAddress, value: int = 0, kind: str = "CALL", gas: str = "2000000", size: int = 0) -> str:
    """Words that call, and leave whether it succeeded."""
    money = f" {value}" if kind in ("CALL", "CALLCODE") else ""
    return f"0 0 {size} 0{money} {word(address)} {gas} {kind}"


def create(init: bytes, value: int = 0, salt: int | None = None) -> str:
    """Words that create a contract by init code of up to 32 bytes, and leave its address."""
    salted = ("", "CREATE") if salt is None else (f"{salt} ", "CREATE2")
    return f"0x{init.hex() or 0} 0 MSTORE {salted[0]}{len(init)} {32 - len(init)} {value} {salted[1]}"


@dataclass
class After:
    """What a transaction came to."""

    result: TransactionResult
    accounts: dict[EthAddress, Account]
    slots: Mapping[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.slots = self.accounts[CONTRACT].storage


@pytest.fixture(scope="module")
def machines() -> Iterator[dict[str, Hypervisor]]:
    """An empty machine for each engine, to be put back after use."""
    made = {engine: Hypervisor.open(rules="ethereum", evm=engine) for engine in ENGINES}
    yield made
    for machine in made.values():
        machine.close()


@dataclass
class Twins:
    """Both engines, which must come to the same."""

    machines: dict[str, Hypervisor]
    trees: Counter[str]

    def run(self, contract: str, callee: str = "", pre: Pre | None = None, **how: Any) -> After:
        """Run a transaction from SENDER to CONTRACT on both."""
        plain, fast = (self.on(engine, contract, callee, pre, **how) for engine in ENGINES)
        assert plain == fast
        return fast

    def on(
        self,
        engine: str,
        contract: str,
        callee: str,
        pre: Pre | None = None,
        *,
        fork: str = "Osaka",
        listed: Slots = (),
        gas: int = GAS_LIMIT,
        block: EthereumBlock | None = None,
    ) -> After:
        """Run it on one; the machine is put back."""
        machine = self.machines[engine]
        before, context = machine.snapshot(), machine.context
        try:
            machine.advance(block=block or EthereumBlock(fork, gas_limit=1 << 60))
            install(machine, {
                SENDER: Account(10**24),
                CONTRACT: Account(100, 1, assemble(contract), {1: 5}),
                CALLEE: Account(50, 1, assemble(callee), {1: 5}),
                OTHER: Account(7),
                EMPTY: Account(),
                KILLER: Account(9, 1, assemble(f"{word(OTHER)} SELFDESTRUCT")),
                WRITER: Account(9, 1, assemble("1 6 SSTORE")),
                **(pre or {}),
            })  # fmt: skip
            transaction = Transaction(ACCESS_LIST, SENDER, 0, CONTRACT, 0, b"", gas, 1, 1, access_list=listed)
            result = EthereumExecutor(machine).apply_transaction(transaction)
            machine.flush()
            return After(result, dict(accounts(machine)))
        finally:
            machine.restore(before)
            machine.context = context


@pytest.fixture
def twins(machines: dict[str, Hypervisor], trees: Counter[str]) -> Twins:
    return Twins(machines, trees)


@pytest.fixture(params=["", LEFT], ids=["one tree", "a tree for each call"])
def begins(request: pytest.FixtureRequest) -> str:
    """What the first frame begins with."""
    chosen: str = request.param
    return chosen


RUNTIME = assemble("CALLER SELFDESTRUCT")
IDENTITY, PAIRING, BLAKE, P256 = (EthAddress(number.to_bytes(20, "big")) for number in (4, 8, 9, 0x100))
MADE = create2_address(CALLEE, (3).to_bytes(32, "big"), deployer(RUNTIME))

EFFECTS = {
    "an address is looked at": f"{word(OTHER)} BALANCE POP",
    "a slot is looked at": "9 SLOAD POP",
    "a slot is written": "7 8 SSTORE",
    "a slot is cleared": "0 1 SSTORE",
    "a slot is cleared and set": "0 1 SSTORE 6 1 SSTORE",
    "a slot is as it was again": "6 1 SSTORE 5 1 SSTORE",
    "a slot is counted up": "2 SLOAD 1 ADD 2 SSTORE",
    "a transient slot is counted up": "3 TLOAD 1 ADD DUP1 3 TSTORE 4 SSTORE",
    "a log": "7 SELFBALANCE 0 0 LOG2",
    "money for somebody": f"{call(OTHER, 1)} POP",
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
def test_what_a_call_does_is_kept_with_it_or_taken_back_with_it(
    twins: Twins, begins: str, does: str, ends: str
) -> None:
    """The callee does it, ends this way, does it again and succeeds; then the caller looks."""
    callee = f"{does} CALLDATASIZE @keeps JUMPI {ends} keeps: STOP"
    looks = " ".join(
        f"{word(address)} BALANCE {word(address)} EXTCODEHASH XOR {number} SSTORE"
        for number, address in enumerate((OTHER, EMPTY, NOBODY, MADE, CALLEE), 20)
    )
    contract = f"{begins} {call(CALLEE)} 2 SSTORE {call(CALLEE, size=1)} 3 SSTORE {looks}"
    after = twins.run(contract, callee)
    assert after.result.success
    assert after.slots.get(2, 0) == (ends == "STOP")
    assert after.slots[3] == 1
    assert twins.trees["ended"] == (2 if begins else 1)


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
def test_an_empty_account_that_is_touched_goes(twins: Twins, begins: str, does: str, stays: bool, ends: str) -> None:
    """By a call with any value or none, or as the heir of a contract that goes; not if that is taken back."""
    heir = {CALLEE: Account(0, 1, assemble(f"{word(EMPTY)} SELFDESTRUCT"))}
    outer = {OTHER: Account(3, 1, assemble(f"{does} {ends}"))}
    after = twins.run(f"{begins} {call(OTHER)} 2 SSTORE", "", heir | outer)
    assert (EMPTY in after.accounts) == (stays or ends != "STOP")
    assert after.accounts.get(EMPTY, Account()).balance == (does == call(EMPTY, value=1) and ends == "STOP")


# --- depth ------------------------------------------------------------------------------------------------------------

COUNT = "32 0 0 0 0 ADDRESS GAS CALL POP 1 0 MLOAD ADD 0 MSTORE 32 0 RETURN"
"""Calls itself with all gas, and answers how many frames there were from it downwards."""
DEEP = 10**13
"""Gas for a thousand frames, of which each keeps a 64th."""


def test_a_tree_has_1024_frames_below_the_transactions_first(twins: Twins, begins: str) -> None:
    contract = f"{begins} 32 0 0 0 0 {word(CALLEE)} GAS CALL POP 0 MLOAD 2 SSTORE"
    assert twins.on("fast", contract, COUNT, gas=DEEP, fork="Prague").slots[2] == 1024


@pytest.mark.parametrize(("below", "allowed"), [(1022, True), (1023, False)])
def test_the_deepest_frame_neither_creates_nor_calls(twins: Twins, begins: str, below: int, allowed: bool) -> None:
    """The callee calls itself so often; the last frame tries, and loses no gas and no nonce."""
    callee = f"""0 CALLDATALOAD DUP1 @call JUMPI
        0 0 0 CREATE 0 SSTORE 0 0 0 0 4 GAS STATICCALL 1 SSTORE {call(OTHER)} 3 SSTORE STOP
        call: 1 SWAP1 SUB 0 MSTORE 0 0 32 0 0 ADDRESS GAS CALL"""
    contract = f"{begins} {below} 0 MSTORE 0 0 32 0 0 {word(CALLEE)} GAS CALL 2 SSTORE"
    account = twins.on("fast", contract, callee, {CALLEE: Account(0, 1, assemble(callee))}, gas=DEEP, fork="Prague")
    storage = account.accounts[CALLEE].storage
    assert [bool(storage.get(slot)) for slot in (0, 1, 3)] == [allowed] * 3
    assert account.accounts[CALLEE].nonce == 1 + allowed
    assert account.slots[2] == 1


# --- memory -----------------------------------------------------------------------------------------------------------

TWO_GIB, PAGE = 2 << 30, 1 << 14


@pytest.mark.parametrize(("pages", "fits"), [(4, True), (5, False)])
def test_memory_of_all_frames_is_counted_together(
    twins: Twins, begins: str, pages: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frames of a message hold 2 GiB; here all but eight pages are taken before it begins."""
    start = MemoryBudget.__init__

    def nearly_full(budget: MemoryBudget) -> None:
        start(budget)
        budget.used = TWO_GIB - 8 * PAGE

    monkeypatch.setattr(MemoryBudget, "__init__", nearly_full)
    takes = f"1 {4 * PAGE - 32} MSTORE"
    callee = f"1 {pages * PAGE - 32} MSTORE"
    after = twins.run(f"{begins} {takes} {call(CALLEE)} 2 SSTORE {call(CALLEE)} 3 SSTORE", callee)
    assert (after.slots.get(2, 0), after.slots.get(3, 0)) == (fits, fits)


@pytest.mark.parametrize("ends", ["STOP", "0 0 REVERT", "INVALID"])
def test_memory_of_a_frame_that_has_ended_is_given_back(
    twins: Twins, begins: str, ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = MemoryBudget.__init__

    def nearly_full(budget: MemoryBudget) -> None:
        start(budget)
        budget.used = TWO_GIB - 3 * PAGE

    monkeypatch.setattr(MemoryBudget, "__init__", nearly_full)
    callee = f"1 {2 * PAGE - 32} MSTORE CALLDATASIZE @keeps JUMPI {ends} keeps: STOP"
    after = twins.run(f"{begins} {call(CALLEE)} POP {call(CALLEE)} POP {call(CALLEE, size=1)} 2 SSTORE", callee)
    assert after.slots[2] == 1


# --- creation ---------------------------------------------------------------------------------------------------------

FIVE = deployer(assemble("5"))
AT = create2_address(CONTRACT, (3).to_bytes(32, "big"), FIVE)


@pytest.mark.parametrize(
    ("there", "made"),
    [
        (Account(), True),
        (Account(3), True),
        (Account(0, 1), False),
        (Account(0, 0, b"\0"), False),
        (Account(0, 0, b"", {7: 1}), False),
        (Account(3, 0, b"", {7: 1}), False),
    ],
    ids=["empty", "money", "a nonce", "code", "slots", "slots and money"],
)
@pytest.mark.parametrize("listed", [(), ((AT, (7,)),)], ids=["", "listed"])
def test_nothing_is_created_where_nonce_code_or_slots_are(
    twins: Twins, begins: str, there: Account, made: bool, listed: Slots
) -> None:
    """EIP-684, EIP-7610. That a slot was touched is no slot; a creation that may not be takes its gas."""
    maker = f"{create(FIVE, salt=3)} 2 SSTORE {word(AT)} BALANCE POP"
    after = twins.run(f"{begins} {maker}", "", {AT: there}, listed=listed)
    assert after.slots.get(2, 0) == (int.from_bytes(AT, "big") if made else 0)
    inner = {CONTRACT: Account(100, 1, assemble(f"{begins} {call(TAKEN)} POP 1 2 SSTORE"))}
    elsewhere = create2_address(TAKEN, (3).to_bytes(32, "big"), FIVE)
    inner[TAKEN] = Account(0, 1, assemble(maker))
    after = twins.run("", "", inner | {elsewhere: there}, listed=((elsewhere, (7,)),) if listed else ())
    assert bool(after.accounts[TAKEN].storage.get(2, 0)) == made


@pytest.mark.parametrize(("nonce", "made"), [(LAST_NONCE - 1, True), (LAST_NONCE, False)])
def test_an_account_at_the_last_nonce_creates_nothing_more(twins: Twins, begins: str, nonce: int, made: bool) -> None:
    """EIP-2681; gas is left to it."""
    creator = {TAKEN: Account(0, nonce, assemble(f"{create(FIVE)} 2 SSTORE"))}
    after = twins.run(f"{begins} {call(TAKEN)} 2 SSTORE", "", creator)
    assert after.slots[2] == 1
    assert bool(after.accounts[TAKEN].storage.get(2, 0)) == made
    assert after.accounts[TAKEN].nonce == nonce + made


@pytest.mark.parametrize("limit", [MAX_CODE_SIZE, 100, None])
def test_code_and_init_code_have_limits(twins: Twins, begins: str, limit: int | None) -> None:
    """EIP-170 and EIP-3860; a block may have others, or none."""
    block = EthereumBlock("Prague", gas_limit=1 << 60, code_limit=limit)
    size = MAX_CODE_SIZE if limit is None else limit
    for more, made in ((0, True), (1, limit is None)):
        init = assemble(f"{size + more} 0 RETURN")
        maker = f"{begins} {create(init)} EXTCODESIZE 2 SSTORE"
        assert (twins.run(maker, block=block, gas=20_000_000).slots.get(2, 0) != 0) == made
        # zeros as init code: they stop
        long = {TAKEN: Account(0, 1, assemble(f"{2 * size + more} 0 0 CREATE 2 SSTORE"))}
        after = twins.run(f"{begins} {call(TAKEN)} 2 SSTORE", "", long, block=block)
        assert after.slots.get(2, 0) == made


def test_an_address_that_could_not_be_created_is_warm_all_the_same(twins: Twins, begins: str) -> None:
    failing = assemble("INVALID")
    at = create2_address(CALLEE, (3).to_bytes(32, "big"), failing)
    callee = f"{create(failing, salt=3)} POP GAS {word(at)} BALANCE POP GAS SWAP1 SUB 2 SSTORE"
    after = twins.run(f"{begins} {call(CALLEE)} POP", callee)
    assert after.accounts[CALLEE].storage[2] == 100 + 3 + 2 + 2  # EIP-2929; PUSH20, POP, GAS


def test_a_listed_slot_of_what_is_created_is_warm_there(twins: Twins, begins: str) -> None:
    init = assemble("GAS 7 SLOAD POP GAS SWAP1 SUB 2 SSTORE")
    at = create2_address(CALLEE, (3).to_bytes(32, "big"), init)
    after = twins.run(f"{begins} {call(CALLEE)} POP", f"{create(init, salt=3)} POP", listed=((at, (7,)),))
    assert after.accounts[at].storage[2] == 100 + 3 + 2 + 2


def test_a_listed_slot_of_nobody_does_not_stand_in_a_creations_way(twins: Twins, begins: str) -> None:
    """The address has got money by then, so there is an account; no slot of it was ever written."""
    at = create2_address(CALLEE, (3).to_bytes(32, "big"), FIVE)
    callee = f"{call(at, 1)} POP {create(FIVE, salt=3)} 2 SSTORE"
    after = twins.run(f"{begins} {call(CALLEE)} POP", callee, listed=((at, (7,)),))
    assert after.accounts[CALLEE].storage[2] == int.from_bytes(at, "big")
    assert after.accounts[at].balance == 1


# --- calls ------------------------------------------------------------------------------------------------------------


def test_nothing_is_written_below_a_static_call(twins: Twins, begins: str) -> None:
    after = twins.run(
        f"{begins} {call(CALLEE, kind='STATICCALL')} 2 SSTORE", f"{call(WRITER)} @bad JUMPI STOP bad: INVALID"
    )
    assert after.slots[2] == 1
    assert not after.accounts[WRITER].storage


def test_code_of_another_runs_in_its_callers_name(twins: Twins, begins: str) -> None:
    shown = {TAKEN: Account(0, 1, assemble("CALLER 10 SSTORE CALLVALUE 11 SSTORE ADDRESS 12 SSTORE"))}
    for kind, caller in (("DELEGATECALL", CONTRACT), ("CALLCODE", CALLEE)):
        callee = call(TAKEN, 2, kind=kind)
        after = twins.run(f"{begins} {call(CALLEE, 3)} POP", callee, shown)
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
        ("CALL", OTHER, 2600 + 9000 - 2300),
        ("CALLCODE", NOBODY, 2600 + 9000 - 2300),
        ("CALLCODE", OTHER, 2600 + 9000 - 2300),
    ],
)
def test_money_has_its_price_and_its_stipend_comes_back(
    twins: Twins, begins: str, kind: str, to: EthAddress, price: int
) -> None:
    """EIP-150, 161, 2929: nothing runs there, so the stipend is left."""
    pushes = 4 * 2 + 3 + 3 + 2 + 2  # zeros, value, address, zero gas; GAS
    callee = f"GAS 0 0 0 0 1 {word(to)} 0 {kind} POP GAS SWAP1 SUB 2 SSTORE"
    after = twins.run(f"{begins} {call(CALLEE)} POP", callee)
    assert after.accounts[CALLEE].storage[2] == price + pushes + 2


CALLEES_NUMBER = FIRST_DYNAMIC_ACTOR + 2
"""It is the third account that is installed."""


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
def test_a_lender_runs_the_code_that_it_borrows(twins: Twins, begins: str, fork: str, kind: str) -> None:
    lender = {LENDER: Account(7, 1, DELEGATION_PREFIX + TAKEN, {}), TAKEN: Account(0, 1, assemble(WHO))}
    after = twins.run(f"{begins} {call(CALLEE)} POP", f"{call(LENDER, 1, kind=kind)} 2 SSTORE", lender, fork=fork)
    assert after.accounts[CALLEE].storage.get(2, 0) == (kind != "STATICCALL")
    assert not after.accounts[TAKEN].storage
    ran_as = {"CALL": LENDER, "CALLCODE": CALLEE, "DELEGATECALL": CALLEE, "STATICCALL": None}[kind]
    if ran_as is not None:
        assert after.accounts[ran_as].storage[30] == int.from_bytes(ran_as, "big")


@pytest.mark.parametrize(
    ("to", "price", "succeeds"),
    [
        (OTHER, 2600 + 2600, True),  # no code there: nothing runs
        (IDENTITY, 2600 + 100, True),  # a precompile's code is none, and it is warm
        (CALLEE, 2600 + 100, False),  # the caller is warm; what runs has no gas
        (KILLER, 2600 + 2600, False),
        (EthAddress(b"\xee" * 20), 2600 + 2600, False),  # lends again: what runs is the designator, no opcode
    ],
    ids=["no code", "precompile", "the caller", "code", "a second lender"],
)
def test_whose_code_is_lent_is_looked_at_and_paid_for(
    twins: Twins, begins: str, to: EthAddress, price: int, succeeds: bool
) -> None:
    again = EthAddress(b"\xee" * 20)
    lenders = {LENDER: Account(0, 1, DELEGATION_PREFIX + to), again: Account(0, 1, DELEGATION_PREFIX + KILLER)}
    callee = f"GAS {call(LENDER, gas='0')} POP GAS SWAP1 SUB 2 SSTORE {call(LENDER, gas='0')} 3 SSTORE"
    storage = twins.run(f"{begins} {call(CALLEE)} POP", callee, lenders).accounts[CALLEE].storage
    assert storage[2] == price + 5 * 2 + 3 + 2 + 2 + 2  # zeros, address, zero gas; POP, GAS
    assert storage.get(3, 0) == succeeds


def test_a_delegation_is_23_bytes_of_code_to_who_looks(twins: Twins, begins: str) -> None:
    lender = {LENDER: Account(0, 1, DELEGATION_PREFIX + TAKEN), TAKEN: Account(0, 1, assemble(WHO))}
    callee = f"{word(LENDER)} EXTCODESIZE 2 SSTORE 32 0 0 {word(LENDER)} EXTCODECOPY 0 MLOAD 3 SSTORE"
    after = twins.run(f"{begins} {call(CALLEE)} POP", callee, lender)
    storage = after.accounts[CALLEE].storage
    assert storage[2] == 23
    assert storage[3].to_bytes(32, "big") == DELEGATION_PREFIX + TAKEN + bytes(9)


def test_before_prague_a_delegation_is_no_code_that_runs(twins: Twins, begins: str) -> None:
    lender = {LENDER: Account(0, 1, DELEGATION_PREFIX + TAKEN), TAKEN: Account(0, 1, assemble("1 2 SSTORE"))}
    after = twins.run(f"{begins} {call(LENDER)} 2 SSTORE", "", lender, fork="Cancun")
    assert after.slots.get(2, 0) == 0
    assert not after.accounts[LENDER].storage
