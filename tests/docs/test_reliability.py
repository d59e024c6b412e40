"""The table of docs/reliability.md is generated from the records."""

from __future__ import annotations

from tests.docs.reliability_page import PAGE, replaced


def test_reliability_table_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == replaced(page), "run `make reliability-page`"
