"""Known differences from forge in the outcome or gas of public suites' tests, with reasons."""

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

_REFUNDS: Final = (
    "forge lets a call that `expectRevert` waited for keep the refunds of what it undid: 19,900 gas for a slot that is "
    "written back, of which a transaction gets a fifth of its gas at most"
)
_PERMIT2: Final = (
    ("NonceBitmap.t.sol:NonceBitmapTest", "testNonceWordBoundary()"),
    ("SignatureTransfer.t.sol:SignatureTransferTest", "testInvalidateUnorderedNonces()"),
    ("SignatureTransfer.t.sol:SignatureTransferTest", "testPermitTransferFromInvalidNonce()"),
)
GAS: Final[Mapping[tuple[str, str], str]] = {
    **{("permit2", f"unit gas test/{contract} {test}"): _REFUNDS for contract, test in _PERMIT2},
    **{("permit2", f"snapshot {contract.partition(':')[2]}:{test}"): _REFUNDS for contract, test in _PERMIT2},
}
"""Reasons of known differences in gas, by suite and by kind (gas.py) with the test, function or line."""
