"""Finality certificates of F3, Filecoin's fast finality (FIP-0086): decoding and validation."""

from fvm_hypervisor.laboratory.proofs.f3.certificates import (
    Certificate,
    Tipset,
    decode_certificate,
    encode_certificate,
    read_certificate,
)
from fvm_hypervisor.laboratory.proofs.f3.chain import TrustedState, advance, follow
from fvm_hypervisor.laboratory.proofs.f3.committee import Committee
from fvm_hypervisor.laboratory.proofs.f3.errors import InvalidCertificate
from fvm_hypervisor.laboratory.proofs.f3.power_table import (
    PowerDelta,
    PowerEntry,
    decode_power_table,
    encode_power_table,
    power_table_cid,
    read_power_table,
)

__all__ = [
    "Certificate",
    "Committee",
    "InvalidCertificate",
    "PowerDelta",
    "PowerEntry",
    "Tipset",
    "TrustedState",
    "advance",
    "decode_certificate",
    "decode_power_table",
    "encode_certificate",
    "encode_power_table",
    "follow",
    "power_table_cid",
    "read_certificate",
    "read_power_table",
]
