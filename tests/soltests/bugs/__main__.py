"""Has forge and `hypervisor test` look for thirty planted bugs (docs/forge-differences.md).

Both get the same project, compiler (npm's), runs and seeds. An input is a bug; what counts is the median over the seeds
of the runs before the find, of an invariant the sequences of twenty calls; a bug that is not found has used up all. A
finding is a bug that forge finds with each seed, and that is found here with none; more runs than forge's are details.
"""

from __future__ import annotations

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

from bench.recorded import NOT_RUN, RunRecord, finish, options
from tests.soltests.runners import PACKAGE, SOLC
from tests.soltests.stage import INSTALLED, PROJECT

HERE: Final = Path(__file__).resolve().parent
FOLDER: Final = INSTALLED / "bugs"
FORGE: Final = tuple(
    PROJECT / "build" / "tests" / name / "node_modules" / ".bin" / "forge" for name in ("soltests", "clients")
)
DEPTH: Final = 20
"""Calls in a sequence: an invariant has the number of runs divided by this."""
BLIND: Final = "no dictionary"

Runs = dict[str, int]
"""Runs before the find by bug."""


def main() -> int:
    """The exit code: 1 for a bug that only forge finds, 2 without the programs.

    forge has one thread: of several it would say the runs of one.
    """
    names = bugs()
    parser = options(__doc__, len(names))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=20_000, help="of a fuzz test, and calls of an invariant, at most")
    parser.add_argument("--corpus", action="store_true", help="look here once more, with a corpus that begins empty")
    chosen = parser.parse_args()
    program = next((file for file in FORGE if file.exists()), None)
    if program is None or not PACKAGE.is_dir():
        print(f"{NOT_RUN}no forge or no solc of npm: scripts/clients tests/soltests, scripts/clients tests/clients")
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
    blind = found(here(), wanted, chosen.seed, min(chosen.runs, 2000), profile="blind")
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
        {BLIND: {"bugs": sum(blind[name] >= most(name, min(chosen.runs, 2000)) for name in wanted)}},
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
    """The test contracts, fuzz tests and invariants by turns."""
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
    """The project as both find it."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.copytree(HERE, FOLDER, ignore=shutil.ignore_patterns("__*"))


def here() -> list[str]:
    """The command of this project."""
    return [str(Path(sys.executable).with_name("hypervisor")), "test", str(FOLDER), "--use", str(PACKAGE)]


def found(command: Sequence[str], names: Sequence[str], seed: int, runs: int, profile: str = "default") -> Runs:
    """The runs before each find; all of them where there is none."""
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
        content: Mapping[str, Any] = json.loads(done.stdout[max(start, 0) :].splitlines()[0])
    except (ValueError, IndexError):
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
    """The medians."""
    rows = {"forge": theirs, "here": ours, "here with a corpus": guided}
    return {who: median(runs[name] for runs in found) for who, found in rows.items() if found}


if __name__ == "__main__":
    sys.exit(main())
