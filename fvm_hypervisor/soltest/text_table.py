"""Text tables with lines between rows, as in forge's reports."""

from __future__ import annotations

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: bool = False) -> list[str]:
    """Return the lines of a table; after the first column, numbers are right-aligned unless `left`."""
    widths = [max(len(row[index]) for row in (head, *rows)) for index in range(len(head))]
    line = "|" + "+".join("-" * (width + 2) for width in widths) + "|"
    lines = ["╭" + line[1:-1] + "╮", _row(head, widths, left), "+" + "=" * (len(line) - 2) + "+"]
    for index, row in enumerate(rows):
        lines += [line] if index else []
        lines.append(_row(row, widths, left))
    return [*lines, "╰" + line[1:-1] + "╯"]


def _row(cells: Sequence[str], widths: Sequence[int], left: bool) -> str:
    padded = (
        cell.rjust(width) if cell[:1].isdigit() and index and "%" not in cell and not left else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"| {' | '.join(padded)} |"
