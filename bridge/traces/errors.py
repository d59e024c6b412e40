"""Errors of traces."""

from __future__ import annotations

from hypervisor.errors import HypervisorError


class LogTooLong(HypervisorError):
    """Raised when a trace exceeds its maximum size."""
