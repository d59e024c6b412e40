"""The cheatcodes of forge that are not there, by signature: a call of one fails with its name.

The list is forge-std's interface without the table; a test keeps it so.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from devtools.soltest.cheatcodes.table import selector, table

MISSING: Final[tuple[str, ...]] = (
    "assumeImplicitApproval(address)",
    "broadcastRawTransaction(bytes)",
    "cool(address)",
    "coolSlot(address,bytes32)",
    "executeTransaction(bytes)",
    "expectLogoURIUpdated(address,address,string)",
    "expectSafeMemory(uint64,uint64)",
    "expectSafeMemoryCall(uint64,uint64)",
    "expectTip20LogoURIUpdated(address,address,string)",
    "getChain(string)",
    "getChain(uint256)",
    "getRawBlockHeader(uint256)",
    "getStorageSlots(address,string)",
    "isImplicitlyApproved(address)",
    "setArbitraryStorage(address)",
    "setArbitraryStorage(address,bool)",
    "setEvmVersion(string)",
    "setLogoURI(address,string)",
    "setTip20LogoURI(address,string)",
    "startDebugTraceRecording()",
    "stopAndReturnDebugTraceRecording()",
    "stopExpectSafeMemory()",
)


@cache
def _missing() -> dict[bytes, str]:
    return {selector(signature): signature for signature in MISSING}


def name_of(data: bytes) -> str | None:
    """The name of the cheatcode with a selector, None of an unknown one."""
    entry = table().get(data)
    signature = _missing().get(data) if entry is None else entry.signature
    return None if signature is None else signature.split("(", 1)[0]
