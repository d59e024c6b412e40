"""docs/tutorial.md with its Foundry part and docs/coming-from-foundry.md, executed step by step."""

import re
import sys
from pathlib import Path

import pytest

from tests.clients.conftest import EXAMPLE, HERE, INSTALLED, PROJECT, installed, search_path
from tests.docs.page_shell import commands, run_page

PAGE = (PROJECT / "docs" / "tutorial.md").read_text(encoding="utf-8")
PART = PAGE.partition("\n## A deployment with Foundry\n")[2].partition("\n## ")[0]
FILES = {
    name: text for text, name in re.findall(r"^```\w+\n((?:#|//) (\S+)\n.*?)^```$", PART, re.MULTILINE | re.DOTALL)
}
TOLD = re.findall(r"^```text\n(.*?)^```$", PART, re.MULTILINE | re.DOTALL)


@pytest.mark.long
def test_the_part_has_its_files_and_commands() -> None:
    assert set(FILES) == {"foundry.toml", "src/Till.sol", "script/Deploy.s.sol"}
    assert sum(bool(expected) for _, expected in commands(PART)) == 8
    assert len(TOLD) == 1


@pytest.mark.long
def test_page_commands_produce_documented_output_in_one_shell(tmp_path: Path) -> None:
    clients = installed(INSTALLED, HERE)
    environment = {
        "CLIENTS": str(clients), "PATH": search_path(clients), "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1",
        "FOUNDRY_OFFLINE": "true", "FOUNDRY_SOLC": str(EXAMPLE / "solc.mjs"),
    }  # fmt: skip
    until = PAGE.partition("\n## An actor that upgrades itself\n")[0]  # that needs cargo, and has a test of its own
    for ran in run_page(until, tmp_path / "page", environment):
        ran.check()
    log = (tmp_path / "page" / "node.log").read_text(encoding="utf-8")
    for line in TOLD[0].splitlines():
        assert line in log


@pytest.mark.long
def test_coming_from_foundry(tmp_path: Path) -> None:
    clients = installed(INSTALLED, HERE)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{search_path(clients)}",
        "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1",
    }
    page = (PROJECT / "docs" / "coming-from-foundry.md").read_text(encoding="utf-8")
    every = run_page(page, tmp_path / "page", environment)
    assert len(every) == 6
    for ran in every:
        ran.check()
