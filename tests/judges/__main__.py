"""Compare this project's JSON-RPC answers with geth's: `make judges` (CONTRIBUTING.md).

    python -m tests.judges [--write | --recorded] [--count]

Both nodes get the same chain and the same requests (tests/judges/scripts). The exit status is 1 for a difference that
known.toml does not list, a listed one that is gone, or an answer of geth that is not on record, and 2 without geth.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.judges.differences import DECISIONS, KNOWN, Comparison, beside_list, corrected, known_differences
from tests.judges.nodes import Geth, NoJudge, OurNode, geth_program, make_chain
from tests.judges.records import COMMAND, StaleRecord, differences, play, read_record, write_record
from tests.judges.scripts import requests, subjects


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the scripts, print a report, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.judges", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recorded", action="store_true", help="compare with geth's recorded answers, without geth")
    parser.add_argument("--write", action="store_true", help="record geth's answers")
    parser.add_argument("--count", action="store_true", help="correct the counts of known.toml")
    parser.add_argument("--new", type=int, default=40, metavar="N", help="print at most N new differences")
    options = parser.parse_args(arguments)
    stale: list[str] = []
    try:
        with OurNode() as ours:
            make_chain(ours)
            if options.recorded:
                theirs = {subject: read_record(subject) for subject in subjects()}
            else:
                with Geth(geth_program(), ours.genesis) as geth:
                    make_chain(geth)
                    theirs = {subject: list(play(requests(subject), geth)) for subject in subjects()}
                stale = [] if options.write else [each for each in subjects() if not _is_recorded(each, theirs[each])]
            comparison = compare_all(ours, theirs)
    except (NoJudge, StaleRecord) as missing:
        print(f"judges: NOT RUN: {missing}")
        return 2
    if options.write:
        for subject, answers in theirs.items():
            write_record(subject, answers)
    if options.count:
        text = KNOWN.read_text(encoding="utf-8")
        KNOWN.write_text(corrected(text, comparison), encoding="utf-8")
        comparison.known = known_differences(KNOWN.read_text(encoding="utf-8"))[1]
    findings = comparison.findings() + [f"geth's answers to {each} are not on record: `{COMMAND}`" for each in stale]
    _report(comparison)
    for line in findings[: options.new]:
        print(line)
    if len(findings) > options.new:
        print(f"and {len(findings) - options.new} more")
    return 1 if findings else 0


def compare_all(ours: OurNode, theirs: dict[str, list[dict[str, Any]]]) -> Comparison:
    """Play the scripts on our node and compare with geth's answers to them."""
    left_out, known = known_differences(KNOWN.read_text(encoding="utf-8"))
    found = [
        each
        for subject, answers in theirs.items()
        for each in differences(subject, requests(subject), list(play(requests(subject), ours)), answers, left_out)
    ]
    return beside_list(found, known)


def _is_recorded(subject: str, answers: list[dict[str, Any]]) -> bool:
    try:
        return read_record(subject) == answers
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
