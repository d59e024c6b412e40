"""A recorded run for the tests of slices: the inputs are numbers.

The seed `--defect` has a finding, and the seed `--missed` does not find the planted defect.
"""

import sys
import time

from bench.recorded import RunRecord, finish, options


def main() -> int:
    parser = options(__doc__, 10)
    parser.add_argument("--defect", type=int, default=0)
    parser.add_argument("--missed", type=int, default=0)
    chosen = parser.parse_args()
    findings = ["a wrong number"] if chosen.seed == chosen.defect else []
    stages = {"made": chosen.count, "even": chosen.count // 2}
    planted = {"odd": {"numbers": 0 if chosen.seed == chosen.missed else chosen.seed}}
    record = RunRecord(chosen.seed, chosen.count, stages, findings, planted, {"last": chosen.seed})
    return finish(record, chosen, time.monotonic())


if __name__ == "__main__":
    sys.exit(main())
