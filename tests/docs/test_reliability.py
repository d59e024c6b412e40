"""The table of docs/reliability.md is generated from the records."""

from __future__ import annotations

from tests.docs.reliability_page import PAGE, lines, replaced


def test_reliability_table_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == replaced(page), "run `make reliability-page`"


def test_each_row_has_the_figures_of_its_record() -> None:
    (migration,) = (line for line in lines() if "| `migration` |" in line)
    assert "| 1,000,000 | 0 | 1 of 1 | `ddf9800c` |" in migration
