"""Tests that the documentation names exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_a_page_names_exists() -> None:
    missing = [
        f"{page.name}: {file}::{name}"
        for page in (ROOT / "docs").rglob("*.md")
        for file, name in re.findall(r"`(?:tests/)?([\w/]+\.py)::(test_\w+)", page.read_text(encoding="utf-8"))
        if f"def {name}(" not in (ROOT / "tests" / file).read_text(encoding="utf-8")
    ]
    assert not missing
