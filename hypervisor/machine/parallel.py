"""Parallel execution of a block's messages by worker processes.

The main process executes the messages in order. Workers are forks of it (state, store and compiled modules are shared
copy-on-write) that execute other messages ahead of their turn, each on top of its own previous ones, and commit
nothing. When a message's turn comes, the worker's effects are applied if everything it read is unchanged
(`hypervisor.machine.speculation`); otherwise the message is executed here. The same applies if a worker fails, dies or
takes too long. The result always equals serial execution.

Messages of one sender depend on each other, so they go to one worker, and so do those to one receiver if that leaves
enough for the others. Processes are used instead of threads because of the GIL, and because the bindings of RocksDB
have no wheels for free-threaded Python (docs/parallel-execution.md).
"""

from __future__ import annotations

import gc
import marshal
import os
import pickle
import select
import signal
import stat
import sys
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from tempfile import TemporaryFile
from time import monotonic, process_time
from typing import Any, BinaryIO, Final, NoReturn

from hypervisor.errors import InvalidInput
from hypervisor.installation import ETHEREUM
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine_state import MachineState
from hypervisor.machine.speculation import (
    PackedActor,
    PackedEffects,
    PackedResult,
    RecordingTree,
    WatchedExterns,
    apply_effects,
    packed_actor,
    packed_result,
    unpacked_result,
)
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import StateTree
from hypervisor.tracing import Recorder, SyscallEntered, TraceEvent, with_steps
from hypervisor.types import INIT_ACTOR, ActorID, whole_number
from store.cid import Cid

MAX_WORKERS: Final = 256
MIN_MESSAGES: Final = 8
"""Number of messages that are executed here before the time of the others is estimated."""

_MIN_REMAINING_SECONDS: Final = 0.25
"""Minimum estimated seconds of remaining execution for which workers start.

More than ten times what a worker costs this process if all its messages conflict: 20 ms, most of them for pages that
are copied when they are written.
"""
_MAX_WAIT_FRACTION: Final = 0.05
"""Fraction of the time since workers were started that may be spent waiting for them."""
_MAX_WAIT_SECONDS: Final = 1.0
"""Seconds per block that may be lost by waiting for workers that are not adaptive, in addition to twice the time spent
otherwise.
"""
_MIN_CONFLICTS: Final = 8
"""Number of conflicts after which a worker with more conflicts than successes is ended."""
_SIGNALS_BLOCKED_IN_WORKERS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_FIELDS: Final = ("code", "state", "nonce", "balance", "delegated address")


@dataclass(frozen=True, slots=True)
class Conflict:
    """A conflict that invalidates a speculative result: the first value that the message read and that has changed.

    `fields` are the changed fields of the actor: code, state, nonce, balance; `address` is an address that resolves
    differently. If only the state differs, `heads` are the root that was read and the current one.
    """

    message: int
    actor: ActorID | None = None
    fields: tuple[str, ...] = ()
    address: Address | None = None
    code: Cid | None = None
    heads: tuple[Cid, ...] = ()

    def __str__(self) -> str:
        if self.address is not None:
            return f"message {self.message}: {self.address} resolves differently"
        return f"message {self.message}: f0{self.actor} ({', '.join(self.fields)})"

    def record(self) -> dict[str, Any]:
        """Return the conflict as a JSON object for the command line."""
        if self.address is not None:
            return {"message": self.message, "address": str(self.address)}
        return {"message": self.message, "actor": f"f0{self.actor}", "fields": list(self.fields)}


def _conflict_of(message: int, tree: StateTree, start_root: Cid, effects: PackedEffects) -> Conflict | None:
    """Return the first conflict of a message with the current tree, or None if its effects can be applied.

    `start_root` is the last flushed root at the start of the block: values not written since need no check.
    """
    reads, lookups, have_changed, _, credited = effects
    written = tree.changed_since(start_root)
    for actor, before, has_changed in reads:
        if has_changed or written is None or actor in written:
            now = packed_actor(tree.get_actor(ActorID(actor)))
            if now != before:
                return _conflict_at(message, ActorID(actor), before, now)
    if have_changed or written is None or INIT_ACTOR in written:
        for address, found in lookups:
            if tree.lookup_id(Address.from_bytes(address)) != found:
                return Conflict(message, address=Address.from_bytes(address))
    for actor, _ in credited:
        if tree.get_actor(ActorID(actor)) is None:
            return Conflict(message, ActorID(actor), ("existence",))
    return None


def _conflict_at(message: int, actor: ActorID, before: PackedActor | None, now: PackedActor | None) -> Conflict:
    if before is None or now is None:
        return Conflict(message, actor, ("existence",))
    fields = tuple(name for name, one, other in zip(_FIELDS, before, now, strict=True) if one != other)
    (code, head, *_), (other_code, other_head, *_) = before, now
    if code != other_code or head == other_head:
        return Conflict(message, actor, fields)
    return Conflict(message, actor, fields, code=Cid(code), heads=(Cid(head), Cid(other_head)))


@dataclass(slots=True)
class Parallel:
    """Settings and statistics of parallel execution, over all blocks.

    `workers` counts processes, including this one. Raises InvalidInput for a number out of range, and if the system has
    no `fork`.
    """

    workers: int
    adaptive: bool = True
    """True if workers start only where a speedup is estimated, and this process waits for them only briefly.

    Otherwise they start with every block, and this process waits for their results, for comparisons with serial
    execution.
    """
    executes_share: bool = True
    """True if this process executes a share of messages; otherwise it only re-executes those with conflicts."""
    blocks: int = 0
    """Number of blocks for which workers were started."""
    accepted: int = 0
    """Number of messages whose speculative results were accepted."""
    reexecuted: int = 0
    """Number of messages re-executed because of a conflict or a worker's failure."""
    conflicts: list[Conflict] = field(default_factory=list)
    """Conflicts of the current or last block."""
    conflicted: int = 0
    """Number of conflicts in all blocks."""

    def __post_init__(self) -> None:
        whole_number(self.workers, "a number of workers", None)
        if not 1 <= self.workers <= MAX_WORKERS:
            raise InvalidInput(f"{self.workers} workers are out of range: expected 1 to {MAX_WORKERS}")
        if self.workers > 1 and not hasattr(os, "fork"):
            raise InvalidInput(
                f"{sys.platform} does not support fork, which parallel execution needs; omit the number of workers"
            )

    def record(self) -> dict[str, Any]:
        """Return the statistics as a JSON object for the command line, with the conflicts of the last block."""
        return {
            "workers": self.workers,
            "taken": self.accepted,
            "conflicts": [conflict.record() for conflict in self.conflicts],
            "executed_again": self.reexecuted,
        }


@dataclass(frozen=True, slots=True)
class BlockMessage:
    """A message of a block: a function that applies it, its sender and receiver, and whether it transfers value."""

    apply: Callable[[], ApplyResult]
    sender: Address
    to: Address | None
    pays: bool = False


def can_run_in_parallel(machine: MachineState) -> bool:
    """Return True if workers can observe all effects of messages on this machine.

    False under Ethereum's rules, whose session holds the state; with a step tracer, an interceptor or actor logs; if
    actors may open unreachable blocks (network versions before 21) or install code; and if actor IDs come from another
    network.
    """
    rules = machine.context.network.rules
    return (
        machine.context.rules != ETHEREUM
        and with_steps(machine.tracer) is None
        and machine.interceptor is None
        and not machine.actor_debugging
        and machine.state_tree.origin is None
        and rules.tracks_links
        and not rules.installs_code
    )


class ParallelBlock:
    """Executes a block's messages with workers. A context manager, which ends the workers on exit."""

    def __init__(self, machine: MachineState, messages: Sequence[BlockMessage], parallel: Parallel) -> None:
        self._machine, self._messages, self._parallel = machine, messages, parallel
        self._owners: dict[int, _Worker] = {}
        self._collects_again = False
        self._started, self._base_root = monotonic(), machine.state_tree.flushed_root
        self._lost = 0.0
        """Seconds spent waiting for workers; unless adaptive, of those that returned no result."""
        self._measured, self._measured_at = 0.0, 0
        """Processor time of this process when the message `_measured_at` began."""
        self._next_estimate = len(messages)
        """Number of the message before which the time of the others is estimated."""
        parallel.conflicts = []

    def __enter__(self) -> ParallelBlock:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self) -> None:
        """Start workers, or, if they are adaptive, plan to estimate whether that pays off."""
        if self._parallel.workers == 1 or not can_run_in_parallel(self._machine):
            return
        if self._parallel.adaptive:
            self._next_estimate = MIN_MESSAGES // 2
        else:
            self._start_workers(0)

    def _estimate(self, number: int) -> None:
        """Start workers before this message if the others are estimated to take long enough.

        Estimates follow each other at twice the distance. Each is made of the messages since the last one; those before
        the first one, which load what the others use, are not counted.
        """
        now = process_time()
        if self._measured_at:
            mean = (now - self._measured) / (number - self._measured_at)
            if mean * (len(self._messages) - number) >= _MIN_REMAINING_SECONDS:
                self._next_estimate = len(self._messages)
                self._start_workers(number)
                return
        self._measured, self._measured_at, self._next_estimate = now, number, 2 * number

    def _start_workers(self, first: int) -> None:
        executes_share = self._parallel.executes_share
        shares = shares_of(self._messages[first:], self._parallel.workers - (not executes_share))[executes_share:]
        self._started, self._base_root = monotonic(), self._machine.state_tree.flushed_root
        self._collects_again = gc.isenabled()
        gc.disable()  # a collection writes to all objects, which would copy the shared pages
        try:
            for share in filter(None, shares):
                self._start([first + number for number in share])
        except BaseException:
            self.end()
            raise
        self._parallel.blocks += bool(self._owners)

    def end(self) -> None:
        for worker in set(self._owners.values()):
            worker.end()
        if self._collects_again:
            gc.enable()

    def _start(self, share: list[int]) -> None:
        _reap()
        with ExitStack() as undo:
            try:
                records = undo.enter_context(TemporaryFile())
                read, write = os.pipe()
                undo.callback(os.close, read)
                undo.callback(os.close, write)
                process = _fork()
            except OSError:  # no files or processes are available: execute the messages here
                return
            undo.pop_all()  # owned by the worker from here on
        if process == 0:
            os.close(read)
            _run_worker(self._machine, self._messages, share, records.fileno(), write)
        os.close(write)
        worker = _Worker(process, records, read)
        self._owners |= dict.fromkeys(share, worker)

    def apply(self, number: int) -> ApplyResult:
        """Apply the message with this number, whose turn it is, and return its result. Raises its errors."""
        if number >= self._next_estimate:
            self._estimate(number)
        worker = self._owners.get(number)
        if worker is None:
            return self._messages[number].apply()
        done = self._take_result(worker, number)
        self._machine.store.put_many((Cid(cid), data) for cid, data in worker.blocks())
        if done is not None:
            conflict = _conflict_of(number, self._machine.state_tree, self._base_root, done.effects)
            if conflict is None:
                return self._accept(worker, done)
            worker.conflicts += 1
            self._parallel.conflicts.append(conflict)
            self._parallel.conflicted += 1
            if worker.conflicts >= _MIN_CONFLICTS and worker.conflicts > worker.accepted:
                worker.end()
        self._parallel.reexecuted += 1
        return self._messages[number].apply()

    def _take_result(self, worker: _Worker, number: int) -> _WorkerResult | None:
        """Return the result of a message that a worker executed, or None if there is none in time."""
        started = monotonic()
        if self._parallel.adaptive:  # a worker that is late gets ahead while this process executes the message
            done = worker.take_result(number, max(0.0, _MAX_WAIT_FRACTION * (started - self._started) - self._lost))
            self._lost += monotonic() - started
            return done
        done = worker.take_result(number, _MAX_WAIT_SECONDS + 2 * (started - self._started) - 3 * self._lost)
        if done is None:
            self._lost += monotonic() - started
            worker.end()
        return done

    def _accept(self, worker: _Worker, done: _WorkerResult) -> ApplyResult:
        tree = self._machine.state_tree
        tree.begin()
        apply_effects(tree, done.effects)
        tree.commit()
        tracer = self._machine.tracer
        if tracer is not None:
            for event in done.events():
                tracer.event(event)
        worker.accepted += 1
        self._parallel.accepted += 1
        return unpacked_result(done.result)


def shares_of(messages: Sequence[BlockMessage], workers: int) -> list[list[int]]:
    """Return the message numbers for each process; the first share is this process's, others may be empty.

    Messages of one sender stay together, those that pay one receiver, and others to one receiver unless a share would
    become much too large. The shares are interleaved over the block, so that a worker with only conflicts is detected
    early.
    """
    size = -(-len(messages) // workers)
    groups = _groups([(message.sender, message.to) for message in messages])
    if max(map(len, groups), default=0) > size + size // 4:
        groups = _groups([(message.sender, message.to if message.pays else None) for message in messages])
    shares: list[list[int]] = [[] for _ in range(workers)]
    for group in groups:
        min(shares, key=len).extend(group)
    return [sorted(share) for share in shares]


def _groups(keys: Sequence[tuple[Hashable | None, ...]]) -> list[list[int]]:
    """Return groups of numbers that share a key, directly or transitively, in the order of their first members."""
    parents = list(range(len(keys)))

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = number = parents[parents[number]]
        return number

    first: dict[Hashable, int] = {}
    for number, own in enumerate(keys):
        for key in own:
            if key is not None:
                one, other = sorted((root(first.setdefault(key, number)), root(number)))
                parents[other] = one
    groups: dict[int, list[int]] = {}
    for number in range(len(keys)):
        groups.setdefault(root(number), []).append(number)
    return list(groups.values())


# --- inter-process communication --------------------------------------------------------------------------------------
#
# A worker writes a record for each message to an unnamed file shared by both processes: the length (8 bytes), then
# (number, blocks, effects, result, events) in `marshal` format, without the last three if it has no result. It writes a
# byte to a pipe for each record, and closes the pipe at its end.

_LENGTH: Final = 8


@dataclass(frozen=True, slots=True)
class _WorkerResult:
    """A message executed by a worker."""

    effects: PackedEffects
    result: PackedResult
    pickled: bytes

    def events(self) -> list[TraceEvent]:
        events: list[TraceEvent] = pickle.loads(self.pickled) if self.pickled else []  # noqa: S301  # our own data
        return events


class _Worker:
    """A worker process, as seen from the main process."""

    def __init__(self, process: int, records: BinaryIO, pipe: int) -> None:
        self._process, self._records, self._pipe = process, records, pipe
        self._offset = 0
        self._results: dict[int, _WorkerResult | None] = {}
        self._blocks: list[tuple[bytes, bytes]] = []
        self._is_alive = True
        self.accepted = self.conflicts = 0

    def take_result(self, number: int, timeout: float) -> _WorkerResult | None:
        """Return the worker's result for a message; None if it has none within `timeout` seconds."""
        deadline = monotonic() + timeout
        while number not in self._results:
            if not self._is_alive or not self._read(max(0.0, deadline - monotonic())):
                return None
        return self._results.pop(number)

    def blocks(self) -> list[tuple[bytes, bytes]]:
        """Return the blocks received since the last call, for all its messages, since later ones may depend on them."""
        blocks, self._blocks = self._blocks, []
        return blocks

    def _read(self, seconds: float) -> bool:
        """Read the available records, waiting for the first; return False if there will be none."""
        waiting = select.poll()  # `select` does not support descriptors above 1,023
        waiting.register(self._pipe, select.POLLIN)
        if not waiting.poll(seconds * 1_000):
            return False
        ready = len(os.read(self._pipe, 1 << 16))
        for _ in range(ready):
            length = int.from_bytes(os.pread(self._records.fileno(), _LENGTH, self._offset), "little")
            record = marshal.loads(os.pread(self._records.fileno(), length, self._offset + _LENGTH))  # noqa: S302  # written by our worker
            self._offset += _LENGTH + length
            number, blocks, *done = record
            self._blocks += blocks
            self._results[number] = _WorkerResult(*done) if done else None
        if not ready:
            self.end()
        return ready > 0

    def end(self) -> None:
        if self._is_alive:
            self._is_alive = False
            with suppress(ProcessLookupError):
                os.kill(self._process, signal.SIGKILL)
            os.close(self._pipe)
            self._records.close()
            self._results.clear()
            _ENDED.add(self._process)


_ENDED: Final[set[int]] = set()
"""Killed workers that are not reaped yet, since waiting for their end would take milliseconds."""


def has_ended_workers() -> bool:
    """Return True if killed workers of this process are not reaped yet."""
    _reap()
    return bool(_ENDED)


def _reap() -> None:
    for process in tuple(_ENDED):
        try:
            ended, _ = os.waitpid(process, os.WNOHANG)
        except ChildProcessError:  # reaped by other code of this process
            ended = process
        if ended:
            _ENDED.discard(process)


def _fork() -> int:
    """Fork; the child does not run the signal handlers of the program."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS_BLOCKED_IN_WORKERS)
    process = -1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the parent limits how long it waits
            process = os.fork()
    finally:
        if process == 0:
            _ENDED.clear()
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and ends this process
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return process


def _run_worker(
    machine: MachineState, messages: Sequence[BlockMessage], share: Sequence[int], records: int, pipe: int
) -> NoReturn:
    """Run a worker and exit without running handlers, buffers or destructors of the parent."""
    status = 1
    try:
        gc.disable()
        _close_sockets(pipe)
        machine.state_tree = tree = RecordingTree(machine.state_tree)
        machine.externs = WatchedExterns(machine.externs, tree)
        machine.stacks.on_one_thread(lambda: _execute(machine, tree, messages, share, records, pipe))
        status = 0
    finally:
        os._exit(status)


def _close_sockets(keep: int) -> None:
    """Close inherited sockets, so that connections end when the parent closes them."""
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):
            if int(name) != keep and stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                os.close(int(name))


def _execute(
    machine: MachineState,
    tree: RecordingTree,
    messages: Sequence[BlockMessage],
    share: Sequence[int],
    records: int,
    pipe: int,
) -> None:
    recorder = machine.tracer = None if machine.tracer is None else Recorder()
    offset, sent = 0, len(machine.store.pending)
    for number in share:
        tree.start()
        if recorder is not None:
            recorder.events.clear()
        done: tuple[Any, ...] = ()
        try:
            result = messages[number].apply()
            if result.fatal is None and not tree.must_reexecute:
                done = (
                    tree.effects(),
                    packed_result(result),
                    b"" if recorder is None else _pickle_events(recorder.events),
                )
        except Exception:  # noqa: BLE001, S110  # the parent gets the same error when it executes the message
            pass
        blocks = list(_newest(machine.store.pending, sent))
        sent += len(blocks)
        record = marshal.dumps((number, blocks, *done))
        written = os.pwrite(records, len(record).to_bytes(_LENGTH, "little") + record, offset)
        if written != _LENGTH + len(record):
            raise OSError("no space left for a worker's record")
        offset += written
        os.write(pipe, b"\x01")


def _newest(pending: dict[Cid, bytes], sent: int) -> Iterator[tuple[bytes, bytes]]:
    """Iterate over the blocks after the first `sent` ones, in insertion order."""
    newest = reversed(pending)
    for cid in [next(newest) for _ in range(len(pending) - sent)][::-1]:
        yield cid, pending[cid]


def _pickle_events(events: Sequence[TraceEvent]) -> bytes:
    """Pickle the events for a tracer, without guest memory, which no longer exists."""
    return pickle.dumps(
        [replace(event, memory=None) if isinstance(event, SyscallEntered) else event for event in events]
    )
