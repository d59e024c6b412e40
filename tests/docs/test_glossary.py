"""docs/glossary.md: each term has one row and a module that exists, and the list stays short."""

import re
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
ROWS = re.findall(
    r"^\| ([^|]+) \| ([^|]+) \| `([\w.]+)` \|$", (PROJECT / "docs" / "glossary.md").read_text(encoding="utf-8"), re.M
)
MOST = 80


def test_the_list_is_short_and_names_each_term_once() -> None:
    assert 40 <= len(ROWS) <= MOST
    again = [term for term, count in Counter(term.removesuffix(" *") for term, _, _ in ROWS).items() if count > 1]
    assert not again


@pytest.mark.parametrize(("term", "meaning", "module"), ROWS, ids=[term for term, _, _ in ROWS])
def test_a_term_has_one_or_two_sentences_and_a_module_that_exists(term: str, meaning: str, module: str) -> None:
    assert find_spec(module) is not None, f"{term}: no module {module}"
    assert meaning.endswith("."), f"{term}: not a sentence"
    assert len(re.findall(r"\.(?:\s|$)", meaning)) <= 2, f"{term}: more than two sentences"


@pytest.mark.parametrize("page", ["docs/README.md", "CONTRIBUTING.md"])
def test_the_pages_of_the_project_lead_to_it(page: str) -> None:
    assert "glossary.md" in (PROJECT / page).read_text(encoding="utf-8")
