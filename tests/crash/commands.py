"""Kill `hypervisor test` and `hypervisor script` at random moments, and check the next run.

python -m tests.crash.commands --count 1000 --seed 1 [--record FILE]

Half of the rounds run the tests of a small project, with or without the files of earlier runs; the others run a script
that sends three transactions to a node. A round kills the command (SIGKILL) three times in a row at random moments.
Every second script is killed as soon as its first, second or third transaction is in a block. A killed script that has
a record continues with `--resume`, also in the following kills of the round.

- Every file that a killed command left is complete: records and caches are JSON, and the list of failures is whole.
- After the kills the same command succeeds.
- The tests have the results of an undisturbed run.
- Each transaction was executed once, and the record has the receipts of all.

The result is a record (tests.harness.recorded).
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from localnet import Network
from localnet.fork.node_client import NodeClient
from localnet.fork.response_values import quantity
from localnet.rpc.server.server import serving
from tests.command import Program
from tests.harness.recorded import RunRecord, finish, options
from tests.hypervisor_tools.soltest.contracts import FAIL, PASS, artifact, forge_out
from tests.hypervisor_tools.soltest.scripts.script_runs import BROADCAST, KEY, SENDER, TRANSFER, assembled_script

SENT: Final = 3
"""Number of transactions of the script."""
EACH: Final = 3
"""Number of kills of a round."""
RECEIVER: Final = "0x" + "00" * 18 + "beef"
LONGEST: Final = 300.0
"""Maximum seconds of a command on a busy machine."""
_OVER_TEN: Final = ["600435", "600a", "10", "@fail", "57", "00", "fail:", "5f5ffd"]
"""Code of a test that fails for arguments above ten."""


@dataclass
class Run:
    """Observations of a run: kills by kind, and findings as text."""

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def add(self, was_killed: bool, kind: str) -> None:
        """Count a kill, or a command that ended before it."""
        self.counts[kind if was_killed else f"{kind} that ended before the kill"] += 1

    @property
    def kills(self) -> int:
        """Number of kills of running commands."""
        return self.counts["tests"] + self.counts["scripts"]


class Command:
    """A command in a project, its environment, and the duration of its last complete run in seconds."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._arguments = arguments
        self._environment = {**os.environ, "FVM_CACHE_DIR": str(folder / "cache")}
        self.duration = 1.0

    def complete(self, *more: str) -> tuple[int, str, str]:
        """Run without a kill; return exit status, output and errors."""
        started = time.monotonic()
        program = self._start(*more)
        output, errors = program.communicate(LONGEST)
        assert program.returncode is not None
        if not more:
            self.duration = time.monotonic() - started
        return program.returncode, output, errors

    def _start(self, *more: str) -> Program:
        return Program([*self._arguments, *more], environment=self._environment)

    def killed(self, pause: float, is_due: Callable[[], bool] = lambda: False, *more: str) -> bool:
        """Run until killed, after `pause` seconds or when it is due. Return False if the command ended before."""
        program = self._start(*more)
        end = time.monotonic() + pause
        while time.monotonic() < end and not is_due() and program.poll() is None:
            time.sleep(0.001)
        was_running = program.poll() is None
        program.kill()
        program.communicate(timeout=LONGEST)
        return was_running


def incomplete(folder: Path) -> Iterator[str]:
    """Yield the files that a killed command left incomplete; a temporary file has its process in its name."""
    for file in sorted(path for part in ("broadcast", "cache", "out") for path in (folder / part).rglob("*")):
        if not file.is_file() or file.suffix.removeprefix(".").isdigit():
            continue
        text = file.read_text(encoding="utf-8")
        if file.name == "test-failures":
            if text != "testFuzz_over|test_broken":
                yield f"{file.relative_to(folder)} is {text!r}"
            continue
        try:
            json.loads(text)
        except ValueError as error:
            yield f"{file.relative_to(folder)} is incomplete: {error}"


# --- tests ------------------------------------------------------------------------------------------------------------


class Tests:
    """Kills of `hypervisor test`."""

    def __init__(self, run: Run, folder: Path) -> None:
        self._run, self._root = run, folder / "tests"
        (self._root / "test").mkdir(parents=True)
        (self._root / "foundry.toml").write_text(
            '[profile.default]\nsolc = "0.8.30"\n[fuzz]\nruns = 20\nseed = "0x7"\n'
        )
        source = "contract OwnTest {}"
        (self._root / "test" / "Own.t.sol").write_text(source, encoding="utf-8")
        functions = {"test_broken()": FAIL, "test_fine()": PASS, "testFuzz_over(uint256)": _OVER_TEN}
        forge_out(self._root, "test/Own.t.sol", source, {"OwnTest": artifact(functions)})
        self._command = Command(folder, "test", "--root", str(self._root), "--json")
        self._expected = self._results(self._command.complete())
        if self._expected[0] != 1 or [*self._expected[1]] != ["testFuzz_over(uint256)", "test_broken()", "test_fine()"]:
            raise RuntimeError(f"the undisturbed run has the results {self._expected}")

    def round(self, randomness: random.Random) -> None:
        if randomness.random() < 0.5:
            subprocess.run(["rm", "-rf", str(self._root / "cache")], check=True)
            self._run.counts["tests killed without earlier files"] += 1
        found: list[str] = []
        for _ in range(EACH):
            pause = randomness.random() * self._command.duration
            self._run.add(self._command.killed(pause), "tests")
            found += incomplete(self._root)
        results = self._results(self._command.complete())
        if results != self._expected:
            found.append(f"the next run has the results {results}, expected {self._expected}")
        found += incomplete(self._root)
        self._run.findings += [f"hypervisor test: {one}" for one in found]

    @staticmethod
    def _results(ended: tuple[int, str, str]) -> Any:
        """Return the exit status, and the status and reason of each test; the output if it is not a report."""
        status, output, errors = ended
        try:
            suites = json.loads(output)
            return status, {
                name: (each["status"], each["reason"])
                for suite in suites.values()
                for name, each in suite["test_results"].items()
            }
        except (ValueError, KeyError, AttributeError):
            return status, output + errors


# --- scripts ----------------------------------------------------------------------------------------------------------


class Scripts:
    """Kills of `hypervisor script` against a node."""

    def __init__(self, run: Run, folder: Path, network: Network, url: str) -> None:
        self._run, self._root, self._network, self._ask = run, folder / "scripts", network, NodeClient(url).read
        self._root.mkdir()
        assembled_script(self._root, BROADCAST, *[TRANSFER] * SENT)
        source = str(self._root / "script" / "Own.s.sol")
        arguments = ("script", source, "--root", str(self._root), "--rpc-url", url, "--private-key", KEY, "--broadcast")
        self._command = Command(folder, *arguments)
        self._finish([])

    def round(self, randomness: random.Random) -> None:
        """Kill, check, and run the script to its end."""
        before, found = self._state(), list[str]()
        for _ in range(EACH):
            self._kill(randomness, before[0])
            found += incomplete(self._root)
            if self._is_complete(before[0]):
                break
        sent = self._state()[0] - before[0]
        self._run.counts[f"scripts with {sent} transactions after the kills"] += 1
        if sent and not self._rows(before[0]):
            found.append(f"{sent} transactions were sent, and no record has them")
        self._finish(found, *self._options(before[0]))
        after = self._state()
        expected = (before[0] + SENT, before[1] + SENT)
        if after != expected:
            found.append(
                f"nonce and received are {after} at the end, expected {expected}: {sent} were sent at the kill"
            )
        found += self._lacks(before[0])
        self._run.findings += [f"hypervisor script: {one}" for one in found]

    def _options(self, nonce: int) -> list[str]:
        """Return the option that continues a run whose first transaction has this nonce, if it has a record."""
        return ["--resume"] if self._rows(nonce) else []

    def _is_complete(self, nonce: int) -> bool:
        rows, done = self._rows(nonce), {receipt["transactionHash"] for receipt in self._record()["receipts"]}
        return len(rows) == SENT and all(row["hash"] in done for row in rows)

    def _kill(self, randomness: random.Random, nonce: int) -> None:
        """Kill the run that starts at a nonce, or its continuation."""
        height, left = self._network.head.height, nonce + SENT - self._state()[0]
        more = self._options(nonce)
        usual = self._command.duration / (2 if more else 1)  # a resumed run executes no script
        pause, awaited = randomness.random() * usual, SENT + 1
        if left and randomness.random() < 0.5:
            pause, awaited = 2 * self._command.duration, randomness.randrange(1, left + 1)
        slow = ["--slow"] if randomness.random() < 0.5 else []
        was_killed = self._command.killed(pause, lambda: self._network.head.height >= height + awaited, *more, *slow)
        self._run.add(was_killed, "scripts")

    def _finish(self, found: list[str], *more: str) -> None:
        status, output, errors = self._command.complete(*more)
        if status:
            found.append(f"the next run {' '.join(more)} fails with status {status}: {output[-200:]}{errors[-500:]}")

    def _state(self) -> tuple[int, int]:
        """Return the sender's nonce, and what the receiver has in attoFIL: one for each transaction."""
        nonce = self._ask(quantity, "eth_getTransactionCount", SENDER, "latest")
        return nonce, self._ask(quantity, "eth_getBalance", RECEIVER, "latest")

    def _record(self) -> dict[str, Any]:
        files = [*self._root.glob("broadcast/Own.s.sol/*/run-latest.json")]
        try:
            content: dict[str, Any] = json.loads(files[0].read_text(encoding="utf-8"))
        except (ValueError, IndexError):  # `incomplete` reports it
            return {"transactions": [], "receipts": []}
        return content

    def _rows(self, nonce: int) -> list[dict[str, Any]]:
        """Return the recorded transactions from a nonce on, which are those of the current round."""
        return [row for row in self._record()["transactions"] if int(row["transaction"]["nonce"], 16) >= nonce]

    def _lacks(self, nonce: int) -> Iterator[str]:
        rows, receipts = self._rows(nonce), {one["transactionHash"]: one for one in self._record()["receipts"]}
        if len(rows) != SENT:
            yield f"the record has {len(rows)} transactions, expected {SENT}"
        for row in rows:
            receipt, expected = receipts.get(row["hash"]), None
            if receipt is not None:
                expected = self._ask(dict, "eth_getTransactionReceipt", row["hash"])
            if receipt is None or receipt != expected:
                yield f"transaction {row['hash']} has the receipt {receipt}, expected {expected}"


# --- the record -------------------------------------------------------------------------------------------------------


def play(count: int, seed: int) -> Run:
    """Run rounds of each kind in turn until there were `count` kills, or until the first finding."""
    run, randomness = Run(), random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="commands-") as place, Network() as network, serving(network) as url:
        folder = Path(place)
        rounds = Tests(run, folder), Scripts(run, folder, network, url)
        while run.kills < count and not run.findings:
            for one in rounds:
                one.round(randomness)
    return run


def recorded(count: int, seed: int) -> RunRecord:
    """Return the record of a run, which ends at its first finding."""
    run = play(count, seed)
    return RunRecord(seed, run.kills, {"killed": run.kills}, run.findings, dict(sorted(run.counts.items())))


def main() -> int:
    chosen = options(__doc__, 100).parse_args()
    started = time.monotonic()
    return finish(recorded(chosen.count, chosen.seed), chosen, started)


if __name__ == "__main__":
    sys.exit(main())
