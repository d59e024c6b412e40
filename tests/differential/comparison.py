"""Comparison of random cases with the official EVM actor.

- Totals of a run of cases: stages, findings, exit codes, and gas ratios by class.
- Display of one case: contracts as mnemonics, messages, and the end of each call on both machines.
- Comparison of generated cases by worker processes, which import this module.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from statistics import median
from typing import Any, Final

from hypervisor.bundles.bundle import Bundle
from hypervisor.exit_codes import ExitCode
from hypervisor.tracing import CallEnded, Recorder
from hypervisor_tools.jobs.run import run_all
from runtimes.evm.contracts.opcodes import FILECOIN_OPCODES
from tests.conftest import fvm_data, newest_bundle
from tests.differential.grammar import generate
from tests.differential.twins import ENGINES, LOOKED, RAN_OUT, RUNNERS, Case, Compared, Outcome, Twins
from tests.harness.recorded import Tally

RAN, FINISHED, LEFT = "ran on both", "came to an end of its own", "left something to see"
STAGES: Final = (RAN, FINISHED, LEFT)
_OWN_ENDS: Final = (ExitCode.OK, ExitCode.EVM_CONTRACT_REVERTED)
_EMPTY: Final = (b"", b"\x40")
"""Return data without information: none, or an empty byte string in CBOR."""


@dataclass
class CaseTally(Tally):
    """Sums over cases; `gas` holds the class of each message, and its gas on the EVM runtime and the official actor."""

    by_gas: Counter[str] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)
    gas: list[tuple[str, int, int]] = field(default_factory=list)

    def add(self, compared: Compared) -> None:
        self.count += 1
        case = compared.case
        if compared.by_gas:
            self.by_gas[compared.by_gas] += 1
        elif compared.difference:
            self.findings.append(f"{case.theme} {case.name}: {compared.difference}")
        self.stages.update(_stages(compared.official))
        for ours, official in zip(compared.ours, compared.official, strict=True):
            self.exits[official.exit_code] += 1
            if ours.exit_code == official.exit_code != ExitCode.SYS_OUT_OF_GAS:
                self.gas.append((case.theme, ours.gas, official.gas))

    @property
    def gas_decided(self) -> int:
        return self.by_gas.total()

    def ratios(self) -> dict[str, dict[str, float]]:
        """Return, by class, the ratio of total gas to the official actor's, and quantiles of single messages."""
        pairs: dict[str, list[tuple[int, int]]] = {}
        for theme, ours, official in self.gas:
            pairs.setdefault(theme, []).append((ours, official))
        return {theme: _ratios(pairs[theme]) for theme in sorted(pairs)}

    def details(self) -> dict[str, Any]:
        """Return the record's details, besides stages and findings."""
        return {
            "messages by exit code": {str(code): count for code, count in sorted(self.exits.items())},
            "cases that gas decided": {reason: self.by_gas[reason] for reason in (RAN_OUT, LOOKED)},
            "gas, EVM runtime to official actor": self.ratios(),
        }


def run(twins: Twins, cases: Iterable[Case]) -> CaseTally:
    tally = CaseTally()
    for case in cases:
        tally.add(twins.compare(case))
    return tally


def _stages(outcomes: tuple[Outcome, ...]) -> list[str]:
    finished = [outcome for outcome in outcomes if outcome.exit_code in _OWN_ENDS]
    left = any(outcome.events or outcome.return_data not in _EMPTY for outcome in finished)
    reached = (bool(outcomes), bool(finished), left)
    return [name for name, passed in zip(STAGES, reached, strict=True) if passed]


def _ratios(pairs: list[tuple[int, int]]) -> dict[str, float]:
    single = sorted(ours / official for ours, official in pairs)
    last = len(single) - 1
    return {
        "all": round(sum(ours for ours, _ in pairs) / sum(official for _, official in pairs), 3),
        "5%": round(single[last * 5 // 100], 3),
        "median": round(median(single), 3),
        "95%": round(single[last * 95 // 100], 3),
    }


_LINE = 160


def show(twins: Twins, case: Case) -> int:
    """Print a case; return exit code 1 if the machines differ."""
    for address, account in case.accounts.items():
        print(f"0x{address.hex()} {account.balance} attoFIL, slots {account.storage or 'none'}")
        print(f"    {' '.join(disassembled(account.code))}")
    for call in case.calls:
        print(f"message to {'nobody' if call.to is None else call.to.hex()}: {call.value} attoFIL, 0x{call.data.hex()}")
    for name, twin in zip(RUNNERS, (twins.ours, twins.official), strict=True):
        recorder = twin.machine.tracer = Recorder()
        outcomes = list(twin.run(case))
        twin.machine.tracer = None
        print(f"--- {name}: {[(outcome.exit_code, outcome.gas) for outcome in outcomes]}")
        for event in recorder.events:
            if isinstance(event, CallEnded):
                words = f"{event.exit_code} {event.error} {event.message}"[:_LINE]
                print(f"    a call ends after {event.gas_used // 1000} gas: {words}")
    compared = twins.compare(case)
    print(f"{compared.difference or 'no difference'}{compared.by_gas and f'; {compared.by_gas}'}")
    return int(bool(compared.difference))


def disassembled(code: bytes) -> Iterator[str]:
    """Return mnemonics, with pushed numbers in hexadecimal."""
    position = 0
    while position < len(code):
        opcode = code[position]
        size = opcode - 0x5F if 0x60 <= opcode <= 0x7F else 0
        known = FILECOIN_OPCODES.get(opcode)
        pushed = code[position + 1 : position + 1 + size]
        yield f"0x{pushed.hex()}" if size else known.name if known else f"0x{opcode:02x}?"
        position += 1 + size


BUNDLE = "bundles/v18-devnet.car"
CHUNK = 250


def compare(seed: int, count: int, workers: int) -> CaseTally:
    """Compare the first `count` cases of a seed."""
    total = CaseTally()
    starts = range(0, count, CHUNK)
    work = partial(compare_some, seed, count)
    for number, part in enumerate(run_all(work, starts, workers, "chunks of cases"), 1):
        total.merge(part)
        for finding in part.findings:
            print(f"DIFFERENT: {finding}", file=sys.stderr, flush=True)
        if number % 40 == 0:
            print(f"{total.count} cases, {len(total.findings)} findings", file=sys.stderr, flush=True)
    return total


def compare_some(seed: int, count: int, start: int) -> CaseTally:
    return run(twins(), (generate(seed, number) for number in range(start, min(start + CHUNK, count))))


@cache
def twins() -> Twins:
    """Return a worker's machines, reused for its chunks."""
    return Twins(Bundle.open(newest_bundle(BUNDLE)), runners())


def runners() -> tuple[str, str]:
    """Return the names of what runs the contracts on both machines."""
    return ENGINES if fvm_data() is None else RUNNERS


def official_actor() -> None:
    """Exit the program if there is no official EVM actor to compare with."""
    if fvm_data() is None:
        raise SystemExit("error: no official bundle: set FVM_DATA to the folder that holds bundles/")
