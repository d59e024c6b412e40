"""Corpus of inputs that reached new edges, in memory and in files of forge's format.

With `corpus_dir` a fuzz or invariant test first runs the inputs in its folder; then most of its inputs are mutations of
corpus inputs. The seed and the folder's inputs determine every run. Keys and defaults: the Foundry book.

A file, `<corpus_dir>/<contract>/<test>/worker0/corpus/<uuid>-<seconds>.json`, is a list of calls: one for a fuzz test,
a sequence for an invariant test. With `corpus_gzip`, files above 4 KiB are compressed and end with `.gz`. The folders
of all workers are read, sorted by file name; names are derived from the content. Files with other names are ignored;
damaged ones are skipped with a notice.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from random import Random
from time import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar
from uuid import UUID

from hypervisor.errors import InvalidInput
from hypervisor.installation import read_bounded
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.profile import ProfileRecorder, cover_actors
from hypervisor.text import printable
from hypervisor.tracing import with_steps
from hypervisor_tools.soltest.cheatcodes.hooks.interceptor import Cheatcodes
from hypervisor_tools.soltest.execution.executor import RawCallResult, is_rejected
from hypervisor_tools.soltest.execution.results import read_delay
from hypervisor_tools.soltest.fuzz.edges import EdgeMap, EdgeTracer, JumpCoverage
from hypervisor_tools.soltest.fuzz.stored_failures import StoredCall, bare_name, hex_bytes, write_corpus_file
from hypervisor_tools.soltest.project.project import CorpusSettings
from store.untrusted import parse_json

if TYPE_CHECKING:
    from hypervisor_tools.soltest.execution.executor import TestExecutor

INPUT_MUTATION_SHARE: Final = 0.7
"""Share of a fuzz test's inputs that are mutations of corpus inputs."""
SEQUENCE_MUTATION_SHARE: Final = 0.3
"""Share of invariant sequences that are mutations; other sequences may start with calls that reached a new state."""
_NEWEST: Final = 0.5
"""Probability of choosing the newest input, which usually reaches deepest."""
_MAX_INPUTS: Final = 1024
"""Maximum number of inputs in memory, unless `corpus_min_size` is larger."""

_MAX_PATHS: Final = 1 << 16
"""Maximum number of summaries of calls."""
_REASON_BYTES: Final = 36
"""Size in bytes of the revert data in a summary: a selector and a word, such as the code of a panic."""

Input = TypeVar("Input")


@dataclass(slots=True)
class CorpusInput(Generic[Input]):
    """An input, and its number of mutations since one last reached something new."""

    input: Input
    changes: int = 0


@dataclass(slots=True)
class Corpus(Generic[Input]):
    """The corpus of one test. `write` stores an input on disk."""

    settings: CorpusSettings
    machine: Hypervisor
    share: float
    """Share of inputs that are mutations of the corpus."""
    write: Callable[[Input], None]
    cheatcodes: Cheatcodes
    jumps: JumpCoverage | None = None
    """Coverage of recorded jumps, which is used instead of traced edges."""
    edges: EdgeMap = field(default_factory=EdgeMap)
    actors: ProfileRecorder | None = None
    """Recorder of the executed blocks of native actors."""
    _growths: int = 0
    """Number of growths of these blocks at the last check."""
    _inputs: list[CorpusInput[Input]] = field(default_factory=list)
    _tracer: EdgeTracer | None = None
    _paths: set[Hashable] = field(default_factory=set)
    """Summaries of calls that were traced (`should_trace`)."""
    _has_new_jumps: bool = False
    _repeatable: set[Hashable] = field(default_factory=set)
    """Functions whose calls have had no effects outside the machine, and so can be repeated."""

    @classmethod
    def of(
        cls, settings: CorpusSettings, executor: TestExecutor, share: float, write: Callable[[Input], None]
    ) -> Corpus[Input]:
        """Return an empty corpus for calls on an executor.

        Jumps are recorded only in calls whose instructions are not traced: not with shown edges.
        """
        machine, contracts = executor.machine, executor.cheatcodes.settings.contracts
        is_traced = settings.show_edge_coverage or with_steps(machine.tracer) is not None
        jumps = None if is_traced else JumpCoverage.of(machine, contracts)
        actors = None if settings.corpus_dir is None else cover_actors(machine, built_in=True)
        if actors is not None:
            actors.blocks.clear()  # those of an earlier test
        growths = 0 if actors is None else actors.growths
        return cls(settings, machine, share, write, executor.cheatcodes, jumps, actors=actors, _growths=growths)

    @property
    def stores_inputs(self) -> bool:
        """True if inputs are stored; otherwise edges are only counted."""
        return self.settings.corpus_dir is not None

    def __len__(self) -> int:
        return len(self._inputs)

    def tracing(self) -> AbstractContextManager[None]:
        """Trace executed instructions, in addition to the machine's current tracer."""
        if self._tracer is None:
            self._tracer = EdgeTracer(self.cheatcodes.settings.contracts, self.machine.tracer)
        return self.machine.traced(self._tracer)

    def trace(
        self, function: Hashable, call: Callable[[], RawCallResult], undo: Callable[[], None] = lambda: None
    ) -> RawCallResult:
        """Execute a call of a function, and record its edges if they may be new; return its outcome.

        If jumps are recorded, which only a session does, the call runs once, without a tracer. Otherwise it runs
        without a tracer first. If it is to be traced, `undo` restores the state, and the call is repeated. The first
        call of a function is traced at once, because it could have effects outside the machine, such as those of
        `vm.ffi`. Once a call of a function had any, each further one is traced at once.
        """
        if self.jumps is not None:
            self.jumps.begin_call()
            outcome = call()
            log = self.jumps.take()
            if not log:
                self.jumps = None  # the call left the session: further ones are traced
            elif not is_rejected(outcome) and self.jumps.add(log):
                self._has_new_jumps = True
            return outcome
        before = self.cheatcodes.outside_calls
        if function not in self._repeatable:
            with self.tracing():
                outcome = call()
            if not is_rejected(outcome) and self.cheatcodes.outside_calls == before:
                self._repeatable.add(function)
                self.should_trace(function, outcome)
            return outcome
        outcome = call()
        if self.cheatcodes.outside_calls != before:
            self._repeatable.remove(function)
            return outcome
        if is_rejected(outcome) or not self.should_trace(function, outcome):
            return outcome
        undo()
        with self.tracing():
            return call()

    def should_trace(self, function: Hashable, outcome: RawCallResult) -> bool:
        """Return True if the call is to be traced, and record its summary.

        Calls with the same result and gas have almost always executed the same edges. Tracing takes several times as
        long as the call itself, so a call is executed without a tracer first.
        """
        end = len(outcome.output) if outcome.success else outcome.output[:_REASON_BYTES]
        path = function, outcome.success, outcome.execution_gas, len(outcome.logs), end
        if path in self._paths:
            return False
        if len(self._paths) >= _MAX_PATHS:
            self._paths.clear()
        self._paths.add(path)
        return True

    def reached_new_edges(self) -> bool:
        """Return True if calls since the last check reached new edges or pairs of jumps, or new blocks of actors."""
        in_actors = self._take_growths()
        if self.jumps is not None:
            found, self._has_new_jumps = self._has_new_jumps, False
            return found or in_actors
        return (self._tracer is not None and self.edges.add(self._tracer.take_edges())) or in_actors

    def discard_edges(self) -> None:
        """Discard the calls since the last check."""
        self._take_growths()
        if self._tracer is not None:
            self._tracer.take_edges()

    def _take_growths(self) -> bool:
        before = self._growths
        self._growths = 0 if self.actors is None else self.actors.growths
        return self._growths != before

    def add(self, input_: Input, of: CorpusInput[Input] | None = None, *, written: bool = True) -> None:
        """Add an input that reached something new; `of` is the input that it was mutated from."""
        if not self.stores_inputs:
            return
        if of is not None:
            of.changes = 0
        if len(self._inputs) >= max(_MAX_INPUTS, self.settings.corpus_min_size):
            self._evict_one()
        self._inputs.append(CorpusInput(input_))
        if written:
            self.write(input_)

    def choose(self, rng: Random) -> CorpusInput[Input] | None:
        """Return an input to mutate, or None if the run needs a fresh one or the corpus is empty."""
        if not self._inputs or rng.random() >= self.share:
            return None
        found = self._inputs[-1] if rng.random() < _NEWEST else rng.choice(self._inputs)
        found.changes += 1
        return found

    def figures(self) -> tuple[int, int, int] | None:
        """Return the numbers of edges, edge features and inputs, or None if they are not shown."""
        shown = self.settings.show_edge_coverage
        return (len(self.edges.seen), self.edges.features, len(self._inputs)) if shown else None

    def other(self, rng: Random) -> Input:
        """Return a random input. The corpus must not be empty."""
        return rng.choice(self._inputs).input

    def _evict_one(self) -> None:
        """Remove the oldest input with enough unsuccessful mutations, otherwise the oldest input."""
        enough = self.settings.corpus_min_mutations
        del self._inputs[next((at for at, one in enumerate(self._inputs) if one.changes >= enough), 0)]


_MAX_REPEATS: Final = 8

Step = TypeVar("Step")


def mutate_sequence(
    rng: Random, one: Sequence[Step], other: Sequence[Step], change: Callable[[Step], Step], depth: int
) -> list[Step]:
    """Return a mutation of two sequences: spliced, mixed, with a step repeated or changed, or truncated.

    It has at most `depth` steps; the caller draws the remaining ones.
    """
    choice, index = rng.randrange(6), rng.randrange(len(one))
    if choice == 0:
        found = [*one[: index + 1], *other[rng.randrange(len(other)) :]]
    elif choice == 1:
        found = [*one[:index], *[one[index]] * rng.randint(2, _MAX_REPEATS), *one[index + 1 :]]
    elif choice == 2:
        found = [rng.choice(pair) for pair in zip(one, other, strict=False)]
    elif choice == 3:
        found = list(one[: index + 1])
    else:
        found = [*one[:index], change(one[index]), *one[index + 1 :]]
    return found[:depth]


_MAX_SIZE: Final = 16 << 20
"""Maximum size of a file in bytes, compressed or not."""
_MAX_FILES: Final = 65_536
"""Maximum number of files read for a test."""
_MAX_NOTICES: Final = 10
"""Maximum number of notices about damaged files of a test."""
_MAX_PATH: Final = 4096
"""Maximum number of characters of a path in a notice."""
_COMPRESSED: Final = 4 << 10
"""Size in bytes above which a file is compressed, as in forge."""
_FILE: Final = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-\d{1,20}\.json(?:\.gz)?", re.IGNORECASE)


StoreFile = Callable[[Path, bytes], None]


class CorpusFolder:
    """The corpus files of one test."""

    def __init__(
        self, root: Path, settings: CorpusSettings, contract: str, signature: str, store: StoreFile | None = None
    ) -> None:
        """Locate the folder: `corpus_dir` is relative to `root`. Without `corpus_dir` nothing is read or written.

        `store` is called with the path below `root` and the content of each new file, which is not written then, and
        without content for a superfluous one.
        """
        self._root = root
        self._store = store
        self._current: Path | None = None
        folder = settings.corpus_dir
        self._folder = None if folder is None else root / folder / contract / bare_name(signature)
        self._compresses = settings.corpus_gzip
        self._names: set[str] = set()
        self._damaged: list[tuple[Path, str]] = []

    @property
    def notices(self) -> tuple[str, ...]:
        """A notice for each damaged file that `read` has skipped, with the file, the defect and the remedy."""
        found = [
            f"the corpus file {printable(str(file), _MAX_PATH)} is skipped: {defect}; repair or remove it"
            for file, defect in self._damaged[:_MAX_NOTICES]
        ]
        rest = len(self._damaged) - len(found)
        return (*found, f"{rest:,} more corpus files in {self._folder} are damaged") if rest else tuple(found)

    def read(self) -> Iterator[tuple[StoredCall, ...]]:
        """Yield the stored inputs in the order of their file names; duplicates of a name are skipped."""
        if self._folder is None:
            return
        files: dict[str, Path] = {}
        places = [self._folder, *sorted(self._folder.glob("worker*/corpus"))]
        for file in (file for path in places for file in sorted(path.glob("*.json*"))):
            found = _FILE.fullmatch(file.name)
            if found is not None and file.is_file() and not file.is_symlink():
                files.setdefault(found[1].lower(), file)
        for name in sorted(files)[:_MAX_FILES]:
            try:
                calls = _calls(files[name])
            except InvalidInput as defect:
                self._damaged.append((files[name], str(defect)))
                continue
            self._names.add(name)
            self._current = files[name]
            yield calls

    def drop(self) -> None:
        """Report the file that `read` yielded last as superfluous: it reached nothing new."""
        if self._store is not None and self._current is not None:
            self._store(self._current.relative_to(self._root), b"")

    def write(self, calls: Sequence[StoredCall]) -> None:
        """Write an input. Raises InvalidInput if the file cannot be written."""
        rows = [_row(call) for call in calls]
        content = json.dumps(rows, separators=(",", ":")).encode()
        name = str(UUID(bytes=sha256(content).digest()[:16], version=4))
        if name in self._names or self._folder is None:
            return
        self._names.add(name)
        is_long = self._compresses and len(content) > _COMPRESSED
        path = self._folder / "worker0" / "corpus" / f"{name}-{int(time())}.json{'.gz' if is_long else ''}"
        data = gzip.compress(content, mtime=0) if is_long else content
        if self._store is None:
            write_corpus_file(self._root, path, data)
        else:
            self._store(path.relative_to(self._root), data)


def _calls(file: Path) -> tuple[StoredCall, ...]:
    """Return the calls of a file. Raises InvalidInput with its defect."""
    content = _content(file)
    try:
        rows = parse_json(content)
    except ValueError:
        raise InvalidInput("it is not valid JSON") from None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise InvalidInput("it is not a list of calls")
    found = []
    for number, row in enumerate(rows, 1):
        sender, target, calldata = (hex_bytes(row.get(name)) for name in ("sender", "target", "calldata"))
        if sender is None or len(sender) != 20:
            raise InvalidInput(f"`sender` of call {number} is not an address of 20 bytes in hex")
        if target is None or len(target) != 20:
            raise InvalidInput(f"`target` of call {number} is not an address of 20 bytes in hex")
        if calldata is None:
            raise InvalidInput(f"`calldata` of call {number} is not bytes in hex")
        delay = read_delay(row)
        if delay is None:
            raise InvalidInput(f"`warp` or `roll` of call {number} is not a number below 2^64 in hex")
        found.append(StoredCall(sender, target, calldata, delay))
    return tuple(found)


def _content(file: Path) -> bytes:
    """Return a file's content, decompressed. Raises InvalidInput."""
    content = read_bounded(file, _MAX_SIZE, "the file")
    if file.suffix.lower() != ".gz":
        return content
    try:
        with gzip.GzipFile(fileobj=BytesIO(content)) as packed:
            return packed.read(_MAX_SIZE)
    except (OSError, EOFError, zlib.error):
        raise InvalidInput("it is not a valid gzip file") from None


def _row(call: StoredCall) -> dict[str, str]:
    parts = {"sender": call.sender, "target": call.address, "calldata": call.calldata}
    delays = {name: text for name, text in call.delay.forge_json().items() if text is not None}
    return delays | {name: f"0x{data.hex()}" for name, data in parts.items()}
