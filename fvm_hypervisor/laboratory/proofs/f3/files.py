"""Verification of certificates from files, and its result in the names of the JSON-RPC API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from fvm_hypervisor.laboratory.proofs.f3.certificates import Certificate, Tipset, decode_certificate, read_certificate
from fvm_hypervisor.laboratory.proofs.f3.chain import TrustedState, follow
from fvm_hypervisor.laboratory.proofs.f3.errors import InvalidCertificate
from fvm_hypervisor.laboratory.proofs.f3.power_table import power_table_cid, read_power_table
from hypervisor.errors import InvalidInput
from store.cid import Cid, show

MAX_CERTIFICATES: Final = 100_000
"""Maximum number of certificates in one verification."""


@dataclass(frozen=True, slots=True)
class VerifiedCertificates:
    """Valid certificates, with the trusted states before the first and after the last one."""

    start: TrustedState
    end: TrustedState
    certificates: tuple[Certificate, ...]

    def tipset_of(self, block: Cid) -> Tipset:
        """Return the finalized tipset that a block is part of. Raises InvalidCertificate if there is none."""
        for certificate in self.certificates:
            for tipset in certificate.chain:
                if block in tipset.blocks():
                    return tipset
        raise InvalidCertificate(f"block {show(block)} is not in a tipset that the certificates finalize")

    def summary(self) -> dict[str, Any]:
        """Return the certified instances, the head and the next power table as JSON."""
        head = self.certificates[-1].chain[-1]
        return {
            "network": self.end.network,
            "powerTable": show(power_table_cid(self.start.power_table)),
            "firstInstance": self.start.instance,
            "nextInstance": self.end.instance,
            "nextPowerTable": show(power_table_cid(self.end.power_table)),
            "finalizedEpoch": head.epoch,
            "finalizedTipset": [show(block) for block in head.blocks()],
        }


def verify_files(
    documents: Iterable[Any], table: Any, network: str, table_cid: str | None = None, instance: int | None = None
) -> VerifiedCertificates:
    """Validate certificates from files.

    A document is the JSON of a certificate, a list of them, or the bytes of one certificate as CBOR. `instance` is that
    of the power table; None means that of the first certificate. Raises InvalidCertificate.
    """
    certificates = list(_certificates(documents))
    if not certificates:
        raise InvalidInput("there is no certificate in the files")
    trusted = read_power_table(table)
    found = show(power_table_cid(trusted))
    if table_cid is not None and found != table_cid:
        raise InvalidCertificate(f"power table: its CID is {found}, not {table_cid}")
    start = TrustedState(network, certificates[0].instance if instance is None else instance, trusted)
    return VerifiedCertificates(start, follow(start, certificates), tuple(certificates))


def _certificates(documents: Iterable[Any]) -> Iterator[Certificate]:
    count = 0
    for document in documents:
        for item in document if isinstance(document, list) else [document]:
            try:
                yield decode_certificate(item) if isinstance(item, bytes) else read_certificate(item)
            except InvalidCertificate as error:
                raise InvalidCertificate(f"certificate {count}: {error}") from None
            count += 1
            if count > MAX_CERTIFICATES:
                raise InvalidInput(f"more than {MAX_CERTIFICATES:,} certificates: verify them in several runs")
