"""Comparison of batches by worker processes: every transaction on both engines (and pyrevm), with enough gas and less.

A short gas limit is the exact gas used, one less, or any amount below, so that runs end within any instruction.
"""

import gc
import sys
from functools import cache, partial
from math import inf
from random import Random
from time import monotonic
from typing import Final

from hypervisor.errors import HypervisorError
from hypervisor.exit_codes import ExitCode
from hypervisor_tools.jobs.run import run_all
from runtimes.evm.forks.forks import FORKS
from tests.engines import worlds
from tests.engines.scenes import ETHEREUM, RULES, SIZE, Batch, Call, batch
from tests.engines.side_by_side import BOTH
from tests.engines.worlds import EngineMachine, EthereumMachine, Outcome, machine_for
from tests.harness.recorded import Tally

ENGINES: Final = ("py-evm", "fast")
RAN, FINISHED = "ran on both engines", "came to an end of their own"
STAGES: Final = (RAN, FINISHED)
_OWN_ENDS: Final = (ExitCode.OK, ExitCode.EVM_CONTRACT_REVERTED)
_CHUNK: Final = 2 * len(RULES)
"""Number of batches per worker task: two rounds of the rules."""
_BLOCK: Final = 20 * _CHUNK * SIZE
"""Number of programs compared between checks of the time."""
_ALL_ACCOUNTS: Final = 10
"""One program in this many has all its accounts compared with pyrevm's."""


def compare(seed: int, count: int, workers: int, seconds: float = inf) -> Tally:
    """Compare the first `count` programs of a seed, or as many blocks of them as start within some seconds."""
    total, step, started = Tally(), _CHUNK * SIZE, monotonic()
    work = partial(compare_some if workers == 1 else _compare_in_worker, seed, count)
    for block in range(0, count, _BLOCK):
        if monotonic() - started > seconds:
            break
        chunks = range(block, min(count, block + _BLOCK), step)
        for part in run_all(work, chunks, workers, "chunks of programs"):
            total.merge(part)
            for finding in part.findings:
                print(f"DIFFERENT: {finding}", file=sys.stderr, flush=True)
        print(f"{total.count} programs, {len(total.findings)} findings", file=sys.stderr, flush=True)
    return total


def compare_some(seed: int, count: int, start: int) -> Tally:
    tally, end = Tally(), min(count, start + _CHUNK * SIZE)
    for first in range(start, end, SIZE):
        Comparison(batch(seed, first // SIZE), tally).run(min(SIZE, end - first))
    return tally


def _compare_in_worker(seed: int, count: int, start: int) -> Tally:
    """Compare one chunk in a dedicated process: garbage collection once per chunk saves a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.disable()
    return compare_some(seed, count, start)


@cache
def worker_machines(rules: str) -> tuple[EngineMachine, ...]:
    """Return a worker's machines, reused for its chunks."""
    return tuple(machine_for(engine, rules) for engine in ENGINES)


class Comparison:
    """One batch on both engines."""

    def __init__(self, drawn: Batch, tally: Tally) -> None:
        self._batch = drawn
        self._tally = tally
        self._random = Random(drawn.name)
        self._plain, self._fast = worker_machines(drawn.rules)
        module = worlds.pyrevm() if drawn.rules == worlds.RULES else None
        self._revm = None if module is None else worlds.Revm(module, drawn.accounts)

    def run(self, count: int) -> None:
        """Compare the first programs of the batch."""
        self._plain.begin(self._batch)
        self._fast.begin(self._batch)
        for number, call in enumerate(self._batch.calls[:count]):
            try:
                self.program(number, call)
            except HypervisorError as error:
                self._found(number, call.gas_limit, f"{type(error).__name__}: {error}")

    def program(self, number: int, call: Call) -> None:
        """Compare one program with enough gas and with less."""
        tally = self._tally
        outcome = self._both(number, call, call.gas_limit)
        tally.count += 1
        tally.counts[self._batch.rules] += 1
        tally.counts["compiled in a session"] += self._batch.compiled and self._batch.rules in FORKS
        tally.counts["frame by frame"] += self._batch.framed or self._batch.rules not in ETHEREUM
        tally.stages[RAN] += outcome.gas_used > 0
        tally.stages[FINISHED] += outcome.exit_code in _OWN_ENDS
        for gas_limit in self._less(outcome, call):
            tally.counts["runs with less gas"] += 1
            self._both(number, call, gas_limit)

    def _less(self, outcome: Outcome, call: Call) -> list[int]:
        """Return a gas limit at or below the gas used, or None for some programs."""
        used = outcome.gas_used
        anywhere = self._random.randint(used // 3, used)
        exact = used if outcome.exit_code in _OWN_ENDS else anywhere
        drawn = self._random.choice(((), (), (exact,), (exact - 1,), (anywhere,)))
        return [limit for limit in drawn if 0 < limit < call.gas_limit]

    def _both(self, number: int, call: Call, gas_limit: int) -> Outcome:
        plain = self._plain.attempt(call, gas_limit)
        in_session = self._batch.rules in FORKS and not self._batch.framed
        differences = plain.differences(self._fast.attempt(call, gas_limit), any_halt=in_session)
        if differences:
            self._found(number, gas_limit, f"of {' and of '.join(ENGINES)}: {'; '.join(differences)}")
        if self._revm is not None and call.to is not None and plain.exit_code >= 0:
            self._tally.counts["runs on pyrevm"] += 1
            others = self._revm.differences(call, gas_limit, plain)
            if self._random.randrange(_ALL_ACCOUNTS) == 0 and isinstance(self._plain, EthereumMachine):
                others += self._revm.other_accounts(call, gas_limit, self._plain.after(call, gas_limit))
            if others:
                self._found(number, gas_limit, "; ".join(others))
        return plain

    def _found(self, number: int, gas_limit: int, what: str) -> None:
        name = f"{self._batch.name}:{number}:{gas_limit}"
        self._tally.findings.append(f"{self._batch.rules} {name}: {what}")


def watched(seed: int, number: int, program: int, gas_limit: int) -> str:
    """Return the first difference between the engines in a program, by instruction; empty if equal or Ethereum's."""
    drawn = batch(seed, number)
    if drawn.rules in ETHEREUM:  # one guest executes what both engines ask for
        return ""
    both = machine_for(BOTH, drawn.rules)
    both.begin(drawn)
    try:
        both.attempt(drawn.calls[program], gas_limit)
    except HypervisorError as error:
        return str(error)
    return ""
