"""The output of `hypervisor --help`, in typer's layout, without typer's renderer and its Markdown parser."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fvm_hypervisor.cli.commands import Row

_OPTION: Final = "bold cyan"
_COLOURED: Final = ("GITHUB_ACTIONS", "FORCE_COLOR", "PY_COLORS")
"""Environment variables with which typer prints colours to any output."""


def print_overview(usage: str, summary: str, options: Iterable[tuple[str, str]], commands: Sequence[Row]) -> None:
    """Print a usage line, the options with their help, and the commands by panel."""
    width = os.environ.get("TERMINAL_WIDTH", "")
    console = Console(
        force_terminal=any(map(os.environ.get, _COLOURED)) or None,
        highlight=False,
        width=int(width) if width.isdecimal() and len(width) < 5 else None,
    )
    usage_line = Text(usage)
    usage_line.stylize("yellow", 0, len("Usage: "))
    console.print(Padding(usage_line, 1), style="bold")
    console.print(Padding(summary, (0, 1, 1, 1)))
    name_width = max(len(row.name) for row in commands)
    _print_panel(console, "Options", options, name_width)
    for title, rows in groupby(commands, key=lambda row: row.panel):
        _print_panel(console, title, ((row.name, row.summary) for row in rows), name_width)


def _print_panel(console: Console, title: str, rows: Iterable[tuple[str, str]], width: int) -> None:
    table = Table(show_header=False, expand=True, box=None, padding=(0, 1), pad_edge=False)
    table.add_column(style=_OPTION, no_wrap=True, width=width)
    table.add_column(ratio=10)
    for name, summary in rows:
        table.add_row(name, Text(summary))
    console.print(Panel(table, border_style="dim", title=title, title_align="left"))
