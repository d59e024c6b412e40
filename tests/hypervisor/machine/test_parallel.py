"""Parallel execution of blocks equals serial execution, also with failing, hanging or limited workers."""

import gc
import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from errno import EMFILE
from functools import partial
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit, setrlimit
from tempfile import TemporaryFile
from typing import Any

import pytest

from bridge.ethereum.addresses import to_filecoin
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from bridge.filecoin.messages import message_from
from bridge.filecoin.method_numbers import method_number
from hypervisor.context import DevelopmentExterns, ExternError
from hypervisor.errors import InvalidInput
from hypervisor.machine import parallel as room
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.parallel import BlockMessage, Parallel, ParallelBlock, can_run_in_parallel, shares_of
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.tracing import Recorder, StepRecorder
from hypervisor.types import INIT_ACTOR, ChainEpoch, Gas, MethodNumber, TokenAmount
from hypervisor.versions.network_versions import network_version
from localnet.fork.node_client import NodeClient, NodeError
from store.blockstore import StoreReadOnly
from store.cid import RAW, cid_of
from store.codec import encode
from tests.conftest import samples
from tests.parallel import COUNT, FEE, FIL, GAS, KILL, difference, execute, play, stage
from tests.patience import slowness

HERE = os.getpid()


def fresh(workers: int = 2, *, executes_share: bool = True) -> Parallel:
    """Return an initial state for blocks of any length."""
    return Parallel(workers, adaptive=False, executes_share=executes_share)


@pytest.mark.slow
@pytest.mark.sampled
def test_random_blocks_come_out_as_serially() -> None:
    played = {seed: play(seed) for seed in range(samples(160))}
    assert {seed: each.difference for seed, each in played.items() if each.difference} == {}
    for counter in ("accepted", "reexecuted", "conflicted"):
        assert sum(getattr(each.parallel, counter) for each in played.values()) > len(played) // 2


def test_other_results_events_or_states_are_a_difference() -> None:
    states = cid_of(b"one"), cid_of(b"two")
    serial = ["invalid"], states[0], [1]
    assert difference(serial, serial) == ""
    assert difference(serial, (["refused"], states[0], [1])) == "message 0: 'invalid' serially, 'refused'"
    assert difference(serial, (["invalid"], states[0], [2])) == "what a tracer heard"
    assert difference(serial, (["invalid"], states[1], [1])) == "the state"


# --- chosen blocks ----------------------------------------------------------------------------------------------------


def payment(sender: int, to: Address, value: int, nonce: int = 0) -> Message:
    """Return a payment of one of the accounts; the first has sent three messages before."""
    from_ = to_filecoin(stage().accounts[sender])
    gas, fee = Gas(GAS), TokenAmount(FEE)
    return Message(to, from_, nonce, TokenAmount(value), gas_limit=gas, gas_fee_cap=fee, gas_premium=fee)


def called(sender: int, what: int, word: bytes = bytes(32), nonce: int = 0) -> Message:
    on = stage()
    data = bytes([what]) + word
    transaction = Transaction(DYNAMIC_FEE, 31_415_926, nonce, on.contracts[0], 0, data, GAS, 2 * FEE, FEE)
    return message_from(transaction, to_filecoin(on.accounts[sender]))


def execute_both_ways(messages: list[Message], parallel: Parallel) -> Sequence[ApplyResult | str]:
    on = stage()
    serial = execute(on, messages)
    assert execute(on, messages, parallel, foresees=False) == serial
    return serial[0]


def test_messages_that_create_one_address_conflict() -> None:
    nobody = Address.delegated(10, b"\x0e" * 20)
    parallel = fresh()
    results = execute_both_ways([payment(sender, nobody, FIL) for sender in range(1, 7)], parallel)
    assert [getattr(result, "exit_code", None) for result in results] == [0] * 6
    first = parallel.conflicts[0]
    assert first.actor == INIT_ACTOR or first.address == nobody


def test_messages_that_spend_one_balance_conflict_at_its_actor() -> None:
    parallel = fresh()
    receiver = to_filecoin(stage().accounts[7])
    richer = [payment(sender, receiver, FIL) for sender in range(1, 5)]
    execute_both_ways([*richer, payment(7, Address.id(99), 101 * FIL)], parallel)
    actor = stage().machine.state_tree.lookup_id(receiver)
    assert [conflict for conflict in parallel.conflicts if conflict.actor == actor and "balance" in conflict.fields]


@pytest.mark.slow
def test_messages_that_kill_the_actor_of_others() -> None:
    heir = bytes(12) + stage().accounts[2]
    kill, again = called(1, KILL, heir), called(1, KILL, heir, nonce=1)
    parallel = fresh()
    execute_both_ways([kill, called(2, COUNT), called(3, COUNT), again, called(4, COUNT)], parallel)
    assert parallel.reexecuted


@pytest.mark.slow
def test_the_fees_of_messages_are_no_conflict() -> None:
    parallel = fresh()
    execute_both_ways([payment(sender, Address.id(1), 0) for sender in range(1, 5)], parallel)
    assert (parallel.conflicts, parallel.reexecuted, parallel.accepted) == ([], 0, 2)


def test_messages_of_one_sender_follow_each_other_in_one_worker() -> None:
    one = [payment(1, Address.id(1), 1, nonce) for nonce in range(4)]
    parallel = fresh(executes_share=False)
    execute_both_ways([*one, payment(2, Address.id(1), 1)], parallel)
    assert parallel.accepted == 5


def test_workers_execute_native_actors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_MAX_WAIT_SECONDS", 60.0)
    counters, method = stage().counters, MethodNumber(method_number("Increment"))
    messages = [replace(payment(sender, counters[sender], 0), method=method, params=encode(1)) for sender in range(2)]
    parallel = fresh(3, executes_share=False)
    execute_both_ways(messages, parallel)
    assert (parallel.accepted, parallel.reexecuted) == (2, 0)


# --- workers that do not do it ----------------------------------------------------------------------------------------


def executed(apply: Callable[[Callable[[], ApplyResult]], ApplyResult], parallel: Parallel) -> int:
    """Return the number of successful messages of four, each executed by `apply`."""
    machine = stage().machine.fork()
    messages = [payment(sender, Address.id(99), 0) for sender in range(1, 5)]
    block = [
        BlockMessage(partial(apply, partial(machine.apply, message)), message.from_, message.to) for message in messages
    ]
    with ParallelBlock(machine, block, parallel) as started:
        return sum(started.apply(number).exit_code == 0 for number in range(4))


@pytest.mark.slow
def test_dying_worker_loses_no_messages() -> None:
    def dying(apply: Callable[[], ApplyResult]) -> ApplyResult:
        if os.getpid() != HERE:
            os._exit(3)
        return apply()

    parallel = fresh(executes_share=False)
    assert executed(dying, parallel) == 4
    assert (parallel.accepted, parallel.reexecuted) == (0, 4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 7, 8])
def test_stages_of_a_random_block_do_not_depend_on_the_speed_of_workers(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """The workers of these blocks are adaptive: on a network this process would not wait for them."""

    def stages() -> tuple[int, int, int]:
        found = play(seed).parallel
        return found.blocks, found.accepted, found.reexecuted

    usual, execute = stages(), room._execute

    def late(*arguments: Any) -> None:
        time.sleep(0.5)
        execute(*arguments)

    monkeypatch.setattr(room, "_execute", late)
    assert stages() == usual


@pytest.mark.slow
def test_a_worker_that_hangs_is_waited_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_MAX_WAIT_SECONDS", 0.05)

    def hanging(apply: Callable[[], ApplyResult]) -> ApplyResult:
        if os.getpid() != HERE:
            time.sleep(600)
        return apply()

    parallel, began = fresh(executes_share=False), time.monotonic()
    assert executed(hanging, parallel) == 4
    assert parallel.reexecuted == 4
    assert time.monotonic() - began < 60


@pytest.mark.slow
def test_hanging_workers_are_not_awaited_sequentially(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    done = room._Worker.take_result

    def noted(worker: Any, number: int, patience: float) -> Any:
        waits.append(patience)
        return done(worker, number, patience)

    monkeypatch.setattr(room._Worker, "take_result", noted)

    def hanging(apply: Callable[[], ApplyResult]) -> ApplyResult:
        if os.getpid() != HERE:
            time.sleep(600)
        return apply()

    assert executed(hanging, fresh(4, executes_share=False)) == 4
    assert len(waits) == 4
    # Nine times the first one's second, if each were waited for twice as long as the others had been.
    assert max(waits) < 3 * slowness()


class Silent(DevelopmentExterns):
    """A chain that only responds to this process."""

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        if os.getpid() != HERE:
            raise ExternError("the node is not asked from here")
        return super().beacon_randomness(epoch)


@pytest.mark.slow
def test_worker_message_with_unanswered_extern_is_rerun_locally() -> None:
    machine = stage().machine.fork()
    machine.externs = Silent()

    def apply(message: Message) -> ApplyResult:
        with suppress(ExternError):  # as a guest that deals with the error
            machine.externs.beacon_randomness(ChainEpoch(1))
        return machine.apply(message)

    messages = [payment(sender, Address.id(1), 0) for sender in range(1, 5)]
    block = [BlockMessage(partial(apply, message), message.from_, message.to) for message in messages]
    parallel = fresh(executes_share=False)
    with ParallelBlock(machine, block, parallel) as started:
        assert not any(started.apply(number).exit_code for number in range(4))
    assert (parallel.accepted, parallel.reexecuted) == (0, 4)


@pytest.mark.slow
def test_worker_cannot_write_store_or_query_node(tmp_path: Path) -> None:
    with Hypervisor.open(tmp_path / "chain") as machine, NodeClient("http://127.0.0.1:1") as client:
        refused = tmp_path / "refused"
        child = room._fork()
        if child == 0:
            words = []
            for attempt in (lambda: machine.base.put(cid_of(b"", RAW), b""), lambda: client.request("eth_chainId")):
                try:
                    attempt()
                except (StoreReadOnly, NodeError) as error:
                    words.append(str(error))
            refused.write_text("\n".join(words))
            os._exit(0)
        os.waitpid(child, 0)
        assert re.search(
            r"chain was opened by the parent of this forked process.*\n.*not by a fork of it", refused.read_text()
        )


@pytest.mark.slow
def test_a_block_is_executed_by_a_process_with_many_open_files() -> None:
    soft, hard = getrlimit(RLIMIT_NOFILE)
    setrlimit(RLIMIT_NOFILE, (min(4_096, hard), hard))
    try:
        with ExitStack() as files:
            for _ in range(1_100):
                files.enter_context(open(os.devnull, "rb"))
            parallel = fresh(executes_share=False)
            assert executed(lambda apply: apply(), parallel) == 4
            assert parallel.accepted == 4
    finally:
        setrlimit(RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
def test_worker_without_temporary_file_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def once() -> Any:
        if made:
            raise OSError(EMFILE, "too many open files")
        made.append(1)
        return TemporaryFile()

    monkeypatch.setattr(room, "TemporaryFile", once)
    parallel = fresh(3, executes_share=False)
    assert executed(lambda apply: apply(), parallel) == 4
    assert 0 < parallel.accepted < 4
    assert gc.isenabled()


@pytest.mark.slow
def test_interrupted_start_leaves_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def interrupted() -> Any:
        if made:
            raise KeyboardInterrupt
        made.append(1)
        return TemporaryFile()

    monkeypatch.setattr(room, "TemporaryFile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        executed(lambda apply: apply(), fresh(3, executes_share=False))
    assert gc.isenabled()
    end = time.monotonic() + 60
    while room.has_ended_workers() and time.monotonic() < end:
        time.sleep(0.01)
    assert not room.has_ended_workers()


def test_message_raising_in_worker_is_executed_in_main_process() -> None:
    def raising(apply: Callable[[], ApplyResult]) -> ApplyResult:
        if os.getpid() != HERE:
            raise RuntimeError
        return apply()

    parallel = fresh(executes_share=False)
    assert executed(raising, parallel) == 4
    assert parallel.reexecuted == 4


def test_fork_failure_falls_back_to_serial_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", refused)
    parallel = fresh()
    assert executed(lambda apply: apply(), parallel) == 4
    assert (parallel.blocks, parallel.reexecuted) == (0, 0)


@pytest.mark.slow
def test_worker_with_only_conflicts_is_stopped() -> None:
    machine = stage().machine.fork()
    block = []
    for number in range(40):  # every second one is a worker's, whose senders are none of this process'
        nonce = number // 8 + (3 if number % 8 == 0 else 0)
        message = called(number % 8, COUNT, nonce=nonce)
        block.append(BlockMessage(partial(machine.apply, message), Address.id(1000 + number), None))
    parallel = fresh()
    with ParallelBlock(machine, block, parallel) as started:
        results = [started.apply(number) for number in range(40)]
    assert not any(result.exit_code for result in results)
    assert (parallel.accepted, parallel.reexecuted, parallel.conflicted) == (0, 20, room._MIN_CONFLICTS)


# --- what workers cost ------------------------------------------------------------------------------------------------


class Ticking:
    """A clock of CPU time that advances by a constant with each message."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(room, "process_time", lambda: self.now)

    def counting(self, count: int, seconds: Callable[[int], float], parallel: Parallel) -> list[int]:
        """Count in one contract, so that all messages conflict; return the messages before which workers started."""
        machine, block, started = stage().machine.fork(), [], list[int]()

        def apply(number: int, message: Message) -> ApplyResult:
            self.now += seconds(number)
            return machine.apply(message)

        for number in range(count):
            message = called(number % 8, COUNT, nonce=number // 8 + (3 if number % 8 == 0 else 0))
            block.append(BlockMessage(partial(apply, number, message), Address.id(1000 + number), None))
        with ParallelBlock(machine, block, parallel) as running:
            for number in range(count):
                blocks = parallel.blocks
                assert running.apply(number).exit_code == 0
                if parallel.blocks > blocks:
                    started.append(number)
        return started


def test_workers_do_not_start_for_cheap_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    parallel = Parallel(2)
    # 56 messages of 4 ms remain after eight: 0.224 seconds
    assert Ticking(monkeypatch).counting(64, lambda number: 0.004, parallel) == []
    assert (parallel.blocks, parallel.accepted, parallel.reexecuted, parallel.conflicted) == (0, 0, 0, 0)


@pytest.mark.slow
def test_workers_start_after_first_messages_if_rest_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    parallel = Parallel(2)
    # 56 messages of 5 ms remain after eight: 0.28 seconds
    assert Ticking(monkeypatch).counting(64, lambda number: 0.005, parallel) == [8]
    assert parallel.conflicted <= room._MIN_CONFLICTS
    assert (parallel.accepted, parallel.reexecuted) == (0, 28)  # half of the 56 were a worker's


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (lambda number: 1.0 if number < 4 else 0.001, []),
        (lambda number: 0.001 if number < 20 else 0.02, [32]),
    ],
    ids=["what is loaded first does not count", "messages become longer"],
)
def test_the_estimate_follows_the_messages(
    monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int], float], expected: list[int]
) -> None:
    assert Ticking(monkeypatch).counting(64, seconds, Parallel(2)) == expected


def test_workers_that_are_late_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_MIN_REMAINING_SECONDS", 0.0)
    machine = stage().machine.fork()

    def apply(message: Message) -> ApplyResult:
        if os.getpid() != HERE:
            time.sleep(600)
        return machine.apply(message)

    messages = [payment(sender, Address.id(1), 0, nonce) for nonce in range(4) for sender in range(1, 7)]
    block = [BlockMessage(partial(apply, message), message.from_, None) for message in messages]
    waits: list[float] = []
    done = room._Worker.take_result

    def noted(worker: Any, number: int, patience: float) -> Any:
        waits.append(patience)
        return done(worker, number, patience)

    monkeypatch.setattr(room._Worker, "take_result", noted)
    parallel, began = Parallel(2), time.monotonic()
    with ParallelBlock(machine, block, parallel) as running:
        assert not any(running.apply(number).exit_code for number in range(len(block)))
    assert (parallel.blocks, parallel.accepted, parallel.reexecuted) == (1, 0, len(waits))
    assert sum(waits) <= 0.06 * (time.monotonic() - began) + 0.01


# --- what is not done beside each other -------------------------------------------------------------------------------


def test_machines_unfit_for_parallel_workers_are_detected() -> None:
    machine = stage().machine.fork()
    assert can_run_in_parallel(machine)
    machine.tracer = Recorder()
    assert can_run_in_parallel(machine)
    machine.tracer = StepRecorder()
    assert not can_run_in_parallel(machine)
    machine.tracer = None
    machine.advance(network=network_version(20))
    assert not can_run_in_parallel(machine)
    with Hypervisor.open(actor_debugging=True) as logging:
        assert not can_run_in_parallel(logging)
    with Hypervisor.open(rules="ethereum") as session:
        assert not can_run_in_parallel(session)


def test_small_blocks_are_executed_serially() -> None:
    parallel = Parallel(2)
    execute_both_ways([payment(sender, Address.id(99), 0) for sender in range(1, 5)], parallel)
    assert parallel.blocks == 0


def test_numbers_of_workers_that_cannot_be() -> None:
    for number in (0, -1, 257):
        with pytest.raises(InvalidInput, match=f"{number} workers are out of range: expected 1 to 256"):
            Parallel(number)
    with pytest.raises(InvalidInput, match="a number of workers"):
        Parallel(2.5)  # type: ignore[arg-type]  # wrong on purpose


def test_shares_keep_senders_and_receivers_together() -> None:
    def share(*messages: tuple[int, int], pays: bool = False) -> list[list[int]]:
        def never() -> ApplyResult:
            raise AssertionError

        return shares_of([BlockMessage(never, Address.id(one), Address.id(other), pays) for one, other in messages], 2)

    assert share((1, 9), (2, 8), (1, 7), (3, 6)) == [[0, 2], [1, 3]]
    assert share((1, 9), (2, 8), (3, 9), (4, 8)) == [[0, 2], [1, 3]]
    one_receiver, a_ring = [(1, 9), (2, 9), (3, 9), (4, 9)], [(1, 2), (2, 3), (3, 4), (4, 1)]
    assert share(*one_receiver) == share(*a_ring) == [[0, 2], [1, 3]]
    assert share(*one_receiver, pays=True) == share(*a_ring, pays=True) == [[0, 1, 2, 3], []]
