"""Policy constants of storage miners and their clients.

Source: builtin-actors runtime/src/runtime/policy.rs, and actors/datacap for the token's units.
"""

from typing import Final

PROVING_PERIOD: Final = 2880
DEADLINE: Final = 60
"""Epochs per deadline: sectors are proven once per proving period, in one of its 48 deadlines."""

MAX_SECTORS: Final = 10_000
"""Maximum number of sectors that one call adds to a miner. This limit is the project's own: it bounds the time."""
SECTORS_REMEDY: Final = "add more with Miner.commit"
"""Remedy for a new miner with too many sectors."""

DATACAP_PER_BYTE: Final = 10**18
"""Units of the DataCap token for each byte."""
