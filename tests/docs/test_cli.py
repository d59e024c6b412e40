"""docs/cli.md lists every command with its usage; unsupported options of anvil have a separate list."""

from __future__ import annotations

import re

import pytest

from tests.docs.cli_page import OPTIONS_PAGE, PAGE, help_of, with_options

TEXT = PAGE.read_text(encoding="utf-8")
COMMANDS = re.findall(r"^### hypervisor (.+)$", TEXT, re.MULTILINE)


def test_missing_anvil_options_are_listed_with_refusal_text() -> None:
    text = OPTIONS_PAGE.read_text(encoding="utf-8")
    assert with_options(text) == text, "run `make cli-page`"
    (section,) = re.findall(r"^## Unsupported features\n(.*)", text, re.MULTILINE | re.DOTALL)
    assert "| `--ipc` | the node only listens on a port: " in section


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example_or_commands_below_it(command: str) -> None:
    text = help_of(*command.split())
    assert f"Example: hypervisor {command}" in text or "─ Commands ─" in text
