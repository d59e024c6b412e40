"""The messages of a block on several cores: worker processes execute some before their turn.

The process that has the machine executes the messages in order. Its workers are copies of it (`fork`: the state, its
store and the compiled modules are shared until somebody writes), which execute the other messages meanwhile, each on
what its own ones before have left, and keep nothing. When such a message's turn comes, its effects are taken over if
all that it read is still as it was (`hypervisor.speculation`); else it is executed here, as if there had been no
worker. So is what a worker cannot tell: an error, a worker that died or takes too long. The result is that of serial
execution, whatever the workers do.

Messages of one sender follow each other, so they have one worker, and those to one receiver where that leaves enough
for the others. Processes, not threads: Python runs one thread at a time, and for builds that do not, RocksDB's and
coincurve's bindings have no wheels (docs/parallel-execution.md).
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
from dataclasses import dataclass, field, fields, is_dataclass, replace
from io import BytesIO
from tempfile import TemporaryFile
from time import monotonic
from typing import Any, BinaryIO, Final, NoReturn

from hypervisor.address import Address
from hypervisor.argument_checks import whole_number
from hypervisor.errors import InvalidInput
from hypervisor.executor import ApplyResult
from hypervisor.machine_state import MachineState
from hypervisor.speculation import (
    Conflict,
    PackedEffects,
    PackedResult,
    RecordingTree,
    WatchedExterns,
    conflict_of,
    packed_result,
    take_over,
    unpacked_result,
)
from hypervisor.tracing import Recorder, StepTracer, SyscallEntered, TraceEvent
from store.cid import Cid

MOST_WORKERS: Final = 256
FEWEST_MESSAGES: Final = 8
"""The least messages of a block that is worth a fork, which takes as long as some messages do."""

_PATIENCE: Final = 1.0
"""Seconds of a block that are waited for nothing, besides twice what it has taken without them."""
_TRIED: Final = 8
"""Conflicts after which a worker is ended that has more of them than successes."""
_SIGNALS_BLOCKED_IN_WORKERS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class Parallel:
    """That blocks are to be executed in parallel, and what came of it, over all blocks.

    `workers` counts processes, this one included. Raises InvalidInput for a number that cannot be, and where the system
    has no `fork`.
    """

    workers: int
    fewest: int = FEWEST_MESSAGES
    """A block of fewer messages is executed serially."""
    takes_part: bool = True
    """Whether this process executes messages of its own; else the others execute all, and it again what conflicts."""
    blocks: int = 0
    """Blocks for which workers were started."""
    taken: int = 0
    """Messages whose effects a worker had."""
    again: int = 0
    """Messages that were executed again, for a conflict or because their worker could not tell."""
    conflicts: list[Conflict] = field(default_factory=list)
    """Of the block that is executed, or was last."""
    conflicted: int = 0
    """Conflicts of all blocks."""

    def __post_init__(self) -> None:
        whole_number(self.workers, "a number of workers", None)
        if not 1 <= self.workers <= MOST_WORKERS:
            raise InvalidInput(f"{self.workers} workers for a block: expected 1 to {MOST_WORKERS}")
        if self.workers > 1 and not hasattr(os, "fork"):
            raise InvalidInput(f"{sys.platform} has no fork, so blocks are executed serially there: leave it out")

    def record(self) -> dict[str, Any]:
        """What came of it, as one JSON object of the command line's contract; conflicts of the last block."""
        return {
            "workers": self.workers,
            "taken": self.taken,
            "conflicts": [conflict.record() for conflict in self.conflicts],
            "executed_again": self.again,
        }


@dataclass(frozen=True, slots=True)
class BlockMessage:
    """A message of a block: what applies it to the machine, whom it is from and to, and whether it brings money."""

    apply: Callable[[], ApplyResult]
    sender: Address
    to: Address | None
    pays: bool = False


def may_run_beside(machine: MachineState) -> bool:
    """Whether workers can tell all that messages do on this machine.

    Not where somebody looks at each step or answers in an actor's place, where actors log, or may open blocks that
    their state does not lead to (network versions before 21), or may install code; nor where actors get their IDs as
    they are asked of another network.
    """
    rules = machine.context.network.rules
    return (
        not isinstance(machine.tracer, StepTracer)
        and machine.interceptor is None
        and not machine.actor_debugging
        and machine.state_tree.origin is None
        and rules.tracks_links
        and not rules.installs_code
    )


class ParallelBlock:
    """The messages of a block, of which workers execute some. Use it as a context: it ends its workers."""

    def __init__(self, machine: MachineState, messages: Sequence[BlockMessage], parallel: Parallel) -> None:
        self._machine, self._messages, self._parallel = machine, messages, parallel
        self._owners: dict[int, _Worker] = {}
        self._collects_again = False
        self._began, self._begun = monotonic(), machine.state_tree.flushed_root
        self._lost = 0.0
        """Seconds of waiting for workers that had nothing to tell."""
        parallel.conflicts = []

    def __enter__(self) -> ParallelBlock:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self) -> None:
        """Start workers, where the block is worth it."""
        if (
            self._parallel.workers > 1
            and len(self._messages) >= self._parallel.fewest
            and may_run_beside(self._machine)
        ):
            takes_part = self._parallel.takes_part
            shares = shares_of(self._messages, self._parallel.workers - (not takes_part))[takes_part:]
            self._collects_again = gc.isenabled()
            gc.disable()  # to look for garbage writes to all that is looked at, and what is written to is copied
            try:
                for share in filter(None, shares):
                    self._start(share)
            except BaseException:
                self.end()
                raise
            self._parallel.blocks += bool(self._owners)

    def end(self) -> None:
        """End them."""
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
                process = _forked()
            except OSError:  # no more files or processes: this one does it
                return
            undo.pop_all()  # the worker's until it has ended
        if process == 0:
            os.close(read)
            _live(self._machine, self._messages, share, records.fileno(), write)
        os.close(write)
        worker = _Worker(process, records, read)
        self._owners |= dict.fromkeys(share, worker)

    def apply(self, number: int) -> ApplyResult:
        """The result of the message with this number, whose turn it is: it is applied now. Raises what it raises."""
        worker = self._owners.get(number)
        if worker is None:
            return self._messages[number].apply()
        asked = monotonic()
        done = worker.done(number, _PATIENCE + 2 * (asked - self._began) - 3 * self._lost)
        if done is None:
            self._lost += monotonic() - asked
        self._machine.store.put_many((Cid(cid), data) for cid, data in worker.blocks())
        if done is not None:
            conflict = conflict_of(number, self._machine.state_tree, self._begun, done.effects)
            if conflict is None:
                return self._take(worker, done)
            worker.conflicts += 1
            self._parallel.conflicts.append(conflict)
            self._parallel.conflicted += 1
            if worker.conflicts >= _TRIED and worker.conflicts > worker.taken:
                worker.end()
        self._parallel.again += 1
        return self._messages[number].apply()

    def _take(self, worker: _Worker, done: _Done) -> ApplyResult:
        tree = self._machine.state_tree
        tree.begin()
        take_over(tree, done.effects)
        tree.commit()
        tracer = self._machine.tracer
        if tracer is not None:
            for event in done.events():
                tracer.event(event)
        worker.taken += 1
        self._parallel.taken += 1
        return unpacked_result(done.result)


def shares_of(messages: Sequence[BlockMessage], workers: int) -> list[list[int]]:
    """Which messages each process executes, the first being the one that asks; the others may have none.

    Messages of one sender stay together, those that pay one receiver, and others to one receiver unless a process would
    get much more than its share for it. The shares go through the block side by side: so a worker that has nothing but
    conflicts is noticed early.
    """
    most = -(-len(messages) // workers)
    groups = _groups([(message.sender, message.to) for message in messages])
    if max(map(len, groups), default=0) > most + most // 4:
        groups = _groups([(message.sender, message.to if message.pays else None) for message in messages])
    shares: list[list[int]] = [[] for _ in range(workers)]
    for group in groups:
        min(shares, key=len).extend(group)
    return [sorted(share) for share in shares]


def _groups(keys: Sequence[tuple[Hashable | None, ...]]) -> list[list[int]]:
    """The numbers of what has a key in common, directly or by others; in the order of their first ones."""
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


# --- between the processes --------------------------------------------------------------------------------------------
#
# A worker writes a record for each message into a file that both have open and nobody else: eight bytes of length, then
# (number, blocks, effects, result, events) by `marshal`, without the last three where it cannot tell. A byte in a pipe
# says that there is one more; its end says that there will be none.

_LENGTH: Final = 8


@dataclass(frozen=True, slots=True)
class _Done:
    """A message that a worker has executed."""

    effects: PackedEffects
    result: PackedResult
    pickled: bytes

    def events(self) -> list[TraceEvent]:
        """What a tracer would have heard."""
        events: list[TraceEvent] = pickle.loads(self.pickled) if self.pickled else []  # noqa: S301  # our own process
        return events


class _Worker:
    """A worker, seen from the process that started it."""

    def __init__(self, process: int, records: BinaryIO, pipe: int) -> None:
        self._process, self._records, self._pipe = process, records, pipe
        self._offset = 0
        self._done: dict[int, _Done | None] = {}
        self._blocks: list[tuple[bytes, bytes]] = []
        self._is_alive = True
        self.taken = self.conflicts = 0

    def done(self, number: int, patience: float) -> _Done | None:
        """What the worker has done of a message; None where it cannot tell, or has not within N seconds."""
        deadline = monotonic() + patience
        while number not in self._done:
            if not self._is_alive or not self._read(max(0.0, deadline - monotonic())):
                self.end()
                return None
        return self._done.pop(number)

    def blocks(self) -> list[tuple[bytes, bytes]]:
        """The blocks that came since the last time, of all its messages: what comes later may stand on them."""
        blocks, self._blocks = self._blocks, []
        return blocks

    def _read(self, seconds: float) -> bool:
        """Read the records that are there, waiting for the first; False where there will be none."""
        waiting = select.poll()  # not `select`, which takes no descriptor above 1,023
        waiting.register(self._pipe, select.POLLIN)
        if not waiting.poll(seconds * 1_000):
            return False
        ready = len(os.read(self._pipe, 1 << 16))
        for _ in range(ready):
            length = int.from_bytes(os.pread(self._records.fileno(), _LENGTH, self._offset), "little")
            record = marshal.loads(os.pread(self._records.fileno(), length, self._offset + _LENGTH))  # noqa: S302
            self._offset += _LENGTH + length
            number, blocks, *done = record
            self._blocks += blocks
            self._done[number] = _Done(*done) if done else None
        return ready > 0

    def end(self) -> None:
        """Let it go, whatever it does."""
        if self._is_alive:
            self._is_alive = False
            with suppress(ProcessLookupError):
                os.kill(self._process, signal.SIGKILL)
            os.close(self._pipe)
            self._records.close()
            self._done.clear()
            _ENDED.add(self._process)


_ENDED: Final[set[int]] = set()
"""Workers that were let go: to wait until the system has taken one apart would take milliseconds."""


def has_ended_workers() -> bool:
    """Whether the system still takes workers of this process apart that were let go."""
    _reap()
    return bool(_ENDED)


def _reap() -> None:
    for process in tuple(_ENDED):
        try:
            ended, _ = os.waitpid(process, os.WNOHANG)
        except ChildProcessError:  # somebody waits for all children of this process
            ended = process
        if ended:
            _ENDED.discard(process)


def _forked() -> int:
    """As `os.fork`; the other process takes no signal that the programs around it have handlers for."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS_BLOCKED_IN_WORKERS)
    process = -1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # other threads: what a worker waits for ends, too
            process = os.fork()
    finally:
        if process == 0:
            _ENDED.clear()
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: it is for the others to end this one
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return process


def _live(
    machine: MachineState, messages: Sequence[BlockMessage], share: Sequence[int], records: int, pipe: int
) -> NoReturn:
    """A worker's life, after which there is nothing: no handler, no buffer and no destructor of the other process."""
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
    """Clients of the other process see a connection end when that one closes it; and none is asked twice at once."""
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
    offset, kept = 0, len(machine.store.pending)
    for number in share:
        tree.start()
        if recorder is not None:
            recorder.events.clear()
        done: tuple[Any, ...] = ()
        try:
            result = messages[number].apply()
            if result.fatal is None and not tree.is_blurred:
                done = tree.effects(), packed_result(result), b"" if recorder is None else _pickled(recorder.events)
        except Exception:  # noqa: BLE001, S110  # the process that asked meets it when it executes the message
            pass
        blocks = list(_newest(machine.store.pending, kept))
        kept += len(blocks)
        record = marshal.dumps((number, blocks, *done))
        written = os.pwrite(records, len(record).to_bytes(_LENGTH, "little") + record, offset)
        if written != _LENGTH + len(record):
            raise OSError("no room for what a worker has done")
        offset += written
        os.write(pipe, b"\x01")


def _newest(pending: dict[Cid, bytes], kept: int) -> Iterator[tuple[bytes, bytes]]:
    """The blocks after the first ones, in the order in which they came."""
    newest = reversed(pending)
    for cid in [next(newest) for _ in range(len(pending) - kept)][::-1]:
        yield cid, pending[cid]


class _EventPickler(pickle.Pickler):
    """Takes a dataclass as a call of its class: where that is compiled, no field can be set afterwards."""

    def reducer_override(self, value: Any) -> Any:
        if is_dataclass(value) and not isinstance(value, type):
            return type(value), tuple(getattr(value, each.name) for each in fields(value))
        return NotImplemented


def _pickled(events: Sequence[TraceEvent]) -> bytes:
    """What a tracer was to hear; without the memory of guests, which is gone."""
    written = BytesIO()
    _EventPickler(written).dump(
        [replace(event, memory=None) if isinstance(event, SyscallEntered) else event for event in events]
    )
    return written.getvalue()
