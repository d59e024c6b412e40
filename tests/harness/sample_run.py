"""A recorded run for the tests of slices: the inputs are numbers.

The seed `--defect` has a finding.
"""

import sys
import time

from tests.harness.recorded import RunRecord, finish, options


def main() -> int:
    parser = options(__doc__, 10)
    parser.add_argument("--defect", type=int, default=0)
    chosen = parser.parse_args()
    findings = ["a wrong number"] if chosen.seed == chosen.defect else []
    stages = {"made": chosen.count, "even": chosen.count // 2}
    record = RunRecord(chosen.seed, chosen.count, stages, findings, {"last": chosen.seed})
    return finish(record, chosen, time.monotonic())


if __name__ == "__main__":
    sys.exit(main())
