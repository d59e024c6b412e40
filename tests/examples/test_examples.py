"""The notebooks of examples/notebooks run completely in a kernel with the documented output."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.hypervisor.test_markup import Page

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.fixture(scope="module")
def shown() -> dict[str, list[str]]:
    """Return the output of each notebook's cells, by name."""
    return {path.name: run_notebook(path) for path in NOTEBOOKS}


def run_notebook(path: Path) -> list[str]:
    """Run in a folder with a short name, since a socket path has at most 107 bytes."""
    with TemporaryDirectory(prefix="nb") as folder:
        places = dict.fromkeys(("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"), folder)
        done = subprocess.run(
            [sys.executable, "-m", "tests.examples.notebook_run", str(path), folder],
            env=os.environ | places | {"JUPYTER_PLATFORM_DIRS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def words(shown: list[str]) -> list[str]:
    return [Page(each).words if each.startswith("<div>") else each for each in shown]


@pytest.mark.slow
def test_notebook_shows_contract_trace_gas_changes_and_prices(shown: dict[str, list[str]]) -> None:
    texts = words(shown["inside-a-message.ipynb"])
    expected = [
        r"Network\(filecoin, network version 29, block 0, 10 accounts\)",
        r"\(Contract\(0x[0-9a-f]{40}\), 'DataCap'\)",
        r"transaction.*block2endok",
        r"evm  f0\d+ DataCapName keep\(\).*wasm f07 datacap Name\(\).*-> \"DataCap\"",
        r"gas by partpartgasblocks[\d,]+",
        r"gas by chargechargegasOnBlockLink[\d,]+",
        r"state changes of 0x.*f0\d+ ethaccountnonce12",
        r"f07/stategovernorf06",
        r"5 entries are shown, and more are there",
        r"exit EVM_CONTRACT_REVERTED",
        r"prices, nv24 and nv25",
        r"gas today, .*OnBlockLink[\d,]+$",
    ]
    assert len(texts) == len(expected)
    for words_of_cell, pattern in zip(texts, expected, strict=True):
        assert re.search(pattern, words_of_cell, re.DOTALL), f"{pattern}: {words_of_cell}"


def test_dearer_blocks_change_only_block_link_gas(shown: dict[str, list[str]]) -> None:
    """At twice the price per written byte, OnBlockLink increases by 172,000 gas for each written block."""
    last = shown["inside-a-message.ipynb"][-1]
    totals = re.search(r"<b>([\d,]+) gas today, ([\d,]+) with dearer blocks</b>", last)
    assert totals is not None
    today, dearer, before, after = (
        int(number.replace(",", "")) for number in (*totals.groups(), *re.findall(r">([\d,]+)</td>", last))
    )
    assert dearer - today == after - before
    assert (after - before) % 172_000 == 0


def test_notebooks_are_listed_in_readme_without_stored_output() -> None:
    page = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in NOTEBOOKS if f"(notebooks/{path.name})" not in page] == []
    assert [path.name for path in NOTEBOOKS if '"output_type"' in path.read_text(encoding="utf-8")] == []
