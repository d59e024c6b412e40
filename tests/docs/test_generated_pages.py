"""Generated tables: the committed ones are up to date, pages include each part once, and nothing is missing.

Each command has an example in its help, and each option and key of forge has its row.
"""

import re
from types import ModuleType

import pytest

from fvm_hypervisor.cli.foundry.settings import ALIASES, UNSUPPORTED
from fvm_hypervisor.soltest.foundry_keys import NOT_READ
from tests.docs import generated_parts, reliability_page, syscalls_page
from tests.docs.cli_page import commands, help_of, refused_anvil_options
from tests.docs.forge_names import recorded
from tests.docs.foundry_flags_page import ELSEWHERE, forge_test_options, keys, own_options, reads, report_options
from tests.packaging.project import PROJECT

NAMES = recorded()


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


def test_refused_anvil_options_are_listed_with_their_reasons() -> None:
    assert "| `--ipc` | the node only listens on a port: " in refused_anvil_options()


@pytest.mark.slow
def test_every_command_has_an_example_or_commands_below_it() -> None:
    names = re.findall(r"^### hypervisor (.+)$", commands(), re.MULTILINE)
    assert len(names) > 60
    texts = {name: help_of(*name.split()) for name in names}
    lacking = [
        name for name, text in texts.items() if f"Example: hypervisor {name}" not in text and "─ Commands ─" not in text
    ]
    assert lacking == []


@pytest.mark.slow
def test_each_option_and_key_of_forge_has_its_row() -> None:
    text = forge_test_options() + report_options() + keys()
    rows = re.findall(r"^\| `([^`]+)` \| (?:yes|no: |[^|]{10})", text, re.MULTILINE)
    assert rows == [*NAMES["test"], *NAMES["coverage"], *NAMES["snapshot"], *NAMES["keys"]]


@pytest.mark.slow
def test_missing_flag_lists_contain_no_stale_entries() -> None:
    assert set(UNSUPPORTED) | set(ALIASES) <= {*NAMES["test"], "-D", "-k", "-r"}
    assert set(ELSEWHERE) <= {*NAMES["coverage"], *NAMES["snapshot"]} - own_options()
    assert set(NOT_READ) == {key for key in NAMES["keys"] if not reads(key)}
