"""The FIP workbook: its commands have the documented output, and its tables add up."""

import re
from pathlib import Path

import pytest

from tests.docs.page_shell import Ran, run_page

FIP_WORKBOOK_ROOT = Path(__file__).parent.parent.parent
FIP_WORKBOOK_PAGE = (FIP_WORKBOOK_ROOT / "docs" / "fip-workbook.md").read_text(encoding="utf-8")
WRITE = 86_000


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> list[Ran]:
    return run_page(FIP_WORKBOOK_PAGE, tmp_path_factory.mktemp("workbook") / "page")


def output(followed: list[Ran], command: str, number: int = 0) -> str:
    """Return a command's output with single spaces."""
    found = [ran for ran in followed if command in ran.command][number]
    return "\n".join(" ".join(line.split()) for line in found.output.splitlines())


@pytest.mark.slow
def test_fip_workbook_commands_match_documented_output(followed: list[Ran]) -> None:
    for ran in followed:
        ran.check()


@pytest.mark.slow
def test_the_changed_price_is_one_charge_and_86_000_gas_a_write(followed: list[Ran]) -> None:
    text = output(followed, "compare corpus --network")
    (charges,) = re.findall(r"^by charge .*\n((?:\S.*\n)+)", text, re.MULTILINE)
    row = re.fullmatch(r"OnBlockLink ([\d,]+)x \S+ \S+ -([\d,]+)\n", charges)
    assert row is not None, charges
    assert int(row[2].replace(",", "")) == WRITE * int(row[1].replace(",", ""))
    table = re.findall(r"^\| (\S+) \| (\d+) \| ([\d,]+) \| ([\d,]+) \|", output(followed, "table.py"), re.MULTILINE)
    assert {"reward.AwardBlockReward", "evm.InvokeEVM"} <= {name for name, *_ in table}
    saved = [int(before.replace(",", "")) - int(after.replace(",", "")) for _, _, before, after in table]
    assert all(round(each / WRITE) * WRITE - each in (-1, 0, 1) for each in saved)  # rounded to whole gas


@pytest.mark.slow
def test_only_changed_method_differs(followed: list[Ran]) -> None:
    text = output(followed, "compare corpus --actor")
    assert ": 4 differ (gas 4, events 4)" in text
    assert re.findall(r"^by actor .*\n(\S+ 4x) .*\n\n", text, re.MULTILINE) == ["ethaccount 4x"]
    assert text.count("event::emit_event: A calls it 0 times, B 1") == 4
    assert text.count("events: A emits 0, B 1") == 4
