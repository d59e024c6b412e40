"""The error of certificates and power tables that are malformed or not valid."""

from __future__ import annotations

from hypervisor.errors import InvalidInput


class InvalidCertificate(InvalidInput):
    """Raised for a finality certificate or a power table that fails a check; the text names check and position."""
