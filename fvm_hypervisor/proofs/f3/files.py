"""Verification of certificates from files, and its result in the names of the JSON-RPC API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from fvm_hypervisor.proofs.f3.certificate import Certificate, decode_certificate, read_certificate
from fvm_hypervisor.proofs.f3.chain import Finality, follow
from fvm_hypervisor.proofs.f3.errors import InvalidCertificate
from fvm_hypervisor.proofs.f3.power_table import power_table_cid, read_power_table
from hypervisor.errors import InvalidInput
from store.cid import show

MAX_CERTIFICATES: Final = 100_000
"""Maximum number of certificates in one verification."""


def verify_files(
    documents: Iterable[Any], table: Any, network: str, table_cid: str | None = None, instance: int | None = None
) -> tuple[Finality, Finality]:
    """Validate certificates, and return the state before the first and after the last one.

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
    start = Finality(network, certificates[0].instance if instance is None else instance, trusted)
    return start, follow(start, certificates)


def summary(start: Finality, end: Finality) -> dict[str, Any]:
    """Return the result of a verification as JSON: the certified instances, the head and the next power table."""
    head = end.head
    if head is None:
        raise InvalidInput("no certificate was verified")
    return {
        "network": end.network,
        "powerTable": show(power_table_cid(start.power_table)),
        "firstInstance": start.instance,
        "nextInstance": end.instance,
        "nextPowerTable": show(power_table_cid(end.power_table)),
        "finalizedEpoch": head.epoch,
        "finalizedTipset": [show(block) for block in head.blocks()],
    }


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
