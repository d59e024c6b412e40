"""Chains of finality certificates, valid and altered, on go-f3 and here, as a recorded run: the verdicts must be equal.

go-f3 makes and judges the chains (tests/oracle/f3, needs Go). `go run ./tests/oracle/f3 SEED NUMBER 1` shows one chain.
"""

import json
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final

from hypervisor_tools.laboratory.proofs.f3 import (
    InvalidCertificate,
    TrustedState,
    decode_certificate,
    follow,
    power_table_cid,
    read_certificate,
    read_power_table,
)
from store.cid import show
from tests.harness.recorded import NOT_RUN, RunRecord, finish, options


@dataclass(frozen=True, slots=True)
class Verdict:
    """Both verdicts on a chain: the error texts, empty if it is accepted, and our next instance and table."""

    case: dict[str, Any]
    ours: str
    next: tuple[int, str] | None = None
    signed: bool = False
    """True if our checks came as far as a signature."""

    def problem(self) -> str | None:
        """Return the difference between the verdicts, or None."""
        name = f"{self.case['number']} ({self.case['alteration']})"
        theirs = self.case["error"]
        if bool(self.ours) != bool(theirs):
            return f"{name}: go-f3: {theirs or 'accepted'}; ours: {self.ours or 'accepted'}"
        if self.next is not None and self.case["cbor"] and self.next != (self.case["next"], self.case["nextTable"]):
            return f"{name}: go-f3: {self.case['next']} {self.case['nextTable']}; ours: {self.next}"
        return None


def verdict(case: dict[str, Any]) -> Verdict:
    try:
        encoded = [b64decode(one) for one in case["cbor"] or ()]
        certificates = [decode_certificate(one) for one in encoded]
        if case["json"] and [read_certificate(one) for one in case["json"]] != certificates:
            return Verdict(case, "the JSON form is another certificate")
        base = None
        if case["base"]:
            shown = {**_CERTIFICATE, "ECChain": [case["base"]]}
            base = read_certificate(shown).chain[0]
        end = follow(
            TrustedState(case["network"], case["instance"], read_power_table(case["table"]), base), certificates
        )
    except InvalidCertificate as error:
        return Verdict(case, str(error), signed=_SIGNED.search(str(error)) is not None)
    return Verdict(case, "", (end.instance, show(power_table_cid(end.power_table))), signed=bool(certificates))


_SIGNED = re.compile(r"\(instance \d+\): (Signature: it|SupplementalData|PowerTableDelta)")
"""Pattern of errors from the check of a signature on."""
_CERTIFICATE = {
    "GPBFTInstance": 0,
    "SupplementalData": {
        "Commitments": "A" * 43 + "=",
        "PowerTable": {"/": "bafy2bzaceab236vmmb3n4q4tkvua2n4dphcbzzxerxuey3mot4g3cov5j3r2c"},
    },
    "Signers": [],
    "Signature": "A" * 128,
}
"""The other fields of a certificate, to read a tipset."""


SOURCE: Final = Path(__file__).parent / "oracle" / "f3"
PROGRAM: Final = Path(__file__).parents[1] / "build" / "f3" / "f3"
MAX_FINDINGS: Final = 20


def main() -> int:
    """Run the comparison and return the exit code."""
    chosen = options(__doc__, 1000).parse_args()
    if shutil.which("go") is None:
        print(f"{NOT_RUN}no Go: it builds tests/oracle/f3")
        return 0
    subprocess.run(["go", "build", "-o", str(PROGRAM), "."], cwd=SOURCE, check=True)
    started = monotonic()
    verdicts = Counter[str]()
    kinds = Counter[str]()
    findings: list[str] = []
    for one in compared(chosen.seed, chosen.count):
        problem = one.problem()
        if problem is not None:
            findings.append(problem)
        accepted = not one.case["error"]
        kinds[f"{one.case['alteration']}: {'accepted' if accepted else 'refused'}"] += 1
        verdicts["judged by both"] += 1
        verdicts["checked a signature"] += one.signed
    record = RunRecord(
        seed=chosen.seed,
        count=chosen.count,
        stages={name: verdicts[name] for name in ("judged by both", "checked a signature")},
        findings=findings[:MAX_FINDINGS],
        details={"go-f3": _version(), "chains by alteration and verdict": dict(sorted(kinds.items()))},
    )
    return finish(record, chosen, started)


def compared(seed: int, count: int) -> Iterator[Verdict]:
    """Return both verdicts on each chain."""
    command = [str(PROGRAM), str(seed), "0", str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield verdict(json.loads(line))
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with exit code {process.returncode}")


def _version() -> str:
    lines = (SOURCE / "go.mod").read_text(encoding="utf-8").splitlines()
    return next(line.split()[-1] for line in lines if "filecoin-project/go-f3 " in line)


if __name__ == "__main__":
    sys.exit(main())
