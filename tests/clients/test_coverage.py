"""Coverage compared with `forge coverage`.

- Coverage of a project by `hypervisor test` and by `forge coverage`, as records of lines and of functions.
- Coverage of a project of our own compared with `forge coverage`: equal lines, functions and hits.
- The project of docs/pytest.md: coverage by pytest compared with `forge coverage` of the same calls.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.conftest import EXAMPLE, PROJECT, start

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


pytestmark = pytest.mark.long
COVERED = Path(__file__).resolve().parent / "covered"


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ("", []),
        ("optimizer = true\noptimizer_runs = 999999\n", []),
        ("optimizer = true\nvia_ir = true\n", []),
        ("optimizer = true\nvia_ir = true\n", ["--ir-minimum"]),
        ("", ["--ir-minimum"]),
    ],
)
def test_line_and_function_coverage_matches_forge(
    settings: str, options: list[str], clients: Path, tmp_path: Path
) -> None:
    project = tmp_path / "covered"
    shutil.copytree(COVERED, project)
    with (project / "foundry.toml").open("a", encoding="utf-8") as config:
        config.write(settings)
    ours, theirs = hits_of_both_runners(clients, project, *options)
    assert not (project / "out").exists()
    assert ours.keys() == theirs.keys()
    assert len([key for key in ours if key[0].startswith("src/")]) == 6
    for (source, kind), hits in ours.items():
        expected = theirs[source, kind]
        assert hits.keys() == expected.keys()
        assert 0 in expected.values() or not source.startswith("src/")
        different = {name for name in hits if hits[name] != expected[name]}
        # Where several statements share a line, forge counts the first one, and we the one that ran most often.
        lines = (project / source).read_text(encoding="utf-8").splitlines()
        assert all(kind == "DA" and lines[int(name) - 1].lstrip().startswith("for ") for name in different)


PAGE = (PROJECT / "docs" / "pytest.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```\w+\n(?://|#) ((?:src|tests)/\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
FORGE = """// SPDX-License-Identifier: MIT
pragma solidity ^0.8.13;
import {Counter} from "../src/Counter.sol";
contract CounterTest {
    Counter counter = new Counter();
    function test_increment() public {
        counter.setNumber(5);
        counter.increment();
        counter.increment();
        assert(counter.number() == 7);
    }
    function test_limit() public {
        (bool done,) = address(counter).call(abi.encodeCall(Counter.setNumber, 100));
        assert(!done);
    }
}
"""


@pytest.mark.parametrize("options", [[], ["-n", "2"]])
def test_hits_are_those_of_forge(clients: Path, tmp_path: Path, options: list[str]) -> None:
    for name, text in {**FILES, "test/Counter.t.sol": FORGE}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "foundry.toml").write_text("[profile.default]\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--sol-coverage", *options],
        cwd=tmp_path, env={**os.environ, "FOUNDRY_SOLC": str(clients / "node_modules" / "solc")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (shown,) = re.findall(r"^╭.*?╯$", PAGE, re.MULTILINE | re.DOTALL)
    assert shown in done.stdout
    theirs = start(
        clients, "forge", "coverage", "--use", EXAMPLE / "solc.mjs", "--report", "lcov", "--report-file", "theirs",
        folder=tmp_path,
    )  # fmt: skip
    assert (tmp_path / "theirs").exists(), theirs.stdout + theirs.stderr
    expected = {key: hits for key, hits in records(tmp_path / "theirs").items() if key[0] == "src/Counter.sol"}
    assert records(tmp_path / "lcov.info") == expected
    assert expected
