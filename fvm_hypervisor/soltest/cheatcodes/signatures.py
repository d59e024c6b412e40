"""The cheatcodes of forge that are not there, by signature: a call of one fails with its name.

The list is forge-std's interface without the table; a test keeps it so.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from fvm_hypervisor.soltest.cheatcodes.table import selector, table

_TEMPO: Final = "it is of the network Tempo, whose tokens and fees are nowhere else: leave it out"
MISSING: Final[Mapping[str, str]] = {
    "assumeImplicitApproval(address)": _TEMPO,
    "expectLogoURIUpdated(address,address,string)": _TEMPO,
    "expectTip20LogoURIUpdated(address,address,string)": _TEMPO,
    "isImplicitlyApproved(address)": _TEMPO,
    "setLogoURI(address,string)": _TEMPO,
    "setTip20LogoURI(address,string)": _TEMPO,
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
