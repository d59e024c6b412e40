"""Generated contracts on both machines, as a recorded run: exit code, return data, events and state root must be equal.

A case is identified by the seed and a number: `python -m tests.differential --case SEED:NUMBER` shows one.
"""

import sys
from time import monotonic

from tests.differential.comparison import STAGES, compare, official_actor, show, twins
from tests.differential.grammar import generate
from tests.harness.recorded import RunRecord, finish, options

MAX_FINDINGS = 20


def main() -> int:
    """Run the requested comparison and return the exit code."""
    parser = options(__doc__, 2000)
    parser.add_argument("--workers", type=int, default=2, help="processes; default: 2")
    parser.add_argument("--case", metavar="SEED:NUMBER", help="show one case, and what it does on both machines")
    chosen = parser.parse_args()
    official_actor()
    if chosen.case:
        seed, number = chosen.case.split(":")
        return show(twins(), generate(int(seed), int(number)))
    started = monotonic()
    tally = compare(chosen.seed, chosen.count, chosen.workers)
    record = RunRecord(
        seed=chosen.seed,
        count=chosen.count,
        stages={name: tally.stages[name] for name in STAGES},
        findings=tally.findings[:MAX_FINDINGS],
        details=tally.details(),
    )
    return finish(record, chosen, started)


if __name__ == "__main__":
    sys.exit(main())
