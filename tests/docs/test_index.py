"""The index of the pages has each of them once."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_every_page_is_listed_once() -> None:
    listed = re.findall(
        r"^\| \[[a-z-]+\]\(([a-z-]+\.md)\)", (DOCS / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(listed) == sorted(page.name for page in DOCS.glob("*.md") if page.name != "README.md")
