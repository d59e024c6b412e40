"""Policy constants of storage miners and their clients.

Source: builtin-actors runtime/src/runtime/policy.rs, and actors/datacap for the token's units.
"""

from typing import Final

PROVING_PERIOD: Final = 2880
DEADLINE: Final = 60
"""Epochs per deadline: sectors are proven once per proving period, in one of its 48 deadlines."""

DATACAP_PER_BYTE: Final = 10**18
"""Units of the DataCap token for each byte."""
