"""Run peers' own test suites against this project: `make peers` (CONTRIBUTING.md).

    python -m tests.peers [SUITE...]

The exit status is 1 for a failure that is not listed in tests/peers/known or a listed test that passes, and 2 if a
suite was not run because its checkout is missing.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.peers.suites import SUITES, Suite, findings, known_failures
from tests.soltests.folder import SuitesMissing


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suites, print a report, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"one of {', '.join(SUITES)} (default: all)")
    asked = parser.parse_args(arguments).suites or list(SUITES)
    if unknown := [name for name in asked if name not in SUITES]:
        parser.error(f"unknown suites {', '.join(unknown)}: choose from {', '.join(SUITES)}")
    return max([_run(name, SUITES[name]) for name in asked], key=(0, 2, 1).index)


def _run(name: str, suite: Suite) -> int:
    folder = os.environ.get("FVM_SUITES")
    if not folder or not (checkout := Path(folder).resolve() / suite.folder).is_dir():
        where = f"set FVM_SUITES to a folder outside of this project with a checkout of github.com/{suite.repository}"
        print(f"{name}: NOT RUN: {where} in {suite.folder}, at commit {suite.commit[:8]}", flush=True)
        return 2
    at = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if (commit := at.stdout.strip()) != suite.commit:
        print(f"{name}: at commit {commit[:8] or 'unknown'}, the lists are for {suite.commit[:8]}", flush=True)
    work = checkout.parent / "peers"
    work.mkdir(exist_ok=True)
    try:
        results = suite.run(checkout, work)
    except SuitesMissing as lack:
        print(f"{name}: NOT RUN: {lack}", flush=True)
        return 2
    except RuntimeError as error:
        print(f"{name}: {error}", flush=True)
        return 1
    groups = known_failures(name)
    wrong = list(findings(results, groups, suite.limit, suite.least))
    passed, ours = sum(end is None for end in results.values()), sum(len(group.names) for group in groups if group.ours)
    print(f"{name}: {passed} of {len(results)} passed; {ours} listed failures are ours, of at most {suite.limit}")
    for line in wrong:
        print(f"  {line}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
