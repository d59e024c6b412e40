"""Solidity tests: how long a thousand trivial ones take, how soon the first is run, and a public suite beside forge.

The project is compiled once before anything is timed, by npm's solc as `scripts/clients tests/soltests` installs it;
the suite lies where `make soltests` has staged it, compiled by both: a checkout of solady in FVM_SUITES.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.data import PROJECT
from bench.rows import Row, seconds
from tests.soltests.folder import SuitesMissing, public_suites
from tests.soltests.runners import Chosen, forge, hypervisor
from tests.soltests.stage import SUITES

HYPERVISOR = Path(sys.executable).with_name("hypervisor")
SOLC = PROJECT / "build" / "tests" / "soltests" / "node_modules" / "solc"
THOUSAND = "1,000 trivial tests, py-evm"
QUICKLY = "1,000 trivial tests, fast"
START = "from the command to the end of one test"
SOLADY = "solady's 906 tests, fast"
BRIEFLY = "solady's 906 tests with four fuzz runs, fast"
_STAGED = PROJECT / "build" / "tests" / "soltests" / "suites" / "solady"
_FUZZ_RUNS = {SOLADY: 256, BRIEFLY: 4}
"""Forge's defaults, the number that the suite asks for itself, and hardly any."""
_CONTRACTS, _TESTS = 10, 100


def rows() -> Iterator[Row]:
    """The rows of this area, in the order of targets.toml."""
    if not SOLC.is_dir():
        for name in (THOUSAND, QUICKLY, START, SOLADY, BRIEFLY):
            yield Row(name, None, note="no npm's solc: scripts/clients tests/soltests")
        return
    with TemporaryDirectory() as folder:
        root = Path(folder)
        write_project(root)
        yield Row(THOUSAND, seconds(lambda: run(root), rounds=2), note="ten contracts")
        yield Row(QUICKLY, seconds(lambda: run(root, "--evm", "fast"), rounds=2), note="ten contracts")
        one = ["--match-contract", "^T0$", "--match-test", "^test_0"]
        yield Row(START, seconds(lambda: run(root, *one), rounds=3) * 1e3, note="compiled before")
    for name, fuzz_runs in _FUZZ_RUNS.items():
        yield beside_forge(name, fuzz_runs)


def beside_forge(name: str, fuzz_runs: int) -> Row:
    """A public suite by both runners, one after the other."""
    if not (_STAGED / "out").is_dir():
        return Row(name, None, note=_unstaged())
    chosen = Chosen(_STAGED, replace(SUITES["solady"], fuzz_runs=fuzz_runs), 1)
    ours = seconds(lambda: hypervisor(chosen, "--evm", "fast"), rounds=2)
    theirs = seconds(lambda: forge(chosen), rounds=2)
    note = f"{ours:.1f} s, forge {theirs:.1f} s, {fuzz_runs} fuzz runs of each test"
    return Row(name, ours / theirs, note=note)


def _unstaged() -> str:
    """What to do for the suite."""
    try:
        public_suites("solady")
    except SuitesMissing as lack:
        return str(lack)
    return 'not staged: make soltests ARGS="--suite solady"'


def write_project(root: Path) -> None:
    """Contracts with tests that write a slot and look at it."""
    (root / "foundry.toml").write_text("[profile.default]\n", encoding="utf-8")
    (root / "test").mkdir()
    for number in range(_CONTRACTS):
        tests = "".join(
            f"    function test_{index}() public {{ value += {index}; require(value == {index}); }}\n"
            for index in range(_TESTS)
        )
        head = "// SPDX-License-Identifier: MIT\npragma solidity ^0.8.0;\n"
        text = f"{head}contract T{number} {{\n    uint256 value;\n{tests}}}\n"
        (root / "test" / f"T{number}.t.sol").write_text(text, encoding="utf-8")


def run(root: Path, *more: str) -> None:
    """Run the tests; all must pass."""
    command = [str(HYPERVISOR), "test", str(root), "--use", str(SOLC), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
