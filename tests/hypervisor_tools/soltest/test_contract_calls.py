"""Calls of contracts that reuse a message's objects: equal to py-evm's, for which each message has its own.

Each call of a sequence begins with cold slots and addresses, no refund, empty transient storage and no logs.
"""

import re
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

import runtimes.evm
from bridge.ethereum.addresses import EthAddress, masked_id
from hypervisor.tracing import Tracer
from hypervisor.types import INIT_ACTOR
from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import MAGIC_ASSUME
from hypervisor_tools.soltest.cheatcodes.hooks.interceptor import Cheatcodes
from hypervisor_tools.soltest.cheatcodes.state import CONSOLE_ADDRESS, DEFAULT_SENDER, VM_ADDRESS
from hypervisor_tools.soltest.cheatcodes.table import selector, table
from hypervisor_tools.soltest.cheatcodes.values import encode
from hypervisor_tools.soltest.execution.executor import ExecutorCall, ExecutorSettings, RawCallResult, TestExecutor
from hypervisor_tools.soltest.fuzz.fuzz import take_outcome
from runtimes.evm import CallKind, SubcallOutcome
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc
from runtimes.evm.revm import (
    Campaign,
    CampaignPlan,
    CampaignStep,
    CampaignTarget,
    CheatContext,
    Executed,
    InterceptedCall,
    session_of,
)
from tests.runtimes.evm.assembler import assemble


def address(number: int) -> EthAddress:
    return EthAddress(bytes([0xC0, number]) * 10)


STORE: Final = address(0)
RETURNS_TOP: Final = "0 MSTORE 32 0 RETURN"
RETURNS_GAS: Final = f"GAS {RETURNS_TOP}"
WARP: Final = f"0x{selector('warp(uint256)').hex()} 224 SHL 0 MSTORE 0 CALLDATALOAD 4 MSTORE"
STEPS: Final = (
    f"0x{selector('startDebugTraceRecording()').hex()} 224 SHL 0 MSTORE 0 0 4 0 0 0x{VM_ADDRESS.hex()} GAS CALL POP"
)
"""Code of a cheatcode that records instructions."""
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


def executor(evm: str, fork: str = "") -> TestExecutor:
    made = TestExecutor(ExecutorSettings(evm=evm, fork=fork), Cheatcodes())
    accounts = {
        address(number): AllocAccount(5, 1, assemble(code), {3: 9}) for number, code in enumerate(CODES.values())
    }
    install_alloc(made.machine, accounts | {DELEGATED: AllocAccount(0, 1, b"\xef\x01\x00" + address(12))})
    made.settle()
    return made


def call(
    made: TestExecutor, to: EthAddress, data: bytes, sender: EthAddress, commit: bool, gas: int | None
) -> RawCallResult:
    made.touch(sender)
    here = None if commit else made.snapshot()
    outcome = made.call(sender, to, data, gas=gas, commit=commit)
    if here is not None:
        made.drop(here)
    # each engine names other amounts of gas
    return outcome._replace(error=outcome.error.partition(":")[0], may_change_state=True)


@pytest.mark.parametrize("fork", ["Osaka", "Cancun+EIP-7702", "Shanghai+EIP-7702", "Paris+EIP-7702"])
@pytest.mark.parametrize("seed", range(2))
def test_sequence_of_calls_is_that_of_separate_messages(seed: int, fork: str) -> None:
    rng = Random(f"{seed} {fork}")
    fast, plain = executor("fast", fork), executor("py-evm", fork)
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
            before = made.machine.state_tree.current_root(), made.machine.context
            data = b"".join(word.to_bytes(32, "big") for word in words)
            outcome = made.call(DEFAULT_SENDER, address(number), data, gas=100_000)
            is_kept = (made.machine.state_tree.current_root(), made.machine.context) == before
            assert outcome.may_change_state or (is_kept and not outcome.logs), (name, words)  # logs are shown
            kept += not outcome.may_change_state
    assert kept > len(CODES)
    made.close()


def test_uncommitted_calls_leave_state_and_store_unchanged() -> None:
    made = executor("fast")
    made.snapshot()
    before = made.machine.state_tree.current_root(), len(made.machine.store.pending)
    for number in range(len(CODES)):
        outcome = made.call(EthAddress(bytes([number + 1]) * 20), address(number), bytes(64), commit=False)
        assert outcome.may_change_state == bool(outcome.logs)
        assert (made.machine.state_tree.current_root(), len(made.machine.store.pending)) == before
    made.close()


def set_by(made: TestExecutor, signature: str, *values: Any, caller: EthAddress = DEFAULT_SENDER) -> bytes:
    """Return the output of a cheatcode between the calls of a test."""
    entry = table()[selector(signature)]
    context = CheatContext(caller, DEFAULT_SENDER, 1, has_code=True)
    executed = made.cheatcodes.interception.execute(context, entry.selector + encode(entry.parameters, values))
    assert isinstance(executed, Executed)
    return executed.output


@pytest.mark.parametrize("commit", [True, False])
def test_what_an_earlier_cheatcode_set_changes_with_calls_only_once(commit: bool) -> None:
    made = executor("fast")
    set_by(made, "mockCalls(address,bytes,bytes[])", STORE, b"", [b"1", b"2", b"3"])
    calls = made.call(DEFAULT_SENDER, address(tuple(CODES).index("call")), bytes(64), commit=commit)
    request = InterceptedCall(CallKind.CALL, STORE, STORE, STORE, 0, b"", 0, False, 1)
    answer = made.cheatcodes.interception.call_begins(request).answer
    assert answer is not None
    assert (answer.output, calls.may_change_state) == ((b"2", True) if commit else (b"1", False))
    made.close()


def test_a_call_that_begins_again_records_its_logs_once() -> None:
    made = executor("fast")
    log = f"7 32 0 LOG1 0 0 0 0 0x{STORE.hex()} GAS DELEGATECALL POP "
    install_alloc(made.machine, {address(99): AllocAccount(0, 1, assemble(log + STEPS))})
    set_by(made, "recordLogs()")
    assert made.call(DEFAULT_SENDER, address(99), b"").success
    logs = set_by(made, "getRecordedLogs()")
    assert int.from_bytes(logs[32:64], "big") == 1
    made.close()


@pytest.mark.parametrize(
    "code",
    [
        f"0 0 0 0 0 0x{masked_id(INIT_ACTOR).hex()} GAS CALL POP",
        f"0x{selector('nullRounds(uint256)').hex()} 224 SHL 0 MSTORE 2 4 MSTORE {CALL_VM}",
        f"0x{selector('startStateDiffRecording()').hex()} 224 SHL 0 MSTORE {CALL_VM}",
        f"0x{selector('snapshotState()').hex()} 224 SHL 0 MSTORE {CALL_VM}",
    ],
    ids=["a native actor", "a cheatcode that writes the machine's tree", "a state diff", "a snapshot"],
)
def test_the_whole_state_changes_within_a_session(code: str) -> None:
    made = [executor("fast"), executor("py-evm")]
    program = assemble(f"{WARP} {CALL_VM} {code} 1 1 SSTORE")
    outcomes, roots = [], []
    for each in made:
        install_alloc(each.machine, {STORE: AllocAccount(5, 1, program)})
        outcomes.append(each.call(DEFAULT_SENDER, STORE, bytes(64)))
        roots.append(each.machine.state_tree.current_root())
    assert outcomes[0] == outcomes[1]
    assert roots[0] == roots[1]
    assert made[0].machine.context == made[1].machine.context
    for each in made:
        each.close()


def test_what_cannot_run_fails_with_the_reason_and_without_effect() -> None:
    made = executor("fast")
    price = f"0x{selector('txGasPrice(uint256)').hex()} 224 SHL 0 MSTORE 1 200 SHL 4 MSTORE"
    install_alloc(made.machine, {STORE: AllocAccount(5, 1, assemble(f"{WARP} {CALL_VM} {price} {CALL_VM} 1 1 SSTORE"))})
    before = made.machine.state_tree.current_root(), made.machine.context
    outcome = made.call(DEFAULT_SENDER, STORE, bytes(64))
    assert not outcome.success
    assert outcome.reason.startswith("vm.txGasPrice: ")
    assert (made.machine.state_tree.current_root(), made.machine.context) == before
    assert made.cheatcodes.state.is_default
    made.close()


def test_tracer_gets_the_steps_of_a_call() -> None:
    made = executor("fast")
    assert made.call(DEFAULT_SENDER, STORE, bytes(64)).success
    events: list[object] = []

    class Events(Tracer):
        def event(self, event: object) -> None:
            events.append(event)

    made.machine.tracer = Events()
    assert made.call(DEFAULT_SENDER, STORE, bytes(64)).success
    assert events
    made.close()


def cheatcode(signature: str, *values: int) -> str:
    """Return code that calls a cheatcode, with these words as calldata."""
    words = " ".join(f"{value} {4 + 32 * at} MSTORE" for at, value in enumerate(values))
    size = 4 + 32 * len(values)
    return f"0x{selector(signature).hex()} 224 SHL 0 MSTORE {words} 0 0 {size} 0 0 0x{VM_ADDRESS.hex()} GAS CALL"


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
def test_a_call_expected_to_revert_keeps_what_it_has_dealt(evm: str) -> None:
    """Source: forge 1.7.1, which undoes it with the whole test only."""
    made, (test, inner) = executor(evm), (address(50), address(51))
    call = f"0 0 0 0 0 0x{inner.hex()} GAS CALL POP"
    install_alloc(made.machine, {
        test: AllocAccount(0, 1, assemble(f"{cheatcode('expectRevert()')} POP {call} 66 BALANCE {RETURNS_TOP}")),
        inner: AllocAccount(0, 1, assemble(f"{cheatcode('deal(address,uint256)', 66, 3)} POP 0 0 REVERT")),
    })  # fmt: skip
    assert made.call(DEFAULT_SENDER, test, b"").output == words(3)
    made.close()


def test_following_calls_fail_by_their_own_expectations() -> None:
    made, (stops, expects) = executor("fast"), (address(50), address(51))
    install_alloc(made.machine, {
        stops: AllocAccount(0, 1, b"\0"), expects: AllocAccount(0, 1, assemble(f"{cheatcode('expectRevert()')} STOP")),
    })  # fmt: skip
    here = made.snapshot()
    calls = [ExecutorCall(DEFAULT_SENDER, each, b"") for each in (stops, expects)]
    assert played(made, calls, keeps=False) == [0, FAILED]
    made.restore(here)
    assert played(made, calls[1:], keeps=False) == [FAILED]
    made.close()


def test_a_following_call_that_is_made_again_sets_a_prank_once() -> None:
    made, (stops, records) = executor("fast"), (address(50), address(51))
    code = f"{cheatcode('startPrank(address)', 7)} POP {cheatcode('startDebugTraceRecording()')} POP STOP"
    install_alloc(made.machine, {
        stops: AllocAccount(0, 1, b"\0"), records: AllocAccount(0, 1, assemble(code)),
    })  # fmt: skip
    made.snapshot()
    calls = [ExecutorCall(DEFAULT_SENDER, each, b"") for each in (stops, stops, records)]
    assert played(made, calls, keeps=True)[:-1] == [True, True, True]
    assert [prank.depth for prank in made.cheatcodes.interception.pranks()] == [1]
    made.close()


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
@pytest.mark.parametrize("is_rejected", [True, False])
def test_calls_without_effect_leave_what_cheatcodes_have_set(evm: str, is_rejected: bool) -> None:
    """Each of two calls meets the same one-shot prank."""
    made, (caller, callee) = executor(evm), (address(50), address(51))
    end = f"{cheatcode('assume(bool)', 0)} POP RETURNDATASIZE 0 0 RETURNDATACOPY RETURNDATASIZE 0 REVERT"
    call = f"32 0 0 0 0 0x{callee.hex()} GAS CALL POP"
    ends = f"{call} {end}" if is_rejected else f"{call} 32 0 RETURN"
    install_alloc(made.machine, {
        caller: AllocAccount(0, 1, assemble(ends)), callee: AllocAccount(0, 1, assemble(f"CALLER {RETURNS_TOP}")),
    })  # fmt: skip
    set_by(made, "prank(address)", address(60), caller=caller)
    for _ in range(2):
        here = made.snapshot()
        if is_rejected:
            asked = ExecutorCall(DEFAULT_SENDER, caller, b"")
            assert played(made, [asked, asked], keeps=True)[:-1] == []
        else:
            outcome = made.call(DEFAULT_SENDER, caller, b"", commit=False)
            assert outcome.output == address(60).rjust(32, b"\0")
            if outcome.may_change_state:
                made.restore(here)
        assert [prank.depth for prank in made.cheatcodes.interception.pranks()] == [1]
    made.close()


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
def test_a_value_outside_of_its_type_fails_the_cheatcode(evm: str) -> None:
    made = executor(evm)
    code = f"{cheatcode('setNonceUnsafe(address,uint64)', 1, (1 << 256) - 1)} {RETURNS_TOP}"
    install_alloc(made.machine, {STORE: AllocAccount(0, 1, assemble(code))})
    assert made.call(DEFAULT_SENDER, STORE, b"").output == bytes(32)
    made.close()


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
def test_slots_of_an_empty_account_are_kept(evm: str) -> None:
    made, empty = executor(evm), int.from_bytes(address(70), "big")
    writer, reader = address(71), address(72)
    load = f"{cheatcode('load(address,bytes32)', empty, 1)} POP 32 0 0 RETURNDATACOPY 32 0 RETURN"
    install_alloc(made.machine, {
        writer: AllocAccount(0, 1, assemble(cheatcode("store(address,bytes32,bytes32)", empty, 1, 5))),
        reader: AllocAccount(0, 1, assemble(load)),
    })  # fmt: skip
    assert made.call(DEFAULT_SENDER, writer, b"").success
    assert int.from_bytes(made.call(DEFAULT_SENDER, reader, b"").output, "big") == 5
    made.close()


def test_accounts_that_cheatcodes_touch_exist_afterwards() -> None:
    made = executor("fast")
    code = f"{cheatcode('prank(address)', int.from_bytes(address(70), 'big'))} POP 0 0 0 0 0 0x{STORE.hex()} GAS CALL"
    install_alloc(made.machine, {address(71): AllocAccount(0, 1, assemble(code))})
    before = made.next_actor
    assert made.call(DEFAULT_SENDER, address(71), b"").success
    made.create_touched()
    assert made.accounts(before) == [address(70)]
    made.close()


def test_a_time_above_64_bits_stays_in_the_session() -> None:
    made = executor("fast")
    late = (1 << 255).to_bytes(32, "big")
    assert made.call(DEFAULT_SENDER, address(list(CODES).index("warp")), late).output == late
    made.close()


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
@pytest.mark.parametrize("keeps", [True, False])
def test_calls_together_have_the_outcomes_of_calls_one_by_one(evm: str, keeps: bool) -> None:
    """Expected: those of single calls of py-evm, in the same order, undone where they are not kept."""
    rng, made, reference = Random(1), executor(evm), executor("py-evm")
    calls = [
        ExecutorCall(
            address(200 + rng.randrange(3)), rng.choice(TARGETS), words(rng.choice((0, 3, 12)), rng.randrange(9))
        )
        for _ in range(60)
    ]
    for number in range(3):
        made.touch(address(200 + number))
        reference.touch(address(200 + number))
    assert played(made, calls, keeps) == played(reference, calls, keeps, alone=True)
    if keeps:
        assert made.settle() == reference.settle()
    made.close()
    reference.close()


def words(*values: int) -> bytes:
    return b"".join(value.to_bytes(32, "big") for value in values)


def played(made: TestExecutor, calls: list[ExecutorCall], keeps: bool, *, alone: bool = False) -> list[int]:
    """Make calls as those of a campaign, together unless `alone`.

    For each one that was not rejected, return whether it has succeeded, and the gas of all, if they are kept;
    otherwise its gas, or FAILED.
    """
    targets = list(dict.fromkeys(call.to for call in calls))
    plan = CampaignPlan("", keeps, len(calls), [CampaignTarget(target, bytes(4)) for target in targets], [STORE])
    campaign = Campaign(made.campaign_guest(), plan)
    campaign.begin([CampaignStep(call.from_, targets.index(call.to), call.data) for call in calls], is_replay=True)
    while campaign.next() is not None:
        here = None if keeps else made.snapshot()
        outcome = made.call_next(campaign, commit=keeps, alone=alone)
        if outcome is not None and not outcome.is_counted:
            gas = outcome.gas_used if keeps or outcome.success else FAILED
            take_outcome(campaign, outcome._replace(gas_used=gas))
        if here is not None:
            made.drop(here)
    steps, gas, gases = campaign.steps, campaign.figures.gas, campaign.gases
    campaign.close()
    return [*(step.success for step in steps), gas] if keeps else list(gases)


FAILED: Final = 1 << 40


VAULT, INNER = address(210), address(212)
USERS: Final = [int.from_bytes(address(220 + number), "big") for number in range(3)]
CONSOLE_LINE: Final = (
    f"0x{selector('log(uint256)').hex()} 224 SHL 0 MSTORE {{}} 4 MSTORE "
    f"0 0 36 0 0x{CONSOLE_ADDRESS.hex()} GAS STATICCALL POP"
)


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
def test_a_rejected_call_leaves_no_lines_in_a_batch(evm: str) -> None:
    made, (rejected, kept) = executor(evm), (address(70), address(71))
    rejects = f"{cheatcode('assume(bool)', 0)} POP RETURNDATASIZE 0 0 RETURNDATACOPY RETURNDATASIZE 0 REVERT"
    install_alloc(made.machine, {
        rejected: AllocAccount(0, 1, assemble(f"{CONSOLE_LINE.format(7)} {rejects}")),
        kept: AllocAccount(0, 1, assemble(f"{CONSOLE_LINE.format(8)} 1 1 SSTORE STOP")),
    })  # fmt: skip
    made.touch(DEFAULT_SENDER)
    calls = [ExecutorCall(DEFAULT_SENDER, to, b"") for to in (kept, rejected, kept)]
    assert played(made, calls, keeps=True)[:-1] == [True, True]
    assert made.cheatcodes.console.lines == ["8", "8"]


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
def test_a_restored_prank_leaves_no_account(evm: str) -> None:
    made, caller, sender = executor(evm), address(73), address(74)
    code = f"{cheatcode('prank(address)', int.from_bytes(sender, 'big'))} POP 0 0 0 0 0 0x{STORE.hex()} GAS CALL STOP"
    install_alloc(made.machine, {caller: AllocAccount(0, 1, assemble(code))})
    made.touch(DEFAULT_SENDER)
    for is_restored in (False, True):
        here = made.snapshot()
        assert made.call(DEFAULT_SENDER, caller, b"").success
        if is_restored:
            made.restore(here)
        made.create_touched()
        assert (sender in made.accounts()) != is_restored
        if not is_restored:
            made.restore(here)


@pytest.mark.slow
def test_a_call_with_long_lines_takes_little_memory() -> None:
    made, caller = executor("fast"), address(72)
    line = f"0 0 {1 << 16} 0 0x{CONSOLE_ADDRESS.hex()} GAS STATICCALL POP"
    loop = f"3000 again: 1 SWAP1 SUB {line} DUP1 @again JUMPI STOP"
    install_alloc(made.machine, {caller: AllocAccount(0, 1, assemble(loop))})
    made.touch(DEFAULT_SENDER)
    assert made.call(DEFAULT_SENDER, caller, b"").success
    session = session_of(made.machine)
    assert session.held.guest is not None
    assert session.held.guest.memory_bytes < 64 << 20  # the lines have 190 MiB


def random_step(rng: Random, depth: int) -> str:
    """Return code that calls a cheatcode, the console, or a contract; some leave what the guest executes itself."""
    user, value = rng.choice(USERS), rng.choice((0, 1, 7))
    steps = [
        f"{cheatcode('deal(address,uint256)', user, value)} POP",
        f"{cheatcode('deal(address,uint256)', user, value)} POP",
        f"{cheatcode('prank(address)', user)} POP",
        f"{cheatcode('prank(address)', user)} POP",
        f"{cheatcode('assume(bool)', rng.choice((1, 1, 1, 0, 2)))} POP",
        CONSOLE_LINE.format(value),
        f"0 0 0 0 {rng.choice((0, 1))} 0x{VAULT.hex()} GAS CALL ISZERO @fails JUMPI",
        f"0 0 0 0 {rng.choice((0, 1))} 0x{VAULT.hex()} GAS CALL POP",
        f"0 0 0 0 0x{VAULT.hex()} GAS DELEGATECALL POP",
        "0 0 0 CREATE POP",
        "7 0 LOG0",
        f"{cheatcode('snapshotState()')} POP",
        f"{cheatcode('revertToState(uint256)', rng.choice((0, 1, 2, 5)))} POP",
    ]
    rare = [
        f"{cheatcode('deal(address,uint256)', user + (1 << 160), value)} POP",
        f"{cheatcode('startPrank(address)', user)} POP",
        f"{cheatcode('stopPrank()')} POP",
        f"{cheatcode('warp(uint256)', value)} POP",
        f"{cheatcode('fee(uint256)', value)} POP",
        f"{cheatcode('deleteStateSnapshot(uint256)', 1)} POP",
        f"0x{user:040x} BALANCE 9 SSTORE",
    ]
    if depth == 1:
        steps += [f"0 0 0 0 0 0x{INNER.hex()} GAS CALL POP"]
    return rng.choice(rare if rng.random() < 0.1 else steps)


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))])
@pytest.mark.parametrize("keeps", [True, False])
def test_cheatcodes_have_the_same_effects_in_the_guest(seed: int, keeps: bool) -> None:
    """Expected: those of py-evm, where Python executes each cheatcode."""
    rng, states, lines = Random(seed), [], []
    handlers = {
        address(230 + number): assemble(f"{' '.join(random_step(rng, 1) for _ in range(6))} STOP fails: 0 0 REVERT")
        for number in range(12)
    }
    inner = assemble(f"{' '.join(random_step(rng, 2) for _ in range(3))} STOP fails: 0 0 REVERT")
    vault = assemble("CALLER SLOAD CALLVALUE 1 ADD ADD CALLER SSTORE CALLER 0 MSTORE 32 0 LOG0 STOP")
    calls = [ExecutorCall(DEFAULT_SENDER, rng.choice(list(handlers)), b"") for _ in range(30)]
    seen_outcomes: list[list[int]] = []
    for evm in ("fast", "py-evm"):
        made = executor(evm)
        accounts = {VAULT: vault, INNER: inner, **handlers}
        users = {EthAddress(user.to_bytes(20, "big")): AllocAccount(1, 1) for user in USERS}
        contracts = {each: AllocAccount(9, 1, code) for each, code in accounts.items()}
        install_alloc(made.machine, users | contracts)
        made.touch(DEFAULT_SENDER)
        seen_outcomes.append(played(made, calls, keeps, alone=evm == "py-evm"))
        lines.append(made.cheatcodes.console.lines)
        states.append(made.settle())
        made.close()
    assert seen_outcomes[0] == seen_outcomes[1]
    assert lines[0] == lines[1]
    assert states[0] == states[1]


@pytest.mark.parametrize(
    ("signature", "values", "holds"),
    [
        ("assertEq(address[],address[])", ([STORE, DELEGATED], [STORE, DELEGATED]), True),
        ("assertEq(string[],string[])", (["a", "b" * 40], ["a", "b" * 41]), False),
        ("assertNotEq(int256[],int256[])", ([-1], [-1, -1]), True),
        ("assertApproxEqRel(uint256,uint256,uint256)", (101, 100, 10**16), True),
        ("assertApproxEqRel(uint256,uint256,uint256)", (102, 100, 10**16), False),
        ("assertApproxEqRel(uint256,uint256,uint256)", (1, 0, 10**18), False),
    ],
)
def test_python_gets_only_assertions_that_fail(
    monkeypatch: pytest.MonkeyPatch, signature: str, values: tuple[Any, ...], holds: bool
) -> None:
    """Expected: forge 1.7.1, whose shares are rounded down."""
    made, caller = executor("fast"), address(50)
    asked: list[bytes] = []
    code = f"CALLDATASIZE 0 0 CALLDATACOPY 0 0 CALLDATASIZE 0 0 0x{VM_ADDRESS.hex()} GAS CALL {RETURNS_TOP}"
    install_alloc(made.machine, {caller: AllocAccount(0, 1, assemble(code))})
    run = Cheatcodes.run_cheatcode

    def ask(cheats: Cheatcodes, context: Context, data: bytes) -> SubcallOutcome:
        asked.append(data)
        return run(cheats, context, data)

    monkeypatch.setattr(Cheatcodes, "run_cheatcode", ask)
    types = signature.partition("(")[2].rstrip(")").split(",")
    outcome = made.call(DEFAULT_SENDER, caller, selector(signature) + encode(types, values))
    assert (outcome.output, bool(asked)) == (words(int(holds)), not holds)
    made.close()


def test_guest_has_the_addresses_and_signatures_of_cheatcodes() -> None:
    sources = Path(runtimes.evm.__file__).parent / "guests" / "revm" / "src" / "cheats"
    accounts, machine, console = ((sources / f"{name}.rs").read_text() for name in ("accounts", "machine", "console"))
    known = {entry.signature for entry in table().values()}
    assert set(re.findall(r'^    "(\w+\(.*\))",$', accounts, re.MULTILINE)) <= known
    assert f'CHEATCODES: Address = address!("{VM_ADDRESS.hex()}")' in machine
    assert f'CONSOLE: Address = address!("{CONSOLE_ADDRESS.hex()}")' in console
    assert f'REJECTED: &[u8] = b"{MAGIC_ASSUME.decode()}"' in machine


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
def test_delays_before_calls_of_unknown_senders_pass(evm: str) -> None:
    made, clock = executor(evm), address(75)
    install_alloc(made.machine, {clock: AllocAccount(0, 1, assemble("TIMESTAMP NUMBER SSTORE STOP"))})
    plan = CampaignPlan("", True, 9, [CampaignTarget(clock, bytes(4))], [STORE])
    campaign = Campaign(made.campaign_guest(), plan)
    campaign.begin([CampaignStep(address(240 + at), 0, b"", 1000, 1) for at in range(5)], is_replay=True)
    while campaign.next() is not None:
        made.call_next(campaign, commit=True)
    campaign.close()
    assert (made.machine.context.timestamp, made.machine.context.epoch) == (5001, 6)
    words = [session_of(made.machine).held.word(clock, 2 + at) for at in range(5)]
    assert words == [1001, 2001, 3001, 4001, 5001]
    made.close()


def test_refunds_before_prague_leave_no_negative_gas() -> None:
    made, clears = executor("fast", "Berlin"), address(76)
    code = assemble(" ".join(f"RETURNDATASIZE {slot} SSTORE" for slot in range(1, 5)) + " STOP")
    install_alloc(made.machine, {clears: AllocAccount(0, 1, code, dict.fromkeys(range(1, 5), 1))})
    calls = [ExecutorCall(DEFAULT_SENDER, clears, b"")] * 2
    assert played(made, calls, keeps=False) == played(made, calls, keeps=False, alone=True) == [0, 0]
    made.close()


def test_accounts_of_a_rejected_call_are_named_by_the_next_one() -> None:
    made, (rejected, kept), sender = executor("fast"), (address(77), address(78)), address(79)
    prank = f"{cheatcode('prank(address)', int.from_bytes(sender, 'big'))} POP 0 0 0 0 0 0x{STORE.hex()} GAS CALL POP"
    rejects = f"{cheatcode('assume(bool)', 0)} POP RETURNDATASIZE 0 0 RETURNDATACOPY RETURNDATASIZE 0 REVERT"
    codes = {rejected: f"{prank} {rejects}", kept: f"{prank} STOP"}
    install_alloc(made.machine, {to: AllocAccount(0, 1, assemble(code)) for to, code in codes.items()})
    before = made.next_actor
    played(made, [ExecutorCall(DEFAULT_SENDER, to, b"") for to in (rejected, kept, kept)], keeps=True)
    made.create_touched()
    assert sender in made.accounts(before)
    made.close()


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
def test_a_call_that_restores_deals_and_fails_keeps_the_deal(evm: str) -> None:
    """Source: forge, which undoes deals with the whole test only; the restored state did not know the account."""
    made, (takes, test, inner) = executor(evm), (address(50), address(51), address(52))
    restores = (
        f"{cheatcode('revertToState(uint256)', 0)} POP {cheatcode('deal(address,uint256)', 666, 3)} POP 0 0 REVERT"
    )
    codes = {
        takes: f"{cheatcode('snapshotState()')} POP STOP", inner: restores,
        test: f"0 0 0 0 0 0x{inner.hex()} GAS CALL POP 666 BALANCE {RETURNS_TOP}",
    }  # fmt: skip
    install_alloc(made.machine, {to: AllocAccount(0, 1, assemble(code)) for to, code in codes.items()})
    made.settle()
    assert made.call(DEFAULT_SENDER, takes, b"").success
    assert made.call(DEFAULT_SENDER, test, b"").output == words(3)
    made.close()


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
def test_snapshots_that_a_rejected_call_has_deleted_come_back(evm: str) -> None:
    made, (takes, deletes) = executor(evm), (address(50), address(51))
    take = f"{cheatcode('snapshotState()')} POP"
    rejects = f"{cheatcode('assume(bool)', 0)} POP RETURNDATASIZE 0 0 RETURNDATACOPY RETURNDATASIZE 0 REVERT"
    restore = f"{cheatcode('revertToStateAndDelete(uint256)', 0)} POP {cheatcode('revertToState(uint256)', 1)} POP"
    codes = {
        takes: f"{take} {take} {cheatcode('coinbase(address)', 5)} POP STOP", deletes: f"{restore} {rejects}"
    }  # fmt: skip
    install_alloc(made.machine, {to: AllocAccount(0, 1, assemble(code)) for to, code in codes.items()})
    calls = [ExecutorCall(DEFAULT_SENDER, to, b"") for to in (takes, deletes, deletes, takes)]
    assert played(made, calls, keeps=True)[:-1] == [True, True]
    made.close()


@pytest.mark.slow
def test_snapshots_of_a_test_have_a_limit_of_memory() -> None:
    """The guest is replaced because of other memory only, since all its snapshots would be written to the tree then."""
    made, to, take = executor("fast"), address(50), cheatcode("snapshotState()")
    held = session_of(made.machine).held
    code = assemble(
        "20000 write: DUP1 DUP1 SSTORE 1 SWAP1 SUB DUP1 @write JUMPI POP 0 CALLDATALOAD "
        f"more: DUP1 ISZERO @end JUMPI 1 SWAP1 SUB {take} @more JUMPI "
        "RETURNDATASIZE 0 0 RETURNDATACOPY RETURNDATASIZE 0 REVERT end: STOP"
    )
    install_alloc(made.machine, {to: AllocAccount(0, 1, code)})
    made.settle()
    assert made.call(DEFAULT_SENDER, to, words(50)).success
    guest = held.open()
    assert guest.memory_bytes > 256 << 20
    assert made.call(DEFAULT_SENDER, to, words(1)).success
    assert held.open() is guest
    failed = made.call(DEFAULT_SENDER, to, words(1_000))
    assert b"snapshots of this test take more than 512 MiB of memory: delete those" in failed.output
    made.close()


def test_another_guest_never_numbers_its_snapshots_as_an_earlier_one() -> None:
    made, (takes, idle) = executor("fast"), (address(50), address(51))
    held = session_of(made.machine).held
    codes = {takes: f"{cheatcode('snapshotState()')} POP STOP", idle: "STOP"}
    install_alloc(made.machine, {to: AllocAccount(0, 1, assemble(code)) for to, code in codes.items()})
    played(made, [ExecutorCall(DEFAULT_SENDER, to, b"") for to in (takes, idle)], keeps=False)
    before = held.open().snapshots
    held.release()
    assert made.call(DEFAULT_SENDER, takes, b"").success
    assert held.open().snapshots == before + 1
    made.close()


def test_snapshots_of_undone_calls_take_no_memory() -> None:
    made, (takes, idle) = executor("fast"), (address(50), address(51))
    held = session_of(made.machine).held
    codes = {takes: f"{cheatcode('snapshotState()')} POP STOP", idle: "STOP"}
    install_alloc(made.machine, {to: AllocAccount(0, 1, assemble(code)) for to, code in codes.items()})
    made.settle()
    for _ in range(3):
        assert made.call(DEFAULT_SENDER, takes, b"").success
    assert held.open().copied > 0
    played(made, [ExecutorCall(DEFAULT_SENDER, to, b"") for to in (takes, idle)], keeps=False)
    assert held.open().copied == 0  # those of kept calls were written to the tree
    made.close()
