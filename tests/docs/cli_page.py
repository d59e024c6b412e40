"""Generator of the commands in docs/cli.md from the output of `--help`.

Also writes the unsupported options of anvil to docs/coming-from-foundry.md, with their error texts.

python -m tests.docs.cli_page     regenerate both (`make cli-page`)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from typer.testing import CliRunner

from fvm_hypervisor.cli import anvil_options
from fvm_hypervisor.cli.main import app
from tests.docs.page_shell import between

_DOCS: Final = Path(__file__).resolve().parent.parent.parent / "docs"
PAGE: Final = _DOCS / "cli.md"
BEGIN: Final = "<!-- commands: make cli-page -->\n"
END: Final = "<!-- end of commands -->\n"
OPTIONS_PAGE: Final = _DOCS / "coming-from-foundry.md"
_OPTIONS: Final = {"anvil": anvil_options.UNSUPPORTED}
_OPTIONS_END: Final = "<!-- end of options -->\n"
_PANEL: Final = re.compile(r"^╭─ (.*?) ─+╮\n(.*?)^╰─+╯$", re.MULTILINE | re.DOTALL)
_COMMAND: Final = re.compile(r"^│ (\w\S*) +\S", re.MULTILINE)
_TERMINAL: Final = {"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "TERM": "dumb", "GITHUB_ACTIONS": ""}


def replaced(page: str) -> str:
    """Return the page with the generated commands."""
    return between(page, BEGIN, END, "\n" + "\n".join(sections()) + "\n")


def with_options(page: str) -> str:
    """Return the page with the anvil options that the command refuses, and their error texts."""
    for program, reasons in _OPTIONS.items():
        begin = f"<!-- options of {program}: make cli-page -->\n"
        before, rest = page.split(begin)
        rows = "".join(f"| `{option}` | {reason} |\n" for option, reason in reasons.items())
        behind = rest.partition(_OPTIONS_END)[2]
        page = f"{before}{begin}| option | here |\n|---|---|\n{rows}{_OPTIONS_END}{behind}"
    return page


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


if __name__ == "__main__":
    for path, anew in ((PAGE, replaced), (OPTIONS_PAGE, with_options)):
        path.write_text(anew(path.read_text(encoding="utf-8")), encoding="utf-8")
