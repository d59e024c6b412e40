"""Generated programs on the plain engine, the fast engine and, for Cancun, pyrevm, as a recorded run; all must agree.

Exit code, gas, output, logs and every actor are compared, with enough gas and with less. A finding names RULES
SEED:BATCH:PROGRAM:GAS; `--case SEED:BATCH:PROGRAM:GAS` runs it on both engines side by side and shows the first
difference.
"""

import sys
from math import inf
from time import monotonic

from tests.engines import worlds
from tests.engines.compare import STAGES, compare, watched
from tests.harness.recorded import RunRecord, finish, options

MAX_FINDINGS = 20


def main() -> int:
    """Run the requested comparison and return the exit code."""
    parser = options(__doc__, 10_000)
    parser.add_argument("--workers", type=int, default=2, help="processes; default: 2")
    parser.add_argument("--seconds", type=float, default=inf, help="start no further batch after this time")
    parser.add_argument("--case", metavar="SEED:BATCH:PROGRAM:GAS", help="run one program on both, side by side")
    chosen = parser.parse_args()
    if chosen.case:
        words = watched(*map(int, chosen.case.split(":")))
        print(words or "no difference")
        return int(bool(words))
    started = monotonic()
    if worlds.pyrevm() is None:
        print("pyrevm is not compared: there is none for this Python", file=sys.stderr)
    tally = compare(chosen.seed, chosen.count, chosen.workers, seconds=chosen.seconds)
    stages = {name: tally.stages[name] for name in STAGES}
    record = RunRecord(chosen.seed, tally.count, stages, tally.findings[:MAX_FINDINGS], dict(tally.counts))
    return finish(record, chosen, started)


if __name__ == "__main__":
    sys.exit(main())
