"""Run public suites with forge and with `hypervisor test` and compare: `make soltests` (docs/forge-differences.md).

Both get the same sources, compiler (npm's), number of fuzz runs and seed. An input is a test. A finding is an outcome,
or for some suites a gas figure, that differs from forge's and is not listed in differences.py.
"""

import json
import sys
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Final

from tests.harness.recorded import RunRecord, finish, options
from tests.soltests.differences import KNOWN
from tests.soltests.folder import SuitesMissing, public_suites
from tests.soltests.gas import compare_gas
from tests.soltests.runners import Chosen, End, Key, forge, hypervisor
from tests.soltests.stage import INSTALLED, SUITES, commit_of, stage

FOLDER: Final = INSTALLED / "suites"
QUICK: Final = ("solady", "openzeppelin", "fvm-solidity", "session-keys")
"""Suites that npm's compiler compiles in a few minutes; see docs/forge-differences.md for the others."""


@dataclass(slots=True)
class Comparison:
    """Result over all suites."""

    suites: dict[str, dict[str, float | str]] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def sum(self, name: str) -> int:
        """Return the sum of a figure over all suites."""
        return sum(int(found[name]) for found in self.suites.values())


def main() -> int:
    """The exit code: 1 for a difference that is not listed, 2 without the suites."""
    parser = options(__doc__, 2000)
    parser.add_argument("--suite", action="append", choices=[*SUITES], help=f"these (default: {', '.join(QUICK)})")
    parser.add_argument("--evm", default="fast", choices=["py-evm", "fast"])
    parser.add_argument("--fuzz-runs", type=int, default=4)
    parser.add_argument(
        "--beside",
        type=Path,
        metavar="RECORD",
        help="add this run to the details of an existing record of other suites",
    )
    parser.add_argument("--list", type=Path, metavar="FILE", help="keep every test of both runners in a file")
    chosen = parser.parse_args()
    try:
        public_suites(*sorted(set().union(*(SUITES[name].checkouts for name in chosen.suite or QUICK))))
    except SuitesMissing as lack:
        print(f"NOT RUN: {lack}")
        return 2
    started = time.monotonic()
    result, left = Comparison(), chosen.count
    for name in chosen.suite or QUICK:
        left -= compare(name, chosen, left, result)
    if chosen.list is not None:
        chosen.list.write_text("".join(f"{line}\n" for line in sorted(result.lines)), encoding="utf-8")
    stages = {name: result.sum(name) for name in ("run by forge", "run here", "alike")}
    details = {"suites": result.suites, "known differences": result.sum("known")}
    record = RunRecord(chosen.seed, stages["run by forge"], stages, result.findings, details)
    ended = finish(record, chosen, started)
    if chosen.beside is not None and chosen.record is not None:
        _keep_beside(chosen.beside, chosen.record)
    return ended


def _keep_beside(whole: Path, part: Path) -> None:
    """Add a run that is too slow to replay to the record's details, as the last run of each of its suites."""
    content, run = (json.loads(file.read_text(encoding="utf-8")) for file in (whole, part))
    beside = content["details"].setdefault("beside", {})
    beside |= dict.fromkeys(run["details"]["suites"], run)
    whole.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def compare(name: str, chosen: Namespace, most: int, result: Comparison) -> int:
    """Run a suite with both, at most `most` of its tests here, and return the number of tests."""
    folder = FOLDER / name
    stage(name, folder)
    run = Chosen(folder, replace(SUITES[name], fuzz_runs=chosen.fuzz_runs), chosen.seed)
    begin = time.monotonic()
    theirs = forge(run)
    middle = time.monotonic()
    contracts = some_contracts(theirs, chosen.seed, most)
    if not contracts:
        return 0
    wanted = {key: end for key, end in theirs.items() if _contract(key) in contracts}
    few = replace(run, pattern=f"^({'|'.join(contracts)})$" if len(wanted) < len(theirs) else None)
    ours = hypervisor(few, "--evm", chosen.evm)
    end = time.monotonic()
    figures: dict[str, float | str] = {
        "commit": run.suite.commit or commit_of(run.suite.folder), "solc": run.suite.solc, "profile": run.suite.profile
    }  # fmt: skip
    figures |= _figures(name, wanted, ours, result)
    if run.suite.compares_gas:
        compared = compare_gas(name, few, wanted, ours, chosen.evm)
        figures |= compared.figures
        result.findings += compared.findings
    if run.suite.mocks:
        figures["alike with the real actors"] = _with_real_actors(name, few, ours, chosen.evm, result)
    figures["seconds of forge, compiler included"] = round(middle - begin, 1)
    figures["seconds"] = round(end - middle, 1)
    result.suites[name] = figures
    print(f"{name}: {figures}", file=sys.stderr, flush=True)
    return len(wanted)


def _with_real_actors(name: str, run: Chosen, mocked: Mapping[Key, End], evm: str, result: Comparison) -> int:
    """Return the number of tests with the same result without their mocks; list the others."""
    real = hypervisor(run, "--evm", evm, "--real-filecoin")
    for key, end in sorted(real.items()):
        if key in mocked and end.status != mocked[key].status:
            result.lines.append(f"{name} {key[0]} {key[1]}: real actors {_text(end)}, mocks {_text(mocked[key])}")
    return sum(key in mocked and end.status == mocked[key].status for key, end in real.items())


def some_contracts(found: Iterable[Key], seed: int, most: int) -> list[str]:
    """Return contracts with at most `most` tests in total, chosen by the seed; all of them if they fit."""
    counts: dict[str, int] = {}
    for key in found:
        counts[_contract(key)] = counts.get(_contract(key), 0) + 1
    names = sorted(counts)
    Random(seed).shuffle(names)
    chosen: list[str] = []
    total = 0
    for name in names:
        if total + counts[name] <= most or (not chosen and most > 0):
            chosen.append(name)
            total += counts[name]
    return sorted(chosen)


def _contract(key: Key) -> str:
    return key[0].rpartition(":")[2]


def _figures(
    name: str, theirs: Mapping[Key, End], ours: Mapping[Key, End], result: Comparison
) -> Iterator[tuple[str, int]]:
    """Yield the numbers of tests run and of equal results; list the others."""
    both = theirs.keys() & ours.keys()
    alike = {key for key in both if theirs[key].status == ours[key].status}
    known = 0
    for key in sorted(theirs.keys() | ours.keys()):
        told = f"{name} {key[0]} {key[1]}: forge {_text(theirs.get(key))}, here {_text(ours.get(key))}"
        result.lines.append(told)
        if key not in alike:
            known += (name, f"{key[0]} {key[1]}") in KNOWN
            if (name, f"{key[0]} {key[1]}") not in KNOWN:
                result.findings.append(told)
    units = {key for key in alike if theirs[key].gas}
    yield from {
        "run by forge": len(theirs),
        "run here": len(both),
        "alike": len(alike),
        "known": known,
        "unit tests": len(units),
        "of them with forge's gas": sum(theirs[key].gas == ours[key].gas for key in units),
    }.items()


def _text(end: End | None) -> str:
    return "not run" if end is None else f"{end.status}{f' ({end.reason[:160]})' if end.reason else ''}"


if __name__ == "__main__":
    sys.exit(main())
