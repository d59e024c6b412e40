"""The page of a campaign: coverage over time, findings, proofs and living mutants, as text and as HTML."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

from hypervisor.text import printable
from hypervisor_tools.soltest.campaign.run import LEFT_OUT, finding_lines
from hypervisor_tools.soltest.campaign.state import CampaignFolder, CampaignState
from hypervisor_tools.soltest.project.consent import write_inside

_WIDTH, _HEIGHT = 640, 160
_ROWS: Final = 12
"""Maximum number of rounds in the text's table."""
_MAX_LINE: Final = 4096
_STYLE: Final = "body{font:14px system-ui;margin:2em;max-width:60em}pre{background:#f4f4f4;padding:1em;overflow:auto}"


def page_lines(state: CampaignState) -> Iterator[str]:
    """Yield the lines of the page as text. Control codes in them are escaped."""
    yield from (printable(line, _MAX_LINE) for line in _lines(state))


def _lines(state: CampaignState) -> Iterator[str]:
    rounds = len(state.history)
    runs = state.runs + sum(state.ended.values())
    yield f"{rounds} rounds in {state.seconds:,.0f} s, {runs:,} runs, seed {state.seed}"
    yield from state.notes
    yield ""
    yield f"Findings: {len(state.findings)}"
    for finding in state.findings:
        yield from finding_lines(finding)
    yield from _proof_lines(state)
    yield from _mutant_lines(state)
    yield ""
    yield "Inputs that reach new code, over time:"
    step = max(1, -(-rounds // _ROWS))
    for seconds, inputs, findings in [*state.history[:-1:step], *state.history[-1:]]:
        yield f"{seconds:>10,.1f} s {inputs:>8,} inputs {findings:>4} findings"


def _proof_lines(state: CampaignState) -> Iterator[str]:
    if state.proofs:
        yield ""
        proven = sum(outcome == "proven" for outcome in state.proofs.values())
        yield f"Symbolic tests: {proven} of {len(state.proofs)} proven"
        yield from (f"  {name}: {outcome}" for name, outcome in state.proofs.items())


def _mutant_lines(state: CampaignState) -> Iterator[str]:
    if state.mutants is not None:
        score, counts = state.mutants["score"], state.mutants["counts"]
        yield ""
        yield "Mutants: " + ", ".join(f"{number} {status}" for status, number in counts.items())
        if state.mutants.get("left_out"):
            yield f"{LEFT_OUT}: {', '.join(state.mutants['left_out'])}"
        if score is not None:
            yield f"Mutation score: {score:.1f}%"
        if state.mutants["alive"]:
            yield "Mutants that no test detects:"
            yield from (f"  {mutant}" for mutant in state.mutants["alive"])


def _chart(state: CampaignState) -> str:
    """Return the number of inputs over time as SVG."""
    end = max((row[0] for row in state.history), default=0) or 1
    top = max((row[1] for row in state.history), default=0) or 1
    points = " ".join(
        f"{seconds / end * _WIDTH:.1f},{_HEIGHT - inputs / top * _HEIGHT:.1f}" for seconds, inputs, _ in state.history
    )
    found = "".join(
        f'<circle cx="{min(finding.seconds / end, 1) * _WIDTH:.1f}" cy="{_HEIGHT}" r="4" fill="#c00"/>'
        for finding in state.findings
    )
    return (
        f'<svg viewBox="-8 -8 {_WIDTH + 16} {_HEIGHT + 16}" width="{_WIDTH}" role="img">'
        f'<polyline points="0,{_HEIGHT} {points}" fill="none" stroke="#06c" stroke-width="2"/>{found}</svg>'
    )


def write_pages(folder: CampaignFolder, state: CampaignState) -> None:
    """Write `campaign.txt` and `campaign.html`."""
    text = "\n".join(page_lines(state)) + "\n"
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Campaign</title><style>{_STYLE}</style>'
        f"</head><body><h1>Campaign</h1>\n{_chart(state)}\n"
        f"<p>Inputs that reach new code, over {state.seconds:,.0f} seconds; findings are red.</p>\n"
        f"<pre>{escape(text)}</pre></body></html>\n"
    )
    write_inside(folder.root, folder.folder / "campaign.txt", text.encode())
    write_inside(folder.root, folder.folder / "campaign.html", page.encode())
