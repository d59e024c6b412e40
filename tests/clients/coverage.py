"""Coverage of a project by `hypervisor test` and by `forge coverage`, as records of lines and of functions."""

import re
import sys
from pathlib import Path

from tests.clients.conftest import EXAMPLE, start

Hits = dict[tuple[str, str], dict[str, int]]
"""Hits by line (DA) or function (FNDA), by file and kind of record."""


def hits_of_both_runners(clients: Path, project: Path, *options: str) -> tuple[Hits, Hits]:
    """Return the hits of both runners with these options; all tests must pass. `clients` holds the npm packages."""
    solc = clients / "node_modules" / "solc"
    ours = start(
        clients, Path(sys.executable).with_name("hypervisor"), "test", "--use", solc, "--coverage", "--lcov", "ours",
        *options,        folder=project,
    )  # fmt: skip
    assert ours.returncode == 0, ours.stdout + ours.stderr
    theirs = start(
        clients, "forge", "coverage", "--use", EXAMPLE / "solc.mjs", "--report", "lcov", "--report-file", "theirs",
        *options,        folder=project,
    )  # fmt: skip
    assert (project / "theirs").exists(), theirs.stdout + theirs.stderr
    return records(project / "ours"), records(project / "theirs")


def records(file: Path) -> Hits:
    """Return the records of an lcov file."""
    found: Hits = {}
    source = ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("SF:"):
            source = line.removeprefix("SF:")
        elif match := re.fullmatch(r"(DA|FNDA):([^,]+),([^,]+)", line):
            kind, first, second = match.groups()
            name, hits = (first, second) if kind == "DA" else (second, first)
            found.setdefault((source, kind), {})[name] = int(hits)
    return found
