"""Calls in a session that stop for an observer. Expected: values by hand, after the rules of revm's inspectors."""

from collections.abc import Callable, Iterator

import pytest

from bridge.ethereum.addresses import EthAddress, create_address, masked_id
from bridge.ethereum.block import EthereumBlock
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from bridge.filecoin.receipts import Log
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.machine import Hypervisor
from hypervisor.tracing import CallTrees
from hypervisor.types import INIT_ACTOR
from runtimes.evm import CallKind, SubcallOutcome
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc
from runtimes.evm.revm.accounts import delegated_address
from runtimes.evm.revm.campaign import Campaign, CampaignPlan, CampaignStep, CampaignTarget
from runtimes.evm.revm.held import Snapshot
from runtimes.evm.revm.interception import Decision, FailureReason, Interception
from runtimes.evm.revm.observation import (
    ALL_DEPTHS,
    CannotObserve,
    InterceptedCall,
    ObservedEnd,
)
from runtimes.evm.revm.observed import NO_CHECK, ObservedCall, observe
from runtimes.evm.revm.protocol import ISOLATED_BASE, Interest, Mode, SnapshotTime
from runtimes.evm.revm.session import session_of
from tests.runtimes.evm.assembler import assemble, deployer
from tests.runtimes.evm.machines import create, word

SENDER, OTHER, WATCHED = (EthAddress(bytes([number]) * 20) for number in (0xA1, 0xA2, 0xA3))
TO, INNER, DEEP = (EthAddress(bytes([0xC1 + at]) * 20) for at in range(3))
GAS = 10_000_000
RETURNS = "0 MSTORE 32 0 RETURN"
COPIES = "RETURNDATASIZE 0 0 RETURNDATACOPY RETURNDATASIZE 0 RETURN"
Answer = Callable[[ObservedCall, InterceptedCall], SubcallOutcome]


def calling(address: EthAddress, value: int = 0, kind: str = "CALL") -> str:
    """Return code that calls an address with the word 5 as calldata, and leaves the result on the stack."""
    amount = f"{value} " if kind in ("CALL", "CALLCODE") else ""
    return f"5 0 MSTORE 0 0 32 0 {amount}{word(address)} GAS {kind}"


class Recorder:
    """Answers each call with a function, and records what it sees."""

    watch = 0
    random: frozenset[EthAddress] = frozenset()
    hooked: frozenset[EthAddress] = frozenset()

    def __init__(self, answer: Answer, depth: int = 0, ends: int = 0, at_once: bool = False) -> None:
        self.answer, self.depth, self.last, self.at_once = answer, depth, ends, at_once
        self.goes_on = True
        self.seen: list[InterceptedCall] = []
        self.ended: list[tuple[int, SubcallOutcome]] = []
        self.logs: list[tuple[EthAddress, bytes]] = []
        self.begun: list[EthAddress] = []
        self.undone = 0
        self.interception = Interception()

    @property
    def watched(self) -> frozenset[EthAddress]:
        return frozenset({WATCHED})

    def interest(self) -> Interest:
        return Interest(self.depth, self.last, self.at_once, self.goes_on, cheatcodes=False)

    def call(self, run: ObservedCall, request: InterceptedCall, _: Decision) -> SubcallOutcome:
        return self.intercept(run, request)

    def intercept(self, run: ObservedCall, request: InterceptedCall) -> SubcallOutcome:
        self.seen.append(request)
        return self.answer(run, request)

    def failed(self, run: ObservedCall, cheatcode: bytes, reason: FailureReason) -> SubcallOutcome:
        raise AssertionError("nothing fails")

    def begin_call(self, to: EthAddress, kept: bool, saved: bytes) -> None:
        self.begun.append(to)

    def undo(self) -> None:
        self.undone += 1

    def random_word(self, run: ObservedCall, account: EthAddress, slot: int, is_write: bool) -> None:
        raise AssertionError("there is none")

    def accessed(self, run: ObservedCall) -> bytes | None:
        raise AssertionError("there is none")

    def snapshot_taken(self, taken: Snapshot, time: SnapshotTime) -> None:
        raise AssertionError("no cheatcode takes one")

    def call_end(self, _: ObservedCall, depth: int, outcome: SubcallOutcome) -> None:
        self.ended.append((depth, outcome))

    def log(self, emitter: EthAddress, log: Log) -> None:
        self.logs.append((emitter, log.data))

    def event(self, emitter: EthAddress, log: Log) -> None:
        raise AssertionError("no actor is called")


@pytest.fixture
def machine() -> Iterator[Hypervisor]:
    with Hypervisor.open(rules="ethereum") as machine:
        machine.advance(block=EthereumBlock("Prague"))
        machine.state_tree.begin()
        yield machine


def called(
    machine: Hypervisor,
    recorder: Recorder,
    codes: dict[EthAddress, str],
    keep: bool = True,
    value: int = 0,
    gas: int = GAS,
) -> ObservedEnd:
    """Call `TO` in a state of these contracts; each has 10 attoFIL."""
    install_alloc(machine, {address: AllocAccount(10, 1, assemble(code)) for address, code in codes.items()})
    session = session_of(machine)
    run = observe(session, recorder, SENDER, TO)
    assert run is not None
    with run:
        ended = run.run(value, b"", gas, keep)
        if keep and run.is_running:
            run.keep()
    assert ended is not None
    return ended


def enter(run: ObservedCall, _: InterceptedCall) -> SubcallOutcome:
    return run.enter()


def refuse(_run: ObservedCall, _request: InterceptedCall) -> SubcallOutcome:
    raise AssertionError("no call is expected")


def slot_of(machine: Hypervisor, address: EthAddress, slot: int) -> int | None:
    session = session_of(machine)
    return session.held.word(address, slot)


@pytest.mark.parametrize("success", [True, False])
def test_a_watched_address_is_answered(machine: Hypervisor, success: bool) -> None:
    recorder = Recorder(lambda _run, _request: SubcallOutcome(success, b"data"))
    ended = called(machine, recorder, {TO: f"{calling(WATCHED)} 1 SSTORE {COPIES}"})
    assert (ended.exit_code, ended.output) == (ExitCode.OK, b"data")
    assert slot_of(machine, TO, 1) == success
    (request,) = recorder.seen
    assert (request.kind, request.depth, request.caller, request.target) == (CallKind.CALL, 1, TO, WATCHED)
    assert request.data == (5).to_bytes(32, "big")


def test_an_answered_call_costs_its_access_only(machine: Hypervisor) -> None:
    recorder = Recorder(lambda _run, _request: SubcallOutcome(True))
    ended = called(machine, recorder, {TO: f"0 0 0 0 0 {word(WATCHED)} GAS CALL STOP"})
    assert ended.gas_used == 5 * 2 + 3 + 2 + 2600  # PUSH0, PUSH20, GAS, a cold account


@pytest.mark.parametrize(("kind", "caller"), [("CALL", OTHER), ("STATICCALL", OTHER), ("DELEGATECALL", OTHER)])
def test_a_call_is_entered_as_another_sender(machine: Hypervisor, kind: str, caller: EthAddress) -> None:
    def pretend(run: ObservedCall, _: InterceptedCall) -> SubcallOutcome:
        run.balance(OTHER)
        return run.enter(OTHER)

    ended = called(machine, Recorder(pretend, depth=1), {
        TO: f"{calling(INNER, kind=kind)} {COPIES}", INNER: f"CALLER {RETURNS}",
    })  # fmt: skip
    assert ended.output == caller.rjust(32, b"\0")


def test_a_creation_is_entered_as_another_sender(machine: Hypervisor) -> None:
    created = []

    def pretend(run: ObservedCall, request: InterceptedCall) -> SubcallOutcome:
        assert (request.kind, request.target) == (None, create_address(TO, 1))
        run.set_nonce(OTHER, 7)
        outcome = run.enter(OTHER)
        created.append((outcome.created, run.nonce(OTHER), run.code(outcome.created or OTHER)))
        return outcome

    code = assemble("CALLER SLOAD STOP")
    called(machine, Recorder(pretend, depth=1), {TO: f"{create(deployer(code), 0)} STOP"})
    assert created == [(create_address(OTHER, 7), 8, code)]


def test_a_value_is_paid_by_the_sender_of_the_entered_call(machine: Hypervisor) -> None:
    def pretend(run: ObservedCall, _: InterceptedCall) -> SubcallOutcome:
        run.set_balance(OTHER, 4)
        outcome = run.enter(OTHER)
        assert (run.balance(OTHER), run.balance(INNER), run.balance(TO)) == (1, 13, 10)
        return outcome

    assert called(machine, Recorder(pretend, depth=1), {TO: calling(INNER, 3), INNER: "STOP"}).exit_code == 0


def test_the_outcome_of_an_entered_call_may_be_replaced(machine: Hypervisor) -> None:
    def replace(run: ObservedCall, _: InterceptedCall) -> SubcallOutcome:
        outcome = run.enter()
        assert outcome == SubcallOutcome(False, (9).to_bytes(32, "big"), exit_code=33)
        return SubcallOutcome(True, b"fine")

    ended = called(machine, Recorder(replace, depth=1), {
        TO: f"{calling(INNER)} 1 SSTORE {COPIES}", INNER: "1 2 SSTORE 9 0 MSTORE 32 0 REVERT",
    })  # fmt: skip
    assert ended.output == b"fine"
    assert (slot_of(machine, TO, 1), slot_of(machine, INNER, 2)) == (1, 0)


@pytest.mark.parametrize("fails", [False, True])
def test_writes_belong_to_the_frame_that_made_the_call(machine: Hypervisor, fails: bool) -> None:
    def write(run: ObservedCall, _: InterceptedCall) -> SubcallOutcome:
        run.set_balance(OTHER, 6)
        run.store(OTHER, 1, 5)
        run.set_nonce(OTHER, 7)
        run.set_code(OTHER, b"\x5b")
        return SubcallOutcome(True)

    end = "0 0 REVERT" if fails else "STOP"
    called(machine, Recorder(write), {TO: f"{calling(INNER)} STOP", INNER: f"{calling(WATCHED)} {end}"})
    session = session_of(machine)
    other = session.held.account(OTHER)
    assert other is not None
    assert (other.balance, other.nonce, other.code) == ((0, 0, b"") if fails else (6, 7, b"\x5b"))
    assert slot_of(machine, OTHER, 1) == (0 if fails else 5)


def test_nested_calls_end_in_order(machine: Hypervisor) -> None:
    ended: list[int] = []

    def follow(run: ObservedCall, request: InterceptedCall) -> SubcallOutcome:
        outcome = run.enter()
        ended.append(request.depth)
        return outcome

    recorder = Recorder(follow, depth=ALL_DEPTHS)
    called(machine, recorder, {TO: calling(INNER), INNER: f"{calling(DEEP)} {calling(OTHER)}", DEEP: calling(OTHER)})
    assert [(request.depth, request.target) for request in recorder.seen] == [
        (1, INNER), (2, DEEP), (3, OTHER), (2, OTHER),
    ]  # fmt: skip
    assert ended == [3, 2, 2, 1]


@pytest.mark.parametrize("fails", [False, True])
def test_the_answer_waits_for_a_value_that_its_writes_need(machine: Hypervisor, fails: bool) -> None:
    install_alloc(machine, {OTHER: AllocAccount(3, 1, b"\0", {1: 2})})

    def write(run: ObservedCall, _: InterceptedCall) -> SubcallOutcome:
        run.set_balance(OTHER, 6)  # neither the account nor its slot was read
        run.store(OTHER, 1, 5)
        run.set_nonce(DEEP, 9)
        return SubcallOutcome(not fails, b"data")

    ended = called(machine, Recorder(write), {TO: f"{calling(WATCHED)} 1 SSTORE {COPIES}"})
    assert ended.output == b"data"
    session = session_of(machine)
    other, deep = session.held.account(OTHER), session.held.account(DEEP)
    assert other is not None
    assert deep is not None
    assert (other.balance, deep.nonce, slot_of(machine, OTHER, 1)) == (6, 9, 5)


@pytest.mark.parametrize(("code", "passes"), [
    ("1 SLOAD 7 EQ @fine JUMPI 0 0 REVERT fine: 8 1 SSTORE STOP", True),
    ("1 SLOAD 6 EQ @fine JUMPI 0 0 REVERT fine: STOP", False),
    (f"{calling(WATCHED)} STOP", False),
    (f"{word(DEEP)} BALANCE STOP", False),  # which was not read before
    ("again: @again JUMP", False),
])  # fmt: skip
@pytest.mark.parametrize("stops", [False, True])
def test_a_following_call_sees_the_changes_and_has_no_effect(
    machine: Hypervisor, code: str, passes: bool, stops: bool
) -> None:
    first = f"7 1 SSTORE {calling(WATCHED) if stops else ''} STOP"
    ended = followed(machine, f"CALLDATASIZE @check JUMPI {first} check: {code}", always=False)
    assert (ended.holds, slot_of(machine, TO, 1)) == (passes, 7)


@pytest.mark.parametrize("always", [False, True])
def test_a_following_call_may_need_no_changes(machine: Hypervisor, always: bool) -> None:
    assert followed(machine, "STOP", always).holds


def test_no_call_follows_one_that_reverts(machine: Hypervisor) -> None:
    assert not followed(machine, "CALLDATASIZE @check JUMPI 0 0 REVERT check: STOP", always=True).holds


def followed(machine: Hypervisor, code: str, always: bool) -> ObservedEnd:
    """Call `TO` without calldata and, after that, with a byte."""
    install_alloc(machine, {TO: AllocAccount(0, 1, assemble(code)), DEEP: AllocAccount(5)})
    session = session_of(machine)
    recorder = Recorder(lambda _run, _request: SubcallOutcome(True), at_once=True)
    run = observe(session, recorder, SENDER, TO)
    assert run is not None
    with run:
        ended = run.run(0, b"", GAS, keep=True, check=run.check(SENDER, TO, b"\1", GAS, always))
        assert not run.is_running
    assert ended is not None
    return ended


COUNTS = "1 SLOAD 1 ADD 1 SSTORE 1 SLOAD 0 MSTORE 32 0 RETURN"


def test_calls_follow_each_other_in_the_state_after_each(machine: Hypervisor) -> None:
    recorder = Recorder(refuse, at_once=True)
    made, end = sequence(machine, recorder, {TO: COUNTS, OTHER: f"{calling(TO)} 0 0 REVERT"}, [OTHER, TO])
    assert (made, end.output[31:], end.is_counted, end.is_changed) == (3, b"\2", True, True)
    assert (recorder.begun, slot_of(machine, TO, 1)) == ([TO], 2)


def test_logs_of_calls_that_others_follow_are_seen(machine: Hypervisor) -> None:
    recorder = Recorder(refuse, at_once=True)
    codes = {TO: COUNTS, OTHER: f"{calling(TO)} 1 0 LOG0 0 0 REVERT"}
    assert sequence(machine, recorder, codes, [OTHER, TO])[0] == 3
    assert recorder.logs == [(OTHER, b"\0")]


def test_calls_that_are_not_kept_begin_in_the_same_state(machine: Hypervisor) -> None:
    made, end = sequence(machine, Recorder(refuse, at_once=True), {TO: COUNTS}, [TO, TO], keep=False)
    assert (made, end.output[31:]) == (3, b"\1")
    assert machine.state_tree.held is None


@pytest.mark.parametrize("keep", [True, False])
def test_calls_follow_one_that_stops_unless_the_observer_has_set_something(machine: Hypervisor, keep: bool) -> None:
    codes = {TO: COUNTS, OTHER: f"{calling(WATCHED)} {COUNTS}"}
    recorder = Recorder(lambda _run, _request: SubcallOutcome(True), at_once=True)
    made, _ = sequence(machine, recorder, codes, [TO, OTHER, TO], keep)
    assert (made, [request.caller for request in recorder.seen], recorder.begun[0]) == (4, [OTHER], OTHER)
    assert (slot_of(machine, TO, 1) or 0, slot_of(machine, OTHER, 1) or 0) == ((3, 1) if keep else (0, 0))
    recorder.goes_on, recorder.begun = False, []
    assert (sequence(machine, recorder, codes, [TO, OTHER, TO], keep)[0], recorder.begun) == (3, [OTHER])


@pytest.mark.parametrize(("panic", "made"), [(0x11, 4), (1, 2)])
def test_calls_follow_a_panic_unless_it_is_a_failed_assertion(machine: Hypervisor, panic: int, made: int) -> None:
    code = f"0x4e487b71 224 SHL 0 MSTORE {panic} 4 MSTORE 36 0 REVERT"
    codes = {TO: COUNTS, OTHER: code}
    assert sequence(machine, Recorder(refuse, at_once=True), codes, [OTHER, TO, TO])[0] == made


def test_no_call_follows_one_that_stops_and_fails(machine: Hypervisor) -> None:
    recorder = Recorder(lambda _run, _request: SubcallOutcome(True), at_once=True)
    codes = {TO: COUNTS, OTHER: f"{calling(WATCHED)} 0 0 REVERT"}
    assert sequence(machine, recorder, codes, [TO, OTHER, TO])[0] == 3


def test_earlier_calls_stay_if_the_session_cannot_run_one_that_follows(machine: Hypervisor) -> None:
    def leave(_run: ObservedCall, _request: InterceptedCall) -> SubcallOutcome:
        raise CannotObserve

    recorder = Recorder(leave, at_once=True)
    made, _ = sequence(machine, recorder, {TO: f"1 0 LOG0 {COUNTS}", OTHER: calling(WATCHED)}, [TO, OTHER, TO])
    assert (made, len(recorder.logs), recorder.undone, slot_of(machine, TO, 1)) == (2, 2, 1, 2)


def test_a_check_that_fails_ends_the_calls(machine: Hypervisor) -> None:
    code = f"CALLDATASIZE @check JUMPI {COUNTS} check: 3 1 SLOAD LT @fine JUMPI 0 0 REVERT fine: STOP"
    made, end = sequence(machine, Recorder(refuse, at_once=True), {TO: code}, [TO] * 4, is_checked=True)
    assert (made, end.holds, end.is_counted, slot_of(machine, TO, 1)) == (3, False, False, 3)


def test_following_calls_are_undone_with_their_mark(machine: Hypervisor) -> None:
    install_alloc(machine, {TO: AllocAccount(0, 1, assemble(COUNTS))})
    mark = machine.state_tree.begin()
    sequence(machine, Recorder(refuse, at_once=True), {}, [TO, TO])
    assert slot_of(machine, TO, 1) == 3
    machine.state_tree.rollback(mark)
    assert not slot_of(machine, TO, 1)


def sequence(
    machine: Hypervisor, recorder: Recorder, codes: dict[EthAddress, str], following: list[EthAddress],
    keep: bool = True, is_checked: bool = False,
) -> tuple[int, ObservedEnd]:  # fmt: skip
    """Call `TO`, and then others, without calldata; the check is a call of `TO` with a byte.

    Return the number of calls that were made, and the end of the last one.
    """
    if codes:
        install_alloc(machine, {address: AllocAccount(10, 1, assemble(code)) for address, code in codes.items()})
    session = session_of(machine)
    targets = [TO, OTHER]
    plan = CampaignPlan("", keep, 9, [CampaignTarget(target, bytes(4)) for target in targets], [SENDER])
    campaign = Campaign(session.begin(), plan)
    campaign.begin([CampaignStep(SENDER, targets.index(to), b"") for to in (TO, *following)], is_replay=True)
    assert campaign.next() == CampaignStep(SENDER, 0, b"")
    with observe(session, recorder, SENDER, TO) as run:
        check = run.check(SENDER, TO, b"\1", GAS, always=False) if is_checked else NO_CHECK
        end = run.run(0, b"", GAS, keep, check, campaign=campaign, campaign_gas=GAS, gas_limit=GAS + ISOLATED_BASE)
        if keep and run.is_running:
            run.keep()
    made = campaign.figures.calls if keep else len(campaign.gases)
    last = end or ObservedEnd(0, b"", 0, 0, (), b"", False, [], is_counted=True, holds=False)
    campaign.close()
    return made + (not last.is_counted), last


def test_ends_of_other_calls_are_seen_on_request(machine: Hypervisor) -> None:
    recorder = Recorder(lambda _run, _request: SubcallOutcome(True))

    def ask(_run: ObservedCall, _request: InterceptedCall) -> SubcallOutcome:
        recorder.last = 1
        return SubcallOutcome(True)

    recorder.answer = ask
    called(machine, recorder, {TO: calling(INNER), INNER: f"{calling(DEEP)} 0 0 REVERT", DEEP: calling(WATCHED)})
    assert recorder.ended == [(1, SubcallOutcome(False, exit_code=33))]


def test_logs_of_failed_frames_are_seen_in_order(machine: Hypervisor) -> None:
    recorder = Recorder(refuse)
    ended = called(machine, recorder, {
        TO: f"1 0 LOG0 {calling(INNER)} 2 0 LOG0 STOP", INNER: "3 0 LOG0 0 0 REVERT",
    })  # fmt: skip
    assert [(emitter, len(data)) for emitter, data in recorder.logs] == [(TO, 1), (INNER, 3), (TO, 2)]
    assert [(emitter, len(log.data)) for emitter, log in ended.logs] == [(TO, 1), (TO, 2)]


def test_touched_words_are_those_at_the_end(machine: Hypervisor) -> None:
    ended = called(machine, Recorder(refuse), {TO: "7 1 SSTORE 2 SLOAD 8 1 SSTORE STOP"})
    assert ended.words == (8).to_bytes(32, "big") + bytes(32)


def test_slots_of_an_account_that_does_not_exist_are_written(machine: Hypervisor) -> None:
    """forge's database does not clear empty accounts (EIP-161) either."""

    def write(run: ObservedCall, _: InterceptedCall) -> SubcallOutcome:
        before = run.load(OTHER, 1)
        run.store(OTHER, 1, 5)
        return SubcallOutcome(True, before.to_bytes(32, "big"))

    for known in (0, 5):
        ended = called(machine, Recorder(write), {TO: f"{calling(WATCHED)} {COPIES}"})
        assert ended.output == known.to_bytes(32, "big")
        machine.state_tree.settle()


def test_accounts_are_read_after_the_end(machine: Hypervisor) -> None:
    contracts = {OTHER: AllocAccount(0, 1, b"\0", {7: 8}), TO: AllocAccount(0, 1, assemble(calling(WATCHED)))}
    install_alloc(machine, contracts)
    session = session_of(machine)
    run = observe(session, Recorder(lambda _run, _request: SubcallOutcome(True)), SENDER, TO)
    assert run is not None
    with run:
        run.run(0, b"", GAS, keep=False)
        assert run.load(OTHER, 7) == 8


@pytest.mark.parametrize("is_early", [False, True])
def test_an_interrupt_at_the_end_leaves_the_kept_call(
    machine: Hypervisor, is_early: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Recorder):
        def log(self, emitter: EthAddress, log: Log) -> None:
            raise KeyboardInterrupt

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    mark = machine.state_tree.begin()
    if is_early:
        monkeypatch.setattr(ObservedCall, "_take_ends", interrupt)
    with pytest.raises(KeyboardInterrupt):
        called(machine, Failing(refuse, at_once=True), {TO: "7 1 SSTORE 0 0 LOG0"})
    assert machine.state_tree.held is not None
    assert slot_of(machine, TO, 1) == 7
    machine.state_tree.rollback(mark)
    assert not slot_of(machine, TO, 1)


def test_a_transaction_after_an_observed_call_has_no_observer(machine: Hypervisor) -> None:
    called(machine, Recorder(enter, depth=ALL_DEPTHS), {TO: calling(INNER), INNER: f"{calling(DEEP)} 1 1 SSTORE"})
    session = session_of(machine)
    result = session.transact(Transaction(DYNAMIC_FEE, None, 0, TO, 0, b"", GAS, 0, 0), SENDER, Mode.KEEP)
    assert result is not None
    assert result.success


def test_a_large_session_is_written_before_it_is_left(machine: Hypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    called(machine, Recorder(refuse), {TO: "7 1 SSTORE STOP"})
    assert machine.state_tree.held is not None
    monkeypatch.setattr("runtimes.evm.revm.held._MAX_MEMORY", 0)
    session = session_of(machine)
    run = observe(session, Recorder(refuse), SENDER, TO)
    assert run is not None
    with run:
        run.run(0, b"", GAS, keep=False)
        assert machine.state_tree.held is None
        assert slot_of(machine, TO, 1) == 7


def test_a_large_session_with_a_campaign_forgets_its_state_only(
    machine: Hypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    called(machine, Recorder(refuse), {TO: COUNTS})
    session = session_of(machine)
    campaign = Campaign(session.begin(), CampaignPlan("", True, 9, [CampaignTarget(TO, bytes(4))], [SENDER]))
    campaign.begin([CampaignStep(SENDER, 0, b"\1")], is_replay=True)
    monkeypatch.setattr("runtimes.evm.revm.held._MAX_MEMORY", 0)
    assert session.begin() is campaign.guest
    assert machine.state_tree.held is None
    called(machine, Recorder(refuse), {})
    assert slot_of(machine, TO, 1) == 2
    assert campaign.next() == CampaignStep(SENDER, 0, b"\1")
    campaign.close()


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("stop", ["", calling(WATCHED)])
def test_only_a_kept_call_changes_the_state(machine: Hypervisor, keep: bool, at_once: bool, stop: str) -> None:
    recorder = Recorder(lambda _run, _request: SubcallOutcome(True), at_once=at_once)
    called(machine, recorder, {TO: f"7 1 SSTORE {stop} STOP"}, keep)
    assert (machine.state_tree.held is not None) == keep
    machine.state_tree.settle()
    assert (slot_of(machine, TO, 1) or 0) == (7 if keep else 0)


def test_a_kept_call_is_undone_with_its_mark(machine: Hypervisor) -> None:
    called(machine, Recorder(refuse), {TO: "1 SLOAD 1 ADD 1 SSTORE STOP"})
    session, tree = session_of(machine), machine.state_tree
    mark = tree.begin()
    run = observe(session, Recorder(refuse), SENDER, TO)
    assert run is not None
    with run:
        run.run(0, b"", GAS, keep=True)
        assert run.keep()
    assert slot_of(machine, TO, 1) == 2
    tree.rollback(mark)
    assert slot_of(machine, TO, 1) == 1


def test_the_machines_block_is_seen_after_it_has_changed(machine: Hypervisor) -> None:
    def warp(run: ObservedCall, _: InterceptedCall) -> SubcallOutcome:
        machine.advance(timestamp=1234)
        run.renew_block()
        run.set_origin(OTHER)
        return SubcallOutcome(True)

    ended = called(machine, Recorder(warp), {TO: f"{calling(WATCHED)} TIMESTAMP 0 MSTORE ORIGIN 32 MSTORE 64 0 RETURN"})
    assert ended.output == (1234).to_bytes(32, "big") + OTHER.rjust(32, b"\0")


@pytest.mark.parametrize(
    "code", [calling(masked_id(INIT_ACTOR)), f"{calling(WATCHED)} {calling(masked_id(INIT_ACTOR))}"]
)
def test_a_native_actor_ends_the_call_without_effect(machine: Hypervisor, code: str) -> None:
    def write(run: ObservedCall, _: InterceptedCall) -> SubcallOutcome:
        run.store(OTHER, 1, 5)
        return SubcallOutcome(True)

    with pytest.raises(CannotObserve):
        called(machine, Recorder(write), {TO: f"1 1 SSTORE {code}"})
    assert machine.state_tree.held is None
    assert not slot_of(machine, TO, 1)
    assert not slot_of(machine, OTHER, 1)


LOOPS = "0 again: 1 ADD DUP1 300000 GT @again JUMPI"


def test_a_long_call_goes_on_once_it_has_stopped(machine: Hypervisor) -> None:
    recorder = Recorder(lambda _run, _request: SubcallOutcome(True))
    ended = called(machine, recorder, {TO: f"{calling(WATCHED)} {LOOPS} {calling(WATCHED)} {RETURNS}"})
    assert (ended.exit_code, int.from_bytes(ended.output, "big"), len(recorder.seen)) == (ExitCode.OK, 1, 2)


def test_many_calls_may_be_entered_within_each_other(machine: Hypervisor) -> None:
    """The limit is that of calls without an observer."""
    code = f"{calling(TO)} 1 SLOAD 1 ADD 1 SSTORE"
    numbers = []
    for depth in (0, ALL_DEPTHS):
        recorder = Recorder(enter, depth=depth)
        called(machine, recorder, {TO: code, INNER: "STOP"}, gas=1 << 40)
        numbers.append(slot_of(machine, TO, 1))
    assert numbers == [1025, 2 * 1025]
    assert max(request.depth for request in recorder.seen) == 1025


@pytest.mark.parametrize("success", [True, False])
def test_answered_calls_are_traced_with_value_and_limit(machine: Hypervisor, success: bool) -> None:
    """Forge's inspector shows the call as the frame has requested it, and the answer; no gas is used."""
    machine.tracer = trees = CallTrees()
    recorder = Recorder(lambda *_: SubcallOutcome(success, b"\7"))
    called(machine, recorder, {TO: f"{calling(WATCHED, 3)} POP {calling(INNER)}", INNER: "STOP"})
    (top,) = trees.roots
    answered, made = top.calls
    assert answered.end is not None
    assert (answered.start.value, answered.start.gas_available) == (3, recorder.seen[0].gas)
    assert answered.start.params == (5).to_bytes(32, "big")
    assert (answered.end.exit_code, answered.end.return_data) == (0 if success else 33, b"\7")
    assert (answered.end.gas_used, answered.calls, made.succeeded) == (0, [], True)


@pytest.mark.parametrize("operation", [ObservedCall.gas_used, ObservedCall.ended_gas])
def test_a_frame_that_is_missing_ends_the_call_only(
    operation: Callable[[ObservedCall], object], machine: Hypervisor
) -> None:
    called(machine, Recorder(refuse), {TO: "7 1 SSTORE STOP", WATCHED: "STOP"})

    def read(run: ObservedCall, _: InterceptedCall) -> SubcallOutcome:
        operation(run)
        return run.enter()

    session = session_of(machine)
    run = observe(session, Recorder(read), SENDER, WATCHED)
    assert run is not None
    with pytest.raises(CannotObserve), run:
        run.run(0, b"", GAS, keep=True)
    assert machine.state_tree.held is not None
    assert slot_of(machine, TO, 1) == 7


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("is_kept", [False, True])
def test_exchanges_of_the_state_are_undone_with_their_frame(machine: Hypervisor, fails: bool, is_kept: bool) -> None:
    """The tree has what the call has changed, and the call then has what the tree has."""
    tree = machine.state_tree
    actor = tree.register_address(delegated_address(OTHER))

    def answer(run: ObservedCall, _request: InterceptedCall) -> SubcallOutcome:
        run.set_balance(OTHER, 7)
        with run.written() as written:
            assert written.existing(actor).balance == 7
        with run.exchange() as exchanged:
            exchanged.set_actor(actor, exchanged.existing(actor).with_balance(9))
        assert run.balance(OTHER) == 9
        return SubcallOutcome(True)

    mark = tree.begin()
    before = tree.get_actor(actor)
    end = "0 0 REVERT" if fails else "STOP"
    code = f"1 1 SSTORE {calling(INNER)} POP 0x{OTHER.hex()} BALANCE 0 MSTORE 1 SLOAD 32 MSTORE 64 0 RETURN"
    codes = {TO: code, INNER: f"2 2 SSTORE {calling(WATCHED)} {end}"}
    ended = called(machine, Recorder(answer, at_once=True), codes, keep=is_kept)
    balance = 0 if fails else 9
    assert ended.output == balance.to_bytes(32, "big") + (1).to_bytes(32, "big")
    found = tree.get_actor(actor)
    assert (0 if found is None else found.balance) == (balance if is_kept else 0)
    tree.rollback(mark)
    assert tree.get_actor(actor) == before
    called(machine, Recorder(refuse), {TO: "1 SLOAD 2 SSTORE"})


def test_a_session_of_many_blocks_knows_few_storages(machine: Hypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtimes.evm.revm.accounts._MAX_STORAGES", 2)
    contracts = [EthAddress(bytes([0xD0 + number]) * 20) for number in range(5)]
    code = assemble("1 SLOAD 2 SSTORE")
    install_alloc(machine, {address: AllocAccount(0, 1, code, {1: 7}) for address in contracts})
    session, generations = session_of(machine), set()
    for to in contracts:
        machine.advance(block=EthereumBlock("Prague"))
        with observe(session, Recorder(refuse), SENDER, to) as run:
            run.run(0, b"", GAS, True)
            assert run.keep()
        machine.state_tree.settle()
        generations.add(session.held.contracts)
    assert len(generations) == 1  # the state was not begun anew
    assert len(session.held.known.trees) <= 3
