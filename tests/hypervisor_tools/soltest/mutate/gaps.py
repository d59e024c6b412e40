"""Mutation tests of a project from which random tests are removed: survivors must be exactly the gaps.

`KILLERS` says which tests detect each mutant; it was derived by hand from the sources. A mutant whose killers are all
removed is a gap. An input is a set of removed tests. solc's answers are recorded (`recorded.py`).

python -m tests.hypervisor_tools.soltest.mutate.gaps --count 20 --seed 1
"""

import random
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hypervisor_tools.soltest.execution.discovery import SuiteFilter
from hypervisor_tools.soltest.mutate.results import MutantStatus
from tests.harness.recorded import RunRecord, finish, options
from tests.hypervisor_tools.soltest.mutate.recorded import compiler, copied, mutated

TESTS: Final[Mapping[str, str]] = {
    "O": "testOnlyTheOwnerSetsTheLimit", "D": "testDepositsAddUp", "V": "testDepositOverTheLimit", "F": "testFee",
    "L": "testDepositOfTheLimit", "E": "testDepositEmitsAnEvent", "B": "testFeeAtTheBound",
    "C": "testCloseDeletesTheBalance",
}  # fmt: skip
ALL: Final = "ODVFLEBC"
Change = tuple[int, str, str]
KILLERS: Final[Mapping[Change, str]] = {
    (13, "msg.sender == owner", "false"): ALL,  # setUp reverts
    (13, "msg.sender == owner", "true"): "O",
    (13, "==", "!="): ALL,
    (17, "onlyOwner", ""): "O",
    (18, "limit = value;", "{}"): "ODLEC",  # every deposit is over the limit 0
    (22, "amount <= limit", "false"): "DLEC",
    (22, "amount <= limit", "true"): "V",
    (22, "<=", "<"): "L",
    (22, "<=", "=="): "DEC",
    (23, "balances[msg.sender] += amount;", "{}"): "DL",
    (23, "+=", "-="): "DLEC",  # below zero
    (23, "+=", "="): "D",
    (24, "emit Deposited(msg.sender, amount);", "{}"): "E",
    (28, "amount < 100", "false"): "B",
    (28, "amount < 100", "true"): "FB",
    (28, "<", "!="): "F",
    (28, "<", "<="): "B",
    (28, "100", "(100 + 1)"): "B",
    (28, "100", "0"): "B",
    (28, "0", "1"): "FB",
    (29, "amount / 50", "0"): "FB",
    (29, "/", "%"): "FB",
    (29, "/", "*"): "FB",
    (29, "50", "(50 + 1)"): "FB",
    (29, "50", "0"): "FB",
    (33, "delete balances[msg.sender];", "{}"): "C",
}


def gaps(removed: Iterable[str]) -> set[Change]:
    """Return the mutants that no test detects without the removed ones."""
    return {change for change, killers in KILLERS.items() if set(killers) <= set(removed)}


def found_gaps(removed: Iterable[str]) -> tuple[set[Change], int]:
    """Return the survivors and uncovered mutants of a run without some tests, and the number of killed mutants."""
    names = "|".join(TESTS[name] for name in removed)
    wanted = SuiteFilter(no_test=rf"^({names})\(" if names else None)
    with TemporaryDirectory() as folder:
        found = mutated(copied(Path(folder)), str(compiler(Path(folder))), wanted=wanted)
    left = (MutantStatus.SURVIVED, MutantStatus.NOT_COVERED)
    mutants = [result.mutant for result in found.results if result.status in left]
    changes = {(mutant.line, mutant.original, mutant.replacement) for mutant in mutants}
    return changes, found.count(MutantStatus.KILLED)


def main() -> int:
    """Run the inputs and write the record."""
    chosen = options(__doc__, 20).parse_args()
    begin, numbers = time.monotonic(), random.Random(chosen.seed)
    findings: list[str] = []
    seeded = killed = 0
    for number in range(chosen.count):
        removed = "".join(numbers.sample(ALL, numbers.randrange(len(ALL))))
        expected = gaps(removed)
        found, dead = found_gaps(removed)
        seeded, killed = seeded + len(expected), killed + dead
        for change in sorted(expected ^ found):
            kind = "no survivor" if change in expected else "no gap"
            findings.append(f"input {number} of seed {chosen.seed}, without {removed or 'no test'}: {change}: {kind}")
    details = {"mutants": len(KILLERS) * chosen.count, "gaps": seeded, "killed": killed}
    return finish(RunRecord(chosen.seed, chosen.count, {"runs": chosen.count}, findings, details), chosen, begin)


if __name__ == "__main__":
    sys.exit(main())
