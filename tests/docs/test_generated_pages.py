"""Committed tables of pages equal their generators; pages include each part that `make docs` generates once."""

import re
from types import ModuleType

import pytest

from tests.docs import generated_parts, reliability_page, syscalls_page
from tests.packaging.project import PROJECT


@pytest.mark.parametrize(
    ("generator", "target"),
    [(reliability_page, "reliability-page"), (syscalls_page, "syscalls-page")],
    ids=lambda value: getattr(value, "__name__", value).rpartition(".")[2],
)
def test_page_equals_generated_page(generator: ModuleType, target: str) -> None:
    page = generator.PAGE.read_text(encoding="utf-8")
    assert generator.replaced(page) == page, f"run `make {target}`"


def test_pages_include_each_part_once() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (PROJECT / "docs").glob("*.md"))
    included = re.findall(r"^```\{include\} \.\./build/docs-parts/(.+)\.md\n```$", pages, re.MULTILINE)
    assert sorted(included) == sorted(generated_parts.PARTS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("commands", "### hypervisor actor inspect"),
        ("rpc-methods", 'eth_chainId []  ->  "0x'),
        ("foundry-keys", "| `via_ir` | yes |"),
    ],
)
def test_part_lists_name(part: str, line: str) -> None:
    assert f"\n{line}" in generated_parts.PARTS[part]()
