"""The tutorial's tests are run as they stand, in a folder of their own."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.page_shell import run_page

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```python\n# (test_\w+\.py)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))

BEFORE_FOUNDRY = PAGE.partition("\n## A deployment with Foundry\n")[0]
"""The part that takes no program but Python; `tests/clients` follows the whole page."""


def test_every_python_block_is_a_file_of_tests() -> None:
    assert len(FILES) == PAGE.count("```python\n") == 5


def test_every_command_does_what_the_page_says_in_its_order_in_one_shell(tmp_path: Path) -> None:
    every = run_page(BEFORE_FOUNDRY, tmp_path / "page")
    for ran in every:
        ran.check()
    versions = every[-1]
    assert "1 failed, 17 passed" in versions.output, versions.output
    assert "test_leading_zeros_are_counted: failed on nv27, passed on nv28" in versions.output


def test_the_pages_that_it_names_are_there() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
