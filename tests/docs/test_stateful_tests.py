"""The page about stateful tests: its test finds the planted bug and prints the documented sequence."""

import re
from pathlib import Path

import pytest

from tests.docs.page_shell import REPLACED, run_page
from tests.packaging.project import PROJECT

STATEFUL_TESTS_PAGE = (PROJECT / "docs" / "stateful-tests.md").read_text(encoding="utf-8")
SOURCE = (PROJECT / "examples" / "escrow" / "FlawedEscrow.sol").read_text(encoding="utf-8")


def test_quoted_lines_are_those_of_the_contract() -> None:
    (quoted,) = re.findall(r"^```solidity\n(.*?)^```$", STATEFUL_TESTS_PAGE, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for line in SOURCE.splitlines()]
    assert [line for line in quoted.splitlines() if line not in lines] == []


@pytest.mark.slow
def test_page_finds_the_bug_and_shrinks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REPLACED, '.venv/bin/pip install "$HOME/hypervisor[hypothesis]" pytest', ":")
    *rest, tested = run_page(STATEFUL_TESTS_PAGE, tmp_path / "page")
    for ran in rest:
        ran.check()
    tested.check()
    assert "1 failed, 1 passed" in tested.output, tested.output
    (documented,) = re.findall(
        r"^```text\nFailing test case:\n(.*?)^```$", STATEFUL_TESTS_PAGE, re.MULTILINE | re.DOTALL
    )
    printed = "\n".join(line.removeprefix("E").strip() for line in tested.output.splitlines())
    assert documented.strip() in re.sub(r"\b(sender|to)=1\b", r"\1=0", printed), (
        tested.output
    )  # either client is minimal


@pytest.mark.slow
def test_strategies_of_the_page_run(tmp_path: Path) -> None:
    written, strategies = re.findall(r"^```python\n(.*?)^```$", STATEFUL_TESTS_PAGE, re.MULTILINE | re.DOTALL)
    machine, mark, test = written.partition("@pytest.mark.parametrize")
    test = test.replace("EscrowMachine.", "WithStrangers.").replace("200", "20").replace(', "FlawedEscrow"', "")
    copying = re.findall(r"^cp .*$", STATEFUL_TESTS_PAGE, re.MULTILINE)[0]
    page = f"```console\n{copying}\n```\n```python\n{machine}{strategies}\n\n{mark}{test}```\n"
    for ran in run_page(f"{page}```console\n.venv/bin/pytest -q   # 1 passed\n```\n", tmp_path / "page"):
        ran.check()
