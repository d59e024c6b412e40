"""Rendering of a call tree as a standalone SVG: one line per call, indented by depth up to `DEEPEST`."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

from fvm_hypervisor.explorer.call_rows import DEEPEST, CallRow, call_rows
from hypervisor.printable import printable

MAX_LINES: Final = 2_000
_ROW: Final = 18
_INDENT: Final = 16
_LETTER: Final = 7.3
_LONGEST: Final = 160
_COLOURS: Final = {"wasm": "#6d3aa0", "evm": "#0a6478"}
_STYLE: Final = (
    "svg{background:#fff}text{font:12px ui-monospace,monospace;fill:#1c1d1f;white-space:pre}.q{fill:#5f6368}"
    ".b{fill:#b3261e}line{stroke:#d5d5d0}"
)


def tree_svg(report: Mapping[str, Any]) -> str:
    """Return a decoded trace (`explain_trace`) as an SVG call tree of at most `MAX_LINES` calls."""
    rows, total = call_rows(report, 0, MAX_LINES)
    lines = [_line(row) for row in rows]
    if total > len(rows):
        lines.append((0, [("q", f"... and {total - len(rows):,} more calls")]))
    width = int(max((_INDENT * depth + _LETTER * _length(spans) for depth, spans in lines), default=300)) + 40
    height = _ROW * (len(lines) + 2) + 10
    title = printable(f"{report['transactionHash']}: exit {report['exit']}")
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<style>{_STYLE}</style>",
        f'<text x="10" y="20">{escape(title)}</text>',
        *(_draw(index, depth, spans) for index, (depth, spans) in enumerate(lines)),
        "</svg>",
        "",
    ])  # fmt: skip


def _line(row: CallRow) -> tuple[int, list[tuple[str, str]]]:
    """Return a call's indentation depth and its text spans, each with a CSS class or colour."""
    depth = min(row.depth, DEEPEST)
    if row.log:
        return depth, [("q", printable(f"console.log: {row.log}", _LONGEST))]
    call, decoded = row.call, row.call["decoded"]
    spans = [
        (_COLOURS.get(call["runtime"], "q"), f"{call['runtime'] or '-'} "),
        ("", f"{printable(call['to'], 24)} {printable(decoded['callee'], 60)}.{printable(decoded['function'], 80)}"),
        ("q", printable(decoded["arguments"], _LONGEST)),
    ]
    if call["value"] != "0":
        spans.append(("", f" {decoded['value']}"))
    if row.failed:
        spans.append(("b", f" {printable(decoded['exit'], _LONGEST)}"))
    spans.append(("q", f" {call['gas']:,} gas"))
    return depth, spans


def _length(spans: list[tuple[str, str]]) -> int:
    return sum(len(text) for _, text in spans)


def _draw(row: int, depth: int, parts: list[tuple[str, str]]) -> str:
    x, y = 10 + _INDENT * depth, _ROW * (row + 2) + 10
    spans = "".join(f"<tspan{_style_attribute(look)}>{escape(text)}</tspan>" for look, text in parts)
    edge = f'<line x1="{x - 10}" y1="{y - 4}" x2="{x - 3}" y2="{y - 4}"/>' if depth else ""
    return f'{edge}<text x="{x}" y="{y}" xml:space="preserve">{spans}</text>'


def _style_attribute(look: str) -> str:
    return f' style="fill:{look}"' if look.startswith("#") else f' class="{look}"' if look else ""
