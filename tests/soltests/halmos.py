"""Verdicts and processor time of halmos and `hypervisor test --symbolic` on halmos' examples (docs/symbolic-tests.md).

`python -m tests.soltests.halmos` runs each test with both programs, in a process of its own. HALMOS names
halmos' program, of version 0.3.3. Times are processor time with child processes, from the start of the program, with
compiled contracts. A finding is a test with another verdict, or a suite that takes more than 1.5 times halmos' time.
Known differences are listed in `DIFFERENCES` with the reason.

Results are stored below build/tests/soltests/halmos by the commit of this project, so the next start of the same commit
continues. Both programs run one after the other, so that the load of the machine affects both.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Final

from hypervisor_tools.soltest.execution.discovery import SuiteFilter
from hypervisor_tools.soltest.execution.job import Options
from hypervisor_tools.soltest.execution.results import CaseStatus
from hypervisor_tools.soltest.project.project import load_project
from hypervisor_tools.soltest.project.test_settings import SymbolicSettings
from hypervisor_tools.soltest.run.serving import SuiteServer
from hypervisor_tools.soltest.run.session import SuiteSession
from tests.harness.recorded import NOT_RUN, RunRecord, commit_of_code, finish, options
from tests.soltests.folder import SuitesMissing
from tests.soltests.runners import SOLC, Chosen
from tests.soltests.stage import INSTALLED, PROJECT, PublicSuite, stage_suite

FOLDER: Final = INSTALLED / "halmos"
RATIO: Final = 1.5
"""Maximum time of a suite, as a multiple of halmos' time."""
TIMEOUT: Final = 900
"""Maximum elapsed seconds of a test; a longer one is not decided."""
LOOPS: Final = 257
"""Bound of loops, in place of the annotations `@custom:halmos --loop 256`."""
_LIBRARIES: Final = {
    "lib/forge-std": "forge-std@1eea5bae12ae557d589f9f0f0edae2faa47cb262",
    "lib/halmos-cheatcodes": "halmos-cheatcodes@6da4e692c357ba6d641a2e677a28298cac9f76ab",
    "lib/openzeppelin-contracts": "openzeppelin-contracts@dbb6104ce834628e473d2173bbc9d47f81a9eec3",
    "lib/solady": "solady@4d4a7572ad01e84e96370e42bd10d1cc16c1fb65",
    "lib/solmate": "solmate@bfc9c25865a274a7827fea5abf6e4fb64fc64e6c",
}
_COMMIT: Final = "079bb4241d1b460baf986257d56ea86977d73451"
_SUITES: Final = ("tokens/ERC20", "tokens/ERC721", "simple")
_FOUNDRY: Final = '[profile.default]\nsrc = "src"\nout = "out"\nlibs = ["lib"]\nevm_version = "cancun"\n'
_REMAPPINGS: Final = "openzeppelin/=lib/openzeppelin-contracts/contracts/\nmulticaller/=src/multicaller/\n"
DIFFERENCES: Final = {
    "check_canFindCompactSignatureFromOriginal":
        "halmos' counterexample has an invented signature, with which the concrete test does not fail",
    "check_canNotVoteTwice": "halmos invents the signature of a symbolic digest, which is not modelled here",
}  # fmt: skip
"""Tests that fail by halmos with an input that was not run, and are not decided here, with the reason."""
Key = tuple[str, str, str]
"""Source, contract and name of a test."""


@dataclass(frozen=True, slots=True)
class Result:
    """Result of a test: `PASS`, `FAIL` or `NOT DECIDED` with the reason if known, and seconds of processor time."""

    verdict: str
    seconds: float

    def agrees(self, other: "Result") -> bool:
        """Return True if both verdicts are the same, whatever the reasons."""
        return self.verdict.partition(":")[0] == other.verdict.partition(":")[0]


def main() -> int:
    """Return the exit code: 1 for a finding, 2 without the programs or the suites."""
    if sys.argv[1:2] in (["here"], ["halmos"]):
        program, folder, source, contract, name = sys.argv[1:]
        run = run_here if program == "here" else run_halmos
        print(run(Path(folder), (source, contract, name)))
        return 0
    parser = options(__doc__, 60)
    parser.add_argument("--suites", default=",".join(_SUITES), help=f"of {', '.join(_SUITES)}")
    chosen = parser.parse_args()
    suites = chosen.suites.split(",")
    if unknown := set(suites) - set(_SUITES):
        parser.error(f"no suite {', '.join(sorted(unknown))}: there are {', '.join(_SUITES)}")
    started = time.monotonic()
    if shutil.which(os.environ.get("HALMOS", "")) is None:
        print(f"{NOT_RUN}HALMOS does not name the program of halmos: install it with `pip install halmos==0.3.3`")
        return 2
    try:
        tests = [(suite, key) for suite in suites for key in stage(suite)]
    except SuitesMissing as lack:
        print(f"{NOT_RUN}{lack}")
        return 2
    tests = Random(chosen.seed).sample(tests, len(tests))[: chosen.count]
    found = {test: both(*test) for test in tests}
    return finish(record_of(chosen.seed, dict(sorted(found.items()))), chosen, started)


def suite_of(name: str) -> PublicSuite:
    """Return an example as a suite."""
    return PublicSuite(f"halmos/examples/{name}", _LIBRARIES, commit=_COMMIT, solc="solc-0.8.30")


def stage(name: str) -> list[Key]:
    """Assemble an example and compile it for both programs; return its tests. Raises SuitesMissing."""
    where = FOLDER / name
    stage_suite(suite_of(name), where)
    (where / "foundry.toml").write_text(_FOUNDRY, encoding="utf-8")
    (where / "remappings.txt").write_text(_REMAPPINGS, encoding="utf-8")
    command = ["forge", "build", "--ast", "--extra-output", "storageLayout", "metadata", "--use", str(SOLC)]
    environment = Chosen(where, suite_of(name), 0).environment
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SuitesMissing(f"{name} does not compile: {(done.stderr or done.stdout)[-2000:]}")
    return [(suite.file, suite.contract, test.name) for suite in session_of(where).suites for test in suite.tests]


def session_of(where: Path, key: Key | None = None) -> SuiteSession:
    """Return a session with the symbolic tests of a folder, or with one of them."""
    solc = INSTALLED / "node_modules" / suite_of("").solc
    wanted = SuiteFilter(symbolic="checks")
    if key is not None:
        wanted = wanted._replace(path=key[0], contract=f"^{key[1]}$", test=rf"^{key[2]}\(")
    project = replace(load_project(where), symbolic=SymbolicSettings(loop=LOOPS))
    session = SuiteSession(project, wanted, Options(use=str(solc)))
    session.prepare()
    return session


def run_here(where: Path, key: Key) -> str:
    """Run a test in this process, so that its processor time can be read; return its verdict."""
    session, found = session_of(where, key), []
    server = SuiteServer(session.job(), lambda name, content: found.append(content) if name == "test" else None)
    try:
        for suite in session.suites:
            server.run(suite)
    finally:
        server.close()
    names = {CaseStatus.SUCCESS: "PASS", CaseStatus.FAILURE: "FAIL"}
    return " ".join(names.get(one.status, f"NOT DECIDED: {one.reason}") for one in found)


def run_halmos(where: Path, key: Key) -> str:
    """Run a test with halmos; return its verdict."""
    output = where / "halmos.json"
    output.unlink(missing_ok=True)
    command = [os.environ["HALMOS"], "--no-status", "--json-output", str(output), "--forge-build-out", "out",
               "--match-contract", f"^{key[1]}$", "--match-test", rf"^{key[2]}\("]  # fmt: skip
    environment = Chosen(where, suite_of(""), 0).environment | {"FOUNDRY_SOLC": str(SOLC)}
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
    if not output.exists():
        raise RuntimeError(f"halmos: {(done.stderr or done.stdout)[-2000:]}")
    found = json.loads(output.read_text(encoding="utf-8"))["test_results"]
    codes = [test["exitcode"] for name, tests in found.items() if name.startswith(f"{key[0]}:") for test in tests]
    return " ".join({0: "PASS", 1: "FAIL"}.get(code, "NOT DECIDED") for code in codes)


def both(suite: str, key: Key) -> dict[str, Result]:
    """Return the results of a test with both programs."""
    return {program: cached_result(program, suite, key) for program in ("halmos", "here")}


def cached_result(program: str, suite: str, key: Key) -> Result:
    """Return the result of a test with a program; run the test if this commit has no result of it."""
    file = FOLDER / "results" / commit_of_code() / f"{program}-{suite.replace('/', '-')}-{key[1]}-{key[2]}.json"
    if file.exists():
        return Result(**json.loads(file.read_text(encoding="utf-8")))
    found = timed(program, FOLDER / suite, key)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(asdict(found)), encoding="utf-8")
    print(f"{suite} {key[1]}.{key[2]} {program}: {found}", file=sys.stderr, flush=True)
    return found


def timed(program: str, where: Path, key: Key) -> Result:
    """Run a test in a process of its own; return its verdict and the processor time of all its processes."""
    command = [sys.executable, "-m", "tests.soltests.halmos", program, str(where), *key]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True, timeout=TIMEOUT)
        verdict = done.stdout.strip()
    except subprocess.TimeoutExpired:
        verdict = f"NOT DECIDED: no end after {TIMEOUT} seconds"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Result(verdict, round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2))


# --- record -----------------------------------------------------------------------------------------------------------


def record_of(seed: int, found: Mapping[tuple[str, Key], Mapping[str, Result]]) -> RunRecord:
    """Return the record of these tests."""
    rows = {
        f"{suite} {key[1]}.{key[2]}": {program: [one.verdict, one.seconds] for program, one in results.items()}
        for (suite, key), results in found.items()
    }
    same = sum(results["halmos"].agrees(results["here"]) for results in found.values())
    times = {
        suite: {program: round(sum(row[program].seconds for (one, _), row in found.items() if one == suite), 1)
                for program in ("halmos", "here")}
        for suite in sorted({suite for suite, _ in found})
    }  # fmt: skip
    return RunRecord(
        seed, len(found), {"run by both": len(found), "same verdict": same},
        [*different(found), *(f"{suite} takes more than {RATIO} times halmos' time" for suite, row in times.items()
                              if row["here"] > RATIO * row["halmos"])],
        {"seconds of processor time": times, "verdict and seconds of processor time": rows,
         "known differences": DIFFERENCES},
    )  # fmt: skip


def different(found: Mapping[tuple[str, Key], Mapping[str, Result]]) -> Iterator[str]:
    """Yield tests with another verdict than halmos', without the known differences: FAIL there, not decided here."""
    for (suite, key), results in found.items():
        theirs, ours = results["halmos"].verdict, results["here"].verdict
        is_known = key[2] in DIFFERENCES and theirs == "FAIL" and ours.startswith("NOT DECIDED")
        if not results["halmos"].agrees(results["here"]) and not is_known:
            yield f"{suite} {key[1]}.{key[2]}: {theirs} by halmos, {ours} here"


if __name__ == "__main__":
    sys.exit(main())
