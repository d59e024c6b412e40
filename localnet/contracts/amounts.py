"""Amounts of money as people type and read them."""

from __future__ import annotations

import re
from typing import Final

from hypervisor.types import ATTO_PER_FIL, TokenAmount

_UNITS: Final = {
    "": 18, "fil": 18, "ether": 18, "eth": 18, "millifil": 15, "mfil": 15, "microfil": 12, "ufil": 12,
    "nanofil": 9, "nfil": 9, "gwei": 9, "picofil": 6, "femtofil": 3, "attofil": 0, "afil": 0, "wei": 0,
}  # fmt: skip
_DECIMALS: Final = len(str(ATTO_PER_FIL)) - 1
_AMOUNT: Final = re.compile(r"([0-9]{1,40})(?:\.([0-9]{1,18}))? ?([a-z]*)", re.ASCII | re.IGNORECASE)


def attofil(text: str) -> TokenAmount:
    """Parse `1.5fil`, `1.5` (also FIL), `20nanofil`, `1000attofil` or `1gwei` to attoFIL. Raises InvalidInput."""
    from hypervisor.errors import InvalidInput

    found = _AMOUNT.fullmatch(text.strip())
    decimals = None if found is None else _UNITS.get(found[3].lower())
    if found is None or decimals is None:
        raise InvalidInput(f"{text!r:.60} is not an amount: expected 1.5fil, 20nanofil or 1000attofil, for example")
    fraction = (found[2] or "").rstrip("0")
    if len(fraction) > decimals:
        raise InvalidInput(f"{text!r:.60} has parts of an attoFIL: at most {decimals} decimals of that unit are whole")
    return TokenAmount(int(found[1]) * 10**decimals + int(fraction.ljust(decimals, "0") or 0))


def payment(text: str) -> TokenAmount:
    """Parse a message's value to attoFIL. A whole number above 0 needs a unit. Raises InvalidInput.

    cast reads `1` as 1 wei, `attofil` as 1 FIL: a habit must not send 10**18 times the money.
    """
    from hypervisor.errors import InvalidInput

    amount, bare = attofil(text), text.strip()
    if amount and bare.isdigit():
        raise InvalidInput(f"the amount {bare} has no unit: write {bare}fil, or {bare}wei (what cast means by {bare})")
    return amount
