"""Solidity tests: a thousand trivial ones, time to the first one; projects and suites compared with forge.

Projects are compiled once before measurement, by npm's solc as installed by `scripts/clients tests/soltests`, for both
runners. Suites must be staged by `make soltests`, compiled by both, from a checkout in FVM_SUITES.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

from bench import solidity_projects as projects
from bench.rows import Row, seconds
from tests.harness.paths import PROJECT
from tests.soltests.folder import SuitesMissing, public_suites
from tests.soltests.runners import PACKAGE, SOLC, Chosen, forge, hypervisor
from tests.soltests.stage import SUITES, PublicSuite

HYPERVISOR = Path(sys.executable).with_name("hypervisor")
THOUSAND = "1,000 trivial tests"
START = "from the command to the end of one test"
EDITED = "a test of a project of 76 files edited and run, compiled anew"
SOLADY = "solady's 906 tests, fast"
BRIEFLY = "solady's 906 tests with four fuzz runs, fast"
FUZZED = "100,000 runs of one simple fuzz test"
SEQUENCES = "32,000 calls of one invariant test"
HANDLED = "100,000 calls of one invariant test, through a handler with cheatcodes"
WARM = "33 tests, compiled before"
GAS_REPORT = "33 tests with a gas report"
COVERAGE = "33 tests with coverage"
MEMORY = "memory of a worker, 33 tests"
_STAGED = PROJECT / "build" / "tests" / "soltests" / "suites"
_SUITES = {SOLADY: ("solady", 256), BRIEFLY: ("solady", 4)}
"""Fuzz runs: forge's default, which the suite itself uses, and hardly any."""
_POLL_INTERVAL = 0.02
"""Interval in seconds for sampling the memory of processes."""


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    if not PACKAGE.is_dir():
        for name in (
            *(THOUSAND, START, EDITED, *_SUITES),
            *(FUZZED, SEQUENCES, HANDLED, WARM, GAS_REPORT, COVERAGE, MEMORY),
        ):
            yield Row(name, None, note="no npm's solc: scripts/clients tests/soltests")
        return
    with TemporaryDirectory() as folder:
        root = Path(folder)
        projects.write_trivial(root)
        yield Row(THOUSAND, seconds(lambda: run(root, "--evm", "fast"), rounds=2), note="ten contracts")
        one = ["--match-contract", "^T0$", "--match-test", "^test_0"]
        yield Row(START, seconds(lambda: run(root, *one), rounds=3) * 1e3, note="compiled before")
    yield edit_row()
    for name, (suite, fuzz_runs) in _SUITES.items():
        yield suite_beside_forge(name, suite, fuzz_runs)
    yield beside_forge(FUZZED, partial(projects.write_single, name="Fuzzed"), PublicSuite("", fuzz_runs=100_000))
    yield beside_forge(
        SEQUENCES, partial(projects.write_single, name="Sequences"), PublicSuite("", invariant_runs=64, depth=500)
    )
    yield beside_forge(
        HANDLED, partial(projects.write_single, name="Handled"), PublicSuite("", invariant_runs=200, depth=500)
    )
    yield beside_forge(WARM, projects.write_ledgers)
    yield beside_forge(GAS_REPORT, projects.write_ledgers, ours=["--gas-report"], theirs=["test", "--gas-report"])
    yield beside_forge(COVERAGE, projects.write_ledgers, ours=["--coverage"], theirs=["coverage"])
    yield memory()


def edit_row() -> Row:
    """Return the time to run all tests of a project after editing one; each round edits again, to bypass caches."""
    try:
        suites = public_suites("forge-std", "openzeppelin-contracts")
    except SuitesMissing as lack:
        return Row(EDITED, None, note=str(lack))
    with TemporaryDirectory() as folder:
        root = Path(folder)
        projects.write_shares(root, suites)
        times, count = [], 0

        def edit_and_run() -> None:
            nonlocal count
            count += 1
            projects.edit(root, count)
            begin = time.perf_counter()
            run(root, "--evm", "fast")
            times.append(time.perf_counter() - begin)

        run(root)
        seconds(edit_and_run, rounds=4)
    return Row(EDITED, min(times), note="all 36 tests run")


def suite_beside_forge(name: str, suite: str, fuzz_runs: int) -> Row:
    """Run a public suite with both runners, one after the other."""
    staged = _STAGED / suite
    if not (staged / "out").is_dir():
        return Row(name, None, note=_staging_hint(suite))
    chosen = Chosen(staged, replace(SUITES[suite], fuzz_runs=fuzz_runs), 1)
    ours = seconds(lambda: hypervisor(chosen, "--evm", "fast"), rounds=2)
    theirs = seconds(lambda: forge(chosen), rounds=2)
    return _ratio(name, ours, theirs, f"{fuzz_runs} fuzz runs of each test")


def beside_forge(
    name: str, write: Callable[[Path], None], suite: PublicSuite | None = None, ours: Sequence[str] = (),
    theirs: Sequence[str] = ("test",),
) -> Row:  # fmt: skip
    """Run a project with both runners, each in its own folder, compiled before."""
    with TemporaryDirectory() as folder:
        mine, others = Path(folder) / "hypervisor", Path(folder) / "forge"
        for root in (mine, others):
            root.mkdir()
            write(root)
        figures = Chosen(others, suite or PublicSuite(""), 1)
        counts = ["--fuzz-runs", str(figures.suite.fuzz_runs), "--fuzz-seed", "1"]
        depths = ["--invariant-runs", str(figures.suite.invariant_runs)]
        depths += ["--invariant-depth", str(figures.suite.depth)]
        seconds_here = seconds(lambda: run(mine, "--evm", "fast", *counts, *depths, *ours), rounds=3)
        seconds_there = seconds(lambda: run_forge(figures, *theirs, *counts), rounds=3)
    return _ratio(name, seconds_here, seconds_there)


def memory() -> Row:
    """Return the peak memory of our worker processes, compared with forge's process."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        projects.write_ledgers(root)
        run(root)
        command = [str(HYPERVISOR), "test", str(root), "--use", str(PACKAGE), "--evm", "fast"]
        (_, *workers) = peaks(command, os.environ)
        chosen = Chosen(root, PublicSuite(""), 1)
        run_forge(chosen, "test")
        (one, *_) = peaks(["forge", "test", "--use", str(SOLC)], chosen.environment, root)
    if not workers or not one:
        return Row(MEMORY, None, note="this system does not tell how much memory processes hold")
    ours = max(workers)
    return Row(MEMORY, ours / one, note=f"{ours / 1e6:.0f} MB, forge {one / 1e6:.0f} MB")


def peaks(
    command: Sequence[str], environment: "os._Environ[str] | dict[str, str]", folder: Path | None = None
) -> list[int]:
    """Return the peak memory in bytes of a program's process and of each process that it starts."""
    found: dict[int, int] = {}
    program = subprocess.Popen(
        command, env=dict(environment), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    has_ended = Event()
    watcher = Thread(target=_watch, args=(program.pid, found, has_ended))
    watcher.start()
    program.wait()
    has_ended.set()
    watcher.join()
    return [found.pop(program.pid, 0), *found.values()]


def _watch(first: int, found: dict[int, int], has_ended: Event) -> None:
    while not has_ended.wait(_POLL_INTERVAL):
        family = {first}
        for place in sorted(Path("/proc").glob("[0-9]*"), key=lambda place: int(place.name)):
            try:
                lines = (place / "status").read_text().splitlines()
            except OSError:
                continue
            about = dict(line.split(":", 1) for line in lines if ":" in line)
            if int(about.get("PPid", 0)) in family or int(place.name) == first:
                family.add(int(place.name))
                if "VmHWM" in about:
                    found[int(place.name)] = int(about["VmHWM"].split()[0]) * 1024


def _ratio(name: str, ours: float, theirs: float, more: str = "") -> Row:
    note = f"{ours:.2f} s, forge {theirs:.2f} s"
    return Row(name, ours / theirs, note=f"{note}, {more}" if more else note)


def _staging_hint(suite: str) -> str:
    """Return how to make the suite available."""
    try:
        public_suites(suite)
    except SuitesMissing as lack:
        return str(lack)
    return f'not staged: make soltests ARGS="--suite {suite}"'


def run(root: Path, *more: str) -> None:
    """Run the tests; all must pass."""
    command = [str(HYPERVISOR), "test", str(root), "--use", str(PACKAGE), *more]
    _check_passed(subprocess.run(command, capture_output=True, text=True, check=False))


def run_forge(chosen: Chosen, *arguments: str) -> None:
    """Run the tests with forge, whose first argument is its command."""
    command = ["forge", *arguments, "--use", str(SOLC)]
    _check_passed(
        subprocess.run(command, cwd=chosen.folder, env=chosen.environment, capture_output=True, text=True, check=False)
    )


def _check_passed(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
