"""Commands of docs/cli.md, from the output of `--help`, and anvil's options that the node refuses."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from typer.testing import CliRunner

from fvm_hypervisor.cli import node as node_command
from fvm_hypervisor.cli.main import app

_PANEL: Final = re.compile(r"^╭─ (.*?) ─+╮\n(.*?)^╰─+╯$", re.MULTILINE | re.DOTALL)
_COMMAND: Final = re.compile(r"^│ (\w\S*) +\S", re.MULTILINE)
_TERMINAL: Final = {"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "TERM": "dumb", "GITHUB_ACTIONS": ""}


def commands() -> str:
    """Return the commands with their help texts."""
    return "\n".join(sections())


def refused_anvil_options() -> str:
    """Return the table of the anvil options that the node refuses, with their error texts."""
    rows = "".join(f"| `{option}` | {reason} |\n" for option, reason in node_command.UNSUPPORTED.items())
    return f"| option | here |\n|---|---|\n{rows}"


def sections() -> Iterator[str]:
    """Return the commands by panel of `--help`, each with its own help."""
    for title, body in _PANEL.findall(help_of()):
        if title != "Options":
            yield f"## {title}\n"
            for name in _COMMAND.findall(body):
                yield from _command(name)


@cache
def help_of(*command: str) -> str:
    """Return the output of `--help` without trailing spaces."""
    shown = CliRunner().invoke(app, [*command, "--help"], env=_TERMINAL, prog_name="hypervisor").output
    return "\n".join(line.rstrip() for line in shown.strip().splitlines())


def _command(*name: str) -> Iterator[str]:
    shown = help_of(*name)
    yield f"### hypervisor {' '.join(name)}\n\n```text\n{shown}\n```\n"
    for title, body in _PANEL.findall(shown):
        if title == "Commands":
            for below in _COMMAND.findall(body):
                yield from _command(*name, below)
