"""Compare this project's JSON-RPC answers with those of geth and Lotus: `make judges` (CONTRIBUTING.md).

    python -m tests.judges [geth | lotus] [--write | --recorded] [--count]

Both nodes get the same messages and the same requests (tests/judges/JUDGE/scripts). The exit status is 1 for a
difference that known.toml does not list, a listed one that is gone, or an answer of the judge that is not on record,
and 2 without the judge.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from tests.judges.differences import DECISIONS, Comparison, beside_list, corrected, known_differences, known_file
from tests.judges.geth_node import Geth, OurEthereumNode
from tests.judges.lotus_node import Lotus, OurFilecoinNode
from tests.judges.nodes import LostRound, NoJudge, OurNode, make_chain
from tests.judges.records import (
    StaleRecord,
    command,
    differences,
    play,
    read_blocks,
    read_record,
    write_blocks,
    write_record,
)
from tests.judges.scripts import GETH, LOTUS, Scripts


@dataclass(frozen=True)
class Judge:
    """A judge's scripts and program, and our node with the judge's chain, of which it gets some facts of the blocks."""

    scripts: Scripts
    start: Callable[[], Geth | Lotus]
    ours: Callable[[list[dict[str, Any]]], OurNode]


_ATTEMPTS: Final = 8

JUDGES: Final = {
    "geth": Judge(GETH, Geth, lambda blocks: OurEthereumNode()),
    "lotus": Judge(LOTUS, Lotus, OurFilecoinNode),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the scripts of each judge, print reports, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.judges", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("judges", nargs="*", choices=[*JUDGES, []], metavar="JUDGE", help="geth or lotus; else both")
    parser.add_argument("--recorded", action="store_true", help="compare with recorded answers, without the judge")
    parser.add_argument("--write", action="store_true", help="record the judge's answers")
    parser.add_argument("--count", action="store_true", help="correct the counts of known.toml")
    parser.add_argument("--new", type=int, default=40, metavar="N", help="print at most N new differences")
    options = parser.parse_args(arguments)
    return max(_compare(JUDGES[name], options) for name in options.judges or JUDGES)


def _compare(judge: Judge, options: argparse.Namespace) -> int:
    scripts = judge.scripts
    print(f"{scripts.judge}: ", end="", flush=True)
    stale: list[str] = []
    try:
        if options.recorded:
            comparison = compare_recorded(judge)
        else:
            theirs, blocks = _ask(judge)
            if options.write:
                write_blocks(scripts, blocks)
                for subject, answers in theirs.items():
                    write_record(scripts, subject, answers)
            stale = [each for each in theirs if not _is_recorded(scripts, each, theirs[each])]
            comparison = _compare_with(judge, theirs, blocks)
    except (NoJudge, StaleRecord) as missing:
        print(f"NOT RUN: {missing}")
        return 2
    if options.count:
        file = known_file(scripts)
        file.write_text(corrected(file.read_text(encoding="utf-8"), comparison), encoding="utf-8")
        comparison.known = known_differences(scripts)[1]
    findings = comparison.findings() + [f"answers to {each} are not on record: `{command(scripts)}`" for each in stale]
    _report(comparison)
    for line in findings[: options.new]:
        print(line)
    if len(findings) > options.new:
        print(f"and {len(findings) - options.new} more")
    return 1 if findings else 0


def _ask(judge: Judge) -> tuple[dict[str, list[dict[str, Any]]], list[dict[str, Any]]]:
    """Return a judge's answers by script, and the facts of its blocks. Raises NoJudge."""
    scripts = judge.scripts
    for _ in range(_ATTEMPTS):
        with suppress(LostRound), judge.start() as node:
            make_chain(node, scripts)
            return {each: list(play(scripts.requests(each), node)) for each in scripts.subjects()}, node.blocks
    raise NoJudge(f"{scripts.judge} lost a round in each of {_ATTEMPTS} attempts")


def compare_recorded(judge: Judge) -> Comparison:
    """Play the scripts on our node and compare with the recorded answers to them. Raises StaleRecord."""
    theirs = {subject: read_record(judge.scripts, subject) for subject in judge.scripts.subjects()}
    return _compare_with(judge, theirs, read_blocks(judge.scripts))


def _compare_with(judge: Judge, theirs: dict[str, list[dict[str, Any]]], blocks: list[dict[str, Any]]) -> Comparison:
    left_out, known = known_differences(judge.scripts)
    with judge.ours(blocks) as ours:
        make_chain(ours, judge.scripts)
        found = [
            each
            for subject, answers in theirs.items()
            for asked in [judge.scripts.requests(subject)]
            for each in differences(subject, asked, list(play(asked, ours)), answers, left_out)
        ]
    return beside_list(found, known)


def _is_recorded(scripts: Scripts, subject: str, answers: list[dict[str, Any]]) -> bool:
    try:
        return read_record(scripts, subject) == answers
    except StaleRecord:
        return False


def _report(comparison: Comparison) -> None:
    kinds = comparison.kinds
    print(f"{kinds.total()} requests: {kinds['equal']} equal, {kinds['text']} differ in an error's text only, ", end="")
    print(f"{kinds['code']} in its code or data only, {kinds['value']} in a value")
    decided: Counter[str] = Counter()
    for entry, covered in zip(comparison.known, comparison.by_entry, strict=True):
        decided[entry.decision] += len(covered)
    print(", ".join(f"{decided[each]} {each}" for each in DECISIONS) + f", {len(comparison.new)} new differences")


if __name__ == "__main__":
    sys.exit(main())
