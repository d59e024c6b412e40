"""Writes the commands of docs/cli.md, from the command line itself: what `--help` says.

python -m tests.docs.cli_page     make them anew (`make cli-page`)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from typer.testing import CliRunner

from devtools.cli.main import app

PAGE: Final = Path(__file__).resolve().parent.parent.parent / "docs" / "cli.md"
BEGIN: Final = "<!-- commands: make cli-page -->\n"
END: Final = "<!-- end of commands -->\n"
_PANEL: Final = re.compile(r"^╭─ (.*?) ─+╮\n(.*?)^╰─+╯$", re.MULTILINE | re.DOTALL)
_COMMAND: Final = re.compile(r"^│ (\w\S*) +\S", re.MULTILINE)
_TERMINAL: Final = {"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "TERM": "dumb", "GITHUB_ACTIONS": ""}


def replaced(page: str) -> str:
    """The page with its commands as they are now."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + "\n" + "\n".join(sections()) + "\n" + END + rest.split(END)[1]


def sections() -> Iterator[str]:
    """The commands under the panels of `--help`, each with its own."""
    for title, body in _PANEL.findall(help_of()):
        if title != "Options":
            yield f"## {title}\n"
            for name in _COMMAND.findall(body):
                yield from _command(name)


def help_of(*command: str) -> str:
    """What `--help` prints, without the spaces at lines' ends."""
    shown = CliRunner().invoke(app, [*command, "--help"], env=_TERMINAL, prog_name="hypervisor").output
    return "\n".join(line.rstrip() for line in shown.strip().splitlines())


def _command(*name: str) -> Iterator[str]:
    shown = help_of(*name)
    yield f"### hypervisor {' '.join(name)}\n\n```text\n{shown}\n```\n"
    for title, body in _PANEL.findall(shown):
        if title == "Commands":
            for below in _COMMAND.findall(body):
                yield from _command(*name, below)


if __name__ == "__main__":
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
