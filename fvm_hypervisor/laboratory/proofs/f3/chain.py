"""Validation of finality certificates, from a trusted power table on.

The checks are those of go-f3 (certs/certs.go, ValidateFinalityCertificates). A certificate is trusted if the signers of
at least two thirds of the scaled power have signed it; it certifies the power table of the next instance.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from fvm_hypervisor.laboratory.proofs.f3.certificates import Certificate, Tipset
from fvm_hypervisor.laboratory.proofs.f3.errors import InvalidCertificate
from fvm_hypervisor.laboratory.proofs.f3.power_table import (
    PowerTable,
    apply_deltas,
    check_power_table,
    power_table_cid,
    scaled_powers,
)
from fvm_hypervisor.laboratory.proofs.f3.signing import signed_bytes, verify_aggregate
from store.cid import show


@dataclass(frozen=True, slots=True)
class TrustedState:
    """A trusted state of a network's finality.

    `power_table` is the table of instance `instance`, the next one. `head` is the last finalized tipset; if it is None,
    the first certificate may start from any tipset.
    """

    network: str
    instance: int
    power_table: PowerTable
    head: Tipset | None = None


def follow(start: TrustedState, certificates: Iterable[Certificate]) -> TrustedState:
    """Validate a chain of certificates, and return the state after the last one.

    Raises InvalidCertificate: the text names the certificate by position and instance, and the check that failed.
    """
    check_power_table(start.power_table)
    state = start
    for index, certificate in enumerate(certificates):
        try:
            state = advance(state, certificate)
        except InvalidCertificate as error:
            raise InvalidCertificate(f"certificate {index} (instance {certificate.instance}): {error}") from None
    return state


def advance(state: TrustedState, certificate: Certificate) -> TrustedState:
    """Validate one certificate, and return the state after it. Raises InvalidCertificate."""
    if certificate.instance != state.instance:
        raise InvalidCertificate(f"GPBFTInstance: expected {state.instance}")
    _check_chain(certificate.chain)
    if state.head is not None and certificate.chain[0] != state.head:
        raise InvalidCertificate(f"ECChain[0]: it is not the finalized head, which is at epoch {state.head.epoch}")
    _check_signature(state, certificate)
    table = apply_deltas(state.power_table, certificate.deltas)
    found = power_table_cid(table)
    if found != certificate.power_table:
        raise InvalidCertificate(
            f"SupplementalData: PowerTable is {show(certificate.power_table)}, but the deltas give {show(found)}"
        )
    return replace(
        state,
        instance=state.instance + 1,
        power_table=table,
        head=certificate.chain[-1],
    )


def _check_chain(chain: tuple[Tipset, ...]) -> None:
    if not chain:
        raise InvalidCertificate("ECChain: it is empty")
    last = -1
    for index, tipset in enumerate(chain):
        if not tipset.key:
            raise InvalidCertificate(f"ECChain[{index}]: Key is empty")
        if tipset.epoch <= last:
            raise InvalidCertificate(f"ECChain[{index}]: epoch {tipset.epoch} does not follow epoch {last}")
        last = tipset.epoch


def _check_signature(state: TrustedState, certificate: Certificate) -> None:
    table = state.power_table
    if not table:
        raise InvalidCertificate("the power table of this instance is empty")
    shares = scaled_powers(table)
    for signer in certificate.signers:
        if signer >= len(table):
            raise InvalidCertificate(f"Signers: signer {signer} is not in the power table of {len(table)} entries")
        if not shares[signer]:
            raise InvalidCertificate(f"Signers: signer {signer} (participant {table[signer].id}) has no scaled power")
    signed, total = sum(shares[signer] for signer in certificate.signers), sum(shares)
    if 3 * signed < 2 * total:
        raise InvalidCertificate(f"Signers: {signed} of {total} scaled power have signed, two thirds are needed")
    verify_aggregate(
        certificate.signature,
        signed_bytes(state.network, certificate),
        [entry.key for entry in table],
        certificate.signers,
    )
