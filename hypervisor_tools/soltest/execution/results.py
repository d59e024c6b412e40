"""Results of tests and suites as plain data that is sent between processes, and the values and delays in them.

Delays pass between the calls of an invariant test's sequence (`max_time_delay`, `max_block_delay`). Rules: forge's.
Time and blocks pass before a call, also before one that reverts. If a call is removed from a failing sequence, its
delay is added to that of the next one. Values that a symbolic test creates with halmos' cheatcodes (`svm`) are stored
without z3, which this module does not import.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bridge.ethereum.addresses import EthAddress
from hypervisor.types import ChainEpoch

if TYPE_CHECKING:
    from bridge.filecoin.receipts import Log
    from hypervisor.machine.machine import Hypervisor

SVM: Final = EthAddress(bytes.fromhex("f3993a62377bcd56ae39d773740a5390411e8bc9"))
"""Address of halmos' cheatcodes."""


class CreatedValues(NamedTuple):
    """Values of a counterexample: return data of `svm` by calldata, in order; words of symbolic storage by slot."""

    answers: tuple[tuple[bytes, bytes], ...] = ()
    storage: tuple[tuple[EthAddress, int, int], ...] = ()
    text: str = ""
    """The values as `svm=[createUint256("amount")=5] storage=[0x1234…[0x0]=0x7]`; empty without values."""
    in_set_up: bool = False
    """True if `setUp` creates values, so that they are needed before it."""

    def by_calldata(self) -> dict[bytes, list[bytes]]:
        """Return the answers to each calldata, in order."""
        found: dict[bytes, list[bytes]] = {}
        for calldata, answer in self.answers:
            found.setdefault(calldata, []).append(answer)
        return found


_MAX: Final = (1 << 64) - 1
"""Maximum delay in a file, and maximum timestamp and block number that delays lead to."""
_HEX: Final = re.compile("0x[0-9a-fA-F]{1,16}")


class BlockDelay(NamedTuple):
    """Seconds and blocks that pass before a call."""

    seconds: int = 0
    blocks: int = 0

    def plus(self, others: Sequence[BlockDelay]) -> BlockDelay:
        """Return the sum of this delay and others, with each part at most 2^64 - 1, the maximum in a file."""
        return BlockDelay(*(min(sum(parts), _MAX) for parts in zip(self, *others, strict=True)))

    def forge_json(self) -> dict[str, str | None]:
        """Return the delay in forge's format; parts that are 0 are null."""
        return {name: hex(value) if value else None for name, value in zip(_NAMES, self, strict=True)}

    def text(self) -> str:
        """Return ` warp=5 roll=2`, without parts that are 0."""
        return "".join(f" {name}={value}" for name, value in zip(_NAMES, self, strict=True) if value)


_NAMES: Final = ("warp", "roll")
NO_DELAY: Final = BlockDelay()


def read_delay(row: Mapping[str, Any]) -> BlockDelay | None:
    """Return the delay of a call in forge's format, or None if it is not valid."""
    found = []
    for name in _NAMES:
        text = row.get(name)
        if text is None:
            text = "0x0"
        if not isinstance(text, str) or not _HEX.fullmatch(text):
            return None
        found.append(int(text, 16))
    return BlockDelay(*found)


def apply_delay(machine: Hypervisor, delay: BlockDelay) -> None:
    """Increase the block's timestamp and number by a delay, which does not lead beyond 2^64 - 1."""
    if delay != NO_DELAY:
        now = machine.context
        machine.advance(
            timestamp=_delayed(now.timestamp, delay.seconds), epoch=ChainEpoch(_delayed(now.epoch, delay.blocks))
        )


def _delayed(value: int, delay: int) -> int:
    return max(value, min(value + delay, _MAX))


class CaseStatus(Enum):
    """Status of a test."""

    SUCCESS = "Success"
    FAILURE = "Failure"
    SKIPPED = "Skipped"
    UNDECIDED = "Undecided"
    """A symbolic test that neither holds on all paths nor has a counterexample."""


class CaseKind(Enum):
    """Kind of a test."""

    UNIT = "unit"
    FUZZ = "fuzz"
    INVARIANT = "invariant"
    TABLE = "table"
    SYMBOLIC = "symbolic"


def is_invariant(name: str) -> bool:
    """Return True for the name of an invariant test."""
    return name.startswith(("invariant", "statefulFuzz"))


class CounterExample(NamedTuple):
    """A failing call: calldata and decoded arguments; in a sequence, also the sender and the callee."""

    calldata: bytes
    arguments: str
    sender: str = ""
    contract: str = ""
    address: str = ""
    signature: str = ""
    raw_arguments: str = ""
    """Arguments without scientific notation, quotes or struct names."""
    created: CreatedValues = CreatedValues()
    """Values that a symbolic test has created."""
    delay: BlockDelay = NO_DELAY
    """Delay before the call, in a sequence."""

    def forge_json(self) -> dict[str, str | None]:
        """Return the call in forge's format; fields that a fuzz input lacks are null."""
        return {
            **self.delay.forge_json(),
            "sender": self.sender.lower() or None,
            "addr": self.address.lower() or None,
            "calldata": f"0x{self.calldata.hex()}",
            "contract_name": self.contract or None,
            "func_name": self.signature.partition("(")[0] or None,
            "signature": self.signature or None,
            "args": self.arguments,
            "raw_args": self.raw_arguments,
        }

    def text(self) -> str:
        """Return the call in forge's format."""
        if self.contract:
            callee = f"[{self.contract}]{self.address}"
            delay = self.delay.text()
            return f"\t\tsender={self.sender} addr={callee}{delay} calldata={self.signature} args=[{self.arguments}]"
        return f"calldata=0x{self.calldata.hex()} args=[{self.arguments}] {self.created.text}".rstrip()


class CallMetrics(NamedTuple):
    """Calls of a function by an invariant test, with the number of reverts and rejected inputs."""

    contract: str
    function: str
    calls: int
    reverts: int
    discards: int


@dataclass(frozen=True, slots=True)
class TestResult:
    """The result of one test. `gas` is in units of the test's rules, `duration` in seconds."""

    __test__ = False  # keeps pytest from collecting it

    signature: str
    kind: CaseKind
    status: CaseStatus
    reason: str | None = None
    gas: int = 0
    gases: tuple[int, ...] = ()
    """Gas of each passing run of a fuzz test, or of each row of a table test."""
    runs: int = 0
    calls: int = 0
    reverts: int = 0
    rejects: int = 0
    seed: int | None = None
    counterexample: tuple[CounterExample, ...] = ()
    last_run: tuple[CounterExample, ...] = ()
    """Calls of the last run, for a passing test with several runs."""
    shrunk_from: int = 0
    depth: int = 0
    """Maximum number of calls of the sequences that a symbolic invariant test has explored."""
    best: int | None = None
    """Largest return value of an invariant test of type `int256`; its calls are the counterexample."""
    metrics: tuple[CallMetrics, ...] = ()
    edges: tuple[int, int, int] | None = None
    """Numbers of edges, edge features and corpus inputs, if requested."""
    notices: tuple[str, ...] = ()
    """Notices about damaged files of the test's corpus."""
    is_replayed: bool = False
    """True if this is an earlier run's failure, replayed without a new search."""
    logs: tuple[str, ...] = ()
    emitted: tuple[tuple[EthAddress, Log], ...] = ()
    """Logs with their emitters, if logs are shown."""
    emitted_before: int = 0
    """Number of these logs that the constructor and `setUp` emitted."""
    traces: tuple[tuple[str, list[dict[str, Any]]], ...] = ()
    """Pairs of kind and arena (`trace.trace_text`) for deployment, `setUp` and the test, for the JSON report."""
    labels: tuple[tuple[EthAddress, str], ...] = ()
    """Addresses labelled by `vm.label`."""
    first_stipend: int = 0
    """Intrinsic gas of a fuzz test's first run, which its gas does not include."""
    measured: tuple[tuple[str, str, int], ...] = ()
    """Group, name and value of the test's gas snapshots."""
    trace: str = ""
    stack: tuple[str, ...] = ()
    note: str = ""
    """Missing parts of the stack, with the reason."""
    duration: float = 0.0

    @property
    def is_sequence(self) -> bool:
        """True for an invariant test, fuzzed or symbolic: its counterexample is a sequence of calls."""
        return is_invariant(self.signature)

    def figures(self) -> str:
        """Return the figures in forge's format."""
        if self.kind in (CaseKind.FUZZ, CaseKind.TABLE):
            from statistics import mean, median  # imported on use, with decimal and fractions

            gases = self.gases or (0,)
            return f"(runs: {self.runs}, μ: {int(mean(gases))}, ~: {int(median(gases))})"
        if self.kind is CaseKind.SYMBOLIC:
            return f"(paths: {self.runs}{f', to depth {self.depth}' if self.depth else ''})"
        if self.best is not None:
            return f"(best: {self.best}, runs: {self.runs}, calls: {self.calls})"
        if self.kind is CaseKind.INVARIANT:
            return f"(runs: {self.runs}, calls: {self.calls}, reverts: {self.reverts})"
        return f"(gas: {self.gas})"


@dataclass(slots=True)
class SuiteResult:
    """The results of one contract."""

    file: str
    contract: str
    tests: list[TestResult] = field(default_factory=list)
    duration: float = 0.0
    warnings: list[str] = field(default_factory=list)
    collected: list[Any] = field(default_factory=list)
    """Data of its tests (`SuiteCoverage`) for a report over all suites."""
    corpus: list[tuple[str, bytes]] = field(default_factory=list)
    """New files of corpora, by their paths in the project's folder; superfluous ones without content."""

    @property
    def name(self) -> str:
        """Name of the suite: `file:contract`."""
        return f"{self.file}:{self.contract}"

    def count(self, status: CaseStatus) -> int:
        """Return the number of tests with this status."""
        return sum(test.status is status for test in self.tests)
