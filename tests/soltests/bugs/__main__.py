"""Compare how many runs forge and `hypervisor test` need to find thirty planted bugs (docs/forge-differences.md).

Both use the same project, compiler (from npm), number of runs and seeds. The result for a bug is the median, over the
seeds, of the runs before it was found; for an invariant, a run is a sequence of twenty calls. A bug that was not found
counts with all runs. A finding of this comparison is a bug that forge finds with each seed and `hypervisor test` with
none.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from tests.harness.recorded import NOT_RUN, RunRecord, finish, options
from tests.soltests.runners import PACKAGE, SOLC
from tests.soltests.stage import INSTALLED, PROJECT

HERE: Final = Path(__file__).resolve().parent
FOLDER: Final = INSTALLED / "bugs"
FORGE: Final = tuple(
    PROJECT / "build" / "tests" / name / "node_modules" / ".bin" / "forge" for name in ("soltests", "clients")
)
DEPTH: Final = 20
"""Number of calls in a sequence of an invariant test, which gets 1/DEPTH of the runs."""

Runs = dict[str, int]
"""Mapping from bug to the number of runs before it was found."""


def main() -> int:
    """Run the comparison. Return 1 if there is a finding, and 2 if forge or solc is missing.

    forge runs with one thread, because with several it reports the runs of only one.
    """
    names = bugs()
    parser = options(__doc__, len(names))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument(
        "--runs", type=int, default=20_000, help="maximum runs of a fuzz test, and calls of an invariant"
    )
    parser.add_argument(
        "--corpus", action="store_true", help="run `hypervisor test` also with an initially empty corpus"
    )
    chosen = parser.parse_args()
    program = next((file for file in FORGE if file.exists()), None)
    if program is None or not PACKAGE.is_dir():
        print(f"{NOT_RUN}forge or npm's solc is missing: scripts/clients tests/soltests, scripts/clients tests/clients")
        return 2
    started = time.monotonic()
    wanted = names[: chosen.count]
    stage()
    theirs, ours, guided = [], [], []
    for seed in range(chosen.seed, chosen.seed + chosen.seeds):
        theirs.append(found([str(program), "test", "--threads", "1", "--use", str(SOLC)], wanted, seed, chosen.runs))
        ours.append(found(here(), wanted, seed, chosen.runs))
        if chosen.corpus:
            guided.append(found(here(), wanted, seed, chosen.runs, profile="corpus"))
        print(f"seed {seed}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    table = {name: compared(name, theirs, ours, guided) for name in wanted}
    record = RunRecord(
        chosen.seed,
        len(wanted),
        {"run by both": len(wanted), "found here in most seeds": sum(row["here"] < most(name, chosen.runs)
                                                                     for name, row in table.items())},
        [
            f"{name} is found by forge with each seed, and here with none"
            for name in wanted
            if all(runs[name] < most(name, chosen.runs) for runs in theirs)
            and all(runs[name] >= most(name, chosen.runs) for runs in ours)
        ],
        {
            "seeds": chosen.seeds,
            "runs at most": chosen.runs,
            "found by forge in most seeds": sum(row["forge"] < most(name, chosen.runs) for name, row in table.items()),
            "in at most forge's runs": sum(row["here"] <= row["forge"] for row in table.values()),
            "in more than forge's runs": [name for name, row in table.items() if row["here"] > row["forge"]],
            "median of the runs before the find": table,
        },
    )  # fmt: skip
    return finish(record, chosen, started)


def bugs() -> list[str]:
    """Return the test contracts, fuzz tests and invariants alternating."""
    kinds = ("testFuzz", "invariant_")
    rows: list[list[str]] = [[], []]
    for file in sorted((HERE / "test").glob("*.sol")):
        for name, body in re.findall(r"^contract (\w+) \{(.*?)^\}", file.read_text(encoding="utf-8"), re.M | re.S):
            for row, kind in zip(rows, kinds, strict=True):
                row += [name] * (f"function {kind}(" in body)
    fuzzed, invariants = rows
    placed = [(place / len(row), name) for row in (fuzzed, invariants) for place, name in enumerate(row)]
    return [name for _, name in sorted(placed)]


def is_invariant(name: str) -> bool:
    """Return True if a bug is found by sequences of calls."""
    text = (HERE / "test" / "Stateful.t.sol").read_text(encoding="utf-8")
    return re.search(rf"^contract {name} \{{", text, re.M) is not None


def most(name: str, runs: int) -> int:
    """Return the number of runs, or sequences, after which a bug counts as not found."""
    return runs // DEPTH if is_invariant(name) else runs


def stage() -> None:
    """Copy the project to the folder that both programs use."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.copytree(HERE, FOLDER, ignore=shutil.ignore_patterns("__*"))


def here() -> list[str]:
    """Return the command line of `hypervisor test`."""
    return [str(Path(sys.executable).with_name("hypervisor")), "test", str(FOLDER), "--use", str(PACKAGE)]


def found(command: Sequence[str], names: Sequence[str], seed: int, runs: int, profile: str = "default") -> Runs:
    """Return the runs before each bug was found, or all runs for a bug that was not found."""
    for kept in ("fuzz", "invariant", "corpus", "test-failures"):
        shutil.rmtree(FOLDER / "cache" / kept, ignore_errors=True)
    settings = ["--json", "--fuzz-runs", str(runs), "--fuzz-seed", str(seed), "--match-contract", _exactly(names)]
    environment = os.environ | {
        "CLIENTS": str(INSTALLED),
        "NO_COLOR": "1",
        "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1",
        "FOUNDRY_OFFLINE": "true",
        "FOUNDRY_PROFILE": profile,
        "FOUNDRY_INVARIANT_RUNS": str(runs // DEPTH),
        "FOUNDRY_INVARIANT_DEPTH": str(DEPTH),
    }
    done = subprocess.run(
        [*command, *settings], cwd=FOLDER, env=environment, capture_output=True, text=True, check=False
    )
    start = done.stdout.find("{")
    try:
        content: Mapping[str, Any] = json.JSONDecoder().raw_decode(done.stdout, max(start, 0))[0]
    except ValueError:
        raise RuntimeError(f"{command[0]}: {(done.stderr or done.stdout)[-2000:]}") from None
    ends: Runs = {}
    for suite, tests in content.items():
        for test in tests["test_results"].values():
            (figures,) = test["kind"].values()
            name = suite.split(":")[1]
            ends[name] = figures["runs"] if test["status"] == "Failure" else most(name, runs)
    if set(ends) != set(names):
        raise RuntimeError(f"{command[0]} ran {len(ends)} of {len(names)} bugs: {done.stderr[-2000:]}")
    return ends


def _exactly(names: Sequence[str]) -> str:
    return f"^({'|'.join(names)})$"


def compared(name: str, theirs: Sequence[Runs], ours: Sequence[Runs], guided: Sequence[Runs]) -> dict[str, float]:
    """Return a bug's median runs by program."""
    rows = {"forge": theirs, "here": ours, "here with a corpus": guided}
    return {who: median(runs[name] for runs in found) for who, found in rows.items() if found}


if __name__ == "__main__":
    sys.exit(main())
