"""Random call trees on both machines, as a recorded run: exit codes, results, events and actor states must be equal.

A tree is identified by the seed and a number: `python -m tests.crossing --tree SEED:NUMBER` shows one.
"""

import sys
from time import monotonic

from tests.crossing.trees import STAGES, Tree, compare, machines
from tests.differential.comparison import show
from tests.harness.recorded import RunRecord, finish, options

MAX_FINDINGS = 20


def main() -> int:
    """Run the requested comparison and return the exit code."""
    parser = options(__doc__, 1000)
    parser.add_argument("--workers", type=int, default=2, help="processes; default: 2")
    parser.add_argument("--tree", metavar="SEED:NUMBER", help="show one tree, and what it does on both machines")
    chosen = parser.parse_args()
    if chosen.tree:
        seed, number = chosen.tree.split(":")
        return show(machines(), Tree(int(seed), int(number)).case)
    started = monotonic()
    tally = compare(chosen.seed, chosen.count, chosen.workers)
    record = RunRecord(
        seed=chosen.seed,
        count=chosen.count,
        stages={name: tally.stages[name] for name in STAGES},
        findings=tally.findings[:MAX_FINDINGS],
        details={
            "messages by exit code": {str(code): count for code, count in sorted(tally.exits.items())},
            "sums": dict(sorted(tally.counts.items())),
            "trees that gas decided": tally.gas_decided,
        },
    )
    return finish(record, chosen, started)


if __name__ == "__main__":
    sys.exit(main())
