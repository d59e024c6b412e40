"""The cheatcodes of forge that are not there, by signature: a call of one fails with its name.

The list is forge-std's interface without the table; a test keeps it so.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from devtools.soltest.cheatcodes.table import selector, table

_TEMPO: Final = "it is of the network Tempo, whose tokens and fees are nowhere else: leave it out"
_MEMORY: Final = (
    "frames are not watched instruction by instruction: compare memory in the test itself, by `mload` in assembly"
)
_STEPS: Final = (
    "frames are not watched instruction by instruction: `-vvvvv` prints calls and slots, `hypervisor step` steps"
)
MISSING: Final[Mapping[str, str]] = {
    "assumeImplicitApproval(address)": _TEMPO,
    "expectLogoURIUpdated(address,address,string)": _TEMPO,
    "expectSafeMemory(uint64,uint64)": _MEMORY,
    "expectSafeMemoryCall(uint64,uint64)": _MEMORY,
    "expectTip20LogoURIUpdated(address,address,string)": _TEMPO,
    "getStorageSlots(address,string)": "artifacts have no storage layout: name the slot, as `forge inspect` gives it",
    "isImplicitlyApproved(address)": _TEMPO,
    "setLogoURI(address,string)": _TEMPO,
    "setTip20LogoURI(address,string)": _TEMPO,
    "startDebugTraceRecording()": _STEPS,
    "stopAndReturnDebugTraceRecording()": _STEPS,
    "stopExpectSafeMemory()": _MEMORY,
}
"""Each with why, and what to do instead."""


@cache
def _missing() -> dict[bytes, str]:
    return {selector(signature): signature for signature in MISSING}


def name_of(data: bytes) -> str | None:
    """The name of the cheatcode with a selector, None of an unknown one."""
    entry = table().get(data)
    signature = _missing().get(data) if entry is None else entry.signature
    return None if signature is None else signature.split("(", 1)[0]
