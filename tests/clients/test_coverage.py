"""The project of docs/pytest.md: coverage by pytest compared with `forge coverage` of the same calls."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.conftest import EXAMPLE, PROJECT, start
from tests.clients.coverage import records

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
