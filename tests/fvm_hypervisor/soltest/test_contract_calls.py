"""Calls of contracts that reuse a message's objects: equal to py-evm's, for which each message has its own.

Each call of a sequence begins with cold slots and addresses, no refund, empty transient storage and no logs.
"""

from collections import deque
from dataclasses import replace
from random import Random
from typing import Final

import pytest

from bridge.ethereum.addresses import EthAddress, masked_id
from fvm_hypervisor.soltest.cheatcodes.hooks.interceptor import Cheatcodes
from fvm_hypervisor.soltest.cheatcodes.state import DEFAULT_SENDER, VM_ADDRESS, Mock
from fvm_hypervisor.soltest.cheatcodes.table import selector
from fvm_hypervisor.soltest.execution.executor import CallOutcome, ExecutorSettings, TestExecutor
from hypervisor.types import INIT_ACTOR
from runtimes.evm.ethereum import AllocAccount, install_alloc
from tests.runtimes.evm.assembler import assemble


def address(number: int) -> EthAddress:
    return EthAddress(bytes([0xC0, number]) * 10)


STORE: Final = address(0)
RETURNS_GAS: Final = "GAS 0 MSTORE 32 0 RETURN"
WARP: Final = f"0x{selector('warp(uint256)').hex()} 224 SHL 0 MSTORE 0 CALLDATALOAD 4 MSTORE"
CALL_VM: Final = f"0 0 36 0 0 0x{VM_ADDRESS.hex()} GAS CALL POP"
CODES: Final = {
    "store": "0 CALLDATALOAD SLOAD POP 32 CALLDATALOAD 0 CALLDATALOAD SSTORE " + RETURNS_GAS,
    "store and revert": "32 CALLDATALOAD 0 CALLDATALOAD SSTORE 7 0 MSTORE 32 0 REVERT",
    "log": "0 CALLDATALOAD 0 MSTORE 7 32 0 LOG1",
    "call": f"64 0 0 CALLDATACOPY 32 128 64 0 0 0x{STORE.hex()} GAS CALL POP " + RETURNS_GAS,
    "balance": "0 CALLDATALOAD BALANCE POP COINBASE BALANCE POP CALLER BALANCE POP " + RETURNS_GAS,
    "create": "0 0 0 CREATE 0 MSTORE 32 0 RETURN",
    "destroy": "0 CALLDATALOAD SELFDESTRUCT",
    "transient": "0 TLOAD 32 CALLDATALOAD 0 TSTORE 0 MSTORE 32 0 RETURN",
    "origin": "ORIGIN 0 MSTORE 32 0 RETURN",
    "block": "TIMESTAMP 0 MSTORE 32 0 RETURN",
    "halt": "1 1 SSTORE INVALID",
    "warp": f"{WARP} {CALL_VM} TIMESTAMP 0 MSTORE 32 0 RETURN",
    "own balance": f"0x{address(12).hex()} BALANCE POP " + RETURNS_GAS,
    "pay": f"0 0 0 0 1 0x{STORE.hex()} GAS CALL POP SELFBALANCE 0 MSTORE 32 0 RETURN",
}
DELEGATED: Final = address(100)
"""Account that runs the code of `own balance`, whose address is warm then."""
TARGETS: Final = [
    *(address(number) for number in range(len(CODES))), DELEGATED, DEFAULT_SENDER, address(101),
    EthAddress((4).to_bytes(20, "big")),
]  # fmt: skip


def executor(evm: str) -> TestExecutor:
    made = TestExecutor(ExecutorSettings(evm=evm), Cheatcodes())
    accounts = {
        address(number): AllocAccount(5, 1, assemble(code), {3: 9}) for number, code in enumerate(CODES.values())
    }
    install_alloc(made.machine, accounts | {DELEGATED: AllocAccount(0, 1, b"\xef\x01\x00" + address(12))})
    made.records_slots = True
    made.settle()
    return made


def call(
    made: TestExecutor, to: EthAddress, data: bytes, sender: EthAddress, commit: bool, gas: int | None
) -> CallOutcome:
    made.touch(sender)
    here = None if commit else made.snapshot()
    outcome = made.call(sender, to, data, gas=gas, commit=commit)
    if here is not None:
        made.drop(here)
    return replace(
        outcome, error=outcome.error.partition(":")[0], may_change_state=True
    )  # each engine names other amounts of gas


@pytest.mark.parametrize("seed", range(4))
def test_sequence_of_calls_is_that_of_separate_messages(seed: int) -> None:
    rng = Random(seed)
    fast, plain = executor("fast"), executor("py-evm")
    begin = plain.snapshot(), fast.snapshot()
    for number in range(120):
        if number % 40 == 39:
            plain.restore(begin[0])
            fast.restore(begin[1])
        to, new = rng.choice(TARGETS), EthAddress(rng.randbytes(20))
        words = rng.choice((0, 3, 9, int.from_bytes(new, "big"))), rng.choice((0, 0, 9, 77))
        data = b"".join(word.to_bytes(32, "big") for word in words)
        sender = rng.choice((DEFAULT_SENDER, new, address(102)))
        commit, gas = rng.random() < 0.7, rng.choice((None, 40_000, 100_000))
        outcomes = [call(made, to, data, sender, commit, gas) for made in (plain, fast)]
        assert outcomes[0] == outcomes[1], (number, to.hex(), data.hex())
        assert fast.machine.context == plain.machine.context
    for made in (plain, fast):
        made.machine.state_tree.commit()  # ends the snapshot
    assert plain.settle() == fast.settle()
    plain.close()
    fast.close()


def test_calls_that_change_something_say_so() -> None:
    made, kept = executor("fast"), 0
    made.snapshot()
    for number, name in enumerate(CODES):
        for words in ((3, 9), (3, 9), (4, 0)):
            before = made.machine.state_tree.current_root()
            data = b"".join(word.to_bytes(32, "big") for word in words)
            outcome = made.call(DEFAULT_SENDER, address(number), data, gas=100_000)
            is_kept = made.machine.state_tree.current_root() == before and not outcome.logs  # they are shown
            assert outcome.may_change_state or is_kept, (name, words)
            assert outcome.may_change_state or name != "warp", words  # it changes the block
            kept += not outcome.may_change_state
    assert kept > len(CODES)
    made.close()


def test_uncommitted_calls_leave_state_and_store_unchanged() -> None:
    made = executor("fast")
    made.snapshot()
    before = made.machine.state_tree.current_root(), len(made.machine.store.pending)
    for number in range(len(CODES)):
        outcome = made.call_in_session(EthAddress(bytes([number + 1]) * 20), address(number), bytes(64), commit=False)
        if outcome is not None:
            assert outcome.may_change_state == bool(outcome.logs)
            assert (made.machine.state_tree.current_root(), len(made.machine.store.pending)) == before
    made.close()


@pytest.mark.parametrize("commit", [True, False])
def test_what_an_earlier_cheatcode_set_changes_with_calls_only_once(commit: bool) -> None:
    made = executor("fast")
    state = made.cheatcodes.state
    state.mocks[STORE] = [Mock(b"", None, deque((b"1", b"2", b"3")), reverts=False)]
    calls = made.call_in_session(DEFAULT_SENDER, address(tuple(CODES).index("call")), bytes(64), commit=commit)
    assert calls is not None
    left = made.cheatcodes.state.mocks[STORE][0].answers
    assert (len(left), calls.may_change_state) == ((2, True) if commit else (3, False))
    made.close()


def test_a_call_that_leaves_the_session_records_its_logs_once() -> None:
    made = executor("fast")
    log = f"7 32 0 LOG1 0 0 0 0 0x{STORE.hex()} GAS DELEGATECALL POP "
    install_alloc(made.machine, {address(99): AllocAccount(0, 1, assemble(log + "again: GAS 9000000 LT @again JUMPI"))})
    made.cheatcodes.state.logs = []
    assert made.call_in_session(DEFAULT_SENDER, address(99), b"", gas=20_000_000) is None
    assert made.cheatcodes.state.logs == []
    made.close()


@pytest.mark.parametrize("number", range(len(CODES)), ids=CODES)
def test_calls_run_in_the_session(number: int) -> None:
    made = executor("fast")
    assert made.call_in_session(DEFAULT_SENDER, address(number), bytes(64)) is not None
    made.close()


@pytest.mark.parametrize(
    "code",
    [
        f"0 0 0 0 0 0x{masked_id(INIT_ACTOR).hex()} GAS CALL POP",
        f"0x{selector('nullRounds(uint256)').hex()} 224 SHL 0 MSTORE 2 4 MSTORE {CALL_VM}",
        f"0x{selector('record()').hex()} 224 SHL 0 MSTORE {CALL_VM}",
        f"0x{selector('snapshotState()').hex()} 224 SHL 0 MSTORE {CALL_VM}",
    ],
    ids=["a native actor", "a cheatcode that writes the machine's tree", "a recording", "a snapshot"],
)
def test_what_a_session_cannot_run_has_no_effect_there(code: str) -> None:
    made = [executor("fast"), executor("py-evm")]
    program = assemble(f"{WARP} {CALL_VM} {code} 1 1 SSTORE")
    for each in made:
        install_alloc(each.machine, {STORE: AllocAccount(5, 1, program)})
    before = made[0].machine.state_tree.current_root(), made[0].machine.context
    assert made[0].call_in_session(DEFAULT_SENDER, STORE, bytes(64)) is None
    assert (made[0].machine.state_tree.current_root(), made[0].machine.context) == before
    assert made[0].cheatcodes.state.is_default
    outcomes = [each.call(DEFAULT_SENDER, STORE, bytes(64)) for each in made]
    assert outcomes[0] == outcomes[1]
    assert made[0].machine.context == made[1].machine.context
    for each in made:
        each.close()


def test_tracer_gets_the_steps_of_a_call() -> None:
    made = executor("fast")
    assert made.call(DEFAULT_SENDER, STORE, bytes(64)).success
    events: list[object] = []

    class Events:
        def event(self, event: object) -> None:
            events.append(event)

    made.machine.tracer = Events()
    assert made.call(DEFAULT_SENDER, STORE, bytes(64)).success
    assert events
    made.close()
