"""Tests of public suites that end otherwise here than under forge, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

KNOWN: Final[Mapping[tuple[str, str], str]] = {
    (
        "filecoin-pay",
        "test/BurnExtraFeeToken.t.sol:BurnFeeOnTransferTokenTest testBurnFeeOnTransferToken()",
    ): (
        "a mock deals its caller's balance to 0 in a call that then reverts: forge 1.7.1 takes the value that came "
        "with the call back from that 0, the balance wraps to nearly 2^256, and the next payment overflows it"
    ),
}
"""Reasons of known differences by suite and `contract.signature`; all other tests must end as with forge."""
