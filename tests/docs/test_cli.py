"""Help of each command has an example; unsupported options of anvil have a table."""

import re

import pytest

from tests.docs.cli_page import commands, help_of, refused_anvil_options


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
