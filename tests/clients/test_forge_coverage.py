"""Coverage of a public suite beside `forge coverage`: the same lines, the same functions."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.clients.conftest import EXAMPLE, start
from tests.conftest import data_file

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """fvm-solidity with forge-std, without the optimizer, as forge's coverage compiles it."""
    folder = tmp_path_factory.mktemp("suite") / "fvm-solidity"
    shutil.copytree(data_file("suites/fvm-solidity"), folder)
    shutil.copytree(data_file("suites/forge-std"), folder / "lib" / "forge-std")
    config = folder / "foundry.toml"
    text = config.read_text(encoding="utf-8")
    for key in ("optimizer", "via_ir"):
        text = text.replace(f"{key} = true", f"{key} = false")
    config.write_text(text, encoding="utf-8")
    return folder


def records(file: Path) -> dict[tuple[str, str], dict[str, int]]:
    """Hits by file and kind of record, by line (DA) or by name (FNDA)."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    source = ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("SF:"):
            source = line.removeprefix("SF:")
        elif match := re.fullmatch(r"(DA|FNDA):([^,]+),([^,]+)", line):
            kind, first, second = match.groups()
            name, hits = (first, second) if kind == "DA" else (second, first)
            found.setdefault((source, kind), {})[name] = int(hits)
    return found


def test_the_lines_of_a_public_suite_are_covered_as_forge_says(clients: Path, suite: Path) -> None:
    solc = clients / "node_modules" / "solc"
    ours = start(
        clients, Path(sys.executable).with_name("hypervisor"), "test", "--use", solc, "--coverage", "--lcov", "ours",
        folder=suite,
    )  # fmt: skip
    assert ours.returncode == 0, ours.stdout + ours.stderr
    start(
        clients, "forge", "coverage", "--use", EXAMPLE / "solc.mjs", "--report", "lcov", "--report-file", "theirs",
        folder=suite,
    )  # fmt: skip
    found, expected = records(suite / "ours"), records(suite / "theirs")
    assert {key: set(hits) for key, hits in found.items()} == {key: set(expected[key]) for key in found}
    lines = [(hits[line], expected[key][line]) for key, hits in found.items() if key[1] == "DA" for line in hits]
    functions = [(hits[name], expected[key][name]) for key, hits in found.items() if key[1] == "FNDA" for name in hits]
    assert len(lines) > 800
    assert len(functions) > 100
    # Where several statements share a line, forge counts the first one, and we the one that ran most often. Fuzz tests
    # run with other inputs: what only some of them reach may be covered in one run and not in another.
    assert sum(ours == theirs for ours, theirs in lines) > 0.95 * len(lines)
    assert sum((ours > 0) == (theirs > 0) for ours, theirs in lines) > 0.995 * len(lines)
    assert all((ours > 0) == (theirs > 0) for ours, theirs in functions)
