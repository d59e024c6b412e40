"""Flame graphs: calls as boxes below their callers, with widths proportional to gas, coloured by runtime.

A single SVG, or an HTML page around it, without external resources and scripts; a box's details are its title, shown on
hover. Names are untrusted and escaped here. Boxes too narrow to see are omitted and counted, so that the size of the
image is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Final

from hypervisor.text import printable

MAX_BOXES: Final = 20_000
_WIDTH: Final = 1200
_ROW: Final = 18
_MARGIN: Final = 10
_HEAD: Final = 44
_NARROWEST: Final = 0.3
_LETTER: Final = 6.2
_MAX_DETAILS: Final = 2_000
_COLOURS: Final = {"wasm": "#c39be0", "evm": "#7fc4d6", "": "#c9c9c9"}
_OTHER_COLOUR: Final = "#a5cf9a"
_STYLE: Final = (
    "text{font:11px ui-monospace,monospace;fill:#1b1b1b}text.head{font-size:14px;font-weight:bold}"
    "rect{stroke:#fff;stroke-width:.5}.failed rect{stroke:#c62828;stroke-width:1.5}.cause rect{fill:#e57373}"
    "g:hover>rect{opacity:.75}"
)


@dataclass(frozen=True, slots=True)
class FlameBox:
    """A call: the label of its box, the lines of its title, its gas and runtime, and its callees.

    `cause` marks the call that explains the failure.
    """

    label: str
    details: tuple[str, ...]
    gas: int
    runtime: str
    failed: bool = False
    cause: bool = False
    inner: tuple[FlameBox, ...] = ()


@dataclass(frozen=True, slots=True)
class _PositionedBox:
    box: FlameBox
    left: float
    width: float
    depth: int


def flame_svg(title: str, roots: Sequence[FlameBox], gas: int) -> str:
    """Return an SVG of the calls of a message that used `gas`; gas not used by a call is empty space."""
    placed, left_out = _layout(roots, max(gas, sum(box.gas for box in roots), 1))
    height = _HEAD + _ROW * (2 + max((item.depth for item in placed), default=0)) + _MARGIN
    note = f"; {left_out:,} calls are too narrow to show" if left_out else ""
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text class="head" x="{_MARGIN}" y="20">{_safe(title)}</text>',
        f'<text x="{_MARGIN}" y="37">gas {gas:,}, from left to right{note}. {_legend(placed)}</text>',
        *(_draw(item) for item in placed),
        "</svg>",
        "",
    ])  # fmt: skip


def merge_boxes(roots: Sequence[FlameBox]) -> tuple[FlameBox, ...]:
    """Merge boxes with the same label and runtime below one caller, adding up their gas; the widest come first."""
    rows = _alike(roots)
    below: list[tuple[int, int]] = []
    for row in rows:  # grows during iteration instead of recursion, since calls are up to 1,024 deep
        begin = len(rows)
        rows += _alike([inner for box in row for inner in box.inner])
        below.append((begin, len(rows)))
    made: dict[int, FlameBox] = {}
    for row_index in reversed(range(len(rows))):
        row, inner = rows[row_index], [made[number] for number in range(*below[row_index])]
        first, gas = row[0], sum(box.gas for box in row)
        details = first.details if len(row) == 1 else (f"{first.label}: {len(row)} calls", f"{gas:,} gas")
        made[row_index] = replace(
            first, details=details, gas=gas, failed=any(box.failed for box in row), cause=any(box.cause for box in row),
            inner=tuple(sorted(inner, key=lambda box: -box.gas)),
        )  # fmt: skip
    return tuple(sorted((made[number] for number in range(len(_alike(roots)))), key=lambda box: -box.gas))


def _alike(boxes: Iterable[FlameBox]) -> list[list[FlameBox]]:
    found: dict[tuple[str, str], list[FlameBox]] = {}
    for box in boxes:
        found.setdefault((box.label, box.runtime), []).append(box)
    return list(found.values())


def flame_html(title: str, roots: Sequence[FlameBox], gas: int, lines: Iterable[str]) -> str:
    """Return a page with the SVG and lines of text below it, such as the reason of a failure."""
    text = "".join(f"<li>{_safe(line, _MAX_DETAILS)}</li>" for line in lines)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_safe(title)}</title>\n'
        "<style>body{font:14px/1.5 system-ui,sans-serif;margin:16px}svg{max-width:100%;height:auto}"
        "li{white-space:pre-wrap;overflow-wrap:anywhere}</style></head>\n"
        f"<body>\n{flame_svg(title, roots, gas)}<ol>{text}</ol>\n</body></html>\n"
    )


def _layout(roots: Sequence[FlameBox], gas: int) -> tuple[list[_PositionedBox], int]:
    """Return the position of each box, callers before callees, and the number of omitted boxes."""
    scale = (_WIDTH - 2 * _MARGIN) / gas
    placed: list[_PositionedBox] = []
    left_out = 0
    row = _in_a_row(roots, _MARGIN, 0, scale)
    while row:  # row by row instead of recursion, since calls are up to 1,024 deep
        below: list[_PositionedBox] = []
        for item in row:
            if item.width < _NARROWEST:
                left_out += _count(item.box)
            else:
                placed.append(item)
                below += _in_a_row(item.box.inner, item.left, item.depth + 1, scale)
        row = below
    if len(placed) > MAX_BOXES:
        left_out += len(placed) - MAX_BOXES
        # the sort is stable and no box is wider than its caller, so callers are kept before their callees
        placed = sorted(placed, key=lambda item: -item.width)[:MAX_BOXES]
    return placed, left_out


def _in_a_row(boxes: Sequence[FlameBox], left: float, depth: int, scale: float) -> list[_PositionedBox]:
    row = []
    for box in boxes:
        row.append(_PositionedBox(box, left, box.gas * scale, depth))
        left += box.gas * scale
    return row


def _count(box: FlameBox) -> int:
    boxes = [box]
    for item in boxes:
        boxes.extend(item.inner)
    return len(boxes)


def _draw(item: _PositionedBox) -> str:
    box, top = item.box, _HEAD + _ROW * item.depth
    kinds = [name for name, holds in (("failed", box.failed), ("cause", box.cause)) if holds]
    group = f'<g class="{" ".join(kinds)}">' if kinds else "<g>"
    title = "\n".join(_safe(line) for line in box.details)
    colour = _COLOURS.get(box.runtime, _OTHER_COLOUR)
    letters = int((item.width - 6) / _LETTER)
    label = printable(box.label)
    if len(label) > letters:
        label = f"{label[: letters - 2]}.." if letters > 4 else ""
    text = f'<text x="{item.left + 3:.1f}" y="{top + 13}">{escape(label)}</text>' if label else ""
    return (
        f"{group}<title>{title}</title>"
        f'<rect x="{item.left:.2f}" y="{top}" width="{item.width:.2f}" height="{_ROW - 1}" fill="{colour}"/>{text}</g>'
    )


def _legend(placed: Sequence[_PositionedBox]) -> str:
    names = {"": "no runtime", "wasm": "native: violet", "evm": "evm: blue"}
    shown = [names.get(name, f"{name}: green") for name in dict.fromkeys(item.box.runtime for item in placed)]
    return _safe(", ".join(shown) + ("; failed: red" if any(item.box.failed for item in placed) else ""))


def _safe(text: str, limit: int = 300) -> str:
    return escape(printable(text, limit))
