"""Parsing of token amounts that users type, such as `1.5fil`."""

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


def parse_amount(text: str) -> TokenAmount:
    """Parse `1.5fil`, `1.5` (also FIL), `20nanofil`, `1000attofil` or `1gwei` to attoFIL. Raises InvalidInput."""
    from hypervisor.errors import InvalidInput

    found = _AMOUNT.fullmatch(text.strip())
    decimals = None if found is None else _UNITS.get(found[3].lower())
    if re.match(r"[0-9]{41}", text.strip()):
        raise InvalidInput(f"{text!r:.60} is too large: an amount has at most 40 digits before the point")
    if found is None or decimals is None:
        raise InvalidInput(f"{text!r:.60} is not an amount: expected 1.5fil, 20nanofil or 1000attofil, for example")
    fraction = (found[2] or "").rstrip("0")
    if len(fraction) > decimals:
        raise InvalidInput(f"{text!r:.60} is not a whole number of attoFIL: this unit has at most {decimals} decimals")
    return TokenAmount(int(found[1]) * 10**decimals + int(fraction.ljust(decimals, "0") or 0))


def payment(text: str) -> TokenAmount:
    """Parse the value of a message to attoFIL. Raises InvalidInput for a nonzero integer without a unit.

    cast reads `1` as 1 wei, but `attofil` reads it as 1 FIL. The check protects users of cast from sending 10**18 times
    the amount.
    """
    from hypervisor.errors import InvalidInput

    amount, bare = parse_amount(text), text.strip()
    if amount and bare.isdigit():
        raise InvalidInput(
            f"the amount {bare} has no unit: write {bare}fil, or {bare}wei (the meaning of {bare} in cast)"
        )
    return amount
