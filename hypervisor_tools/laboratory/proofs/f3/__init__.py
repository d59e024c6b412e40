"""Finality certificates of F3, Filecoin's fast finality (FIP-0086): decoding and validation."""

from hypervisor_tools.laboratory.proofs.f3.certificates import (
    Certificate,
    InvalidCertificate,
    PowerDelta,
    PowerEntry,
    Tipset,
    decode_certificate,
    decode_power_table,
    encode_certificate,
    encode_power_table,
    power_table_cid,
    read_certificate,
    read_power_table,
)
from hypervisor_tools.laboratory.proofs.f3.chain import Committee, TrustedState, advance, follow

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
