"""Chains of certificates as go-f3 wrote and judged them, and our verdict on them."""

import re
from base64 import b64decode
from dataclasses import dataclass
from typing import Any

from fvm_hypervisor.laboratory.proofs.f3 import (
    InvalidCertificate,
    TrustedState,
    decode_certificate,
    follow,
    power_table_cid,
    read_certificate,
    read_power_table,
)
from store.cid import show


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
    """Decode and validate the certificates of a case."""
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
