"""Unsupported cheatcodes of forge, by signature; calling one fails with its name.

A test keeps the list equal to forge's list without the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from fvm_hypervisor.soltest.cheatcodes.table import selector, table

_TEMPO: Final = "it is specific to the network Tempo: remove it"
MISSING: Final[Mapping[str, str]] = {
    "assumeImplicitApproval(address)": _TEMPO,
    "expectKeychainAdminVerified(address,bytes32,bytes)": _TEMPO,
    "expectKeychainVerified(address,bytes32,bytes)": _TEMPO,
    "expectLogoURIUpdated(address,address,string)": _TEMPO,
    "expectTip20LogoURIUpdated(address,address,string)": _TEMPO,
    "isImplicitlyApproved(address)": _TEMPO,
    "setLogoURI(address,string)": _TEMPO,
    "setTip20LogoURI(address,string)": _TEMPO,
    "signKeychain(uint256,address,bytes32)": _TEMPO,
    "signKeychainAdmin(uint256,address,bytes32)": _TEMPO,
}
"""Reason and remedy by signature."""


@cache
def _missing() -> dict[bytes, str]:
    return {selector(signature): signature for signature in MISSING}


def name_of(data: bytes) -> str | None:
    """Return the name of the cheatcode with a selector, or None."""
    entry = table().get(data)
    signature = _missing().get(data) if entry is None else entry.signature
    return None if signature is None else signature.split("(", 1)[0]
