"""Tests of public suites that end otherwise here than under forge, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

KNOWN: Final[Mapping[tuple[str, str], str]] = {}
"""By suite and `contract.signature`; what is not here must end as under forge."""
